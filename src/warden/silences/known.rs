//! The silences that are remembered, in memory as a whole; there are few.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::EXPIRED_MAX;
use crate::model::{IncidentKey, Moment, Silence, SilenceId, SilenceStatus, Timestamp};
use crate::store::{Change, Document, DocumentId, Observer};

/// All silences that are remembered, fed by the store.
#[derive(Default)]
pub struct KnownSilences {
    silences: RwLock<BTreeMap<SilenceId, Silence>>,
    changed: Notify,
}

impl KnownSilences {
    /// Until when those hold that are for that incident at that moment; nothing if none is.
    pub fn hold_until(&self, key: &IncidentKey, moment: Moment) -> Option<Timestamp> {
        let holds =
            |silence: &&Silence| silence.status(moment) == SilenceStatus::Active && silence.matches(key);
        self.read().values().filter(holds).map(|silence| moment.steady(silence.ends_at)).max()
    }

    /// The one that holds at that moment for all that there could be, and for the longest time.
    pub fn for_all_at(&self, moment: Moment) -> Option<Silence> {
        let is_for_all = |silence: &&Silence| {
            let whatever = silence.kind.is_none() && silence.labels.is_empty();
            whatever && silence.workflow.bytes().all(|byte| byte == b'*')
        };
        let silences = self.read();
        let holding = silences.values().filter(|silence| silence.status(moment) == SilenceStatus::Active);
        holding.filter(is_for_all).max_by_key(|silence| moment.steady(silence.ends_at)).cloned()
    }

    /// When one begins or ends next, after that moment.
    pub fn next_change(&self, moment: Moment) -> Timestamp {
        let silences = self.read();
        let instants = silences
            .values()
            .flat_map(|silence| [silence.starts_at, silence.ends_at])
            .map(|time| moment.steady(time));
        instants.filter(|instant| *instant > moment.now).min().unwrap_or(Timestamp::MAX)
    }

    /// Takes note that the wall clock was set: what stands on it begins and ends at another time.
    pub fn clock_was_set(&self) {
        self.changed.notify_one();
    }

    /// Completes when one was made or ended by hand, or the wall clock was set, since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Those that have been over for that long.
    pub(super) fn over_for(&self, duration: Duration, moment: Moment) -> Vec<SilenceId> {
        let over = |silence: &&Silence| moment.steady(silence.ends_at).after(duration) <= moment.now;
        self.read().values().filter(over).map(|silence| silence.id.clone()).collect()
    }

    /// Those that are over and too many to be remembered.
    pub(super) fn surplus(&self, moment: Moment) -> Vec<SilenceId> {
        let silences = self.read();
        let expired = silences.values().filter(|silence| silence.status(moment) == SilenceStatus::Expired);
        let mut expired: Vec<_> =
            expired.map(|silence| (moment.steady(silence.ends_at), silence.id.clone())).collect();
        expired.sort();
        expired.truncate(expired.len().saturating_sub(EXPIRED_MAX));
        expired.into_iter().map(|(_, id)| id).collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<SilenceId, Silence>> {
        self.silences.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, BTreeMap<SilenceId, Silence>> {
        self.silences.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for KnownSilences {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(Document::Silence(silence)) => {
                    self.write().insert(silence.id.clone(), (**silence).clone());
                    self.changed.notify_one();
                }
                Change::Removed(DocumentId::Silence(id)) => drop(self.write().remove(id)),
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}
