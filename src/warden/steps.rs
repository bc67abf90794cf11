//! What has happened at the steps of each workflow since the start.
//!
//! Clients may create as many steps as they like. Those that a policy names are always counted; of others
//! [`UNNAMED_MAX`] in all, and the first [`STEPS_MAX`] of a workflow. Everything else is counted together by
//! workflow.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use warden_api::limit::STEPS_MAX;

use super::Workflows;
use crate::model::item::{StepEvent, StepEventKind, StepStatus};
use crate::model::{StepName, WorkflowName};
use crate::store::{Change, DocumentId, Observer};

/// The most steps with counts that no policy names.
const UNNAMED_MAX: usize = 1000;

/// The upper bounds of the buckets of [`Durations`], in seconds.
pub const DURATION_BOUNDS: [f64; 12] =
    [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0];

/// Events at one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTally {
    pub entered: u64,
    pub done: u64,
    pub skipped: u64,
    pub interrupted: u64,
    pub failed: u64,
    /// Retryable errors.
    pub retries: u64,
    /// Leases that ran out.
    pub losses: u64,
    /// From coming to the step until the end of a run.
    pub durations: Durations,
}

/// A histogram, with the extremes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Durations {
    /// By bucket, not cumulative; the last one is above all of [`DURATION_BOUNDS`].
    pub counts: [u64; DURATION_BOUNDS.len() + 1],
    pub sum: Duration,
    pub least: Duration,
    pub most: Duration,
}

impl Durations {
    fn note(&mut self, took: Duration) {
        let is_first = self.count() == 0;
        let place = DURATION_BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(took);
        self.least = if is_first { took } else { self.least.min(took) };
        self.most = self.most.max(took);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl StepTally {
    fn note(&mut self, event: StepEventKind) {
        match event {
            StepEventKind::Entered => self.entered += 1,
            StepEventKind::Failed => self.failed += 1,
            StepEventKind::Retried => self.retries += 1,
            StepEventKind::Lost => self.losses += 1,
            StepEventKind::Ended(status, took) => {
                *match status {
                    StepStatus::Done => &mut self.done,
                    StepStatus::Skipped => &mut self.skipped,
                    StepStatus::Interrupted => &mut self.interrupted,
                } += 1;
                self.durations.note(took);
            }
        }
    }
}

/// The steps of a workflow by name; `None` stands for those that are counted together.
pub type StepTallies = BTreeMap<Option<StepName>, StepTally>;

#[derive(Debug)]
pub struct StepCounts {
    policies: Arc<Workflows>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    workflows: HashMap<WorkflowName, StepTallies>,
    /// How many of the steps no policy names.
    unnamed: usize,
}

impl StepCounts {
    pub fn new(policies: Arc<Workflows>) -> Self {
        Self { policies, counts: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts are consistent even after a panic.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, workflow: &str) -> StepTallies {
        self.lock().workflows.get(workflow).cloned().unwrap_or_default()
    }

    /// Of all workflows at whose steps something has happened.
    pub fn all(&self) -> Vec<(WorkflowName, StepTallies)> {
        self.lock().workflows.iter().map(|(workflow, steps)| (workflow.clone(), steps.clone())).collect()
    }

    fn is_named(&self, workflow: &str, step: &StepName) -> bool {
        self.policies.policy(workflow).steps.iter().any(|named| named.name == *step)
    }

    fn note(&self, workflow: &WorkflowName, event: &StepEvent) {
        let StepEvent { step, kind } = event;
        let mut counts = self.lock();
        let Counts { workflows, unnamed } = &mut *counts;
        if !workflows.contains_key(workflow) {
            workflows.insert(workflow.clone(), StepTallies::new());
        }
        let Some(steps) = workflows.get_mut(workflow) else { return };
        let step = Some(step.clone());
        if let Some(tally) = steps.get_mut(&step) {
            return tally.note(*kind);
        }
        let is_named = step.as_ref().is_some_and(|step| self.is_named(workflow, step));
        let has_room = *unnamed < UNNAMED_MAX && steps.len() < STEPS_MAX;
        if has_room && !is_named {
            *unnamed += 1;
        }
        steps.entry(step.filter(|_| is_named || has_room)).or_default().note(*kind);
    }

    /// Other policies are in force, which name other steps.
    pub fn recount_unnamed(&self) {
        let mut counts = self.lock();
        let Counts { workflows, unnamed } = &mut *counts;
        let unnamed_of = |(workflow, steps): (&WorkflowName, &StepTallies)| {
            steps.keys().flatten().filter(|step| !self.is_named(workflow, step)).count()
        };
        *unnamed = workflows.iter().map(unnamed_of).sum();
    }

    fn forget(&self, workflow: &WorkflowName) {
        let mut counts = self.lock();
        let steps = counts.workflows.remove(workflow).unwrap_or_default();
        let unnamed = steps.keys().flatten().filter(|step| !self.is_named(workflow, step)).count();
        counts.unnamed = counts.unnamed.saturating_sub(unnamed);
    }
}

impl Observer for StepCounts {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Step { workflow, event } => self.note(workflow, event),
                Change::Removed(DocumentId::Workflow(workflow)) => self.forget(workflow),
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Policy, Step};
    use crate::warden::PolicySet;

    /// The counts of a workflow etl that names the step load.
    fn counts() -> StepCounts {
        let bare = || Policy::bare(Duration::ZERO, Duration::ZERO);
        let etl = Policy { steps: vec![Step::named(StepName::new("load").unwrap())], ..bare() };
        let configured = [(WorkflowName::new("etl").unwrap(), Arc::new(etl))].into();
        StepCounts::new(Arc::new(Workflows::new(PolicySet::of(configured, Arc::new(bare())))))
    }

    fn feed(counts: &StepCounts, workflow: &str, step: &str, kind: StepEventKind) {
        let event = StepEvent { step: StepName::new(step).unwrap(), kind };
        counts.committed(&[Change::Step { workflow: WorkflowName::new(workflow).unwrap(), event }]);
    }

    #[test]
    fn every_event_is_counted_at_its_step() {
        let counts = counts();
        for kind in [
            StepEventKind::Entered,
            StepEventKind::Retried,
            StepEventKind::Lost,
            StepEventKind::Failed,
            StepEventKind::Ended(StepStatus::Done, Duration::from_secs(2)),
            StepEventKind::Ended(StepStatus::Skipped, Duration::from_millis(100)),
            StepEventKind::Ended(StepStatus::Interrupted, Duration::from_secs(1_000_000)),
        ] {
            feed(&counts, "etl", "load", kind);
        }
        let tally = counts.of("etl")[&Some(StepName::new("load").unwrap())];
        let StepTally { entered, done, skipped, interrupted, failed, retries, losses, durations } = tally;
        assert_eq!([entered, done, skipped, interrupted, failed, retries, losses], [1; 7]);
        assert_eq!(
            (durations.least, durations.most),
            (Duration::from_millis(100), Duration::from_secs(1_000_000))
        );
        let places: Vec<usize> = (0..13).filter(|place| durations.counts[*place] == 1).collect();
        assert_eq!(places, [0, 3, 12], "a bound belongs to its bucket");
        assert_eq!(counts.of("other"), StepTallies::new());
    }

    #[test]
    fn steps_beyond_the_limit_are_counted_together() {
        let counts = counts();
        for _ in 0..2 {
            for number in 0..STEPS_MAX + 3 {
                feed(&counts, "etl", &format!("step-{number}"), StepEventKind::Entered);
            }
        }
        feed(&counts, "etl", "load", StepEventKind::Entered);
        let mut steps = counts.of("etl");
        let load = steps.remove(&Some(StepName::new("load").unwrap())).expect("a named step has counts");
        assert_eq!((load.entered, steps.len()), (1, STEPS_MAX + 1));
        assert_eq!(steps[&None].entered, 6);
        assert!(steps.iter().all(|(step, tally)| step.is_none() || tally.entered == 2));
    }

    #[test]
    fn all_workflows_together_have_a_limit_and_what_is_removed_makes_room() {
        let counts = counts();
        for number in 0..2 * UNNAMED_MAX {
            feed(&counts, &format!("w{}", number / 50), &format!("step-{number}"), StepEventKind::Entered);
        }
        let counted = || counts.all().iter().flat_map(|(_, steps)| steps.keys()).flatten().count();
        assert_eq!(counted(), UNNAMED_MAX);
        counts.committed(&[Change::Removed(DocumentId::Workflow(WorkflowName::new("w0").unwrap()))]);
        feed(&counts, "w0", "again", StepEventKind::Entered);
        assert_eq!(counted(), UNNAMED_MAX - 49);
    }
}
