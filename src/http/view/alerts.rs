//! Documents of incidents, deliveries and silences.

use warden_api::alert::{Action, Attempt, Became, ItemName, Missed};
use warden_api::word::ActionWord;

use super::{shown, told};
use crate::incident::Outlook;
use crate::model::{self, ActionKind, Delivery, DeliveryStatus, Incident, Moment, Silence, Zone};

pub struct IncidentFacts {
    pub incident: Incident,
    pub outlook: Outlook,
    /// That of the workflow's schedule.
    pub zone: Option<Zone>,
    pub moment: Moment,
}

impl From<IncidentFacts> for warden_api::Incident {
    fn from(facts: IncidentFacts) -> Self {
        let IncidentFacts { incident, outlook, zone, moment } = facts;
        let at = |steady| told(steady, moment);
        Self {
            id: incident.id.0,
            workflow: incident.key.workflow.into(),
            kind: incident.key.kind.into(),
            group: incident.key.group,
            status: incident.status.into(),
            severity: incident.severity.into(),
            opened_at: at(incident.opened_at),
            reopened_at: incident.reopened_at.map(at),
            resolved_at: incident.resolved_at.map(at),
            count: incident.count,
            peak: incident.peak,
            oldest_deadline: incident.oldest_deadline.map(at),
            became: incident.outcomes.map(became),
            continued_in: incident.continued_in.map(|continuation| continuation.incident.0),
            by_step: incident.by_step,
            missed: incident.missed.map(|found| missed(found, zone, moment)),
            notified_at: incident.notified_at.map(at),
            next_told_at: outlook.next_told_at.map(at),
            waiting_for: outlook.waiting_for.map(Into::into),
            told: incident.told.into_iter().collect(),
            escalations: incident.escalations,
            acknowledged: incident.acknowledged,
            snoozed_until: incident.snoozed_until.map(at),
            actions: incident.actions.into_iter().map(|done| action(done, moment)).collect(),
        }
    }
}

fn became(outcomes: model::OutcomeCounts) -> Became {
    let model::OutcomeCounts { closed, discarded, extended, failed, retried, moved, released } = outcomes;
    let some = |count: u64| Some(count).filter(|count| *count > 0);
    let (retried, moved, released) = (some(retried), some(moved), some(released));
    Became { closed, discarded, extended, failed, retried, moved, released }
}

fn missed(missed: model::Missed, zone: Option<Zone>, moment: Moment) -> Missed {
    let timezone = zone.map(|zone| Zone::name(zone).into());
    let model::Missed { expected_at, since, windows, wanted, created, unobserved, .. } = missed;
    let (expected_at, since) = (warden_api::WallTime::read(expected_at), told(since, moment));
    Missed { expected_at, timezone, since, windows, wanted, created, unobserved }
}

fn action(action: model::Action, moment: Moment) -> Action {
    let (word, until) = match action.kind {
        ActionKind::Acknowledge => (ActionWord::Acknowledge, None),
        ActionKind::Snooze { until } => (ActionWord::Snooze, Some(told(until, moment))),
        ActionKind::Comment => (ActionWord::Comment, None),
    };
    let at = told(action.at, moment);
    Action { action: word.into(), by: action.by, at, comment: action.comment, until }
}

pub struct DeliveryFacts {
    pub delivery: Delivery,
    /// Omit the receiver's responses: they may concern workflows that the token does not include.
    pub is_limited: bool,
    pub moment: Moment,
}

impl From<DeliveryFacts> for warden_api::Delivery {
    fn from(facts: DeliveryFacts) -> Self {
        let DeliveryFacts { mut delivery, is_limited, moment } = facts;
        let at = |steady| told(steady, moment);
        if is_limited {
            for attempt in &mut delivery.attempts {
                attempt.answer = None;
                if let (Some(status), Some(_)) = (attempt.status, &attempt.error) {
                    attempt.error = Some(format!("it answered {status}"));
                }
            }
        }
        let incident = delivery.incident().map(|incident| incident.0.clone()).unwrap_or_default();
        Self {
            id: delivery.id.0,
            incident,
            item: delivery
                .item
                .map(|key| ItemName { workflow: (*key.workflow).into(), id: (*key.id).into() }),
            receiver: delivery.receiver,
            event: delivery.event.into(),
            sequence: delivery.sequence,
            status: delivery.status.into(),
            created_at: at(delivery.created_at),
            resent_at: delivery.resent_at.map(at),
            attempts_made: delivery.attempts_made,
            next_attempt_at: (delivery.status == DeliveryStatus::Pending)
                .then_some(at(delivery.next_attempt_at)),
            attempts: delivery.attempts.into_iter().map(|made| attempt(made, moment)).collect(),
        }
    }
}

pub fn attempt(attempt: model::Attempt, moment: Moment) -> Attempt {
    let model::Attempt { at, status, latency_ms, error, answer } = attempt;
    Attempt { at: told(at, moment), status, latency_ms, error, answer }
}

pub struct SilenceFacts(pub Silence, pub Moment);

impl From<SilenceFacts> for warden_api::Silence {
    fn from(SilenceFacts(silence, moment): SilenceFacts) -> Self {
        Self {
            status: silence.status(moment).into(),
            id: silence.id.0,
            workflow: silence.workflow,
            kind: silence.kind.map(Into::into),
            labels: silence.labels,
            starts_at: shown(silence.starts_at, moment),
            ends_at: shown(silence.ends_at, moment),
            author: silence.author,
            comment: silence.comment,
            created_at: told(silence.created_at, moment),
        }
    }
}
