//! Why a request failed.

use std::error::Error as StdError;

use warden_api::limit::ERROR_MESSAGE_MAX;
use warden_api::quote::quote;
use warden_api::{NameError, Problem, ProblemDocument};

/// A failed request. For what to do about it go by [`Error::problem`], or by [`Error::is_transient`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given to the client is malformed: the URL, the token, a name or a document. Nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// TLS or the HTTP client cannot be set up.
    #[error("cannot set up the connection: {0}")]
    Setup(String),
    /// No connection.
    #[error("cannot reach a warden at {base}: {cause}")]
    Unreachable {
        /// The URL of the daemon.
        base: String,
        /// What went wrong.
        cause: String,
    },
    /// No response, or an incomplete one. The request may have taken effect.
    #[error("the warden at {base} did not answer to the end: {cause}; what was asked may have been done")]
    BrokenOff {
        /// The URL of the daemon.
        base: String,
        /// What went wrong.
        cause: String,
    },
    /// The daemon answered with a problem.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The response is not a warden's.
    #[error("{base} does not answer like a warden: {what}")]
    Unexpected {
        /// The URL of the daemon.
        base: String,
        /// What came instead.
        what: String,
        /// The HTTP status, if that was unexpected.
        status: Option<u16>,
    },
    /// The lease is over: it expired, or its item was closed or given to another worker. With the reason.
    #[error("the lease is lost: {0}")]
    Lost(String),
}

/// A problem that the daemon answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The problem.
    pub problem: ProblemDocument<'static>,
    /// The daemon's `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Whether the request had a token.
    pub with_token: bool,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ProblemDocument { title, detail, instance, status, .. } = &self.problem;
        let text = if detail.is_empty() { title } else { detail };
        match self.problem.problem() {
            Some(kind) => write!(formatter, "{kind}: ")?,
            None => write!(formatter, "HTTP {status}: ")?,
        }
        // From elsewhere, and possibly long.
        let end = text.floor_char_boundary(ERROR_MESSAGE_MAX);
        write!(formatter, "{}", &text[..end])?;
        match instance {
            Some(id) => write!(formatter, " (request {})", quote(&**id)),
            None => Ok(()),
        }
    }
}

impl Error {
    /// The problem that the daemon answered with, if this version knows it.
    pub fn problem(&self) -> Option<Problem> {
        match self {
            Self::Refused(refusal) => refusal.problem.problem(),
            _ => None,
        }
    }

    /// The HTTP status of the problem.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.problem.status),
            Self::Unexpected { status, .. } => *status,
            _ => None,
        }
    }

    /// The id of the request, which is also in the daemon's log.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.problem.instance.as_deref(),
            _ => None,
        }
    }

    /// Whether a retry may succeed: the daemon, or a proxy before it, is starting, stopping or overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Setup(_) | Self::Lost(_) => false,
            Self::Unreachable { .. } | Self::BrokenOff { .. } => true,
            Self::Refused(refusal) => matches!(refusal.problem.status, 408 | 429 | 500..),
            // A proxy whose backend restarts sends its own error page.
            Self::Unexpected { status, .. } => matches!(status, Some(429 | 500..)),
        }
    }

    /// Whether the request may have taken effect despite the error.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Setup(_) | Self::Unreachable { .. } | Self::Lost(_) => false,
            Self::BrokenOff { .. } => true,
            Self::Refused(refusal) => refusal.problem.status == 500,
            Self::Unexpected { status, .. } => matches!(status, None | Some(500..)),
        }
    }

    /// The daemon's `Retry-After`, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// If the daemon is overloaded (429 or 503), the seconds to wait before a retry.
    pub fn overload_delay(&self) -> Option<u64> {
        match self {
            Self::Refused(refusal) if matches!(refusal.problem.status, 429 | 503) => {
                Some(refusal.retry_after.unwrap_or(1))
            }
            _ => None,
        }
    }
}

impl Error {
    /// The same of a request that names a lease: what is not there, or is another's, is lost.
    pub(crate) fn of_lease(self) -> Self {
        match self {
            Self::Refused(refusal) if matches!(refusal.problem.status, 404 | 409 | 410) => {
                Self::Lost(refusal.problem.detail.into_owned())
            }
            error => error,
        }
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The last cause of an error: what went wrong, where the errors above it only name their layer. Only the
/// outermost of reqwest's errors shows the URL, so that is never returned.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    let mut text = "the request is invalid".to_owned();
    while let Some(error) = cause {
        text = error.to_string();
        // The source of an I/O error is that of its inner error, which would be skipped.
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(content) => Some(content),
            None => error.source(),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after: Option<u64>) -> Error {
        let problem = ProblemDocument {
            kind: "/problems/item-closed".into(),
            status,
            title: "The item is closed".into(),
            detail: "the item is closed since 2026".into(),
            instance: Some("0198".into()),
            ..ProblemDocument::default()
        };
        Error::Refused(Box::new(Refusal { problem, retry_after, with_token: false }))
    }

    #[test]
    fn a_refusal_tells_its_problem_and_its_request() {
        let error = refused(409, None);
        assert_eq!(error.to_string(), "item-closed: the item is closed since 2026 (request \"0198\")");
        assert_eq!((error.problem(), error.request_id()), (Some(Problem::ItemClosed), Some("0198")));
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not_and_what_may_be_done_from_what_is_not() {
        let base = || "http://localhost:8470".to_owned();
        let unexpected = |status| Error::Unexpected { base: base(), what: String::new(), status };
        for (error, is_transient, may_have_taken_effect) in [
            (Error::Unreachable { base: base(), cause: String::new() }, true, false),
            (Error::BrokenOff { base: base(), cause: String::new() }, true, true),
            (Error::Lost(String::new()), false, false),
            (refused(503, None), true, false),
            (refused(507, None), true, false),
            (refused(429, None), true, false),
            (refused(500, None), true, true),
            (refused(403, None), false, false),
            (refused(409, None), false, false),
            (unexpected(Some(502)), true, true),
            (unexpected(Some(404)), false, false),
            (unexpected(None), false, true),
        ] {
            assert_eq!(
                (error.is_transient(), error.may_have_taken_effect()),
                (is_transient, may_have_taken_effect),
                "{error:?}"
            );
        }
    }

    #[test]
    fn only_overload_is_worth_another_try() {
        assert_eq!(refused(503, Some(7)).overload_delay(), Some(7));
        assert_eq!(refused(429, None).overload_delay(), Some(1));
        assert_eq!(refused(507, Some(30)).overload_delay(), None);
        assert_eq!(refused(409, None).overload_delay(), None);
    }
}
