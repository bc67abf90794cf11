//! Prometheus Alertmanager, API version 2: an incident is one alert.
//!
//! Invariants:
//!
//! * The labels are what Alertmanager knows an alert by. They hold only what stays the same from an incident's opening to
//!   its end; everything that changes is an annotation.
//! * An open alert says until when it holds: without being told again Alertmanager takes it for over. A resolved one
//!   holds until an instant that is past by the wall clock, whatever the steady clock says.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{Rendered, post, steps};
use crate::model::{Event, IncidentKind, IncidentStatus, Notification, Severity, Timestamp};

/// For how many intervals of resending an alert holds, so that it outlives some failed attempts.
const INTERVALS: u32 = 4;
/// Where alerts are posted to, below the address of an Alertmanager.
const PATH: &str = "/api/v2/alerts";
/// What the names of group labels begin with, so that they never meet the labels of the warden's own.
const GROUP_PREFIX: &str = "label_";

/// Where the Alertmanager at this address takes alerts. The address may say so already.
pub fn endpoint(base: &Url) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    let path = if path.ends_with(PATH) { path.to_owned() } else { format!("{path}{PATH}") };
    url.set_path(&path);
    url
}

pub(super) fn render(notification: &Notification, resend: Duration, now: Timestamp) -> Rendered {
    let data = &notification.data;
    let ends_at = match data.status {
        IncidentStatus::Open => now.after(resend.saturating_mul(INTERVALS)),
        IncidentStatus::Resolved => data.resolved_at.unwrap_or(notification.timestamp).min(now),
    };
    let alert = json!({
        "labels": labels(notification),
        "annotations": annotations(notification),
        // It refuses what ends before it starts.
        "startsAt": data.opened_at.min(now).min(ends_at),
        "endsAt": ends_at,
        "generatorURL": data.url,
    });
    post("application/json", &json!([alert]))
}

/// Empty ones are left out, as Alertmanager does.
fn labels(notification: &Notification) -> Map<String, Value> {
    let data = &notification.data;
    let (alert_name, severity) = match notification.event {
        Event::Test => ("WardenTest", Severity::Info),
        _ => (alert_name(data.kind), data.severity),
    };
    let mut labels = Map::new();
    let mut insert = |name: &str, value: &str| labels.insert(name.to_owned(), value.into());
    insert("alertname", alert_name);
    insert("workflow", &data.workflow);
    insert("kind", data.kind.as_str());
    insert("severity", severity.as_str());
    insert("incident", &data.id);
    for (name, value) in data.group.iter().filter(|(_, value)| !value.is_empty()) {
        // The names come sorted, so that which of two that look alike gets the number is always the same.
        let name = format!("{GROUP_PREFIX}{}", clean(name));
        let mut free = name.clone();
        let mut number = 2;
        while labels.contains_key(&free) {
            free = format!("{name}_{number}");
            number += 1;
        }
        labels.insert(free, (&**value).into());
    }
    labels
}

const fn alert_name(kind: IncidentKind) -> &'static str {
    match kind {
        IncidentKind::Overdue => "WardenOverdue",
        IncidentKind::Failed => "WardenFailed",
        IncidentKind::Missed => "WardenMissed",
        IncidentKind::Held => "WardenHeld",
    }
}

/// What Prometheus allows in the name of a label.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn annotations(notification: &Notification) -> Map<String, Value> {
    let data = &notification.data;
    let all = [
        ("summary", data.summary.clone()),
        ("count", data.count.to_string()),
        ("peak", data.peak.to_string()),
        ("oldest_deadline", data.oldest_deadline.map(|at| at.to_string()).unwrap_or_default()),
        ("by_step", steps(notification)),
        ("acknowledged_by", data.acknowledged_by.as_deref().unwrap_or_default().to_owned()),
        ("url", data.url.clone()),
        ("runbook_url", data.runbook_url.as_deref().unwrap_or_default().to_owned()),
    ];
    let told = all.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(name, text)| (name.to_owned(), text.into())).collect()
}
