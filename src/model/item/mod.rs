//! Items and their transitions, a file for each concept: [`patch`], [`progress`], [`course`], [`work`],
//! [`lease`], [`errors`], [`closing`], [`payload`], [`running`]; and what is derived from an item:
//! [`indexed`], what the census keeps, and [`progression`], what is counted.
//!
//! Invariants:
//!
//! * Being overdue is derived from the deadline and `now`; it is never written.
//! * A closed item does not change, except that its payload is removed and finally its record.
//! * Every change that clients can see increments `version`.
//! * The size of an item's record is bounded by the limits of [`warden_api::limit`].

pub mod closing;
pub mod course;
pub mod errors;
pub mod indexed;
pub mod lease;
pub mod patch;
pub mod payload;
pub mod progress;
pub mod progression;
pub mod running;
#[cfg(test)]
mod tests;
pub mod work;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use warden_api::limit::{LABEL_NAME_MAX, LABEL_VALUE_MAX, LABELS_MAX};
pub use warden_api::name::{LabelError, Labels, check_labels, is_label_name};
pub use warden_api::word::{CloseOutcome, ItemState};

pub use self::closing::{Closed, Closing};
pub use self::course::{
    Course, Interruption, Repeat, Repetition, Retry, STEP_MESSAGE_MAX, STEPS_KEPT, STEPS_MAX, StepError,
    StepOutcome, StepRecord, StepRefusal, StepStatus, earlier,
};
pub use self::errors::{ERRORS_KEPT, ItemError, check_data};
pub use self::indexed::{IndexedItem, Status};
pub use self::lease::{
    AfterFailure, Lease, LeaseCommand, LeaseEnd, LeaseId, LeaseIdError, LeaseLost, LeaseRefusal, WORKER_MAX,
};
pub use self::patch::ItemPatch;
pub use self::payload::PayloadInfo;
pub use self::progress::{
    DEPTH_MAX, Merge, PROGRESS_SIZE_MAX, ProgressChange, ProgressOf, ProgressValue, check_progress,
};
pub use self::progression::{Progression, StepEvent, StepEventKind};
pub use self::running::{RunEnd, RunEndKind};
pub use self::work::Work;
use super::name::NAME_RULE;
use super::quote;
use super::run::{COUNTS_MAX, Run, RunDetail};
use super::{ClockTime, ItemId, Moment, Step, StepName, Timestamp, TraceContext, WorkflowName};

/// The store's id of an item: increasing, and never reused, not even as the token of a lease. Clients see it
/// only within opaque ids and cursors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemNumber(pub u64);

/// The identity of an item for clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemKey {
    pub workflow: WorkflowName,
    pub id: ItemId,
}

/// The part of an item that may be large and is not needed by scans.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemDetail {
    /// Shared by all steps.
    pub progress: Map<String, Value>,
    /// Of single steps; none is empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub step_progress: BTreeMap<StepName, Map<String, Value>>,
    /// The latest errors, oldest first; at most [`ERRORS_KEPT`].
    pub errors: Vec<ItemError>,
    /// The runs of steps, oldest first; at most [`STEPS_KEPT`].
    #[serde(default)]
    pub steps: Vec<StepRecord>,
    /// Steps that are to run again; at most one for each step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repetitions: Vec<Repetition>,
    /// The steps that it was created with; `None` for those of its workflow. At most [`STEPS_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_steps: Option<Vec<Step>>,
    /// Of a run of its workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<RunDetail>>,
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
    pub course: Course,
    /// `None` if it is no run of its workflow.
    pub run: Option<Run>,
    /// The trace of the request that created it.
    pub trace: Option<Box<TraceContext>>,
    /// Progress, errors, the runs of its steps, and the parameters of a run.
    pub detail: Option<Box<ItemDetail>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemRefusal {
    #[error("{0}")]
    Labels(String),
    /// The progress documents are too large.
    #[error("the progress documents would take {0} bytes of JSON; at most {PROGRESS_SIZE_MAX} are allowed")]
    Progress(usize),
    /// A run would have too many different counts.
    #[error("the run would have {0} different counts; at most {COUNTS_MAX} are allowed")]
    Counts(usize),
    #[error("{} is no name of a count: {NAME_RULE}", quote(.0))]
    CountName(String),
    #[error("counts are kept of runs, and this item is none: its workflow tracks no runs")]
    CountsOfNoRun,
    /// A progress document or the data of an error is nested too deep.
    #[error("stored JSON may be nested at most {DEPTH_MAX} levels deep")]
    Depth,
}

impl From<LabelError> for ItemRefusal {
    fn from(error: LabelError) -> Self {
        Self::Labels(error.to_string())
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
            course: Course::default(),
            run: None,
            trace: None,
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
        } else if self.is_held() {
            ItemState::Held
        } else if self.course.interruption.is_some_and(|interruption| !interruption.is_over(moment.now)) {
            ItemState::Interrupted
        } else if moment.steady(self.deadline) <= moment.now {
            ItemState::Overdue
        } else {
            ItemState::Open
        }
    }

    /// Empty if there is none.
    pub fn detail(&self) -> &ItemDetail {
        static EMPTY: LazyLock<ItemDetail> = LazyLock::new(ItemDetail::default);
        self.detail.as_deref().unwrap_or(&EMPTY)
    }
}
