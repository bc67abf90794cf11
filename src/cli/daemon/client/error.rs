//! Why a daemon that was asked gave no answer to go on with.

use warden_api::ProblemDocument;

use crate::cli::terminal::exit::Exit;
use crate::cli::terminal::table::shown;

/// A problem as the daemon tells it.
pub type Problem = ProblemDocument<'static>;

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
    #[error("{}", told(problem))]
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
        /// The HTTP status, if that is what was strange.
        status: Option<u16>,
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

    /// Whether the same may go well a while later: the daemon, or what lies on the way to it, is on the way up or down,
    /// or has too much to do.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Address(_) | Self::Setup(_) => false,
            Self::Unreachable { .. } | Self::BrokenOff { .. } => true,
            Self::Refused { problem, .. } => matches!(problem.status, 408 | 429 | 500..),
            // A proxy whose warden restarts answers in its own words.
            Self::Stranger { status, .. } => matches!(status, Some(429 | 500..)),
        }
    }

    /// Whether what was asked for may be done all the same.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::Address(_) | Self::Setup(_) | Self::Unreachable { .. } => false,
            Self::BrokenOff { .. } => true,
            Self::Refused { problem, .. } => problem.status == 500,
            Self::Stranger { status, .. } => matches!(status, None | Some(500..)),
        }
    }

    /// The seconds after which the daemon asks to be asked again.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
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

/// A problem in a line.
pub fn told(problem: &Problem) -> String {
    let mut text = shown(&problem.title);
    if !problem.detail.is_empty() {
        text.push_str(&format!(": {}", shown(&problem.detail)));
    }
    if let Some(id) = &problem.instance {
        text.push_str(&format!(" (request {})", shown(id)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16) -> Problem {
        Problem {
            status,
            title: "The item is closed".into(),
            detail: "the item is closed since\n2026".into(),
            instance: Some("0198".into()),
            ..Problem::default()
        }
    }

    #[test]
    fn a_problem_is_one_line_with_the_request_it_belongs_to() {
        assert_eq!(told(&problem(409)), "The item is closed: the item is closed since\\n2026 (request 0198)");
        let bare = Problem { title: "Not found".into(), ..Problem::default() };
        assert_eq!(told(&bare), "Not found");
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not_and_what_may_be_done_from_what_is_not() {
        let refused = |status| ClientError::Refused { problem: problem(status), retry_after: None };
        let base = || "http://localhost:8470".to_owned();
        let stranger = |status| ClientError::Stranger { base: base(), what: String::new(), status };
        for (error, may_pass, may_be_done) in [
            (ClientError::Unreachable { base: base(), cause: String::new() }, true, false),
            (ClientError::BrokenOff { base: base(), cause: String::new() }, true, true),
            (refused(503), true, false),
            (refused(507), true, false),
            (refused(429), true, false),
            (refused(500), true, true),
            (refused(403), false, false),
            (refused(409), false, false),
            (stranger(Some(502)), true, true),
            (stranger(Some(404)), false, false),
            (stranger(None), false, true),
        ] {
            assert_eq!((error.may_pass(), error.may_be_done()), (may_pass, may_be_done), "{error:?}");
        }
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
