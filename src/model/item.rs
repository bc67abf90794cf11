//! Items and their transitions.
//!
//! Invariants:
//!
//! * Being overdue is derived from the deadline and `now`; it is never written.
//! * A closed item does not change, except that its payload is removed and finally its record.
//! * Every change increments `version`.
//! * The size of an item's record is bounded, see the limits below.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use warden_api::limit::{
    DEPTH_MAX, ERRORS_KEPT, LABEL_NAME_MAX, LABEL_VALUE_MAX, LABELS_MAX, PROGRESS_SIZE_MAX,
};
pub use warden_api::merge::Merge;
pub use warden_api::name::{LabelError, Labels, check_labels, is_label_name};
pub use warden_api::word::{CloseOutcome, ItemState};

use super::lease::{StepRecord, Work};
use super::{ClockTime, ItemId, Moment, PayloadInfo, StepName, Timestamp, WorkflowName};

/// The store's id of an item: increasing, and never reused, not even as the token of a lease. Clients see it
/// only within opaque ids and cursors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemNumber(pub u64);

/// The identity of an item for clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    pub workflow: WorkflowName,
    pub id: ItemId,
}

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
}

/// The part of an item that may be large and is not needed by scans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemDetail {
    pub progress: Map<String, Value>,
    /// The latest errors, oldest first; at most [`ERRORS_KEPT`].
    pub errors: Vec<ItemError>,
    /// The steps it left, oldest first; at most [`super::lease::STEPS_KEPT`].
    #[serde(default)]
    pub steps: Vec<StepRecord>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub number: ItemNumber,
    pub workflow: WorkflowName,
    pub id: ItemId,
    pub created_at: Timestamp,
    pub deadline: ClockTime,
    pub failed_at: Option<Timestamp>,
    pub closed: Option<Closed>,
    /// Names and values to filter by.
    pub labels: Labels,
    /// The current step, which says in which stage an item is stuck.
    pub step: Option<StepName>,
    /// When it entered that step.
    pub step_entered_at: Timestamp,
    /// `None` for the tombstone of an item that was closed without having been created.
    pub payload: Option<PayloadInfo>,
    /// The digest of the `Idempotency-Key` it was created with.
    pub idempotency_key: Option<[u8; 32]>,
    /// Incremented by each change.
    pub version: u64,
    /// Its lease, attempts and retry.
    pub work: Work,
    /// Progress, errors, and the steps it left.
    pub detail: Option<Box<ItemDetail>>,
}

/// How an item was closed, and how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub at: Timestamp,
    pub outcome: CloseOutcome,
    /// When its payload is removed.
    pub payload_until: Timestamp,
    /// When its record is removed and its id is free again.
    pub record_until: Timestamp,
}

/// A request to close an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    pub outcome: CloseOutcome,
    pub at: Timestamp,
    /// How long to keep the record.
    pub retention: Duration,
    /// How long to keep the payload.
    pub keep_payload: Duration,
}

/// A JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Default)]
pub struct ItemPatch {
    pub deadline: Option<ClockTime>,
    /// Labels to set, or to remove if there is no value.
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    /// A patch of the progress document.
    pub progress: Option<Merge<Map<String, Value>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemRefusal {
    #[error("{0}")]
    Labels(String),
    /// The progress document is too large.
    #[error("the progress document would take {0} bytes of JSON; at most {PROGRESS_SIZE_MAX} are allowed")]
    Progress(usize),
    /// A progress document or the data of an error is nested too deep.
    #[error("stored JSON may be nested at most {DEPTH_MAX} levels deep")]
    Depth,
}

impl From<LabelError> for ItemRefusal {
    fn from(error: LabelError) -> Self {
        Self::Labels(error.to_string())
    }
}

/// Checks size and depth of a progress document.
pub fn check_progress(progress: &Map<String, Value>) -> Result<(), ItemRefusal> {
    let size = serde_json::to_vec(progress).map_or(usize::MAX, |text| text.len());
    if size > PROGRESS_SIZE_MAX {
        return Err(ItemRefusal::Progress(size));
    }
    let below = |value| check_depth(value, DEPTH_MAX - 1);
    progress.values().try_for_each(below)
}

/// Checks the depth of the data of an error.
pub fn check_data(data: &Value) -> Result<(), ItemRefusal> {
    check_depth(data, DEPTH_MAX)
}

fn check_depth(value: &Value, left: usize) -> Result<(), ItemRefusal> {
    let left = || left.checked_sub(1).ok_or(ItemRefusal::Depth);
    match value {
        Value::Array(values) => {
            let left = left()?;
            values.iter().try_for_each(|value| check_depth(value, left))
        }
        Value::Object(values) => {
            let left = left()?;
            values.values().try_for_each(|value| check_depth(value, left))
        }
        _ => Ok(()),
    }
}

impl Item {
    /// The tombstone of an item that was closed before it was created.
    pub fn tombstone(number: ItemNumber, key: ItemKey, closing: Closing) -> Self {
        let mut item = Self {
            number,
            workflow: key.workflow,
            id: key.id,
            created_at: closing.at,
            deadline: closing.at.into(),
            failed_at: None,
            closed: None,
            labels: Labels::default(),
            step: None,
            step_entered_at: closing.at,
            payload: None,
            idempotency_key: None,
            version: 0,
            work: Work::default(),
            detail: None,
        };
        item.close(closing);
        item
    }

    pub fn key(&self) -> ItemKey {
        ItemKey { workflow: self.workflow.clone(), id: self.id.clone() }
    }

    pub fn state(&self, moment: Moment) -> ItemState {
        if self.closed.is_some() {
            ItemState::Closed
        } else if self.failed_at.is_some() {
            ItemState::Failed
        } else if moment.steady(self.deadline) <= moment.now {
            ItemState::Overdue
        } else {
            ItemState::Open
        }
    }

    /// Whether it is within its retention. Otherwise it counts as gone, even if the sweep has not removed it
    /// yet.
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        self.closed.is_none_or(|closed| now < closed.record_until)
    }

    /// Whether clients may see it: it was created, and is within its retention.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        self.payload.is_some() && self.is_remembered(now)
    }

    /// The payload, unless its retention is over.
    pub fn kept_payload(&self, now: Timestamp) -> Option<&PayloadInfo> {
        self.payload.as_ref().filter(|_| self.closed.is_none_or(|closed| now < closed.payload_until))
    }

    /// Empty if there is none.
    pub fn detail(&self) -> &ItemDetail {
        static EMPTY: LazyLock<ItemDetail> = LazyLock::new(ItemDetail::default);
        self.detail.as_deref().unwrap_or(&EMPTY)
    }

    /// The payload, if the store has it: until the close, or until it is removed.
    pub fn stored_payload(&self) -> Option<&PayloadInfo> {
        self.payload.as_ref().filter(|_| self.closed.is_none_or(|closed| closed.payload_until > closed.at))
    }

    pub fn close(&mut self, closing: Closing) {
        let payload_until = closing.at.after(closing.keep_payload);
        self.closed = Some(Closed {
            at: closing.at,
            outcome: closing.outcome,
            payload_until,
            record_until: closing.at.after(closing.retention).max(payload_until),
        });
        self.version += 1;
    }

    /// Applies a patch; on an error nothing is changed.
    pub fn patch(&mut self, patch: &ItemPatch) -> Result<(), ItemRefusal> {
        let labels = match &patch.labels {
            Some(Merge::Change(changes)) => {
                let mut labels = BTreeMap::clone(&self.labels);
                for (name, value) in changes {
                    match value {
                        Some(value) => labels.insert(name.clone(), value.clone()),
                        None => labels.remove(name),
                    };
                }
                check_labels(&labels)?;
                Some(labels)
            }
            Some(Merge::Clear) => Some(BTreeMap::new()),
            None => None,
        };
        let progress = match &patch.progress {
            Some(Merge::Change(changes)) => Some(self.merged_progress(changes)?),
            Some(Merge::Clear) => Some(Map::new()),
            None => None,
        };
        if let Some(progress) = progress {
            self.detail.get_or_insert_default().progress = progress;
        }
        if let Some(labels) = labels {
            self.labels = labels.into();
        }
        if let Some(deadline) = patch.deadline {
            self.deadline = deadline;
        }
        self.version += 1;
        Ok(())
    }

    fn merged_progress(&self, changes: &Map<String, Value>) -> Result<Map<String, Value>, ItemRefusal> {
        let mut progress = Value::Object(self.detail().progress.clone());
        json_patch::merge(&mut progress, &Value::Object(changes.clone()));
        let Value::Object(progress) = progress else { return Ok(Map::new()) };
        check_progress(&progress)?;
        Ok(progress)
    }

    /// Whether an error with this id is among those kept.
    pub fn has_error(&self, id: &str) -> bool {
        self.detail().errors.iter().any(|error| &*error.id == id)
    }

    /// Adds an error at the current step. A fatal one makes the item fail. On an error of this function
    /// nothing is changed.
    pub fn report(&mut self, mut error: ItemError) -> Result<(), ItemRefusal> {
        check_data(&error.data)?;
        error.step = self.step.clone();
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

    /// What derived state needs of it.
    pub fn indexed(&self) -> IndexedItem {
        let status = match (self.closed, self.failed_at) {
            (Some(closed), _) => Status::Closed {
                at: closed.at,
                outcome: closed.outcome,
                record_until: closed.record_until,
                payload_until: self.stored_payload().map(|_| closed.payload_until),
            },
            (None, Some(_)) => Status::Failed,
            (None, None) => Status::Open,
        };
        IndexedItem {
            number: self.number,
            workflow: self.workflow.clone(),
            created_at: self.payload.is_some().then_some(self.created_at),
            labels: self.labels.clone(),
            step: self.step.clone(),
            deadline: self.deadline,
            attempts: self.work.attempts,
            free_at: self.work.free_at(),
            failed_at: self.failed_at,
            status,
        }
    }
}

/// What timers, counts and sweeps are derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedItem {
    pub number: ItemNumber,
    pub workflow: WorkflowName,
    /// `None` for the tombstone of an item that was never created.
    pub created_at: Option<Timestamp>,
    /// Labels, which may decide its incident.
    pub labels: Labels,
    pub step: Option<StepName>,
    pub deadline: ClockTime,
    /// The claims at its step, without those that were released.
    pub attempts: u32,
    /// When it can be claimed, as far as leases and retries are concerned.
    pub free_at: Timestamp,
    /// When it failed, even if it was closed since.
    pub failed_at: Option<Timestamp>,
    pub status: Status,
}

/// The stored part of an item's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not closed; whether it is overdue depends on the time.
    Open,
    /// Not closed, with a fatal error.
    Failed,
    Closed {
        at: Timestamp,
        outcome: CloseOutcome,
        /// When its record is to be removed.
        record_until: Timestamp,
        /// When its payload is to be removed, if it outlived the close.
        payload_until: Option<Timestamp>,
    },
}
