//! Quotes of client input in messages: enough to find it, never all of it.

use std::fmt;

/// In bytes.
const QUOTE_MAX: usize = 128;

/// Quotes a text with its control characters escaped, truncated to 128 bytes.
pub fn quote<T: AsRef<str> + ?Sized>(text: &T) -> Quote<'_> {
    Quote(text.as_ref())
}

/// A quoted text; see [`quote`].
#[derive(Clone, Copy, Debug)]
pub struct Quote<'a>(&'a str);

impl fmt::Display for Quote<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let shown = &text[..text.floor_char_boundary(QUOTE_MAX)];
        if shown.len() == text.len() {
            return write!(formatter, "{shown:?}");
        }
        write!(formatter, "{shown:?}… ({} bytes in all)", text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_quoted_by_its_beginning_and_its_length() {
        assert_eq!(quote("a\n\"b\"").to_string(), r#""a\n\"b\"""#);
        assert_eq!(quote(&"x".repeat(QUOTE_MAX)).to_string().len(), QUOTE_MAX + 2);
        let long = "é".repeat(QUOTE_MAX);
        assert_eq!(quote(&long).to_string(), format!("{:?}… (256 bytes in all)", "é".repeat(QUOTE_MAX / 2)));
    }
}
