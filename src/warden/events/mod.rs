//! Events: turns what commands wrote of items into deliveries to the receivers that ask for it.
//!
//! A command that starts, ends or closes something writes an event beside it, if a receiver of the workflow
//! asks for it. This loop replaces each event, in commit order, by its deliveries, in one command: a crash
//! in between neither loses nor repeats one. Nothing writes when a run becomes overdue, so the loop asks the
//! census, and has that noted at the run together with the event.
//!
//! Invariants:
//!
//! * The deliveries of one item to one receiver are sent in the order of its events.
//! * Who is told is decided by the policy in force when the deliveries are written.
//! * A delivered one is removed at once, since there can be as many as items. Dead ones are kept as long as
//!   incidents are, but at most [`DEAD_MAX`], so that they can be resent.
//! * While [`WAITING_MAX`] deliveries wait for a receiver, further ones are dropped, counted and logged: a
//!   receiver that is away must not fill the disk.
//!
//! Deliberately absent: silences, severities and escalation, which are for incidents.

mod known;
mod notification;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::known::KnownEvents;
use super::Workflows;
use super::census::Census;
use super::context::Context;
use crate::model::{
    Clock, Delivery, DeliveryId, DeliveryStatus, ItemEvent, Moment, Random, Timestamp, Topic,
};
use crate::store::{Command, DocumentId, Outcome, Store, StoreError};

/// The most deliveries that wait for a receiver.
pub const WAITING_MAX: usize = 100_000;
/// The most dead deliveries that are kept.
pub const DEAD_MAX: usize = 10_000;
/// The most events that become deliveries by one request to the store.
const BATCH: usize = 64;
/// The pause after the store had no room for deliveries.
const TRY_AGAIN: Duration = Duration::from_secs(1);

pub struct Events {
    store: Arc<dyn Store>,
    census: Arc<Census>,
    workflows: Arc<Workflows>,
    known: Arc<KnownEvents>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The prefix of links in notifications, without a slash at the end.
    external_url: String,
}

impl Events {
    pub(super) fn new(context: &Context, known: Arc<KnownEvents>, external_url: String) -> Self {
        let Context { store, workflows, census, clock, random } = context.clone();
        Self { store, census, workflows, known, clock, random, external_url }
    }

    /// The deliveries that were dropped since the start, by receiver.
    pub fn dropped(&self) -> Vec<(Arc<str>, u64)> {
        self.known.dropped()
    }

    /// Writes deliveries until `stop`.
    pub(super) async fn run(&self, stop: CancellationToken) {
        loop {
            let again_at = match self.turn().await {
                Ok(again_at) => again_at,
                Err(error @ StoreError::Fatal(_)) => {
                    tracing::error!(%error, "events of items could not be committed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "events of items could not be committed; retrying");
                    self.clock.now().after(TRY_AGAIN)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.known.arrived(), if again_at == Timestamp::MAX => {}
                () = self.census.became_overdue(), if again_at == Timestamp::MAX => {}
                () = self.clock.sleep_until(again_at) => {}
            }
        }
    }

    /// Writes the deliveries of some events. Returns when to come again; never if nothing is left.
    async fn turn(&self) -> Result<Timestamp, StoreError> {
        let now = self.clock.moment();
        let overdue = self.census.take_untold(BATCH);
        let noting = overdue.iter().map(|number| Command::NoteOverdue {
            number: *number,
            policies: self.workflows.clone(),
            now,
        });
        let events = self.known.first(BATCH);
        let telling = events.iter().map(|event| self.tell(event, now));
        let commands: Vec<Command> = noting.chain(telling).collect();
        if commands.is_empty() {
            return Ok(Timestamp::MAX);
        }
        let outcomes = match self.store.apply(commands).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.census.put_back_untold(overdue);
                return Err(error);
            }
        };
        let is_full = |outcome: &Outcome| *outcome == Outcome::StorageFull;
        let refused = overdue.into_iter().zip(&outcomes).filter(|(_, outcome)| is_full(outcome));
        let refused: Vec<_> = refused.map(|(number, _)| number).collect();
        self.census.put_back_untold(refused);
        Ok(if outcomes.iter().any(is_full) { now.now.after(TRY_AGAIN) } else { now.now })
    }

    /// Replaces an event by its deliveries.
    fn tell(&self, event: &ItemEvent, now: Moment) -> Command {
        let policy = self.workflows.policy(&event.key.workflow);
        let receivers = policy.events.of(event.event).filter(|receiver| self.known.has_room(receiver));
        let receivers: Vec<Arc<str>> = receivers.cloned().collect();
        let mut deliveries = Vec::with_capacity(receivers.len());
        if !receivers.is_empty() {
            let notification = notification::of(event, &self.external_url, now);
            let body = notification::write(&notification);
            deliveries.extend(receivers.into_iter().map(|receiver| Delivery {
                id: DeliveryId(self.random.id("dlv", now.now)),
                topic: Topic::Item(event.item),
                item: Some(event.key.clone()),
                receiver,
                event: event.event,
                after: None,
                sequence: event.number,
                body: body.clone(),
                created_at: now.now,
                resent_at: None,
                status: DeliveryStatus::Pending,
                attempts_made: 0,
                next_attempt_at: now.now,
                attempts: Vec::new(),
            }));
        }
        Command::TellEvent { number: event.number, deliveries }
    }

    /// Removes dead deliveries that are older than incidents are kept, or too many.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let history = self.workflows.incident_history();
        let now = self.clock.now();
        loop {
            let dead = self.known.removable(|created_at| created_at.after(history) <= now, DEAD_MAX, BATCH);
            if dead.is_empty() {
                return Ok(());
            }
            let remove = |(topic, id)| Command::Remove(DocumentId::Delivery(topic, id));
            self.store.apply(dead.into_iter().map(remove).collect()).await?;
        }
    }
}
