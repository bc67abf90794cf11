//! Replays as clients are shown them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::WallTime;
use crate::http::access::Access;
use crate::model::replay::{OnSuccess, ReplayFailure, ReplayFilter, ReplayTarget, plain_url};
use crate::model::{ItemState, Moment, ReplayStatus, StepName};
use crate::warden::ReplayEntry;

/// A replay, and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayView {
    id: Arc<str>,
    name: Arc<str>,
    /// `running`, `paused`, `completed` or `cancelled`.
    #[schema(value_type = String)]
    status: ReplayStatus,
    /// Why it is paused, where nobody said so.
    reason: Option<Arc<str>>,
    filter: ReplayFilterView,
    target: ReplayTargetView,
    max_per_second: f64,
    concurrency: usize,
    canary: u64,
    ramp_up: String,
    /// `accept` or `close`.
    #[schema(value_type = String)]
    on_success: OnSuccess,
    timeout: String,
    pause_after_failures: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
    /// When its first item was sent.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<WallTime>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<WallTime>,
    /// How many items were selected.
    total: u64,
    /// Those that were sent and have ended, and those that are on their way.
    sent: u64,
    succeeded: u64,
    failed: u64,
    /// Those that were closed meanwhile, or on which somebody else worked when it was their turn.
    skipped: u64,
    /// How many end in a second, lately.
    rate: f64,
    /// When it will be over if it goes on like that.
    #[schema(value_type = Option<String>, format = DateTime)]
    eta: Option<WallTime>,
    /// Until when nothing is sent, because the target said that it has no room, or the disk is full.
    #[schema(value_type = Option<String>, format = DateTime)]
    held_until: Option<WallTime>,
    /// The latest failures, oldest first.
    failures: Vec<ReplayFailureView>,
    /// How many items failed for which reason; those of rare reasons under `other`.
    #[schema(value_type = BTreeMap<String, u64>)]
    failure_reasons: BTreeMap<Arc<str>, u64>,
}

/// Which items were selected.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayFilterView {
    #[schema(value_type = Vec<String>)]
    workflows: Vec<Arc<str>>,
    #[schema(value_type = Vec<String>)]
    states: Vec<ItemState>,
    labels: BTreeMap<String, String>,
    #[schema(value_type = Option<String>)]
    step: Option<StepName>,
    #[schema(value_type = Option<String>, format = DateTime)]
    created_before: Option<WallTime>,
    #[schema(value_type = Option<String>, format = DateTime)]
    created_after: Option<WallTime>,
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline_before: Option<WallTime>,
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline_after: Option<WallTime>,
}

/// Where they go.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayTargetView {
    /// Without what may be a secret in it: user, password and query.
    url: String,
    /// Whether they are signed. When it has ended that is forgotten.
    signed: bool,
}

/// An item that the target did not take.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayFailureView {
    workflow: String,
    id: String,
    /// With the beginning of what the target answered, unless the token is limited to some workflows.
    reason: Arc<str>,
    /// The status of the answer, if there was one.
    status: Option<u16>,
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
}

impl ReplayFailureView {
    fn new(failure: ReplayFailure, moment: Moment) -> Self {
        let ReplayFailure { workflow, id, reason, status, at } = failure;
        let at = WallTime::of(at, moment);
        Self { workflow: workflow.to_string(), id: id.to_string(), reason, status, at }
    }
}

impl From<ReplayFilter> for ReplayFilterView {
    fn from(filter: ReplayFilter) -> Self {
        Self {
            workflows: filter.workflows,
            states: filter.states,
            labels: filter.labels,
            step: filter.step,
            created_before: filter.created_before.map(WallTime::read),
            created_after: filter.created_after.map(WallTime::read),
            deadline_before: filter.deadline_before.map(WallTime::read),
            deadline_after: filter.deadline_after.map(WallTime::read),
        }
    }
}

impl From<ReplayTarget> for ReplayTargetView {
    fn from(target: ReplayTarget) -> Self {
        Self { url: plain_url(&target.url), signed: target.secret.is_some() }
    }
}

impl ReplayView {
    /// The replay as this access may see it, with times as the wall clock has them at that moment. What a target answers may
    /// tell of more than the workflows that a token is limited to, since whoever starts a replay chooses the target.
    pub fn new(mut entry: ReplayEntry, access: &Access, moment: Moment) -> Self {
        let at = |steady| WallTime::of_some(steady, moment);
        if access.is_limited() {
            for failure in &mut entry.replay.failures {
                failure.reason = failure.plain_reason();
            }
        }
        let ReplayEntry { replay, on_their_way, rate, eta, held_until } = entry;
        let duration = |duration| humantime::format_duration(duration).to_string();
        Self {
            sent: replay.succeeded + replay.failed + on_their_way as u64,
            id: replay.id.0,
            name: replay.name,
            status: replay.status,
            reason: replay.reason,
            filter: replay.filter.into(),
            target: replay.target.into(),
            max_per_second: replay.pace.max_per_second,
            concurrency: replay.pace.concurrency,
            canary: replay.pace.canary,
            ramp_up: duration(replay.pace.ramp_up),
            on_success: replay.on_success,
            timeout: duration(replay.timeout),
            pause_after_failures: replay.pace.pause_after_failures,
            created_at: WallTime::of(replay.created_at, moment),
            started_at: at(replay.started_at),
            ended_at: at(replay.ended_at),
            total: replay.total,
            succeeded: replay.succeeded,
            failed: replay.failed,
            skipped: replay.skipped,
            rate,
            eta: at(eta),
            held_until: at(held_until),
            failures: replay
                .failures
                .into_iter()
                .map(|failure| ReplayFailureView::new(failure, moment))
                .collect(),
            failure_reasons: replay.failure_reasons,
        }
    }
}
