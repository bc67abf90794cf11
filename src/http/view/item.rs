//! Documents of items and leases.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use warden_api::artifact::ArtifactSummary;
use warden_api::item::{ItemAnswer, ItemError, ItemReceipt, Payload, StepRecord};

use super::{hex, params, shown, told};
use crate::model::item::ItemDetail;
use crate::model::{self, IncidentId, Item, ItemState, Lease, LeaseId, Moment, PayloadInfo};
use crate::warden::artifacts::UsedArtifact;

pub struct ItemFacts {
    pub item: Item,
    pub moment: Moment,
    /// The open incident that contains the item.
    pub incident: Option<IncidentId>,
    /// The position of its step among its steps.
    pub step_index: Option<usize>,
    /// The first artifacts that it used, of those that the token includes.
    pub artifacts: Vec<UsedArtifact>,
}

/// Which fields of a response come from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All: the request created the item.
    Item,
    /// The payload: the item existed with the same one.
    Payload,
    /// A change.
    Change { deadline: bool },
}

impl From<ItemFacts> for warden_api::Item {
    fn from(facts: ItemFacts) -> Self {
        let ItemFacts { item, moment, incident, step_index, artifacts } = facts;
        let at = |steady| told(steady, moment);
        let deadline = shown(item.deadline, moment);
        let state = item.state(moment);
        let running = item.work.running(moment.now).filter(|_| item.closed.is_none());
        let running = running.map(|running| lease(&item, running, moment));
        let is_closed = item.closed.is_some();
        let interruption = item.course.interruption.filter(|_| state == ItemState::Interrupted);
        let interrupted_until = interruption.and_then(|interruption| interruption.until).map(at);
        let held_for = item.held_for();
        let run = item.run.clone();
        let mut detail = item.detail.map(|detail| *detail).unwrap_or_default();
        let run_detail = detail.run.take().map(|run| *run).unwrap_or_default();
        let steps = step_records(&detail, moment);
        Self {
            workflow: item.workflow.into(),
            id: item.id.into(),
            state: state.into(),
            created_at: at(item.created_at),
            deadline,
            overdue_since: (state == ItemState::Overdue).then_some(deadline),
            closed_at: item.closed.map(|closed| at(closed.at)),
            outcome: item.closed.map(|closed| closed.outcome.into()),
            labels: item.labels,
            step_entered_at: item.step.is_some().then_some(at(item.step_entered_at)),
            step: item.step.map(Arc::from),
            step_index,
            step_attempts: item.work.attempts,
            step_retries: Some(item.course.retries),
            step_losses: Some(item.course.losses),
            interrupted_until,
            not_before: item.course.not_before.filter(|at| *at > moment.now && !is_closed).map(at),
            errored_at: item.failed_at.map(at),
            error_message: detail.errors.last().map(|error| error.message.clone()),
            steps,
            progress: detail.progress,
            errors: detail.errors.into_iter().map(|found| error(found, moment)).collect(),
            artifacts: artifacts.into_iter().map(used).collect(),
            number: run.as_ref().map(|run| run.number),
            held_for: held_for.map(Into::into),
            started_at: run.as_ref().and_then(|run| run.started_at).map(at),
            params: run_detail.params.as_ref().map(params),
            counts: run.is_some().then_some(run_detail.counts),
            lineage: run_detail.lineage,
            lease: running,
            retry_at: item.work.retry_at.filter(|at| *at > moment.now && item.closed.is_none()).map(at),
            incident: incident.map(|id| id.0),
            traceparent: item.trace.as_ref().map(|trace| trace.parent.clone()),
            tracestate: item.trace.and_then(|trace| trace.state),
            payload: payload(item.payload),
            version: item.version,
        }
    }
}

impl ItemFacts {
    /// The response to a write: the item, or a receipt if the client may not read it.
    pub fn answer(self, sent: Sent, may_read: bool) -> ItemAnswer {
        if may_read {
            return ItemAnswer::Item(Box::new(self.into()));
        }
        let Self { item, moment, .. } = self;
        let (is_new, has_payload) = (sent == Sent::Item, matches!(sent, Sent::Item | Sent::Payload));
        let has_deadline = is_new || sent == Sent::Change { deadline: true };
        ItemAnswer::Receipt(Box::new(ItemReceipt {
            state: item.state(moment).into(),
            deadline: has_deadline.then_some(shown(item.deadline, moment)),
            labels: is_new.then(|| item.labels.clone()),
            step: item.step.clone().filter(|_| is_new).map(Arc::from),
            payload: has_payload.then(|| payload(item.payload.clone())),
            number: item.run.as_ref().filter(|_| is_new).map(|run| run.number),
            params: item
                .detail()
                .run
                .as_ref()
                .filter(|_| is_new)
                .and_then(|run| run.params.as_ref().map(params)),
            version: item.version,
            workflow: item.workflow.into(),
            id: item.id.into(),
        }))
    }
}

fn used(artifact: UsedArtifact) -> ArtifactSummary {
    let UsedArtifact { id, location, name, status } = artifact;
    ArtifactSummary { id: id.0, location, name, status }
}

pub fn lease(item: &Item, lease: &Lease, moment: Moment) -> warden_api::Lease {
    warden_api::Lease {
        id: LeaseId { item: item.number, token: lease.token }.to_string(),
        attempt: item.work.attempts,
        token: lease.token,
        worker: lease.worker.clone(),
        expires_at: told(lease.expires_at, moment),
    }
}

/// The runs, oldest first. The progress document of a step is shown with its latest run.
fn step_records(detail: &ItemDetail, moment: Moment) -> Vec<StepRecord> {
    let mut shown = HashSet::new();
    let latest_first = detail.steps.iter().rev();
    let records = latest_first.map(|step| {
        let progress = shown.insert(&step.name).then(|| detail.progress_of(&step.name));
        step_record(step, progress, moment)
    });
    let mut records: Vec<StepRecord> = records.collect();
    records.reverse();
    records
}

fn step_record(
    step: &model::item::StepRecord,
    progress: Option<Map<String, Value>>,
    moment: Moment,
) -> StepRecord {
    StepRecord {
        name: step.name.clone().into(),
        status: step.status.into(),
        at: told(step.at, moment),
        message: step.message.clone(),
        entered_at: step.entered_at.map(|at| told(at, moment)),
        attempts: Some(step.attempts),
        progress,
    }
}

fn error(error: model::ItemError, moment: Moment) -> ItemError {
    ItemError {
        id: error.id,
        kind: error.kind,
        message: error.message,
        retryable: error.retryable,
        fatal: error.fatal,
        step: error.step.map(Arc::from),
        at: told(error.at, moment),
        data: error.data,
        stack: error.stack,
    }
}

fn payload(payload: Option<PayloadInfo>) -> Payload {
    Payload {
        size: payload.as_ref().map_or(0, |payload| payload.size),
        sha256: payload.as_ref().map(|payload| hex(&payload.sha256)).unwrap_or_default(),
        content_encoding: payload.as_ref().and_then(|payload| payload.content_encoding.clone()),
        content_type: payload.map_or_else(|| Arc::from(""), |payload| payload.content_type),
    }
}
