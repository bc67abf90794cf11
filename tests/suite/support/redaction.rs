//! Replaces what differs between two runs of the same story by what does not, so that a snapshot can hold it.
//!
//! Replacements are as wide as what they stand for where tables hold it: a snapshot shows the alignment that
//! people see.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands behind the prefix of an id, and a UUIDv7.
static ID: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"\b([a-z]+_)?([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17})\b")
});
static PORT: LazyLock<Regex> = LazyLock::new(|| regex(r"127\.0\.0\.1:([0-9]{5})\b"));
/// What needs no number: patterns, each with its replacement.
static OTHERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"\bwarden [0-9]+\.[0-9]+\.[0-9]+", "warden [version]"),
        (r"\bwrd_[A-Za-z0-9_-]{43}", "wrd_[secret]"),
        (r#"sha256 = "[0-9a-f]{64}""#, "sha256 = \"[digest]\""),
        (r"\b[0-9]+ ms\b", "[time] ms"),
        (r#""seconds":[0-9.]+"#, "\"seconds\":[time]"),
        (r", in [0-9]+m?s( [0-9]+ms)?\n", ", in [time]\n"),
        // Files that a database has laid out in advance.
        (r"\b[0-9]{7,} bytes", "[size] bytes"),
        (r#""bytes":[0-9]{7,}"#, "\"bytes\":[size]"),
        // A replay goes on while the answer to its resumption is on its way.
        (r" is running: .*", " is running: [progress]"),
        // How far something has come that is followed, whenever that is looked at.
        (r"(?m)^[0-9]+ of [0-9]+, .*/s.*\n", ""),
    ]
    .map(|(pattern, replacement)| (regex(pattern), replacement))
    .into()
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// The text with ids and ports numbered in the order in which they come, and versions, secrets and
/// measured times left out.
pub fn redacted(text: &str) -> String {
    let (mut ids, mut ports) = (HashMap::new(), HashMap::new());
    let text = ID.replace_all(text, |found: &Captures<'_>| {
        let number = number(&mut ids, &found[2]);
        match found.get(1) {
            Some(prefix) => format!("{}{number:032}", prefix.as_str()),
            None => format!("00000000-0000-0000-0000-{number:012}"),
        }
    });
    let text = PORT.replace_all(&text, |found: &Captures<'_>| {
        format!("127.0.0.1:{}", 10_000 + number(&mut ports, &found[1]))
    });
    let mut text = text.into_owned();
    for (pattern, replacement) in &*OTHERS {
        text = pattern.replace_all(&text, *replacement).into_owned();
    }
    text
}

/// The number of something that may have come before, from 1.
fn number(known: &mut HashMap<String, usize>, found: &str) -> usize {
    let next = known.len() + 1;
    *known.entry(found.to_owned()).or_insert(next)
}

#[test]
fn the_same_id_has_the_same_number_and_the_width_that_it_had() {
    let text = "inc_019b76da1b3270008000000000000abc dlv_019b76da1b3270008000000000000abd \
                inc_019b76da1b3270008000000000000abc 019b76da-1b32-7000-8000-000000000abc";
    let expected = "inc_00000000000000000000000000000001 dlv_00000000000000000000000000000002 \
                    inc_00000000000000000000000000000001 00000000-0000-0000-0000-000000000003";
    assert_eq!(redacted(text), expected);
    let address = "http://127.0.0.1:40001/a 127.0.0.1:40002 127.0.0.1:40001 127.0.0.1:8470";
    assert_eq!(redacted(address), "http://127.0.0.1:10001/a 127.0.0.1:10002 127.0.0.1:10001 127.0.0.1:8470");
}

#[test]
fn what_is_the_same_in_every_run_stays() {
    // A digest, with a 7 where a UUIDv7 has its version.
    let text = "239f59ed55e77c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5 1.0 MiB \
                2026-01-01T00:00:00.000Z (in 5m)";
    assert_eq!(redacted(text), text);
}
