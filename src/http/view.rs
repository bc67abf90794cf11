//! What clients are shown: the JSON of items, incidents, deliveries and workflows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::model::{Attempt, Delivery, Incident, Item, ItemState, Policy, Timestamp};
use crate::warden::{Tally, Warden, WorkflowEntry};

/// An item.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemView {
    workflow: String,
    id: String,
    /// `open`, `overdue`, `failed`, `held` or `closed`.
    #[schema(value_type = String)]
    state: ItemState,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    deadline: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    overdue_since: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// `success`, `discarded` or `failed`, of a closed item.
    #[schema(value_type = Option<String>)]
    outcome: Option<crate::model::CloseOutcome>,
    labels: BTreeMap<String, String>,
    step: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    step_entered_at: Option<Timestamp>,
    step_attempts: u32,
    #[schema(value_type = Vec<Object>)]
    steps: Vec<Value>,
    #[schema(value_type = Object)]
    progress: Map<String, Value>,
    errors: Vec<ErrorView>,
    #[schema(value_type = Vec<Object>)]
    artifacts: Vec<Value>,
    #[schema(value_type = Option<Object>)]
    params: Option<Value>,
    #[schema(value_type = Option<Object>)]
    lease: Option<Value>,
    /// The open incident that it belongs to.
    incident: Option<Arc<str>>,
    payload: PayloadView,
    /// Raised by one at each change; also the entity tag.
    version: u64,
}

/// An error that was reported about an item.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorView {
    id: Arc<str>,
    #[serde(rename = "type")]
    kind: String,
    message: String,
    retryable: bool,
    fatal: bool,
    step: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = Option<Object>)]
    data: Value,
}

/// What is known of a payload.
#[derive(Debug, Serialize, ToSchema)]
pub struct PayloadView {
    /// In bytes.
    size: u64,
    content_type: Arc<str>,
    /// In hexadecimal.
    sha256: String,
}

impl ItemView {
    /// The item as it stands now.
    pub fn new(item: Item, warden: &Warden) -> Self {
        let state = item.state(warden.clock().now());
        let incident = warden.incident_of(&item).map(|id| id.0);
        let detail = item.detail.map(|detail| *detail).unwrap_or_default();
        let payload = item.payload;
        Self {
            workflow: item.workflow.to_string(),
            id: item.id.to_string(),
            state,
            created_at: item.created_at,
            deadline: item.deadline,
            overdue_since: (state == ItemState::Overdue).then_some(item.deadline),
            closed_at: item.closed.map(|closed| closed.at),
            outcome: item.closed.map(|closed| closed.outcome),
            labels: item.labels,
            step_entered_at: item.step.is_some().then_some(item.step_entered_at),
            step: item.step.map(|step| step.to_string()),
            step_attempts: 0,
            steps: Vec::new(),
            progress: detail.progress,
            errors: detail.errors.into_iter().map(ErrorView::from).collect(),
            artifacts: Vec::new(),
            params: None,
            lease: None,
            incident,
            payload: PayloadView {
                size: payload.as_ref().map_or(0, |payload| payload.size),
                sha256: payload.as_ref().map(|payload| hex(&payload.sha256)).unwrap_or_default(),
                content_type: payload.map_or_else(|| Arc::from(""), |payload| payload.content_type),
            },
            version: item.version,
        }
    }
}

impl From<crate::model::ItemError> for ErrorView {
    fn from(error: crate::model::ItemError) -> Self {
        Self {
            id: error.id,
            kind: error.kind,
            message: error.message,
            retryable: error.retryable,
            fatal: error.fatal,
            step: error.step.map(|step| step.to_string()),
            at: error.at,
            data: error.data,
        }
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// An incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentView {
    id: Arc<str>,
    workflow: String,
    /// `overdue`, `failed`, `missed` or `held`.
    #[schema(value_type = String)]
    kind: crate::model::IncidentKind,
    /// `open` or `resolved`.
    #[schema(value_type = String)]
    status: crate::model::IncidentStatus,
    severity: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Timestamp>,
    count: u64,
    peak: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_deadline: Option<Timestamp>,
    /// Items by the step at which they are stuck; the empty name stands for items without one.
    #[schema(value_type = BTreeMap<String, u64>)]
    by_step: BTreeMap<Arc<str>, u64>,
    #[schema(value_type = Option<String>, format = DateTime)]
    notified_at: Option<Timestamp>,
    /// The receivers that were told.
    #[schema(value_type = Vec<String>)]
    told: Vec<Arc<str>>,
}

impl From<Incident> for IncidentView {
    fn from(incident: Incident) -> Self {
        Self {
            id: incident.id.0,
            workflow: incident.workflow.to_string(),
            kind: incident.kind,
            status: incident.status,
            severity: incident.severity,
            opened_at: incident.opened_at,
            resolved_at: incident.resolved_at,
            count: incident.count,
            peak: incident.peak,
            oldest_deadline: incident.oldest_deadline,
            by_step: incident.by_step,
            notified_at: incident.notified_at,
            told: incident.told.into_iter().collect(),
        }
    }
}

/// A notification on its way to a receiver.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    id: Arc<str>,
    incident: Arc<str>,
    receiver: Arc<str>,
    /// `incident.opened`, `incident.grown`, `incident.reminder` or `incident.resolved`.
    #[schema(value_type = String)]
    event: crate::model::Event,
    /// `pending`, `delivered` or `dead`.
    #[schema(value_type = String)]
    status: crate::model::DeliveryStatus,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    attempts_made: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// The latest attempts, oldest first.
    attempts: Vec<AttemptView>,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The status of the answer, if there was one.
    status: Option<u16>,
    latency_ms: u64,
    error: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let attempt = |attempt: Attempt| AttemptView {
            at: attempt.at,
            status: attempt.status,
            latency_ms: attempt.latency_ms,
            error: attempt.error,
        };
        Self {
            id: delivery.id.0,
            incident: delivery.incident.0,
            receiver: delivery.receiver,
            event: delivery.event,
            status: delivery.status,
            created_at: delivery.created_at,
            attempts_made: delivery.attempts_made,
            next_attempt_at: (delivery.status == crate::model::DeliveryStatus::Pending)
                .then_some(delivery.next_attempt_at),
            attempts: delivery.attempts.into_iter().map(attempt).collect(),
        }
    }
}

/// A workflow and what holds for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowView {
    name: String,
    /// `config` when the configuration defines it, `first_use` when it was made by its first item.
    source: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    deadline: String,
    retention: String,
    retention_max: u64,
    keep_payload: String,
    steps: Vec<StepView>,
    #[schema(value_type = Vec<String>)]
    receivers: Vec<Arc<str>>,
    group_wait: String,
    group_interval: String,
    repeat_interval: String,
    severity: Arc<str>,
    runbook_url: Option<Arc<str>>,
}

/// A step of a workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    name: String,
    deadline: Option<String>,
}

impl From<WorkflowEntry> for WorkflowView {
    fn from(entry: WorkflowEntry) -> Self {
        let duration = |duration| humantime::format_duration(duration).to_string();
        let policy: &Policy = &entry.policy;
        let alerting = &policy.alerting;
        Self {
            name: entry.name.to_string(),
            source: if entry.created_at.is_some() { "first_use" } else { "config" },
            created_at: entry.created_at,
            deadline: duration(policy.deadline),
            retention: duration(policy.retention),
            retention_max: policy.retention_max,
            keep_payload: duration(policy.keep_payload),
            steps: policy
                .steps
                .iter()
                .map(|step| StepView { name: step.name.to_string(), deadline: step.deadline.map(duration) })
                .collect(),
            receivers: alerting.receivers.clone(),
            group_wait: duration(alerting.group_wait),
            group_interval: duration(alerting.group_interval),
            repeat_interval: duration(alerting.repeat_interval),
            severity: alerting.severity.clone(),
            runbook_url: alerting.runbook_url.clone(),
        }
    }
}

/// The figures of a workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    /// Not closed and in time.
    open: u64,
    /// Not closed and past their deadline.
    overdue: u64,
    /// Failed.
    failed: u64,
    /// On hold.
    held: u64,
    /// Closed and remembered.
    closed: u64,
    /// Created since the daemon started.
    created_total: u64,
    /// Closed since the daemon started.
    closed_total: u64,
}

impl From<Tally> for StatsView {
    fn from(tally: Tally) -> Self {
        Self {
            open: tally.unclosed - tally.overdue - tally.failed,
            overdue: tally.overdue,
            failed: tally.failed,
            held: 0,
            closed: tally.closed,
            created_total: tally.created_total,
            closed_total: tally.closed_total,
        }
    }
}
