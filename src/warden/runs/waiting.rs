//! Waiting until workflows have succeeded.
//!
//! A workflow has succeeded if its latest run has, and ended since the given time. "Today" begins anew each
//! midnight, also while a request waits.

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Runs;
use crate::model::run::{Ended, JobPolicy, RunPolicy, RunStatus};
use crate::model::{JobName, Moment, RunHistory, Timestamp, WorkflowName, Zone};
use crate::warden::WardenError;

/// The longest wait of a request.
pub const RUN_WAIT_MAX: Duration = Duration::from_secs(60);

/// Since when a run must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// At any time.
    Ever,
    /// Since midnight in a zone.
    Today(Zone),
    /// By the wall clock.
    At(Timestamp),
}

#[derive(Clone, Debug)]
pub struct WaitForRuns {
    /// Not empty.
    pub workflows: Vec<WorkflowName>,
    pub since: Since,
    /// Every job's successful runs must cover this instant of the wall clock.
    pub covers: Option<Timestamp>,
    pub timeout: Duration,
    /// Whether a failed latest run ends the wait.
    pub fail_fast: bool,
    /// Ends the wait: the client has disconnected.
    pub gone: CancellationToken,
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The latest run of each workflow.
    Succeeded(Vec<(WorkflowName, Ended)>),
    TimedOut,
    Failed {
        workflow: WorkflowName,
        number: u64,
    },
}

enum Verdict {
    Succeeded(Ended),
    Failed(u64),
    NotYet,
}

impl Runs {
    /// Waits until each workflow has succeeded. Fails if there is no such workflow.
    pub async fn wait(&self, request: WaitForRuns) -> Result<Waited, WardenError> {
        let WaitForRuns { workflows, since, covers, timeout, fail_fast, gone } = request;
        workflows.iter().try_for_each(|workflow| self.check_workflow(workflow))?;
        let until = self.clock.now().after(timeout);
        // At the limit a request does not wait: requests in flight are needed for others as well.
        let waits = if timeout.is_zero() { None } else { self.waiting.try_acquire().ok() };
        loop {
            let mut changed = pin!(self.known.changed());
            changed.as_mut().enable();
            if let Some(ended) = self.judge_all(&workflows, since, covers, fail_fast) {
                return Ok(ended);
            }
            if waits.is_none() || self.clock.now() >= until {
                return Ok(Waited::TimedOut);
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = self.clock.sleep_until(until) => {}
                () = self.closing.cancelled() => return Ok(Waited::TimedOut),
                () = gone.cancelled() => return Ok(Waited::TimedOut),
            }
        }
    }

    /// Ends all waits, now and in future.
    pub fn stop_waiting(&self) {
        self.closing.cancel();
    }

    fn judge_all(
        &self,
        workflows: &[WorkflowName],
        since: Since,
        covers: Option<Timestamp>,
        fail_fast: bool,
    ) -> Option<Waited> {
        let now = self.clock.moment();
        let mut succeeded = Vec::with_capacity(workflows.len());
        for workflow in workflows {
            match self.judge(workflow, since, covers, now) {
                Verdict::Succeeded(ended) => succeeded.push((workflow.clone(), ended)),
                Verdict::Failed(number) if fail_fast => {
                    return Some(Waited::Failed { workflow: workflow.clone(), number });
                }
                Verdict::Failed(_) | Verdict::NotYet => {}
            }
        }
        (succeeded.len() == workflows.len()).then_some(Waited::Succeeded(succeeded))
    }

    fn judge(
        &self,
        workflow: &WorkflowName,
        since: Since,
        covers: Option<Timestamp>,
        now: Moment,
    ) -> Verdict {
        let policy = self.workflows.policy(workflow);
        let verdict = |history: &RunHistory| judge(history, &policy.runs, since, covers, now);
        self.known.view(workflow, verdict).unwrap_or(Verdict::NotYet)
    }
}

/// What the latest run of a workflow says to a request that waits.
fn judge(
    history: &RunHistory,
    policy: &RunPolicy,
    since: Since,
    covers: Option<Timestamp>,
    now: Moment,
) -> Verdict {
    let Some(latest) = history.latest_ended() else { return Verdict::NotYet };
    let since = match since {
        Since::Ever => Timestamp::MIN,
        Since::At(instant) => instant,
        Since::Today(zone) => zone.day_of(now.wall(now.now)).unwrap_or(Timestamp::MIN),
    };
    if now.wall(latest.at) < since {
        return Verdict::NotYet;
    }
    if latest.status != RunStatus::Success {
        return Verdict::Failed(latest.number);
    }
    let is_covered = |instant: Timestamp| {
        let watermarks = &history.watermarks;
        let is_covered_by = |(job, policy): (&JobName, &JobPolicy)| {
            watermarks.get(job).is_some_and(|watermark| instant < *watermark)
                && policy.window.initial_from.is_none_or(|from| from <= instant)
        };
        policy.jobs.iter().all(is_covered_by) && !policy.jobs.is_empty()
    };
    match covers.is_none_or(is_covered) {
        true => Verdict::Succeeded(latest),
        false => Verdict::NotYet,
    }
}
