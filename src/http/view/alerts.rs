//! Incidents and deliveries as clients are shown them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::WallTime;
use crate::http::access::Access;
use crate::incident::Outlook;
use crate::model::{
    Action, ActionKind, Attempt, Became, Delivery, DeliveryStatus, Event, Group, Incident, IncidentKind,
    IncidentStatus, Missed, Moment, Severity, Silence, SilenceStatus, WaitingFor, Zone,
};

/// An incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentView {
    id: Arc<str>,
    workflow: String,
    /// `overdue`, `failed`, `missed` or `held`.
    #[schema(value_type = String)]
    kind: IncidentKind,
    /// The labels that its items share, where the workflow is split by them.
    #[schema(value_type = BTreeMap<String, String>)]
    group: Group,
    /// `open` or `resolved`.
    #[schema(value_type = String)]
    status: IncidentStatus,
    /// `info`, `warning`, `error` or `critical`.
    #[schema(value_type = String)]
    severity: Severity,
    #[schema(value_type = String, format = DateTime)]
    opened_at: WallTime,
    /// When it began anew after a short end.
    #[schema(value_type = Option<String>, format = DateTime)]
    reopened_at: Option<WallTime>,
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<WallTime>,
    count: u64,
    peak: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_deadline: Option<WallTime>,
    /// What became of the items that have left it since it last began; null if it is not about items, or if that was not
    /// counted then.
    became: Option<BecameView>,
    /// The incident in which its items are in trouble after its end, if they are.
    #[schema(value_type = Option<String>)]
    continued_in: Option<Arc<str>>,
    /// Items by the step at which they are stuck; the empty name stands for items without one.
    #[schema(value_type = BTreeMap<String, u64>)]
    by_step: BTreeMap<Arc<str>, u64>,
    /// What was expected and is missed, if that is what it is about; then `count` is the number of windows.
    missed: Option<MissedView>,
    #[schema(value_type = Option<String>, format = DateTime)]
    notified_at: Option<WallTime>,
    /// When people are told next if nothing happens to its items: of its beginning, its growth, that it is still open, or
    /// what a receiver has not taken yet. The end waits for the incident in which its items are in trouble, if they are. Null if nobody is to be told, or if that waits for a paused receiver.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_told_at: Option<WallTime>,
    /// What holds that back: `group_wait`, `group_interval`, `damping`, `silence`, `snooze` or `receiver`; null if it is
    /// only the next reminder or level of escalation.
    #[schema(value_type = Option<String>)]
    waiting_for: Option<WaitingFor>,
    /// The receivers that were told.
    #[schema(value_type = Vec<String>)]
    told: Vec<Arc<str>>,
    /// How many levels of escalation were told.
    escalations: usize,
    /// Whether somebody looks after it.
    acknowledged: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    snoozed_until: Option<WallTime>,
    /// What people did about it, oldest first.
    actions: Vec<ActionView>,
}

/// What became of items, as they left an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct BecameView {
    /// Closed as done.
    closed: u64,
    /// Closed as given up.
    discarded: u64,
    /// Their deadline was moved, by hand or by the next step.
    extended: u64,
    /// They failed, or were closed as failed.
    failed: u64,
    /// They had failed and were sent back to be done again; left out if none were.
    #[serde(skip_serializing_if = "Option::is_none")]
    retried: Option<u64>,
    /// They are as wrong as before, in another group; left out if none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<u64>,
}

impl From<Became> for BecameView {
    fn from(became: Became) -> Self {
        let Became { closed, discarded, extended, failed, retried, moved } = became;
        let some = |count: u64| Some(count).filter(|count| *count > 0);
        Self { closed, discarded, extended, failed, retried: some(retried), moved: some(moved) }
    }
}

/// What was expected and is missed.
#[derive(Debug, Serialize, ToSchema)]
pub struct MissedView {
    /// When it should have begun, in the first of the windows.
    #[schema(value_type = String, format = DateTime)]
    expected_at: WallTime,
    /// The time zone in which it was expected, such as `Europe/Berlin`, where the workflow names one.
    timezone: Option<&'static str>,
    /// The end of the first window.
    #[schema(value_type = String, format = DateTime)]
    since: WallTime,
    /// How many windows on end.
    windows: u64,
    /// How many items were wanted in each.
    wanted: u64,
    /// How many were created since the first window began.
    created: u64,
    /// How many windows ended while nobody watched, because the machine slept or the daemon was down. Those of one such
    /// time count as one in `windows`.
    unobserved: u64,
}

impl MissedView {
    fn new(missed: Missed, zone: Option<Zone>, moment: Moment) -> Self {
        let timezone = zone.map(Zone::name);
        let Missed { expected_at, since, windows, wanted, created, unobserved, .. } = missed;
        let (expected_at, since) = (WallTime::read(expected_at), WallTime::of(since, moment));
        Self { expected_at, timezone, since, windows, wanted, created, unobserved }
    }
}

/// What a person did about an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionView {
    /// `acknowledge`, `snooze` or `comment`.
    action: &'static str,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
    #[schema(value_type = Option<String>)]
    comment: Option<Arc<str>>,
    /// Until when it was snoozed.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<WallTime>,
}

impl ActionView {
    fn new(action: Action, moment: Moment) -> Self {
        let (name, until) = match action.kind {
            ActionKind::Acknowledge => ("acknowledge", None),
            ActionKind::Snooze { until } => ("snooze", Some(WallTime::of(until, moment))),
            ActionKind::Comment => ("comment", None),
        };
        let at = WallTime::of(action.at, moment);
        Self { action: name, by: action.by, at, comment: action.comment, until }
    }
}

impl IncidentView {
    /// An incident, when people are told of it next, and the time zone in which they think of its workflow; with times as
    /// the wall clock has them at that moment.
    pub fn new(incident: Incident, outlook: Outlook, zone: Option<Zone>, moment: Moment) -> Self {
        let at = |steady| WallTime::of_some(steady, moment);
        Self {
            id: incident.id.0,
            workflow: incident.key.workflow.to_string(),
            kind: incident.key.kind,
            group: incident.key.group,
            status: incident.status,
            severity: incident.severity,
            opened_at: WallTime::of(incident.opened_at, moment),
            reopened_at: at(incident.reopened_at),
            resolved_at: at(incident.resolved_at),
            count: incident.count,
            peak: incident.peak,
            oldest_deadline: at(incident.oldest_deadline),
            became: incident.became.map(BecameView::from),
            continued_in: incident.continued_in.map(|continuation| continuation.incident.0),
            by_step: incident.by_step,
            missed: incident.missed.map(|missed| MissedView::new(missed, zone, moment)),
            notified_at: at(incident.notified_at),
            next_told_at: at(outlook.next_told_at),
            waiting_for: outlook.waiting_for,
            told: incident.told.into_iter().collect(),
            escalations: incident.escalations,
            acknowledged: incident.acknowledged,
            snoozed_until: at(incident.snoozed_until),
            actions: incident.actions.into_iter().map(|action| ActionView::new(action, moment)).collect(),
        }
    }
}

/// A notification on its way to a receiver.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    id: Arc<str>,
    incident: Arc<str>,
    receiver: Arc<str>,
    /// `incident.opened`, `incident.grown`, `incident.reminder`, `incident.escalated`, `incident.acknowledged` or
    /// `incident.resolved`.
    #[schema(value_type = String)]
    event: Event,
    /// Which of its incident's notifications it carries, counted from one.
    sequence: u64,
    /// `pending`, `delivered` or `dead`.
    #[schema(value_type = String)]
    status: DeliveryStatus,
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
    /// When somebody last had it sent again.
    #[schema(value_type = Option<String>, format = DateTime)]
    resent_at: Option<WallTime>,
    attempts_made: u32,
    /// When it is due by itself. While its receiver as a whole fails, it is tried when its turn comes, and not while that is
    /// paused.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<WallTime>,
    /// The latest attempts, oldest first.
    attempts: Vec<AttemptView>,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
    /// The status of the answer, if there was one.
    status: Option<u16>,
    latency_ms: u64,
    error: Option<String>,
    /// The beginning of the answer's body, unless the token is limited to some workflows.
    answer: Option<String>,
}

impl AttemptView {
    pub(super) fn new(attempt: Attempt, moment: Moment) -> Self {
        let Attempt { at, status, latency_ms, error, answer } = attempt;
        let at = WallTime::of(at, moment);
        Self { at, status, latency_ms, error, answer }
    }
}

impl DeliveryView {
    /// The delivery as this access may see it, with times as the wall clock has them at that moment: what a receiver answers
    /// may tell of more than the workflows that a token is limited to.
    pub fn new(mut delivery: Delivery, access: &Access, moment: Moment) -> Self {
        let at = |steady| WallTime::of(steady, moment);
        if access.is_limited() {
            for attempt in &mut delivery.attempts {
                attempt.answer = None;
                if let (Some(status), Some(_)) = (attempt.status, &attempt.error) {
                    attempt.error = Some(format!("it answered {status}"));
                }
            }
        }
        Self {
            id: delivery.id.0,
            incident: delivery.incident.0,
            receiver: delivery.receiver,
            event: delivery.event,
            sequence: delivery.sequence,
            status: delivery.status,
            created_at: at(delivery.created_at),
            resent_at: delivery.resent_at.map(at),
            attempts_made: delivery.attempts_made,
            next_attempt_at: (delivery.status == DeliveryStatus::Pending)
                .then_some(at(delivery.next_attempt_at)),
            attempts: delivery
                .attempts
                .into_iter()
                .map(|attempt| AttemptView::new(attempt, moment))
                .collect(),
        }
    }
}

/// A time in which matching incidents notify nobody.
#[derive(Debug, Serialize, ToSchema)]
pub struct SilenceView {
    id: Arc<str>,
    /// `pending`, `active` or `expired`.
    #[schema(value_type = String)]
    status: SilenceStatus,
    /// The workflows it is for, as a glob.
    workflow: Arc<str>,
    #[schema(value_type = Option<String>)]
    kind: Option<IncidentKind>,
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Arc<str>, Arc<str>>,
    #[schema(value_type = String, format = DateTime)]
    starts_at: WallTime,
    #[schema(value_type = String, format = DateTime)]
    ends_at: WallTime,
    author: Arc<str>,
    comment: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
}

impl SilenceView {
    /// The silence as it stands at that moment.
    pub fn new(silence: Silence, moment: Moment) -> Self {
        Self {
            status: silence.status(moment),
            id: silence.id.0,
            workflow: silence.workflow,
            kind: silence.kind,
            labels: silence.labels,
            starts_at: WallTime::shown(silence.starts_at, moment),
            ends_at: WallTime::shown(silence.ends_at, moment),
            author: silence.author,
            comment: silence.comment,
            created_at: WallTime::of(silence.created_at, moment),
        }
    }
}
