//! How a command ended: the exit code that is passed on, and whether its run has failed.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::time::Duration;

use clap::Args;

use super::super::args::duration;
use super::super::spool::report::Failure;
use crate::cli::terminal::age::short;
use crate::cli::terminal::console::Console;

/// Shells end with these if a command is not executable, or does not exist.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What counts as a failure, and which ones alert.
#[derive(Args)]
pub struct Terms {
    /// A command that ends with 0 sooner has failed
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    min_time: Option<Duration>,
    /// Of failures in a row the first so many alert nobody: their runs are closed as failed, with the error.
    /// The warden counts them, over all machines
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..100))]
    pub tolerate: u32,
}

impl Terms {
    pub fn not_started(
        &self,
        command: &[OsString],
        error: &io::Error,
        console: &mut Console<'_>,
    ) -> (u8, Option<Failure>) {
        let program = command.first().cloned().unwrap_or_default();
        let message = format!("cannot run {}: {error}", program.display());
        console.message(format_args!("warden: {message}"));
        let exit_code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        (exit_code, Some(self.failure("not_started".to_owned(), message, String::new(), exit_code)))
    }

    /// What this process ends with, and whether the run has failed.
    pub fn judge(
        &self,
        code: u8,
        by_signal: bool,
        took: Duration,
        output: String,
        console: &mut Console<'_>,
    ) -> (u8, Option<Failure>) {
        let last = |what: &str| match output.lines().last() {
            Some(line) => format!("{what}: {line}"),
            None => what.to_owned(),
        };
        match (code, self.min_time) {
            (0, Some(least)) if took < least => {
                let took = humantime::format_duration(Duration::from_millis(took.as_millis() as u64));
                let message = format!("it ended after {took}, sooner than {}", short(least));
                console.message(format_args!("warden: the command counts as failed: {message}"));
                (1, Some(self.failure("min_time".to_owned(), message, output, 0)))
            }
            (0, _) => (0, None),
            (code, _) if by_signal => {
                let number = code - 128;
                let message = last(&format!("signal {number} ended it"));
                (code, Some(self.failure(format!("signal {number}"), message, output, code)))
            }
            (code, _) => {
                let message = last(&format!("it ended with {code}"));
                (code, Some(self.failure(format!("exit {code}"), message, output, code)))
            }
        }
    }

    fn failure(&self, kind: String, message: String, output: String, exit_code: u8) -> Failure {
        Failure { kind, message, output, exit_code: Some(exit_code), tolerate: self.tolerate }
    }
}
