//! Whether the daemon lives and is ready.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::word::{StorageState, Word};

/// That the process lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`
    pub status: Cow<'static, str>,
    /// The program's version.
    pub version: Cow<'static, str>,
}

/// That the daemon can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// `ready`
    pub status: Cow<'static, str>,
    /// Whether there is room for new items.
    #[cfg_attr(feature = "schema", schema(value_type = StorageState))]
    pub storage: Word<StorageState>,
    /// What works as it is set up and is probably not what was meant: mostly that nobody would be told.
    pub warnings: Vec<Warning>,
}

/// Something that is probably not what was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Warning {
    /// Which warning it is, such as `no-receivers`; `warden check --help` lists them.
    pub code: Cow<'static, str>,
    /// The particulars: where, what, and what to do. For those who may read everything; others see the code
    /// alone.
    pub message: Option<String>,
}
