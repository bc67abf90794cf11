//! The queued deliveries, fed by the store. Holds no reference to the store, so that the store can hold it as
//! an observer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::dispatcher::Dispatcher;
use super::queue::Waiting;
use super::recovery::Recovery;
use crate::model::{Delivery, DeliveryStatus, Timestamp};
use crate::store::{Change, Document, Observer};

/// The queues of all receivers, and the signals of their changes.
pub(super) struct Backlog {
    dispatcher: Mutex<Dispatcher>,
    /// The documents told so far; `None` once the initial feed is complete.
    recovery: Mutex<Option<Recovery>>,
    /// Wakes the service loop: a task may have become due.
    pub(super) arrived: Notify,
    pub(super) failing_changed: Notify,
}

impl Backlog {
    pub(super) fn new(dispatcher: Dispatcher) -> Self {
        Self {
            dispatcher: Mutex::new(dispatcher),
            recovery: Mutex::new(Some(Recovery::default())),
            arrived: Notify::new(),
            failing_changed: Notify::new(),
        }
    }

    /// Ends the initial feed and queues what it brought. Everything told after this is a new commit.
    pub(super) fn recovered(&self, now: Timestamp) {
        let Some(recovery) = self.lock_recovery().take() else { return };
        let (pending, lost) = recovery.finish(now);
        self.change(|dispatcher| {
            pending.into_iter().for_each(|waiting| dispatcher.accept(waiting));
            lost.iter().for_each(|delivery| dispatcher.note_lost(&delivery.receiver, &delivery.topic));
        });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Dispatcher> {
        self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queues, and wakes the loop and whoever waits for changes of reachability.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Dispatcher) -> T) -> T {
        let mut dispatcher = self.lock();
        let done = change(&mut dispatcher);
        self.arrived.notify_one();
        if dispatcher.has_changed() {
            self.failing_changed.notify_one();
        }
        done
    }

    fn lock_recovery(&self) -> MutexGuard<'_, Option<Recovery>> {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues deliveries that are stored as pending. One that is queued already is ignored unless it was resent,
/// since the feed also tells the results of attempts.
impl Observer for Backlog {
    fn committed(&self, changes: &[Change]) {
        let mut recovery = self.lock_recovery();
        let documents = changes.iter().filter_map(|change| match change {
            Change::Put(document) => Some(document),
            Change::Item { .. } | Change::Step { .. } | Change::Removed(_) => None,
        });
        if let Some(recovery) = &mut *recovery {
            documents.for_each(|document| recovery.note(document));
            return;
        }
        let pending: Vec<Delivery> = documents
            .filter_map(|document| match document {
                Document::Delivery(delivery) if delivery.status == DeliveryStatus::Pending => {
                    Some((**delivery).clone())
                }
                _ => None,
            })
            .collect();
        if pending.is_empty() {
            return;
        }
        self.change(|dispatcher| {
            for delivery in pending {
                let since = delivery.resent_at.unwrap_or(delivery.created_at);
                dispatcher.accept(Waiting { delivery, since });
            }
        });
    }
}
