//! The text of notifications of events.
//!
//! Invariant: a notification stays below [`BODY_MAX`] bytes. What a client may make large is left out in turn
//! until it does, and `truncated` says so.

use std::sync::Arc;
use std::time::Duration;

use warden_api::path;

use crate::incident::notification::BODY_MAX;
use crate::model::{
    CloseOutcome, Event, ItemEvent, ItemNotification, ItemSubject, Labels, Moment, Notification, RunEntry,
    RunSubject,
};

/// The longest message of an error in a summary, in characters.
const MESSAGE_MAX: usize = 200;

/// Writes the notification of an event. Instants in it are of the wall clock.
pub(super) fn of(event: &ItemEvent, base_url: &str, moment: Moment) -> ItemNotification {
    let url = format!("{base_url}{}", path::fill(path::ITEM, &[&event.key.workflow, &event.key.id]));
    let run = event.run.as_deref().map(|run| {
        Box::new(RunSubject {
            number: run.number,
            status: run.status,
            started_at: run.started_at.map(|at| moment.wall(at)),
            ended_at: run.ended_at.map(|at| moment.wall(at)),
            window: event.window,
            lineage: run.lineage.clone(),
            counts: run.counts.clone(),
            error: run.error.clone(),
        })
    });
    let mut notification = Notification {
        event: event.event,
        timestamp: moment.wall(event.at),
        data: ItemSubject {
            id: (*event.key.id).into(),
            workflow: (*event.key.workflow).into(),
            created_at: moment.wall(event.created_at),
            deadline: moment.shown(event.deadline),
            labels: event.labels.clone(),
            outcome: event.outcome,
            run,
            summary: summary(event),
            truncated: false,
            payload_url: format!("{url}/payload"),
            url,
        },
    };
    // Lineage last: who draws a graph takes an event without it for one of a job without data.
    let leave_out: [fn(&mut ItemSubject); 4] = [
        |data| data.run.iter_mut().for_each(|run| run.counts.clear()),
        |data| data.run.iter_mut().for_each(|run| run.error = None),
        |data| data.labels = Labels::default(),
        |data| data.run.iter_mut().for_each(|run| run.lineage = None),
    ];
    for leave_out in leave_out {
        if write(&notification).len() <= BODY_MAX {
            break;
        }
        leave_out(&mut notification.data);
        notification.data.truncated = true;
    }
    notification
}

/// The `standard` format, as it is stored and sent.
pub(super) fn write(notification: &ItemNotification) -> Arc<str> {
    let text = serde_json::to_string(notification);
    text.expect("plain data with text keys always has a JSON form").into()
}

/// One sentence: what happened, and after how long.
fn summary(event: &ItemEvent) -> String {
    let workflow = &event.key.workflow;
    let Some(run) = event.run.as_deref().filter(|_| event.event != Event::ItemClosed) else {
        let outcome = event.outcome.unwrap_or(CloseOutcome::Success).as_str();
        let after = age(event.at.since(event.created_at));
        return format!("{} of {workflow} was closed as {outcome} after {after}", event.key.id);
    };
    let RunEntry { number, started_at, .. } = *run;
    let after = started_at.map_or_else(String::new, |at| format!(" after {}", age(event.at.since(at))));
    match event.event {
        Event::RunStarted => format!("run {number} of {workflow} has started"),
        Event::RunCompleted => format!("run {number} of {workflow} has succeeded{after}"),
        Event::RunAborted => format!("run {number} of {workflow} was discarded{after}"),
        Event::RunOverdue => {
            format!("run {number} of {workflow} is overdue: it has not ended{after}")
        }
        _ => {
            let why = run.error.as_ref().map(|error| {
                let message: String = error.message.chars().take(MESSAGE_MAX).collect();
                let colon = if message.is_empty() { "" } else { ": " };
                format!(": {}{colon}{message}", error.kind)
            });
            format!("run {number} of {workflow} has failed{after}{}", why.unwrap_or_default())
        }
    }
}

/// In whole seconds.
fn age(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::{Counts, Lineage, RunError, RunStatus, Window};
    use crate::model::{ItemId, ItemKey, ItemNumber, Timestamp, WorkflowName};

    const SECOND: Duration = Duration::from_secs(1);
    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn run(status: RunStatus) -> RunEntry {
        RunEntry {
            number: 12,
            item: ItemId::new("2026-01-01").unwrap(),
            item_number: ItemNumber(7),
            status,
            held: None,
            created_at: START,
            started_at: Some(START.after(SECOND)),
            ended_at: Some(START.after(SECOND * 62)),
            error: None,
            params: None,
            backfill: None,
            lineage: None,
            counts: Counts::default(),
        }
    }

    fn event(event: Event, run: Option<RunEntry>) -> ItemEvent {
        let (workflow, id) = (WorkflowName::new("nightly").unwrap(), ItemId::new("2026-01-01").unwrap());
        ItemEvent {
            number: 9,
            event,
            at: START.after(SECOND * 62),
            item: ItemNumber(7),
            key: ItemKey { workflow, id },
            created_at: START,
            deadline: START.after(SECOND * 60).into(),
            labels: Labels::default(),
            outcome: None,
            run: run.map(Box::new),
            window: None,
        }
    }

    fn told(event: &ItemEvent) -> ItemNotification {
        of(event, "https://warden.example.com", START.into())
    }

    #[test]
    fn a_summary_says_what_happened_and_after_how_long() {
        let error = RunError {
            id: "err_1".into(),
            kind: "Timeout".into(),
            message: "no answer from the source".into(),
        };
        let failed = RunEntry { error: Some(error), ..run(RunStatus::Failed) };
        let mute = RunEntry { started_at: None, ..run(RunStatus::Failed) };
        for (kind, run, summary) in [
            (Event::RunStarted, run(RunStatus::Open), "run 12 of nightly has started"),
            (Event::RunCompleted, run(RunStatus::Success), "run 12 of nightly has succeeded after 1m 1s"),
            (
                Event::RunFailed,
                failed,
                "run 12 of nightly has failed after 1m 1s: Timeout: no answer from the source",
            ),
            (Event::RunFailed, mute, "run 12 of nightly has failed"),
            (Event::RunAborted, run(RunStatus::Discarded), "run 12 of nightly was discarded after 1m 1s"),
            (
                Event::RunOverdue,
                run(RunStatus::Open),
                "run 12 of nightly is overdue: it has not ended after 1m 1s",
            ),
        ] {
            assert_eq!(told(&event(kind, Some(run))).data.summary, summary);
        }
        let closed = ItemEvent { outcome: Some(CloseOutcome::Failed), ..event(Event::ItemClosed, None) };
        assert_eq!(told(&closed).data.summary, "2026-01-01 of nightly was closed as failed after 1m 2s");
    }

    #[test]
    fn links_lead_to_the_item_and_instants_are_those_of_the_wall_clock() {
        let windowed = ItemEvent {
            window: Some(Window { from: None, to: START }),
            ..event(Event::RunCompleted, Some(run(RunStatus::Success)))
        };
        let moment = Moment { now: START, wall_offset: 3_600_000 };
        let notification = of(&windowed, "https://warden.example.com", moment);
        let data = &notification.data;
        assert_eq!(data.url, "https://warden.example.com/v1/workflows/nightly/items/2026-01-01");
        assert_eq!(data.payload_url, format!("{}/payload", data.url));
        let later = Duration::from_secs(3_600);
        assert_eq!(notification.timestamp, windowed.at.after(later));
        let run = data.run.as_ref().unwrap();
        assert_eq!(run.started_at, Some(START.after(SECOND + later)));
        assert_eq!(run.window, Some(Window { from: None, to: START }), "it is on the wall clock already");
    }

    #[test]
    fn what_is_too_large_is_left_out_and_said_so() {
        let sources = vec!["\u{1}".repeat(128); 60];
        let lineage = Lineage { sources, ..Lineage::default() };
        let counts = (0..32).map(|number| (format!("{number:0>120}").into(), i64::MIN)).collect();
        let large = RunEntry { lineage: Some(lineage), counts, ..run(RunStatus::Success) };
        let large = told(&event(Event::RunCompleted, Some(large)));
        assert!(write(&large).len() <= BODY_MAX);
        assert!(large.data.truncated && large.data.run.unwrap().lineage.is_none());
        let small = told(&event(Event::RunCompleted, Some(run(RunStatus::Success))));
        assert!(!small.data.truncated);
    }
}
