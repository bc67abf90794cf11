//! Incidents and silences as the daemon shows them, as far as people are shown them. Fields and words that a later
//! daemon adds are passed over or shown as they are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::age::dated;
use crate::model::Timestamp;

/// An incident.
#[derive(Clone, Debug, Deserialize)]
pub struct IncidentView {
    /// Its id.
    pub id: String,
    /// The workflow whose items it is about.
    pub workflow: String,
    /// What is wrong with them.
    pub kind: String,
    /// The labels that they share, where the workflow is split by them.
    #[serde(default)]
    pub group: BTreeMap<String, String>,
    /// Whether it is open.
    pub status: String,
    /// How bad it is.
    pub severity: String,
    /// When its first item was noticed.
    pub opened_at: Timestamp,
    /// When it began anew after a short end.
    pub reopened_at: Option<Timestamp>,
    /// When nothing was left of it.
    pub resolved_at: Option<Timestamp>,
    /// How many items it holds.
    pub count: u64,
    /// The most it held.
    pub peak: u64,
    /// The earliest deadline among its items.
    pub oldest_deadline: Option<Timestamp>,
    /// What became of those that have left it.
    #[serde(default)]
    pub became: Option<BTreeMap<String, u64>>,
    /// The incident in which they are in trouble after its end.
    pub continued_in: Option<String>,
    /// Its items by the step at which they are stuck; the empty name stands for items without one.
    #[serde(default)]
    pub by_step: BTreeMap<String, u64>,
    /// What was expected and did not come, if that is what it is about.
    pub missed: Option<MissedView>,
    /// When people were last told.
    pub notified_at: Option<Timestamp>,
    /// When people are told next.
    pub next_told_at: Option<Timestamp>,
    /// What holds that back.
    pub waiting_for: Option<String>,
    /// The receivers that were told.
    #[serde(default)]
    pub told: Vec<String>,
    /// How many levels of escalation were told.
    #[serde(default)]
    pub escalations: u64,
    /// Whether somebody looks after it.
    #[serde(default)]
    pub acknowledged: bool,
    /// Until when nobody is told.
    pub snoozed_until: Option<Timestamp>,
    /// What people did about it, oldest first.
    #[serde(default)]
    pub actions: Vec<ActionView>,
}

/// What was expected and did not come.
#[derive(Clone, Debug, Deserialize)]
pub struct MissedView {
    /// When it should have begun.
    pub expected_at: Timestamp,
    /// The time zone in which it was expected.
    pub timezone: Option<String>,
}

/// What a person did about an incident.
#[derive(Clone, Debug, Deserialize)]
pub struct ActionView {
    /// What.
    pub action: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What they said to it.
    pub comment: Option<String>,
    /// Until when they snoozed it.
    pub until: Option<Timestamp>,
}

/// A time in which matching incidents notify nobody.
#[derive(Clone, Debug, Deserialize)]
pub struct SilenceView {
    /// Its id.
    pub id: String,
    /// Where it stands in time.
    pub status: String,
    /// The workflows it is for, as a glob.
    pub workflow: String,
    /// The one kind of incident it is for; nothing for all.
    pub kind: Option<String>,
    /// What the labels of an incident's group must be.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
}

impl IncidentView {
    /// Where it stands, in one word. That nobody is told for a while counts more than that somebody looks after it.
    pub fn standing(&self) -> &str {
        if !self.is_open() {
            if self.continued_in.is_some() { "continued" } else { &self.status }
        } else if self.snoozed_until.is_some() {
            "snoozed"
        } else if self.acknowledged {
            "acknowledged"
        } else {
            &self.status
        }
    }

    /// The same with all that holds.
    pub fn full_standing(&self, now: Timestamp) -> String {
        let acknowledged = self.acknowledged.then(|| "acknowledged".to_owned());
        let snoozed = self.snoozed_until.map(|until| format!("snoozed until {}", dated(until, now)));
        let people = [acknowledged, snoozed].into_iter().flatten().filter(|_| self.is_open());
        std::iter::once(self.status.clone()).chain(people).collect::<Vec<_>>().join(", ")
    }

    /// When people are told next, and what holds that back: `in 4m (damping)`.
    pub fn next_told(&self, at: impl FnOnce(Timestamp) -> String) -> Option<String> {
        let when = self.next_told_at.map(at);
        match (when, &self.waiting_for) {
            (Some(when), Some(what)) => Some(format!("{when} ({what})")),
            (None, Some(what)) => Some(format!("waits for: {what}")),
            (when, None) => when,
        }
    }

    fn is_open(&self) -> bool {
        self.status == "open"
    }
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The instant at which tests look.
    pub fn now() -> Timestamp {
        Timestamp::parse("2026-01-31T12:30:00Z").unwrap()
    }

    /// An incident as a daemon writes it, with some of its fields changed.
    pub fn incident(changes: Value) -> IncidentView {
        let mut incident = json!({
            "id": "inc_1", "workflow": "uploads", "kind": "overdue", "group": {"region": "eu"}, "status": "open",
            "severity": "critical", "opened_at": "2026-01-31T12:15:00.000Z", "reopened_at": null,
            "resolved_at": null, "count": 312, "peak": 400, "oldest_deadline": "2026-01-31T12:14:00.000Z",
            "by_step": {"": 2, "backup": 310}, "notified_at": "2026-01-31T12:15:10.000Z",
            "next_told_at": "2026-01-31T16:15:10.000Z", "waiting_for": null,
            "told": ["oncall", "team"], "escalations": 0, "acknowledged": false, "snoozed_until": null,
            "actions": [], "added_later": true,
        });
        json_patch::merge(&mut incident, &changes);
        serde_json::from_value(incident).unwrap()
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
            (
                json!({"status": "resolved", "acknowledged": true, "snoozed_until": snoozed}),
                "resolved",
                "resolved",
            ),
        ] {
            let incident = incident(changes);
            assert_eq!((incident.standing(), &*incident.full_standing(now())), (word, all));
        }
    }
}
