//! Escaping of text from elsewhere, so that it stays within its line.

use std::fmt::{self, Write};

/// Displays a text with control characters, line ends and bidirectional overrides escaped, such as `
/// ` and `\u{1b}`.
#[derive(Clone, Copy)]
pub struct Plain<T>(pub T);

impl<T: fmt::Display> fmt::Display for Plain<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(PlainWriter(formatter), "{}", self.0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Plain<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(PlainWriter(formatter), "{:?}", self.0)
    }
}

/// Escapes while writing to another writer.
struct PlainWriter<'a, W>(&'a mut W);

impl<W: Write> Write for PlainWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(place) = rest.find(is_unprintable) {
            self.0.write_str(&rest[..place])?;
            rest = &rest[place..];
            let Some(character) = rest.chars().next() else { break };
            write!(self.0, "{}", character.escape_default())?;
            rest = &rest[character.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Whether a character has an effect other than being seen.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        // Ends of lines and paragraphs, and overrides of the text direction.
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_or_end_a_line_is_written_out() {
        for (text, expected) in [
            ("file-1", "file-1"),
            ("a\r\nb", r"a\r\nb"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("\u{9b}2J\u{7f}\0", r"\u{9b}2J\u{7f}\u{0}"),
            ("ü\u{202e}fdp\u{2028}", r"ü\u{202e}fdp\u{2028}"),
            ("back\\slash", "back\\slash"),
        ] {
            assert_eq!(Plain(text).to_string(), expected);
        }
        assert_eq!(format!("{:?}", Plain("a\nb")), r#""a\nb""#);
    }
}
