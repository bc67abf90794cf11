//! Labels on the command line: `name:value` each.

use std::collections::BTreeMap;
use std::fmt::Display;

/// Reads a label.
///
/// # Errors
/// When it has no colon.
pub fn read(text: &str) -> Result<(String, String), String> {
    let label = text.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
    label.ok_or_else(|| "a label is written name:value".to_owned())
}

/// Labels as people read them: `region:eu size:large`.
pub fn written(labels: &BTreeMap<impl Display, impl Display>) -> String {
    let labels = labels.iter().map(|(name, value)| format!("{name}:{value}"));
    labels.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_it_is_written() {
        for text in ["region:eu", "region:", "time:12:30"] {
            assert_eq!(written(&BTreeMap::from([read(text).unwrap()])), text);
        }
        assert!(read("region").is_err());
    }
}
