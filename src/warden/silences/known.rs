//! The silences in memory, fed by the store.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::EXPIRED_MAX;
use crate::model::{IncidentKey, Moment, Silence, SilenceId, SilenceStatus, Timestamp};
use crate::store::{Change, Document, DocumentId, Observer};

/// All silences, also expired ones within their retention.
#[derive(Default)]
pub struct KnownSilences {
    silences: RwLock<BTreeMap<SilenceId, Silence>>,
    changed: Notify,
}

impl KnownSilences {
    /// Until when silences that match this incident are active; `None` if none is.
    pub fn hold_until(&self, key: &IncidentKey, moment: Moment) -> Option<Timestamp> {
        let holds =
            |silence: &&Silence| silence.status(moment) == SilenceStatus::Active && silence.matches(key);
        self.read().values().filter(holds).map(|silence| moment.steady(silence.ends_at)).max()
    }

    /// The active silence that matches every incident, and ends last.
    pub fn for_all_at(&self, moment: Moment) -> Option<Silence> {
        let is_for_all = |silence: &&Silence| {
            let whatever = silence.kind.is_none() && silence.labels.is_empty();
            whatever && silence.workflow.bytes().all(|byte| byte == b'*')
        };
        let silences = self.read();
        let holding = silences.values().filter(|silence| silence.status(moment) == SilenceStatus::Active);
        holding.filter(is_for_all).max_by_key(|silence| moment.steady(silence.ends_at)).cloned()
    }

    /// When the next silence starts or ends.
    pub fn next_change(&self, moment: Moment) -> Timestamp {
        let silences = self.read();
        let instants = silences
            .values()
            .flat_map(|silence| [silence.starts_at, silence.ends_at])
            .map(|time| moment.steady(time));
        instants.filter(|instant| *instant > moment.now).min().unwrap_or(Timestamp::MAX)
    }

    /// The wall clock was set, so silences start and end at other steady times.
    pub fn clock_was_set(&self) {
        self.changed.notify_one();
    }

    /// Completes when a silence was created or ended, or the wall clock was set, since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Silences that expired at least `duration` ago.
    pub(super) fn over_for(&self, duration: Duration, moment: Moment) -> Vec<SilenceId> {
        let over = |silence: &&Silence| moment.steady(silence.ends_at).after(duration) <= moment.now;
        self.read().values().filter(over).map(|silence| silence.id.clone()).collect()
    }

    /// The oldest expired silences beyond [`EXPIRED_MAX`].
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
                Change::Item { .. } | Change::Step { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}
