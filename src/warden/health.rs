//! How the daemon is doing, for health checks, metrics and people: the store, the timers, the heartbeat, the clock, and what is
//! probably not meant, as far as the data tell. What the settings tell is known before the daemon starts.

use std::sync::Arc;

use super::census::Census;
use super::silences::KnownSilences;
use super::{ClockCounts, HeartbeatCounts, Workflows};
use crate::model::{Clock, Warning, WarningCode};
use crate::store::{DiskUse, Store, StoreStatus};

/// How many workflows are named one by one.
const NAMED_MAX: usize = 20;

/// See the module's documentation.
pub struct Health {
    pub(super) store: Arc<dyn Store>,
    pub(super) census: Arc<Census>,
    pub(super) workflows: Arc<Workflows>,
    pub(super) silences: Arc<KnownSilences>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) clock_counts: Arc<ClockCounts>,
    pub(super) heartbeats: Arc<HeartbeatCounts>,
}

impl Health {
    pub fn store_status(&self) -> StoreStatus {
        self.store.status()
    }

    /// What the store's files are like; it looks at the disk.
    pub fn disk_use(&self) -> DiskUse {
        self.store.disk_use()
    }

    /// Timers that are set, and the bytes of memory that they take.
    pub fn timers(&self) -> (usize, usize) {
        self.census.timers()
    }

    /// How often the wall clock was set since the start.
    pub fn clock_counts(&self) -> &ClockCounts {
        &self.clock_counts
    }

    /// What became of heartbeats since the start.
    pub fn heartbeats(&self) -> &HeartbeatCounts {
        &self.heartbeats
    }

    /// What is probably not meant: workflows that somebody misspelt, and a silence for everything.
    pub fn warnings(&self) -> Vec<Warning> {
        let misspelt = self.workflows.misspelt();
        let more = misspelt.len().saturating_sub(NAMED_MAX);
        let mut warnings: Vec<Warning> = Vec::new();
        for (name, meant) in misspelt.into_iter().take(NAMED_MAX) {
            let message = format!("the workflow {name} was made on first use; was {meant} meant?");
            warnings.push(Warning { code: WarningCode::WorkflowMisspelt, message });
        }
        if more > 0 {
            let message =
                format!("{more} more workflows made on first use are called nearly as configured ones");
            warnings.push(Warning { code: WarningCode::WorkflowMisspelt, message });
        }
        let moment = self.clock.moment();
        if let Some(silence) = self.silences.for_all_at(moment) {
            let message = format!(
                "nobody is told of anything until {}: {} holds for all workflows",
                moment.shown(silence.ends_at),
                silence.id.0
            );
            warnings.push(Warning { code: WarningCode::AllSilenced, message });
        }
        warnings
    }
}
