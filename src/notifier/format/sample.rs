//! Sample notifications to try templates on: for every event one with all optional fields, and one with none.

use std::collections::BTreeMap;

use crate::model::{
    Event, IncidentKind, IncidentStatus, Missed, Notification, OutcomeCounts, Sample, Severity, Subject,
    Timestamp,
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
