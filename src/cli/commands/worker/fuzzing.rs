//! Requirements for the output of commands and the responses of daemons. See [`crate::fuzzing`].

use serde_json::json;
use warden_api::lease::{Claimed, ClaimedItem};
use warden_api::limit::ERROR_MESSAGE_MAX;

use super::batch::{self, BatchLine};
use super::tail::{TAIL_MAX, Tail};
use super::verdict::{OnSuccess, Verdict};
use crate::cli::daemon::wording::{Problem, describe};

/// stdout and stderr of a command, and documents of a daemon: what is derived from them is within the
/// daemon's limits and contains no control characters.
pub fn results(bytes: &[u8]) {
    let mut tail = Tail::default();
    bytes.chunks(7).for_each(|piece| tail.push(piece));
    let text = tail.text();
    assert!(text.len() <= TAIL_MAX);
    assert!(text.chars().all(|character| !character.is_control() || matches!(character, '\n' | '\t')));
    for line in bytes.split(|byte| *byte == b'\n') {
        if let BatchLine::Result(said) = batch::parse(line) {
            settled(&said.verdict());
            // Another JSON parser reads the same.
            let document = serde_json::from_slice(line).unwrap_or_else(|_| json!({}));
            let same = |name: &str, text: &str| document.get(name).is_none_or(|found| found == text);
            assert!(same("workflow", &said.workflow) && same("id", &said.id));
        }
    }
    if let Ok(claim) = serde_json::from_slice::<Claimed>(bytes) {
        claim.leases.iter().for_each(|lease| handed_out(lease, bytes));
    }
    if let Ok(lease) = serde_json::from_slice::<ClaimedItem>(bytes) {
        handed_out(&lease, bytes);
    }
    if let Ok(problem) = serde_json::from_slice::<Problem>(bytes) {
        let shown = describe(&problem);
        assert!(!shown.chars().any(|character| character.is_control() && character != '\n'), "{shown:?}");
    }
}

fn settled(verdict: &Verdict) {
    let reason = verdict.reason();
    assert!(!reason.chars().any(char::is_control), "{reason:?} is fit for a terminal");
    if let Verdict::Failed { kind, message, .. } = verdict {
        assert!(!kind.is_empty() && message.len() <= ERROR_MESSAGE_MAX);
    }
    for on_success in [OnSuccess::Complete, OnSuccess::Close, OnSuccess::Keep] {
        assert!(verdict.settlement(on_success).is_some(), "the lease is ours");
    }
}

/// The item is encoded as a single line, with its payload unchanged.
fn handed_out(lease: &ClaimedItem, payload: &[u8]) {
    let line = batch::encode(lease, payload);
    assert_eq!(memchr::memchr_iter(b'\n', &line).count(), 1);
    let document: serde_json::Value = serde_json::from_slice(&line).expect("it is JSON");
    assert_eq!(document["id"], *lease.item.id);
    let text = document["payload"].as_str().map(str::as_bytes);
    assert!(
        text.is_none_or(|text| text == payload) && text.is_some() != document["payload_base64"].is_string()
    );
}
