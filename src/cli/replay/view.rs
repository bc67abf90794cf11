//! A replay as the daemon shows it, as far as people are shown it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cli::age::{dated, relative};
use crate::cli::label;
use crate::model::Timestamp;

/// A replay.
#[derive(Clone, Debug, Deserialize)]
pub struct ReplayView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub status: String,
    /// Why it is paused, where nobody said so.
    pub reason: Option<String>,
    /// Which items were selected.
    pub filter: FilterView,
    /// Where they go.
    pub target: TargetView,
    /// The most items in a second.
    pub max_per_second: f64,
    /// The most items at one time.
    pub concurrency: u64,
    /// How many items must succeed before the others are sent.
    pub canary: u64,
    /// What becomes of those that were taken.
    pub on_success: String,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many items were selected.
    pub total: u64,
    /// How many were sent.
    pub sent: u64,
    /// How many the target took.
    pub succeeded: u64,
    /// How many it did not.
    pub failed: u64,
    /// How many were not sent.
    pub skipped: u64,
    /// How many end in a second.
    pub rate: f64,
    /// When it will be over.
    pub eta: Option<Timestamp>,
    /// Until when it is held back.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
    /// The latest failures.
    #[serde(default)]
    pub failures: Vec<FailureView>,
    /// How many items failed for which reason.
    #[serde(default)]
    pub failure_reasons: BTreeMap<String, u64>,
}

/// Which items were selected.
#[derive(Clone, Debug, Deserialize)]
pub struct FilterView {
    /// Globs of workflows.
    #[serde(default)]
    pub workflows: Vec<String>,
    /// States.
    #[serde(default)]
    pub states: Vec<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The step.
    pub step: Option<String>,
}

/// Where they go.
#[derive(Clone, Debug, Deserialize)]
pub struct TargetView {
    /// The address.
    pub url: String,
}

/// An item that the target did not take.
#[derive(Clone, Debug, Deserialize)]
pub struct FailureView {
    /// Its workflow.
    pub workflow: String,
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl ReplayView {
    /// Whether nothing more is to come.
    pub fn is_ended(&self) -> bool {
        matches!(&*self.status, "completed" | "cancelled")
    }

    /// Where it stands, with the reason if there is one.
    pub fn standing(&self, now: Timestamp) -> String {
        match (&self.reason, self.held_until) {
            (Some(reason), _) => format!("{}: {reason}", self.status),
            (None, Some(until)) => {
                format!("{}, but held back by its target until {}", self.status, dated(until, now))
            }
            (None, None) => self.status.clone(),
        }
    }

    /// How far it has come, in a line.
    pub fn progress(&self, now: Timestamp) -> String {
        let ended = self.succeeded + self.failed + self.skipped;
        let mut text = format!("{ended} of {}", self.total);
        for (count, what) in [(self.failed, "failed"), (self.skipped, "skipped")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        if !self.is_ended() {
            text.push_str(&format!(", {:.1}/s", self.rate));
        }
        if let Some(eta) = self.eta {
            text.push_str(&format!(", done {}", relative(eta, now)));
        }
        text
    }

    /// Which items were selected, as people write it.
    pub fn selection(&self) -> String {
        let FilterView { workflows, states, labels, step } = &self.filter;
        let mut parts = vec![states.join(" or ")];
        if !workflows.is_empty() {
            parts.push(format!("of {}", workflows.join(" or ")));
        }
        parts.extend(step.as_ref().map(|step| format!("at {step}")));
        if !labels.is_empty() {
            parts.push(format!("with {}", label::written(labels)));
        }
        parts.join(" ")
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A replay as a daemon writes it, with some of its fields changed.
    pub fn replay(changes: Value) -> ReplayView {
        let mut replay = json!({
            "id": "rpl_1", "name": "monday", "status": "running", "reason": null,
            "filter": {"workflows": ["up*"], "states": ["overdue", "failed"], "labels": {"region": "eu"}, "step": "copy",
                "created_before": null, "created_after": null, "deadline_before": null, "deadline_after": null},
            "target": {"url": "https://target.internal/in", "signed": true}, "max_per_second": 50.0, "concurrency": 8,
            "canary": 5, "ramp_up": "1m", "on_success": "accept", "timeout": "30s", "pause_after_failures": 20,
            "created_at": "2026-01-31T12:15:00.000Z", "started_at": "2026-01-31T12:15:00.000Z", "ended_at": null,
            "total": 5000, "sent": 1240, "succeeded": 1230, "failed": 4, "skipped": 2, "rate": 49.87,
            "eta": "2026-01-31T12:31:16.000Z", "held_until": null,
            "failures": [{"workflow": "uploads", "id": "file-7", "reason": "HTTP 502: bad\ngateway", "status": 502,
                "at": "2026-01-31T12:29:00.000Z"}],
            "failure_reasons": {"HTTP 502": 1, "HTTP 422": 3}, "added_later": true,
        });
        json_patch::merge(&mut replay, &changes);
        serde_json::from_value(replay).unwrap()
    }

    #[test]
    fn progress_is_told_in_a_line() {
        let now = crate::cli::view::tests::now();
        assert_eq!(
            replay(json!({})).progress(now),
            "1236 of 5000, 4 failed, 2 skipped, 49.9/s, done in 1m 16s"
        );
        let fresh = json!({"succeeded": 0, "failed": 0, "skipped": 0, "rate": 0.0, "eta": null});
        assert_eq!(replay(fresh).progress(now), "0 of 5000, 0.0/s");
        let ended = json!({"status": "completed", "succeeded": 5000, "failed": 0, "skipped": 0, "eta": null});
        assert_eq!(replay(ended).progress(now), "5000 of 5000");
    }

    #[test]
    fn why_it_does_not_go_on_is_told_with_where_it_stands() {
        let now = crate::cli::view::tests::now();
        for (changes, told) in [
            (json!({}), "running"),
            (json!({"status": "paused", "reason": "the canary failed"}), "paused: the canary failed"),
            (
                json!({"held_until": "2026-01-31T12:30:40.000Z"}),
                "running, but held back by its target until 2026-01-31T12:30:40.000Z (in 40s)",
            ),
        ] {
            assert_eq!(replay(changes).standing(now), told);
        }
    }
}
