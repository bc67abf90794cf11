//! Lines as they are read, held to their ends.

use std::io::{self, BufRead, ErrorKind, Read};
use std::path::Path;

use warden_api::line::End;

use super::ledger::{Entry, Ledger};
use super::{LINE_MAX, Source};

/// A line that is neither blank nor an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the input, from 1.
    pub number: u64,
    /// Its bytes, with the line feed at its end.
    pub text: Vec<u8>,
    /// Where an export goes on behind it, if an export wrote it.
    pub cursor: Option<String>,
    /// Whether the line feed was there.
    pub is_ended: bool,
}

/// Why no line can be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The input cannot be read.
    #[error(transparent)]
    Read(io::Error),
    /// The input is not what was written.
    #[error("{0}")]
    Damaged(String),
}

/// Whether the lines are all that there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An end says so.
    Whole,
    /// The end is missing.
    Incomplete,
    /// Nobody knows: they come from no export.
    Unknown,
}

/// The lines of a source.
pub struct Lines {
    source: Source,
    /// The number of the line that was read last.
    number: u64,
    /// How many lines there were that are no ends, and how many ends.
    items: u64,
    ends: u64,
    /// What is known of the lines since the last end.
    ledger: Ledger,
    /// Whether a line since the last end ends with CR LF, which no export writes.
    has_carriage_returns: bool,
    /// Whether the input broke off within a line of an export, or within a frame.
    is_cut: bool,
}

impl Lines {
    /// The lines of a file, or of standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be read, or begins like something else.
    pub fn open(path: &Path) -> Result<Self, LineError> {
        match Source::open(path) {
            Ok(source) => Ok(Self::of(source)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(LineError::Damaged(error.to_string()))
            }
            Err(error) => Err(LineError::Read(error)),
        }
    }

    /// Whether what is read is compressed.
    pub fn is_compressed(&self) -> bool {
        self.source.is_compressed()
    }

    /// The lines of this source.
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

    /// The next line; nothing at the end of the input. An end is checked and passed over.
    ///
    /// # Errors
    /// When the input cannot be read, is damaged, or is not what an end says. A line that is no JSON is none of these.
    pub fn next_line(&mut self) -> Result<Option<Line>, LineError> {
        loop {
            let mut text = Vec::new();
            let read = (&mut self.source).take(LINE_MAX as u64 + 1).read_until(b'\n', &mut text);
            // What came of a line before the cut cannot be trusted to be all of it.
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
                // Of an export, it is what was written of its last line before something happened.
                Entry::Unreadable if !is_ended && self.ledger.cursor().is_some() => {
                    self.is_cut = true;
                    return Ok(None);
                }
                Entry::Unreadable => None,
                Entry::Item(cursor) => cursor,
            };
            self.ledger.note(&text, cursor.as_deref());
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
            "; lines end with CR LF, as an editor or a transfer in text mode leaves them: take the CRs off with `tr -d '\\r'`"
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

    /// Whether the lines that were read are all that there were, once there are no more.
    pub fn ending(&self) -> Ending {
        match self.ledger.cursor() {
            _ if self.is_cut => Ending::Incomplete,
            Some(_) => Ending::Incomplete,
            None if self.ends > 0 && self.ledger.lines() == 0 => Ending::Whole,
            None => Ending::Unknown,
        }
    }

    /// How many lines there were that are no ends.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// How many ends there were.
    pub fn ends(&self) -> u64 {
        self.ends
    }

    /// What is known of the lines since the last end.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How many bytes of the input were taken so far.
    pub fn position(&self) -> u64 {
        self.source.position()
    }

    /// The place in the input behind the last line, if the input could end there.
    ///
    /// # Errors
    /// When what follows cannot be read or is damaged.
    pub fn boundary(&mut self) -> Result<Option<u64>, LineError> {
        let boundary = self.source.boundary();
        Ok(self.unless_cut(boundary)?.flatten())
    }

    /// What was read; nothing, and a note of it, if the input broke off instead.
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
mod tests {
    use std::io::Cursor;

    use super::*;

    fn item(number: usize) -> String {
        format!("{{\"op\":\"create\",\"cursor\":\"c{number}\",\"payload\":\"{}\"}}\n", "x".repeat(number))
    }

    fn end(lines: &str) -> String {
        let mut ledger = Ledger::default();
        lines.split_inclusive('\n').for_each(|line| ledger.note(line.as_bytes(), None));
        String::from_utf8(ledger.end()).unwrap()
    }

    /// The numbers of the lines, and how they ended.
    fn read(bytes: &[u8]) -> Result<(Vec<u64>, Ending), String> {
        let mut lines = Lines::of(Source::of(Cursor::new(bytes.to_vec())).unwrap());
        let mut numbers = Vec::new();
        while let Some(line) = lines.next_line().map_err(|error| error.to_string())? {
            numbers.push(line.number);
        }
        Ok((numbers, lines.ending()))
    }

    #[test]
    fn an_end_tells_the_whole_from_a_part() {
        let lines = item(1) + &item(2);
        let whole = lines.clone() + &end(&lines);
        assert_eq!(read(whole.as_bytes()), Ok((vec![1, 2], Ending::Whole)));
        assert_eq!(
            read(whole.trim().as_bytes()),
            Ok((vec![1, 2], Ending::Whole)),
            "the last line feed is no matter"
        );
        assert_eq!(read(end("").as_bytes()), Ok((vec![], Ending::Whole)));
        assert_eq!(read(lines.as_bytes()), Ok((vec![1, 2], Ending::Incomplete)));
        assert_eq!(read(lines.trim().as_bytes()), Ok((vec![1, 2], Ending::Incomplete)));
        assert_eq!(read(&lines.as_bytes()[..lines.len() - 3]), Ok((vec![1], Ending::Incomplete)));
        let twice = whole.repeat(2);
        assert_eq!(read(twice.as_bytes()), Ok((vec![1, 2, 4, 5], Ending::Whole)));
        assert_eq!(read((whole + &item(1)).as_bytes()), Ok((vec![1, 2, 4], Ending::Incomplete)));
    }

    #[test]
    fn what_was_written_by_hand_needs_no_end() {
        for (text, numbers) in [("", vec![]), ("{}\n\n{}", vec![1, 3]), ("{}\nhello", vec![1, 2])] {
            assert_eq!(read(text.as_bytes()), Ok((numbers, Ending::Unknown)), "{text}");
        }
    }

    #[test]
    fn a_changed_byte_anywhere_before_the_end_is_noticed() {
        let lines = item(1) + &item(2) + &item(3);
        let whole = lines.clone() + &end(&lines);
        for place in 0..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[place] ^= 1;
            let found = read(&bytes);
            assert!(!matches!(found, Ok((_, Ending::Whole))), "byte {place}: {found:?}");
        }
        let error = read((lines.clone() + &end(&item(1))).as_bytes()).unwrap_err();
        assert_eq!(error, "the end at line 4 is for 1 lines, and there are 3 before it");
    }

    #[test]
    fn a_cut_frame_gives_the_lines_that_are_whole_and_a_damaged_one_none() {
        let lines = item(1) + &item(2);
        let frame = |text: &str| {
            let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
            compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
            compressor.compress(text.as_bytes()).unwrap()
        };
        let frames = [frame(&item(1)), frame(&(item(2) + &end(&lines)))];
        let whole = frames.concat();
        assert_eq!(read(&whole), Ok((vec![1, 2], Ending::Whole)));
        assert_eq!(read(&frames[0]), Ok((vec![1], Ending::Incomplete)));
        for length in frames[0].len() + 1..whole.len() {
            let (numbers, ending) = read(&whole[..length]).unwrap();
            assert!(
                numbers.starts_with(&[1]) && ending == Ending::Incomplete,
                "{length}: {numbers:?} {ending:?}"
            );
        }
        for place in 4..whole.len() {
            let mut bytes = whole.clone();
            // Not one bit: there is one that means nothing.
            bytes[place] ^= 0xFF;
            let found = read(&bytes);
            assert!(!matches!(found, Ok((_, Ending::Whole))), "byte {place}: {found:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::of(Source::of(io::repeat(b'x')).unwrap());
        assert!(matches!(lines.next_line(), Err(LineError::Damaged(_))));
    }
}
