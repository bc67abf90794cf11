//! Silences: times in which matching incidents notify nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::word::{IncidentKind, SilenceStatus, Word};

/// A time in which matching incidents notify nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Silence {
    /// Its id.
    pub id: Arc<str>,
    /// Where it stands in time.
    #[cfg_attr(feature = "schema", schema(value_type = SilenceStatus))]
    pub status: Word<SilenceStatus>,
    /// The workflows it is for, as a glob.
    pub workflow: Arc<str>,
    /// The one kind of incident it is for; null for all.
    #[cfg_attr(feature = "schema", schema(value_type = Option<IncidentKind>))]
    pub kind: Option<Word<IncidentKind>>,
    /// What the labels of an incident's group must be.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// From when on.
    pub starts_at: WallTime,
    /// Until when; cut short when it is ended by hand.
    pub ends_at: WallTime,
    /// Who made it.
    pub author: Arc<str>,
    /// Why.
    pub comment: Arc<str>,
    /// When it was made.
    pub created_at: WallTime,
}

/// A silence to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// The workflows it is for, as a glob: `*` stands for any characters, `?` for one.
    pub workflow: Arc<str>,
    /// `overdue`, `failed`, `missed` or `held` (which is of workflows on hold, and there are none yet); left
    /// out, it is for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub kind: Option<IncidentKind>,
    /// What the labels must be by which the incidents of these workflows are split (`group_by`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// From when on (RFC 3339); left out, from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// Until when (RFC 3339); either this or `for`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// For how long, such as `2h`; either this or `ends_at`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Who makes it; by default the token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Arc<str>>,
    /// Why; at most 512 bytes.
    #[serde(default)]
    pub comment: Arc<str>,
}
