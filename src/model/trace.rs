//! The trace that an item belongs to, as W3C Trace Context passes it on: `traceparent` and `tracestate`.
//!
//! What is malformed is ignored, as the specification asks for: a broken trace must not cost an item.

use std::sync::Arc;

/// The longest `traceparent`, in bytes. Later versions of the specification may add fields at its end.
const PARENT_MAX: usize = 256;
/// The longest `tracestate`, in bytes, that the specification requires to be passed on.
const STATE_MAX: usize = 512;

/// Passed on unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`, of at most 256 bytes.
    pub parent: Arc<str>,
    /// `tracestate`, of at most 512 bytes.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// `None` without a valid `traceparent`. A `tracestate` that is too long or has other than printable
    /// characters is left out.
    pub fn read(parent: &str, state: Option<&str>) -> Option<Self> {
        let parent = parent.trim();
        if !is_parent(parent) {
            return None;
        }
        let is_state = |state: &&str| {
            (1..=STATE_MAX).contains(&state.len()) && state.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        let state = state.map(str::trim).filter(is_state).map(Arc::from);
        Some(Self { parent: parent.into(), state })
    }
}

/// Version, trace id, parent id and flags, in lower-case hexadecimal. A version after 00 may have more.
fn is_parent(text: &str) -> bool {
    let is_hex = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_id = |part: &str, length: usize| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let is_plain = text.len() <= PARENT_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.splitn(5, '-').collect::<Vec<_>>()[..] {
        [version, trace, parent, flags, ref rest @ ..] => {
            is_plain
                && is_hex(version, 2)
                && version != "ff"
                && is_id(trace, 32)
                && is_id(parent, 16)
                && is_hex(flags, 2)
                && (rest.is_empty() || version != "00")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_is_read_as_the_specification_has_it() {
        let later = format!("cc{}-what-comes", &PARENT[2..]);
        for text in [PARENT, &format!(" {PARENT} "), &later] {
            let read = TraceContext::read(text, None).expect(text);
            assert_eq!((&*read.parent, read.state), (text.trim(), None));
        }
        for text in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &format!("ff{}", &PARENT[2..]),
            &PARENT.to_uppercase(),
            &PARENT.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é",
        ] {
            assert_eq!(TraceContext::read(text, Some("a=b")), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_short_and_read_again_as_it_is(
            parent in "(00|01|cc)-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-\\PC{0,4})?|\\PC{0,300}",
            state in option::of("\\PC{0,600}"),
        ) {
            if let Some(trace) = TraceContext::read(&parent, state.as_deref()) {
                prop_assert!(trace.parent.len() <= PARENT_MAX);
                prop_assert!(trace.state.as_ref().is_none_or(|state| (1..=STATE_MAX).contains(&state.len())));
                prop_assert_eq!(TraceContext::read(&trace.parent, trace.state.as_deref()), Some(trace));
            }
        }
    }

    #[test]
    fn a_state_is_kept_with_its_parent_unless_it_is_malformed() {
        let state = |text: &str| TraceContext::read(PARENT, Some(text)).and_then(|trace| trace.state);
        assert_eq!(
            state("rojo=00f067aa0ba902b7,congo=t61").as_deref(),
            Some("rojo=00f067aa0ba902b7,congo=t61")
        );
        for text in ["", " ", "a=\u{1}", "a=é", &"x".repeat(513)] {
            assert_eq!(state(text), None, "{text}");
        }
    }
}
