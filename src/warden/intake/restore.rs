//! Items that are taken over from another warden, or from an export of this one, with what they have been through.
//!
//! What a line says of the past is from outside: it is held to the limits that hold for whoever reports it piece by piece.
//! Instants may be a little ahead of this machine's clock, and a little out of order, since clocks are put right; what
//! lies ahead counts as now.
//!
//! Deliberately absent: leases, versions, incidents and idempotency keys. They mean something only where they were made.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Intake;
use crate::model::item::{Closed, ERRORS_KEPT, ItemDetail, check_data, check_progress};
use crate::model::lease::{STEPS_KEPT, StepRecord};
use crate::model::workflow::DEADLINE_MAX;
use crate::model::{ClockTime, CloseOutcome, ItemError, Moment, Policy, Restored, Timestamp};
use crate::warden::WardenError;
use crate::warden::report::{ERROR_DATA_MAX, ERROR_MESSAGE_MAX, ERROR_TYPE_MAX};

/// How far an instant may lie ahead of this machine's clock.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// How much earlier something may have happened than what it must have followed: the clock may have been put right between.
const DISORDER_MAX: Duration = Duration::from_secs(60 * 60);
/// The longest id of an error, in bytes.
const ERROR_ID_MAX: usize = 64;

/// What a line says that an item has been through. Instants are those of the wall clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// When it was accepted; nothing for the tombstone of an item that nobody ever created.
    pub created_at: Option<Timestamp>,
    /// Whether its deadline was asked for as a duration, and does not move when the wall clock is set.
    pub is_deadline_steady: bool,
    /// When it came to its step, if not when it was accepted.
    pub step_entered_at: Option<Timestamp>,
    /// When it failed, if it has.
    pub failed_at: Option<Timestamp>,
    /// How it was closed, if it is.
    pub closed: Option<PastClose>,
    /// How often it was claimed at its step.
    pub attempts: u32,
    /// Before this instant it is not to be claimed.
    pub retry_at: Option<Timestamp>,
    /// The steps that are behind it, oldest first.
    pub steps: Vec<StepRecord>,
    /// What the application noted about its progress.
    pub progress: Map<String, Value>,
    /// The latest errors, oldest first.
    pub errors: Vec<ItemError>,
}

/// How an item was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastClose {
    /// When.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: CloseOutcome,
    /// What is known of its payload, where that is gone.
    pub payload: Option<GonePayload>,
}

/// What is known of a payload that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GonePayload {
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

impl Intake {
    /// What is kept of an item's past, in the frame of this warden's clock. `has_payload` says whether its bytes are there.
    ///
    /// # Errors
    /// When a limit is broken, or the instants cannot be right.
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
            |what, most, found| invalid(format!("an item keeps {most} {what} at most; these are {found}"));
        if past.steps.len() > STEPS_KEPT {
            return Err(too_many("steps", STEPS_KEPT, past.steps.len()));
        }
        check_progress(&past.progress).map_err(|refusal| invalid(refusal.to_string()))?;
        // As long as they are what the line says, so that they are told as it says them.
        check_instants(&mut past, moment)?;
        bring_in(&mut past, moment);
        let began = began(&past, now);
        let detail_size = past.errors.iter().map(|error| error.message.len() + ERROR_DATA_MAX).sum::<usize>()
            + past.progress.len() * 64
            + past.steps.len() * 64;
        let detail = ItemDetail { progress: past.progress, errors: past.errors, steps: past.steps };
        Ok(Restored {
            created_at: past.created_at,
            step_entered_at: past.step_entered_at.unwrap_or(began),
            failed_at: past.failed_at,
            closed: past.closed.map(|closed| kept(closed, has_payload, policy, now)),
            attempts: past.attempts,
            retry_at: past.retry_at,
            detail: (detail != ItemDetail::default()).then(|| Box::new(detail)),
            detail_size,
        })
    }
}

/// What a line says of when something happened.
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

/// When an item came to be here or elsewhere, as far as is known.
fn began(past: &Past, now: Timestamp) -> Timestamp {
    past.created_at.or(past.closed.map(|closed| closed.at)).unwrap_or(now)
}

/// Checks instants of the wall clock.
fn check_instants(past: &mut Past, moment: Moment) -> Result<(), WardenError> {
    let now = moment.wall(moment.now);
    if let Some((name, at)) = instants(past).find(|(_, at)| **at > now.after(AHEAD_MAX)) {
        return Err(invalid(format!("{name} is {at}, which lies ahead of this machine's clock")));
    }
    if let Some(at) = past.retry_at.filter(|at| *at > now.after(DEADLINE_MAX)) {
        return Err(invalid(format!("retry_at is {at}; it lies at most ten years ahead")));
    }
    check_order(past, now)
}

/// Brings all instants into the frame of the steady clock.
fn bring_in(past: &mut Past, moment: Moment) {
    let steady = |wall: Timestamp| moment.steady(ClockTime::on_wall(wall));
    instants(past).for_each(|(_, at)| *at = steady(*at).min(moment.now));
    past.retry_at = past.retry_at.map(steady);
}

/// How a closed item is kept: for as long as its workflow remembers such items here, counted from its close.
fn kept(closed: PastClose, has_payload: bool, policy: &Policy, now: Timestamp) -> Closed {
    let closing = policy.closing(closed.outcome, closed.at);
    let payload_until = closed.at.after(closing.keep_payload);
    let payload_until = if has_payload && payload_until > now { payload_until } else { closed.at };
    let record_until = closed.at.after(closing.retention).max(payload_until);
    Closed { at: closed.at, outcome: closed.outcome, payload_until, record_until }
}

fn check_errors(errors: &[ItemError]) -> Result<(), WardenError> {
    if errors.len() > ERRORS_KEPT {
        let found = errors.len();
        return Err(invalid(format!("an item keeps {ERRORS_KEPT} errors at most; these are {found}")));
    }
    let mut ids = HashSet::new();
    for (number, error) in (1..).zip(errors) {
        let wrong = |what: String| Err(invalid(format!("error {number}: {what}")));
        let rest = error.id.strip_prefix("err_").unwrap_or_default();
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if rest.is_empty() || error.id.len() > ERROR_ID_MAX || !rest.bytes().all(is_id) {
            return wrong(format!("its id takes err_ and letters or digits, {ERROR_ID_MAX} bytes at most"));
        }
        if !ids.insert(&*error.id) {
            return wrong("its id is that of an error before it".to_owned());
        }
        if !(1..=ERROR_TYPE_MAX).contains(&error.kind.len()) {
            return wrong(format!("its type is 1 to {ERROR_TYPE_MAX} bytes"));
        }
        if error.message.len() > ERROR_MESSAGE_MAX {
            return wrong(format!("its message is at most {ERROR_MESSAGE_MAX} bytes"));
        }
        if error.data.to_string().len() > ERROR_DATA_MAX {
            return wrong(format!("its data is at most {ERROR_DATA_MAX} bytes"));
        }
        check_data(&error.data).or_else(|refusal| wrong(refusal.to_string()))?;
    }
    Ok(())
}

/// Checks that nothing happened before the item was there, after it was closed, or before what it followed.
fn check_order(past: &Past, now: Timestamp) -> Result<(), WardenError> {
    let began = began(past, now);
    let ended = past.closed.map(|closed| closed.at);
    let follows = |what: &str, at: Timestamp, before: &str, earlier: Timestamp| {
        if at.after(DISORDER_MAX) >= earlier.min(now) {
            return Ok(());
        }
        Err(invalid(format!("{what} is {at}, before {before}, {earlier}")))
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
