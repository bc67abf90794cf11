//! Workflows and their policies.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::item::Closing;
use super::item::{Advance, StepDeadline};
use super::{
    CloseOutcome, DURATION_MAX, Expectation, Item, Redrive, RetryPolicy, Severity, StepName, Timestamp,
    WorkflowName,
};

/// How far ahead a deadline may be: 10 years of 365.25 days.
pub const DEADLINE_MAX: Duration = DURATION_MAX;

/// A stage of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: StepName,
    /// The deadline of an item that enters it; `None` for the workflow's.
    pub deadline: Option<Duration>,
}

/// The notification policy. The words are Alertmanager's.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertPolicy {
    /// How long a new incident gathers items before its first notification.
    pub group_wait: Duration,
    /// The shortest time between two notifications of growth.
    pub group_interval: Duration,
    pub flapping: Flapping,
    /// The time between reminders.
    pub repeat_interval: Duration,
    /// Growth is notified once the count is this many times that of the last notification.
    pub grow_factor: f64,
    /// By name.
    pub receivers: Vec<Arc<str>>,
    /// Further receivers unless the incident is acknowledged, the earliest first.
    pub escalate: Vec<Escalation>,
    /// The receivers that are notified if no other one can be reached.
    pub fallback: Vec<Arc<str>>,
    /// The labels that split the workflow's items into separate incidents.
    pub group_by: Vec<Arc<str>>,
    pub severity: Severity,
    /// A link for the person on call.
    pub runbook_url: Option<Arc<str>>,
}

/// When a reopening incident counts as flapping, and how often it is notified then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// The reopenings within the window from which it flaps; zero turns damping off.
    pub after: usize,
    /// The window for counting reopenings.
    pub window: Duration,
    /// The shortest time from a notification to that of a reopening, while it flaps.
    pub damping: Duration,
}

/// A level of escalation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// After the first notification.
    pub after: Duration,
    /// By name.
    pub receivers: Vec<Arc<str>>,
}

/// The policy of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The deadline of an item, unless its request or step has another.
    pub deadline: Duration,
    /// How long the record of a closed item is kept.
    pub retention: Duration,
    /// How many records of closed items are kept.
    pub retention_max: u64,
    /// How long the payload of a closed item is kept.
    pub keep_payload: Duration,
    /// In their order; empty if the workflow names none.
    pub steps: Vec<Step>,
    pub retry: RetryPolicy,
    /// `None` if overdue items are not sent automatically.
    pub redrive: Option<Redrive>,
    /// `None` if nothing is expected.
    pub expect: Option<Expectation>,
    pub alerting: AlertPolicy,
}

impl Policy {
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| &*step.name == name)
    }

    /// The step's deadline, or else the workflow's.
    pub fn deadline_at(&self, step: Option<&str>) -> Duration {
        step.and_then(|name| self.step(name)).and_then(|step| step.deadline).unwrap_or(self.deadline)
    }
}

impl Policy {
    /// Where an item goes when its step is complete. If its step is not one of the workflow's, it goes to the
    /// first: doing something twice is better than never.
    ///
    /// A step's own deadline counts from entering it. At other steps the item has the workflow's deadline,
    /// counted from its creation, or its current one if that is later.
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

    pub fn closing(&self, outcome: CloseOutcome, at: Timestamp) -> Closing {
        Closing { outcome, at, retention: self.retention, keep_payload: self.keep_payload }
    }
}

/// A workflow that is not configured: its first item created it, and the default policy applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    pub name: WorkflowName,
    pub created_at: Timestamp,
}
