//! The course of an item through the steps of its workflow.
//!
//! Deliberately absent: which step comes next, and how long to wait before a retry. They are the workflow's
//! policy, and the caller decides them.

use serde::{Deserialize, Serialize};
pub use warden_api::limit::STEPS_KEPT;
pub use warden_api::word::StepStatus;

use super::{Closing, Item};
use crate::model::{Moment, StepName, Timestamp};

/// A step that an item left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    pub name: StepName,
    pub status: StepStatus,
    pub at: Timestamp,
}

/// The deadline of an item that enters a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDeadline {
    /// The step's own deadline.
    At(Timestamp),
    /// The current deadline, or this instant if that is later.
    NotBefore(Timestamp),
}

/// Where an item goes when its step is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// To another step.
    To { step: StepName, deadline: StepDeadline },
    /// It is closed.
    Close(Closing),
}

impl Item {
    /// Leaves the current step and clears a failure.
    pub(super) fn advance(&mut self, advance: Advance, status: StepStatus, moment: Moment) {
        let now = moment.now;
        if let Some(name) = self.step.clone() {
            let steps = &mut self.detail.get_or_insert_default().steps;
            steps.push(StepRecord { name, status, at: now });
            let surplus = steps.len().saturating_sub(STEPS_KEPT);
            steps.drain(..surplus);
        }
        match advance {
            Advance::To { step, deadline } => {
                self.step = Some(step);
                self.step_entered_at = now;
                self.deadline = match deadline {
                    StepDeadline::At(deadline) => deadline.into(),
                    StepDeadline::NotBefore(least) if moment.steady(self.deadline) < least => least.into(),
                    StepDeadline::NotBefore(_) => self.deadline,
                };
                self.failed_at = None;
                self.work.attempts = 0;
                self.work.retry_at = None;
            }
            Advance::Close(closing) => self.close(closing),
        }
    }

    /// Resets a failed item to its step and cancels a wait, on behalf of a person. Returns whether anything
    /// changed. A running lease continues.
    pub fn retry(&mut self) -> bool {
        if self.failed_at.is_none() && self.work.retry_at.is_none() {
            return false;
        }
        self.failed_at = None;
        self.work.retry_at = None;
        self.work.attempts = 0;
        self.version += 1;
        true
    }
}
