//! Documents of runs. Windows are on the wall clock as they are.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use warden_api::WallTime;
use warden_api::run::{Coverage, Hold, Run, RunError, RunsStatus, WaitedRun, Window, Windows};

use super::told;
use crate::model::run::{Ended, RunParams};
use crate::model::{Moment, RunEntry, RunHistory, RunPolicy, WorkflowName, run};
use crate::warden::runs;

/// A run and the present.
pub struct RunFacts(pub RunEntry, pub Moment);

impl From<RunFacts> for Run {
    fn from(RunFacts(entry, moment): RunFacts) -> Self {
        let at = |steady| told(steady, moment);
        let (started_at, ended_at) = (entry.started_at, entry.ended_at);
        let duration = started_at.zip(ended_at).map(|(from, to)| to.since(from).as_secs_f64());
        let jobs = entry.params.map(|params| params.jobs).unwrap_or_default();
        Self {
            number: entry.number,
            id: entry.item.to_string(),
            status: entry.status.into(),
            held: entry.held.map(Into::into),
            created_at: at(entry.created_at),
            started_at: started_at.map(at),
            ended_at: ended_at.map(at),
            duration,
            windows: jobs.into_iter().map(|(job, params)| (job.to_string(), window(params.window))).collect(),
            backfill: entry.backfill.is_some(),
            error: entry.error.map(|run::RunError { id, kind, message }| RunError { id, kind, message }),
            counts: entry.counts,
            lineage: entry.lineage,
        }
    }
}

pub struct RunsFacts<'a> {
    pub workflow: WorkflowName,
    pub history: RunHistory,
    pub policy: &'a RunPolicy,
    pub moment: Moment,
}

impl From<RunsFacts<'_>> for RunsStatus {
    fn from(facts: RunsFacts<'_>) -> Self {
        let RunsFacts { workflow, history, policy, moment } = facts;
        let is_on_hold = history.is_on_hold(policy);
        let run = history.held;
        let hold = history.hold.map(|hold| Hold {
            since: Some(told(hold.since, moment)),
            by: hold.by,
            comment: hold.comment,
            run,
        });
        let failing = || Hold { since: None, by: None, comment: None, run };
        Self {
            workflow: workflow.to_string(),
            last_number: history.last_number,
            open: history.open.count,
            waiting: history.waiting.count,
            hold: hold.or_else(|| is_on_hold.then(failing)),
            failures: history.failures.len(),
            hold_after: policy.hold_after,
            last_success_at: history.last_success.map(|ended| told(ended.at, moment)),
            watermarks: history
                .watermarks
                .into_iter()
                .map(|(job, at)| (job.to_string(), WallTime::read(at)))
                .collect(),
            totals: history.totals,
        }
    }
}

/// `shared` parameters, and those of the `jobs` with their windows.
pub fn params(params: &RunParams) -> Value {
    let job = |params: &run::JobParams| {
        let mut all = Map::new();
        all.insert("from".to_owned(), json!(params.window.from));
        all.insert("to".to_owned(), json!(params.window.to));
        all.extend(params.params.clone());
        Value::Object(all)
    };
    let jobs: BTreeMap<&str, Value> =
        params.jobs.iter().map(|(name, params)| (&**name, job(params))).collect();
    json!({ "shared": params.shared, "jobs": jobs })
}

pub fn window(window: run::Window) -> Window {
    Window { from: window.from.map(WallTime::read), to: WallTime::read(window.to) }
}

pub fn windows(coverage: &runs::Coverage) -> Windows {
    let views = |windows: Vec<run::Window>| windows.into_iter().map(window).collect();
    let jobs = coverage.by_job().map(|(job, covered, gaps)| {
        (job.to_string(), Coverage { covered: views(covered), gaps: views(gaps) })
    });
    Windows { jobs: jobs.collect() }
}

pub fn waited((workflow, ended): (WorkflowName, Ended), moment: Moment) -> WaitedRun {
    WaitedRun { workflow: workflow.to_string(), number: ended.number, ended_at: told(ended.at, moment) }
}
