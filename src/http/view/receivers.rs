//! Documents of receivers, without paths, queries and secrets of their URLs.

use warden_api::alert::{Outcomes, ReceiverTest};

use super::alerts::attempt;
use super::told;
use crate::model::{self, Moment};
use crate::notifier::{self, Receiver, ReceiverState, ReceiverStatus};

pub struct ReceiverFacts<'a> {
    pub status: ReceiverStatus,
    /// `None` if it is not configured any more.
    pub receiver: Option<&'a Receiver>,
    pub moment: Moment,
}

impl From<ReceiverFacts<'_>> for warden_api::Receiver {
    fn from(facts: ReceiverFacts<'_>) -> Self {
        let ReceiverFacts { status, receiver, moment } = facts;
        let at = |steady| told(steady, moment);
        let notifier::Outcomes { delivered, failed, dead, refreshed } = status.outcomes;
        let (since, reason) = match &status.state {
            ReceiverState::Ok => (None, None),
            ReceiverState::Failing { since } => (Some(*since), None),
            ReceiverState::Paused { since, reason } => (Some(*since), Some(reason.clone())),
        };
        Self {
            format: receiver.map(|receiver| receiver.format.word().into()),
            origin: receiver.map(|receiver| receiver.url.origin()),
            name: status.name,
            state: status.state.word().into(),
            since: since.map(at),
            reason,
            waiting: status.waiting,
            oldest_waiting_at: status.oldest_waiting.map(at),
            consecutive_failures: status.consecutive_failures,
            next_attempt_at: status.next_attempt_at.map(at),
            last_attempt: status.last_attempt.map(|made| attempt(made, moment)),
            since_start: Outcomes { delivered, failed, dead, refreshed },
        }
    }
}

/// Omits the receiver's responses: they may quote notifications of any workflow.
pub fn withhold_answers(receiver: &mut warden_api::Receiver) {
    receiver.reason = None;
    receiver.last_attempt = None;
}

impl From<model::Attempt> for ReceiverTest {
    fn from(attempt: model::Attempt) -> Self {
        let model::Attempt { status, latency_ms, error, answer, .. } = attempt;
        Self { delivered: error.is_none(), status, latency_ms, error, answer }
    }
}
