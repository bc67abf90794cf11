//! The loop of one replay.
//!
//! Only this loop changes the replay, so an operator's action never races with a response of the target.
//! Results accumulate while a commit is in flight and go into the next one together: first the commands that
//! end leases, then the document with the changed chunks. An item whose end is committed is never sent again.
//! An item in flight when the process ended is sent again, with the same `webhook-id`.

mod rounds;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::rounds::{Committed, Round};
use super::Replays;
use super::courier::{Courier, Sent, StuckReason};
use super::line::{Line, Place};
use super::live::{ActionRequest, LiveReplay, ReplayAction};
use super::pacer::Pacer;
use crate::model::replay::{ItemEnd, ReplayFailure};
use crate::model::{Item, ItemKey, ItemNumber, Replay, ReplayChunk, ReplayStatus, Timestamp};
use crate::store::{Command, StoreError};
use crate::warden::WardenError;

/// No further chunk is loaded while this many have changed: items in flight can change as many more as there
/// are of them, and all changes go into one commit.
const CHANGES_MAX: usize = 16;
/// After so many 429 or 503 responses for an item it counts as failed: the target may be rejecting this item
/// in particular.
const REFUSED_MAX: u32 = 20;
/// The horizon within which leased items are skipped, in seconds at the full rate.
const SOON: f64 = 10.0;
/// The pause after a commit was rejected.
const STUCK_WAIT: Duration = Duration::from_secs(1);
/// The pause when the disk is full.
const FULL_WAIT: Duration = Duration::from_secs(10);

type Answer = oneshot::Sender<Result<(), WardenError>>;

/// The state of the loop.
pub struct Runner {
    replays: Arc<Replays>,
    live: Arc<LiveReplay>,
    courier: Arc<Courier>,
    line: Line,
    pacer: Pacer,
    /// The commands that end leases, since the last commit was assembled.
    lease_ends: Vec<Command>,
    /// Whether the document has changed since then.
    changed: bool,
    /// Callers that wait for the next commit.
    waiting: Vec<Answer>,
    /// The commit in flight or to be retried.
    round: Option<Round>,
    /// When a rejected commit is retried.
    again_at: Timestamp,
}

enum Ended {
    Replay,
    /// The store has failed or is closing.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Runner {
    /// Continues a replay as it is stored.
    pub fn new(replays: Arc<Replays>, live: Arc<LiveReplay>, courier: Courier) -> Self {
        let now = replays.clock.now();
        let (line, pacer) = {
            let replay = &live.lock().replay;
            (Line::new(replay.chunks_done, ReplayChunk::count(replay.total)), pacer(replay, now))
        };
        Self {
            replays,
            live,
            courier: Arc::new(courier),
            line,
            pacer,
            lease_ends: Vec::new(),
            changed: false,
            waiting: Vec::new(),
            round: None,
            again_at: now,
        }
    }

    /// Runs the replay until it has ended or `stop`. At `stop` posts in flight are aborted, and results that
    /// have arrived are committed.
    pub async fn run(mut self, mut asked: mpsc::Receiver<ActionRequest>, stop: CancellationToken) {
        match self.run_until(&mut asked, &stop).await {
            Ok(()) => {
                if let Some(round) = self.round.take() {
                    let _ = self.replays.store.apply(round.commands).await;
                }
                if let Some(round) = self.next_round() {
                    let _ = self.replays.store.apply(round.commands).await;
                }
            }
            Err(Ended::Replay) => {}
            Err(Ended::Store(StoreError::Closing)) => {}
            Err(Ended::Store(error)) => {
                tracing::error!(replay = &*self.live.id().0, %error, "the store failed; the replay stops");
            }
        }
    }

    async fn run_until(
        &mut self,
        asked: &mut mpsc::Receiver<ActionRequest>,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        let (replays, courier, live) = (self.replays.clone(), self.courier.clone(), self.live.clone());
        let send = |place: Place| {
            let (replays, courier, live) = (&replays, &courier, live.clone());
            let may_still = move || live.status() == ReplayStatus::Running;
            async move { (place, courier.send(replays, place.number, may_still).await) }
        };
        let mut in_flight = FuturesUnordered::new();
        let mut committing: Option<BoxFuture<'static, Committed>> = None;
        loop {
            self.load_chunks().await?;
            let next = loop {
                let next = self.next_at(in_flight.len());
                if next > replays.clock.now() {
                    break next;
                }
                let Some(place) = self.begin_one() else { break Timestamp::MAX };
                in_flight.push(send(place));
                self.live.lock().in_flight = in_flight.len();
                self.load_chunks().await?;
            };
            if committing.is_none() {
                committing = self.commit();
            }
            let is_idle = committing.is_none() && self.round.is_none() && in_flight.is_empty();
            if is_idle && self.live.status().is_ended() {
                return Err(Ended::Replay);
            }
            // The retry timer applies only if no commit is in flight, or it would fire at once.
            let waits_to_commit = self.round.is_some() && committing.is_none();
            let again_at = if waits_to_commit { self.again_at } else { Timestamp::MAX };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // First, because the responses of a fast target may leave no time otherwise.
                Some(request) = asked.recv() => self.execute(request),
                Some(committed) = OptionFuture::from(committing.as_mut()) => {
                    committing = None;
                    self.committed(committed)?;
                }
                Some((place, sent)) = in_flight.next() => {
                    self.live.lock().in_flight = in_flight.len();
                    self.settle(place, sent)?;
                }
                () = replays.clock.sleep_until(next.min(again_at)) => {}
            }
        }
    }

    /// Loads chunks of the selection until an item is ready to be sent. Items that need not be sent are
    /// skipped.
    async fn load_chunks(&mut self) -> Result<(), StoreError> {
        while self.line.changes() < CHANGES_MAX
            && self.live.status() == ReplayStatus::Running
            && let Some(index) = self.line.wants()
        {
            let chunk = self.replays.store.replay_chunk(self.live.id().clone(), index).await?;
            let Some(chunk) = chunk else {
                let reason =
                    "a chunk of the selection is missing in the store; the data directory may be damaged";
                tracing::error!(replay = &*self.live.id().0, index, "{reason}");
                self.live.lock().replay.pause(Some(reason.into()));
                self.changed = true;
                return Ok(());
            };
            self.line.load(chunk);
            self.drop_unneeded().await?;
        }
        Ok(())
    }

    /// Skips items without sending them one by one: those that were closed and, if their turn comes soon,
    /// those that are leased.
    async fn drop_unneeded(&mut self) -> Result<(), StoreError> {
        let numbers: Vec<ItemNumber> = self.line.waiting().map(|place| place.number).collect();
        let per_second = self.live.lock().replay.pace.max_per_second;
        let soon = numbers.len() as f64 <= per_second * SOON;
        let items = self.replays.store.items(numbers).await?;
        let (now, own) = (self.replays.clock.now(), &self.live.id().0);
        let is_needed = |item: &&Item| {
            let ours = item.work.lease.as_ref().is_some_and(|lease| lease.worker == *own);
            let is_busy = soon && item.work.running(now).is_some();
            // Items that this replay may have closed itself are checked one by one.
            ours || (item.closed.is_none() && !is_busy)
        };
        let needed: HashSet<_> = items.iter().filter(is_needed).map(|item| item.number).collect();
        for place in self.line.drop_waiting(|place| !needed.contains(&place.number)) {
            self.end(place, ItemEnd::Skipped);
        }
        Ok(())
    }

    /// When the next item may be sent; [`Timestamp::MAX`] if none may be.
    fn next_at(&self, in_flight: usize) -> Timestamp {
        if self.line.waiting().next().is_none() {
            return Timestamp::MAX;
        }
        let state = self.live.lock();
        let room = state.replay.room(in_flight).min(state.backoff.room().saturating_sub(in_flight));
        if room == 0 { Timestamp::MAX } else { self.pacer.free_at().max(state.backoff.until()) }
    }

    fn begin_one(&mut self) -> Option<Place> {
        let now = self.replays.clock.now();
        let place = self.line.take()?;
        self.pacer.sent(now);
        let mut state = self.live.lock();
        if state.replay.started_at.is_none() {
            state.replay.begin(now);
            drop(state);
            self.changed = true;
        }
        Some(place)
    }

    /// Records the result for an item.
    fn settle(&mut self, place: Place, sent: Sent) -> Result<(), StoreError> {
        let now = self.replays.clock.now();
        let counts = &self.replays.counts;
        match sent {
            Sent::Ended(end, lease_end) => {
                counts.sent();
                self.live.lock().backoff.free(now);
                self.lease_ends.extend(lease_end);
                self.end(place, end);
            }
            Sent::Unposted(end) => {
                self.pacer.take_back();
                self.end(place, end);
            }
            Sent::Busy { key, what, wait, release } => {
                counts.sent();
                self.lease_ends.push(release);
                if place.refused >= REFUSED_MAX {
                    let reason = format!("{what}, {REFUSED_MAX} times and once more").into();
                    let ItemKey { workflow, id } = key;
                    let failure = ReplayFailure { workflow, id, reason, status: None, at: now };
                    self.end(place, ItemEnd::Failed { failure, counts_as: what.clone() });
                } else {
                    self.line.requeue(place);
                }
                let until = {
                    let backoff = &mut self.live.lock().backoff;
                    backoff.busy(wait, now);
                    backoff.until()
                };
                let until = self.replays.clock.moment().wall(until);
                let replay = self.live.id();
                tracing::info!(replay = &*replay.0, %until, %what, "the target is overloaded; backing off");
            }
            Sent::Late(release) => self.put_back(place, Some(release)),
            Sent::Stuck(StuckReason::Full) => {
                self.put_back(place, None);
                self.live.lock().backoff.pause(FULL_WAIT, now);
            }
            Sent::Stuck(StuckReason::Store(StoreError::Overloaded)) => {
                self.put_back(place, None);
                self.live.lock().backoff.pause(STUCK_WAIT, now);
            }
            Sent::Stuck(StuckReason::Store(error)) => return Err(error),
        }
        Ok(())
    }

    fn put_back(&mut self, place: Place, release: Option<Command>) {
        self.lease_ends.extend(release);
        self.line.put_back(place);
    }

    fn end(&mut self, place: Place, end: ItemEnd) {
        let now = self.replays.clock.now();
        self.replays.counts.ended(&end);
        self.line.end(place, (&end).into());
        self.changed = true;
        let mut state = self.live.lock();
        let before = state.replay.status;
        state.recent.add(now);
        state.replay.record(end, now);
        log_change(&state.replay, before);
    }

    fn execute(&mut self, request: ActionRequest) {
        let ActionRequest { action, answer } = request;
        let now = self.replays.clock.now();
        let mut state = self.live.lock();
        let before = state.replay.status;
        if before.is_ended() {
            // The caller may have disconnected.
            let _ = answer.send(Err(WardenError::ReplayEnded(before)));
            return;
        }
        match action {
            ReplayAction::Pause => state.replay.pause(None),
            ReplayAction::Resume => {
                state.replay.resume();
                state.backoff.clear();
                if before == ReplayStatus::Paused {
                    self.pacer = pacer(&state.replay, now);
                }
            }
            ReplayAction::Cancel => state.replay.cancel(now),
        }
        log_change(&state.replay, before);
        drop(state);
        self.changed = true;
        self.waiting.push(answer);
    }
}

fn pacer(replay: &Replay, now: Timestamp) -> Pacer {
    Pacer::new(replay.pace.max_per_second, replay.pace.ramp_up, now)
}

fn log_change(replay: &Replay, before: ReplayStatus) {
    if replay.status == before {
        return;
    }
    let (id, name) = (&*replay.id.0, &*replay.name);
    let Replay { total, succeeded, failed, skipped, .. } = replay;
    match (&replay.reason, replay.status) {
        (Some(reason), ReplayStatus::Paused) => {
            tracing::warn!(replay = id, name, total, succeeded, failed, skipped, "replay paused: {reason}");
        }
        (_, status) => {
            let status = status.as_str();
            tracing::info!(
                replay = id,
                name,
                status,
                total,
                succeeded,
                failed,
                skipped,
                "replay status changed"
            );
        }
    }
}
