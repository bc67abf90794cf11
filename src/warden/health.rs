//! The state of the daemon for health checks, metrics and people: store, timers, heartbeat, clock, and
//! warnings about probable mistakes that show in the data. Warnings about settings are checked before the
//! start.

use std::sync::Arc;

use super::census::Census;
use super::context::Context;
use super::silences::KnownSilences;
use super::{ClockCounts, HeartbeatCounts, Workflows};
use crate::model::{Clock, Warning, WarningCode};
use crate::store::{self, DiskUse, StoreStatus};

/// The most workflows named in warnings.
const NAMED_MAX: usize = 20;

pub struct Health {
    store: Arc<dyn store::Health>,
    census: Arc<Census>,
    workflows: Arc<Workflows>,
    silences: Arc<KnownSilences>,
    clock: Arc<dyn Clock>,
    clock_counts: Arc<ClockCounts>,
    heartbeats: Arc<HeartbeatCounts>,
}

impl Health {
    pub(super) fn new(
        context: &Context,
        silences: Arc<KnownSilences>,
        clock_counts: Arc<ClockCounts>,
        heartbeats: Arc<HeartbeatCounts>,
    ) -> Self {
        let Context { store, workflows, census, clock, .. } = context.clone();
        Self { store, census, workflows, silences, clock, clock_counts, heartbeats }
    }

    pub fn store_status(&self) -> StoreStatus {
        self.store.status()
    }

    /// Reads the disk.
    pub fn disk_use(&self) -> DiskUse {
        self.store.disk_use()
    }

    /// The number of timers, and their memory in bytes.
    pub fn timers(&self) -> (usize, usize) {
        self.census.timers()
    }

    pub fn clock_counts(&self) -> &ClockCounts {
        &self.clock_counts
    }

    pub fn heartbeats(&self) -> &HeartbeatCounts {
        &self.heartbeats
    }

    /// Warnings about probable mistakes: misspelt workflows, required ones that do not exist, and a silence
    /// that matches everything.
    pub fn warnings(&self) -> Vec<Warning> {
        let misspelt = self.workflows.misspelt();
        let mut warnings = named(
            WarningCode::WorkflowMisspelt,
            misspelt,
            |(name, meant)| format!("the workflow {name} was created on first use; did you mean {meant}?"),
            |more| {
                format!("the names of {more} more workflows created on first use resemble configured ones")
            },
        );
        warnings.extend(named(
            WarningCode::RequirementUnknown,
            self.workflows.unknown_requirements(),
            |(name, required)| {
                format!("the workflow {name} requires runs of the workflow {required}, which does not exist")
            },
            |more| format!("{more} more requirements name workflows that do not exist"),
        ));
        let moment = self.clock.moment();
        if let Some(silence) = self.silences.for_all_at(moment) {
            let message = format!(
                "no notifications are sent until {}: silence {} matches all workflows",
                moment.shown(silence.ends_at),
                silence.id.0
            );
            warnings.push(Warning { code: WarningCode::AllSilenced, message });
        }
        warnings
    }
}

/// A warning about each, up to a limit, and one about all the others.
fn named<T>(
    code: WarningCode,
    about: Vec<T>,
    message: impl Fn(T) -> String,
    others: impl Fn(usize) -> String,
) -> Vec<Warning> {
    let more = about.len().saturating_sub(NAMED_MAX);
    let messages = about.into_iter().take(NAMED_MAX).map(message);
    let messages = messages.chain((more > 0).then(|| others(more)));
    messages.map(|message| Warning { code, message }).collect()
}
