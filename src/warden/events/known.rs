//! The events that have no deliveries yet, and their deliveries, fed by the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{WAITING_BYTES_MAX, WAITING_MAX};
use crate::model::{Delivery, DeliveryId, DeliveryStatus, ItemEvent, Timestamp, Topic};
use crate::store::{Change, Document, DocumentId, EVENTS_MAX, Observer};

#[derive(Default)]
pub struct KnownEvents {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    /// By number.
    events: BTreeMap<u64, ItemEvent>,
    /// By receiver.
    waiting: HashMap<Arc<str>, Waiting>,
    deliveries: HashMap<DeliveryId, Kept>,
    /// Dead deliveries, the oldest first.
    dead: BTreeMap<(Timestamp, DeliveryId), Topic>,
}

/// A delivery that is stored.
enum Kept {
    /// For this receiver, with so many bytes.
    Waiting(Arc<str>, usize),
    /// When it was decided.
    Dead(Timestamp),
}

#[derive(Default)]
struct Waiting {
    deliveries: usize,
    /// Of their bodies.
    bytes: usize,
    /// Those that were dropped since the start.
    dropped: u64,
    /// Whether one was dropped since there was much room.
    is_dropping: bool,
}

impl KnownEvents {
    /// The oldest events.
    pub(super) fn first(&self, limit: usize) -> Vec<ItemEvent> {
        self.lock().events.values().take(limit).cloned().collect()
    }

    /// Completes when an event was written since the last call.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Whether one more delivery may wait for a receiver, beside those that are about to.
    pub(super) fn has_room(&self, receiver: &Arc<str>, about_to: usize) -> bool {
        let state = self.lock();
        let waiting = state.waiting.get(receiver);
        waiting.is_none_or(|waiting| {
            waiting.deliveries + about_to < WAITING_MAX && waiting.bytes < WAITING_BYTES_MAX
        })
    }

    /// Counts deliveries that were dropped, by their receivers. The first one is logged, and again the first
    /// after there was much room.
    pub(super) fn note_dropped(&self, receivers: Vec<Arc<str>>) {
        let mut state = self.lock();
        for receiver in receivers {
            let waiting = state.waiting.entry(receiver.clone()).or_default();
            waiting.dropped += 1;
            if !std::mem::replace(&mut waiting.is_dropping, true) {
                let deliveries = waiting.deliveries;
                tracing::error!(
                    receiver = &*receiver,
                    deliveries,
                    "too many deliveries wait for the receiver: further events are dropped until some of \
                     them are delivered or dead"
                );
            }
        }
    }

    /// The deliveries that were dropped since the start, by receiver.
    pub(super) fn dropped(&self) -> Vec<(Arc<str>, u64)> {
        let state = self.lock();
        let mut dropped: Vec<_> =
            state.waiting.iter().map(|(name, waiting)| (name.clone(), waiting.dropped)).collect();
        dropped.sort();
        dropped
    }

    /// Dead deliveries to remove, the oldest first: those that are outdated by when they were decided, and
    /// those beyond the `most` that are kept.
    pub(super) fn removable(
        &self,
        is_outdated: impl Fn(Timestamp) -> bool,
        most: usize,
        limit: usize,
    ) -> Vec<(Topic, DeliveryId)> {
        let state = self.lock();
        let surplus = state.dead.len().saturating_sub(most);
        let dead = state.dead.iter().enumerate();
        let removable =
            dead.take_while(|(index, ((at, _), _))| *index < surplus || is_outdated(*at)).take(limit);
        removable.map(|(_, ((_, id), topic))| (topic.clone(), id.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, delivery: &Delivery) {
        let Delivery { id, receiver, topic, created_at, body, .. } = delivery;
        match delivery.status {
            DeliveryStatus::Pending if matches!(self.deliveries.get(id), Some(Kept::Waiting(..))) => {}
            DeliveryStatus::Pending => {
                self.remove(id);
                self.deliveries.insert(id.clone(), Kept::Waiting(receiver.clone(), body.len()));
                let waiting = self.waiting.entry(receiver.clone()).or_default();
                waiting.deliveries += 1;
                waiting.bytes += body.len();
            }
            DeliveryStatus::Dead => {
                self.remove(id);
                self.deliveries.insert(id.clone(), Kept::Dead(*created_at));
                self.dead.insert((*created_at, id.clone()), topic.clone());
            }
            DeliveryStatus::Delivered => self.remove(id),
        }
    }

    fn remove(&mut self, id: &DeliveryId) {
        match self.deliveries.remove(id) {
            Some(Kept::Waiting(receiver, bytes)) => {
                if let Some(waiting) = self.waiting.get_mut(&receiver) {
                    waiting.deliveries -= 1;
                    waiting.bytes -= bytes;
                    let has_room =
                        waiting.deliveries < WAITING_MAX / 2 && waiting.bytes < WAITING_BYTES_MAX / 2;
                    waiting.is_dropping &= !has_room;
                }
            }
            Some(Kept::Dead(created_at)) => drop(self.dead.remove(&(created_at, id.clone()))),
            None => {}
        }
    }
}

impl Observer for KnownEvents {
    fn committed(&self, changes: &[Change]) {
        let concerns = |change: &&Change| {
            matches!(
                change,
                Change::Put(Document::Event(_) | Document::Delivery(_))
                    | Change::Removed(DocumentId::Event(_) | DocumentId::Delivery(Topic::Item(_), _))
            )
        };
        let mut changes = changes.iter().filter(concerns).peekable();
        if changes.peek().is_none() {
            return;
        }
        let mut state = self.lock();
        for change in changes {
            match change {
                Change::Put(Document::Event(event)) => {
                    state.events.insert(event.number, (**event).clone());
                    if state.events.len() == EVENTS_MAX {
                        tracing::error!(
                            events = EVENTS_MAX,
                            "too many events wait to become deliveries: further ones are dropped until there \
                             is room on the disk"
                        );
                    }
                    self.arrived.notify_one();
                }
                Change::Put(Document::Delivery(delivery)) if delivery.incident().is_none() => {
                    state.put(delivery);
                }
                Change::Removed(DocumentId::Event(number)) => {
                    state.events.remove(number);
                }
                Change::Removed(DocumentId::Delivery(_, id)) => state.remove(id),
                _ => {}
            }
        }
    }
}
