//! How a run of a step failed.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error as StdError;
use std::time::Duration;

use serde_json::Value;
use warden_api::lease::{FailRequest, FailureRequest, ReleaseRequest};
use warden_api::limit::{ERROR_MESSAGE_MAX, ERROR_STACK_MAX, ERROR_TYPE_MAX};

use crate::error::Error;
use crate::leases::{Settlement, text};

type AnyError = Box<dyn StdError + Send + Sync>;

/// Why a handler did not end well. `?` makes one of any error, for which the item fails; other reactions are
/// chosen by [`StepError::retryable`] and [`StepError::ignorable`].
///
/// The message is that of the error and its causes. The stack trace is that of where this was made, if
/// `RUST_BACKTRACE` asks for it.
#[derive(Clone, Debug)]
pub struct StepError(Box<Detail>);

#[derive(Clone, Debug)]
struct Detail {
    reaction: Reaction,
    kind: String,
    message: String,
    stack: Option<String>,
    data: Value,
    wait: Option<Duration>,
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    Fail,
    Retry,
    Ignore,
    /// As if the item had not been claimed.
    Release,
}

impl StepError {
    /// The item fails: a person has to act.
    pub fn fatal(error: impl Into<AnyError>) -> Self {
        Self::new(Reaction::Fail, &*error.into())
    }

    /// The step is retried later, as often as the workflow allows; then the item fails.
    pub fn retryable(error: impl Into<AnyError>) -> Self {
        Self::new(Reaction::Retry, &*error.into())
    }

    /// The item goes to its next step, or ends, as the step's `on_ignorable` says.
    pub fn ignorable(error: impl Into<AnyError>) -> Self {
        Self::new(Reaction::Ignore, &*error.into())
    }

    /// The item is given back as if it had not been claimed. With [`StepError::after`] nobody can claim it
    /// for a while.
    pub fn released(reason: impl Into<String>) -> Self {
        Self::described(Reaction::Release, "released", &reason.into())
    }

    /// A name for this kind of error, of which 128 bytes are kept; by default `error`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        let kind = cut(&kind.into(), ERROR_TYPE_MAX);
        if !kind.is_empty() {
            self.0.kind = kind;
        }
        self
    }

    /// How long to wait before the next try, for a retryable error or a release.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.0.wait = Some(wait);
        self
    }

    /// Further data for people, at most 4,096 bytes of JSON.
    #[must_use]
    pub fn data(mut self, data: impl Into<Value>) -> Self {
        self.0.data = data.into();
        self
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    fn new(reaction: Reaction, error: &(dyn StdError + 'static)) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            let text = next.to_string();
            // Many errors repeat their causes.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = next.source();
        }
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        let stack = trace.map(|trace| cut(&trace, ERROR_STACK_MAX));
        let mut described = Self::described(reaction, "error", &message);
        described.0.stack = stack;
        described
    }

    pub(crate) fn described(reaction: Reaction, kind: &str, message: &str) -> Self {
        let (kind, message) = (kind.to_owned(), cut(message, ERROR_MESSAGE_MAX));
        Self(Box::new(Detail { reaction, kind, message, stack: None, data: Value::Null, wait: None }))
    }

    /// For a handler that panicked with this.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let text = text.unwrap_or_else(|| "the handler panicked".to_owned());
        Self::described(Reaction::Fail, "panic", &text)
    }

    pub(crate) fn reaction(&self) -> Reaction {
        self.0.reaction
    }

    pub(crate) fn into_settlement(self) -> Settlement {
        let Detail { reaction, kind, message, stack, data, wait } = *self.0;
        let wait = wait.map(text);
        if reaction == Reaction::Release {
            return Settlement::Release(ReleaseRequest { delay: wait, ..ReleaseRequest::default() });
        }
        let error = FailureRequest {
            kind,
            message,
            retryable: reaction == Reaction::Retry,
            ignorable: reaction == Reaction::Ignore,
            data,
            stack,
        };
        let retry_after = wait.filter(|_| error.retryable);
        Settlement::Fail(FailRequest { error, retry_after, ..FailRequest::default() })
    }
}

/// An error of the client that may pass says nothing of the item, which is given back; for every other error
/// it fails.
impl<E: StdError + Send + Sync + 'static> From<E> for StepError {
    fn from(error: E) -> Self {
        match (&error as &dyn StdError).downcast_ref::<Error>() {
            Some(ours) if ours.is_transient() || matches!(ours, Error::Lost(_)) => {
                Self::released(ours.to_string())
            }
            _ => Self::fatal(error),
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the table cannot be read")]
    struct Outer(#[source] io::Error);

    fn document(error: StepError) -> Value {
        match error.into_settlement() {
            Settlement::Fail(request) => serde_json::to_value(request).unwrap(),
            Settlement::Release(request) => serde_json::to_value(request).unwrap(),
            Settlement::Complete(_) => panic!("an error completes nothing"),
        }
    }

    #[test]
    fn the_message_names_the_error_and_its_causes() {
        let error = StepError::from(Outer(io::Error::other("no such row")));
        assert_eq!(error.message(), "the table cannot be read: no such row");
        assert_eq!(error.reaction(), Reaction::Fail);
    }

    #[test]
    fn an_error_is_what_the_daemon_takes() {
        let plain = |mut error: StepError| {
            error.0.stack = None;
            document(error)
        };
        let fatal = json!({"error": {"type": "error", "message": "no", "retryable": false}});
        assert_eq!(plain(StepError::fatal("no").after(Duration::from_secs(5))), fatal);
        let retryable = StepError::retryable("no").kind("http").after(Duration::from_secs(5));
        let expected =
            json!({"error": {"type": "http", "message": "no", "retryable": true}, "retry_after": "5s"});
        assert_eq!(plain(retryable), expected);
        let ignorable = plain(StepError::ignorable("no").data(json!({"row": 1})));
        assert_eq!(
            (&ignorable["error"]["ignorable"], &ignorable["error"]["data"]["row"]),
            (&json!(true), &json!(1))
        );
        let released = StepError::released("not now").after(Duration::from_secs(5));
        assert_eq!(document(released), json!({"delay": "5s"}));
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let error = StepError::fatal("ä".repeat(3_000)).kind("ö".repeat(100));
        let document = document(error);
        let length = |name: &str| document["error"][name].as_str().unwrap().len();
        assert_eq!((length("message"), length("type")), (ERROR_MESSAGE_MAX, ERROR_TYPE_MAX));
    }

    #[test]
    fn that_the_daemon_is_away_is_not_the_items_fault() {
        let away = Error::Unreachable { base: "http://a".to_owned(), cause: "refused".to_owned() };
        assert_eq!(StepError::from(away).reaction(), Reaction::Release);
        assert_eq!(StepError::from(Error::Lost("closed".to_owned())).reaction(), Reaction::Release);
        assert_eq!(StepError::from(Error::Address("bad".to_owned())).reaction(), Reaction::Fail);
    }

    #[test]
    fn a_panic_is_told_by_its_message() {
        assert_eq!(StepError::panicked(&"out of range").message(), "out of range");
        assert_eq!(StepError::panicked(&"at 7".to_owned()).message(), "at 7");
        assert_eq!(StepError::panicked(&7).message(), "the handler panicked");
    }
}
