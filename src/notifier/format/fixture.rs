//! Notifications for the tests of the formats.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Format, Rendered};
use crate::model::{
    DeliveryId, Event, IncidentKind, IncidentStatus, Notification, OutcomeCounts, Sample, Severity, Subject,
    Timestamp,
};

/// 2026-01-01T00:00:00Z.
pub const OPENED_AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// Fourteen minutes later: the notification.
pub const TOLD_AT: Timestamp = Timestamp::from_millis(1_767_226_440_000);
/// An hour after the opening: the resolution.
pub const RESOLVED_AT: Timestamp = Timestamp::from_millis(1_767_229_200_000);

/// An id of characters that have a meaning in some format.
pub const HOSTILE: &str =
    "</script><!channel>|\"'\\&amp;{{ 7 * 7 }}{% raw %}${x}*_`~@here\u{202e}ä\u{10ffff}";

/// The opening of an incident with two steps and one group.
pub fn opened() -> Notification {
    Notification {
        event: Event::Opened,
        timestamp: TOLD_AT,
        data: Subject {
            id: "inc_1".into(),
            workflow: "uploads".into(),
            kind: IncidentKind::Overdue,
            group: BTreeMap::from([("region".into(), "eu".into())]),
            status: IncidentStatus::Open,
            severity: Severity::Critical,
            opened_at: OPENED_AT,
            resolved_at: None,
            count: 3,
            peak: 4,
            growth: 3,
            oldest_deadline: Some(OPENED_AT),
            by_step: BTreeMap::from([("".into(), 1), ("backup".into(), 2)]),
            missed: None,
            outcomes: None,
            continued_in: None,
            summary: "3 items of uploads (region eu) are overdue; 2 stuck at backup, the oldest for 14m"
                .to_owned(),
            runbook_url: Some("https://wiki.example.com/uploads".into()),
            acknowledged_by: None,
            items: vec![item("file-1")],
            truncated: 2,
            url: "https://warden.example.com/v1/incidents/inc_1".to_owned(),
        },
    }
}

/// The resolution of the same incident.
pub fn resolved() -> Notification {
    let mut notification = Notification { event: Event::Resolved, timestamp: RESOLVED_AT, ..opened() };
    let data = &mut notification.data;
    data.status = IncidentStatus::Resolved;
    data.resolved_at = Some(RESOLVED_AT);
    data.count = 0;
    data.growth = -3;
    data.oldest_deadline = None;
    data.by_step.clear();
    data.summary = "no item of uploads (region eu) is overdue any more; the peak was 4 items".to_owned();
    data.items.clear();
    data.truncated = 0;
    notification
}

/// Its resolution when all remaining items have failed.
pub fn continued() -> Notification {
    let mut notification = resolved();
    let data = &mut notification.data;
    data.outcomes = Some(OutcomeCounts { closed: 1, failed: 3, ..OutcomeCounts::default() });
    data.continued_in = Some("inc_2".into());
    data.summary = "3 overdue items of uploads (region eu) have failed; 1 closed".to_owned();
    notification
}

/// A notification of the incident for this event.
pub fn told(event: Event) -> Notification {
    Notification { event, ..if event == Event::Resolved { resolved() } else { opened() } }
}

/// An incident whose every text is hostile, with the most items.
pub fn hostile() -> Notification {
    let mut notification = opened();
    let data = &mut notification.data;
    data.group = BTreeMap::from([("a.b/c".into(), HOSTILE.into())]);
    data.by_step = (0..32).map(|number| (format!("{number}-{}", "x".repeat(120)).into(), 1)).collect();
    data.summary = HOSTILE.repeat(40);
    data.acknowledged_by = Some(HOSTILE.repeat(100).into());
    data.items = (0..20).map(|_| item(&HOSTILE.repeat(4))).collect();
    notification
}

fn item(id: &str) -> Sample {
    let path = percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC);
    let url = format!("https://warden.example.com/v1/workflows/uploads/items/{path}");
    Sample {
        id: id.to_owned(),
        deadline: OPENED_AT,
        step: Some("backup".to_owned()),
        payload_url: format!("{url}/payload"),
        url,
    }
}

/// What is sent at this instant.
pub fn rendered_at(format: &Format, notification: &Notification, now: Timestamp) -> Rendered {
    let stored = serde_json::to_string(notification).unwrap();
    format.render(&stored, &DeliveryId("dlv_1".into()), now).unwrap()
}

/// What is sent at the notification's own instant.
pub fn rendered(format: &Format, notification: &Notification) -> Rendered {
    rendered_at(format, notification, notification.timestamp)
}

/// The body as JSON.
pub fn document(format: &Format, notification: &Notification) -> Value {
    serde_json::from_slice(&rendered(format, notification).body).unwrap()
}

/// All texts in a document.
pub fn texts(document: &Value) -> Vec<&str> {
    match document {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(entries) => entries.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
