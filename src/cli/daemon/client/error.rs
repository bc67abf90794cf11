//! Why a request to the daemon failed.

use warden_api::{Problem as Kind, ProblemDocument};

use crate::cli::terminal::exit::Exit;
use crate::cli::terminal::table::escaped;

pub type Problem = ProblemDocument<'static>;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL or the token is malformed.
    #[error("{0}")]
    Address(String),
    /// TLS or the HTTP client cannot be set up.
    #[error("cannot set up the connection: {0}")]
    Setup(String),
    /// No connection.
    #[error(
        "cannot reach a warden at {base}: is it running? start it with `warden serve`, \
         or point --url / WARDEN_URL at it ({cause})"
    )]
    Unreachable { base: String, cause: String },
    /// No response, or an incomplete one. The request may have taken effect.
    #[error("the warden at {base} did not answer to the end: {cause}; what was asked may have been done")]
    BrokenOff { base: String, cause: String },
    /// The daemon answered with a problem.
    #[error("{}", in_one_line(problem, problem.problem().and_then(list_of)))]
    Refused {
        problem: Problem,
        /// In seconds.
        retry_after: Option<u64>,
    },
    /// The response is not a warden's.
    #[error("{base} does not answer like a warden: {what}; is --url / WARDEN_URL right?")]
    Unexpected {
        base: String,
        what: String,
        /// The HTTP status, if that was unexpected.
        status: Option<u16>,
    },
}

impl ClientError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Address(_) => Exit::Usage,
            Self::Setup(_) => Exit::Internal,
            Self::Unreachable { .. } | Self::BrokenOff { .. } | Self::Unexpected { .. } => Exit::Unavailable,
            // The same as for what this program refuses itself.
            Self::Refused { problem, .. } if problem.problem() == Some(Kind::InvalidRequest) => Exit::Usage,
            Self::Refused { problem, .. } => Exit::of_status(problem.status),
        }
    }

    /// Whether a retry may succeed: the daemon, or a proxy before it, is starting, stopping or overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Address(_) | Self::Setup(_) => false,
            Self::Unreachable { .. } | Self::BrokenOff { .. } => true,
            Self::Refused { problem, .. } => matches!(problem.status, 408 | 429 | 500..),
            // A proxy whose backend restarts sends its own error page.
            Self::Unexpected { status, .. } => matches!(status, Some(429 | 500..)),
        }
    }

    /// Whether the request may have taken effect despite the error.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Address(_) | Self::Setup(_) | Self::Unreachable { .. } => false,
            Self::BrokenOff { .. } => true,
            Self::Refused { problem, .. } => problem.status == 500,
            Self::Unexpected { status, .. } => matches!(status, None | Some(500..)),
        }
    }

    /// The daemon's `Retry-After`, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// If the daemon is overloaded (429 or 503), the seconds to wait before a retry.
    pub fn overload_delay(&self) -> Option<u64> {
        match self {
            Self::Refused { problem: Problem { status: 429 | 503, .. }, retry_after } => {
                Some(retry_after.unwrap_or(1))
            }
            _ => None,
        }
    }
}

/// A problem in one line.
pub fn describe(problem: &Problem) -> String {
    in_one_line(problem, None)
}

fn in_one_line(problem: &Problem, advice: Option<&str>) -> String {
    let (title, detail) = (escaped(&problem.title), escaped(&problem.detail));
    let mut text = match (&*title, &*detail) {
        (title, "") => title.to_owned(),
        ("", detail) => detail.to_owned(),
        (_, detail) if stands_alone(problem) => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    };
    if let Some(advice) = advice {
        text.push_str(&format!("; {advice}"));
    }
    if let Some(id) = &problem.instance {
        text.push_str(&format!(" (request {})", escaped(id)));
    }
    text
}

/// Whether the detail says what the title does.
fn stands_alone(problem: &Problem) -> bool {
    match problem.problem() {
        Some(Kind::PayloadGone) | None => false,
        // Their details are the causes.
        Some(kind) => kind.status() < 500,
    }
}

/// Where those that exist are listed.
fn list_of(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::ItemNotFound => "`warden items --all` lists those that there are",
        Kind::IncidentNotFound => "`warden incidents --status any` lists those that there are",
        Kind::DeliveryNotFound => "`warden deliveries` lists those that there are",
        Kind::SilenceNotFound => "`warden silence list` lists those that there are",
        Kind::ReplayNotFound => "`warden replay list` lists those that there are",
        _ => return None,
    })
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
        let unknown = "The item is closed: the item is closed since\\n2026 (request 0198)";
        assert_eq!(describe(&problem(409)), unknown);
        let of = |kind: Kind, detail: &'static str| Problem {
            kind: format!("/problems/{}", kind.slug()).into(),
            status: kind.status(),
            title: kind.title().into(),
            detail: detail.into(),
            ..Problem::default()
        };
        assert_eq!(describe(&of(Kind::ItemClosed, "the item is closed")), "the item is closed");
        assert_eq!(describe(&of(Kind::ItemClosed, "")), "The item is closed");
        assert_eq!(describe(&of(Kind::PayloadGone, "it went")), "The payload is gone: it went");
        assert_eq!(describe(&of(Kind::StoreFailed, "look again")), "The store failed: look again");
        let problem = of(Kind::ReplayNotFound, "there is no such replay");
        let missing = "there is no such replay; `warden replay list` lists those that there are";
        assert_eq!(ClientError::Refused { problem, retry_after: None }.to_string(), missing);
        let bare = Problem { title: "Not found".into(), ..Problem::default() };
        assert_eq!(describe(&bare), "Not found");
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not_and_what_may_be_done_from_what_is_not() {
        let refused = |status| ClientError::Refused { problem: problem(status), retry_after: None };
        let base = || "http://localhost:8470".to_owned();
        let unexpected = |status| ClientError::Unexpected { base: base(), what: String::new(), status };
        for (error, is_transient, may_have_taken_effect) in [
            (ClientError::Unreachable { base: base(), cause: String::new() }, true, false),
            (ClientError::BrokenOff { base: base(), cause: String::new() }, true, true),
            (refused(503), true, false),
            (refused(507), true, false),
            (refused(429), true, false),
            (refused(500), true, true),
            (refused(403), false, false),
            (refused(409), false, false),
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
    fn an_invalid_request_exits_like_a_wrong_command_line() {
        let refused = |kind: Kind| {
            let kind = format!("/problems/{}", kind.slug()).into();
            ClientError::Refused { problem: Problem { kind, ..problem(400) }, retry_after: None }
        };
        assert_eq!(refused(Kind::InvalidRequest).exit(), Exit::Usage);
        assert_eq!(refused(Kind::IncompleteBody).exit(), Exit::Refused);
    }

    #[test]
    fn only_overload_is_worth_another_try() {
        let refused = |status, retry_after| ClientError::Refused { problem: problem(status), retry_after };
        assert_eq!(refused(503, Some(7)).overload_delay(), Some(7));
        assert_eq!(refused(429, None).overload_delay(), Some(1));
        assert_eq!(refused(507, Some(30)).overload_delay(), None);
        assert_eq!(refused(409, None).overload_delay(), None);
    }
}
