//! What a client prefers of the answer (RFC 7240).
//!
//! A preference is a wish and no demand: what is not understood, or not met here, is passed over and never refused. One that is
//! met is named in `Preference-Applied`.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Which preference was met.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// That a write is answered without what it has written.
pub const RETURN_MINIMAL: HeaderValue = HeaderValue::from_static("return=minimal");

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Whether the client wants to be told that its write is done, and not what came of it.
pub fn is_minimal(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    // A comma within a quoted text parts what belongs together; of neither part can one of ours be made, as both keep a
    // quotation mark.
    let preferences = texts.flat_map(|text| text.split(','));
    // Parameters of a preference change nothing about these.
    let mut wishes = preferences.filter_map(|preference| {
        let (name, value) = preference.split(';').next().unwrap_or_default().split_once('=')?;
        name.trim().eq_ignore_ascii_case("return").then(|| value.trim())
    });
    // Of several the first one counts.
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
