//! The loop of one replay, from its start to its end.
//!
//! It alone changes the replay, so that what people do never crosses what the answers of the target do. Results gather
//! while a commit is under way, and go into the next one together: first what ends the leases, then the document with the
//! chunks that have changed. An item that has ended by a commit is never sent again. What was on its way when the process
//! ended is, under the same id.

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
use super::live::{ActRequest, LiveReplay, ReplayAction};
use super::pacer::Pacer;
use crate::model::replay::{ItemEnd, ReplayFailure};
use crate::model::{Item, ItemKey, ItemNumber, Replay, ReplayChunk, ReplayStatus, Timestamp};
use crate::store::{Command, StoreError};
use crate::warden::WardenError;

/// How many chunks may have changed before no further one is taken in: the items on their way may stand in as many more as
/// there are of them, and all of it goes into one commit.
const CHANGES_MAX: usize = 16;
/// How often a target may have no room for an item before that counts as a failure: it may be that item that it has none for.
const REFUSED_MAX: u32 = 20;
/// What is soon, in seconds at the full rate.
const SOON: f64 = 10.0;
/// How long nothing is sent when the store has no room.
const STUCK_WAIT: Duration = Duration::from_secs(1);
/// How long nothing is sent when the disk is full.
const FULL_WAIT: Duration = Duration::from_secs(10);

type Answer = oneshot::Sender<Result<(), WardenError>>;

/// The loop's own things.
pub struct Runner {
    replays: Arc<Replays>,
    live: Arc<LiveReplay>,
    courier: Arc<Courier>,
    line: Line,
    pacer: Pacer,
    /// What ends the leases of the items that have ended since the last commit was put together.
    lease_ends: Vec<Command>,
    /// Whether the document has changed since then.
    changed: bool,
    /// Who waits for the next commit.
    waiting: Vec<Answer>,
    /// The commit that is under way, and who waits for it.
    round: Option<Round>,
    /// When a commit is tried again that the store had no room for.
    again_at: Timestamp,
}

/// Why the loop ends.
enum Ended {
    /// So has the replay.
    Replay,
    /// The store has failed, or is closing.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Runner {
    /// The loop of a replay that is in the store, from where it was left.
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

    /// Runs the replay until it has ended or `stop`. What is on its way then is broken off; what has ended is written down.
    pub async fn run(mut self, mut asked: mpsc::Receiver<ActRequest>, stop: CancellationToken) {
        match self.go_on(&mut asked, &stop).await {
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
                tracing::error!(replay = &*self.live.id().0, %error, "the replay cannot go on");
            }
        }
    }

    async fn go_on(
        &mut self,
        asked: &mut mpsc::Receiver<ActRequest>,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        let (replays, courier, live) = (self.replays.clone(), self.courier.clone(), self.live.clone());
        let send = |place: Place| {
            let (replays, courier, live) = (&replays, &courier, live.clone());
            let may_still = move || live.status() == ReplayStatus::Running;
            async move { (place, courier.send(replays, place.number, may_still).await) }
        };
        let mut on_their_way = FuturesUnordered::new();
        let mut committing: Option<BoxFuture<'static, Committed>> = None;
        loop {
            self.take_in().await?;
            let next = loop {
                let next = self.next_at(on_their_way.len());
                if next > replays.clock.now() {
                    break next;
                }
                let Some(place) = self.begin_one() else { break Timestamp::MAX };
                on_their_way.push(send(place));
                self.live.lock().on_their_way = on_their_way.len();
                self.take_in().await?;
            };
            if committing.is_none() {
                committing = self.commit();
            }
            let is_idle = committing.is_none() && self.round.is_none() && on_their_way.is_empty();
            if is_idle && self.live.status().is_ended() {
                return Err(Ended::Replay);
            }
            // Not while one is under way: that it ends is waited for, and not an instant that has passed.
            let waits_to_commit = self.round.is_some() && committing.is_none();
            let again_at = if waits_to_commit { self.again_at } else { Timestamp::MAX };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // Before the answers of a fast target, which may leave no time for anything else.
                Some(request) = asked.recv() => self.act(request),
                Some(committed) = OptionFuture::from(committing.as_mut()) => {
                    committing = None;
                    self.committed(committed)?;
                }
                Some((place, sent)) = on_their_way.next() => {
                    self.live.lock().on_their_way = on_their_way.len();
                    self.take_note(place, sent)?;
                }
                () = replays.clock.sleep_until(next.min(again_at)) => {}
            }
        }
    }

    /// Takes in the next chunks of the selection until something waits to be sent. What need not be sent any more ends.
    async fn take_in(&mut self) -> Result<(), StoreError> {
        while self.line.changes() < CHANGES_MAX
            && self.live.status() == ReplayStatus::Running
            && let Some(index) = self.line.wants()
        {
            let chunk = self.replays.store.replay_chunk(self.live.id().clone(), index).await?;
            let Some(chunk) = chunk else {
                let reason =
                    "a part of its selection is missing in the store: is the data directory damaged?";
                tracing::error!(replay = &*self.live.id().0, index, "{reason}");
                self.live.lock().replay.pause(Some(reason.into()));
                self.changed = true;
                return Ok(());
            };
            self.line.take_in(chunk);
            self.drop_unneeded().await?;
        }
        Ok(())
    }

    /// Has those end that wait and need not be sent, without a turn for each of them: what was closed meanwhile and, if it
    /// will be its turn soon, what somebody else works on.
    async fn drop_unneeded(&mut self) -> Result<(), StoreError> {
        let numbers: Vec<ItemNumber> = self.line.waiting().map(|place| place.number).collect();
        let per_second = self.live.lock().replay.pace.max_per_second;
        let soon = numbers.len() as f64 <= per_second * SOON;
        let items = self.replays.store.items(numbers).await?;
        let (now, own) = (self.replays.clock.now(), &self.live.id().0);
        let is_needed = |item: &&Item| {
            let ours = item.work.lease.as_ref().is_some_and(|lease| lease.worker == *own);
            let is_busy = soon && item.work.running(now).is_some();
            // Those that this replay may have closed itself are looked at one by one.
            ours || (item.closed.is_none() && !is_busy)
        };
        let needed: HashSet<_> = items.iter().filter(is_needed).map(|item| item.number).collect();
        for place in self.line.drop_waiting(|place| !needed.contains(&place.number)) {
            self.end(place, ItemEnd::Skipped);
        }
        Ok(())
    }

    /// When the next item may be sent, if one may be.
    fn next_at(&self, on_their_way: usize) -> Timestamp {
        if self.line.waiting().next().is_none() {
            return Timestamp::MAX;
        }
        let state = self.live.lock();
        let room = state.replay.room(on_their_way).min(state.hold.room().saturating_sub(on_their_way));
        if room == 0 { Timestamp::MAX } else { self.pacer.free_at().max(state.hold.until()) }
    }

    fn begin_one(&mut self) -> Option<Place> {
        let now = self.replays.clock.now();
        let place = self.line.take()?;
        self.pacer.note(now);
        let mut state = self.live.lock();
        if state.replay.started_at.is_none() {
            state.replay.begin(now);
            drop(state);
            self.changed = true;
        }
        Some(place)
    }

    /// Takes note of what became of an item.
    fn take_note(&mut self, place: Place, sent: Sent) -> Result<(), StoreError> {
        let now = self.replays.clock.now();
        let counts = &self.replays.counts;
        match sent {
            Sent::Ended(end, lease_end) => {
                counts.sent();
                self.live.lock().hold.free(now);
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
                    self.line.put_behind(place);
                }
                let until = {
                    let hold = &mut self.live.lock().hold;
                    hold.busy(wait, now);
                    hold.until()
                };
                let until = self.replays.clock.moment().wall(until);
                tracing::info!(replay = &*self.live.id().0, %until, "the target has no room ({what}); waiting");
            }
            Sent::Late(release) => self.put_back(place, Some(release)),
            Sent::Stuck(StuckReason::Full) => {
                self.put_back(place, None);
                self.live.lock().hold.stuck(FULL_WAIT, now);
            }
            Sent::Stuck(StuckReason::Store(StoreError::Overloaded)) => {
                self.put_back(place, None);
                self.live.lock().hold.stuck(STUCK_WAIT, now);
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
        state.recent.note(now);
        state.replay.note(end, now);
        told(&state.replay, before);
    }

    fn act(&mut self, request: ActRequest) {
        let ActRequest { act, answer } = request;
        let now = self.replays.clock.now();
        let mut state = self.live.lock();
        let before = state.replay.status;
        if before.is_ended() {
            // Whoever asked may have gone.
            let _ = answer.send(Err(WardenError::ReplayEnded(before)));
            return;
        }
        match act {
            ReplayAction::Pause => state.replay.pause(None),
            ReplayAction::Resume => {
                state.replay.resume();
                state.hold.clear();
                if before == ReplayStatus::Paused {
                    self.pacer = pacer(&state.replay, now);
                }
            }
            ReplayAction::Cancel => state.replay.cancel(now),
        }
        told(&state.replay, before);
        drop(state);
        self.changed = true;
        self.waiting.push(answer);
    }
}

fn pacer(replay: &Replay, now: Timestamp) -> Pacer {
    Pacer::new(replay.pace.max_per_second, replay.pace.ramp_up, now)
}

/// Says in the log what has become of a replay.
fn told(replay: &Replay, before: ReplayStatus) {
    if replay.status == before {
        return;
    }
    let (id, name) = (&*replay.id.0, &*replay.name);
    let Replay { total, succeeded, failed, skipped, .. } = replay;
    match (&replay.reason, replay.status) {
        (Some(reason), ReplayStatus::Paused) => {
            tracing::warn!(
                replay = id,
                name,
                total,
                succeeded,
                failed,
                skipped,
                "the replay pauses: {reason}"
            );
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
                "the replay has changed"
            );
        }
    }
}
