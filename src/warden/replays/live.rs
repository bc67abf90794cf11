//! A replay as it is in memory: what is shown of it, and how people reach the loop that runs it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::recent::Recent;
use crate::model::{Replay, ReplayId, ReplayStatus, Timestamp};
use crate::warden::WardenError;
use crate::warden::handoff::Hold;

/// How many acts may wait for a replay's loop.
const ACTS_MAX: usize = 16;
/// What counts as lately, at least.
const LATELY_MIN: Duration = Duration::from_secs(30);
/// What counts as lately holds at least so many items, at the full rate.
const LATELY_ITEMS: f64 = 10.0;

/// What people do about a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayAction {
    /// Have it wait.
    Pause,
    /// Have it go on.
    Resume,
    /// End it.
    Cancel,
}

/// An act on its way to the loop.
pub struct ActRequest {
    pub act: ReplayAction,
    pub answer: oneshot::Sender<Result<(), WardenError>>,
}

/// A replay as it is shown.
#[derive(Clone, Debug)]
pub struct ReplayEntry {
    /// Itself.
    pub replay: Replay,
    /// How many of its items are on their way.
    pub on_their_way: usize,
    /// How many items ended in a second, lately.
    pub rate: f64,
    /// When it will be over if it goes on like that.
    pub eta: Option<Timestamp>,
    /// Until when it is held back, because its target has no room or the disk is full.
    pub held_until: Option<Timestamp>,
}

/// What changes while it runs. Only its loop changes it.
pub struct LiveState {
    pub replay: Replay,
    pub on_their_way: usize,
    pub recent: Recent,
    pub hold: Hold,
}

/// A replay in memory.
pub struct LiveReplay {
    id: ReplayId,
    state: Mutex<LiveState>,
    acts: mpsc::Sender<ActRequest>,
}

impl LiveReplay {
    /// A replay, and where its loop takes the acts.
    pub fn new(replay: Replay, now: Timestamp) -> (Self, mpsc::Receiver<ActRequest>) {
        let (acts, asked) = mpsc::channel(ACTS_MAX);
        let lately = Duration::from_secs_f64(LATELY_ITEMS / replay.pace.max_per_second).max(LATELY_MIN);
        let id = replay.id.clone();
        let state =
            LiveState { replay, on_their_way: 0, recent: Recent::new(lately, now), hold: Hold::default() };
        (Self { id, state: Mutex::new(state), acts }, asked)
    }

    /// Its id.
    pub fn id(&self) -> &ReplayId {
        &self.id
    }

    /// Where it stands.
    pub fn status(&self) -> ReplayStatus {
        self.lock().replay.status
    }

    /// What changes of it. Not to be held for longer than it takes to look or to change.
    pub fn lock(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an act to its loop. Nothing when the loop has ended.
    pub async fn ask(&self, act: ReplayAction) -> Option<Result<(), WardenError>> {
        let (answer, answered) = oneshot::channel();
        self.acts.send(ActRequest { act, answer }).await.ok()?;
        answered.await.ok()
    }

    /// What is shown of it at `now`.
    pub fn entry(&self, now: Timestamp) -> ReplayEntry {
        let mut state = self.lock();
        let rate = state.recent.per_second(now);
        let replay = state.replay.clone();
        let runs = replay.status == ReplayStatus::Running;
        let eta = (runs && rate > 0.0).then(|| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let seconds = replay.left() as f64 / rate;
            now.after(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        });
        let held_until = Some(state.hold.until()).filter(|until| runs && *until > now);
        ReplayEntry { replay, on_their_way: state.on_their_way, rate, eta, held_until }
    }
}
