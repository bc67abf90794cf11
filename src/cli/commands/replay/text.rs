//! Texts about a replay.

use warden_api::replay::ReplayFilter;
use warden_api::word::ReplayStatus;
use warden_api::{Replay, Word};

use crate::cli::terminal::age::{dated, relative};
use crate::cli::terminal::table::label_list;
use crate::model::Timestamp;

pub fn is_ended(replay: &Replay) -> bool {
    replay.status.known().is_some_and(ReplayStatus::is_ended)
}

/// The status with its reason, if there is one.
pub fn status_text(replay: &Replay, now: Timestamp) -> String {
    match (&replay.reason, replay.held_until) {
        (Some(reason), _) => format!("{}: {reason}", replay.status),
        (None, Some(until)) => {
            format!("{}, but delayed by its target until {}", replay.status, dated(until, now))
        }
        (None, None) => replay.status.to_string(),
    }
}

/// The progress in one line.
pub fn progress(replay: &Replay, now: Timestamp) -> String {
    let ended = replay.succeeded + replay.failed + replay.skipped;
    let mut text = format!("{ended} of {}", replay.total);
    for (count, what) in [(replay.failed, "failed"), (replay.skipped, "skipped")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if !is_ended(replay) {
        text.push_str(&format!(", {}/s", rate(replay.rate)));
    }
    if let Some(eta) = replay.eta {
        text.push_str(&format!(", done {}", relative(eta, now)));
    }
    text
}

/// A number with two significant digits at least: `0.030`, `1.0`, `50`, `1200`.
fn rate(rate: f64) -> String {
    let decimals = match rate {
        rate if rate >= 9.95 || rate <= 0.0 => 0,
        rate if rate >= 0.995 => 1,
        rate if rate >= 0.0995 => 2,
        _ => 3,
    };
    format!("{rate:.decimals$}")
}

/// The selected items.
pub fn selection(replay: &Replay) -> String {
    let ReplayFilter { workflows, states, labels, step, step_retries_min, .. } = &replay.filter;
    let states: Vec<&str> = states.iter().map(Word::as_str).collect();
    let mut parts = vec![states.join(" or ")];
    if !workflows.is_empty() {
        parts.push(format!("of {}", workflows.join(" or ")));
    }
    parts.extend(step.as_ref().map(|step| format!("at {step}")));
    parts.extend(step_retries_min.map(|least| format!("with {least} retries or more")));
    if !labels.is_empty() {
        parts.push(format!("with {}", label_list(labels)));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::replay;

    #[test]
    fn progress_is_told_in_a_line() {
        let now = crate::cli::commands::sample::now();
        assert_eq!(
            progress(&replay(json!({})), now),
            "1236 of 5000, 4 failed, 2 skipped, 50/s, done in 1m 16s"
        );
        let fresh = json!({"succeeded": 0, "failed": 0, "skipped": 0, "rate": 0.0, "eta": null});
        assert_eq!(progress(&replay(fresh), now), "0 of 5000, 0/s");
        let ended = json!({"status": "completed", "succeeded": 5000, "failed": 0, "skipped": 0, "eta": null});
        assert_eq!(progress(&replay(ended), now), "5000 of 5000");
    }

    #[test]
    fn a_rate_has_two_significant_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.0104, "0.010"),
            (0.03, "0.030"),
            (0.123, "0.12"),
            (0.999, "1.0"),
            (1.0, "1.0"),
            (9.99, "10"),
            (49.87, "50"),
            (1234.5, "1234"),
        ] {
            assert_eq!(rate(number), text);
        }
    }

    #[test]
    fn why_it_does_not_go_on_is_told_with_where_it_stands() {
        let now = crate::cli::commands::sample::now();
        for (changes, told) in [
            (json!({}), "running"),
            (json!({"status": "paused", "reason": "the canary failed"}), "paused: the canary failed"),
            (
                json!({"held_until": "2026-01-31T12:30:40.000Z"}),
                "running, but delayed by its target until 2026-01-31T12:30:40.000Z (in 40s)",
            ),
        ] {
            assert_eq!(status_text(&replay(changes), now), told);
        }
    }
}
