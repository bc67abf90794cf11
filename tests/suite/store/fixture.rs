//! Fixtures of stored forms in `tests/fixtures`: a name and the bytes in hexadecimal in each line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// The bytes in a fixture, by name.
pub fn sealed(name: &str) -> BTreeMap<String, Vec<u8>> {
    let text = text(name);
    let lines = text.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(name, bytes)| (name.to_owned(), unhex(bytes))).collect()
}

/// The text of a fixture.
pub fn written<N: AsRef<str>>(records: impl IntoIterator<Item = (N, Vec<u8>)>) -> String {
    records.into_iter().map(|(name, bytes)| format!("{} {}\n", name.as_ref(), hex(&bytes))).collect()
}
