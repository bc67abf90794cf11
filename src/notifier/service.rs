//! The notifier's service: makes the attempts that are due, and takes note of what came of them.

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
use super::status::ReceiverStatus;
use crate::model::{
    Attempt, Clock, Delivery, DeliveryId, DeliveryStatus, Event, IncidentId, IncidentStatus, Random,
    Timestamp,
};
use crate::outbound::Outbound;
use crate::store::{Command, Observer, Store, StoreError};

/// A handle that takes deliveries from the feed, and answers what is asked about them.
#[derive(Clone)]
pub struct Notifier(Arc<Shared>);

struct Shared {
    backlog: Arc<Backlog>,
    post: Post,
    /// Held while a delivery is made to wait again, so that no two do so with the same one, and while an incident is forgotten
    /// of which none waits.
    resending: tokio::sync::Mutex<()>,
}

/// Why a delivery is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    /// There is none with this id.
    #[error("there is no such delivery")]
    NotFound,
    /// It is neither delivered nor dead.
    #[error("the delivery is still pending")]
    Pending,
    /// Its incident is over, and it does not say so: its receiver would take the incident for open again, for ever.
    #[error("the incident of the delivery is resolved")]
    Resolved {
        /// What told the same receiver of the end, if anything did.
        told_by: Option<DeliveryId>,
    },
    /// It tells of an end, and its incident is open again: its receiver would take the incident for over.
    #[error("the incident of the delivery is open again")]
    Reopened,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The configuration names no such receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration names no such receiver")]
pub struct UnknownReceiver;

impl Notifier {
    /// What takes deliveries from the feed of the store.
    pub fn observer(&self) -> Arc<dyn Observer> {
        self.0.backlog.clone()
    }

    /// Takes up what was told of the store so far. What is told from here on was committed since.
    pub fn recovered(&self, now: Timestamp) {
        self.0.backlog.recovered(now);
    }

    /// Has a delivery sent again that was delivered or given up: under the same id, and for another day.
    ///
    /// # Errors
    /// When there is none, it is pending, it does not say what its incident is now, over or open, or the store cannot note
    /// it.
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
        tracing::info!(delivery = &*delivery.id.0, receiver = &*delivery.receiver, "sent again by hand");
        Ok(delivery)
    }

    /// Has no delivery sent again for as long as this is held.
    pub async fn hold_resends(&self) -> impl Drop + '_ {
        self.0.resending.lock().await
    }

    /// Nobody is to be told again of an incident that is over, but of its end; nor of its end while it is open again.
    async fn check_is_news(&self, delivery: &Delivery) -> Result<(), ResendError> {
        let store = &self.0.post.store;
        let incident = store.incident(delivery.incident.clone()).await?.ok_or(ResendError::NotFound)?;
        match (incident.status, delivery.event) {
            (IncidentStatus::Open, Event::Resolved) => return Err(ResendError::Reopened),
            (IncidentStatus::Open, _) | (_, Event::Resolved) => return Ok(()),
            _ => {}
        }
        let deliveries = store.deliveries(delivery.incident.clone()).await?;
        let tells_the_end =
            |other: &&Delivery| other.receiver == delivery.receiver && other.event == Event::Resolved;
        let told_by = deliveries.iter().filter(tells_the_end).max_by_key(|other| other.place());
        Err(ResendError::Resolved { told_by: told_by.map(|delivery| delivery.id.clone()) })
    }

    /// Tells a receiver again what it was told already, for those that forget what they do not hear of. It is tried
    /// once and at once, and nothing of it is kept; it is left out while the receiver can be told nothing. Whether the
    /// receiver hears of the incident: by this, or by what waits for it or is under way.
    pub fn refresh(&self, delivery: Delivery, now: Timestamp) -> bool {
        self.change(|dispatcher| dispatcher.refresh(delivery, now)) != Refresh::Refused
    }

    /// Whether [`Notifier::refresh`] would be refused now.
    pub fn refuses_refresh(&self, receiver: &str, incident: &IncidentId, now: Timestamp) -> bool {
        self.0.backlog.lock().judge_refresh(receiver, incident, now) == Refresh::Refused
    }

    /// Tries out whether a receiver can be reached, besides everything that waits for it. `url` is what the
    /// notification links to. A success lets everything go to it again that was kept back.
    ///
    /// # Errors
    /// When the configuration names no such receiver. An attempt that fails is none.
    pub async fn test(&self, receiver: &str, url: String) -> Result<Attempt, UnknownReceiver> {
        let shared = &self.0;
        let name = shared.post.receivers.get_key_value(receiver).ok_or(UnknownReceiver)?.0.clone();
        let clock = &shared.post.clock;
        self.change(|dispatcher| dispatcher.count_test(&name, clock.now()));
        let attempt = shared.post.test(&name, url).await;
        self.change(|dispatcher| dispatcher.note_test(&name, attempt.clone(), clock.now()));
        Ok(attempt)
    }

    /// Lets everything that waits for a receiver go at once, whether it was paused, failing, or had asked to be left
    /// alone.
    ///
    /// # Errors
    /// When the configuration names no such receiver.
    pub fn resume(&self, receiver: &str) -> Result<(), UnknownReceiver> {
        let shared = &self.0;
        let (name, _) = shared.post.receivers.get_key_value(receiver).ok_or(UnknownReceiver)?;
        tracing::info!(receiver, "resumed by hand");
        self.change(|dispatcher| dispatcher.resume(name, shared.post.clock.now()));
        Ok(())
    }

    /// Whether what a receiver was last told of an incident does not reach it.
    pub fn is_failing(&self, incident: &IncidentId, receiver: &str) -> bool {
        self.0.backlog.lock().is_failing(incident, receiver)
    }

    /// Whether a receiver holds back something of an incident, because it cannot be reached or asked to be left alone, and
    /// until when the first of them does: nothing if that waits for a person.
    pub fn held_back(&self, incident: &IncidentId, now: Timestamp) -> Option<Option<Timestamp>> {
        self.0.backlog.lock().held_back(incident, now)
    }

    /// Completes when that has changed for some incident since [`Notifier::take_failing_changed`] was last called.
    pub async fn failing_changed(&self) {
        self.0.backlog.failing_changed.notified().await;
    }

    /// The incidents for which it has changed since this was last called.
    pub fn take_failing_changed(&self) -> BTreeSet<IncidentId> {
        self.0.backlog.lock().take_changed()
    }

    /// How all receivers are doing, by name: those of the configuration, and any other that was to be told something.
    pub fn statuses(&self) -> Vec<ReceiverStatus> {
        self.0.backlog.lock().statuses()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Dispatcher) -> T) -> T {
        self.0.backlog.change(change)
    }
}

/// The receiver and the incident that an attempt was for, and what came of it.
type Finished = (Arc<str>, IncidentId, Attempted);

/// The service: runs until it is told to stop.
pub struct NotifierService {
    shared: Arc<Shared>,
    attempts: JoinSet<Finished>,
}

impl NotifierService {
    /// A service with nothing to do yet, and the handle to give it work.
    pub fn new(
        store: Arc<dyn Store>,
        outbound: Arc<dyn Outbound>,
        receivers: Vec<Receiver>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> (Self, Notifier) {
        let backlog = Arc::new(Backlog::new(Dispatcher::new(receivers.iter())));
        let receivers = receivers.into_iter().map(|receiver| (receiver.name.clone(), receiver)).collect();
        let shared = Arc::new(Shared {
            backlog,
            post: Post { store, outbound, receivers, clock, random },
            resending: tokio::sync::Mutex::default(),
        });
        (Self { shared: shared.clone(), attempts: JoinSet::new() }, Notifier(shared))
    }

    /// Delivers until `stop`. Attempts that are under way then are broken off: they are in the outbox and go out again
    /// after the next start.
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

    /// Starts what is due, and says when the next is.
    fn start_due(&mut self) -> Timestamp {
        let mut dispatcher = self.shared.backlog.lock();
        let moment = self.shared.post.clock.moment();
        for delivery in dispatcher.take_refreshes() {
            let shared = self.shared.clone();
            self.attempts.spawn(async move {
                let attempted = shared.post.refresh(&delivery).await;
                (delivery.receiver, delivery.incident, attempted)
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
                (waiting.delivery.receiver, waiting.delivery.incident, attempted)
            });
        }
        dispatcher.ready_at()
    }

    fn finish(&self, (receiver, incident, attempted): Finished) {
        let name = &*receiver;
        let error = attempted.attempt.error.clone().unwrap_or_default();
        let now = self.shared.post.clock.now();
        match self.shared.backlog.change(|dispatcher| dispatcher.finish(&receiver, &incident, attempted, now))
        {
            Some(Turn::Opened) => {
                tracing::warn!(
                    receiver = name,
                    "it fails again and again and is only probed from now on: {error}"
                );
            }
            Some(Turn::Closed) => tracing::info!(receiver = name, "it takes notifications again"),
            Some(Turn::Paused) => tracing::error!(
                receiver = name,
                "it says that it is gone: nothing is sent to it until `POST /v1/receivers/{name}/resume`, a test that \
                 succeeds, or a restart: {error}"
            ),
            None => {}
        }
    }
}
