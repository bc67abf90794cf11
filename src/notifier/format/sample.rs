//! Sample notifications to try templates on: for every event one with all optional fields, and one with none.

use std::collections::BTreeMap;

use super::Asked;
use crate::model::run::{Lineage, RunError, RunStatus, Window};
use crate::model::{
    CloseOutcome, Event, EventSet, IncidentKind, IncidentStatus, ItemNotification, ItemSubject, Labels,
    Missed, Notification, OutcomeCounts, RunSubject, Sample, Severity, Subject, Timestamp,
};

const EVENTS: [Event; 7] = [
    Event::Opened,
    Event::Grown,
    Event::Reminder,
    Event::Escalated,
    Event::Acknowledged,
    Event::Resolved,
    Event::Test,
];

/// The notifications that a template must be able to render.
pub(super) fn notifications() -> impl Iterator<Item = Notification> {
    EVENTS.into_iter().flat_map(|event| [full(event), bare(event), missed(event)])
}

/// The same for events of items, and a test if that is about an item as well.
pub(super) fn of_items(asked: Asked) -> impl Iterator<Item = ItemNotification> {
    let test = (!asked.incidents).then_some(Event::Test);
    asked.events.iter().chain(test).flat_map(|event| [full_item(event), bare_item(event)])
}

fn full_item(event: Event) -> ItemNotification {
    let mut notification = bare_item(event);
    let at = notification.timestamp;
    let data = &mut notification.data;
    data.labels = Labels::new(BTreeMap::from([("region".to_owned(), "eu".to_owned())]));
    data.outcome = Some(CloseOutcome::Success);
    data.run = Some(Box::new(RunSubject {
        number: 12,
        status: RunStatus::Failed,
        started_at: Some(data.created_at),
        ended_at: Some(at),
        window: Some(Window { from: Some(data.created_at), to: at }),
        lineage: Some(Lineage {
            process_type: Some("load".to_owned()),
            actor: Some("somebody".to_owned()),
            tool: Some("spark".to_owned()),
            sources: vec!["crm.orders".to_owned()],
            targets: vec!["s3://lake/orders".to_owned()],
        }),
        counts: [("written".into(), 1_000)].into(),
        error: Some(RunError {
            id: "err_0198c0de000070008000000000000000".into(),
            kind: "Timeout".to_owned(),
            message: "no answer".to_owned(),
        }),
    }));
    notification
}

fn bare_item(event: Event) -> ItemNotification {
    let (created_at, timestamp) =
        (Timestamp::from_millis(1_767_225_600_000), Timestamp::from_millis(1_767_225_660_000));
    let is_of_run = EventSet::of_runs().contains(event);
    let run = || RunSubject {
        number: 1,
        status: RunStatus::Open,
        started_at: None,
        ended_at: None,
        window: None,
        lineage: None,
        counts: BTreeMap::new(),
        error: None,
    };
    Notification {
        event,
        timestamp,
        data: ItemSubject {
            id: "2026-01-01".into(),
            workflow: "nightly".into(),
            created_at,
            deadline: timestamp,
            labels: Labels::default(),
            outcome: None,
            run: is_of_run.then(|| Box::new(run())),
            summary: "run 1 of nightly has started".to_owned(),
            truncated: false,
            url: "https://warden.example.com/v1/workflows/nightly/items/2026-01-01".to_owned(),
            payload_url: "https://warden.example.com/v1/workflows/nightly/items/2026-01-01/payload"
                .to_owned(),
        },
    }
}

/// About items that were not created.
fn missed(event: Event) -> Notification {
    let mut notification = bare(event);
    let data = &mut notification.data;
    data.kind = IncidentKind::Missed;
    let (since, from) = (data.opened_at, data.opened_at);
    data.missed = Some(Missed {
        expected_at: since,
        since,
        windows: 3,
        wanted: 1,
        created: 0,
        from,
        unobserved: 0,
        of_success: false,
    });
    data.summary = format!("no item of uploads was created, expected at {since}, 3 times in a row");
    notification
}

fn full(event: Event) -> Notification {
    let is_resolved = event == Event::Resolved;
    let mut notification = bare(event);
    let data = &mut notification.data;
    data.group = BTreeMap::from([("region".into(), "eu".into())]);
    data.oldest_deadline = Some(data.opened_at);
    data.resolved_at = is_resolved.then_some(notification.timestamp);
    data.outcomes = is_resolved.then(|| OutcomeCounts { closed: 1, failed: 2, ..OutcomeCounts::default() });
    data.continued_in = is_resolved.then(|| "inc_0198c0de-0000-7000-8000-000000000001".into());
    data.by_step = BTreeMap::from([("".into(), 1), ("backup".into(), 2)]);
    data.runbook_url = Some("https://wiki.example.com/uploads".into());
    data.acknowledged_by = Some("somebody".into());
    data.items = vec![Sample {
        id: "file-1".to_owned(),
        deadline: data.opened_at,
        step: Some("backup".to_owned()),
        url: "https://warden.example.com/v1/workflows/uploads/items/file-1".to_owned(),
        payload_url: "https://warden.example.com/v1/workflows/uploads/items/file-1/payload".to_owned(),
    }];
    data.truncated = 2;
    notification
}

fn bare(event: Event) -> Notification {
    // 2026-01-01T00:00:00Z, and a minute later.
    let (opened_at, timestamp) =
        (Timestamp::from_millis(1_767_225_600_000), Timestamp::from_millis(1_767_225_660_000));
    let is_resolved = event == Event::Resolved;
    Notification {
        event,
        timestamp,
        data: Subject {
            id: "inc_0198c0de-0000-7000-8000-000000000000".into(),
            workflow: "uploads".into(),
            kind: IncidentKind::Overdue,
            group: BTreeMap::new(),
            status: if is_resolved { IncidentStatus::Resolved } else { IncidentStatus::Open },
            severity: Severity::Critical,
            opened_at,
            resolved_at: is_resolved.then_some(timestamp),
            count: if is_resolved { 0 } else { 3 },
            peak: 3,
            growth: if is_resolved { -3 } else { 3 },
            oldest_deadline: None,
            by_step: BTreeMap::new(),
            missed: None,
            outcomes: None,
            continued_in: None,
            summary: "3 items of uploads are overdue".to_owned(),
            runbook_url: None,
            acknowledged_by: None,
            items: Vec::new(),
            truncated: 0,
            url: "https://warden.example.com/v1/incidents/inc_0198c0de-0000-7000-8000-000000000000"
                .to_owned(),
        },
    }
}
