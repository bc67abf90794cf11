//! Exit codes: what a script can tell from how `warden` ended. Numbers from 64 to 78 are those of BSD's `sysexits.h`.

use std::io::ErrorKind;
use std::process::ExitCode;

use crate::app::AppError;
use crate::store::sled::OpenError;
use crate::store::sled::check::CheckError;

/// The exit codes, for `warden --help`.
pub const HELP: &str = "\
Exit codes:
  0   done
  1   the daemon refused it: no such item or incident, a conflict, a value it does not take, lines of an import;
      a receiver did not take its test; a recovery did not get all of its items done; a replay that was followed paused,
      or not all of its items got through
  64  the command line is wrong
  65  the configuration or the data is wrong, or an export that was handed in is incomplete
  69  not available: the daemon is not reachable or overloaded, the disk is full, the address or directory is taken
  70  the daemon or this program failed
  74  something cannot be read or written
  77  not allowed: the token is missing or does not allow it, or the system denies access
  130 interrupted, by Ctrl-C or a signal";

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Success = 0,
    /// The daemon refused what was asked, or part of it; or a receiver did, or a command that was to recover an item.
    Refused = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The configuration, or data that was to be read, is wrong or not all there.
    Data = 65,
    /// Something that is needed is not there, or is busy. Trying again later may help.
    Unavailable = 69,
    /// The program failed.
    Internal = 70,
    /// Something cannot be read or written.
    InputOutput = 74,
    /// Somebody does not allow it.
    Permission = 77,
    /// Somebody interrupted it. The number is how shells tell of Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// What it means for the command that a daemon answered with this HTTP status, which is none of 2xx.
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
    /// None of them is [`Exit::Data`]: that is for what is damaged, of which they say nothing.
    fn from(error: &CheckError) -> Self {
        match error {
            CheckError::Locked(_) | CheckError::Format { .. } => Self::Unavailable,
            CheckError::Unusable(OpenError::Unusable { error, .. }) | CheckError::Scratch { error, .. }
                if error.kind() == ErrorKind::PermissionDenied =>
            {
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
            AppError::Open(OpenError::Unusable { error, .. }) | AppError::System(error)
                if error.kind() == ErrorKind::PermissionDenied =>
            {
                Self::Permission
            }
            AppError::Listen(error) if error.is_denied() => Self::Permission,
            AppError::Open(OpenError::Unusable { .. } | OpenError::Unreadable { .. })
            | AppError::Stalled(_) => Self::InputOutput,
            AppError::Open(
                OpenError::NotOurs { .. }
                | OpenError::Format { .. }
                | OpenError::Damaged { .. }
                | OpenError::Log { .. }
                | OpenError::TooSmall { .. }
                | OpenError::Incomplete { .. },
            ) => Self::Data,
            AppError::Open(OpenError::Locked(_)) | AppError::Listen(_) => Self::Unavailable,
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
