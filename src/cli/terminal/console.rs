//! stdout, stderr and the current time, injected so that tests can read the output.
//!
//! Invariant: control characters in text from elsewhere are escaped in lines and documents.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::model::text::{Plain, is_unprintable};
use crate::model::{Clock, SystemClock, Timestamp};

pub struct Console<'a> {
    /// stdout, for results.
    pub out: &'a mut dyn Write,
    /// stderr, for everything else. Errors of writing to it are ignored.
    pub err: &'a mut dyn Write,
    /// By the clock of this machine.
    pub now: Timestamp,
}

impl Console<'_> {
    /// Runs a command with the stdout and stderr of this process, and flushes the output.
    pub fn of_this_process<E: From<io::Error>>(
        command: impl FnOnce(&mut Console<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // Line buffering would be a system call for each of a million lines.
        let mut out = io::BufWriter::new(io::stdout());
        let mut err = IgnoringErrors(io::stderr());
        let now = SystemClock::new().wall();
        let result = command(&mut Console { out: &mut out, err: &mut err, now });
        // Also after an error: the output before it is valid.
        let flushed = out.flush();
        result?;
        Ok(flushed?)
    }

    /// Prints a line to stdout.
    pub fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{}", Plain(line))
    }

    /// Prints a JSON document to stdout.
    pub fn document(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", plain_json(text))
    }

    /// Prints a value as a JSON document to stdout.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.document(&serde_json::to_string(value)?)
    }

    /// Prints a line to stderr.
    pub fn message(&mut self, line: impl Display) {
        // Without stderr only the exit code is left.
        let _ = writeln!(self.err, "{}", Plain(line));
    }
}

/// Anything else counts as no.
pub fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// Escapes the control characters in JSON that a terminal could interpret. JSON requires that only of some.
pub fn plain_json(text: &str) -> Cow<'_, str> {
    // Outside of strings only these occur, and in strings JSON escapes them.
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

/// Ignores write errors, so that a command goes on when its stderr is closed.
struct IgnoringErrors<W>(W);

impl<W: Write> Write for IgnoringErrors<W> {
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
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes(" Yes \n"));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("no") && !is_yes("yeah"));
    }

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
        assert!(writeln!(IgnoringErrors(Closed), "line 1: refused").is_ok());
    }
}
