//! What the end of a command means for its items.
//!
//! Exit code 0 is done, 75 (`EX_TEMPFAIL`) is retry, others are failures. The exit code does not count if the
//! command was ended by this process, even if it is 0: many programs exit normally on SIGTERM. Nor does it if
//! another signal ended it, for example by Ctrl-C or a closed stdout.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use warden_api::lease::{CompleteRequest, FailRequest, FailureRequest, ReleaseRequest};
use warden_client::Settlement;

use super::tail::last_line;

/// `EX_TEMPFAIL`.
const RETRY_LATER: i32 = 75;
/// Signals that are unrelated to the item: a closed terminal, Ctrl-C, a closed stdout, a shutdown.
const STOPPED: [(Signal, &str); 4] =
    [(Signal::HUP, "SIGHUP"), (Signal::INT, "SIGINT"), (Signal::PIPE, "SIGPIPE"), (Signal::TERM, "SIGTERM")];
/// What shells add to the signal's number in their exit code.
const OF_SHELL: i32 = 128;

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// Killed after this timeout.
    TimedOut(Duration),
    /// Ended because the recovery was interrupted.
    Interrupted,
    /// Killed because the lease was lost, for this reason.
    Lost(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Failed {
        /// Of the error.
        kind: String,
        message: String,
        /// Whether it is retried automatically.
        retryable: bool,
    },
    /// As if the item had not been tried, for this reason.
    Untried(String),
    /// The lease is lost, for this reason.
    Lost(String),
}

/// What happens to an item that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnSuccess {
    /// Complete its step: the next step begins, and after the last one the item is closed
    Complete,
    /// Close it, whatever steps remain
    Close,
    /// Leave it open, for the pipeline to close
    Keep,
}

impl Verdict {
    /// `said` is the end of stderr.
    pub fn of(end: &End, said: &str) -> Self {
        match end {
            End::Exited(status) => Self::of_status(*status, said),
            End::TimedOut(timeout) => {
                let message = format!("killed after {}", humantime::format_duration(*timeout));
                let message = if said.is_empty() { message } else { format!("{message}\n{said}") };
                Self::Failed { kind: "timeout".to_owned(), message, retryable: true }
            }
            End::Interrupted => Self::Untried("interrupted".to_owned()),
            End::Lost(reason) => Self::Lost(reason.clone()),
        }
    }

    fn of_status(status: ExitStatus, said: &str) -> Self {
        if let Some(name) = stopped_by(status) {
            return Self::Untried(format!("its command was stopped by {name}"));
        }
        let (kind, retryable) = match (status.code(), status.signal()) {
            (Some(0), _) => return Self::Done,
            (Some(code), _) => (format!("exit {code}"), code == RETRY_LATER),
            (None, Some(signal)) => (format!("signal {signal}"), false),
            (None, None) => ("ended".to_owned(), false),
        };
        let message = if said.is_empty() { "stderr was empty".to_owned() } else { said.to_owned() };
        Self::Failed { kind, message, retryable }
    }

    /// `None` if the lease is lost.
    pub fn settlement(&self, on_success: OnSuccess) -> Option<Settlement> {
        match self {
            Self::Done => Some(match on_success {
                OnSuccess::Complete => complete(false),
                OnSuccess::Close => complete(true),
                OnSuccess::Keep => release(),
            }),
            Self::Failed { kind, message, retryable } => {
                let (kind, message, retryable) = (kind.clone(), message.clone(), *retryable);
                let error = FailureRequest { kind, message, retryable, ..FailureRequest::default() };
                Some(Settlement::Fail(FailRequest { error, ..FailRequest::default() }))
            }
            Self::Untried(_) => Some(release()),
            Self::Lost(_) => None,
        }
    }

    /// Why the item is not done, in one line; empty if it is.
    pub fn reason(&self) -> String {
        match self {
            Self::Done => String::new(),
            Self::Failed { kind, message, .. } => match last_line(message) {
                Some(line) => format!("{kind}: {line}"),
                None => kind.clone(),
            },
            Self::Untried(reason) | Self::Lost(reason) => reason.clone(),
        }
    }
}

fn complete(close: bool) -> Settlement {
    Settlement::Complete(CompleteRequest { close, ..CompleteRequest::default() })
}

fn release() -> Settlement {
    Settlement::Release(ReleaseRequest::default())
}

/// The signal that stopped the command, or the command of a shell which exited with 128 and its number.
fn stopped_by(status: ExitStatus) -> Option<&'static str> {
    let number = status.signal().or_else(|| status.code().map(|code| code - OF_SHELL))?;
    STOPPED.iter().find(|(signal, _)| signal.as_raw() == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::worker::tail::TAIL_MAX;
    use warden_api::limit::ERROR_MESSAGE_MAX;

    fn exited(code: i32) -> End {
        End::Exited(ExitStatus::from_raw(code << 8))
    }

    fn failed(kind: &str, message: &str, retryable: bool) -> Verdict {
        Verdict::Failed { kind: kind.to_owned(), message: message.to_owned(), retryable }
    }

    #[test]
    fn an_exit_code_says_done_later_or_failed() {
        for (end, expected) in [
            (exited(0), Verdict::Done),
            (exited(75), failed("exit 75", "no host", true)),
            (exited(1), failed("exit 1", "no host", false)),
            (exited(255), failed("exit 255", "no host", false)),
            (End::Exited(ExitStatus::from_raw(9)), failed("signal 9", "no host", false)),
            (End::TimedOut(Duration::from_secs(90)), failed("timeout", "killed after 1m 30s\nno host", true)),
            (End::Interrupted, Verdict::Untried("interrupted".to_owned())),
            (End::Lost("closed".to_owned()), Verdict::Lost("closed".to_owned())),
        ] {
            assert_eq!(Verdict::of(&end, "no host"), expected, "{end:?}");
        }
        assert_eq!(Verdict::of(&exited(2), ""), failed("exit 2", "stderr was empty", false));
    }

    #[test]
    fn a_command_that_was_stopped_says_nothing_of_its_item() {
        for (number, name) in [(1, "SIGHUP"), (2, "SIGINT"), (13, "SIGPIPE"), (15, "SIGTERM")] {
            let untried = Verdict::Untried(format!("its command was stopped by {name}"));
            for end in [End::Exited(ExitStatus::from_raw(number)), exited(128 + number)] {
                assert_eq!(Verdict::of(&end, "no host"), untried, "{end:?}");
                assert_eq!(Verdict::of(&end, "no host").settlement(OnSuccess::Close), Some(release()));
            }
        }
        for code in [128, 134, 137, 139, 142] {
            assert!(
                matches!(Verdict::of(&exited(code), ""), Verdict::Failed { retryable: false, .. }),
                "{code}"
            );
        }
    }

    #[test]
    fn a_message_fits_into_what_the_daemon_takes() {
        let said = "x".repeat(TAIL_MAX);
        let timeout = crate::model::DURATION_MAX - Duration::from_millis(1);
        for end in [exited(3), End::TimedOut(timeout)] {
            let Verdict::Failed { message, .. } = Verdict::of(&end, &said) else { panic!("{end:?}") };
            assert!(message.len() <= ERROR_MESSAGE_MAX && message.ends_with(&said));
        }
    }

    #[test]
    fn what_is_done_with_the_lease_follows_from_the_verdict_and_the_flag() {
        let done = |on_success| Verdict::Done.settlement(on_success);
        assert_eq!(done(OnSuccess::Complete), Some(complete(false)));
        assert_eq!(done(OnSuccess::Close), Some(complete(true)));
        assert_eq!(done(OnSuccess::Keep), Some(release()));
        let keep = OnSuccess::Keep;
        let error = FailureRequest {
            kind: "exit 3".to_owned(),
            message: "no".to_owned(),
            ..FailureRequest::default()
        };
        let expected = Settlement::Fail(FailRequest { error, ..FailRequest::default() });
        assert_eq!(failed("exit 3", "no", false).settlement(keep), Some(expected));
        assert_eq!(Verdict::Untried(String::new()).settlement(keep), Some(release()));
        assert_eq!(Verdict::Lost(String::new()).settlement(keep), None);
    }

    #[test]
    fn a_reason_is_one_line_that_names_the_sort_and_the_last_that_was_said() {
        let verdict = Verdict::of(&exited(3), "trying\nno such\u{1b} host\n");
        assert_eq!(verdict.reason(), "exit 3: no such\\u{1b} host");
    }
}
