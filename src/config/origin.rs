//! The origin of a setting, so that a message can name the line, the variable or the flag at fault.
//!
//! An origin never contains text from its surroundings: it is printed, and that text may contain secrets.

use std::fmt;
use std::sync::Arc;

/// Ordered like the layers, and within a file by position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The compiled-in `config/warden.toml`.
    Defaults(Option<Position>),
    /// A file by its name; without a position if it is at fault as a whole.
    File(Arc<str>, Option<Position>),
    /// The definition of a workflow that a client sent.
    Api,
    /// An environment variable by its name.
    Variable(Arc<str>),
    CommandLine,
}

impl Origin {
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Defaults(Some(position)) | Self::File(_, Some(position)) => Some(position.line),
            _ => None,
        }
    }

    pub fn is_defaults(&self) -> bool {
        matches!(self, Self::Defaults(_))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults(Some(position)) => write!(formatter, "compiled-in defaults:{position}"),
            Self::Defaults(None) => formatter.write_str("compiled-in defaults"),
            Self::File(name, Some(position)) => write!(formatter, "{name}:{position}"),
            Self::File(name, None) => formatter.write_str(name),
            Self::Api => formatter.write_str("defined by the API"),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
            Self::CommandLine => formatter.write_str("command line"),
        }
    }
}

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// A text with an index of its lines.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The position of the byte at `offset`; of the end if that is beyond it.
    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let before = self.text.as_bytes()[start..offset].iter();
        // Counts all bytes that are no continuation bytes.
        let column = before.filter(|byte| (**byte & 0xC0) != 0x80).count() + 1;
        Position { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let lines = Lines::new("a\nmüll = 1\n");
        assert_eq!(lines.position(0), Position { line: 1, column: 1 });
        assert_eq!(lines.position(2), Position { line: 2, column: 1 });
        assert_eq!(lines.position("a\nmüll".len()), Position { line: 2, column: 5 });
        assert_eq!(lines.position(9_999), Position { line: 3, column: 1 });
    }

    proptest! {
        #[test]
        fn a_position_leads_back_to_its_character(text in "[aü\n]{0,40}") {
            let lines = Lines::new(&text);
            for (offset, character) in text.char_indices().filter(|(_, c)| *c != '\n') {
                let Position { line, column } = lines.position(offset);
                let found = text.split('\n').nth(line - 1).and_then(|line| line.chars().nth(column - 1));
                prop_assert_eq!(found, Some(character));
            }
        }
    }
}
