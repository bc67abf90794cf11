//! Steps, reports of their runs and changes of progress, as requests have them.

use std::sync::Arc;

use serde_json::{Map, Value};
use warden_api::step::{
    ProgressChange as ProgressRequest, RepeatRequest, RetryRequest, StepRetry, StepTerms,
};
use warden_api::word::{ProgressOperation, StepStatus};

use super::problem::Problem;
use super::request;
use crate::model::item::{Merge, ProgressChange, ProgressOf, ProgressValue, Repeat, StepOutcome};
use crate::model::retry::RetryTerms;
use crate::model::{Backoff, Clock, Step};
use crate::warden::recovery::RetryItems;

/// A step that an item is created with.
pub fn step(terms: StepTerms) -> Result<Step, Problem> {
    let StepTerms { name, deadline, retry, max_losses, on_ignorable } = terms;
    let deadline = deadline.map(|text| request::duration("deadline", &text)).transpose()?;
    if deadline.is_some_and(|deadline| deadline.is_zero()) {
        return Err(Problem::invalid(format!("the deadline of the step {name} must be more than zero")));
    }
    Ok(Step {
        name: request::step(name)?,
        deadline,
        retry: retry.map(retry_terms).transpose()?.unwrap_or_default(),
        losses_max: max_losses.map(|most| most.0.unwrap_or(u32::MAX)),
        on_ignorable: on_ignorable.unwrap_or_default(),
    })
}

fn retry_terms(retry: StepRetry) -> Result<RetryTerms, Problem> {
    let backoff = retry.backoff.map(|text| {
        text.parse::<Backoff>().map_err(|error| Problem::invalid(format!("retry.backoff: {error}")))
    });
    if let Some(jitter) = retry.jitter.filter(|jitter| !(0.0..=1.0).contains(jitter)) {
        return Err(Problem::invalid(format!("retry.jitter is {jitter}; it must be from 0 to 1")));
    }
    Ok(RetryTerms {
        max: retry.max.map(|max| max.0.unwrap_or(u32::MAX)),
        backoff: backoff.transpose()?,
        jitter: retry.jitter,
    })
}

/// The result of a run, by default that the step is done.
pub fn outcome(
    status: Option<StepStatus>,
    message: Option<Arc<str>>,
    repeat: Option<RepeatRequest>,
    clock: &dyn Clock,
) -> Result<StepOutcome, Problem> {
    let status = status.unwrap_or(StepStatus::Done);
    if repeat.is_some() && status == StepStatus::Skipped {
        return Err(Problem::invalid(
            "a step that was skipped cannot be repeated; repeat is for done and interrupted",
        ));
    }
    Ok(StepOutcome { status, message, repeat: repeat.map(|repeat| self::repeat(repeat, clock)).transpose()? })
}

/// A request of a person to send an item on.
pub fn retry(request: RetryRequest, clock: &dyn Clock) -> Result<RetryItems, Problem> {
    let RetryRequest { from, after, at } = request;
    let at = match (after, at) {
        (None, None) => None,
        (Some(after), None) => Some(clock.now().after(request::duration("after", &after)?)),
        (None, Some(at)) => Some(clock.to_steady(request::instant("at", &at)?)),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("the request has after and at; send one of them"));
        }
    };
    Ok(RetryItems { from: from.map(request::step).transpose()?, at })
}

fn repeat(request: RepeatRequest, clock: &dyn Clock) -> Result<Repeat, Problem> {
    let RepeatRequest { after, at, max } = request;
    let now = clock.now();
    let due = match (after, at) {
        (None, None) => now,
        (Some(after), None) => now.after(request::duration("repeat.after", &after)?),
        (None, Some(at)) => clock.to_steady(request::instant("repeat.at", &at)?),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("repeat has after and at; send one of them"));
        }
    };
    if max == Some(0) {
        return Err(Problem::invalid("repeat.max is 0; it counts all runs, this one included"));
    }
    Ok(Repeat { due, runs_max: max })
}

/// The change of a progress document in the request of a holder: `progress`, a merge patch of the shared
/// document, or `progress_change`.
pub fn progress(
    patch: Option<Map<String, Value>>,
    change: Option<ProgressRequest>,
) -> Result<Option<ProgressChange>, Problem> {
    match (patch, change) {
        (Some(_), Some(_)) => {
            Err(Problem::invalid("the request has progress and progress_change; send one of them"))
        }
        (Some(patch), None) => Ok(Some(ProgressChange::merge(Merge::Change(patch)))),
        (None, change) => Ok(change.map(progress_change)),
    }
}

pub fn progress_change(request: ProgressRequest) -> ProgressChange {
    let ProgressRequest { op, value, of_step } = request;
    let of = if of_step { ProgressOf::CurrentStep } else { ProgressOf::Item };
    ProgressChange { of, to: progress_value(op, value) }
}

pub fn progress_value(operation: ProgressOperation, value: Map<String, Value>) -> ProgressValue {
    match operation {
        ProgressOperation::Set => ProgressValue::Set(value),
        ProgressOperation::Assign => ProgressValue::Assign(value),
        ProgressOperation::Merge => ProgressValue::Merge(Merge::Change(value)),
    }
}
