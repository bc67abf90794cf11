//! Silences: periods in which matching incidents send no notifications.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::word::{IncidentKind, SilenceStatus, Word};

/// A period in which matching incidents send no notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Silence {
    /// `sil_` and a UUID.
    pub id: Arc<str>,
    /// Whether it is in effect.
    #[cfg_attr(feature = "schema", schema(value_type = SilenceStatus))]
    pub status: Word<SilenceStatus>,
    /// A glob of the workflows it applies to.
    pub workflow: Arc<str>,
    /// The kind of incident it applies to; null for all.
    #[cfg_attr(feature = "schema", schema(value_type = Option<IncidentKind>))]
    pub kind: Option<Word<IncidentKind>>,
    /// The labels that the group of an incident must have.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// When it begins.
    pub starts_at: WallTime,
    /// When it ends, or was ended early.
    pub ends_at: WallTime,
    /// The person or token that created it.
    pub author: Arc<str>,
    /// The reason.
    pub comment: Arc<str>,
    /// When it was created.
    pub created_at: WallTime,
}

/// A request to create a silence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// A glob of the workflows it applies to: `*` stands for any characters, `?` for one.
    pub workflow: Arc<str>,
    /// `overdue`, `failed`, `missed` or `held` (reserved for workflows on hold); by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub kind: Option<IncidentKind>,
    /// The labels that the group of an incident must have, for workflows with `group_by`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// When it begins (RFC 3339); by default now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// When it ends (RFC 3339); either this or `for`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    /// How long it lasts, such as `2h`; either this or `ends_at`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The person; by default the token's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Arc<str>>,
    /// The reason; at most 512 bytes.
    #[serde(default)]
    pub comment: Arc<str>,
}
