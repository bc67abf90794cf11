//! The notifier's service loop: makes the attempts that are due, and applies their results.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Receiver;
use super::backlog::Backlog;
use super::dispatcher::Dispatcher;
use super::post::Post;
use super::queue::{Attempted, Refresh, Task, Turn};
use super::receivers::Receivers;
use super::status::ReceiverStatus;
use crate::model::{
    Attempt, Clock, Delivery, DeliveryId, DeliveryStatus, Event, IncidentId, IncidentStatus, Random,
    Timestamp, Topic,
};
use crate::outbound::Outbound;
use crate::store::{Command, Observer, Store, StoreError};

/// The handle of the service.
#[derive(Clone)]
pub struct Notifier(Arc<Shared>);

struct Shared {
    backlog: Arc<Backlog>,
    post: Post,
    /// Serializes resends with each other, and with the removal of an incident that has no pending delivery.
    resending: tokio::sync::Mutex<()>,
}

/// Why a delivery cannot be resent.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    #[error("there is no such delivery")]
    NotFound,
    /// It is neither delivered nor dead.
    #[error("the delivery is still pending")]
    Pending,
    /// The incident is resolved and the delivery is no resolution: its receiver would consider the incident
    /// open for good.
    #[error("the incident of the delivery is resolved")]
    Resolved {
        /// The delivery that told the same receiver of the resolution, if there is one.
        told_by: Option<DeliveryId>,
    },
    /// The delivery is a resolution and the incident is open again: its receiver would consider it resolved.
    #[error("the incident of the delivery is open again")]
    Reopened,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration names no such receiver")]
pub struct UnknownReceiver;

impl Notifier {
    /// The observer that takes deliveries from the store's feed.
    pub fn observer(&self) -> Arc<dyn Observer> {
        self.0.backlog.clone()
    }

    /// A configured receiver.
    pub fn receiver(&self, name: &str) -> Option<Arc<Receiver>> {
        self.0.post.receivers.get(name)
    }

    /// Puts these receivers in force. What waits for one that has another URL, transport or headers is due.
    /// For one that is not configured any more it stays in the outbox, as after a restart: the name may be a
    /// mistake that is corrected before its attempts end.
    pub fn adopt(&self, receivers: &[Receiver], now: Timestamp) {
        let changed = self.0.post.receivers.replace(receivers);
        self.change(|dispatcher| dispatcher.adopt(receivers, &changed, now));
    }

    /// Ends the initial feed and queues what it brought. Everything told after this is a new commit.
    pub fn recovered(&self, now: Timestamp) {
        self.0.backlog.recovered(now);
    }

    /// Sends a delivered or dead delivery again, under the same id and for another 24 h.
    ///
    /// # Errors
    /// It does not exist, is pending, contradicts the state of its incident, or cannot be stored.
    pub async fn resend(&self, id: DeliveryId, now: Timestamp) -> Result<Delivery, ResendError> {
        let shared = &self.0;
        let _one_at_a_time = shared.resending.lock().await;
        let mut delivery = shared.post.store.delivery(id).await?.ok_or(ResendError::NotFound)?;
        if delivery.status == DeliveryStatus::Pending {
            return Err(ResendError::Pending);
        }
        self.check_is_news(&delivery).await?;
        delivery.resend(now);
        shared.post.store.apply(vec![Command::put(delivery.clone())]).await?;
        tracing::info!(delivery = &*delivery.id.0, receiver = &*delivery.receiver, "delivery resent by hand");
        Ok(delivery)
    }

    /// Blocks resends while the guard is held.
    pub async fn hold_resends(&self) -> impl Drop + '_ {
        self.0.resending.lock().await
    }

    /// Of a resolved incident only the resolution may be resent, and of an open one anything but a
    /// resolution.
    async fn check_is_news(&self, delivery: &Delivery) -> Result<(), ResendError> {
        let store = &self.0.post.store;
        // Events of items say when they happened, whenever they arrive.
        let Some(id) = delivery.incident() else { return Ok(()) };
        let incident = store.incident(id.clone()).await?.ok_or(ResendError::NotFound)?;
        match (incident.status, delivery.event) {
            (IncidentStatus::Open, Event::Resolved) => return Err(ResendError::Reopened),
            (IncidentStatus::Open, _) | (_, Event::Resolved) => return Ok(()),
            _ => {}
        }
        let deliveries = store.deliveries(id.clone()).await?;
        let tells_the_end =
            |other: &&Delivery| other.receiver == delivery.receiver && other.event == Event::Resolved;
        let told_by = deliveries.iter().filter(tells_the_end).max_by_key(|other| other.place());
        Err(ResendError::Resolved { told_by: told_by.map(|delivery| delivery.id.clone()) })
    }

    /// Repeats to a receiver what it was told already, for receivers that expire alerts. It is tried once, at
    /// once, stored nowhere, and skipped while nothing may be sent to the receiver. Returns whether the
    /// receiver is told of the incident: by this, or by a delivery that waits or is in flight.
    pub fn refresh(&self, delivery: Delivery, now: Timestamp) -> bool {
        self.change(|dispatcher| dispatcher.refresh(delivery, now)) != Refresh::Refused
    }

    /// Whether [`Notifier::refresh`] would be skipped now.
    pub fn refuses_refresh(&self, receiver: &str, incident: &IncidentId, now: Timestamp) -> bool {
        let topic = incident.clone().into();
        self.0.backlog.lock().judge_refresh(receiver, &topic, now) == Refresh::Refused
    }

    /// Sends a test notification that links to `url`, past the queue. A success resumes the receiver. A
    /// failed attempt is no error.
    pub async fn test(&self, receiver: &str, url: String) -> Result<Attempt, UnknownReceiver> {
        let shared = &self.0;
        let name = shared.post.receivers.get(receiver).ok_or(UnknownReceiver)?.name.clone();
        let clock = &shared.post.clock;
        self.change(|dispatcher| dispatcher.count_test(&name, clock.now()));
        let attempt = shared.post.test(&name, url).await;
        self.change(|dispatcher| dispatcher.note_test(&name, attempt.clone(), clock.now()));
        Ok(attempt)
    }

    /// Makes everything that waits for a receiver due, whether it was paused, failing, or had asked to wait.
    pub fn resume(&self, receiver: &str) -> Result<(), UnknownReceiver> {
        let shared = &self.0;
        let known = shared.post.receivers.get(receiver).ok_or(UnknownReceiver)?;
        tracing::info!(receiver, "resumed by hand");
        self.change(|dispatcher| dispatcher.resume(&known.name, shared.post.clock.now()));
        Ok(())
    }

    /// Whether the last delivery of an incident does not reach a receiver.
    pub fn is_failing(&self, incident: &IncidentId, receiver: &str) -> bool {
        self.0.backlog.lock().is_failing(&incident.clone().into(), receiver)
    }

    /// Until when a receiver holds back a delivery of an incident, because it fails or asked to wait; the
    /// earliest of several. `Some(None)` if it is paused, which only an operator ends.
    pub fn held_back(&self, incident: &IncidentId, now: Timestamp) -> Option<Option<Timestamp>> {
        self.0.backlog.lock().held_back(&incident.clone().into(), now)
    }

    /// Completes when [`Notifier::is_failing`] has changed for an incident since
    /// [`Notifier::take_failing_changed`].
    pub async fn failing_changed(&self) {
        self.0.backlog.failing_changed.notified().await;
    }

    /// The incidents for which [`Notifier::is_failing`] has changed since the last call.
    pub fn take_failing_changed(&self) -> BTreeSet<IncidentId> {
        let changed = self.0.backlog.lock().take_changed();
        let incident = |topic| match topic {
            Topic::Incident(incident) => Some(incident),
            Topic::Item(_) => None,
        };
        changed.into_iter().filter_map(incident).collect()
    }

    /// The status of all receivers by name, including unconfigured ones that were to be told something.
    pub fn statuses(&self) -> Vec<ReceiverStatus> {
        self.0.backlog.lock().statuses()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Dispatcher) -> T) -> T {
        self.0.backlog.change(change)
    }
}

/// The receiver, the topic, and the result of an attempt.
type Finished = (Arc<str>, Topic, Attempted);

pub struct NotifierService {
    shared: Arc<Shared>,
    attempts: JoinSet<Finished>,
}

impl NotifierService {
    /// A service with empty queues, and its handle.
    pub fn new(
        store: Arc<dyn Store>,
        outbound: Arc<dyn Outbound>,
        receivers: Vec<Receiver>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> (Self, Notifier) {
        let backlog = Arc::new(Backlog::new(Dispatcher::new(receivers.iter())));
        let receivers = Receivers::new(&receivers);
        let shared = Arc::new(Shared {
            backlog,
            post: Post { store, outbound, receivers, clock, random },
            resending: tokio::sync::Mutex::default(),
        });
        (Self { shared: shared.clone(), attempts: JoinSet::new() }, Notifier(shared))
    }

    /// Delivers until `stop`. Attempts in flight are aborted then: they are in the outbox and repeated after
    /// the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let next = self.start_due();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(finished) = self.attempts.join_next() => {
                    if let Ok(finished) = finished {
                        self.finish(finished);
                    }
                }
                () = self.shared.backlog.arrived.notified() => {}
                () = self.shared.post.clock.sleep_until(next) => {}
            }
        }
    }

    /// Starts everything that is due, and returns when the next task is.
    fn start_due(&mut self) -> Timestamp {
        let mut dispatcher = self.shared.backlog.lock();
        let moment = self.shared.post.clock.moment();
        for delivery in dispatcher.take_refreshes() {
            let shared = self.shared.clone();
            self.attempts.spawn(async move {
                let attempted = shared.post.refresh(&delivery).await;
                (delivery.receiver, delivery.topic, attempted)
            });
        }
        while let Some(task) = dispatcher.begin(moment) {
            let shared = self.shared.clone();
            self.attempts.spawn(async move {
                let (waiting, attempted) = match task {
                    Task::Send(waiting) => {
                        let attempted = shared.post.attempt(&waiting).await;
                        (waiting, attempted)
                    }
                    Task::GiveUp(waiting, reason) => {
                        let attempted = shared.post.give_up(&waiting.delivery, &reason).await;
                        (waiting, attempted)
                    }
                };
                (waiting.delivery.receiver, waiting.delivery.topic, attempted)
            });
        }
        dispatcher.ready_at()
    }

    fn finish(&self, (receiver, topic, attempted): Finished) {
        let name = &*receiver;
        let error = attempted.attempt.error.clone().unwrap_or_default();
        let now = self.shared.post.clock.now();
        match self.shared.backlog.change(|dispatcher| dispatcher.finish(&receiver, &topic, attempted, now)) {
            Some(Turn::Opened) => {
                tracing::warn!(
                    receiver = name,
                    "the receiver keeps failing: its circuit is open and it is only probed from now on: \
                     {error}"
                );
            }
            Some(Turn::Closed) => tracing::info!(
                receiver = name,
                "the receiver works again: its circuit is \
                                                                   closed"
            ),
            Some(Turn::Paused) => tracing::error!(
                receiver = name,
                "the receiver says that it is gone (410) and is paused until `POST \
                 /v1/receivers/{name}/resume`, a successful test, or a restart: {error}"
            ),
            None => {}
        }
    }
}
