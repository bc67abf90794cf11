//! Silences: periods in which matching incidents send no notifications. The incidents exist all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
pub use warden_api::word::SilenceStatus;
use wildmatch::WildMatch;

use super::{ClockTime, IncidentKey, IncidentKind, Moment, Timestamp};

/// `sil_` and a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SilenceId(pub Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub id: SilenceId,
    /// A glob of the workflows it applies to: `*` stands for any characters, `?` for one.
    pub workflow: Arc<str>,
    /// `None` for all.
    pub kind: Option<IncidentKind>,
    /// The labels that the group of an incident must have.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    pub starts_at: ClockTime,
    /// Or when it was ended early.
    pub ends_at: ClockTime,
    pub author: Arc<str>,
    pub comment: Arc<str>,
    pub created_at: Timestamp,
}

impl Silence {
    pub fn status(&self, moment: Moment) -> SilenceStatus {
        if moment.now >= moment.steady(self.ends_at) {
            SilenceStatus::Expired
        } else if moment.now < moment.steady(self.starts_at) {
            SilenceStatus::Pending
        } else {
            SilenceStatus::Active
        }
    }

    /// Whether it applies to the incident, regardless of time.
    pub fn matches(&self, key: &IncidentKey) -> bool {
        let labelled = |(name, value)| key.group.get(name) == Some(value);
        self.kind.is_none_or(|kind| kind == key.kind)
            && WildMatch::new(&self.workflow).matches(&key.workflow)
            && self.labels.iter().all(labelled)
    }
}
