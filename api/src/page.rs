//! Pages of lists.

use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// What was found. It may be less than asked for although more follows.
    pub data: Vec<T>,
    /// To be handed back as `cursor` for what follows; null at the end.
    pub next_cursor: Option<String>,
}
