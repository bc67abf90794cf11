//! An example of each document that clients read most, as part of its schema. A page or another document that
//! contains one shows it too.

use serde_json::{Value, json};
use utoipa::openapi::{OpenApi, RefOr, Schema};

pub fn add(api: &mut OpenApi) {
    let Some(components) = &mut api.components else { return };
    for (name, example) in examples() {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
            object.examples = vec![example];
        }
    }
}

/// The examples by the names of their schemas.
fn examples() -> [(&'static str, Value); 6] {
    let lease = json!({
        "id": "lse_000000000000002a0000000000000001",
        "token": 1,
        "worker": "copier-1",
        "attempt": 1,
        "expires_at": "2026-01-31T12:05:00.000Z",
    });
    [
        ("Item", item(Value::Null)),
        (
            "ClaimedItem",
            json!({
                "id": lease["id"],
                "token": lease["token"],
                "expires_at": lease["expires_at"],
                "attempt": lease["attempt"],
                "item": item(lease.clone()),
                "payload_base64": "aGVsbG8=",
            }),
        ),
        ("Lease", lease),
        ("Incident", incident()),
        (
            "Silence",
            json!({
                "id": "sil_019b76da-a800-7c3e-8f00-5b2d1c0a9e71",
                "status": "active",
                "workflow": "uploads",
                "kind": "overdue",
                "labels": {},
                "starts_at": "2026-01-31T12:00:00.000Z",
                "ends_at": "2026-01-31T14:00:00.000Z",
                "author": "ada",
                "comment": "the storage is being moved",
                "created_at": "2026-01-31T12:00:00.000Z",
            }),
        ),
        (
            "Delivery",
            json!({
                "id": "dlv_019b76da-a800-7c3e-8f00-5b2d1c0a9e71",
                "incident": "inc_019b76da-a800-7c3e-8f00-5b2d1c0a9e71",
                "item": null,
                "receiver": "oncall",
                "event": "incident.opened",
                "sequence": 1,
                "status": "delivered",
                "created_at": "2026-01-31T12:00:10.000Z",
                "resent_at": null,
                "attempts_made": 1,
                "next_attempt_at": null,
                "attempts": [{
                    "at": "2026-01-31T12:00:10.000Z",
                    "status": 204,
                    "latency_ms": 12,
                    "error": null,
                    "answer": null,
                }],
            }),
        ),
    ]
}

/// An overdue item; with a lease if one is given.
fn item(lease: Value) -> Value {
    let attempts = i32::from(!lease.is_null());
    json!({
        "workflow": "uploads",
        "id": "file-1",
        "state": "overdue",
        "created_at": "2026-01-31T11:00:00.000Z",
        "deadline": "2026-01-31T12:00:00.000Z",
        "overdue_since": "2026-01-31T12:00:00.000Z",
        "closed_at": null,
        "outcome": null,
        "labels": {"region": "eu"},
        "step": "copy",
        "step_entered_at": "2026-01-31T11:00:00.000Z",
        "step_index": 0,
        "step_attempts": attempts,
        "step_retries": 0,
        "step_losses": 0,
        "steps": [],
        "interrupted_until": null,
        "not_before": null,
        "errored_at": null,
        "error_message": null,
        "progress": {"copied": 3},
        "errors": [],
        "artifacts": [],
        "params": null,
        "number": null,
        "held_for": null,
        "started_at": null,
        "lineage": null,
        "counts": null,
        "lease": lease,
        "retry_at": null,
        "incident": "inc_019b76da-a800-7c3e-8f00-5b2d1c0a9e71",
        "traceparent": null,
        "tracestate": null,
        "payload": {
            "size": 5,
            "content_type": "text/plain",
            "content_encoding": null,
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        },
        "version": 2,
    })
}

/// An open incident of overdue items.
fn incident() -> Value {
    json!({
        "id": "inc_019b76da-a800-7c3e-8f00-5b2d1c0a9e71",
        "workflow": "uploads",
        "kind": "overdue",
        "group": {},
        "status": "open",
        "severity": "error",
        "opened_at": "2026-01-31T12:00:00.000Z",
        "reopened_at": null,
        "resolved_at": null,
        "count": 2,
        "peak": 3,
        "oldest_deadline": "2026-01-31T12:00:00.000Z",
        "became": {"closed": 1, "discarded": 0, "extended": 0, "failed": 0},
        "continued_in": null,
        "by_step": {"copy": 2},
        "missed": null,
        "notified_at": "2026-01-31T12:00:10.000Z",
        "next_told_at": "2026-01-31T16:00:10.000Z",
        "waiting_for": null,
        "told": ["oncall"],
        "escalations": 0,
        "acknowledged": false,
        "snoozed_until": null,
        "actions": [],
    })
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use warden_api::lease::ClaimedItem;
    use warden_api::{Delivery, Incident, Item, Lease, Silence};

    use super::*;

    /// Whether the document is written as it was read, so that no field is missing or unknown.
    fn is_whole<T: Serialize + DeserializeOwned>(example: &Value) -> bool {
        let document: T = serde_json::from_value(example.clone()).expect("the document");
        serde_json::to_value(document).expect("JSON") == *example
    }

    #[test]
    fn every_example_is_a_whole_document() {
        for (name, example) in examples() {
            let is_whole = match name {
                "Item" => is_whole::<Item>(&example),
                "ClaimedItem" => is_whole::<ClaimedItem>(&example),
                "Lease" => is_whole::<Lease>(&example),
                "Incident" => is_whole::<Incident>(&example),
                "Silence" => is_whole::<Silence>(&example),
                "Delivery" => is_whole::<Delivery>(&example),
                other => panic!("{other} is not known"),
            };
            assert!(is_whole, "{name}");
        }
    }
}
