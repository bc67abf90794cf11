//! An item as the daemon shows it, as far as people are shown it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::age::relative;
use crate::model::{ItemId, NameError, Timestamp, WorkflowName};

/// An item. Fields that a later daemon adds are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    /// The workflow it belongs to.
    pub workflow: String,
    /// Its id within the workflow.
    pub id: String,
    /// How it stands.
    pub state: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// By when it must be closed.
    pub deadline: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Names and values to find it by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The current step.
    pub step: Option<String>,
    /// When it came to that step.
    pub step_entered_at: Option<Timestamp>,
    /// What the application noted.
    #[serde(default)]
    pub progress: Map<String, Value>,
    /// The latest errors, oldest first.
    #[serde(default)]
    pub errors: Vec<ItemError>,
    /// The open incident it belongs to.
    pub incident: Option<String>,
    /// What is known of its payload.
    pub payload: PayloadInfo,
    /// Raised by one at each change.
    pub version: u64,
}

/// An error that was reported about an item.
#[derive(Clone, Debug, Deserialize)]
pub struct ItemError {
    /// Its id, also in the daemon's log.
    pub id: String,
    /// The reporter's name for this sort of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Whether the item has failed by it.
    pub fatal: bool,
    /// The step at which the item was.
    pub step: Option<String>,
    /// When it was reported.
    pub at: Timestamp,
}

/// What is known of a payload.
#[derive(Clone, Debug, Deserialize)]
pub struct PayloadInfo {
    /// Its length in bytes.
    pub size: u64,
    /// The content type it came with.
    pub content_type: String,
    /// The content codings that were applied to its bytes.
    pub content_encoding: Option<String>,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Item {
    /// Where its deadline lies, or when it was closed.
    pub fn due(&self, now: Timestamp) -> String {
        match self.closed_at {
            Some(closed) => format!("closed {}", relative(closed, now)),
            None => relative(self.deadline, now),
        }
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
