//! Errors that clients report on items.

use std::time::Duration;

use warden_api::limit::{ERROR_DATA_MAX, ERROR_MESSAGE_MAX, ERROR_STACK_MAX, ERROR_TYPE_MAX};

use super::WardenError;
use crate::model::item::STEP_MESSAGE_MAX;
use crate::model::random::repeatable_id;
use crate::model::{ClockTime, Item, ItemError, ItemKey, Moment, Random, Timestamp};

/// How far ahead the clock of a client may be.
const AHEAD_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct ReportError {
    pub kind: String,
    pub message: String,
    pub retryable: bool,
    /// The error fails the item.
    pub fatal: bool,
    pub data: serde_json::Value,
    pub stack: Option<String>,
    /// When it occurred, by the wall clock; `None` if that is when it is reported.
    pub at: Option<Timestamp>,
    /// Identifies repetitions of the report.
    pub idempotency_key: Option<String>,
}

/// An item failed instead of being claimed.
pub(super) fn log_exhausted(item: &Item) {
    let Item { workflow, id, course, .. } = item;
    let error = item.detail().errors.last().map(|error| &*error.id);
    tracing::warn!(%workflow, item = %id, error, losses = course.losses, "item failed: its leases ran out");
}

/// An instant that a client read off the wall clock, as one of the steady clock, at most now.
///
/// # Errors
///
/// It is further in the future than the clocks of two machines differ.
pub(super) fn past(at: Timestamp, moment: Moment) -> Result<Timestamp, WardenError> {
    if at > moment.wall(moment.now.after(AHEAD_MAX)) {
        return Err(WardenError::Invalid(format!("at is {at}, which is in the future")));
    }
    Ok(moment.steady(ClockTime::on_wall(at)).min(moment.now))
}

/// Checks the length of the message of a step.
pub(super) fn check_message(message: Option<&str>) -> Result<(), WardenError> {
    if message.is_some_and(|message| message.len() > STEP_MESSAGE_MAX) {
        let limit = format!("the message of a step may have at most {STEP_MESSAGE_MAX} bytes");
        return Err(WardenError::Invalid(limit));
    }
    Ok(())
}

/// Validates a reported error and gives it an id.
pub(super) fn item_error(
    request: ReportError,
    key: &ItemKey,
    moment: Moment,
    random: &dyn Random,
) -> Result<ItemError, WardenError> {
    let now = moment.now;
    let at = request.at.map(|at| past(at, moment)).transpose()?;
    let too_long = |what, limit| WardenError::Invalid(format!("{what} may have at most {limit} bytes"));
    if request.kind.is_empty() || request.kind.len() > ERROR_TYPE_MAX {
        return Err(WardenError::Invalid(format!("an error's type must be 1 to {ERROR_TYPE_MAX} bytes")));
    }
    if request.message.len() > ERROR_MESSAGE_MAX {
        return Err(too_long("an error's message", ERROR_MESSAGE_MAX));
    }
    if request.data.to_string().len() > ERROR_DATA_MAX {
        return Err(too_long("an error's data", ERROR_DATA_MAX));
    }
    if request.stack.as_ref().is_some_and(|stack| stack.len() > ERROR_STACK_MAX) {
        return Err(too_long("an error's stack", ERROR_STACK_MAX));
    }
    let id = match &request.idempotency_key {
        Some(text) => repeatable_id("err", &[&key.workflow, &key.id, text]),
        None => random.id("err", now),
    };
    Ok(ItemError {
        id,
        kind: request.kind,
        message: request.message,
        retryable: request.retryable,
        fatal: request.fatal,
        step: None,
        at: at.unwrap_or(now),
        data: request.data,
        stack: request.stack,
    })
}
