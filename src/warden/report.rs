//! Errors that clients report about items, and their limits.

use super::WardenError;
use crate::model::random::repeatable_id;
use crate::model::{ItemError, ItemKey, Random, Timestamp};

/// The longest name of a sort of error, in bytes.
pub const ERROR_TYPE_MAX: usize = 128;
/// The longest message of an error, in bytes.
pub const ERROR_MESSAGE_MAX: usize = 2048;
/// The most that an error's data takes, in bytes of JSON.
pub const ERROR_DATA_MAX: usize = 4096;
/// An error as a client reports it.
#[derive(Clone, Debug)]
pub struct ReportError {
    /// The reporter's name for this sort of error.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// Whether the item has failed by it.
    pub fatal: bool,
    /// Whatever else is to be kept.
    pub data: serde_json::Value,
    /// What makes a repetition of the report known.
    pub idempotency_key: Option<String>,
}

/// An error as it is kept.
///
/// # Errors
/// When a limit is broken.
pub(super) fn item_error(
    request: ReportError,
    key: &ItemKey,
    now: Timestamp,
    random: &dyn Random,
) -> Result<ItemError, WardenError> {
    let too_long = |what, limit| WardenError::Invalid(format!("{what} is at most {limit} bytes"));
    if request.kind.is_empty() || request.kind.len() > ERROR_TYPE_MAX {
        return Err(WardenError::Invalid(format!("an error's type is 1 to {ERROR_TYPE_MAX} bytes")));
    }
    if request.message.len() > ERROR_MESSAGE_MAX {
        return Err(too_long("an error's message", ERROR_MESSAGE_MAX));
    }
    if request.data.to_string().len() > ERROR_DATA_MAX {
        return Err(too_long("an error's data", ERROR_DATA_MAX));
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
        at: now,
        data: request.data,
    })
}
