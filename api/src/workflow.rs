//! Workflows: what holds for their items, and their figures. Durations are in the form `1h 30m`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::WallTime;
use crate::word::{Severity, Word, WorkflowSource};

/// A workflow and what holds for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Workflow {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    #[cfg_attr(feature = "schema", schema(value_type = WorkflowSource))]
    pub source: Word<WorkflowSource>,
    /// When it was made, if its first item made it.
    pub created_at: Option<WallTime>,
    /// How long an item has, unless its request or its step says otherwise.
    pub deadline: String,
    /// How long the record of a closed item is kept.
    pub retention: String,
    /// How many records of closed items are kept at most.
    pub retention_max: u64,
    /// How long the payload of a closed item is kept.
    pub keep_payload: String,
    /// The stages, in order; empty when the workflow names none.
    pub steps: Vec<Step>,
    /// What becomes of an item whose attempt failed.
    pub retry: Retry,
    /// Where overdue items are sent by themselves, if they are.
    pub redrive: Option<Redrive>,
    /// When items are to be created, if that is known.
    pub expect: Option<Expectation>,
    /// Where notifications go, by receiver name.
    pub receivers: Vec<Arc<str>>,
    /// How long an incident gathers before the first notification.
    pub group_wait: String,
    /// The shortest time between two notifications about growth.
    pub group_interval: String,
    /// After this long without any notification, people are reminded.
    pub repeat_interval: String,
    /// From how many reopenings within `flapping_window` on an incident flaps; 0 is never.
    pub flapping_after: usize,
    /// The time in which reopenings are counted.
    pub flapping_window: String,
    /// How long after the last notification an incident that flaps and began again is told.
    pub damping: String,
    /// Who is told besides, and when, unless somebody acknowledges; the earliest first.
    pub escalate: Vec<Escalation>,
    /// Who is told when everybody who should have heard of an incident cannot be reached.
    pub fallback: Vec<Arc<str>>,
    /// The labels by which the workflow's items are split into several incidents.
    pub group_by: Vec<Arc<str>>,
    /// How bad an incident of this workflow is.
    #[cfg_attr(feature = "schema", schema(value_type = Severity))]
    pub severity: Word<Severity>,
    /// Where the person on call finds what to do.
    pub runbook_url: Option<Arc<str>>,
}

/// What becomes of an item whose attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retry {
    /// How often a step is tried again.
    pub max: u32,
    /// The first wait and the longest, such as `10s..10m`.
    pub backoff: String,
    /// The greatest part of a wait that is added to it at random.
    pub jitter: f64,
}

/// When overdue items are sent by themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Redrive {
    /// Scheme, host and port of where they are sent.
    pub to: Arc<str>,
    /// How long an item must have been overdue, and is left alone after each attempt.
    pub after: String,
    /// After how many attempts at its step it is not sent any more.
    pub max_attempts: u32,
}

/// A level of escalation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Escalation {
    /// How long after people were first told.
    pub after: String,
    /// Who is told then.
    pub receivers: Vec<Arc<str>>,
}

/// When items of a workflow are to be created: by `cron` in a `timezone`, or `every` so often.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Expectation {
    /// The cron pattern.
    pub cron: Option<String>,
    /// The time zone of the pattern, such as `Europe/Berlin`.
    pub timezone: Option<Cow<'static, str>>,
    /// The length of the interval.
    pub every: Option<String>,
    /// How late items may be.
    pub grace: String,
    /// How many items are wanted each time.
    pub min_items: u64,
    /// For when items are expected next: an occurrence of `cron`, or the end of the interval. Null while the
    /// items of an interval are missed, and when no occurrence can be found.
    pub next_expected_at: Option<WallTime>,
}

/// A step of a workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its name.
    pub name: String,
    /// How long an item has that enters it, if it differs from the workflow's deadline.
    pub deadline: Option<String>,
}

/// The figures of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stats {
    /// Not closed and in time.
    pub open: u64,
    /// Not closed and past their deadline.
    pub overdue: u64,
    /// Failed.
    pub failed: u64,
    /// On hold.
    pub held: u64,
    /// Closed and remembered.
    pub closed: u64,
    /// Created since the daemon started, or since the workflow was made if that was later.
    pub created_total: u64,
    /// Closed since then.
    pub closed_total: u64,
}
