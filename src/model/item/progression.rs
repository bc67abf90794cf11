//! What a change of an item means for its steps, for counting.
//!
//! Derived from the item before and after the change, so that every transition is covered, also those of
//! people and of imports.

use std::time::Duration;

use super::{Item, StepRecord, StepStatus};
use crate::model::{StepName, Timestamp};

/// What happened at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEvent {
    pub step: StepName,
    pub kind: StepEventKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEventKind {
    /// The item came to the step.
    Entered,
    /// A run of the step ended, so long after the item had come to it.
    Ended(StepStatus, Duration),
    /// The item failed at the step.
    Failed,
    /// A retryable error was counted.
    Retried,
    /// A lease that ran out was counted.
    Lost,
}

/// Where an item is among its steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progression {
    /// With the instant of entering it.
    step: Option<(StepName, Timestamp)>,
    retries: u32,
    losses: u32,
    has_failed: bool,
    runs: usize,
    last_run: Option<StepRecord>,
}

impl Item {
    pub fn progression(&self) -> Progression {
        let runs = &self.detail().steps;
        Progression {
            step: self
                .step
                .clone()
                .filter(|_| self.closed.is_none())
                .map(|step| (step, self.step_entered_at)),
            retries: self.course.retries,
            losses: self.course.losses,
            has_failed: self.failed_at.is_some(),
            runs: runs.len(),
            last_run: runs.last().cloned(),
        }
    }

    /// What has happened at its steps since. An item without steps has none.
    pub fn step_events_since(&self, before: &Progression) -> Vec<StepEvent> {
        if self.step.is_none() {
            return Vec::new();
        }
        let after = self.progression();
        let mut events = Vec::new();
        let here = before.step.as_ref().map(|(step, _)| step).or(self.step.as_ref());
        let mut at = |step: Option<&StepName>, kind| {
            events.extend(step.map(|step| StepEvent { step: step.clone(), kind }));
        };
        // Entering a step resets the counters, after a loss before a report was counted.
        let stays = before.step == after.step || after.step.is_none();
        if before.losses < after.losses && stays {
            at(here, StepEventKind::Lost);
        }
        if before.retries < after.retries && stays {
            at(here, StepEventKind::Retried);
        }
        // The history is cut at its beginning, so that its length alone tells nothing.
        if let Some(run) =
            after.last_run.filter(|run| after.runs > before.runs || before.last_run.as_ref() != Some(run))
        {
            let took = run.entered_at.map_or(Duration::ZERO, |entered_at| run.at.since(entered_at));
            at(Some(&run.name), StepEventKind::Ended(run.status, took));
        }
        if after.has_failed && !before.has_failed {
            at(here, StepEventKind::Failed);
        }
        if let Some((step, _)) = after.step.as_ref().filter(|_| before.step != after.step) {
            at(Some(step), StepEventKind::Entered);
        }
        events
    }
}
