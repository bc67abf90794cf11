//! `warden incident`: shows an incident.

use std::sync::Arc;

use clap::Args;
use reqwest::Method;
use warden_api::alert::{Action, Became};
use warden_api::word::IncidentStatus;
use warden_api::{WallTime, path};
use warden_client::Query;

use super::args::generated_id;
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::{dated, dated_in, relative};
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::{label_list, table};
use crate::model::Timestamp;

/// Show an incident, and the actions taken on it
#[derive(Args)]
pub struct Incident {
    /// The id of the incident
    #[arg(value_parser = generated_id)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Incident {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request = client.request(Method::GET, &path::fill(path::INCIDENT, &[&self.id]), &Query::new())?;
        let (text, incident) = client.send(request).await?.document::<warden_api::Incident>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => writeln!(console.out, "{}", render(&incident, console.now))?,
        }
        Ok(())
    }
}

fn render(incident: &warden_api::Incident, now: Timestamp) -> String {
    let at = |instant: WallTime| dated(instant, now);
    let told = if incident.told.is_empty() { "nobody".to_owned() } else { incident.told.join(", ") };
    let rows = [
        ("id", Some(incident.id.to_string())),
        ("workflow", Some(incident.workflow.to_string())),
        ("kind", Some(incident.kind.to_string())),
        ("group", (!incident.group.is_empty()).then(|| label_list(&incident.group))),
        ("status", Some(status_text(incident, now))),
        ("severity", Some(incident.severity.to_string())),
        ("opened", Some(at(incident.opened_at))),
        ("reopened", incident.reopened_at.map(at)),
        ("resolved", incident.resolved_at.map(at)),
        ("items", Some(items(incident))),
        ("outcomes", became(incident)),
        ("continued in", incident.continued_in.as_deref().map(str::to_owned)),
        ("first deadline", incident.oldest_deadline.map(at)),
        (
            "expected",
            incident
                .missed
                .as_ref()
                .map(|missed| dated_in(missed.timezone.as_deref(), missed.expected_at, now)),
        ),
        ("by step", by_step(incident)),
        ("receivers", Some(told)),
        ("notified", incident.notified_at.map(at)),
        ("next notified", next_told(incident, at)),
        ("escalations", Some(incident.escalations.to_string())),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    let mut text = table(&[], rows);
    if !incident.actions.is_empty() {
        let rows = incident.actions.iter().map(|action| cells(action, now));
        text.push_str("\n\n");
        text.push_str(&table(&["WHEN", "WHO", "WHAT", "COMMENT"], rows));
    }
    text
}

/// The items, and how many they were at most if that was more.
fn items(incident: &warden_api::Incident) -> String {
    let (count, peak) = (incident.count, incident.peak);
    if count == peak { count.to_string() } else { format!("{count} (peak {peak})") }
}

/// The end of a snooze that is not over.
fn snoozed_until(incident: &warden_api::Incident, now: Timestamp) -> Option<WallTime> {
    incident.snoozed_until.filter(|until| until.timestamp() > now)
}

/// The status in one word; "snoozed" has precedence over "acknowledged".
pub fn status_word(incident: &warden_api::Incident, now: Timestamp) -> &str {
    if incident.status != IncidentStatus::Open {
        if incident.continued_in.is_some() { "continued" } else { incident.status.as_str() }
    } else if snoozed_until(incident, now).is_some() {
        "snoozed"
    } else if incident.acknowledged {
        "acknowledged"
    } else {
        incident.status.as_str()
    }
}

/// The status with everything that applies.
fn status_text(incident: &warden_api::Incident, now: Timestamp) -> String {
    let is_open = incident.status == IncidentStatus::Open;
    let acknowledged = incident.acknowledged.then(|| "acknowledged".to_owned());
    let snoozed = snoozed_until(incident, now).map(|until| format!("snoozed until {}", dated(until, now)));
    let people = [acknowledged, snoozed].into_iter().flatten().filter(|_| is_open);
    std::iter::once(incident.status.to_string()).chain(people).collect::<Vec<_>>().join(", ")
}

/// The next notification, and what delays it: `in 4m (damping)`.
pub fn next_told(incident: &warden_api::Incident, at: impl FnOnce(WallTime) -> String) -> Option<String> {
    let when = incident.next_told_at.map(at);
    match (when, &incident.waiting_for) {
        (Some(when), Some(what)) => Some(format!("{when} ({what})")),
        (None, Some(what)) => Some(format!("waits for: {what}")),
        (when, None) => when,
    }
}

/// The outcomes of the items that left.
fn became(incident: &warden_api::Incident) -> Option<String> {
    let Became { closed, discarded, extended, failed, retried, moved, released } = incident.became?;
    let counts = [
        (closed, "closed"),
        (discarded, "discarded"),
        (extended, "extended"),
        (failed, "failed"),
        (moved.unwrap_or_default(), "moved"),
        (retried.unwrap_or_default(), "retried"),
        (released.unwrap_or_default(), "released"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let text = counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// Items by step, the most first.
fn by_step(incident: &warden_api::Incident) -> Option<String> {
    let mut steps: Vec<_> = incident.by_step.iter().collect();
    steps.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let step = |(step, count): (&Arc<str>, &u64)| match &**step {
        "" => format!("{count} at no step"),
        step => format!("{count} at {step}"),
    };
    let text = steps.into_iter().map(step).collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

fn cells(action: &Action, now: Timestamp) -> Vec<String> {
    let what = match action.until {
        Some(until) if until.timestamp() > now => format!("{} until {until}", action.action),
        Some(until) if until <= action.at => "end of snooze".to_owned(),
        _ => action.action.to_string(),
    };
    vec![
        relative(action.at, now),
        action.by.to_string(),
        what,
        action.comment.as_deref().unwrap_or_default().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::{incident, now};
    use super::*;

    #[test]
    fn an_incident_is_shown_with_who_was_told_and_what_people_did() {
        let actions = json!([
            {"action": "acknowledge", "by": "kim", "at": "2026-01-31T12:20:00.000Z", "comment": "on it\nnow",
                "until": null},
            {"action": "snooze", "by": "alex", "at": "2026-01-31T12:29:00.000Z", "comment": null,
                "until": "2026-01-31T12:59:00.000Z"},
        ]);
        let incident = incident(json!({"acknowledged": true, "actions": actions, "escalations": 1}));
        let expected = "\
id              inc_1
workflow        uploads
kind            overdue
group           region:eu
status          open, acknowledged
severity        critical
opened          2026-01-31T12:15:00.000Z (15m ago)
items           312 (peak 400)
first deadline  2026-01-31T12:14:00.000Z (16m ago)
by step         310 at backup, 2 at no step
receivers       oncall, team
notified        2026-01-31T12:15:10.000Z (14m 50s ago)
next notified   2026-01-31T16:15:10.000Z (in 3h 45m)
escalations     1

WHEN     WHO   WHAT                                   COMMENT
10m ago  kim   acknowledge                            on it\\nnow
1m ago   alex  snooze until 2026-01-31T12:59:00.000Z";
        assert_eq!(render(&incident, now()), expected);
    }

    #[test]
    fn a_snooze_is_shown_with_its_end_until_it_is_over() {
        let action = |at: &str, until: &str| {
            let action = json!({"action": "snooze", "by": "kim", "at": at, "comment": null, "until": until});
            cells(&serde_json::from_value(action).unwrap(), now())[2].clone()
        };
        let (at, later) = ("2026-01-31T12:00:00.000Z", "2026-01-31T13:00:00.000Z");
        assert_eq!(action(at, later), format!("snooze until {later}"));
        assert_eq!(action(at, "2026-01-31T12:30:00.000Z"), "snooze");
        assert_eq!(action(at, at), "end of snooze");
    }

    #[test]
    fn the_peak_is_shown_if_it_was_higher() {
        assert_eq!(items(&incident(json!({}))), "312 (peak 400)");
        assert_eq!(items(&incident(json!({"count": 400}))), "400");
    }

    #[test]
    fn what_was_expected_is_told_in_the_time_of_its_workflow() {
        let missed = json!({"expected_at": "2026-01-31T12:00:00.000Z", "timezone": "Asia/Kathmandu",
        "added_later": 1,
            "since": "2026-01-31T12:15:00.000Z", "windows": 1, "wanted": 1, "created": 0, "unobserved": 0});
        let shown = render(&incident(json!({"kind": "missed", "missed": missed})), now());
        let expected =
            "expected        2026-01-31T12:00:00.000Z (17:45 on Sat 2026-01-31 in Asia/Kathmandu, 30m ago)";
        assert!(shown.lines().any(|line| line == expected), "{shown}");
    }

    #[test]
    fn an_incident_of_which_nobody_was_told_says_so() {
        let changes = json!({"told": [], "notified_at": null, "next_told_at": null,
            "by_step": {"": null, "backup": null}, "group": {"region": null},
            "status": "resolved", "resolved_at": "2026-01-31T12:25:00.000Z", "continued_in": "inc_2",
            "became": {"closed": 380, "discarded": 0, "extended": 0, "failed": 20}, "oldest_deadline": null,
            "count": 0});
        let expected = "\
id            inc_1
workflow      uploads
kind          overdue
status        resolved
severity      critical
opened        2026-01-31T12:15:00.000Z (15m ago)
resolved      2026-01-31T12:25:00.000Z (5m ago)
items         0 (peak 400)
outcomes      380 closed, 20 failed
continued in  inc_2
receivers     nobody
escalations   0";
        assert_eq!(render(&incident(changes), now()), expected);
    }

    #[test]
    fn what_people_did_is_seen_while_an_incident_is_open() {
        let snoozed = "2026-01-31T13:00:00.000Z";
        for (changes, word, all) in [
            (json!({}), "open", "open"),
            (json!({"acknowledged": true}), "acknowledged", "open, acknowledged"),
            (
                json!({"acknowledged": true, "snoozed_until": snoozed}),
                "snoozed",
                "open, acknowledged, snoozed until 2026-01-31T13:00:00.000Z (in 30m)",
            ),
            (json!({"snoozed_until": "2026-01-31T12:30:00.000Z"}), "open", "open"),
            (
                json!({"status": "resolved", "acknowledged": true, "snoozed_until": snoozed}),
                "resolved",
                "resolved",
            ),
        ] {
            let incident = incident(changes);
            assert_eq!((status_word(&incident, now()), &*status_text(&incident, now())), (word, all));
        }
    }
}
