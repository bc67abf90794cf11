//! What people are told: the notification in the `standard` form.
//!
//! Invariant: the text stays below [`BODY_MAX`] bytes whatever the items are called; samples are left out until it
//! does, and `truncated` says how many items are not shown.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::model::{Event, Incident, IncidentKind, IncidentStatus, Item, Timestamp};

/// The largest notification in bytes; receivers are promised less than 20 kB.
pub const BODY_MAX: usize = 19_000;
/// The most items that a notification shows.
pub const SAMPLES_MAX: usize = 20;

/// What RFC 3986 leaves unreserved may stand in a path as it is.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Serialize)]
struct Notification<'a> {
    #[serde(rename = "type")]
    event: Event,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    workflow: &'a str,
    kind: IncidentKind,
    status: IncidentStatus,
    severity: &'a str,
    opened_at: Timestamp,
    resolved_at: Option<Timestamp>,
    count: u64,
    peak: u64,
    oldest_deadline: Option<Timestamp>,
    by_step: &'a BTreeMap<Arc<str>, u64>,
    summary: String,
    runbook_url: Option<&'a str>,
    items: &'a [Sample],
    truncated: u64,
    url: String,
}

#[derive(Serialize)]
struct Sample {
    id: String,
    deadline: Timestamp,
    step: Option<String>,
    url: String,
    payload_url: String,
}

/// The path of an item below the base URL, with its id percent-encoded.
pub fn item_path(workflow: &str, id: &str) -> String {
    format!("/v1/workflows/{workflow}/items/{}", utf8_percent_encode(id, PATH_SEGMENT))
}

/// Writes a notification: what happened, the incident, and up to [`SAMPLES_MAX`] of its items, with links below
/// `base_url`.
pub fn write(
    event: Event,
    incident: &Incident,
    samples: &[Item],
    runbook_url: Option<&str>,
    base_url: &str,
    now: Timestamp,
) -> Arc<str> {
    let mut items: Vec<Sample> =
        samples.iter().take(SAMPLES_MAX).map(|item| sample(item, base_url)).collect();
    loop {
        let notification = Notification {
            event,
            timestamp: now,
            data: Data {
                id: &incident.id.0,
                workflow: &incident.workflow,
                kind: incident.kind,
                status: incident.status,
                severity: &incident.severity,
                opened_at: incident.opened_at,
                resolved_at: incident.resolved_at,
                count: incident.count,
                peak: incident.peak,
                oldest_deadline: incident.oldest_deadline,
                by_step: &incident.by_step,
                summary: summary(incident, now),
                runbook_url,
                items: &items,
                truncated: incident.count.saturating_sub(items.len() as u64),
                url: format!("{base_url}/v1/incidents/{}", incident.id.0),
            },
        };
        let text =
            serde_json::to_string(&notification).expect("plain data with text keys always has a JSON form");
        if text.len() <= BODY_MAX || items.pop().is_none() {
            return text.into();
        }
    }
}

fn sample(item: &Item, base_url: &str) -> Sample {
    let url = format!("{base_url}{}", item_path(&item.workflow, &item.id));
    Sample {
        id: item.id.to_string(),
        deadline: item.deadline,
        step: item.step.as_ref().map(ToString::to_string),
        payload_url: format!("{url}/payload"),
        url,
    }
}

/// One sentence: how many, of what, where they are stuck, and for how long the oldest has been.
fn summary(incident: &Incident, now: Timestamp) -> String {
    let plural = |count: u64| if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
    let workflow = &incident.workflow;
    if incident.status == IncidentStatus::Resolved {
        let wrong = predicate(incident.kind, 1);
        return format!("nothing of {workflow} {wrong} any more; it was {}", plural(incident.peak));
    }
    let mut text =
        format!("{} of {workflow} {}", plural(incident.count), predicate(incident.kind, incident.count));
    let mut steps: Vec<_> = incident.by_step.iter().filter(|(step, _)| !step.is_empty()).collect();
    steps.sort_by(|left, right| right.1.cmp(left.1).then_with(|| left.0.cmp(right.0)));
    for (position, (step, count)) in steps.iter().take(3).enumerate() {
        text.push_str(if position == 0 { "; " } else { ", " });
        text.push_str(&format!("{count} stuck at {step}"));
    }
    // How late an item is says nothing about when it failed.
    let overdue = incident.oldest_deadline.filter(|_| incident.kind == IncidentKind::Overdue);
    let age = overdue.map_or(0, |oldest| now.since(oldest).as_secs());
    if age > 0 {
        let age = humantime::format_duration(std::time::Duration::from_secs(age));
        text.push_str(&format!(", the oldest for {age}"));
    }
    text
}

/// What is wrong with so many items, as a verb.
fn predicate(kind: IncidentKind, count: u64) -> String {
    match (kind, count) {
        (IncidentKind::Failed, 1) => "has failed".to_owned(),
        (IncidentKind::Failed, _) => "have failed".to_owned(),
        (kind, 1) => format!("is {}", kind.as_str()),
        (kind, _) => format!("are {}", kind.as_str()),
    }
}
