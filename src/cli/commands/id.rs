//! The ids that the daemon makes, such as those of incidents and silences.

/// Reads one, for the command line. Nothing in it has to be encoded to stand in a path.
///
/// # Errors
/// When the daemon makes none like that.
pub fn read(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Ok(text.to_owned());
    }
    Err("an id of the daemon's is letters, digits, _ and -, as lists show it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_anywhere_else() {
        assert!(read("inc_0198c1d2").is_ok());
        for text in ["", ".", "..", "inc_1/ack", "inc_1?x", "inc_1#", "inc 1", "%2e%2e", "ä"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
