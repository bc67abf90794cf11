//! Workflows and their figures as clients are shown them.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::WallTime;
use crate::model::{Expectation, Moment, Policy, Redrive, RetryPolicy, Schedule, Severity, Timestamp, Zone};
use crate::warden::{Tally, WorkflowEntry};

/// A workflow and what holds for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowView {
    name: String,
    /// `config` when the configuration defines it, `first_use` when it was made by its first item.
    source: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<WallTime>,
    deadline: String,
    retention: String,
    retention_max: u64,
    keep_payload: String,
    steps: Vec<StepView>,
    /// What becomes of an item whose attempt failed.
    retry: RetryView,
    /// Where overdue items are sent by themselves, if they are.
    redrive: Option<RedriveView>,
    /// When items are to be created, if that is known.
    expect: Option<ExpectationView>,
    #[schema(value_type = Vec<String>)]
    receivers: Vec<Arc<str>>,
    group_wait: String,
    group_interval: String,
    repeat_interval: String,
    /// From how many reopenings within `flapping_window` on an incident flaps; 0 is never.
    flapping_after: usize,
    flapping_window: String,
    /// How long after the last notification an incident that flaps and began again is told.
    damping: String,
    escalate: Vec<EscalationView>,
    #[schema(value_type = Vec<String>)]
    fallback: Vec<Arc<str>>,
    #[schema(value_type = Vec<String>)]
    group_by: Vec<Arc<str>>,
    #[schema(value_type = String)]
    severity: Severity,
    runbook_url: Option<Arc<str>>,
}

/// What becomes of an item whose attempt failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetryView {
    /// How often a step is tried again.
    max: u32,
    /// The first wait and the longest, such as `10s..10m`.
    backoff: String,
    /// The greatest part of a wait that is added to it at random.
    jitter: f64,
}

impl From<RetryPolicy> for RetryView {
    fn from(policy: RetryPolicy) -> Self {
        Self { max: policy.max, backoff: policy.backoff.to_string(), jitter: policy.jitter }
    }
}

/// When overdue items are sent by themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedriveView {
    /// Scheme, host and port of where they are sent.
    #[schema(value_type = String)]
    to: Arc<str>,
    /// How long an item must have been overdue, and is left alone after each attempt.
    after: String,
    /// After how many attempts at its step it is not sent any more.
    max_attempts: u32,
}

impl From<&Redrive> for RedriveView {
    fn from(redrive: &Redrive) -> Self {
        let after = humantime::format_duration(redrive.after).to_string();
        Self { to: redrive.to.clone(), after, max_attempts: redrive.max_attempts }
    }
}

/// A level of escalation.
#[derive(Debug, Serialize, ToSchema)]
pub struct EscalationView {
    after: String,
    #[schema(value_type = Vec<String>)]
    receivers: Vec<Arc<str>>,
}

/// When items of a workflow are to be created: by `cron` in a `timezone`, or `every` so often.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExpectationView {
    cron: Option<String>,
    timezone: Option<&'static str>,
    every: Option<String>,
    grace: String,
    min_items: u64,
    /// For when items are expected next: an occurrence of `cron`, or the end of the interval. Null while the items of an
    /// interval are missed, and when no occurrence can be found.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_expected_at: Option<WallTime>,
}

impl ExpectationView {
    fn new(expectation: &Expectation, next: Option<Timestamp>) -> Self {
        let duration = |duration| humantime::format_duration(duration).to_string();
        let (cron, every) = match &expectation.schedule {
            Schedule::Cron(cron) => (Some(cron), None),
            Schedule::Every(every) => (None, Some(*every)),
        };
        Self {
            cron: cron.map(|cron| cron.pattern().to_owned()),
            timezone: expectation.zone().map(Zone::name),
            every: every.map(duration),
            grace: duration(expectation.grace),
            min_items: expectation.min_items,
            next_expected_at: next.map(WallTime::read),
        }
    }
}

/// A step of a workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    name: String,
    deadline: Option<String>,
}

impl WorkflowView {
    /// The workflow, and for when its items are expected next; with times as the wall clock has them at that moment.
    pub fn new(entry: WorkflowEntry, next_expected_at: Option<Timestamp>, moment: Moment) -> Self {
        let duration = |duration| humantime::format_duration(duration).to_string();
        let policy: &Policy = &entry.policy;
        let alerting = &policy.alerting;
        Self {
            name: entry.name.to_string(),
            source: if entry.created_at.is_some() { "first_use" } else { "config" },
            created_at: WallTime::of_some(entry.created_at, moment),
            deadline: duration(policy.deadline),
            retention: duration(policy.retention),
            retention_max: policy.retention_max,
            keep_payload: duration(policy.keep_payload),
            steps: policy
                .steps
                .iter()
                .map(|step| StepView { name: step.name.to_string(), deadline: step.deadline.map(duration) })
                .collect(),
            retry: policy.retry.into(),
            redrive: policy.redrive.as_ref().map(RedriveView::from),
            expect: policy.expect.as_ref().map(|expect| ExpectationView::new(expect, next_expected_at)),
            receivers: alerting.receivers.clone(),
            group_wait: duration(alerting.group_wait),
            group_interval: duration(alerting.group_interval),
            repeat_interval: duration(alerting.repeat_interval),
            flapping_after: alerting.flapping.after,
            flapping_window: duration(alerting.flapping.window),
            damping: duration(alerting.flapping.damping),
            escalate: alerting
                .escalate
                .iter()
                .map(|level| EscalationView {
                    after: duration(level.after),
                    receivers: level.receivers.clone(),
                })
                .collect(),
            fallback: alerting.fallback.clone(),
            group_by: alerting.group_by.clone(),
            severity: alerting.severity,
            runbook_url: alerting.runbook_url.clone(),
        }
    }
}

/// The figures of a workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    /// Not closed and in time.
    open: u64,
    /// Not closed and past their deadline.
    overdue: u64,
    /// Failed.
    failed: u64,
    /// On hold.
    held: u64,
    /// Closed and remembered.
    closed: u64,
    /// Created since the daemon started, or since the workflow was made if that was later.
    created_total: u64,
    /// Closed since then.
    closed_total: u64,
}

impl From<Tally> for StatsView {
    fn from(tally: Tally) -> Self {
        Self {
            open: tally.unclosed - tally.overdue - tally.failed,
            overdue: tally.overdue,
            failed: tally.failed,
            held: 0,
            closed: tally.closed,
            created_total: tally.created_total,
            closed_total: tally.closed_total,
        }
    }
}
