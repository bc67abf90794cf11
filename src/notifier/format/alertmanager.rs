//! Prometheus Alertmanager, API version 2: an incident is one alert.
//!
//! Invariants:
//!
//! * Labels identify an alert. They hold only what stays the same from the opening to the resolution;
//!   everything that changes is an annotation.
//! * An open alert has an expiry: Alertmanager considers it resolved unless it is sent again. The end of a
//!   resolved one is in the past by the wall clock, whatever the steady clock says.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{Rendered, outcomes, post, steps};
use crate::model::{Event, IncidentKind, IncidentStatus, Notification, Severity, Timestamp};

/// The expiry of an alert in intervals of resending, so that it survives some failed attempts.
const INTERVALS: u32 = 4;
/// The path of the API, appended to the configured URL.
const PATH: &str = "/api/v2/alerts";
/// The prefix of group labels, so that they never collide with the warden's own.
const GROUP_PREFIX: &str = "label_";

/// The URL for alerts of the Alertmanager at this address, which may contain the path already.
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
        // Alertmanager refuses an alert that ends before it starts.
        "startsAt": data.opened_at.min(now).min(ends_at),
        "endsAt": ends_at,
        "generatorURL": data.url,
    });
    post("application/json", &json!([alert]))
}

/// Empty labels are omitted, as Alertmanager does.
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
        // The names are sorted, so that a number is always given to the same one of several that collide.
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

/// Replaces characters that Prometheus does not allow in the name of a label.
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
        ("became", outcomes(notification)),
        ("continued_in", data.continued_in.as_deref().unwrap_or_default().to_owned()),
        ("acknowledged_by", data.acknowledged_by.as_deref().unwrap_or_default().to_owned()),
        ("url", data.url.clone()),
        ("runbook_url", data.runbook_url.as_deref().unwrap_or_default().to_owned()),
    ];
    let told = all.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(name, text)| (name.to_owned(), text.into())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::super::fixture::*;
    use super::*;
    use crate::notifier::Format;

    const FORMAT: Format = Format::Alertmanager { resend: Duration::from_secs(60) };

    fn alert(notification: &Notification) -> Value {
        document(&FORMAT, notification)[0].clone()
    }

    #[test]
    fn an_open_incident_is_an_alert_that_holds_for_some_minutes() {
        let expected = json!([{
            "labels": {
                "alertname": "WardenOverdue", "workflow": "uploads", "kind": "overdue",
                "severity": "critical", "incident": "inc_1", "label_region": "eu",
            },
            "annotations": {
                "summary": "3 items of uploads (region eu) are overdue; 2 stuck at backup, the oldest for \
                            14m",
                "count": "3", "peak": "4", "oldest_deadline": "2026-01-01T00:00:00.000Z",
                "by_step": "no step: 1, backup: 2",
                "url": "https://warden.example.com/v1/incidents/inc_1",
                "runbook_url": "https://wiki.example.com/uploads",
            },
            "startsAt": "2026-01-01T00:00:00.000Z",
            "endsAt": "2026-01-01T00:18:00.000Z",
            "generatorURL": "https://warden.example.com/v1/incidents/inc_1",
        }]);
        assert_eq!(document(&FORMAT, &opened()), expected);
        let rendered = rendered(&FORMAT, &opened());
        assert_eq!((rendered.method, rendered.headers.len()), (reqwest::Method::POST, 1));
        assert_eq!(rendered.headers["content-type"], "application/json");
    }

    #[test]
    fn its_end_has_the_same_labels_and_is_past() {
        let alert = alert(&resolved());
        assert_eq!(alert["labels"], self::alert(&opened())["labels"]);
        assert_eq!(alert["startsAt"], "2026-01-01T00:00:00.000Z");
        assert_eq!(alert["endsAt"], "2026-01-01T01:00:00.000Z");
        assert_eq!(alert["annotations"]["summary"], resolved().data.summary);
        assert_eq!(alert["annotations"].get("oldest_deadline"), None);
    }

    #[test]
    fn an_end_that_is_no_end_of_the_trouble_says_where_it_goes_on() {
        let alert = alert(&continued());
        assert_eq!(alert["labels"], self::alert(&opened())["labels"]);
        assert_eq!(alert["annotations"]["summary"], continued().data.summary);
        assert_eq!(alert["annotations"]["became"], "closed: 1, failed: 3");
        assert_eq!(alert["annotations"]["continued_in"], "inc_2");
    }

    #[test]
    fn what_changes_in_the_life_of_an_incident_is_in_no_label() {
        let mut changed = opened();
        let data = &mut changed.data;
        (data.count, data.peak, data.growth, data.truncated) = (7, 8, 9, 10);
        data.by_step.clear();
        data.items.clear();
        data.summary = "all is different".to_owned();
        data.acknowledged_by = Some("somebody".into());
        data.oldest_deadline = None;
        for event in [Event::Grown, Event::Reminder, Event::Escalated, Event::Resolved] {
            changed.event = event;
            assert_eq!(alert(&changed)["labels"], alert(&opened())["labels"]);
        }
    }

    #[test]
    fn an_open_alert_holds_from_the_instant_of_the_attempt() {
        let later = TOLD_AT.after(Duration::from_secs(3_600));
        let rendered = rendered_at(&FORMAT, &opened(), later);
        let alerts: Value = serde_json::from_slice(&rendered.body).unwrap();
        assert_eq!(alerts[0]["endsAt"], "2026-01-01T01:18:00.000Z");
    }

    #[test]
    fn a_wall_clock_that_was_set_back_neither_prolongs_an_alert_nor_makes_it_end_before_it_starts() {
        for (notification, now) in
            [(resolved(), OPENED_AT), (resolved(), TOLD_AT), (opened(), Timestamp::default())]
        {
            let rendered = rendered_at(&FORMAT, &notification, now);
            let alerts: Value = serde_json::from_slice(&rendered.body).unwrap();
            let at = |name: &str| Timestamp::parse(alerts[0][name].as_str().unwrap()).unwrap();
            assert!(at("startsAt") <= at("endsAt") && at("startsAt") <= now);
            assert!(notification.event == Event::Opened || at("endsAt") <= now);
        }
    }

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        let names = [
            (IncidentKind::Overdue, "WardenOverdue"),
            (IncidentKind::Failed, "WardenFailed"),
            (IncidentKind::Missed, "WardenMissed"),
            (IncidentKind::Held, "WardenHeld"),
        ];
        for (kind, name) in names {
            let mut notification = opened();
            notification.data.kind = kind;
            assert_eq!(alert(&notification)["labels"]["alertname"], name);
        }
    }

    #[test]
    fn labels_that_look_alike_to_alertmanager_are_told_apart_and_always_in_the_same_way() {
        let group: BTreeMap<Arc<str>, Arc<str>> =
            [("a.b", "1"), ("a/b", "2"), ("a_b", "3"), ("empty", ""), ("9", "4")]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
        let mut notification = opened();
        notification.data.group = group;
        let labels = alert(&notification)["labels"].clone();
        let expected = [("label_a_b", "1"), ("label_a_b_2", "2"), ("label_a_b_3", "3"), ("label_9", "4")];
        for (name, value) in expected {
            assert_eq!(labels[name], value, "{labels}");
        }
        assert_eq!(labels.as_object().unwrap().len(), 5 + expected.len());
    }

    #[test]
    fn a_test_is_an_alert_of_its_own_that_wakes_nobody_and_ends_by_itself() {
        let alert = alert(&told(Event::Test));
        assert_eq!(alert["labels"]["alertname"], "WardenTest");
        assert_eq!(alert["labels"]["severity"], "info");
        assert_eq!(alert["endsAt"], "2026-01-01T00:18:00.000Z");
    }

    #[test]
    fn whatever_items_are_called_the_names_of_labels_are_those_of_prometheus() {
        let alert = alert(&hostile());
        for name in alert["labels"].as_object().unwrap().keys() {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
            assert!(!name.starts_with(|c: char| c.is_ascii_digit()), "{name}");
        }
        assert_eq!(alert["labels"]["label_a_b_c"], HOSTILE);
    }

    #[test]
    fn alerts_go_to_the_api_below_the_address_unless_it_says_so_itself() {
        for (base, expected) in [
            ("http://am:9093", "http://am:9093/api/v2/alerts"),
            ("http://am:9093/", "http://am:9093/api/v2/alerts"),
            ("http://am/alertmanager//", "http://am/alertmanager/api/v2/alerts"),
            ("http://am/x/api/v2/alerts", "http://am/x/api/v2/alerts"),
            ("http://am/x/api/v2/alerts/", "http://am/x/api/v2/alerts"),
            ("https://am/?tenant=a", "https://am/api/v2/alerts?tenant=a"),
        ] {
            assert_eq!(endpoint(&base.parse().unwrap()).as_str(), expected);
        }
    }
}
