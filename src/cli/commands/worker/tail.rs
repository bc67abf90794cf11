//! The end of a command's stderr, which usually has the reason of a failure.

use crate::cli::terminal::table::escaped;
use crate::model::text::is_unprintable;

/// The bytes that are kept by default. With a prefix they fit into the daemon's limit for error messages.
pub const TAIL_MAX: usize = 1_900;

#[derive(Clone, Debug)]
pub struct Tail {
    bytes: Vec<u8>,
    most: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self::of(TAIL_MAX)
    }
}

impl Tail {
    /// Keeps so many bytes.
    pub fn of(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }

    /// Appends bytes. At most twice the tail is kept in memory.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(self.most)..]);
        self.bytes.drain(..self.bytes.len().saturating_sub(self.most));
    }

    /// No more bytes than are kept. Invalid UTF-8 and control characters are replaced.
    pub fn text(&self) -> String {
        // The cut may be within a character.
        let start = self.bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let text = String::from_utf8_lossy(&self.bytes[start..]);
        let plain = |character: char| match character {
            '\n' | '\t' => character,
            other if is_unprintable(other) => char::REPLACEMENT_CHARACTER,
            other => other,
        };
        let text: String = text.replace("\r\n", "\n").chars().map(plain).collect();
        end_of(text.trim(), self.most).to_owned()
    }
}

/// At most so many bytes at the end of a text, cut at a character.
pub fn end_of(text: &str, most: usize) -> &str {
    // Replacement characters are longer than what they replace.
    &text[text.ceil_char_boundary(text.len().saturating_sub(most))..]
}

/// The last line that is not blank, escaped for a terminal.
pub fn last_line(text: &str) -> Option<String> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tail(pieces: &[&[u8]]) -> Tail {
        pieces.iter().fold(Tail::default(), |mut tail, piece| {
            tail.push(piece);
            tail
        })
    }

    #[test]
    fn the_end_is_kept_and_the_beginning_is_not() {
        let long = "x".repeat(10_000);
        let text = tail(&[long.as_bytes(), b"\nno such", b" host\n"]).text();
        assert_eq!(text.len(), TAIL_MAX - 1);
        assert!(text.ends_with("x\nno such host"), "{text}");
        assert_eq!(tail(&[b"first\n", long.as_bytes()]).text(), "x".repeat(TAIL_MAX));
        assert_eq!(tail(&[]).text(), "");
    }

    #[test]
    fn what_would_steer_a_terminal_is_replaced_and_lines_stay() {
        let text = tail(&[b"a\r\n\tb\x1b[2J\xff\0c\n\n"]).text();
        assert_eq!(text, "a\n\tb\u{fffd}[2J\u{fffd}\u{fffd}c");
        assert_eq!(last_line("a\n b \n\n").as_deref(), Some("b"));
        assert_eq!(last_line(" \n"), None);
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        let text = tail(&["ä".repeat(TAIL_MAX).as_bytes(), b"!"]).text();
        assert!(text.trim_end_matches('!').chars().all(|character| character == 'ä'), "{text}");
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_text_is_short_and_plain(pieces in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..3_000), 0..4)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let tail = tail(&pieces);
            prop_assert!(tail.text().len() <= TAIL_MAX && tail.bytes.len() <= TAIL_MAX);
            prop_assert!(tail.text().chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
