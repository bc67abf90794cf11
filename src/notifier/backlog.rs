//! The deliveries that wait, fed by the store. It holds no store, so that a store may hold it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::dispatcher::Dispatcher;
use super::queue::Waiting;
use super::recovery::Recovery;
use crate::model::{Delivery, DeliveryStatus, Timestamp};
use crate::store::{Change, Document, Observer};

/// What waits, and who is to be woken when that changes.
pub(super) struct Backlog {
    dispatcher: Mutex<Dispatcher>,
    /// What was told of the store so far; nothing once that is all.
    recovery: Mutex<Option<Recovery>>,
    /// Something may have become due.
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

    /// Takes up what was told of the store so far. What is told from here on was committed since.
    pub(super) fn recovered(&self, now: Timestamp) {
        let Some(recovery) = self.lock_recovery().take() else { return };
        let (pending, lost) = recovery.finish(now);
        self.change(|dispatcher| {
            pending.into_iter().for_each(|waiting| dispatcher.accept(waiting));
            lost.iter().for_each(|delivery| dispatcher.note_lost(&delivery.receiver, &delivery.incident));
        });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Dispatcher> {
        self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what waits, and wakes whoever must look at it.
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

/// Deliveries that are told as pending wait for their turn. One that is here already is left alone, unless somebody has
/// it sent again: the attempts themselves are told as well.
impl Observer for Backlog {
    fn committed(&self, changes: &[Change]) {
        let mut recovery = self.lock_recovery();
        let documents = changes.iter().filter_map(|change| match change {
            Change::Put(document) => Some(document),
            Change::Item { .. } | Change::Removed(_) => None,
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
