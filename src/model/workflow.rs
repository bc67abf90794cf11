//! Workflows: named policies.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::item::Closing;
use super::lease::{Advance, StepDeadline};
use super::{
    CloseOutcome, DURATION_MAX, Expectation, Item, Redrive, RetryPolicy, Severity, StepName, Timestamp,
    WorkflowName,
};

/// The longest time ahead that a deadline may lie: ten years (of 365.25 days).
pub const DEADLINE_MAX: Duration = DURATION_MAX;

/// A stage of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The stage's name.
    pub name: StepName,
    /// How long an item that starts at this step has, if it differs from the workflow's deadline.
    pub deadline: Option<Duration>,
}

/// When people are told about an incident. The words are Alertmanager's.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertPolicy {
    /// How long an incident gathers before the first notification.
    pub group_wait: Duration,
    /// The shortest time between two notifications about growth.
    pub group_interval: Duration,
    /// What holds for an incident that ends and begins again and again.
    pub flapping: Flapping,
    /// After this long without any notification, people are reminded.
    pub repeat_interval: Duration,
    /// Growth is told once the count is this many times what was told last.
    pub grow_factor: f64,
    /// Where notifications go, by receiver name.
    pub receivers: Vec<Arc<str>>,
    /// Who is told besides, and when, unless somebody acknowledges; the earliest first.
    pub escalate: Vec<Escalation>,
    /// Who is told when everybody who should have heard of an incident cannot be reached.
    pub fallback: Vec<Arc<str>>,
    /// The labels by which the workflow's items are split into several incidents.
    pub group_by: Vec<Arc<str>>,
    /// How bad an incident of this workflow is.
    pub severity: Severity,
    /// Where the person on call finds what to do.
    pub runbook_url: Option<Arc<str>>,
}

/// From when on an incident that ends and begins again counts as flapping, and how often it is told then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// So many reopenings within the window are flapping; zero turns damping off.
    pub after: usize,
    /// The time in which reopenings are counted.
    pub window: Duration,
    /// How long after the last notification a flapping incident that began again is told.
    pub damping: Duration,
}

/// A level of escalation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// How long after people were first told.
    pub after: Duration,
    /// Who is told then.
    pub receivers: Vec<Arc<str>>,
}

/// What holds for the items of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How long an item has, unless its request or its step says otherwise.
    pub deadline: Duration,
    /// How long the record of a closed item is kept.
    pub retention: Duration,
    /// How many records of closed items are kept at most.
    pub retention_max: u64,
    /// How long the payload of a closed item is kept.
    pub keep_payload: Duration,
    /// The stages, in order; empty when the workflow names none.
    pub steps: Vec<Step>,
    /// What becomes of an item whose attempt failed.
    pub retry: RetryPolicy,
    /// Where its overdue items are sent by themselves; nothing if they are not.
    pub redrive: Option<Redrive>,
    /// When items are to be created; nothing if they come as they like.
    pub expect: Option<Expectation>,
    /// When and where people are told.
    pub alerting: AlertPolicy,
}

impl Policy {
    /// The stage of that name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| &*step.name == name)
    }

    /// How long an item has that starts at `step`: the step's deadline, else the workflow's.
    pub fn deadline_at(&self, step: Option<&str>) -> Duration {
        step.and_then(|name| self.step(name)).and_then(|step| step.deadline).unwrap_or(self.deadline)
    }
}

impl Policy {
    /// Where an item goes when its step is done. One whose step is none of the workflow's begins with the first of them:
    /// that something is done twice is better than that it is never done.
    ///
    /// A step's own deadline counts from when it is entered. At any other step the item has as long as the workflow allows it
    /// from its creation on, or longer if it had longer already.
    pub fn advance(&self, item: &Item, now: Timestamp) -> Advance {
        let here = item.step.as_ref().and_then(|name| self.steps.iter().position(|step| step.name == *name));
        match self.steps.get(here.map_or(0, |here| here + 1)) {
            None => Advance::Close(self.closing(CloseOutcome::Success, now)),
            Some(step) => {
                let deadline = match step.deadline {
                    Some(deadline) => StepDeadline::At(now.after(deadline)),
                    None => StepDeadline::NotBefore(item.created_at.after(self.deadline)),
                };
                Advance::To { step: step.name.clone(), deadline }
            }
        }
    }

    /// How an item is closed that ends like this.
    pub fn closing(&self, outcome: CloseOutcome, at: Timestamp) -> Closing {
        Closing { outcome, at, retention: self.retention, keep_payload: self.keep_payload }
    }
}

/// That a workflow exists which the configuration does not name: it was made on first use, and follows the
/// default policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its name.
    pub name: WorkflowName,
    /// When it was first used.
    pub created_at: Timestamp,
}
