//! Why a daemon that was asked gave no answer to go on with.

use std::fmt;

use serde::Deserialize;

use crate::cli::exit::Exit;
use crate::cli::table::shown;

/// A problem as the daemon tells it (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What sort of problem.
    pub title: String,
    /// What was wrong this time.
    pub detail: String,
    /// The request's id, also in the daemon's log.
    #[serde(rename = "instance")]
    pub request_id: Option<String>,
}

/// Why there is no answer to go on with.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was given as the daemon's address, or a part of it, is none.
    #[error("{0}")]
    Address(String),
    /// The client cannot be set up.
    #[error("cannot set up the connection: {0}")]
    Setup(String),
    /// Nobody answers there.
    #[error(
        "cannot reach a warden at {base}: is it running? start it with `warden serve`, \
         or point --url / WARDEN_URL at it ({cause})"
    )]
    Unreachable {
        /// Where.
        base: String,
        /// What the system said.
        cause: String,
    },
    /// The answer did not come, or broke off.
    #[error(
        "the warden at {base} did not answer to the end: {cause}; a change that was asked for is made or not"
    )]
    BrokenOff {
        /// Where.
        base: String,
        /// What went wrong.
        cause: String,
    },
    /// The daemon refused, or failed.
    #[error("{problem}")]
    Refused {
        /// What it said.
        problem: Problem,
        /// How many seconds to wait before the next try, if it said so.
        retry_after: Option<u64>,
    },
    /// Whoever answered is no warden.
    #[error("{base} answers, but not as a warden does: {what}; does --url / WARDEN_URL point at one?")]
    Stranger {
        /// Who.
        base: String,
        /// How it answered.
        what: String,
    },
}

impl ClientError {
    /// How the program ends by it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Address(_) => Exit::Usage,
            Self::Setup(_) => Exit::Internal,
            Self::Unreachable { .. } | Self::BrokenOff { .. } | Self::Stranger { .. } => Exit::Unavailable,
            Self::Refused { problem, .. } => Exit::of_status(problem.status),
        }
    }

    /// The seconds after which it is worth trying again; nothing when it is not.
    pub fn worth_trying_after(&self) -> Option<u64> {
        match self {
            Self::Refused { problem: Problem { status: 429 | 503, .. }, retry_after } => {
                Some(retry_after.unwrap_or(1))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shown(&self.title))?;
        if !self.detail.is_empty() {
            write!(formatter, ": {}", shown(&self.detail))?;
        }
        match &self.request_id {
            Some(id) => write!(formatter, " (request {})", shown(id)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16) -> Problem {
        Problem {
            status,
            title: "The item is closed".to_owned(),
            detail: "the item is closed since\n2026".to_owned(),
            request_id: Some("0198".to_owned()),
        }
    }

    #[test]
    fn a_problem_is_one_line_with_the_request_it_belongs_to() {
        assert_eq!(
            problem(409).to_string(),
            "The item is closed: the item is closed since\\n2026 (request 0198)"
        );
        let bare = Problem { title: "Not found".to_owned(), ..Problem::default() };
        assert_eq!(bare.to_string(), "Not found");
    }

    #[test]
    fn only_overload_is_worth_another_try() {
        let refused = |status, retry_after| ClientError::Refused { problem: problem(status), retry_after };
        assert_eq!(refused(503, Some(7)).worth_trying_after(), Some(7));
        assert_eq!(refused(429, None).worth_trying_after(), Some(1));
        assert_eq!(refused(507, Some(30)).worth_trying_after(), None);
        assert_eq!(refused(409, None).worth_trying_after(), None);
    }
}
