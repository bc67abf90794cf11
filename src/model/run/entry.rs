//! What the ledger keeps of a run.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Counts, HeldFor, Lineage, Run, RunDetail, RunParams, RunStatus, Window};
use crate::model::item::Item;
use crate::model::{CloseOutcome, ItemId, ItemNumber, Timestamp};

/// A run in the ledger of its workflow. Instants are steady.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    pub number: u64,
    /// The id of its item, which may be forgotten.
    pub item: ItemId,
    pub item_number: ItemNumber,
    pub status: RunStatus,
    /// Why it is held, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldFor>,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended, as told if that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<RunParams>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub counts: Counts,
}

/// The error that made a run fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    pub id: Arc<str>,
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
}

impl RunEntry {
    pub fn has_ended(&self) -> bool {
        !matches!(self.status, RunStatus::Held | RunStatus::Open)
    }
}

impl Item {
    /// What the ledger keeps of it; `None` if it is no run.
    pub fn run_entry(&self) -> Option<RunEntry> {
        let run = self.run.as_ref()?;
        let status = self.run_status(run);
        let RunDetail { params, backfill, lineage, counts, .. } =
            self.detail().run.as_deref().cloned().unwrap_or_default();
        let ended_at = match status {
            RunStatus::Held | RunStatus::Open => None,
            RunStatus::Failed => run.ended_at.or(self.failed_at).or(self.closed.map(|closed| closed.at)),
            RunStatus::Success | RunStatus::Discarded => run.ended_at.or(self.closed.map(|closed| closed.at)),
        };
        let errors = &self.detail().errors;
        // One that is closed as failed need not have had a fatal error.
        let error = errors.iter().rev().find(|error| error.fatal).or(errors.last());
        let error = error.filter(|_| status == RunStatus::Failed).map(|error| RunError {
            id: error.id.clone(),
            kind: error.kind.clone(),
            message: error.message.clone(),
        });
        Some(RunEntry {
            number: run.number,
            item: self.id.clone(),
            item_number: self.number,
            status,
            held: self.held_for(),
            created_at: self.created_at,
            started_at: run.started_at,
            ended_at,
            error,
            params,
            backfill,
            lineage,
            counts,
        })
    }

    fn run_status(&self, run: &Run) -> RunStatus {
        match (self.closed.map(|closed| closed.outcome), self.failed_at) {
            (Some(CloseOutcome::Success), _) => RunStatus::Success,
            (Some(CloseOutcome::Discarded), _) => RunStatus::Discarded,
            (Some(CloseOutcome::Failed), _) | (None, Some(_)) => RunStatus::Failed,
            (None, None) if run.held.is_some() => RunStatus::Held,
            (None, None) => RunStatus::Open,
        }
    }
}
