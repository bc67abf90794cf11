//! Number, hash and last cursor of the lines of a file, and the comparison with its end.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use warden_api::line::End;
use warden_api::word::LineOperation;

use crate::cli::terminal::count::counted;

#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// A line to be imported. An export resumes after it at the cursor, if it has one.
    Item(Option<String>),
    /// The end of the lines before it.
    End(End),
    /// Not a complete JSON object.
    Unreadable,
}

/// The fields that are parsed of a line which is otherwise passed on.
#[derive(Deserialize)]
struct Marks {
    op: Option<String>,
    cursor: Option<String>,
}

impl Entry {
    pub fn read(line: &[u8]) -> Self {
        match serde_json::from_slice(line) {
            Ok(Marks { op: Some(op), .. }) if op == LineOperation::End.as_str() => {
                serde_json::from_slice(line).map_or(Self::Unreadable, Self::End)
            }
            Ok(Marks { cursor, .. }) => Self::Item(cursor),
            Err(_) => Self::Unreadable,
        }
    }
}

/// Describes the lines since the beginning, or since the last end.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    lines: u64,
    digest: Sha256,
    cursor: Option<String>,
}

impl Ledger {
    /// Adds the line of an item, including its line feed.
    pub fn add(&mut self, line: &[u8], cursor: Option<&str>) {
        self.lines += 1;
        self.digest.update(line);
        if let Some(cursor) = cursor {
            self.cursor = Some(cursor.to_owned());
        }
    }

    /// Adds bytes that do not count as a line, such as blank lines.
    pub fn pass_over(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Where an export resumes after these lines.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The end of these lines, including its line feed.
    pub fn end(&self) -> Vec<u8> {
        let end = End { op: LineOperation::End, lines: self.lines, sha256: self.sha256() };
        let mut line = serde_json::to_vec(&end).expect("three plain fields can be written");
        line.push(b'\n');
        line
    }

    /// Compares the lines with their end. The error says how they differ.
    pub fn check(&self, end: &End) -> Result<(), String> {
        if end.lines != self.lines {
            let (told, read) = (counted(end.lines, "line"), counted(self.lines, "line"));
            return Err(format!("is for {told}, but comes after {read}"));
        }
        let sha256 = self.sha256();
        if !end.sha256.eq_ignore_ascii_case(&sha256) {
            return Err(format!(
                "is for lines with the SHA-256 {}, and those before it have {sha256}",
                end.sha256
            ));
        }
        Ok(())
    }

    fn sha256(&self) -> String {
        self.digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_what_it_says() {
        let item = |cursor: Option<&str>| Entry::Item(cursor.map(str::to_owned));
        let deep =
            format!(r#"{{"op":"create","payload":{}1{},"cursor":"c"}}"#, "[".repeat(500), "]".repeat(500));
        for (line, expected) in [
            (r#"{"op":"create","cursor":"abc","payload":"{\"cursor\":\"x\"}"}"#, item(Some("abc"))),
            (r#"{"op":"create","payload":{"op":"end","cursor":"x"}}"#, item(None)),
            (r#"{"op":"close","workflow":"uploads"}"#, item(None)),
            ("{}", item(None)),
            (&deep, item(Some("c"))),
            (r#"{"op":"create","cursor":"ab"#, Entry::Unreadable),
            ("[]", Entry::Unreadable),
            (r#"{"op":"end","lines":3}"#, Entry::Unreadable),
            (
                r#"{"op":"end","lines":3,"sha256":"00"}"#,
                Entry::End(End { op: LineOperation::End, lines: 3, sha256: "00".into() }),
            ),
        ] {
            assert_eq!(Entry::read(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn an_end_holds_for_the_lines_that_it_was_written_for() {
        let mut ledger = Ledger::default();
        let end = |ledger: &Ledger| match Entry::read(&ledger.end()) {
            Entry::End(end) => end,
            other => panic!("{other:?}"),
        };
        assert_eq!(ledger.check(&end(&ledger)), Ok(()));
        ledger.add(b"{\"a\":1}\n", Some("c1"));
        ledger.add(b"{\"b\":2}\n", None);
        assert_eq!((ledger.lines(), ledger.cursor()), (2, Some("c1")));
        let whole = end(&ledger);
        assert_eq!(ledger.check(&whole), Ok(()));
        let mut other = Ledger::default();
        other.add(b"{\"a\":1}\n", None);
        assert!(other.check(&whole).unwrap_err().contains("is for 2 lines, but comes after 1 line"));
        other.add(b"{\"b\":3}\n", None);
        assert!(other.check(&whole).unwrap_err().contains("SHA-256"));
        ledger.pass_over(b"\n");
        assert!(ledger.check(&whole).is_err(), "a blank line is no line, but it is not nothing");
    }
}
