//! Batches of items for one run of the command: the JSON lines of its stdin and stdout.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use warden_api::lease::ClaimedItem;

use super::file_name::file_name;
use super::tail::Tail;
use super::verdict::Verdict;

/// Of the payloads in one batch, in bytes, unless a single one is larger.
pub const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// An item on stdin of the command.
#[derive(Serialize)]
struct Line<'a> {
    workflow: &'a str,
    id: &'a str,
    file: String,
    step: Option<&'a str>,
    attempt: u32,
    lease: &'a str,
    content_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// The result that the command reports for one of its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    pub workflow: String,
    pub id: String,
    outcome: Value,
    message: Value,
}

/// A line of the command's stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchLine {
    Result(BatchResult),
    /// Meant as a result, but it is not JSON.
    Malformed,
    Other,
}

/// The line for an item, including its line feed. A payload in UTF-8 is a string, others are base64.
pub fn encode(lease: &ClaimedItem, payload: &[u8]) -> Vec<u8> {
    let item = &lease.item;
    let text = std::str::from_utf8(payload).ok();
    let line = Line {
        workflow: &item.workflow,
        id: &item.id,
        file: file_name(&item.workflow, &item.id),
        step: item.step.as_deref(),
        attempt: lease.attempt,
        lease: &lease.id,
        content_type: &item.payload.content_type,
        content_encoding: item.payload.content_encoding.as_deref(),
        labels: &item.labels,
        payload: text,
        payload_base64: text.is_none().then(|| STANDARD.encode(payload)),
    };
    let mut bytes = serde_json::to_vec(&line).expect("texts and numbers can be written as JSON");
    bytes.push(b'\n');
    bytes
}

pub fn parse(line: &[u8]) -> BatchLine {
    // Invalid UTF-8 in the message must not hide the result.
    let line = String::from_utf8_lossy(line);
    if !line.trim_start().starts_with('{') {
        return BatchLine::Other;
    }
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(&line) else {
        return if line.contains("\"outcome\"") { BatchLine::Malformed } else { BatchLine::Other };
    };
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    match (take("workflow"), take("id"), take("outcome"), take("message")) {
        (Value::String(workflow), Value::String(id), outcome, message) if !outcome.is_null() => {
            BatchLine::Result(BatchResult { workflow, id, outcome, message })
        }
        _ => BatchLine::Other,
    }
}

impl BatchResult {
    pub fn verdict(&self) -> Verdict {
        let reason = match &self.message {
            Value::Null => "the command gave no reason".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (kind, reason, retryable) = match self.outcome.as_str() {
            Some("done") => return Verdict::Done,
            Some("retry") => ("retry", reason, true),
            Some("failed") => ("failed", reason, false),
            _ => {
                let outcome = &self.outcome;
                ("outcome", format!("{reason}\n{outcome} is not an outcome (done, retry or failed)"), false)
            }
        };
        let mut message = Tail::default();
        message.push(reason.as_bytes());
        Verdict::Failed { kind: kind.to_owned(), message: message.text(), retryable }
    }
}

/// Splits into consecutive pieces of at most `most`, unless a single item is larger.
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

    use super::*;
    use crate::cli::commands::sample::lease;

    #[test]
    fn a_line_has_all_that_a_command_for_one_item_is_told() {
        let written = |payload: &[u8]| {
            let line = encode(&lease("uploads", "a\nb"), payload);
            assert_eq!(memchr::memchr_iter(b'\n', &line).count(), 1);
            serde_json::from_slice::<Value>(&line).unwrap()
        };
        let mut expected = json!({
            "workflow": "uploads", "id": "a\nb", "file": file_name("uploads", "a\nb"), "step": "copy",
            "attempt": 2, "lease": "lse_a\nb",
            "content_type": "text/plain", "content_encoding": "gzip", "labels": {"region": "eu",
            "cost.center/a": "12"}, "payload": "ä\n",
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
            match parse(line.to_string().as_bytes()) {
                BatchLine::Result(told) => told.verdict(),
                other => panic!("of an item: {other:?}"),
            }
        };
        let failed = |kind: &str, message: &str, retryable| Verdict::Failed {
            kind: kind.to_owned(),
            message: message.to_owned(),
            retryable,
        };
        assert_eq!(verdict("done", Value::Null), Verdict::Done);
        assert_eq!(verdict("retry", "no\u{7} host".into()), failed("retry", "no\u{fffd} host", true));
        assert_eq!(verdict("failed", Value::Null), failed("failed", "the command gave no reason", false));
        assert_eq!(verdict("retry", json!({"code": 7})), failed("retry", "{\"code\":7}", true));
        let odd = "no host\n\"fialed\" is not an outcome (done, retry or failed)";
        assert_eq!(verdict("fialed", "no host".into()), failed("outcome", odd, false));
        for line in ["", "3 files copied", "{}", "[]", "{not JSON}", r#"{"workflow":"w","id":"a"}"#] {
            assert_eq!(parse(line.as_bytes()), BatchLine::Other, "{line}");
        }
        for line in
            [r#"{"workflow":"w","id":"a","outcome":"failed","message":"no "host""}"#, r#"{"outcome":"#]
        {
            assert_eq!(parse(line.as_bytes()), BatchLine::Malformed, "{line}");
        }
        let line = b"{\"workflow\":\"w\",\"id\":\"a\",\"outcome\":\"failed\",\"message\":\"\xff\"}";
        assert!(matches!(parse(line), BatchLine::Result(told) if told.id == "a"));
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
