//! A replay in memory: its current state, and the queue of actions for its loop.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::recent::Recent;
use crate::model::{Replay, ReplayId, ReplayStatus, Timestamp};
use crate::warden::WardenError;
use crate::warden::handoff::Backoff;

/// The most actions queued for a loop.
const ACTIONS_MAX: usize = 16;
/// The shortest window of the displayed rate.
const LATELY_MIN: Duration = Duration::from_secs(30);
/// The window of the displayed rate covers at least this many items at the full rate.
const LATELY_ITEMS: f64 = 10.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayAction {
    Pause,
    Resume,
    Cancel,
}

/// An action queued for the loop.
pub struct ActionRequest {
    pub action: ReplayAction,
    pub answer: oneshot::Sender<Result<(), WardenError>>,
}

/// The current state, for display.
#[derive(Clone, Debug)]
pub struct ReplayEntry {
    pub replay: Replay,
    pub in_flight: usize,
    /// Items ended per second, recently.
    pub rate: f64,
    /// When it ends at this rate.
    pub eta: Option<Timestamp>,
    /// The end of the back-off, of the target or for lack of disk space.
    pub held_until: Option<Timestamp>,
}

/// Only the loop changes it.
pub struct LiveState {
    /// The status of the stored version.
    pub committed: ReplayStatus,
    pub replay: Replay,
    pub in_flight: usize,
    pub recent: Recent,
    pub backoff: Backoff,
}

pub struct LiveReplay {
    id: ReplayId,
    state: Mutex<LiveState>,
    actions: mpsc::Sender<ActionRequest>,
}

impl LiveReplay {
    /// The replay, and the receiver of its actions.
    pub fn new(replay: Replay, now: Timestamp) -> (Self, mpsc::Receiver<ActionRequest>) {
        let (actions, asked) = mpsc::channel(ACTIONS_MAX);
        let lately = Duration::from_secs_f64(LATELY_ITEMS / replay.pace.max_per_second).max(LATELY_MIN);
        let id = replay.id.clone();
        let state = LiveState {
            committed: replay.status,
            replay,
            in_flight: 0,
            recent: Recent::new(lately, now),
            backoff: Backoff::default(),
        };
        (Self { id, state: Mutex::new(state), actions }, asked)
    }

    pub fn id(&self) -> &ReplayId {
        &self.id
    }

    pub fn status(&self) -> ReplayStatus {
        self.lock().replay.status
    }

    /// Do not hold the lock across an await.
    pub fn lock(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an action and waits for the result. `None` if the loop has ended.
    pub async fn ask(&self, action: ReplayAction) -> Option<Result<(), WardenError>> {
        let (answer, answered) = oneshot::channel();
        self.actions.send(ActionRequest { action, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Called for each committed version.
    pub fn committed(&self, replay: &Replay) {
        self.lock().committed = replay.status;
    }

    /// The replay as it is shown. It ends once its end is committed, and with it the outcome of every item.
    pub fn entry(&self, now: Timestamp) -> ReplayEntry {
        let mut state = self.lock();
        let rate = state.recent.per_second(now);
        let mut replay = state.replay.clone();
        if replay.status.is_ended() && !state.committed.is_ended() {
            (replay.status, replay.ended_at) = (state.committed, None);
        }
        let runs = replay.status == ReplayStatus::Running;
        let eta = (runs && rate > 0.0).then(|| {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let seconds = replay.left() as f64 / rate;
            now.after(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        });
        let held_until = Some(state.backoff.until()).filter(|until| runs && *until > now);
        ReplayEntry { replay, in_flight: state.in_flight, rate, eta, held_until }
    }
}
