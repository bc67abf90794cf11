//! What is known of a payload without reading it. Its bytes mean nothing to the warden, which never decodes them: what
//! they are is what their sender says, and whoever gets them is told the same.
//!
//! Deliberately absent: every other property that a sender may give a body, such as `Content-Language`. It belongs into
//! the labels.

use std::fmt;
use std::sync::Arc;

pub use warden_api::limit::{CONTENT_ENCODING_MAX, CONTENT_TYPE_MAX};

/// What is known of a payload without reading it.
#[derive(Clone, PartialEq, Eq)]
pub struct PayloadInfo {
    /// Its length in bytes, as it is stored.
    pub size: u64,
    /// The content type it came with.
    pub content_type: Arc<str>,
    /// The content codings that were applied to its bytes, such as `gzip`, as the sender wrote them.
    pub content_encoding: Option<Arc<str>>,
    /// The SHA-256 of its bytes, as they are stored.
    pub sha256: [u8; 32],
}

impl fmt::Debug for PayloadInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes of {}", self.size, self.content_type)?;
        self.content_encoding.as_ref().map_or(Ok(()), |encoding| write!(formatter, ", encoded as {encoding}"))
    }
}

/// Why a property of a payload cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadRefusal {
    /// The content type is too long or holds something else than visible characters and spaces.
    #[error("a content type is at most {CONTENT_TYPE_MAX} printable ASCII characters")]
    ContentType,
    /// The content codings are too long or no list of names.
    #[error(
        "a content encoding is a list of names such as gzip or \"br, gzip\", at most {CONTENT_ENCODING_MAX} bytes"
    )]
    ContentEncoding,
}

/// Reads a content type as a header's value is read: without the spaces around it.
///
/// # Errors
/// When it is too long or holds something else than printable ASCII.
pub fn content_type(text: &str) -> Result<&str, PayloadRefusal> {
    let text = text.trim_matches(' ');
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if text.len() <= CONTENT_TYPE_MAX && is_printable { Ok(text) } else { Err(PayloadRefusal::ContentType) }
}

/// Reads a list of content codings (RFC 9110, 8.4), which is kept as it is written. Nothing when it names none, or only
/// `identity`.
///
/// # Errors
/// When it is too long, or is no list of tokens.
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
