//! Silences: times in which matching incidents notify nobody. The incidents exist all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
pub use warden_api::word::SilenceStatus;
use wildmatch::WildMatch;

use super::{ClockTime, IncidentKey, IncidentKind, Moment, Timestamp};

/// `sil_` and a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SilenceId(pub Arc<str>);

/// A time in which matching incidents notify nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: SilenceId,
    /// The workflows it is for, as a glob: `*` stands for any characters, `?` for one.
    pub workflow: Arc<str>,
    /// The one kind of incident it is for; nothing for all.
    pub kind: Option<IncidentKind>,
    /// What the labels of an incident's group must be.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// From when on.
    pub starts_at: ClockTime,
    /// Until when; cut short when it is ended by hand.
    pub ends_at: ClockTime,
    /// Who made it.
    pub author: Arc<str>,
    /// Why.
    pub comment: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Silence {
    /// Where it stands at that moment.
    pub fn status(&self, moment: Moment) -> SilenceStatus {
        if moment.now >= moment.steady(self.ends_at) {
            SilenceStatus::Expired
        } else if moment.now < moment.steady(self.starts_at) {
            SilenceStatus::Pending
        } else {
            SilenceStatus::Active
        }
    }

    /// Whether it is for that incident, at whatever time.
    pub fn matches(&self, key: &IncidentKey) -> bool {
        let labelled = |(name, value)| key.group.get(name) == Some(value);
        self.kind.is_none_or(|kind| kind == key.kind)
            && WildMatch::new(&self.workflow).matches(&key.workflow)
            && self.labels.iter().all(labelled)
    }
}
