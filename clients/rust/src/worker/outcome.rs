//! How a run of a step ended well, or came to rest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use warden_api::lease::CompleteRequest;
use warden_api::limit::STEP_MESSAGE_MAX;
use warden_api::step::RepeatRequest;
use warden_api::word::StepStatus;
use warden_api::{Timestamp, WallTime};

use crate::leases::text;

/// The result of a handler: [`Done`], [`skip`] or [`interrupt`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    status: StepStatus,
    message: Option<String>,
    repeat: Option<Repeat>,
}

/// The step is done, and the item goes to the next one.
#[expect(non_upper_case_globals, reason = "a handler ends with `Ok(Done)`")]
pub const Done: Outcome = Outcome { status: StepStatus::Done, message: None, repeat: None };

/// There was nothing to do, and the item goes to the next step. The message is for the history.
pub fn skip(message: impl Into<String>) -> Outcome {
    Outcome { status: StepStatus::Skipped, ..Done }.message(message)
}

/// The item stays at the step until it is to be repeated, or a person retries it. The message is for the
/// history.
pub fn interrupt(message: impl Into<String>) -> Outcome {
    Outcome { status: StepStatus::Interrupted, ..Done }.message(message)
}

impl Outcome {
    /// A message for the history, of which 512 bytes are kept.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(STEP_MESSAGE_MAX));
        self.message = Some(message).filter(|message| !message.is_empty());
        self
    }

    /// Asks for another run of the step. What was skipped cannot be repeated: the daemon refuses that, and
    /// the item fails.
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = Some(repeat);
        self
    }

    pub(crate) fn status(&self) -> StepStatus {
        self.status
    }

    pub(crate) fn into_request(self) -> CompleteRequest {
        CompleteRequest {
            status: Some(self.status),
            message: self.message.map(Into::into),
            repeat: self.repeat.map(|repeat| RepeatRequest {
                after: repeat.after.map(text),
                at: repeat.at.map(|at| at.to_string()),
                max: repeat.max,
            }),
            ..CompleteRequest::default()
        }
    }
}

/// When, and how often, a step runs again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeat {
    after: Option<Duration>,
    at: Option<WallTime>,
    max: Option<u32>,
}

impl Repeat {
    /// So long from now.
    pub fn after(wait: Duration) -> Self {
        Self { after: Some(wait), ..Self::default() }
    }

    /// At this time.
    pub fn at(time: impl Into<SystemTime>) -> Self {
        let epoch = Timestamp::from_millis(0);
        let at = match time.into().duration_since(UNIX_EPOCH) {
            Ok(since) => epoch.after(since),
            Err(before) => crate::clock::before(epoch, before.duration()),
        };
        Self { at: Some(WallTime::read(at)), ..Self::default() }
    }

    /// As soon as possible, until the step has run so often in all.
    pub fn at_most(runs: u32) -> Self {
        Self { max: Some(runs), ..Self::default() }
    }

    /// The most runs in all, this one included.
    #[must_use]
    pub fn max(mut self, runs: u32) -> Self {
        self.max = Some(runs);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(outcome: Outcome) -> serde_json::Value {
        serde_json::to_value(outcome.into_request()).unwrap()
    }

    #[test]
    fn an_outcome_is_what_the_daemon_takes() {
        assert_eq!(document(Done), json!({"close": false, "status": "done"}));
        let skipped = json!({"close": false, "status": "skipped", "message": "empty"});
        assert_eq!(document(skip("empty")), skipped);
        let repeat = Repeat::after(Duration::from_millis(1_500)).max(3);
        let expected = json!({"close": false, "status": "interrupted", "message": "later",
            "repeat": {"after": "1s 500ms", "max": 3}});
        assert_eq!(document(interrupt("later").repeat(repeat)), expected);
        let at = Repeat::at(UNIX_EPOCH + Duration::from_secs(1_767_225_600));
        assert_eq!(document(Done.repeat(at))["repeat"], json!({"at": "2026-01-01T00:00:00.000Z"}));
        assert_eq!(document(Done.repeat(Repeat::at_most(2)))["repeat"], json!({"max": 2}));
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let message = document(skip("ä".repeat(300)))["message"].as_str().unwrap().to_owned();
        assert_eq!(message.len(), STEP_MESSAGE_MAX);
        assert_eq!(document(skip("")).get("message"), None);
    }
}
