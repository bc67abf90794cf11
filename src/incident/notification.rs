//! The text of notifications.
//!
//! Invariant: a notification stays below [`BODY_MAX`] bytes whatever the items' names; sample items are
//! dropped until it does, and `truncated` says how many items are not listed.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use warden_api::path;

use crate::model::{
    Event, Group, Incident, IncidentKey, IncidentKind, IncidentStatus, Item, Missed, Moment, Notification,
    OutcomeCounts, Sample, Subject, Timestamp, WorkflowName, Zone,
};

/// The largest notification in bytes; the contract promises less than 20 kB.
pub const BODY_MAX: usize = 19_000;
/// The most items that a notification lists.
pub const SAMPLES_MAX: usize = 20;

/// What a notification is written from, besides the event.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    pub incident: &'a Incident,
    /// The number of items in the notification before.
    pub told_count: u64,
    /// Some of the items, the earliest deadline first. At most [`SAMPLES_MAX`] are listed.
    pub samples: &'a [Item],
    /// The time zone of the workflow's schedule, if one is configured.
    pub zone: Option<Zone>,
    pub runbook_url: Option<&'a Arc<str>>,
    /// The prefix of links, without a slash at the end.
    pub base_url: &'a str,
    /// The present. Times in the text are those of the wall clock.
    pub moment: Moment,
}

/// Writes a notification: the event, the incident, and some of its items.
pub fn notification(event: Event, report: &Report<'_>) -> Notification {
    let Report { incident, told_count, samples, zone, runbook_url, base_url, moment } = *report;
    let items: Vec<Sample> =
        samples.iter().take(SAMPLES_MAX).map(|item| sample(item, base_url, moment)).collect();
    let mut notification = Notification {
        event,
        timestamp: moment.wall(moment.now),
        data: Subject {
            id: incident.id.0.clone(),
            workflow: incident.key.workflow.as_str().into(),
            kind: incident.key.kind,
            group: incident.key.group.clone(),
            status: incident.status,
            severity: incident.severity,
            opened_at: moment.wall(incident.opened_at),
            resolved_at: incident.resolved_at.map(|at| moment.wall(at)),
            count: incident.count,
            peak: incident.peak,
            growth: incident.count.cast_signed().wrapping_sub(told_count.cast_signed()),
            oldest_deadline: incident.oldest_deadline.map(|at| moment.wall(at)),
            by_step: incident.by_step.clone(),
            missed: incident.missed.map(|missed| shown(missed, moment)),
            outcomes: incident.outcomes.filter(|_| incident.is_over()),
            continued_in: incident.continued_in.as_ref().map(|continuation| continuation.incident.0.clone()),
            summary: summary(incident, zone, moment.now),
            runbook_url: runbook_url.cloned(),
            acknowledged_by: incident.acknowledgement().map(|action| action.by.clone()),
            items,
            truncated: 0,
            url: format!("{base_url}{}", path::fill(path::INCIDENT, &[&incident.id.0])),
        },
    };
    loop {
        let data = &mut notification.data;
        let counted = if data.kind == IncidentKind::Missed { 0 } else { data.count };
        data.truncated = counted.saturating_sub(data.items.len() as u64);
        if write(&notification).len() <= BODY_MAX || notification.data.items.pop().is_none() {
            return notification;
        }
    }
}

/// The `standard` format, as it is stored and sent.
pub fn write(notification: &Notification) -> Arc<str> {
    let text = serde_json::to_string(notification);
    text.expect("plain data with text keys always has a JSON form").into()
}

/// Converts all instants to the wall clock.
fn shown(missed: Missed, moment: Moment) -> Missed {
    Missed { since: moment.wall(missed.since), from: moment.wall(missed.from), ..missed }
}

fn sample(item: &Item, base_url: &str, moment: Moment) -> Sample {
    let url = format!("{base_url}{}", path::fill(path::ITEM, &[&item.workflow, &item.id]));
    Sample {
        id: item.id.to_string(),
        deadline: moment.shown(item.deadline),
        step: item.step.as_ref().map(ToString::to_string),
        payload_url: format!("{url}/payload"),
        url,
    }
}

/// One sentence: the number of items, the workflow, where they are stuck, and how late the oldest is.
fn summary(incident: &Incident, zone: Option<Zone>, now: Timestamp) -> String {
    if incident.key.kind == IncidentKind::Missed {
        return summary_of_missed(incident, zone);
    }
    let IncidentKey { workflow, kind, group } = &incident.key;
    let of = of(workflow, group);
    if incident.is_over() {
        return summary_of_end(incident, &of);
    }
    let mut text = format!("{} of {of} {}", plural(incident.count), predicate(*kind, incident.count));
    let mut steps: Vec<_> = incident.by_step.iter().filter(|(step, _)| !step.is_empty()).collect();
    steps.sort_by(|left, right| right.1.cmp(left.1).then_with(|| left.0.cmp(right.0)));
    for (position, (step, count)) in steps.iter().take(3).enumerate() {
        text.push_str(if position == 0 { "; " } else { ", " });
        text.push_str(&format!("{count} stuck at {step}"));
    }
    // When a failed item was due says nothing about when it failed.
    let overdue = incident.oldest_deadline.filter(|_| *kind == IncidentKind::Overdue);
    let age = overdue.map_or(0, |oldest| now.since(oldest).as_secs());
    if age > 0 {
        let age = humantime::format_duration(std::time::Duration::from_secs(age));
        text.push_str(&format!(", the oldest for {age}"));
    }
    text
}

/// The summary of a resolution. If the trouble continues elsewhere, it says that first.
fn summary_of_end(incident: &Incident, of: &str) -> String {
    let kind = incident.key.kind;
    let outcomes = incident.outcomes.unwrap_or_default();
    let goes_on = incident.continued_in.is_some() || incident.ending_since.is_some();
    let all = |count: u64| {
        let items = if count == 1 { "item" } else { "items" };
        format!("{count} {} {items} of {of}", kind.as_str())
    };
    let (first, left) = match kind {
        IncidentKind::Overdue if goes_on && outcomes.failed > 0 => (
            format!("{} {}", all(outcomes.failed), predicate(IncidentKind::Failed, outcomes.failed)),
            OutcomeCounts { failed: 0, ..outcomes },
        ),
        IncidentKind::Failed if goes_on && outcomes.retried > 0 => {
            let are = if outcomes.retried == 1 { "is" } else { "are" };
            (
                format!("{} {are} open again and overdue", all(outcomes.retried)),
                OutcomeCounts { retried: 0, ..outcomes },
            )
        }
        _ if goes_on && outcomes.moved > 0 => {
            let are = if outcomes.moved == 1 { "is" } else { "are" };
            (
                format!("{} {are} in another incident now", all(outcomes.moved)),
                OutcomeCounts { moved: 0, ..outcomes },
            )
        }
        _ => (
            format!(
                "no item of {of} {} any more; the peak was {}",
                predicate(kind, 1),
                plural(incident.peak)
            ),
            // "closed" is the normal case and not mentioned.
            if outcomes.closed == outcomes.total() { OutcomeCounts::default() } else { outcomes },
        ),
    };
    let left = left.words().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ");
    if left.is_empty() { first } else { format!("{first}; {left}") }
}

fn plural(count: u64) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}

/// The summary of missed starts.
fn summary_of_missed(incident: &Incident, zone: Option<Zone>) -> String {
    let workflow = &incident.key.workflow;
    let Some(missed) = incident.missed.filter(|_| incident.status == IncidentStatus::Open) else {
        let windows = if incident.peak == 1 { "once".to_owned() } else { format!("{} times", incident.peak) };
        let but = match incident.continued_in.as_ref().map(|continuation| continuation.kind) {
            None => String::new(),
            Some(kind) => format!(", but some {}", predicate(kind, 2)),
        };
        return format!("{workflow} is on schedule again{but}; that was missed {windows}");
    };
    let Missed { expected_at, windows, wanted, created, unobserved, of_success, .. } = missed;
    let what = match (created, wanted) {
        _ if of_success => format!("no run of {workflow} has succeeded"),
        (0, 1) => format!("no item of {workflow} was created"),
        (created, wanted) => format!("{created} of {wanted} items of {workflow} were created"),
    };
    let times = if windows == 1 { String::new() } else { format!(", {windows} times in a row") };
    let unobserved = match unobserved {
        0 => String::new(),
        1 => ", not observed: the warden or its machine was down or asleep".to_owned(),
        several => format!(", {several} times not observed: the warden or its machine was down or asleep"),
    };
    let expected_at = zone.map_or_else(|| expected_at.to_string(), |zone| zone.beside_utc(expected_at));
    format!("{what}, expected at {expected_at}{times}{unobserved}")
}

/// The workflow with its group: `uploads (region eu)`.
fn of(workflow: &WorkflowName, group: &Group) -> String {
    if group.is_empty() {
        return workflow.to_string();
    }
    let labels = group.iter().map(|(name, value)| match &**value {
        "" => format!("no {name}"),
        value => format!("{name} {value}"),
    });
    format!("{workflow} ({})", labels.collect::<Vec<_>>().join(", "))
}

/// The verb for this many items.
fn predicate(kind: IncidentKind, count: u64) -> String {
    match (kind, count) {
        (IncidentKind::Failed, 1) => "has failed".to_owned(),
        (IncidentKind::Failed, _) => "have failed".to_owned(),
        (kind, 1) => format!("is {}", kind.as_str()),
        (kind, _) => format!("are {}", kind.as_str()),
    }
}
