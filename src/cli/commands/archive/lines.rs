//! Reads lines, and compares them with their end.

use std::io::{self, BufRead, ErrorKind, Read};
use std::path::Path;

use warden_api::line::End;

use super::ledger::{Entry, Ledger};
use super::{LINE_MAX, Source};

/// A line that is neither blank nor an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// In the input, from 1.
    pub number: u64,
    /// Including the line feed.
    pub text: Vec<u8>,
    /// Where an export resumes after it.
    pub cursor: Option<String>,
    /// Whether the line feed was in the input.
    pub is_ended: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error(transparent)]
    Read(io::Error),
    /// The input is not what was written.
    #[error("{0}")]
    Damaged(String),
}

/// Whether the lines are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They have an end.
    Whole,
    /// The end is missing.
    Incomplete,
    /// They are not from an export.
    Unknown,
}

pub struct Lines {
    source: Source,
    /// Of the last line that was read.
    number: u64,
    /// Lines that are not ends, and ends.
    items: u64,
    ends: u64,
    /// The lines since the last end.
    ledger: Ledger,
    /// A line since the last end ends with CR LF, which no export writes.
    has_carriage_returns: bool,
    /// The input ends within a line of an export, or within a frame.
    is_cut: bool,
}

impl Lines {
    /// Opens a file, or stdin for `-`. Fails if it begins like another format.
    pub fn open(path: &Path) -> Result<Self, LineError> {
        match Source::open(path) {
            Ok(source) => Ok(Self::of(source)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(LineError::Damaged(error.to_string()))
            }
            Err(error) => Err(LineError::Read(error)),
        }
    }

    pub fn is_compressed(&self) -> bool {
        self.source.is_compressed()
    }

    pub fn of(source: Source) -> Self {
        Self {
            source,
            number: 0,
            items: 0,
            ends: 0,
            ledger: Ledger::default(),
            has_carriage_returns: false,
            is_cut: false,
        }
    }

    /// The next line, `None` at the end of the input. Ends are checked and skipped. A line that is not JSON
    /// is returned as it is.
    pub fn next_line(&mut self) -> Result<Option<Line>, LineError> {
        loop {
            let mut text = Vec::new();
            let read = (&mut self.source).take(LINE_MAX as u64 + 1).read_until(b'\n', &mut text);
            // A partial line before the cut may be incomplete, so it is dropped.
            let Some(read) = self.unless_cut(read)? else { return Ok(None) };
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read > LINE_MAX {
                let what = format!("line {} is longer than {LINE_MAX} bytes", self.number);
                return Err(LineError::Damaged(what));
            }
            if text.trim_ascii().is_empty() {
                self.ledger.pass_over(&text);
                continue;
            }
            let is_ended = text.last() == Some(&b'\n');
            self.has_carriage_returns |= text.ends_with(b"\r\n");
            let cursor = match Entry::read(&text) {
                Entry::End(end) => {
                    self.seal(&end)?;
                    continue;
                }
                // The partially written last line of an interrupted export.
                Entry::Unreadable if !is_ended && self.ledger.cursor().is_some() => {
                    self.is_cut = true;
                    return Ok(None);
                }
                Entry::Unreadable => None,
                Entry::Item(cursor) => cursor,
            };
            self.ledger.add(&text, cursor.as_deref());
            self.items += 1;
            if !is_ended {
                text.push(b'\n');
            }
            return Ok(Some(Line { number: self.number, text, cursor, is_ended }));
        }
    }

    fn seal(&mut self, end: &End) -> Result<(), LineError> {
        let number = self.number;
        let hint = if self.has_carriage_returns {
            "; lines end with CR LF, as an editor or a transfer in text mode leaves them: take the CRs off \
            with `tr -d '\\r'`"
        } else {
            ""
        };
        let different = |what| LineError::Damaged(format!("the end at line {number} {what}{hint}"));
        self.ledger.check(end).map_err(different)?;
        self.ledger = Ledger::default();
        self.has_carriage_returns = false;
        self.ends += 1;
        Ok(())
    }

    /// Valid after the last line.
    pub fn ending(&self) -> Ending {
        match self.ledger.cursor() {
            _ if self.is_cut => Ending::Incomplete,
            Some(_) => Ending::Incomplete,
            None if self.ends > 0 && self.ledger.lines() == 0 => Ending::Whole,
            None => Ending::Unknown,
        }
    }

    /// The lines so far, without ends.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// The ends so far.
    pub fn ends(&self) -> u64 {
        self.ends
    }

    /// The lines since the last end.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The bytes of the input that were read so far.
    pub fn position(&self) -> u64 {
        self.source.position()
    }

    /// The offset in the input after the last line, if the input could end there.
    pub fn boundary(&mut self) -> Result<Option<u64>, LineError> {
        let boundary = self.source.boundary();
        Ok(self.unless_cut(boundary)?.flatten())
    }

    /// `None` if the input ended too early, which is recorded.
    fn unless_cut<T>(&mut self, read: io::Result<T>) -> Result<Option<T>, LineError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.is_cut = true;
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(LineError::Damaged(error.to_string()))
            }
            Err(error) => Err(LineError::Read(error)),
        }
    }
}

#[cfg(test)]
mod tests;
