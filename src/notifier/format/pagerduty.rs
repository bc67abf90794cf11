//! PagerDuty, Events API version 2: an incident of the warden is an incident of PagerDuty.
//!
//! Invariant: all notifications of an incident have the same `dedup_key`, so that growth and reminders create
//! no new incidents, and the resolution resolves what the opening triggered. A test has a key of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Rendered, base_url, cut, post};
use crate::model::{DeliveryId, Event, Notification, Severity};

/// The default URL.
pub const ENQUEUE: &str = "https://events.pagerduty.com/v2/enqueue";
/// PagerDuty's limit of a summary, in characters.
const SUMMARY_MAX: usize = 1024;
/// Appended to the summary of a test.
const TEST_NOTE: &str = " (only a test: it can be resolved)";

/// The integration key of a service. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RoutingKey(Arc<str>);

/// The text is no [`RoutingKey`]. It is not repeated, since it may be a mistyped key.
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
    // The payload of a resolution is kept in the log of PagerDuty's incident.
    if action(notification.event) != "acknowledge" {
        event["payload"] = payload(notification, is_test);
    }
    if action(notification.event) == "trigger" {
        event["client"] = "Process Warden".into();
        event["client_url"] = notification.data.url.clone().into();
        event["links"] = links(notification);
    }
    post("application/json", &event)
}

const fn action(event: Event) -> &'static str {
    match event {
        Event::Acknowledged => "acknowledge",
        Event::Resolved => "resolve",
        _ => "trigger",
    }
}

fn payload(notification: &Notification, is_test: bool) -> Value {
    let data = &notification.data;
    let (note, severity) = if is_test { (TEST_NOTE, Severity::Info) } else { ("", data.severity) };
    let summary = cut(&data.summary, SUMMARY_MAX - note.len());
    json!({
        "summary": format!("{summary}{note}"),
        "source": base_url(&data.url),
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
            "became": data.outcomes,
            "continued_in": data.continued_in,
            "items": data.items,
            "truncated": data.truncated,
        },
    })
}

/// `region=eu, tier=gold`; `None` if the workflow is not split into groups.
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

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use crate::notifier::Format;

    fn format() -> Format {
        Format::PagerDuty { routing_key: "R0UT1NGK3Y".parse().unwrap() }
    }

    #[test]
    fn an_opened_incident_triggers_one() {
        const ITEM: &str = "https://warden.example.com/v1/workflows/uploads/items/file%2D1";
        let expected = json!({
            "routing_key": "R0UT1NGK3Y",
            "event_action": "trigger",
            "dedup_key": "inc_1",
            "payload": {
                "summary": "3 items of uploads (region eu) are overdue; 2 stuck at backup, the oldest for \
                            14m",
                "source": "https://warden.example.com",
                "severity": "critical",
                "timestamp": "2026-01-01T00:14:00.000Z",
                "component": "uploads",
                "group": "region=eu",
                "class": "overdue",
                "custom_details": {
                    "count": 3,
                    "peak": 4,
                    "oldest_deadline": "2026-01-01T00:00:00.000Z",
                    "by_step": { "": 1, "backup": 2 },
                    "acknowledged_by": null,
                    "became": null,
                    "continued_in": null,
                    "items": [{
                        "id": "file-1",
                        "deadline": "2026-01-01T00:00:00.000Z",
                        "step": "backup",
                        "url": ITEM,
                        "payload_url": format!("{ITEM}/payload"),
                    }],
                    "truncated": 2,
                },
            },
            "client": "Process Warden",
            "client_url": "https://warden.example.com/v1/incidents/inc_1",
            "links": [
                { "href": "https://warden.example.com/v1/incidents/inc_1", "text": "The incident" },
                { "href": "https://wiki.example.com/uploads", "text": "What to do" },
            ],
        });
        assert_eq!(document(&format(), &opened()), expected);
        assert_eq!(rendered(&format(), &opened()).headers["content-type"], "application/json");
    }

    #[test]
    fn its_end_resolves_what_its_beginning_triggered_and_says_what_became_of_it() {
        let document = document(&format(), &continued());
        assert_eq!(document["event_action"], "resolve");
        assert_eq!(document["dedup_key"], "inc_1");
        assert_eq!(document["payload"]["summary"], continued().data.summary);
        let details = &document["payload"]["custom_details"];
        assert_eq!(details["became"], json!({ "closed": 1, "discarded": 0, "extended": 0, "failed": 3 }));
        assert_eq!(details["continued_in"], "inc_2");
        assert_eq!(document.get("links"), None);
    }

    #[test]
    fn an_acknowledgement_says_nothing_else() {
        let expected =
            json!({ "routing_key": "R0UT1NGK3Y", "event_action": "acknowledge", "dedup_key": "inc_1" });
        assert_eq!(document(&format(), &told(Event::Acknowledged)), expected);
    }

    #[test]
    fn every_event_does_to_the_same_incident_what_it_says() {
        for (event, action) in [
            (Event::Opened, "trigger"),
            (Event::Grown, "trigger"),
            (Event::Reminder, "trigger"),
            (Event::Escalated, "trigger"),
            (Event::Acknowledged, "acknowledge"),
            (Event::Resolved, "resolve"),
        ] {
            let document = document(&format(), &told(event));
            assert_eq!(
                (&document["event_action"], &document["dedup_key"]),
                (&json!(action), &json!("inc_1"))
            );
        }
    }

    #[test]
    fn a_test_triggers_something_of_its_own_that_is_harmless() {
        let document = document(&format(), &told(Event::Test));
        assert_eq!(document["event_action"], "trigger");
        assert_eq!(document["dedup_key"], "dlv_1");
        assert_eq!(document["payload"]["severity"], "info");
        let summary = document["payload"]["summary"].as_str().unwrap();
        assert!(summary.ends_with("14m (only a test: it can be resolved)"), "{summary}");
    }

    #[test]
    fn a_summary_is_cut_to_what_is_taken() {
        for event in [Event::Opened, Event::Test] {
            let document = document(&format(), &Notification { event, ..hostile() });
            let summary = document["payload"]["summary"].as_str().unwrap();
            assert_eq!(summary.chars().count(), SUMMARY_MAX);
            assert!(summary.starts_with(HOSTILE));
        }
        let document = document(&format(), &hostile());
        assert_eq!(document["payload"]["custom_details"]["items"][0]["id"], HOSTILE.repeat(4));
    }

    #[test]
    fn a_workflow_that_is_not_split_has_no_group() {
        let mut notification = opened();
        notification.data.group.clear();
        assert_eq!(document(&format(), &notification)["payload"]["group"], Value::Null);
    }

    #[test]
    fn a_routing_key_is_a_word_and_is_never_shown() {
        for text in ["", "two words", "key\n", "k-e-y", "schlüssel"] {
            assert_eq!(text.parse::<RoutingKey>().unwrap_err(), RoutingKeyError, "{text:?}");
        }
        let shown = format!("{:?}", format());
        assert!(!shown.contains("R0UT1NG"), "{shown}");
    }
}
