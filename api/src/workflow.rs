//! Workflows: policies and counts. Durations are written like `1h 30m`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::WallTime;
use crate::word::{OnIgnorable, Severity, Single, Truncate, Unmet, Word, WorkflowSource};

/// A workflow with its effective policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// What defined it.
    #[cfg_attr(feature = "schema", schema(value_type = WorkflowSource))]
    pub source: Word<WorkflowSource>,
    /// When its first item created it, or a client defined it; null if it is configured.
    pub created_at: Option<WallTime>,
    /// The deadline of an item, unless its request or step has another.
    pub deadline: String,
    /// How long the record of a closed item is kept.
    pub retention: String,
    /// How many records of closed items are kept.
    pub retention_max: u64,
    /// How long the payload of a closed item is kept.
    pub keep_payload: String,
    /// In their order; empty if the workflow names none.
    pub steps: Vec<Step>,
    /// The policy for failed attempts.
    pub retry: Retry,
    /// How many leases of an item may run out at a step before it fails; null for any number.
    pub max_losses: Option<u32>,
    /// Where overdue items are sent automatically, if they are.
    pub redrive: Option<Redrive>,
    /// When items are expected to be created, if that is configured.
    pub expect: Option<Expectation>,
    /// Whether every item of the workflow is a run, because its settings say something about runs.
    pub runs: bool,
    /// What becomes of a new run while another one is open.
    #[cfg_attr(feature = "schema", schema(value_type = Single))]
    pub single: Word<Single>,
    /// The workflows whose latest runs must have succeeded before a run may begin.
    pub requires: Vec<Requirement>,
    /// After so many failed runs in a row the workflow is on hold; null for never.
    pub hold_after: Option<u32>,
    /// The parameters that all jobs share, by name. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Map<String, Value>>,
    /// The parts of a run that have windows of their own, by name. Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<BTreeMap<String, Job>>,
    /// How long an ended run is kept in the history.
    pub runs_retention: String,
    /// How many runs the history keeps.
    pub runs_max: u64,
    /// The names of the receivers of its notifications.
    pub receivers: Vec<Arc<str>>,
    /// How long a new incident gathers items before its first notification.
    pub group_wait: String,
    /// The shortest time between two notifications of growth.
    pub group_interval: String,
    /// The time between reminders.
    pub repeat_interval: String,
    /// The reopenings within `flapping_window` from which an incident flaps; 0 is never.
    pub flapping_after: usize,
    /// The window for counting reopenings.
    pub flapping_window: String,
    /// The shortest time from a notification to that of a reopening, while the incident flaps.
    pub damping: String,
    /// Further receivers that are notified unless the incident is acknowledged, the earliest first.
    pub escalate: Vec<Escalation>,
    /// The receivers that are notified if no other one can be reached.
    pub fallback: Vec<Arc<str>>,
    /// The labels that split the workflow's items into separate incidents.
    pub group_by: Vec<Arc<str>>,
    /// The severity of its incidents.
    #[cfg_attr(feature = "schema", schema(value_type = Severity))]
    pub severity: Word<Severity>,
    /// A link for the person on call.
    pub runbook_url: Option<Arc<str>>,
}

/// The policy for failed attempts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retry {
    /// The retries of a step before the item fails; 4294967295 for any number.
    pub max: u32,
    /// The first and the longest wait, such as `10s..10m`.
    pub backoff: String,
    /// The largest random part added to a wait, as a fraction of it.
    pub jitter: f64,
}

/// The policy for sending overdue items automatically.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Redrive {
    /// Scheme, host and port of the target.
    pub to: Arc<str>,
    /// How long an item must be overdue; also the pause after each attempt.
    pub after: String,
    /// The attempts at a step after which an item is not sent any more.
    pub max_attempts: u32,
}

/// A workflow whose latest run must have succeeded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Requirement {
    /// The name of the workflow.
    pub workflow: String,
    /// How long ago the run may have ended. Null means any time ago, and that a workflow which never ran is
    /// no obstacle.
    pub within: Option<String>,
    /// What becomes of a run while that is not so.
    #[serde(rename = "else")]
    #[cfg_attr(feature = "schema", schema(value_type = Unmet))]
    pub otherwise: Word<Unmet>,
}

/// A part of a run with a window of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Job {
    /// How much of the window before is covered again.
    pub reprocess: String,
    /// To what the beginning of a window is rounded down; null for not at all.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Truncate>))]
    pub truncate: Option<Word<Truncate>>,
    /// By whose clocks that is done, such as `Europe/Berlin`.
    pub timezone: Cow<'static, str>,
    /// Where the first window begins; null for everything before its end.
    pub initial_from: Option<WallTime>,
    /// The heading of its parameters in a parameter file; null for its name.
    pub section: Option<Arc<str>>,
    /// Its own parameters, by name.
    pub params: Map<String, Value>,
}

/// A level of escalation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Escalation {
    /// How long after the first notification.
    pub after: String,
    /// The names of the receivers.
    pub receivers: Vec<Arc<str>>,
}

/// When items are expected: by `cron` in a `timezone`, or in intervals of `every`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Expectation {
    /// A cron pattern.
    pub cron: Option<String>,
    /// The time zone of the pattern, such as `Europe/Berlin`.
    pub timezone: Option<Cow<'static, str>>,
    /// The length of an interval.
    pub every: Option<String>,
    /// How late items may be.
    pub grace: String,
    /// The items expected each time.
    pub min_items: u64,
    /// Whether a run has to end in success, rather than an item be created.
    pub success: Option<bool>,
    /// The next expected start: an occurrence of `cron`, or the end of the interval. Null while an interval
    /// is missed, and if there is no next occurrence.
    pub next_expected_at: Option<WallTime>,
}

/// A stage of a workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Step {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// The deadline of an item that enters it, never later than the item's own; null for that.
    pub deadline: Option<String>,
    /// Its own retries; null for the workflow's.
    pub retry: Option<Retry>,
    /// How many leases may run out at it before the item fails; null for as many as the workflow says,
    /// 4294967295 for any number.
    pub max_losses: Option<u32>,
    /// What an ignorable error at it does.
    #[cfg_attr(feature = "schema", schema(value_type = Option<OnIgnorable>))]
    pub on_ignorable: Option<Word<OnIgnorable>>,
}

/// Counts of a workflow's items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stats {
    /// Not closed and not late.
    pub open: u64,
    /// Not closed and past their deadline.
    pub overdue: u64,
    /// With a fatal error.
    pub failed: u64,
    /// Of those that are open or overdue: stopped at a step until it is repeated or somebody retries them.
    pub interrupted: Option<u64>,
    /// On hold.
    pub held: u64,
    /// Closed, within their retention.
    pub closed: u64,
    /// Created since the daemon started, or since the workflow was created.
    pub created_total: u64,
    /// Closed since then.
    pub closed_total: u64,
    /// What has happened at each step since the daemon started, in the order of the steps. Those that the
    /// configuration does not name are counted singly up to 64 of a workflow and 1,000 in all, and the others
    /// together, under no name.
    #[serde(default)]
    pub steps: Vec<StepStats>,
}

/// What has happened at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StepStats {
    /// Null for all other steps together.
    pub name: Option<String>,
    /// Items that came to it.
    pub entered: u64,
    /// Runs that ended so.
    pub done: u64,
    /// Runs that ended so.
    pub skipped: u64,
    /// Runs that ended so.
    pub interrupted: u64,
    /// Items that failed at it.
    pub failed: u64,
    /// Retryable errors.
    pub retries: u64,
    /// Leases that ran out and were counted.
    pub losses: u64,
    /// From coming to the step until the end of a run; null before the first.
    pub durations: Option<StepDurations>,
}

/// Durations of the runs of a step, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StepDurations {
    /// How many there are.
    pub count: u64,
    /// The mean.
    pub average: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
}
