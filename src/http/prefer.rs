//! The `Prefer` header (RFC 7240).
//!
//! Preferences that are unknown or not supported are ignored. One that is honoured is named in
//! `Preference-Applied`.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
pub const RETURN_MINIMAL: HeaderValue = HeaderValue::from_static("return=minimal");

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Whether the client prefers a write response without a body.
pub fn is_minimal(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    // Splitting at a comma within a quoted string yields parts with a stray quotation mark, which match
    // nothing.
    let preferences = texts.flat_map(|text| text.split(','));
    // Parameters of a preference have no meaning here.
    let mut wishes = preferences.filter_map(|preference| {
        let (name, value) = preference.split(';').next().unwrap_or_default().split_once('=')?;
        name.trim().eq_ignore_ascii_case("return").then(|| value.trim())
    });
    // The first of several applies.
    wishes.next().is_some_and(|value| matches!(value, "minimal" | "\"minimal\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> bool {
        is_minimal(&values.iter().map(|value| (PREFER, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn a_minimal_answer_is_wished_for_in_every_form_that_the_specification_has() {
        for values in [
            &["return=minimal"][..],
            &["Return=minimal"],
            &["return = \"minimal\""],
            &["return=minimal; foo=bar"],
            &["respond-async, wait=10, return=minimal"],
            &["respond-async", "return=minimal"],
            &["foo=\"a, b\",return=minimal"],
        ] {
            assert!(read(values), "{values:?}");
        }
    }

    #[test]
    fn anything_else_is_passed_over() {
        for values in [
            &[][..],
            &[""],
            &["minimal"],
            &["return"],
            &["return="],
            &["return=representation"],
            &["return=minimalist"],
            &["no-return=minimal"],
            &["foo; return=minimal"],
            &["foo=\"a,return=minimal\""],
        ] {
            assert!(!read(values), "{values:?}");
        }
    }

    #[test]
    fn of_two_wishes_the_first_counts() {
        assert!(read(&["return=minimal, return=representation"]));
        assert!(!read(&["return=representation", "return=minimal"]));
    }
}
