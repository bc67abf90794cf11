//! The course of an item through its steps.
//!
//! Invariants:
//!
//! * The steps are the item's own, or else its workflow's, in their order. An item leaves only the step that
//!   it is at.
//! * Entering a step resets its counters. The messages of earlier runs stay in the history.
//! * An interrupted item is not claimable until its repetition is due, or a person retries it. Its deadline
//!   runs. Like being overdue, the end of an interruption is derived from `now` and never written.
//! * A step that was completed with a repetition runs again when the item rests: when it is interrupted or a
//!   person retries it. On a closed item repetitions have no effect.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
pub use warden_api::limit::{STEP_MESSAGE_MAX, STEPS_KEPT, STEPS_MAX};
pub use warden_api::word::{OnIgnorable, StepStatus};

use super::{Item, ItemRefusal, LeaseEnd, ProgressChange};
use crate::model::{ClockTime, CloseOutcome, Moment, Policy, RetryPolicy, Step, StepName, Timestamp};

/// Where an item is on its course, apart from the step itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Retryable errors at the current step, judged by `retry.max`.
    pub retries: u32,
    /// Leases that ran out at the current step, judged by `max_losses`. One is counted at the next claim, or
    /// when a person retries the item.
    pub losses: u32,
    pub interruption: Option<Interruption>,
    /// The step at which the item rested, while it goes again through earlier steps.
    pub resume_at: Option<StepName>,
    /// It cannot be claimed before.
    pub not_before: Option<Timestamp>,
    /// The item's own deadline, which no step's exceeds; `None` if only a default applies.
    pub deadline_max: Option<ClockTime>,
}

/// A stop at a step without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    pub at: Timestamp,
    /// When the step is repeated; `None` if a person has to retry the item.
    pub until: Option<Timestamp>,
}

impl Interruption {
    pub fn is_over(self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// A run of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    pub name: StepName,
    pub status: StepStatus,
    /// When it ended.
    pub at: Timestamp,
    /// At most [`STEP_MESSAGE_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Timestamp>,
    /// The claims at the step until then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl StepRecord {
    /// A run of which no more is known than how and when it ended.
    pub const fn ended(name: StepName, status: StepStatus, at: Timestamp) -> Self {
        Self { name, status, at, message: None, entered_at: None, attempts: 0 }
    }
}

/// A step that is to run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetition {
    /// `None` if the item has no steps.
    pub step: Option<StepName>,
    /// The runs that ended with a request to repeat the step.
    pub runs: u32,
    /// When it is due; `None` once the most runs are reached, or if the last run asked for none.
    pub due: Option<Timestamp>,
}

/// A request to repeat a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    pub due: Timestamp,
    /// The most runs in all; `None` for any number.
    pub runs_max: Option<u32>,
}

/// The result of a run of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOutcome {
    pub status: StepStatus,
    /// At most [`STEP_MESSAGE_MAX`] bytes.
    pub message: Option<Arc<str>>,
    pub repeat: Option<Repeat>,
}

impl StepOutcome {
    /// Without message and repetition.
    pub const fn plain(status: StepStatus) -> Self {
        Self { status, message: None, repeat: None }
    }
}

/// Why a step cannot be reported or retried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepRefusal {
    /// The item never comes to a step of this name.
    #[error("the item has no step {step}; {}", match .steps.as_slice() {
        [] => "it has no steps".to_owned(),
        steps => format!("its steps are {}", steps.join(", ")),
    })]
    Unknown { step: StepName, steps: Vec<String> },
    /// The item is at another step.
    #[error("the item is {}, not at {step}; only the step that it is at can be reported", match .current {
        Some(current) => format!("at the step {current}"),
        None => "at no step".to_owned(),
    })]
    Order { step: StepName, current: Option<StepName> },
    /// The same report was made before.
    #[error("the step was reported so before")]
    Repeated,
    /// It is a run that has not begun.
    #[error("the run is held, and is at no step before it begins; release its workflow first")]
    Held,
}

/// Why a request that concerns a step changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Step(#[from] StepRefusal),
    /// A limit would be exceeded.
    #[error(transparent)]
    Item(#[from] ItemRefusal),
}

impl Item {
    /// Its own steps, or those of its workflow.
    pub fn steps<'a>(&'a self, policy: &'a Policy) -> &'a [Step] {
        self.detail().own_steps.as_deref().unwrap_or(&policy.steps)
    }

    /// The position of the current step. After the last step it is that of the last.
    pub fn step_index(&self, policy: &Policy) -> Option<usize> {
        position(self.steps(policy), self.step.as_ref()?)
    }

    /// Whether the item has this step.
    pub fn check_step_name(&self, step: &StepName, policy: &Policy) -> Result<(), StepRefusal> {
        let steps = self.steps(policy);
        position(steps, step).map(|_| ()).ok_or_else(|| unknown(step, steps))
    }

    /// What the current step sets out.
    fn terms<'a>(&'a self, policy: &'a Policy) -> Option<&'a Step> {
        self.step_index(policy).and_then(|index| self.steps(policy).get(index))
    }

    /// The policy for retryable errors at the current step.
    pub fn retry_policy(&self, policy: &Policy) -> RetryPolicy {
        self.terms(policy).map_or(policy.retry, |step| step.retry.over(policy.retry))
    }

    /// Whether more leases ran out at the current step than may.
    pub fn has_lost_too_much(&self, policy: &Policy) -> bool {
        let most = self.terms(policy).and_then(|step| step.losses_max).or(policy.losses_max);
        most.is_some_and(|most| self.course.losses > most)
    }

    /// Whether an ignorable error at the current step closes the item.
    pub(super) fn ends_on_ignorable(&self, policy: &Policy) -> bool {
        self.terms(policy).is_some_and(|step| step.on_ignorable == OnIgnorable::End)
    }

    /// Reports the result of the current step without a lease. It ends a running lease.
    pub fn report_step(
        &mut self,
        step: &StepName,
        outcome: StepOutcome,
        progress: Option<ProgressChange>,
        policy: &Policy,
        moment: Moment,
    ) -> Result<(), StepError> {
        self.check_step(step, &outcome, policy, moment.now)?;
        if let Some(progress) = progress {
            self.change_progress(progress)?;
        }
        self.end_expired_lease(moment.now);
        self.withdraw_lease();
        let version = self.version;
        self.finish_step(outcome, policy, moment);
        self.version = version + 1;
        Ok(())
    }

    /// Whether the step can be reported, also for a closed item. A report repeats an earlier one if the item
    /// left the step by that, or is still interrupted by it.
    pub fn check_step(
        &self,
        step: &StepName,
        outcome: &StepOutcome,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), StepRefusal> {
        if self.is_held() {
            return Err(StepRefusal::Held);
        }
        let steps = self.steps(policy);
        let last = self.detail().steps.iter().rev().find(|record| record.name == *step);
        let is_last = last.is_some_and(|record| record.status == outcome.status);
        if self.closed.is_none() && self.step.as_ref() == Some(step) {
            let is_interrupted =
                self.course.interruption.is_some_and(|interruption| !interruption.is_over(now));
            let is_repeated = is_interrupted && is_last && outcome.status == StepStatus::Interrupted;
            return if is_repeated { Err(StepRefusal::Repeated) } else { Ok(()) };
        }
        let is_behind = || match (position(steps, step), self.step_index(policy)) {
            (Some(asked), Some(here)) => asked < here,
            _ => true,
        };
        if is_last && (self.closed.is_some() || is_behind()) {
            return Err(StepRefusal::Repeated);
        }
        if position(steps, step).is_none() && last.is_none() {
            return Err(unknown(step, steps));
        }
        Err(StepRefusal::Order { step: step.clone(), current: self.step.clone() })
    }

    /// Ends a run of the current step.
    pub(super) fn finish_step(&mut self, outcome: StepOutcome, policy: &Policy, moment: Moment) {
        let StepOutcome { status, message, repeat } = outcome;
        self.record_run(status, message, moment.now);
        let due = self.repeat_current(repeat);
        if status == StepStatus::Interrupted {
            self.work.retry_at = None;
            self.course.interruption = Some(Interruption { at: moment.now, until: due });
            if let Some(due) = due {
                self.rest(due, policy, moment);
            }
        } else {
            self.advance(policy, moment);
        }
    }

    /// Ends the run of the current step, and closes the item.
    pub(super) fn end_course(
        &mut self,
        outcome: StepOutcome,
        closed_as: CloseOutcome,
        policy: &Policy,
        moment: Moment,
    ) {
        self.record_run(outcome.status, outcome.message, moment.now);
        self.close(policy.closing(closed_as, moment.now));
    }

    fn record_run(&mut self, status: StepStatus, message: Option<Arc<str>>, now: Timestamp) {
        let Some(name) = self.step.clone() else { return };
        let (entered_at, attempts) = (Some(self.step_entered_at), self.work.attempts);
        let steps = &mut self.detail.get_or_insert_default().steps;
        steps.push(StepRecord { name, status, at: now, message, entered_at, attempts });
        let surplus = steps.len().saturating_sub(STEPS_KEPT);
        steps.drain(..surplus);
    }

    /// Takes note of a request to repeat the current step, or that the last run made none. Returns when it is
    /// due.
    fn repeat_current(&mut self, repeat: Option<Repeat>) -> Option<Timestamp> {
        let known = self.detail().repetitions.iter().position(|known| known.step == self.step);
        if repeat.is_none() && known.is_none() {
            return None;
        }
        let step = self.step.clone();
        let repetitions = &mut self.detail.get_or_insert_default().repetitions;
        let index = known.unwrap_or_else(|| {
            repetitions.push(Repetition { step, runs: 0, due: None });
            repetitions.len() - 1
        });
        let repetition = &mut repetitions[index];
        repetition.due = repeat.and_then(|repeat| {
            repetition.runs = repetition.runs.saturating_add(1);
            repeat.runs_max.is_none_or(|most| repetition.runs < most).then_some(repeat.due)
        });
        repetition.due
    }

    /// Leaves the current step, which is complete, for the next one. After the last the item is closed. An
    /// item whose step is not one of its steps goes to the first: doing something twice is better than never.
    fn advance(&mut self, policy: &Policy, moment: Moment) {
        let here = self.step_index(policy);
        let steps = self.steps(policy);
        let first = here.map_or(0, |here| here + 1);
        let resume_at = self.course.resume_at.as_ref().and_then(|name| position(steps, name));
        let next = match resume_at.filter(|end| first <= *end) {
            Some(end) => (first..end).find(|index| self.is_due(&steps[*index], moment.now)).unwrap_or(end),
            None => first,
        };
        let resumed = resume_at.is_none_or(|end| next >= end);
        match steps.get(next).cloned() {
            Some(step) => {
                if resumed {
                    self.course.resume_at = None;
                }
                self.enter(&step, policy, moment);
            }
            None => self.close(policy.closing(CloseOutcome::Success, moment.now)),
        }
    }

    fn is_due(&self, step: &Step, by: Timestamp) -> bool {
        let is_due = |repetition: &&Repetition| repetition.due.is_some_and(|due| due <= by);
        let mut due = self.detail().repetitions.iter().filter(is_due);
        due.any(|repetition| repetition.step.as_ref() == Some(&step.name))
    }

    /// The item does not go on before `until`. If an earlier step is to be repeated by then, the item goes
    /// back to it, and comes here again afterwards.
    fn rest(&mut self, until: Timestamp, policy: &Policy, moment: Moment) {
        let Some(here) = self.step_index(policy) else { return };
        let steps = self.steps(policy);
        let Some(step) = steps[..here].iter().find(|step| self.is_due(step, until)).cloned() else { return };
        let interruption = self.course.interruption;
        let resume_at = self.course.resume_at.take().or(self.step.clone());
        self.enter(&step, policy, moment);
        self.course.interruption = interruption;
        self.course.resume_at = resume_at;
    }

    /// Enters a step and resets its counters. A step's own deadline counts from now, and does not exceed the
    /// item's. At other steps the item has its own deadline, or the workflow's counted from its creation, or
    /// its current one if that is later.
    fn enter(&mut self, step: &Step, policy: &Policy, moment: Moment) {
        let now = moment.now;
        self.step = Some(step.name.clone());
        self.step_entered_at = now;
        let own = self.course.deadline_max;
        self.deadline = match (step.deadline, own) {
            (Some(deadline), own) => earlier(now.after(deadline).into(), own, moment),
            (None, Some(own)) => own,
            (None, None) => {
                let began = self.run.as_ref().and_then(|run| run.started_at).unwrap_or(self.created_at);
                let least = began.after(policy.deadline);
                if moment.steady(self.deadline) < least { least.into() } else { self.deadline }
            }
        };
        self.failed_at = None;
        self.forget_run_end();
        self.work.attempts = 0;
        self.work.retry_at = None;
        self.course.retries = 0;
        self.course.losses = 0;
        self.course.interruption = None;
    }

    /// Sends an item on at its step, or from another one, on behalf of a person: it has not failed and is not
    /// interrupted any more, its counters begin anew, and it can be claimed at `at`. Without a step and an
    /// instant, an item that has not failed, is not interrupted and waits for nothing is not changed. A
    /// running lease continues, unless the step changes. Returns whether anything changed.
    pub fn retry(&mut self, retry: &Retry, policy: &Policy, moment: Moment) -> Result<bool, StepRefusal> {
        // A run that is held is released, not retried.
        if self.is_held() || (self.failed_at.is_none() && !self.waits() && *retry == Retry::default()) {
            return Ok(false);
        }
        let from = match &retry.from {
            Some(name) => {
                let steps = self.steps(policy);
                let index = position(steps, name).ok_or_else(|| unknown(name, steps))?;
                Some(steps[index].clone())
            }
            None => None,
        };
        self.end_expired_lease(moment.now);
        self.failed_at = None;
        self.forget_run_end();
        self.course.interruption = None;
        self.course.not_before = None;
        self.work.attempts = 0;
        self.course.retries = 0;
        self.course.losses = 0;
        let before = self.step.clone();
        if let Some(step) = from {
            self.withdraw_lease();
            // The step that the person leaves is not to run again by itself.
            self.repeat_current(None);
            self.course.resume_at = None;
            self.enter(&step, policy, moment);
        } else {
            self.rest(retry.at.unwrap_or(moment.now), policy, moment);
        }
        if self.step != before {
            self.withdraw_lease();
        }
        self.work.retry_at = retry.at.filter(|at| moment.now < *at);
        self.version += 1;
        Ok(true)
    }

    /// Whether it waits for something that a person can end: its next attempt, the end of an interruption, or
    /// the time before which it cannot be claimed.
    pub fn waits(&self) -> bool {
        self.work.retry_at.is_some() || self.course.interruption.is_some() || self.course.not_before.is_some()
    }

    fn withdraw_lease(&mut self) {
        if let Some(lease) = self.work.lease.as_mut().filter(|lease| lease.ended.is_none()) {
            lease.ended = Some(LeaseEnd::Withdrawn);
        }
    }

    /// Counts a lease that ran out, once.
    pub(super) fn end_expired_lease(&mut self, now: Timestamp) {
        let lease = self.work.lease.as_mut();
        if let Some(lease) = lease.filter(|lease| lease.ended.is_none() && lease.expires_at <= now) {
            lease.ended = Some(LeaseEnd::Expired);
            self.course.losses = self.course.losses.saturating_add(1);
        }
    }
}

/// A request of a person to send an item on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// `None` for the current step.
    pub from: Option<StepName>,
    /// When it can be claimed; `None` for at once.
    pub at: Option<Timestamp>,
}

fn unknown(step: &StepName, steps: &[Step]) -> StepRefusal {
    let steps = steps.iter().map(|step| step.name.to_string()).collect();
    StepRefusal::Unknown { step: step.clone(), steps }
}

fn position(steps: &[Step], name: &StepName) -> Option<usize> {
    steps.iter().position(|step| step.name == *name)
}

/// The deadline, but not later than the item's own.
pub fn earlier(deadline: ClockTime, own: Option<ClockTime>, moment: Moment) -> ClockTime {
    own.filter(|own| moment.steady(*own) < moment.steady(deadline)).unwrap_or(deadline)
}
