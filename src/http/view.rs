//! What clients are shown: the JSON of items here, that of alerts and workflows below.

mod alerts;
mod receipt;
mod receivers;
mod replay;
mod summary;
mod time;
mod workflow;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use self::alerts::{DeliveryView, IncidentView, SilenceView};
pub use self::receipt::{ItemAnswer, Sent};
pub use self::receivers::{ReceiverTestView, ReceiverView};
pub use self::replay::ReplayView;
pub use self::summary::SummaryView;
pub use self::time::WallTime;
pub use self::workflow::{StatsView, WorkflowView};
use crate::model::lease::{StepRecord, StepStatus};
use crate::model::{
    Item, ItemId, ItemState, Labels, Lease, LeaseId, Moment, PayloadInfo, StepName, WorkflowName,
};
use crate::warden::Warden;

/// An item.
#[derive(Debug, Serialize, ToSchema)]
pub struct ItemView {
    #[schema(value_type = String)]
    workflow: WorkflowName,
    #[schema(value_type = String)]
    id: ItemId,
    /// `open`, `overdue`, `failed`, `held` or `closed`.
    #[schema(value_type = String)]
    state: ItemState,
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
    #[schema(value_type = String, format = DateTime)]
    deadline: WallTime,
    #[schema(value_type = Option<String>, format = DateTime)]
    overdue_since: Option<WallTime>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<WallTime>,
    /// `success`, `discarded` or `failed`, of a closed item.
    #[schema(value_type = Option<String>)]
    outcome: Option<crate::model::CloseOutcome>,
    #[schema(value_type = BTreeMap<String, String>)]
    labels: Labels,
    #[schema(value_type = Option<String>)]
    step: Option<StepName>,
    #[schema(value_type = Option<String>, format = DateTime)]
    step_entered_at: Option<WallTime>,
    /// How often it was claimed at this step, less what was given back unharmed.
    step_attempts: u32,
    /// The steps that are behind it.
    steps: Vec<StepRecordView>,
    #[schema(value_type = Object)]
    progress: Map<String, Value>,
    errors: Vec<ErrorView>,
    #[schema(value_type = Vec<Object>)]
    artifacts: Vec<Value>,
    #[schema(value_type = Option<Object>)]
    params: Option<Value>,
    /// Who holds it.
    lease: Option<LeaseView>,
    /// It waits for its next attempt, and is not to be claimed before.
    #[schema(value_type = Option<String>, format = DateTime)]
    retry_at: Option<WallTime>,
    /// The open incident that it belongs to.
    incident: Option<Arc<str>>,
    payload: PayloadView,
    /// Raised by one at each change; also the entity tag.
    version: u64,
}

/// A step that an item has left.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepRecordView {
    #[schema(value_type = String)]
    name: StepName,
    /// `done` or `skipped`.
    #[schema(value_type = String)]
    status: StepStatus,
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
}

/// A claim on an item.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeaseView {
    /// By which its holder speaks of it.
    id: String,
    /// Larger than that of any lease before it: what lies behind a worker can tell a late one by it.
    token: u64,
    /// Who holds it.
    worker: Arc<str>,
    /// How often the item was claimed at its present step, this time among them.
    attempt: u32,
    /// From when on it holds no longer, unless a heartbeat comes before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: WallTime,
}

impl LeaseView {
    /// A lease of this item.
    pub fn new(item: &Item, lease: &Lease, moment: Moment) -> Self {
        Self {
            id: LeaseId { item: item.number, token: lease.token }.to_string(),
            attempt: item.work.attempts,
            token: lease.token,
            worker: lease.worker.clone(),
            expires_at: WallTime::of(lease.expires_at, moment),
        }
    }
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
    #[schema(value_type = Option<String>)]
    step: Option<StepName>,
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
    /// Whatever else was kept.
    data: Value,
}

/// What is known of a payload.
#[derive(Debug, Serialize, ToSchema)]
pub struct PayloadView {
    /// In bytes.
    size: u64,
    content_type: Arc<str>,
    /// The content codings that were applied to its bytes, such as `gzip`, if there are any.
    content_encoding: Option<Arc<str>>,
    /// In hexadecimal.
    sha256: String,
}

impl ItemView {
    /// The item as it stands now.
    pub fn new(item: Item, warden: &Warden) -> Self {
        let moment = warden.clock().moment();
        let at = |steady| WallTime::of(steady, moment);
        let deadline = WallTime::shown(item.deadline, moment);
        let state = item.state(moment);
        let lease = item.work.running(moment.now).filter(|_| item.closed.is_none());
        let lease = lease.map(|lease| LeaseView::new(&item, lease, moment));
        let incident = warden.incident_of(&item).map(|id| id.0);
        let detail = item.detail.map(|detail| *detail).unwrap_or_default();
        let payload = item.payload;
        Self {
            workflow: item.workflow,
            id: item.id,
            state,
            created_at: at(item.created_at),
            deadline,
            overdue_since: (state == ItemState::Overdue).then_some(deadline),
            closed_at: item.closed.map(|closed| at(closed.at)),
            outcome: item.closed.map(|closed| closed.outcome),
            labels: item.labels,
            step_entered_at: item.step.is_some().then_some(at(item.step_entered_at)),
            step: item.step,
            step_attempts: item.work.attempts,
            steps: detail.steps.into_iter().map(|step| StepRecordView::new(step, moment)).collect(),
            progress: detail.progress,
            errors: detail.errors.into_iter().map(|error| ErrorView::new(error, moment)).collect(),
            artifacts: Vec::new(),
            params: None,
            lease,
            retry_at: item.work.retry_at.filter(|at| *at > moment.now && item.closed.is_none()).map(at),
            incident,
            payload: payload.into(),
            version: item.version,
        }
    }
}

impl From<Option<PayloadInfo>> for PayloadView {
    fn from(payload: Option<PayloadInfo>) -> Self {
        Self {
            size: payload.as_ref().map_or(0, |payload| payload.size),
            sha256: payload.as_ref().map(|payload| hex(&payload.sha256)).unwrap_or_default(),
            content_encoding: payload.as_ref().and_then(|payload| payload.content_encoding.clone()),
            content_type: payload.map_or_else(|| Arc::from(""), |payload| payload.content_type),
        }
    }
}

impl StepRecordView {
    /// A step that is behind an item.
    pub fn new(step: StepRecord, moment: Moment) -> Self {
        Self { name: step.name, status: step.status, at: WallTime::of(step.at, moment) }
    }
}

impl ErrorView {
    /// An error, at this moment.
    pub fn new(error: crate::model::ItemError, moment: Moment) -> Self {
        Self {
            id: error.id,
            kind: error.kind,
            message: error.message,
            retryable: error.retryable,
            fatal: error.fatal,
            step: error.step,
            at: WallTime::of(error.at, moment),
            data: error.data,
        }
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}
