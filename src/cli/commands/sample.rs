//! Documents of a daemon, for tests.

use serde_json::{Value, json};
use warden_api::lease::ClaimedItem;
use warden_api::{Incident, Item, Replay};

use crate::model::Timestamp;

/// The current time of the tests.
pub fn now() -> Timestamp {
    Timestamp::parse("2026-01-31T12:30:00Z").unwrap()
}

/// An incident with some fields changed.
pub fn incident(changes: Value) -> Incident {
    let mut incident = json!({
        "id": "inc_1", "workflow": "uploads", "kind": "overdue", "group": {"region": "eu"}, "status": "open",
        "severity": "critical", "opened_at": "2026-01-31T12:15:00.000Z", "reopened_at": null,
        "resolved_at": null, "became": null, "continued_in": null, "count": 312, "peak": 400,
        "oldest_deadline": "2026-01-31T12:14:00.000Z",
        "by_step": {"": 2, "backup": 310}, "missed": null, "notified_at": "2026-01-31T12:15:10.000Z",
        "next_told_at": "2026-01-31T16:15:10.000Z", "waiting_for": null,
        "told": ["oncall", "team"], "escalations": 0, "acknowledged": false, "snoozed_until": null,
        "actions": [], "added_later": true,
    });
    json_patch::merge(&mut incident, &changes);
    serde_json::from_value(incident).unwrap()
}

/// A replay with some fields changed.
pub fn replay(changes: Value) -> Replay {
    let mut replay = json!({
        "id": "rpl_1", "name": "monday", "status": "running", "reason": null,
        "filter": {"workflows": ["up*"], "states": ["overdue", "failed"], "labels": {"region": "eu"},
        "step": "copy",
            "created_before": null, "created_after": null, "deadline_before": null, "deadline_after": null},
        "target": {"url": "https://target.internal/in", "signed": true},
        "max_per_second": 50.0, "concurrency": 8,
        "canary": 5, "ramp_up": "1m", "on_success": "accept", "timeout": "30s", "pause_after_failures": 20,
        "created_at": "2026-01-31T12:15:00.000Z", "started_at": "2026-01-31T12:15:00.000Z", "ended_at": null,
        "total": 5000, "sent": 1240, "succeeded": 1230, "failed": 4, "skipped": 2, "rate": 49.87,
        "eta": "2026-01-31T12:31:16.000Z", "held_until": null,
        "failures": [{"workflow": "uploads", "id": "file-7", "reason": "HTTP 502: bad\ngateway",
        "status": 502,
            "at": "2026-01-31T12:29:00.000Z"}],
        "failure_reasons": {"HTTP 502": 1, "HTTP 422": 3}, "added_later": true,
    });
    json_patch::merge(&mut replay, &changes);
    serde_json::from_value(replay).unwrap()
}

/// An item with some fields changed.
pub fn item(changes: Value) -> Item {
    serde_json::from_value(item_document(changes)).unwrap()
}

/// The same as JSON.
pub fn item_document(changes: Value) -> Value {
    let mut item = json!({
        "workflow": "uploads", "id": "file-123", "state": "overdue", "created_at": "2026-01-31T11:00:00.000Z",
        "deadline": "2026-01-31T12:00:00.000Z", "overdue_since": "2026-01-31T12:00:00.000Z",
        "closed_at": null,
        "outcome": null, "labels": {"region": "eu", "cost.center/a": "12"}, "step": "copy",
        "step_entered_at": "2026-01-31T11:00:00.000Z", "step_attempts": 1, "steps": [], "progress": {},
        "errors": [],
        "artifacts": [], "params": null, "lease": null, "retry_at": null, "incident": null,
        "payload": {"size": 3, "content_type": "text/plain", "content_encoding": "gzip", "sha256": "00"},
        "version": 1, "added_later": true,
    });
    json_patch::merge(&mut item, &changes);
    item
}

/// A claimed item as JSON.
pub fn lease_document(workflow: &str, id: &str) -> Value {
    json!({
        "id": format!("lse_{id}"), "token": 7, "attempt": 2, "expires_at": "2026-01-31T12:01:00.000Z",
        "item": item_document(json!({"workflow": workflow, "id": id})), "payload_base64": null,
    })
}

/// The same, parsed.
pub fn lease(workflow: &str, id: &str) -> ClaimedItem {
    serde_json::from_value(lease_document(workflow, id)).unwrap()
}
