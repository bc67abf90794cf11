//! The names that people give: of workflows, steps, receivers and tokens.

/// What [`is_name`] accepts, in words.
pub const NAME_RULE: &str =
    "1 to 128 characters of A-Z a-z 0-9 . _ - of which the first is a letter or a digit";

/// Whether `text` is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    text.len() <= 128
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.as_bytes().iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_short() {
        for name in ["a", "0", "uploads.eu-1_b", &"x".repeat(128)] {
            assert!(is_name(name), "{name}");
        }
        for text in ["", ".", "-a", "_a", "a b", "a/b", "ä", "a\n", "a\0", &"x".repeat(129)] {
            assert!(!is_name(text), "{text:?}");
        }
    }
}
