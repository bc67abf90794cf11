//! Metadata of payloads. The warden never decodes a payload: type and encoding are the sender's, and are
//! returned as they were given.
//!
//! Deliberately absent: other properties of a body, such as `Content-Language`. They can be labels.

use std::fmt;
use std::sync::Arc;

pub use warden_api::limit::{CONTENT_ENCODING_MAX, CONTENT_TYPE_MAX};

#[derive(Clone, PartialEq, Eq)]
pub struct PayloadInfo {
    /// In bytes, as stored.
    pub size: u64,
    pub content_type: Arc<str>,
    /// The content codings of the stored bytes, such as `gzip`, as the sender wrote them.
    pub content_encoding: Option<Arc<str>>,
    /// Of the stored bytes.
    pub sha256: [u8; 32],
}

impl fmt::Debug for PayloadInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes of {}", self.size, self.content_type)?;
        self.content_encoding.as_ref().map_or(Ok(()), |encoding| write!(formatter, ", encoded as {encoding}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadRefusal {
    /// Too long, or with other characters than visible ASCII and spaces.
    #[error("a content type is at most {CONTENT_TYPE_MAX} printable ASCII characters")]
    ContentType,
    /// Too long, or not a list of tokens.
    #[error(
        "a content encoding is a list of names such as gzip or \"br, gzip\", at most \
         {CONTENT_ENCODING_MAX} bytes"
    )]
    ContentEncoding,
}

/// Validates a content type and trims it. It must be printable ASCII of at most [`CONTENT_TYPE_MAX`] bytes.
pub fn content_type(text: &str) -> Result<&str, PayloadRefusal> {
    let text = text.trim_matches(' ');
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if text.len() <= CONTENT_TYPE_MAX && is_printable { Ok(text) } else { Err(PayloadRefusal::ContentType) }
}

/// Validates a list of content codings (RFC 9110, 8.4), which is stored as written. `None` if it is empty or
/// only `identity`.
pub fn content_encoding(text: &str) -> Result<Option<&str>, PayloadRefusal> {
    const BLANK: [char; 2] = [' ', '\t'];
    let text = text.trim_matches(BLANK);
    let codings = || text.split(',').map(|coding| coding.trim_matches(BLANK));
    if text.len() > CONTENT_ENCODING_MAX || !codings().all(|coding| coding.bytes().all(is_token_byte)) {
        return Err(PayloadRefusal::ContentEncoding);
    }
    let changes_nothing = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    Ok((!codings().all(changes_nothing)).then_some(text))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_kept_as_they_are_written_and_none_is_none() {
        for text in ["gzip", "GZip", "br, gzip", "br,gzip", "x-own.1", "gzip, identity", "gzip,,br"] {
            assert_eq!(content_encoding(text), Ok(Some(text)));
        }
        assert_eq!(
            content_encoding(" gzip\t"),
            Ok(Some("gzip")),
            "what is around a header's value is no part of it"
        );
        for text in ["", " ", "identity", "Identity", "identity, identity", ","] {
            assert_eq!(content_encoding(text), Ok(None), "{text:?}");
        }
        let longest = "x".repeat(CONTENT_ENCODING_MAX);
        assert_eq!(content_encoding(&longest), Ok(Some(&*longest)));
        for text in ["gz ip", "gzip;q=1", "\"gzip\"", "gzip\n", "gzipä", "a=b", &format!("{longest}x")] {
            assert_eq!(content_encoding(text), Err(PayloadRefusal::ContentEncoding), "{text:?}");
        }
    }

    #[test]
    fn a_content_type_is_kept_as_it_is_written_but_for_the_spaces_around_it() {
        for (text, kept) in [("Text/Plain; A=\"b c\"", "Text/Plain; A=\"b c\""), ("", ""), ("  a/b ", "a/b")]
        {
            assert_eq!(content_type(text), Ok(kept));
        }
        for text in ["a\tb", "a\n", "text/pläin", &"x".repeat(CONTENT_TYPE_MAX + 1)] {
            assert_eq!(content_type(text), Err(PayloadRefusal::ContentType), "{text:?}");
        }
    }
}
