//! Where commands print, and the time by which they tell ages. Handed in, so that tests can read what is printed.
//!
//! What comes from elsewhere steers no terminal: lines and documents have the characters written out that would.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use crate::model::text::{Plain, is_unprintable};
use crate::model::{Clock, SystemClock, Timestamp};

/// What a command prints to.
pub struct Console<'a> {
    /// Results: stdout.
    pub out: &'a mut dyn Write,
    /// Everything else that people should know: stderr. That it cannot be written is no error.
    pub notes: &'a mut dyn Write,
    /// Now, by the clock of this machine.
    pub now: Timestamp,
}

impl Console<'_> {
    /// Runs a command on the stdout and stderr of this process, and sees to it that all of its output gets out.
    pub fn of_this_process<E: From<io::Error>>(
        command: impl FnOnce(&mut Console<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // Not line by line: that would be a system call for each of a million lines.
        let mut out = io::BufWriter::new(io::stdout());
        let mut notes = Unmissed(io::stderr());
        let now = SystemClock::new().wall();
        let result = command(&mut Console { out: &mut out, notes: &mut notes, now });
        // Also after an error: what came before it is still true.
        let flushed = out.flush();
        result?;
        Ok(flushed?)
    }

    /// Prints a result of one line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{}", Plain(line))
    }

    /// Prints a result that is a JSON document.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn document(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", plain_json(text))
    }

    /// Tells something else, in one line.
    pub fn note(&mut self, line: impl Display) {
        // Without stderr the exit code has to do.
        let _ = writeln!(self.notes, "{}", Plain(line));
    }
}

/// The same JSON with characters that would steer a terminal written as escapes. JSON itself demands that only of some.
pub fn plain_json(text: &str) -> Cow<'_, str> {
    // Outside of strings these are the only ones, and within them JSON has them escaped.
    let steers = |character| is_unprintable(character) && !matches!(character, '\n' | '\r' | '\t');
    if !text.contains(steers) {
        return text.into();
    }
    let plain = text.chars().fold(String::with_capacity(text.len() + 16), |mut plain, character| {
        if steers(character) {
            plain.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            plain.push(character);
        }
        plain
    });
    plain.into()
}

/// Takes everything, whether it can be written or not: what a command does must not depend on whether somebody listens.
struct Unmissed<W>(W);

impl<W: Write> Write for Unmissed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_says_the_same_without_what_steers_a_terminal() {
        let text = "{\"id\": \"\u{9b}2J\u{7f}\u{202e}ü\",\n\t\"n\": 1}";
        let plain = plain_json(text);
        assert_eq!(plain, "{\"id\": \"\\u009b2J\\u007f\\u202eü\",\n\t\"n\": 1}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&plain), value(text));
    }

    #[test]
    fn that_nobody_listens_ends_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        assert!(writeln!(Unmissed(Closed), "line 1: refused").is_ok());
    }
}
