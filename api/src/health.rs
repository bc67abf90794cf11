//! Liveness and readiness of the daemon.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::word::{StorageState, Word};

/// The response of a running process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`
    pub status: Cow<'static, str>,
    /// The version of the daemon.
    pub version: Cow<'static, str>,
}

/// The response of a ready daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// `ready`
    pub status: Cow<'static, str>,
    /// Whether new items are accepted.
    #[cfg_attr(feature = "schema", schema(value_type = StorageState))]
    pub storage: Word<StorageState>,
    /// Valid settings that are probably mistakes, for example without anybody to notify.
    pub warnings: Vec<Warning>,
}

/// The response to a reload: the configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reloaded {
    /// Settings such as `server.listen` that differ from those of the running daemon, which keeps its own
    /// until it is restarted.
    pub needs_restart: Vec<String>,
    /// Valid settings that are probably mistakes.
    pub warnings: Vec<Warning>,
}

/// A valid setting that is probably a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Warning {
    /// Such as `no-receivers`; `warden check --help` lists all.
    pub code: Cow<'static, str>,
    /// Where, what, and how to fix it. Left out unless the token may read everything.
    pub message: Option<String>,
}
