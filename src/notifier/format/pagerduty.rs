//! PagerDuty, Events API version 2: an incident of the warden is one of PagerDuty's, known by its id.
//!
//! Invariant: everything that is told of an incident carries the same `dedup_key`, so that growth and reminders do not make
//! new ones, and the end closes what the beginning opened. A test has a key of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Rendered, base_url, cut, post};
use crate::model::{DeliveryId, Event, Notification, Severity};

/// Where events go unless a receiver says otherwise.
pub const ENQUEUE: &str = "https://events.pagerduty.com/v2/enqueue";
/// The longest summary that is taken, in characters.
const SUMMARY_MAX: usize = 1024;
/// What follows the summary of a test.
const TEST_NOTE: &str = " (only a test: it can be resolved)";

/// The integration key of a service. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RoutingKey(Arc<str>);

/// A text that is no [`RoutingKey`]. The text itself is not repeated: it may be nearly the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a routing key is one word of letters and digits, as PagerDuty shows it as the integration key")]
pub struct RoutingKeyError;

impl FromStr for RoutingKey {
    type Err = RoutingKeyError;

    fn from_str(text: &str) -> Result<Self, RoutingKeyError> {
        let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_word { Ok(Self(text.into())) } else { Err(RoutingKeyError) }
    }
}

impl fmt::Debug for RoutingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RoutingKey(…)")
    }
}

pub(super) fn render(notification: &Notification, routing_key: &RoutingKey, id: &DeliveryId) -> Rendered {
    let is_test = notification.event == Event::Test;
    let mut event = json!({
        "routing_key": routing_key.0,
        "event_action": action(notification.event),
        "dedup_key": if is_test { &id.0 } else { &notification.data.id },
    });
    if action(notification.event) == "trigger" {
        event["payload"] = payload(notification, is_test);
        event["client"] = "Process Warden".into();
        event["client_url"] = notification.data.url.clone().into();
        event["links"] = links(notification);
    }
    post("application/json", &event)
}

const fn action(event: Event) -> &'static str {
    match event {
        Event::Opened | Event::Grown | Event::Reminder | Event::Escalated | Event::Test => "trigger",
        Event::Acknowledged => "acknowledge",
        Event::Resolved => "resolve",
    }
}

fn payload(notification: &Notification, is_test: bool) -> Value {
    let data = &notification.data;
    let (note, severity) = if is_test { (TEST_NOTE, Severity::Info) } else { ("", data.severity) };
    let summary = cut(&data.summary, SUMMARY_MAX - note.len());
    json!({
        "summary": format!("{summary}{note}"),
        "source": base_url(notification),
        "severity": severity,
        "timestamp": notification.timestamp,
        "component": data.workflow,
        "group": group(notification),
        "class": data.kind,
        "custom_details": {
            "count": data.count,
            "peak": data.peak,
            "oldest_deadline": data.oldest_deadline,
            "by_step": data.by_step,
            "acknowledged_by": data.acknowledged_by,
            "items": data.items,
            "truncated": data.truncated,
        },
    })
}

/// `region=eu, tier=gold`; null where the workflow is not split.
fn group(notification: &Notification) -> Option<String> {
    let pairs = notification.data.group.iter().map(|(name, value)| format!("{name}={value}"));
    Some(pairs.collect::<Vec<_>>().join(", ")).filter(|group| !group.is_empty())
}

fn links(notification: &Notification) -> Value {
    let data = &notification.data;
    let mut links = vec![json!({ "href": data.url, "text": "The incident" })];
    if let Some(runbook) = &data.runbook_url {
        links.push(json!({ "href": runbook, "text": "What to do" }));
    }
    links.into()
}
