//! Why a command was not done, in words for the person at the terminal.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use crate::app::AppError;
use crate::cli::daemon::client::ClientError;
use crate::cli::terminal::exit::Exit;
use crate::cli::terminal::sink::SinkError;
use crate::config::ConfigError;
use crate::model::text::Plain;
use crate::store::sled::check::CheckError;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong. Printed with each problem on a line of its own.
    #[error("the configuration is wrong:\n{0}")]
    Config(#[from] ConfigError),
    /// There are warnings, which are said already, and there should be none.
    #[error("there are {0} warnings, and --strict takes none")]
    Warnings(usize),
    /// The daemon could not start or go on.
    #[error(transparent)]
    App(#[from] AppError),
    /// The daemon that was asked could not be reached, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file, or standard input, cannot be read or written.
    #[error("cannot {verb} {}: {error}", path.display())]
    File {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What was read is not what it should be.
    #[error("{0}")]
    Data(String),
    /// A data directory was not checked.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A data directory is damaged; what of it is said already.
    #[error("{} is damaged in {}: {remedy}", path.display(), if *count == 1 { "1 place".to_owned() } else { format!("{count} places") })]
    DataDamaged {
        /// The directory.
        path: PathBuf,
        /// How many findings there are.
        count: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// Some lines of an import were refused; why is said already.
    #[error("{refused} of {lines} lines were refused")]
    LinesRefused {
        /// How many.
        refused: u64,
        /// Of how many.
        lines: u64,
    },
    /// Some items of a recovery are not done; why is said already.
    #[error("{left} of {items} items are not done")]
    ItemsLeft {
        /// How many.
        left: u64,
        /// Of how many.
        items: u64,
    },
    /// Somebody did not want a recovery to go on after its first items.
    #[error("stopped after the canary")]
    Declined,
    /// The command that was to recover items cannot be run.
    #[error("cannot run {}: {error}", program.display())]
    Command {
        /// What it is called.
        program: OsString,
        /// What the system said.
        error: io::Error,
    },
    /// Whoever read what a recovery's commands write has gone.
    #[error("nobody reads the output any more: what was not begun is left as it was")]
    Unread,
    /// Somebody pressed Ctrl-C, or sent a signal that says the same.
    #[error("interrupted")]
    Interrupted,
    /// A receiver did not take its test; why is said already.
    #[error("the test did not reach {0}")]
    NotDelivered(String),
    /// A replay that was followed did not come to a good end.
    #[error("{0}")]
    ReplayNotDone(String),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// This process cannot do what every process can.
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
    /// How the program ends by it.
    pub fn exit(&self) -> Exit {
        match self {
            // Whoever read the output has seen enough.
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Success,
            Self::File { error, .. } if error.kind() == ErrorKind::PermissionDenied => Exit::Permission,
            Self::File { .. } | Self::Output(_) => Exit::InputOutput,
            Self::Usage(_) => Exit::Usage,
            Self::Config(_) | Self::Warnings(_) | Self::Data(_) | Self::DataDamaged { .. } => Exit::Data,
            Self::Check(error) => error.into(),
            Self::App(error) => error.into(),
            Self::Client(error) => error.exit(),
            Self::Command { error, .. } => match error.kind() {
                ErrorKind::NotFound => Exit::Usage,
                ErrorKind::PermissionDenied => Exit::Permission,
                _ => Exit::Unavailable,
            },
            Self::LinesRefused { .. }
            | Self::ItemsLeft { .. }
            | Self::Declined
            | Self::Unread
            | Self::NotDelivered(_)
            | Self::ReplayNotDone(_) => Exit::Refused,
            Self::Interrupted => Exit::Interrupted,
            Self::Start(_) => Exit::Internal,
        }
    }

    /// Says it on stderr, unless there is nothing to say, and returns how the program ends. What ends the daemon goes
    /// to the log, in the log's form, if there is one.
    pub fn report(&self) -> Exit {
        let exit = self.exit();
        if matches!(self, Self::App(_)) && tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!("{self}");
        } else if exit != Exit::Success {
            let text = self.to_string();
            // A file's name, or what it holds, must not steer the terminal; of several problems each has its line.
            let lines = text.lines().map(|line| Plain(line).to_string()).collect::<Vec<_>>().join("\n");
            // Without stderr the exit code has to do.
            let _ = writeln!(io::stderr(), "warden: {lines}");
        }
        exit
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
