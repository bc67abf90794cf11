//! What the text says, and how large it can become.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::item::Course;
use crate::model::{
    Continuation, IncidentId, ItemId, ItemNumber, Labels, OutcomeCounts, Severity, StepName, Work,
};

const BASE: &str = "https://warden.example.com";
const OPENED: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// Fourteen minutes later.
const NOW: Timestamp = Timestamp::from_millis(1_767_226_440_000);

fn key(kind: IncidentKind) -> IncidentKey {
    IncidentKey { workflow: WorkflowName::new("uploads").unwrap(), kind, group: Group::new() }
}

fn incident(by_step: &[(&str, u64)]) -> Incident {
    let by_step: BTreeMap<Arc<str>, u64> =
        by_step.iter().map(|(step, count)| (Arc::from(*step), *count)).collect();
    let count = by_step.values().sum();
    Incident {
        id: IncidentId("inc_1".into()),
        key: key(IncidentKind::Overdue),
        status: IncidentStatus::Open,
        severity: Severity::Critical,
        opened_at: OPENED,
        reopened_at: None,
        reopenings: Vec::new(),
        resolved_at: None,
        ending_since: None,
        outcomes: None,
        counted_at: None,
        continued_in: None,
        count,
        peak: count,
        oldest_deadline: Some(OPENED),
        by_step,
        missed: None,
        notified_at: None,
        first_notified_at: None,
        notified_count: 0,
        notified_steps: BTreeSet::new(),
        told: BTreeSet::new(),
        escalations: 0,
        muted: false,
        notifications: 0,
        acknowledged: false,
        snoozed_until: None,
        actions: Vec::new(),
    }
}

fn item(id: &str, step: Option<&str>) -> Item {
    Item {
        number: ItemNumber(1),
        workflow: WorkflowName::new("uploads").unwrap(),
        id: ItemId::new(id).unwrap(),
        created_at: OPENED,
        deadline: OPENED.into(),
        failed_at: None,
        closed: None,
        labels: Labels::default(),
        step: step.map(|step| StepName::new(step).unwrap()),
        step_entered_at: OPENED,
        payload: None,
        idempotency_key: None,
        version: 1,
        work: Work::default(),
        course: Course::default(),
        run: None,
        trace: None,
        detail: None,
    }
}

fn report<'a>(incident: &'a Incident, samples: &'a [Item]) -> Report<'a> {
    Report {
        incident,
        told_count: 0,
        samples,
        zone: None,
        runbook_url: None,
        base_url: BASE,
        moment: NOW.into(),
    }
}

fn text(event: Event, report: &Report<'_>) -> Arc<str> {
    write(&notification(event, report))
}

fn written(incident: &Incident, samples: &[Item]) -> Value {
    serde_json::from_str(&text(Event::Opened, &report(incident, samples))).unwrap()
}

#[test]
fn a_notification_has_the_fields_of_the_contract() {
    let notification =
        written(&incident(&[("backup", 312)]), &[item("a/b", Some("backup")), item("c", None)]);
    let expected = json!({
        "type": "incident.opened",
        "timestamp": "2026-01-01T00:14:00.000Z",
        "data": {
            "id": "inc_1", "workflow": "uploads", "kind": "overdue", "group": {}, "status": "open",
            "severity": "critical",
            "opened_at": "2026-01-01T00:00:00.000Z", "resolved_at": null,
            "count": 312, "peak": 312, "growth": 312, "oldest_deadline": "2026-01-01T00:00:00.000Z",
            "by_step": {"backup": 312},
            "summary": "312 items of uploads are overdue; 312 stuck at backup, the oldest for 14m",
            "missed": null, "became": null, "continued_in": null, "runbook_url": null,
            "acknowledged_by": null,
            "items": [
                {"id": "a/b", "deadline": "2026-01-01T00:00:00.000Z", "step": "backup",
                 "url": "https://warden.example.com/v1/workflows/uploads/items/a%2Fb",
                 "payload_url": "https://warden.example.com/v1/workflows/uploads/items/a%2Fb/payload"},
                {"id": "c", "deadline": "2026-01-01T00:00:00.000Z", "step": null,
                 "url": "https://warden.example.com/v1/workflows/uploads/items/c",
                 "payload_url": "https://warden.example.com/v1/workflows/uploads/items/c/payload"},
            ],
            "truncated": 310,
            "url": "https://warden.example.com/v1/incidents/inc_1",
        },
    });
    assert_eq!(notification, expected);
}

#[test]
fn the_runbook_is_linked_where_there_is_one() {
    let url: Arc<str> = "https://wiki.example.com".into();
    let incident = incident(&[("", 1)]);
    let report = Report { runbook_url: Some(&url), ..report(&incident, &[]) };
    let notification: Value = serde_json::from_str(&text(Event::Opened, &report)).unwrap();
    assert_eq!(notification["data"]["runbook_url"], "https://wiki.example.com");
}

#[test]
fn the_summary_is_one_sentence_for_the_person_on_call() {
    let plain = |by_step: &[(&str, u64)]| incident(by_step);
    let resolved = |peak| Incident { status: IncidentStatus::Resolved, count: 0, peak, ..incident(&[]) };
    let failed = |by_step: &[(&str, u64)]| Incident { key: key(IncidentKind::Failed), ..incident(by_step) };
    let due = |oldest| Incident { oldest_deadline: oldest, ..incident(&[("", 2)]) };
    for (incident, summary) in [
        (plain(&[("", 1)]), "1 item of uploads is overdue, the oldest for 14m"),
        (plain(&[("copy", 1)]), "1 item of uploads is overdue; 1 stuck at copy, the oldest for 14m"),
        (
            plain(&[("", 1), ("a", 2), ("b", 9), ("c", 2), ("d", 3)]),
            "17 items of uploads are overdue; 9 stuck at b, 3 stuck at d, 2 stuck at a, the oldest for 14m",
        ),
        (due(Some(NOW)), "2 items of uploads are overdue"),
        (due(Some(Timestamp::from_millis(NOW.as_millis() - 999))), "2 items of uploads are overdue"),
        (
            due(Some(Timestamp::from_millis(NOW.as_millis() - 90_061_500))),
            "2 items of uploads are overdue, the oldest for 1day 1h 1m 1s",
        ),
        (failed(&[("", 1)]), "1 item of uploads has failed"),
        (failed(&[("copy", 2)]), "2 items of uploads have failed; 2 stuck at copy"),
        (resolved(1), "no item of uploads is overdue any more; the peak was 1 item"),
        (resolved(312), "no item of uploads is overdue any more; the peak was 312 items"),
        (
            Incident { key: key(IncidentKind::Failed), ..resolved(2) },
            "no item of uploads has failed any more; the peak was 2 items",
        ),
    ] {
        assert_eq!(super::summary(&incident, None, NOW), summary);
    }
}

#[test]
fn the_summary_of_an_end_says_first_where_the_trouble_goes_on() {
    let end = |kind, outcomes, continued: Option<IncidentKind>| Incident {
        key: key(kind),
        status: IncidentStatus::Resolved,
        peak: 23,
        outcomes: Some(outcomes),
        continued_in: continued.map(|kind| Continuation { incident: IncidentId("inc_2".into()), kind }),
        ..incident(&[])
    };
    let none = OutcomeCounts::default();
    let (overdue, failed) = (IncidentKind::Overdue, IncidentKind::Failed);
    for (incident, summary) in [
        (
            end(overdue, OutcomeCounts { failed: 20, ..none }, Some(failed)),
            "20 overdue items of uploads have failed",
        ),
        (
            end(overdue, OutcomeCounts { failed: 1, ..none }, Some(failed)),
            "1 overdue item of uploads has failed",
        ),
        (
            end(overdue, OutcomeCounts { failed: 20, closed: 2, extended: 1, ..none }, Some(failed)),
            "20 overdue items of uploads have failed; 2 closed, 1 extended",
        ),
        (
            end(overdue, OutcomeCounts { failed: 20, closed: 3, ..none }, None),
            "no item of uploads is overdue any more; the peak was 23 items; 3 closed, 20 failed",
        ),
        (
            end(overdue, OutcomeCounts { closed: 23, ..none }, None),
            "no item of uploads is overdue any more; the peak was 23 items",
        ),
        (
            end(overdue, OutcomeCounts { extended: 2, discarded: 1, ..none }, None),
            "no item of uploads is overdue any more; the peak was 23 items; 1 discarded, 2 extended",
        ),
        (
            end(failed, OutcomeCounts { retried: 2, closed: 1, ..none }, Some(overdue)),
            "2 failed items of uploads are open again and overdue; 1 closed",
        ),
        (
            end(failed, OutcomeCounts { retried: 2, ..none }, None),
            "no item of uploads has failed any more; the peak was 23 items; 2 retried",
        ),
        (
            end(overdue, OutcomeCounts { moved: 1, closed: 1, ..none }, Some(overdue)),
            "1 overdue item of uploads is in another incident now; 1 closed",
        ),
        (
            Incident { outcomes: None, ..end(IncidentKind::Missed, none, Some(overdue)) },
            "uploads is on schedule again, but some are overdue; that was missed 23 times",
        ),
    ] {
        assert_eq!(super::summary(&incident, None, NOW), summary);
        let told = written(&incident, &[]);
        let id = incident.continued_in.map(|continuation| continuation.incident.0);
        assert_eq!(told["data"]["continued_in"], json!(id));
        assert_eq!(told["data"]["became"].is_null(), incident.outcomes.is_none());
    }
    let failing = OutcomeCounts { failed: 20, ..none };
    let waits =
        Incident { status: IncidentStatus::Open, ending_since: Some(NOW), ..end(overdue, failing, None) };
    assert_eq!(super::summary(&waits, None, NOW), "20 overdue items of uploads have failed");
}

#[test]
fn the_summary_names_the_group() {
    let labels = [("region", "eu"), ("tenant", "")].map(|(name, value)| (name.into(), value.into()));
    let mut incident = incident(&[("", 2)]);
    incident.key.group = Group::from(labels);
    let summary = super::summary(&incident, None, OPENED);
    assert_eq!(summary, "2 items of uploads (region eu, no tenant) are overdue");
}

#[test]
fn the_summary_says_what_did_not_begin() {
    let missed = |windows, wanted, created| {
        let missed = Missed {
            expected_at: OPENED,
            since: NOW,
            windows,
            wanted,
            created,
            from: OPENED,
            unobserved: 0,
            of_success: false,
        };
        Incident { key: key(IncidentKind::Missed), missed: Some(missed), ..incident(&[("", windows)]) }
    };
    let at = "2026-01-01T00:00:00.000Z";
    let resolved = |peak| Incident { status: IncidentStatus::Resolved, peak, ..missed(1, 1, 0) };
    for (incident, summary) in [
        (missed(1, 1, 0), format!("no item of uploads was created, expected at {at}")),
        (missed(3, 1, 0), format!("no item of uploads was created, expected at {at}, 3 times in a row")),
        (missed(1, 100, 47), format!("47 of 100 items of uploads were created, expected at {at}")),
        (resolved(1), "uploads is on schedule again; that was missed once".to_owned()),
        (resolved(4), "uploads is on schedule again; that was missed 4 times".to_owned()),
    ] {
        assert_eq!(super::summary(&incident, None, NOW), summary);
    }
}

#[test]
fn the_summary_has_the_time_in_the_zone_of_the_workflow_too() {
    let expected_at = Timestamp::parse("2027-03-28T01:00:00Z").unwrap();
    let missed = Missed {
        expected_at,
        since: NOW,
        windows: 1,
        wanted: 1,
        created: 0,
        from: OPENED,
        unobserved: 0,
        of_success: false,
    };
    let incident = Incident { key: key(IncidentKind::Missed), missed: Some(missed), ..incident(&[("", 1)]) };
    let zone = "Europe/Berlin".parse().unwrap();
    let expected = "no item of uploads was created, expected at 2027-03-28T01:00:00.000Z \
                    (03:00 on Sun 2027-03-28 in Europe/Berlin)";
    assert_eq!(super::summary(&incident, Some(zone), NOW), expected);
}

#[test]
fn growth_is_what_has_come_since_people_were_told() {
    let grown = |told_count| {
        notification(Event::Grown, &Report { told_count, ..report(&incident(&[("", 10)]), &[]) }).data.growth
    };
    assert_eq!((grown(4), grown(12)), (6, -2));
}

#[test]
fn what_is_not_shown_is_counted() {
    let samples: Vec<Item> = (0..30).map(|number| item(&format!("file-{number}"), None)).collect();
    let data = &written(&incident(&[("", 312)]), &samples)["data"];
    assert_eq!(data["items"].as_array().unwrap().len(), SAMPLES_MAX);
    assert_eq!(data["items"][19]["id"], "file-19");
    assert_eq!(data["truncated"], 292);
    assert_eq!(written(&incident(&[("", 30)]), &samples[..1])["data"]["truncated"], 29);
    assert_eq!(written(&incident(&[("", 1)]), &samples[..1])["data"]["truncated"], 0);
}

/// The most steps that an incident counts separately, each with the longest name.
fn crowded() -> Incident {
    let names: Vec<String> = (0..32).map(|step| format!("{step:0>128}")).collect();
    incident(&names.iter().map(|name| (name.as_str(), u64::MAX / 64)).collect::<Vec<_>>())
}

#[test]
fn hostile_ids_leave_it_below_twenty_kilobytes() {
    let long_base: Arc<str> = format!("https://{}.example.com", "x".repeat(2000)).into();
    let hostile = [("\"", 256), ("\\", 256), ("ä", 128), ("\u{10ffff}", 64), ("</script>", 28)];
    for id in hostile.map(|(text, times)| text.repeat(times)) {
        let samples: Vec<Item> = (0..SAMPLES_MAX).map(|_| item(&id, Some(&"s".repeat(128)))).collect();
        for base_url in [BASE, &long_base] {
            for (incident, least) in [(incident(&[("", 312)]), 2), (crowded(), 1)] {
                let report =
                    Report { runbook_url: Some(&long_base), base_url, ..report(&incident, &samples) };
                let text = text(Event::Opened, &report);
                assert!(text.len() < 20_000, "{} bytes with {id}", text.len());
                let data = &serde_json::from_str::<Value>(&text).unwrap()["data"];
                let shown = data["items"].as_array().unwrap();
                assert!(shown.len() >= least, "{} shown with {id}", shown.len());
                assert_eq!(data["truncated"], incident.count - shown.len() as u64);
                assert!(shown.iter().all(|shown| shown["id"] == id.as_str()));
            }
        }
    }
}

fn ids() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,64}".prop_filter("an id", |id| ItemId::new(id.as_str()).is_ok())
}

proptest! {
    #[test]
    fn whatever_items_are_called_the_text_stays_small_and_names_them(
        ids in prop::collection::vec(ids(), 0..=SAMPLES_MAX),
        waited in 0_u64..10_000_000_000,
    ) {
        let samples: Vec<Item> = ids.iter().map(|id| item(id, None)).collect();
        let incident = Incident { count: 1000, ..incident(&[("backup", 1000)]) };
        let moment = OPENED.after(Duration::from_millis(waited)).into();
        let text = text(Event::Reminder, &Report { moment, ..report(&incident, &samples) });
        prop_assert!(text.len() < 20_000);
        let notification: Value = serde_json::from_str(&text).unwrap();
        let shown = notification["data"]["items"].as_array().unwrap();
        for (shown, id) in shown.iter().zip(&ids) {
            prop_assert_eq!(&shown["id"], id);
            let url = shown["url"].as_str().unwrap();
            let (_, last) = url.rsplit_once('/').unwrap();
            let decoded = percent_encoding::percent_decode_str(last).decode_utf8().unwrap();
            prop_assert_eq!(&decoded, id);
            prop_assert!(url.parse::<reqwest::Url>().is_ok());
        }
        prop_assert_eq!(notification["data"]["truncated"].as_u64(), Some(1000 - shown.len() as u64));
    }
}
