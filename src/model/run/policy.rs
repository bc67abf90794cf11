//! What a workflow asks of its runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::window::WindowPolicy;
use super::{JobName, JobParams, RunParams, Single, Unmet, Window};
use crate::model::{Timestamp, WorkflowName};

/// The policy of a workflow for its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPolicy {
    /// Whether every item of the workflow is a run, rather than only those that a request opens as runs.
    pub applies_to_items: bool,
    pub single: Single,
    pub requires: Vec<Requirement>,
    /// After so many failed runs in a row the workflow is on hold; `None` for never.
    pub hold_after: Option<u32>,
    /// The parameters that all jobs share.
    pub params: Map<String, Value>,
    pub jobs: BTreeMap<JobName, JobPolicy>,
    /// How long the ledger keeps a run after its end.
    pub retention: Duration,
    /// How many ended runs the ledger keeps.
    pub retention_max: u64,
}

/// A workflow whose latest run must have succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub workflow: WorkflowName,
    /// How long ago, at most. `None` for any time, or never.
    pub within: Option<Duration>,
    pub otherwise: Unmet,
}

/// A part of a run with a window of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPolicy {
    pub window: WindowPolicy,
    pub params: Map<String, Value>,
    /// The name of its section in a parameter file of Informatica; `None` for that of the job.
    pub section: Option<Arc<str>>,
}

impl Default for RunPolicy {
    /// The policy of a workflow that says nothing about runs.
    fn default() -> Self {
        Self {
            applies_to_items: false,
            single: Single::default(),
            requires: Vec::new(),
            hold_after: None,
            params: Map::new(),
            jobs: BTreeMap::new(),
            retention: Duration::from_secs(400 * 86_400),
            retention_max: 10_000,
        }
    }
}

impl RunPolicy {
    /// The parameters of a run that begins at `start`, by the wall clock. A backfill has its own window for
    /// every job.
    pub fn params_at(
        &self,
        watermarks: &BTreeMap<JobName, Timestamp>,
        backfill: Option<Window>,
        start: Timestamp,
    ) -> RunParams {
        let job = |(name, policy): (&JobName, &JobPolicy)| {
            let computed = || policy.window.window(watermarks.get(name).copied(), start);
            let window = backfill.unwrap_or_else(computed);
            let JobPolicy { window: WindowPolicy { reprocess, truncate, .. }, .. } = *policy;
            let (params, section) = (policy.params.clone(), policy.section.clone());
            (name.clone(), JobParams { window, params, reprocess, truncate, section })
        };
        RunParams { shared: self.params.clone(), jobs: self.jobs.iter().map(job).collect() }
    }
}
