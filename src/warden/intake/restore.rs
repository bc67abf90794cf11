//! Restoring: items imported from another warden, or from an export of this one, with their history.
//!
//! The history is untrusted: it is held to the limits of the API calls that would have created it. Because
//! clocks get corrected, instants may be slightly in the future (they count as now) and slightly out of
//! order.
//!
//! Deliberately absent: leases, versions, incidents and idempotency keys. They mean nothing outside the
//! warden that created them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};
use warden_api::limit::{ERROR_DATA_MAX, ERROR_ID_MAX, ERROR_MESSAGE_MAX, ERROR_STACK_MAX, ERROR_TYPE_MAX};

use super::Intake;
use crate::model::item::{
    Closed, Course, ERRORS_KEPT, ItemDetail, PROGRESS_SIZE_MAX, Repetition, STEP_MESSAGE_MAX, STEPS_KEPT,
    STEPS_MAX, StepRecord, check_data, check_progress,
};
use crate::model::workflow::DEADLINE_MAX;
use crate::model::{ClockTime, CloseOutcome, ItemError, Moment, Policy, Restored, StepName, Timestamp};
use crate::warden::WardenError;
use crate::warden::report::check_message;

/// How far in the future an instant may be.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// How far an instant may be before one that it must follow. The clock may have been set back in between.
const DISORDER_MAX: Duration = Duration::from_secs(60 * 60);

/// The history of an item as a line of an import gives it. Instants are those of the wall clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// When it was created; `None` for the tombstone of an item that was never created.
    pub created_at: Option<Timestamp>,
    /// The deadline was given as a duration, so it does not move when the wall clock is set.
    pub is_deadline_steady: bool,
    /// When it entered its step; by default when it was created.
    pub step_entered_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    pub closed: Option<PastClose>,
    /// The number of claims at the current step.
    pub attempts: u32,
    /// The item cannot be claimed before this instant.
    pub retry_at: Option<Timestamp>,
    pub course: PastCourse,
    /// The runs of its steps, oldest first.
    pub steps: Vec<StepRecord>,
    pub progress: Map<String, Value>,
    /// The latest errors, oldest first.
    pub errors: Vec<ItemError>,
}

/// Where an item was on its course.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastCourse {
    pub course: Course,
    pub repetitions: Vec<Repetition>,
    pub step_progress: BTreeMap<StepName, Map<String, Value>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastClose {
    pub at: Timestamp,
    pub outcome: CloseOutcome,
    /// Size and digest of a payload that is no longer stored.
    pub payload: Option<GonePayload>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GonePayload {
    /// In bytes.
    pub size: u64,
    pub sha256: [u8; 32],
}

impl Intake {
    /// Validates a history and converts it to this warden's clock. `has_payload` says whether the payload is
    /// included. Fails when a limit is exceeded or the instants are inconsistent.
    pub(super) fn restored(
        &self,
        past: Past,
        has_payload: bool,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Restored, WardenError> {
        let moment = Moment { now, wall_offset: self.clock.wall_offset() };
        let mut past = past;
        check_errors(&past.errors)?;
        let too_many =
            |what, most, found| invalid(format!("an item has at most {most} {what}; this one has {found}"));
        if past.steps.len() > STEPS_KEPT {
            return Err(too_many("steps", STEPS_KEPT, past.steps.len()));
        }
        check_progress_documents(&past)?;
        if past.course.repetitions.len() > STEPS_MAX {
            return Err(too_many("repetitions", STEPS_MAX, past.course.repetitions.len()));
        }
        // Before the conversion, so that errors quote the instants as given.
        check_instants(&mut past, moment)?;
        to_steady(&mut past, moment);
        let began = began(&past, now);
        let detail_size = past
            .errors
            .iter()
            .map(|error| error.message.len() + ERROR_DATA_MAX + error.stack.as_ref().map_or(0, String::len))
            .sum::<usize>()
            + past.progress.len() * 64
            + past.course.step_progress.len() * 64
            + past.steps.len() * (64 + STEP_MESSAGE_MAX);
        let PastCourse { course, repetitions, step_progress } = past.course;
        let detail = ItemDetail {
            progress: past.progress,
            step_progress,
            errors: past.errors,
            steps: past.steps,
            repetitions,
            own_steps: None,
            run: None,
        };
        Ok(Restored {
            created_at: past.created_at,
            step_entered_at: past.step_entered_at.unwrap_or(began),
            failed_at: past.failed_at,
            closed: past.closed.map(|closed| kept(closed, has_payload, policy, now)),
            attempts: past.attempts,
            retry_at: past.retry_at,
            course,
            detail: (detail != ItemDetail::default()).then(|| Box::new(detail)),
            detail_size,
        })
    }
}

/// The instants of the history, with their names.
fn instants(past: &mut Past) -> impl Iterator<Item = (&'static str, &mut Timestamp)> {
    let single = [
        ("created_at", past.created_at.as_mut()),
        ("step_entered_at", past.step_entered_at.as_mut()),
        ("failed_at", past.failed_at.as_mut()),
        ("closed_at", past.closed.as_mut().map(|closed| &mut closed.at)),
    ];
    let single = single.into_iter().filter_map(|(name, at)| Some((name, at?)));
    let errors = past.errors.iter_mut().map(|error| ("the at of an error", &mut error.at));
    single.chain(errors).chain(past.steps.iter_mut().map(|step| ("the at of a step", &mut step.at)))
}

/// When the item was created here or elsewhere, as far as is known.
fn began(past: &Past, now: Timestamp) -> Timestamp {
    past.created_at.or(past.closed.map(|closed| closed.at)).unwrap_or(now)
}

/// Instants are still those of the wall clock here.
fn check_instants(past: &mut Past, moment: Moment) -> Result<(), WardenError> {
    let now = moment.wall(moment.now);
    if let Some((name, at)) = instants(past).find(|(_, at)| **at > now.after(AHEAD_MAX)) {
        return Err(invalid(format!("{name} is {at}, which is in the future by this machine's clock")));
    }
    if let Some((name, at)) = instants_ahead(past, moment).find(|(_, at)| *at > now.after(DEADLINE_MAX)) {
        return Err(invalid(format!("{name} is {at}; the latest is ten years from now")));
    }
    check_order(past, now)
}

/// The instants of the wall clock at which something is still to happen, with their names.
fn instants_ahead(past: &Past, moment: Moment) -> impl Iterator<Item = (&'static str, Timestamp)> {
    let PastCourse { course, repetitions, .. } = &past.course;
    let single = [
        ("retry_at", past.retry_at),
        ("interrupted_until", course.interruption.and_then(|interruption| interruption.until)),
        ("deadline_max", course.deadline_max.map(|deadline| moment.shown(deadline))),
    ];
    let due = repetitions.iter().map(|repetition| ("the due of a repetition", repetition.due));
    single.into_iter().chain(due).filter_map(|(name, at)| Some((name, at?)))
}

/// Converts all instants from the wall clock to the steady clock.
fn to_steady(past: &mut Past, moment: Moment) {
    let steady = |wall: Timestamp| moment.steady(ClockTime::on_wall(wall));
    instants(past).for_each(|(_, at)| *at = steady(*at).min(moment.now));
    past.retry_at = past.retry_at.map(steady);
    let PastCourse { course, repetitions, .. } = &mut past.course;
    if let Some(interruption) = &mut course.interruption {
        interruption.at = steady(interruption.at).min(moment.now);
        interruption.until = interruption.until.map(steady);
    }
    repetitions.iter_mut().for_each(|repetition| repetition.due = repetition.due.map(steady));
    let entered = past.steps.iter_mut().filter_map(|step| step.entered_at.as_mut());
    entered.for_each(|at| *at = steady(*at).min(moment.now));
}

/// A closed item is retained as its workflow's policy says, counted from the close.
fn kept(closed: PastClose, has_payload: bool, policy: &Policy, now: Timestamp) -> Closed {
    let closing = policy.closing(closed.outcome, closed.at);
    let payload_until = closed.at.after(closing.keep_payload);
    let payload_until = if has_payload && payload_until > now { payload_until } else { closed.at };
    let record_until = closed.at.after(closing.retention).max(payload_until);
    Closed { at: closed.at, outcome: closed.outcome, payload_until, record_until }
}

/// All documents together are within the limit of one item.
fn check_progress_documents(past: &Past) -> Result<(), WardenError> {
    let documents = past.course.step_progress.values().chain([&past.progress]);
    let mut together = 0;
    for document in documents {
        check_progress(document).map_err(|refusal| invalid(refusal.to_string()))?;
        together += serde_json::to_vec(document).map_or(usize::MAX, |text| text.len());
    }
    if together > PROGRESS_SIZE_MAX + 2 {
        let limit =
            format!("the progress documents take {together} bytes; at most {PROGRESS_SIZE_MAX} are allowed");
        return Err(invalid(limit));
    }
    let messages = past.steps.iter().filter_map(|step| step.message.as_deref());
    messages.into_iter().try_for_each(|message| check_message(Some(message)))
}

fn check_errors(errors: &[ItemError]) -> Result<(), WardenError> {
    if errors.len() > ERRORS_KEPT {
        let found = errors.len();
        return Err(invalid(format!("an item has at most {ERRORS_KEPT} errors; this one has {found}")));
    }
    let mut ids = HashSet::new();
    for (number, error) in (1..).zip(errors) {
        let wrong = |what: String| Err(invalid(format!("error {number}: {what}")));
        let rest = error.id.strip_prefix("err_").unwrap_or_default();
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if rest.is_empty() || error.id.len() > ERROR_ID_MAX || !rest.bytes().all(is_id) {
            return wrong(format!(
                "its id must be err_ and letters, digits, - or _, at most {ERROR_ID_MAX} bytes"
            ));
        }
        if !ids.insert(&*error.id) {
            return wrong("its id is a duplicate".to_owned());
        }
        if !(1..=ERROR_TYPE_MAX).contains(&error.kind.len()) {
            return wrong(format!("its type must be 1 to {ERROR_TYPE_MAX} bytes"));
        }
        if error.message.len() > ERROR_MESSAGE_MAX {
            return wrong(format!("its message may be at most {ERROR_MESSAGE_MAX} bytes"));
        }
        if error.data.to_string().len() > ERROR_DATA_MAX {
            return wrong(format!("its data may be at most {ERROR_DATA_MAX} bytes"));
        }
        if error.stack.as_ref().is_some_and(|stack| stack.len() > ERROR_STACK_MAX) {
            return wrong(format!("its stack may be at most {ERROR_STACK_MAX} bytes"));
        }
        check_data(&error.data).or_else(|refusal| wrong(refusal.to_string()))?;
    }
    Ok(())
}

/// Checks that nothing happened before the item was created, after it was closed, or before a predecessor.
fn check_order(past: &Past, now: Timestamp) -> Result<(), WardenError> {
    let began = began(past, now);
    let ended = past.closed.map(|closed| closed.at);
    let follows = |what: &str, at: Timestamp, before: &str, earlier: Timestamp| {
        if at.after(DISORDER_MAX) >= earlier.min(now) {
            return Ok(());
        }
        Err(invalid(format!("{what} is {at}, which is before {before}, {earlier}")))
    };
    let lies_within = |what: &str, at: Timestamp| {
        follows(what, at, "created_at", began)?;
        ended.map_or(Ok(()), |ended| follows("closed_at", ended, what, at))
    };
    let single =
        [("step_entered_at", past.step_entered_at), ("failed_at", past.failed_at), ("closed_at", ended)];
    for (what, at) in single {
        at.map_or(Ok(()), |at| lies_within(what, at))?;
    }
    let errors = past.errors.iter().map(|error| error.at);
    let steps = past.steps.iter().map(|step| step.at);
    for (what, all) in
        [("the at of an error", errors.collect::<Vec<_>>()), ("the at of a step", steps.collect())]
    {
        all.iter().try_for_each(|at| lies_within(what, *at))?;
        all.windows(2).try_for_each(|pair| follows(what, pair[1], "that of the one before it", pair[0]))?;
    }
    Ok(())
}

fn invalid(text: String) -> WardenError {
    WardenError::Invalid(text)
}
