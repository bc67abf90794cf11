//! What timers, counts and sweeps are derived from.

use warden_api::name::Labels;
use warden_api::word::{CloseOutcome, HeldFor};

use super::{Item, ItemNumber};
use crate::model::{ClockTime, StepName, Timestamp, WorkflowName};

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
    /// When it can be claimed; in the distant future if a person has to act.
    pub free_at: Timestamp,
    /// When its interruption ends, if it is open and was interrupted; in the distant future if a person has
    /// to act.
    pub interrupted_until: Option<Timestamp>,
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
    /// A run that has not begun.
    Held(HeldFor),
    Closed {
        at: Timestamp,
        outcome: CloseOutcome,
        /// When its record is to be removed.
        record_until: Timestamp,
        /// When its payload is to be removed, if it outlived the close.
        payload_until: Option<Timestamp>,
    },
}

impl Item {
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
            (None, None) => self.held_for().map_or(Status::Open, Status::Held),
        };
        IndexedItem {
            number: self.number,
            workflow: self.workflow.clone(),
            created_at: self.payload.is_some().then_some(self.created_at),
            labels: self.labels.clone(),
            step: self.step.clone(),
            deadline: self.deadline,
            attempts: self.work.attempts,
            free_at: self.free_at(),
            interrupted_until: self
                .course
                .interruption
                .filter(|_| status == Status::Open)
                .map(|interruption| interruption.until.unwrap_or(Timestamp::MAX)),
            failed_at: self.failed_at,
            status,
        }
    }
}
