//! The notifier's state after a restart: the pending deliveries, and the receivers that open incidents did
//! not reach. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::queue::Waiting;
use crate::model::{Attempt, Delivery, DeliveryStatus, IncidentId, IncidentStatus, Timestamp};
use crate::store::Document;

/// Collects the documents that the store tells when it is opened: incidents before their deliveries.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    pending: Vec<Delivery>,
    open: HashSet<IncidentId>,
    /// The last delivery to each receiver of an open incident.
    last: HashMap<(IncidentId, Arc<str>), Delivery>,
}

impl Recovery {
    pub(super) fn note(&mut self, document: &Document) {
        match document {
            Document::Incident(incident) if incident.status == IncidentStatus::Open => {
                self.open.insert(incident.id.clone());
            }
            Document::Delivery(delivery) => self.note_delivery(delivery),
            _ => {}
        }
    }

    fn note_delivery(&mut self, delivery: &Delivery) {
        if delivery.status == DeliveryStatus::Pending {
            self.pending.push(delivery.clone());
        }
        let Some(incident) = delivery.incident().filter(|incident| self.open.contains(*incident)) else {
            return;
        };
        let last = self.last.entry((incident.clone(), delivery.receiver.clone()));
        let last = last.or_insert_with(|| delivery.clone());
        if last.place() < delivery.place() {
            *last = delivery.clone();
        }
    }

    /// The pending deliveries, and the last ones to a receiver of an open incident that are dead.
    ///
    /// Each pending one gets 24 h from now on, since nothing was tried while the daemon was down. One whose
    /// last attempt seems to be after `now` was tried before the clock was set back, so that its next attempt
    /// may be years away: it is due at once.
    pub(super) fn finish(self, now: Timestamp) -> (Vec<Waiting>, Vec<Delivery>) {
        let ended_at = |attempt: &Attempt| attempt.at.after(Duration::from_millis(attempt.latency_ms));
        let pending = self.pending.into_iter().map(|mut delivery| {
            let tried_at = delivery.attempts.last().map_or(delivery.created_at, ended_at);
            if tried_at > now {
                delivery.next_attempt_at = now;
            }
            Waiting { delivery, since: now }
        });
        let lost = self.last.into_values().filter(|last| last.status == DeliveryStatus::Dead);
        (pending.collect(), lost.collect())
    }
}
