//! Pages of lists.

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The entries. There may be fewer than `limit` although more follow.
    pub data: Vec<T>,
    /// The `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
}
