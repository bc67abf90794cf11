//! Documents of replays.

use std::sync::Arc;

use warden_api::WallTime;
use warden_api::replay::{ReplayFailure, ReplayFilter, ReplayTarget};

use super::{duration, told};
use crate::model::replay::plain_url;
use crate::model::{self, Moment};
use crate::warden::ReplayEntry;

pub struct ReplayFacts {
    pub entry: ReplayEntry,
    /// Omit the target's responses: they may concern workflows that the token does not include, since whoever
    /// starts a replay chooses the target.
    pub is_limited: bool,
    pub moment: Moment,
}

impl From<ReplayFacts> for warden_api::Replay {
    fn from(facts: ReplayFacts) -> Self {
        let ReplayFacts { mut entry, is_limited, moment } = facts;
        let at = |steady| told(steady, moment);
        if is_limited {
            for failure in &mut entry.replay.failures {
                failure.reason = failure.plain_reason();
            }
        }
        let ReplayEntry { replay, in_flight, rate, eta, held_until } = entry;
        Self {
            sent: replay.succeeded + replay.failed + in_flight as u64,
            id: replay.id.0,
            name: replay.name,
            status: replay.status.into(),
            reason: replay.reason,
            filter: filter(replay.filter),
            target: target(&replay.target),
            max_per_second: replay.pace.max_per_second,
            concurrency: replay.pace.concurrency,
            canary: replay.pace.canary,
            ramp_up: duration(replay.pace.ramp_up),
            on_success: replay.on_success.into(),
            timeout: duration(replay.timeout),
            pause_after_failures: replay.pace.pause_after_failures,
            created_at: at(replay.created_at),
            started_at: replay.started_at.map(at),
            ended_at: replay.ended_at.map(at),
            total: replay.total,
            succeeded: replay.succeeded,
            failed: replay.failed,
            skipped: replay.skipped,
            rate,
            eta: eta.map(at),
            held_until: held_until.map(at),
            failures: replay.failures.into_iter().map(|found| failure(found, moment)).collect(),
            failure_reasons: replay.failure_reasons,
        }
    }
}

fn failure(failure: model::replay::ReplayFailure, moment: Moment) -> ReplayFailure {
    let model::replay::ReplayFailure { workflow, id, reason, status, at } = failure;
    ReplayFailure { workflow: workflow.into(), id: id.into(), reason, status, at: told(at, moment) }
}

fn filter(filter: model::replay::ReplayFilter) -> ReplayFilter {
    ReplayFilter {
        workflows: filter.workflows,
        states: filter.states.into_iter().map(Into::into).collect(),
        labels: filter.labels,
        step: filter.step.map(Arc::from),
        step_retries_min: filter.step_retries_min,
        created_before: filter.created_before.map(WallTime::read),
        created_after: filter.created_after.map(WallTime::read),
        deadline_before: filter.deadline_before.map(WallTime::read),
        deadline_after: filter.deadline_after.map(WallTime::read),
    }
}

fn target(target: &model::replay::ReplayTarget) -> ReplayTarget {
    ReplayTarget { url: plain_url(&target.url), signed: target.secret.is_some() }
}
