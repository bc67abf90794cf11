//! Errors that were reported on an item.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
pub use warden_api::limit::ERRORS_KEPT;

use super::progress::check_depth;
use super::{DEPTH_MAX, Item, ItemRefusal};
use crate::model::{StepName, Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemError {
    /// `err_` and a UUID; also in the log.
    pub id: Arc<str>,
    /// A name chosen by the reporter.
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
    /// Whether a retry may succeed.
    pub retryable: bool,
    /// Whether it made the item fail.
    pub fatal: bool,
    /// The step at which the item was.
    pub step: Option<StepName>,
    pub at: Timestamp,
    /// Further data of the reporter.
    pub data: Value,
    /// The stack trace that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
}

/// Checks the depth of the data of an error.
pub fn check_data(data: &Value) -> Result<(), ItemRefusal> {
    check_depth(data, DEPTH_MAX)
}

impl Item {
    /// Whether an error with this id is among those kept.
    pub fn has_error(&self, id: &str) -> bool {
        self.detail().errors.iter().any(|error| &*error.id == id)
    }

    /// Adds an error at the current step. A fatal one makes the item fail. On an error of this function
    /// nothing is changed.
    pub fn report(&mut self, mut error: ItemError) -> Result<(), ItemRefusal> {
        check_data(&error.data)?;
        error.step = self.step.clone();
        // A reporter may give an instant that is too early.
        error.at = error.at.max(self.began_at());
        if error.fatal && self.failed_at.is_none() {
            self.failed_at = Some(error.at);
        }
        let errors = &mut self.detail.get_or_insert_default().errors;
        errors.push(error);
        let surplus = errors.len().saturating_sub(ERRORS_KEPT);
        errors.drain(..surplus);
        self.version += 1;
        Ok(())
    }
}
