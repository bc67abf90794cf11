//! Why a command failed, for the person at the terminal.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use warden_client::Error as ClientError;

use crate::app::AppError;
use crate::cli::daemon::wording;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::exit::Exit;
use crate::cli::terminal::sink::SinkError;
use crate::config::ConfigError;
use crate::model::text::Plain;
use crate::store::CheckError;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line is invalid.
    #[error("{0}")]
    Usage(String),
    /// One line for each problem.
    #[error("the configuration is wrong:\n{0}")]
    Config(#[from] ConfigError),
    /// There are warnings, which are printed already, and `--strict`.
    #[error("{}, and --strict allows none", counted(*.0 as u64, "warning"))]
    Warnings(usize),
    /// The daemon could not start or stopped with an error.
    #[error(transparent)]
    App(#[from] AppError),
    #[error("{}", wording::worded(.0))]
    Client(#[from] ClientError),
    #[error("cannot {verb} {}: {error}", path.display())]
    File {
        /// `read` or `write`.
        verb: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// The input is invalid or incomplete.
    #[error("{0}")]
    Data(String),
    /// A data directory could not be checked.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A data directory is damaged; the findings are printed already.
    #[error("{} is damaged in {}: {remedy}", path.display(), counted(*count as u64, "place"))]
    DataDamaged {
        path: PathBuf,
        /// Findings.
        count: usize,
        remedy: &'static str,
    },
    /// Lines of an import were refused; the reasons are printed already.
    #[error("refused {refused} of {}", counted(*lines, "line"))]
    LinesRefused { refused: u64, lines: u64 },
    /// Items of a recovery are not done; the reasons are printed already.
    #[error("not done: {left} of {}", counted(*items, "item"))]
    ItemsLeft { left: u64, items: u64 },
    /// A person chose to stop after the canary.
    #[error("stopped after the canary")]
    Declined,
    /// A person was asked before many items are changed, and did not agree.
    #[error("nothing was changed")]
    Unconfirmed,
    /// The command for recovering items cannot be run.
    #[error("cannot run {}: {error}", program.display())]
    Command { program: OsString, error: io::Error },
    /// The command for recovering items does not exist.
    #[error(
        "there is no command {}: give the path of a file, such as ./upload-again.sh, or the name of one in \
         PATH",
        .0.display()
    )]
    NoCommand(OsString),
    /// stdout of the commands of a recovery was closed.
    #[error("stdout was closed: items that had not begun are unchanged")]
    Unread,
    /// By Ctrl-C or another signal.
    #[error("interrupted")]
    Interrupted,
    /// The test of a receiver failed; the reason is printed already.
    #[error("{0} did not take the test notification")]
    NotDelivered(String),
    /// A replay that was followed paused or ended with failures.
    #[error("{0}")]
    ReplayNotDone(String),
    /// The command of `warden run` ended with this code, or by a signal whose number is 128 less. What
    /// there is to say is said already.
    #[error("the command ended with {0}")]
    Ended(u8),
    /// A run was created and does not begin yet.
    #[error("{0}")]
    RunHeld(String),
    #[error("{0}")]
    TimedOut(String),
    /// Spooled reports were refused; the reasons are printed already.
    #[error("{0}")]
    NotReported(String),
    /// stdout cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The process could not be set up, for example for lack of threads.
    #[error("cannot start: {0}")]
    Start(String),
}

impl From<SinkError> for CliError {
    fn from(error: SinkError) -> Self {
        match error {
            SinkError::Output(error) => Self::Output(error),
            SinkError::File { path, error } => Self::File { verb: "write", path, error },
        }
    }
}

impl CliError {
    pub fn exit(&self) -> Exit {
        match self {
            // The reader has seen enough, as `head` has.
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
            Self::File { error, .. } if error.kind() == ErrorKind::PermissionDenied => Exit::Permission,
            Self::File { .. } | Self::Output(_) => Exit::InputOutput,
            Self::Usage(_) | Self::NoCommand(_) => Exit::Usage,
            Self::Config(_) | Self::Warnings(_) | Self::Data(_) | Self::DataDamaged { .. } => Exit::Data,
            Self::Check(error) => error.into(),
            Self::App(error) => error.into(),
            Self::Client(error) => wording::exit(error),
            Self::Command { error, .. } => match error.kind() {
                ErrorKind::NotFound => Exit::Usage,
                ErrorKind::PermissionDenied => Exit::Permission,
                _ => Exit::Unavailable,
            },
            Self::LinesRefused { .. }
            | Self::ItemsLeft { .. }
            | Self::Declined
            | Self::Unconfirmed
            | Self::Unread
            | Self::NotDelivered(_)
            | Self::ReplayNotDone(_)
            | Self::NotReported(_)
            | Self::Ended(_) => Exit::Refused,
            Self::RunHeld(_) => Exit::RunHeld,
            Self::TimedOut(_) => Exit::TimedOut,
            Self::Interrupted => Exit::Interrupted,
            Self::Start(_) => Exit::Internal,
        }
    }

    /// Prints the error to stderr, unless the exit code is success. An error of the daemon goes to its log,
    /// if there is one.
    pub fn report(&self) -> ExitCode {
        if let Self::Ended(code) = self {
            return ExitCode::from(*code);
        }
        let exit = self.exit();
        if matches!(self, Self::App(_)) && tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!("{self}");
        } else if exit != Exit::Success {
            let text = self.to_string();
            // Escapes control characters in names and file contents, but keeps the lines of several problems.
            let lines = text.lines().map(|line| Plain(line).to_string()).collect::<Vec<_>>().join("\n");
            // Without stderr only the exit code is left.
            let _ = writeln!(io::stderr(), "warden: {lines}");
        }
        exit.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let error = CliError::from(io::Error::from(ErrorKind::BrokenPipe));
        assert_eq!(error.exit(), Exit::Success);
        let error = CliError::from(io::Error::from(ErrorKind::StorageFull));
        assert_eq!(error.exit(), Exit::InputOutput);
    }
}
