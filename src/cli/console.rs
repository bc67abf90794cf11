//! Where commands print, and the time by which they tell ages. Handed in, so that tests can read what is printed.

use std::io::{self, Write};

use super::error::CliError;
use crate::model::{Clock, SystemClock, Timestamp};

/// What a command prints to.
pub struct Console<'a> {
    /// Results: stdout.
    pub out: &'a mut dyn Write,
    /// Everything else that people should know: stderr.
    pub notes: &'a mut dyn Write,
    /// Now, by the clock of this machine.
    pub now: Timestamp,
}

impl Console<'_> {
    /// Runs a command on the stdout and stderr of this process, and sees to it that all of its output gets out.
    pub fn of_this_process(
        command: impl FnOnce(&mut Console<'_>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        // Not line by line: that would be a system call for each of a million lines.
        let mut out = io::BufWriter::new(io::stdout());
        let mut notes = io::stderr();
        let now = SystemClock::new().wall();
        let result = command(&mut Console { out: &mut out, notes: &mut notes, now });
        // Also after an error: what came before it is still true.
        let flushed = out.flush();
        result?;
        Ok(flushed?)
    }
}
