//! Receivers as clients are shown them: never a path, a query or a secret.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::WallTime;
use super::alerts::AttemptView;
use crate::model::Attempt;
use crate::notifier::{Outcomes, ReceiverState, ReceiverStatus};
use crate::warden::Warden;

/// A place to which notifications go, and how it is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiverView {
    #[schema(value_type = String)]
    name: Arc<str>,
    /// The form of what it is sent, such as `standard`. Null when the configuration does not name the receiver although
    /// something waits for it.
    #[schema(value_type = Option<String>)]
    format: Option<&'static str>,
    /// Scheme, host and port of its address.
    origin: Option<String>,
    /// `ok`, `failing` or `paused`.
    state: &'static str,
    /// Since when it fails or is paused.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<WallTime>,
    /// Why it is paused.
    #[schema(value_type = Option<String>)]
    reason: Option<Arc<str>>,
    /// How many deliveries wait for it.
    waiting: usize,
    /// When the oldest of them was decided.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_waiting_at: Option<WallTime>,
    /// How many attempts have failed since the last success.
    consecutive_failures: u32,
    /// When it is tried next. Null while nothing waits, while it is paused, and while all that it takes at once is under
    /// way.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<WallTime>,
    /// The latest attempt since the start, without its answer.
    last_attempt: Option<AttemptView>,
    since_start: OutcomesView,
}

/// What has become of the deliveries to a receiver since the start.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomesView {
    /// Deliveries that were answered with 2xx.
    delivered: u64,
    /// Attempts that failed.
    failed: u64,
    /// Deliveries that were given up.
    dead: u64,
    /// Notifications that were repeated for receivers which forget, and answered with 2xx.
    refreshed: u64,
}

impl ReceiverView {
    /// The receiver as its status says, with what the configuration knows of it.
    pub fn new(status: ReceiverStatus, warden: &Warden) -> Self {
        let moment = warden.clock().moment();
        let at = |steady| WallTime::of(steady, moment);
        let Outcomes { delivered, failed, dead, refreshed } = status.outcomes;
        let (since, reason) = match &status.state {
            ReceiverState::Ok => (None, None),
            ReceiverState::Failing { since } => (Some(*since), None),
            ReceiverState::Paused { since, reason } => (Some(*since), Some(reason.clone())),
        };
        let receiver = warden.receiver(&status.name);
        Self {
            format: receiver.map(|receiver| receiver.format.word().as_str()),
            origin: receiver.map(|receiver| receiver.url.origin()),
            name: status.name,
            state: status.state.word().as_str(),
            since: since.map(at),
            reason,
            waiting: status.waiting,
            oldest_waiting_at: status.oldest_waiting.map(at),
            consecutive_failures: status.consecutive_failures,
            next_attempt_at: status.next_attempt_at.map(at),
            last_attempt: status.last_attempt.map(|attempt| AttemptView::new(attempt, moment)),
            since_start: OutcomesView { delivered, failed, dead, refreshed },
        }
    }

    /// Leaves out what the receiver has answered: it may repeat what it was told of any workflow.
    pub fn withhold_answers(&mut self) {
        self.reason = None;
        self.last_attempt = None;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What came of the test of a receiver.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiverTestView {
    /// Whether it was answered with 2xx.
    delivered: bool,
    /// The status of the answer, if there was one.
    status: Option<u16>,
    latency_ms: u64,
    error: Option<String>,
    /// The beginning of the answer's body.
    answer: Option<String>,
}

impl From<Attempt> for ReceiverTestView {
    fn from(attempt: Attempt) -> Self {
        let Attempt { status, latency_ms, error, answer, .. } = attempt;
        Self { delivered: error.is_none(), status, latency_ms, error, answer }
    }
}
