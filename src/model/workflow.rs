//! Workflows and their policies.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::item::Closing;
use super::{
    Backoff, CloseOutcome, DURATION_MAX, Expectation, Listeners, Redrive, RetryPolicy, RunPolicy, Severity,
    Step, Timestamp, WorkflowName, Zone,
};

/// How far ahead a deadline may be: 10 years of 365.25 days.
pub const DEADLINE_MAX: Duration = DURATION_MAX;

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

/// The policies in force, by which commands are judged.
pub trait Policies: std::fmt::Debug + Send + Sync {
    fn policy_of(&self, workflow: &WorkflowName) -> Arc<Policy>;
}

/// The policy of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The deadline of an item, unless its request or step has another.
    pub deadline: Duration,
    /// Whether it is the workflow's own, so that no step's deadline exceeds it, rather than a default.
    pub limits_steps: bool,
    /// How long the record of a closed item is kept.
    pub retention: Duration,
    /// How many records of closed items are kept.
    pub retention_max: u64,
    /// How long the payload of a closed item is kept.
    pub keep_payload: Duration,
    /// In their order; empty if the workflow names none.
    pub steps: Vec<Step>,
    pub retry: RetryPolicy,
    /// How many leases may run out at a step; `None` for any number.
    pub losses_max: Option<u32>,
    /// `None` if overdue items are not sent automatically.
    pub redrive: Option<Redrive>,
    /// `None` if nothing is expected.
    pub expect: Option<Expectation>,
    pub runs: Arc<RunPolicy>,
    pub alerting: AlertPolicy,
    /// Who is told of what happens to items, apart from incidents.
    pub events: Listeners,
}

/// The same policy for every workflow.
impl Policies for Policy {
    fn policy_of(&self, _workflow: &WorkflowName) -> Arc<Policy> {
        Arc::new(self.clone())
    }
}

impl Policy {
    /// A policy that says nothing but how long items have and are kept: without steps, retries, receivers and
    /// expectations.
    pub fn bare(deadline: Duration, retention: Duration) -> Self {
        let second = Duration::from_secs(1);
        Self {
            deadline,
            limits_steps: false,
            retention,
            retention_max: u64::MAX,
            keep_payload: Duration::ZERO,
            steps: Vec::new(),
            retry: RetryPolicy { max: 0, backoff: Backoff { first: second, longest: second }, jitter: 0.0 },
            losses_max: None,
            redrive: None,
            expect: None,
            runs: Arc::default(),
            alerting: AlertPolicy {
                group_wait: Duration::ZERO,
                group_interval: second,
                flapping: Flapping { after: 0, window: second, damping: Duration::ZERO },
                repeat_interval: second,
                grow_factor: 2.0,
                receivers: Vec::new(),
                escalate: Vec::new(),
                fallback: Vec::new(),
                group_by: Vec::new(),
                severity: Severity::Warning,
                runbook_url: None,
            },
            events: Listeners::default(),
        }
    }

    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| &*step.name == name)
    }

    /// The time zone of the schedule, if there is one.
    pub fn zone(&self) -> Option<Zone> {
        self.expect.as_ref()?.zone()
    }

    /// The step's deadline, or else the workflow's.
    pub fn deadline_at(&self, step: Option<&str>) -> Duration {
        step.and_then(|name| self.step(name)).and_then(|step| step.deadline).unwrap_or(self.deadline)
    }

    pub fn closing(&self, outcome: CloseOutcome, at: Timestamp) -> Closing {
        let Self { retention, keep_payload, .. } = *self;
        Closing { outcome, at, retention, keep_payload, ended_at: None, events: self.events.wanted() }
    }
}

/// The settings of a workflow as a client wrote them: those of `[workflows.NAME]`.
pub type Definition = serde_json::Map<String, serde_json::Value>;

/// A workflow that is stored: its first item created it, and the default policy applies, or a client defined
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    pub name: WorkflowName,
    pub created_at: Timestamp,
    /// `None` if its first item created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Arc<Definition>>,
}
