//! `warden incident`: one incident.

use clap::Args;
use reqwest::Method;

use super::age::{dated, dated_in, relative};
use super::client::Query;
use super::connection::{Connection, Format};
use super::console::Console;
use super::error::CliError;
use super::table::table;
use super::view::{ActionView, IncidentView};
use super::{id, label};
use crate::model::Timestamp;

/// Show an incident, and what people did about it
#[derive(Args)]
pub struct Incident {
    /// Its id
    #[arg(value_parser = id::read)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Incident {
    /// Prints the incident.
    ///
    /// # Errors
    /// When there is none, or the daemon cannot be asked.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request = client.request(Method::GET, &format!("/v1/incidents/{}", self.id), &Query::new())?;
        let (text, incident) = client.send(request).await?.document::<IncidentView>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => writeln!(console.out, "{}", shown(&incident, console.now))?,
        }
        Ok(())
    }
}

fn shown(incident: &IncidentView, now: Timestamp) -> String {
    let at = |instant| dated(instant, now);
    let told = if incident.told.is_empty() { "nobody".to_owned() } else { incident.told.join(", ") };
    let rows = [
        ("id", Some(incident.id.clone())),
        ("workflow", Some(incident.workflow.clone())),
        ("kind", Some(incident.kind.clone())),
        ("group", (!incident.group.is_empty()).then(|| label::written(&incident.group))),
        ("status", Some(incident.full_standing(now))),
        ("severity", Some(incident.severity.clone())),
        ("opened", Some(at(incident.opened_at))),
        ("reopened", incident.reopened_at.map(at)),
        ("resolved", incident.resolved_at.map(at)),
        ("count", Some(format!("{}, at most {}", incident.count, incident.peak))),
        ("became", became(incident)),
        ("goes on in", incident.continued_in.clone()),
        ("oldest", incident.oldest_deadline.map(|deadline| format!("due {}", at(deadline)))),
        (
            "expected",
            incident
                .missed
                .as_ref()
                .map(|missed| dated_in(missed.timezone.as_deref(), missed.expected_at, now)),
        ),
        ("by step", by_step(incident)),
        ("told", Some(told)),
        ("notified", incident.notified_at.map(at)),
        ("next told", incident.next_told(at)),
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

/// What became of how many.
fn became(incident: &IncidentView) -> Option<String> {
    let counts = incident.became.iter().flatten().filter(|(_, count)| **count > 0);
    let text = counts.map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// How many are stuck where, the most first.
fn by_step(incident: &IncidentView) -> Option<String> {
    let mut steps: Vec<_> = incident.by_step.iter().collect();
    steps.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let step = |(step, count): (&String, &u64)| match step.as_str() {
        "" => format!("{count} at no step"),
        step => format!("{count} at {step}"),
    };
    let text = steps.into_iter().map(step).collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

fn cells(action: &ActionView, now: Timestamp) -> Vec<String> {
    let what = match action.until {
        Some(until) => format!("{} until {until}", action.action),
        None => action.action.clone(),
    };
    vec![relative(action.at, now), action.by.clone(), what, action.comment.clone().unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::view::tests::{incident, now};
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
id           inc_1
workflow     uploads
kind         overdue
group        region:eu
status       open, acknowledged
severity     critical
opened       2026-01-31T12:15:00.000Z (15m ago)
count        312, at most 400
oldest       due 2026-01-31T12:14:00.000Z (16m ago)
by step      310 at backup, 2 at no step
told         oncall, team
notified     2026-01-31T12:15:10.000Z (14m 50s ago)
next told    2026-01-31T16:15:10.000Z (in 3h 45m)
escalations  1

WHEN     WHO   WHAT                                   COMMENT
10m ago  kim   acknowledge                            on it\\nnow
1m ago   alex  snooze until 2026-01-31T12:59:00.000Z";
        assert_eq!(shown(&incident, now()), expected);
    }

    #[test]
    fn what_was_expected_is_told_in_the_time_of_its_workflow() {
        let missed = json!({"expected_at": "2026-01-31T12:00:00.000Z", "timezone": "Asia/Kathmandu", "added_later": 1});
        let shown = shown(&incident(json!({"kind": "missed", "missed": missed})), now());
        let expected =
            "expected     2026-01-31T12:00:00.000Z (17:45 on Sat 2026-01-31 in Asia/Kathmandu, 30m ago)";
        assert!(shown.lines().any(|line| line == expected), "{shown}");
    }

    #[test]
    fn an_incident_of_which_nobody_was_told_says_so() {
        let changes = json!({"told": [], "notified_at": null, "next_told_at": null, "by_step": null, "group": null,
            "status": "resolved", "resolved_at": "2026-01-31T12:25:00.000Z", "continued_in": "inc_2",
            "became": {"closed": 380, "discarded": 0, "extended": 0, "failed": 20}, "oldest_deadline": null, "count": 0});
        let expected = "\
id           inc_1
workflow     uploads
kind         overdue
status       resolved
severity     critical
opened       2026-01-31T12:15:00.000Z (15m ago)
resolved     2026-01-31T12:25:00.000Z (5m ago)
count        0, at most 400
became       380 closed, 20 failed
goes on in   inc_2
told         nobody
escalations  0";
        assert_eq!(shown(&incident(changes), now()), expected);
    }
}
