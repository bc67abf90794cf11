//! What is repeated of what somebody sent: enough to find it, never all of it.

use std::fmt;

/// The most bytes that are repeated of a text.
const QUOTE_MAX: usize = 128;

/// The text in quotes, its control characters escaped, and cut when it is long.
pub fn quote<T: AsRef<str> + ?Sized>(text: &T) -> Quote<'_> {
    Quote(text.as_ref())
}

/// A quoted text; see [`quote`].
#[derive(Clone, Copy)]
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

/// Cuts what is longer than so many bytes in its middle: a message's end is as telling as its beginning.
pub fn shorten(text: &mut String, most: usize) {
    const GAP: &str = " … ";
    if text.len() <= most {
        return;
    }
    let kept = most.saturating_sub(GAP.len());
    let end = text.len() - kept / 3;
    let range = text.floor_char_boundary(kept - kept / 3)..text.ceil_char_boundary(end);
    text.replace_range(range, GAP);
    text.shrink_to_fit();
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

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        for most in [8, 9, 10, 11, 100] {
            let mut text = "début".to_owned() + &"é".repeat(1000) + "fin";
            shorten(&mut text, most);
            assert!(text.len() <= most && text.starts_with('d') && text.ends_with('n'), "{most}: {text}");
        }
        let mut short = "short".to_owned();
        shorten(&mut short, 5);
        assert_eq!(short, "short");
    }
}
