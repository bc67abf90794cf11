//! Documents of workflows and their counts.

use warden_api::WallTime;
use warden_api::workflow::{
    Escalation, Expectation, Job, Redrive, Requirement, Retry, Stats, Step, StepDurations, StepStats,
};

use super::{duration, told};
use crate::model::retry::RetryTerms;
use crate::model::{self, Moment, RetryPolicy, Schedule, StepName, Timestamp, Zone, run};
use crate::warden::{StepTallies, StepTally, Tally, WorkflowEntry};

pub struct WorkflowFacts {
    pub entry: WorkflowEntry,
    /// By the wall clock.
    pub next_expected_at: Option<Timestamp>,
    pub moment: Moment,
    /// Whether to show the parameters and jobs of runs, which may be large.
    pub whole: bool,
}

impl From<WorkflowFacts> for warden_api::Workflow {
    fn from(facts: WorkflowFacts) -> Self {
        let WorkflowFacts { entry, next_expected_at, moment, whole } = facts;
        let policy = &entry.policy;
        let (alerting, runs) = (&policy.alerting, &policy.runs);
        let jobs = || runs.jobs.iter().map(|(name, policy)| (name.to_string(), job(policy))).collect();
        Self {
            name: entry.name.to_string(),
            source: entry.source.into(),
            created_at: entry.created_at.map(|at| told(at, moment)),
            deadline: duration(policy.deadline),
            retention: duration(policy.retention),
            retention_max: policy.retention_max,
            keep_payload: duration(policy.keep_payload),
            steps: policy.steps.iter().map(|step| self::step(step, policy.retry)).collect(),
            retry: retry(policy.retry),
            max_losses: policy.losses_max,
            redrive: policy.redrive.as_ref().map(redrive),
            expect: policy.expect.as_ref().map(|expect| expectation(expect, next_expected_at)),
            runs: runs.applies_to_items,
            single: runs.single.into(),
            requires: runs.requires.iter().map(requirement).collect(),
            hold_after: runs.hold_after,
            params: whole.then(|| runs.params.clone()),
            jobs: whole.then(jobs),
            runs_retention: duration(runs.retention),
            runs_max: runs.retention_max,
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
                .map(|level| Escalation { after: duration(level.after), receivers: level.receivers.clone() })
                .collect(),
            fallback: alerting.fallback.clone(),
            group_by: alerting.group_by.clone(),
            severity: alerting.severity.into(),
            runbook_url: alerting.runbook_url.clone(),
        }
    }
}

fn step(step: &model::Step, base: RetryPolicy) -> Step {
    Step {
        name: step.name.to_string(),
        deadline: step.deadline.map(duration),
        retry: (step.retry != RetryTerms::default()).then(|| retry(step.retry.over(base))),
        max_losses: step.losses_max,
        on_ignorable: Some(step.on_ignorable.into()),
    }
}

fn retry(policy: RetryPolicy) -> Retry {
    Retry { max: policy.max, backoff: policy.backoff.to_string(), jitter: policy.jitter }
}

fn redrive(redrive: &model::Redrive) -> Redrive {
    let after = duration(redrive.after);
    Redrive { to: redrive.to.clone(), after, max_attempts: redrive.max_attempts }
}

fn requirement(requirement: &run::Requirement) -> Requirement {
    let run::Requirement { workflow, within, otherwise } = requirement;
    Requirement {
        workflow: workflow.to_string(),
        within: within.map(duration),
        otherwise: (*otherwise).into(),
    }
}

fn job(policy: &run::JobPolicy) -> Job {
    let run::JobPolicy { window, params, section } = policy;
    Job {
        reprocess: duration(window.reprocess),
        truncate: window.truncate.map(Into::into),
        timezone: window.zone.name().into(),
        initial_from: window.initial_from.map(WallTime::read),
        section: section.clone(),
        params: params.clone(),
    }
}

fn expectation(expectation: &model::Expectation, next: Option<Timestamp>) -> Expectation {
    let (cron, every) = match &expectation.schedule {
        Schedule::Cron(cron) => (Some(cron), None),
        Schedule::Every(every) => (None, Some(*every)),
    };
    Expectation {
        cron: cron.map(|cron| cron.pattern().to_owned()),
        timezone: expectation.zone().map(|zone| Zone::name(zone).into()),
        every: every.map(duration),
        grace: duration(expectation.grace),
        min_items: expectation.min_items,
        success: Some(expectation.of_success),
        next_expected_at: next.map(WallTime::read),
    }
}

/// The counts of a workflow; its steps in the order of the policy, and then by name.
pub fn stats(tally: Tally, mut tallies: StepTallies, policy: &model::Policy) -> Stats {
    let mut steps = Vec::new();
    for step in &policy.steps {
        let name = Some(step.name.clone());
        let tally = tallies.remove(&name).unwrap_or_default();
        steps.push(step_stats(name, tally));
    }
    let together = tallies.remove(&None).map(|tally| step_stats(None, tally));
    steps.extend(tallies.into_iter().map(|(name, tally)| step_stats(name, tally)));
    steps.extend(together);
    Stats {
        open: tally.unclosed - tally.overdue - tally.failed - tally.held,
        overdue: tally.overdue,
        failed: tally.failed,
        interrupted: Some(tally.interrupted),
        held: tally.held,
        closed: tally.closed,
        created_total: tally.created_total,
        closed_total: tally.closed_total,
        steps,
    }
}

fn step_stats(name: Option<StepName>, tally: StepTally) -> StepStats {
    let StepTally { entered, done, skipped, interrupted, failed, retries, losses, durations } = tally;
    let count = durations.count();
    let durations = (count > 0).then(|| StepDurations {
        count,
        average: durations.sum.as_secs_f64() / count as f64,
        min: durations.least.as_secs_f64(),
        max: durations.most.as_secs_f64(),
    });
    let name = name.map(|name| name.to_string());
    StepStats { name, entered, done, skipped, interrupted, failed, retries, losses, durations }
}
