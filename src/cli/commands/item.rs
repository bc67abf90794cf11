//! Items on the command line: what they are called by, and when they are due.

use warden_api::WallTime;

use crate::cli::terminal::age::relative;
use crate::model::{ItemId, NameError, Timestamp, WorkflowName};

/// Where its deadline lies, or when it was closed.
pub fn due(closed_at: Option<WallTime>, deadline: WallTime, now: Timestamp) -> String {
    match closed_at {
        Some(closed) => format!("closed {}", relative(closed, now)),
        None => relative(deadline, now),
    }
}

/// Reads the name of a workflow, for the command line.
///
/// # Errors
/// When it is none.
pub fn workflow(text: &str) -> Result<WorkflowName, NameError> {
    WorkflowName::new(text)
}

/// Reads the id of an item, for the command line.
///
/// # Errors
/// When it is none.
pub fn id(text: &str) -> Result<ItemId, NameError> {
    ItemId::new(text)
}
