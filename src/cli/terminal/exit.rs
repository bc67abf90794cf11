//! Exit codes, for scripts. Those from 64 to 78 have the meaning of BSD's `sysexits.h`.

use std::io::ErrorKind;
use std::process::ExitCode;

use warden_api::Problem;

use crate::app::AppError;
use crate::store::{CheckError, OpenErrorKind};

/// Printed by `warden --help`.
pub const HELP: &str = "\
Exit codes:
  0   done
  1   refused: no such item or incident, a conflict, a refused line of an import;
      a test was not delivered; items of a recovery are not done; a followed replay paused or failed
  64  the command line is wrong, or the daemon finds a value in it invalid
  65  the configuration or the data is invalid, or the export to be imported is incomplete
  69  unavailable: the daemon is unreachable or overloaded, the disk is full, the address or the
      directory is in use
  70  the daemon or this program failed
  74  an input or output error
  77  permission denied: the token is missing or insufficient, or the system denies access
  80  the run is held: it is created, and opens later
  81  no run was opened: another one is open
  82  no run was opened: the workflow is on hold, and a run is held already
  83  no run was opened: a required workflow has not succeeded
  84  a run that was waited for has failed
  85  the wait has timed out
  86  there is no such workflow
  130 interrupted, by Ctrl-C or a signal";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Success = 0,
    /// The daemon refused the request or a part of it; or a receiver or a command failed.
    Refused = 1,
    Usage = 64,
    /// The configuration or the input is invalid or incomplete.
    Data = 65,
    /// Something is missing or in use. A retry may succeed.
    Unavailable = 69,
    Internal = 70,
    InputOutput = 74,
    Permission = 77,
    // Few programs end with these, so that `warden run` can use them besides the codes of its command.
    /// A run was created and does not begin yet.
    RunHeld = 80,
    RunOpen = 81,
    WorkflowHeld = 82,
    RequirementNotMet = 83,
    RunFailed = 84,
    TimedOut = 85,
    WorkflowNotFound = 86,
    /// 128 + SIGINT, as in shells.
    Interrupted = 130,
}

impl Exit {
    /// For a problem that scripts tell from others.
    pub fn of_problem(problem: Problem) -> Option<Self> {
        Some(match problem {
            // The same as for what this program refuses itself.
            Problem::InvalidRequest => Self::Usage,
            Problem::ConfigurationInvalid => Self::Data,
            Problem::RunOpen => Self::RunOpen,
            Problem::WorkflowHeld => Self::WorkflowHeld,
            Problem::RequirementNotMet => Self::RequirementNotMet,
            Problem::RunFailed => Self::RunFailed,
            Problem::WorkflowNotFound => Self::WorkflowNotFound,
            _ => return None,
        })
    }

    /// For a status that is not 2xx.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Permission,
            429 | 503 | 507 => Self::Unavailable,
            400..500 => Self::Refused,
            _ => Self::Internal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&CheckError> for Exit {
    /// Never [`Exit::Data`], which is for findings of damage.
    fn from(error: &CheckError) -> Self {
        match error {
            CheckError::Locked(_) | CheckError::Format { .. } => Self::Unavailable,
            CheckError::Unusable(error) if error.kind() == OpenErrorKind::Denied => Self::Permission,
            CheckError::Scratch { error, .. } if error.kind() == ErrorKind::PermissionDenied => {
                Self::Permission
            }
            CheckError::NoData { .. }
            | CheckError::Unusable(_)
            | CheckError::NoRoom { .. }
            | CheckError::Scratch { .. } => Self::InputOutput,
            CheckError::Stopped => Self::Interrupted,
        }
    }
}

impl From<&AppError> for Exit {
    fn from(error: &AppError) -> Self {
        match error {
            AppError::Open(error) => match error.kind() {
                OpenErrorKind::Denied => Self::Permission,
                OpenErrorKind::InputOutput => Self::InputOutput,
                OpenErrorKind::Locked => Self::Unavailable,
                OpenErrorKind::Foreign | OpenErrorKind::Damaged | OpenErrorKind::TooSmall => Self::Data,
            },
            AppError::System(error) if error.kind() == ErrorKind::PermissionDenied => Self::Permission,
            AppError::Listen(error) if error.is_denied() => Self::Permission,
            AppError::Definition(_) => Self::Data,
            AppError::Stalled(_) => Self::InputOutput,
            AppError::Listen(_) => Self::Unavailable,
            AppError::Store(_) | AppError::Outbound(_) | AppError::LoopEnded | AppError::System(_) => {
                Self::Internal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        let all = [
            Exit::Success,
            Exit::Refused,
            Exit::Usage,
            Exit::Data,
            Exit::Unavailable,
            Exit::Internal,
            Exit::InputOutput,
            Exit::Permission,
            Exit::RunHeld,
            Exit::RunOpen,
            Exit::WorkflowHeld,
            Exit::RequirementNotMet,
            Exit::RunFailed,
            Exit::TimedOut,
            Exit::WorkflowNotFound,
            Exit::Interrupted,
        ];
        let shown = HELP.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
        assert_eq!(shown.collect::<Vec<u8>>(), all.map(|exit| exit as u8));
    }

    #[test]
    fn a_status_that_may_pass_is_told_from_one_that_will_not() {
        for (status, exit) in [
            (404, Exit::Refused),
            (409, Exit::Refused),
            (403, Exit::Permission),
            (503, Exit::Unavailable),
            (507, Exit::Unavailable),
            (500, Exit::Internal),
        ] {
            assert_eq!(Exit::of_status(status), exit, "{status}");
        }
    }
}
