//! Items, and what may happen to them.
//!
//! Invariants:
//!
//! * Being overdue is derived from the deadline and `now`; it is never written.
//! * A closed item never changes again, except that its payload is dropped and at last its record.
//! * Every change raises `version` by one.
//! * An item's record stays small whatever a client sends; the limits stand below.

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

/// The store's own handle for an item: ever-growing, and never used twice, not even as the token of a lease. Clients see it
/// only as a part of ids and cursors that mean nothing to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemNumber(pub u64);

/// What clients call an item by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// The workflow it belongs to.
    pub workflow: WorkflowName,
    /// Its id within the workflow.
    pub id: ItemId,
}

/// An error that was reported about an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemError {
    /// `err_` and a UUID; also in the log.
    pub id: Arc<str>,
    /// The reporter's name for this sort of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// Whether the item has failed by it.
    pub fatal: bool,
    /// The step at which the item was.
    pub step: Option<StepName>,
    /// When it was reported.
    pub at: Timestamp,
    /// Whatever else the reporter wanted to keep.
    pub data: Value,
}

/// The part of an item that may be large and that no scan needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemDetail {
    /// What the application noted about its progress.
    pub progress: Map<String, Value>,
    /// The latest errors, oldest first; at most [`ERRORS_KEPT`].
    pub errors: Vec<ItemError>,
    /// The steps that it has left, oldest first; at most [`super::lease::STEPS_KEPT`].
    #[serde(default)]
    pub steps: Vec<StepRecord>,
}

/// One unit of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The store's handle.
    pub number: ItemNumber,
    /// The workflow it belongs to.
    pub workflow: WorkflowName,
    /// Its id within the workflow.
    pub id: ItemId,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// By when it must be closed.
    pub deadline: ClockTime,
    /// When a fatal error was reported.
    pub failed_at: Option<Timestamp>,
    /// When and how it was closed, and what is kept until when.
    pub closed: Option<Closed>,
    /// Names and values to find it by.
    pub labels: Labels,
    /// The current step: it tells in which gap an item got stuck.
    pub step: Option<StepName>,
    /// When it came to that step.
    pub step_entered_at: Timestamp,
    /// Its payload; nothing for the tombstone of an item that was closed without ever having been created.
    pub payload: Option<PayloadInfo>,
    /// The digest of the `Idempotency-Key` it was created with.
    pub idempotency_key: Option<[u8; 32]>,
    /// Raised by one at each change.
    pub version: u64,
    /// Who works on it, how often that was tried, and when it may be tried again.
    pub work: Work,
    /// Progress, errors, and steps that are behind it.
    pub detail: Option<Box<ItemDetail>>,
}

/// How an item was closed, and for how long what of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: CloseOutcome,
    /// From when on its payload is gone.
    pub payload_until: Timestamp,
    /// From when on its record is gone and its id is free again.
    pub record_until: Timestamp,
}

/// What a close asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// How the item ended.
    pub outcome: CloseOutcome,
    /// When.
    pub at: Timestamp,
    /// How long its record stays.
    pub retention: Duration,
    /// How long its payload stays.
    pub keep_payload: Duration,
}

/// A JSON merge patch (RFC 7396) of what a client may change.
#[derive(Clone, Debug, Default)]
pub struct ItemPatch {
    /// A new deadline.
    pub deadline: Option<ClockTime>,
    /// Labels to set, or to remove where there is no value.
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    /// A patch of the progress document.
    pub progress: Option<Merge<Map<String, Value>>>,
}

/// Why a change was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemRefusal {
    /// Too many or too large labels.
    #[error("{0}")]
    Labels(String),
    /// The progress document outgrew its limit.
    #[error("the progress document would take {0} bytes of JSON; at most {PROGRESS_SIZE_MAX} are kept")]
    Progress(usize),
    /// A progress document or the data of an error is nested too deep.
    #[error("JSON that is kept may be nested {DEPTH_MAX} levels deep at most")]
    Depth,
}

impl From<LabelError> for ItemRefusal {
    fn from(error: LabelError) -> Self {
        Self::Labels(error.to_string())
    }
}

/// Checks the size and the depth of a progress document.
///
/// # Errors
/// When a limit is broken.
pub fn check_progress(progress: &Map<String, Value>) -> Result<(), ItemRefusal> {
    let size = serde_json::to_vec(progress).map_or(usize::MAX, |text| text.len());
    if size > PROGRESS_SIZE_MAX {
        return Err(ItemRefusal::Progress(size));
    }
    let below = |value| check_depth(value, DEPTH_MAX - 1);
    progress.values().try_for_each(below)
}

/// Checks the depth of what an error keeps besides its message.
///
/// # Errors
/// When it is nested too deep.
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
    /// The tombstone of an item that was closed before anybody created it.
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

    /// What clients call it by.
    pub fn key(&self) -> ItemKey {
        ItemKey { workflow: self.workflow.clone(), id: self.id.clone() }
    }

    /// How it stands at that moment.
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

    /// Whether its record still counts at `now`: a closed item is forgotten when its retention has run out, even
    /// where the sweep has not come by yet.
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        self.closed.is_none_or(|closed| now < closed.record_until)
    }

    /// Whether clients may see it: it was really created, and is remembered.
    pub fn is_visible(&self, now: Timestamp) -> bool {
        self.payload.is_some() && self.is_remembered(now)
    }

    /// Its payload, if it is still kept at `now`.
    pub fn kept_payload(&self, now: Timestamp) -> Option<&PayloadInfo> {
        self.payload.as_ref().filter(|_| self.closed.is_none_or(|closed| now < closed.payload_until))
    }

    /// Progress and errors; the empty document where there are none.
    pub fn detail(&self) -> &ItemDetail {
        static EMPTY: LazyLock<ItemDetail> = LazyLock::new(ItemDetail::default);
        self.detail.as_deref().unwrap_or(&EMPTY)
    }

    /// Its payload, if the store has it: until the close, or until it is dropped where it outlived the close.
    pub fn stored_payload(&self) -> Option<&PayloadInfo> {
        self.payload.as_ref().filter(|_| self.closed.is_none_or(|closed| closed.payload_until > closed.at))
    }

    /// Closes it.
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

    /// Changes what a client may change; wholly or not at all.
    ///
    /// # Errors
    /// When the result would break a limit.
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

    /// Whether this very error was reported before, as far as it is still kept.
    pub fn has_error(&self, id: &str) -> bool {
        self.detail().errors.iter().any(|error| &*error.id == id)
    }

    /// Takes note of an error, at the step where the item is. A fatal one makes the item fail.
    ///
    /// # Errors
    /// When the error cannot be kept; then nothing is changed.
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

    /// What derived state needs to know of it.
    pub fn standing(&self) -> Standing {
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
        Standing {
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

/// The little of an item that timers, counters and sweeps are derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The store's handle.
    pub number: ItemNumber,
    /// The workflow it belongs to.
    pub workflow: WorkflowName,
    /// When it was created; nothing for the tombstone of an item that never was.
    pub created_at: Option<Timestamp>,
    /// Names and values that may decide which incident it belongs to.
    pub labels: Labels,
    /// The current step.
    pub step: Option<StepName>,
    /// By when it must be closed.
    pub deadline: ClockTime,
    /// How often it was claimed at its step, less what was given back unharmed.
    pub attempts: u32,
    /// From when on it may be claimed, as far as leases and waits go.
    pub free_at: Timestamp,
    /// When it failed, be it closed since.
    pub failed_at: Option<Timestamp>,
    /// Whether it is open, failed or closed.
    pub status: Status,
}

/// How an item stands, as far as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not closed; whether it is overdue depends on the time.
    Open,
    /// Not closed, and failed.
    Failed,
    /// Closed.
    Closed {
        /// When.
        at: Timestamp,
        /// How it ended.
        outcome: CloseOutcome,
        /// From when on its record is to be forgotten.
        record_until: Timestamp,
        /// From when on its payload is to be dropped, if the payload outlived the close.
        payload_until: Option<Timestamp>,
    },
}
