//! Several items for one run of the command: lines of JSON that go in, and lines that come out.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::lease::Lease;
use super::tail::Tail;
use super::verdict::Verdict;

/// The most bytes of payload in one batch, unless one item alone has more.
pub const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// An item as the command gets it.
#[derive(Serialize)]
struct Line<'a> {
    workflow: &'a str,
    id: &'a str,
    step: Option<&'a str>,
    attempt: u64,
    lease: &'a str,
    content_type: &'a str,
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// What the command says of one of its items.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// The workflow the item belongs to.
    pub workflow: String,
    /// Its id within the workflow.
    pub id: String,
    outcome: Outcome,
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Done,
    Retry,
    Failed,
}

/// The line for an item, with its line feed. A payload that is text stands in it as such.
pub fn line(lease: &Lease, payload: &[u8]) -> Vec<u8> {
    let item = &lease.item;
    let text = std::str::from_utf8(payload).ok();
    let line = Line {
        workflow: &item.workflow,
        id: &item.id,
        step: item.step.as_deref(),
        attempt: lease.attempt,
        lease: &lease.id,
        content_type: &item.payload.content_type,
        labels: &item.labels,
        payload: text,
        payload_base64: text.is_none().then(|| STANDARD.encode(payload)),
    };
    let mut bytes = serde_json::to_vec(&line).expect("texts and numbers can be written as JSON");
    bytes.push(b'\n');
    bytes
}

/// What the command says on this line, if it speaks of an item.
pub fn read(line: &[u8]) -> Option<Told> {
    serde_json::from_slice(line).ok()
}

impl Told {
    /// What follows from it.
    pub fn verdict(&self) -> Verdict {
        if self.outcome == Outcome::Done {
            return Verdict::Done;
        }
        let mut message = Tail::default();
        message.push(self.message.as_deref().unwrap_or("the command gave no reason").as_bytes());
        let (kind, retryable) = match self.outcome {
            Outcome::Retry => ("retry", true),
            _ => ("failed", false),
        };
        Verdict::Failed { kind: kind.to_owned(), message: message.text(), retryable }
    }
}

/// Splits what is in order into pieces that are not larger than `most`, unless one alone is.
pub fn split<T>(items: Vec<T>, size: impl Fn(&T) -> u64, most: u64) -> Vec<Vec<T>> {
    let mut pieces: Vec<Vec<T>> = Vec::new();
    let mut filled = u64::MAX;
    for item in items {
        filled = filled.saturating_add(size(&item));
        match pieces.last_mut() {
            Some(piece) if filled <= most => piece.push(item),
            _ => {
                filled = size(&item);
                pieces.push(vec![item]);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::lease::tests::lease;
    use super::*;

    #[test]
    fn a_line_has_all_that_a_command_for_one_item_is_told() {
        let written = |payload: &[u8]| {
            let line = line(&lease("uploads", "a\nb"), payload);
            assert_eq!(memchr::memchr_iter(b'\n', &line).count(), 1);
            serde_json::from_slice::<Value>(&line).unwrap()
        };
        let mut expected = json!({
            "workflow": "uploads", "id": "a\nb", "step": "copy", "attempt": 2, "lease": "lse_a\nb",
            "content_type": "text/plain", "labels": {"region": "eu", "cost.center/a": "12"}, "payload": "ä\n",
        });
        assert_eq!(written("ä\n".as_bytes()), expected);
        expected.as_object_mut().unwrap().remove("payload");
        expected["payload_base64"] = "/wA=".into();
        assert_eq!(written(b"\xff\0"), expected);
    }

    #[test]
    fn what_a_command_says_of_an_item_counts_and_all_else_is_something_else() {
        let verdict = |outcome: &str, message: Value| {
            let line = json!({"workflow": "w", "id": "a", "outcome": outcome, "message": message, "more": 1});
            read(line.to_string().as_bytes()).map(|told| told.verdict())
        };
        let failed = |kind: &str, message: &str, retryable| {
            Some(Verdict::Failed { kind: kind.to_owned(), message: message.to_owned(), retryable })
        };
        assert_eq!(verdict("done", Value::Null), Some(Verdict::Done));
        assert_eq!(verdict("retry", "no\u{7} host".into()), failed("retry", "no\u{fffd} host", true));
        assert_eq!(verdict("failed", Value::Null), failed("failed", "the command gave no reason", false));
        assert_eq!(verdict("odd", Value::Null), None);
        for line in ["", "3 files copied", "{}", "[]", r#"{"workflow":"w","id":"a"}"#] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_is_too_large_for_one_batch_makes_several() {
        let sizes = |sizes: &[u64]| split(sizes.to_vec(), |size| *size, 10);
        assert_eq!(sizes(&[4, 6, 1, 9, 11, 0, 2]), [vec![4, 6], vec![1, 9], vec![11], vec![0, 2]]);
        assert_eq!(sizes(&[0, 0]), [[0, 0]]);
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&[u64::MAX, 1]), [[u64::MAX], [1]]);
    }
}
