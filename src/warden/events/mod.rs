//! Events: turns what commands wrote of items into deliveries to the receivers that ask for it.
//!
//! A command that starts, ends or closes something writes an event beside it, if a receiver of the workflow
//! asks for it. This loop replaces each event, in commit order, by its deliveries, in one command: a crash
//! in between neither loses nor repeats one. Nothing writes when a run becomes overdue, so the loop asks the
//! census, and has that noted at the run together with the event.
//!
//! Invariants:
//!
//! * The deliveries of one item to one receiver are sent in the order of its events, except for a dead one
//!   that a person resends. Each says when it happened.
//! * Who is told is decided by the policy in force when the deliveries are written.
//! * A delivered one is removed at once, since there can be as many as items. Dead ones are kept as long as
//!   incidents are, but at most [`DEAD_MAX`], so that they can be resent.
//! * While [`WAITING_MAX`] deliveries wait for a receiver, or [`WAITING_BYTES_MAX`], further ones are
//!   dropped, counted and logged: a receiver that is away must not fill disk and memory. Nor must a disk
//!   without room for deliveries: then at most [`EVENTS_MAX`](crate::store::EVENTS_MAX) events wait for
//!   theirs.
//!
//! Deliberately absent: silences, severities and escalation, which are for incidents.

mod known;
mod notification;

use std::collections::HashMap;
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
use crate::notifier::Notifier;
use crate::store::{Command, DocumentId, Outcome, Store, StoreError};

/// The most deliveries that wait for a receiver.
pub const WAITING_MAX: usize = 100_000;
/// The most dead deliveries that are kept, of all receivers together.
pub const DEAD_MAX: usize = 10_000;
/// The most of them in bytes.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// The most events that become deliveries by one request to the store, and from how many bytes on it takes no
/// more.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;
/// The pause after the store had no room for deliveries.
const TRY_AGAIN: Duration = Duration::from_secs(1);

pub struct Events {
    store: Arc<dyn Store>,
    census: Arc<Census>,
    workflows: Arc<Workflows>,
    known: Arc<KnownEvents>,
    notifier: Notifier,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The prefix of links in notifications, without a slash at the end.
    external_url: String,
}

impl Events {
    pub(super) fn new(
        context: &Context,
        known: Arc<KnownEvents>,
        notifier: Notifier,
        external_url: String,
    ) -> Self {
        let Context { store, workflows, census, clock, random } = context.clone();
        Self { store, census, workflows, known, notifier, clock, random, external_url }
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
        let overdue = self.census.take_untold(BATCH);
        // After that: by an earlier moment, what has just become overdue would not be.
        let now = self.clock.moment();
        let mut granted = Granted::default();
        let mut told = Vec::new();
        for event in self.known.first(BATCH) {
            if granted.bytes >= BATCH_BYTES {
                break;
            }
            told.push(self.tell(&event, now, &mut granted));
        }
        let noting = overdue.iter().map(|number| Command::NoteOverdue {
            number: *number,
            policies: self.workflows.clone(),
            now,
        });
        let commands: Vec<Command> = noting.chain(told).collect();
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
        self.census.put_back_untold(refused.map(|(number, _)| number).collect());
        if outcomes.iter().any(is_full) {
            return Ok(now.now.after(TRY_AGAIN));
        }
        self.known.note_dropped(granted.dropped);
        Ok(now.now)
    }

    /// Replaces an event by its deliveries.
    fn tell(&self, event: &ItemEvent, now: Moment, granted: &mut Granted) -> Command {
        let policy = self.workflows.policy(&event.key.workflow);
        let mut deliveries = Vec::new();
        let mut body: Option<Arc<str>> = None;
        for receiver in policy.events.of(event.event) {
            let so_far = granted.deliveries.entry(receiver.clone()).or_default();
            if !self.known.has_room(receiver, *so_far) {
                granted.dropped.push(receiver.clone());
                continue;
            }
            let body = body.get_or_insert_with(|| {
                notification::write(&notification::of(event, &self.external_url, now))
            });
            *so_far += 1;
            granted.bytes += body.len();
            deliveries.push(Delivery {
                id: DeliveryId(self.random.id("dlv", now.now)),
                topic: Topic::Item(event.item),
                item: Some(event.key.clone()),
                receiver: receiver.clone(),
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
            });
        }
        Command::TellEvent { number: event.number, deliveries }
    }

    /// Removes dead deliveries that are older than incidents are kept, or too many.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        let history = self.workflows.incident_history();
        let now = self.clock.now();
        loop {
            // Otherwise one could be resent, and be pending again, before it is removed.
            let _resends = self.notifier.hold_resends().await;
            let dead = self.known.removable(|created_at| created_at.after(history) <= now, DEAD_MAX, BATCH);
            if dead.is_empty() {
                return Ok(());
            }
            let remove = |(topic, id)| Command::Remove(DocumentId::Delivery(topic, id));
            self.store.apply(dead.into_iter().map(remove).collect()).await?;
        }
    }
}

/// What one request to the store is to write.
#[derive(Default)]
struct Granted {
    /// By receiver.
    deliveries: HashMap<Arc<str>, usize>,
    /// Of their bodies.
    bytes: usize,
    /// The receivers of those that are dropped, once for each.
    dropped: Vec<Arc<str>>,
}
