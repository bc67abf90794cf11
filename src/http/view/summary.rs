//! What a choice of items amounts to, as clients are shown it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::WallTime;
use crate::model::{ItemState, StepName, Summary, WorkflowName};

/// The figures of a choice of items.
#[derive(Debug, Serialize, ToSchema)]
pub struct SummaryView {
    count: u64,
    /// Of the payloads that are still kept.
    bytes: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_created_at: Option<WallTime>,
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_deadline: Option<WallTime>,
    #[schema(value_type = BTreeMap<String, u64>)]
    by_workflow: BTreeMap<WorkflowName, u64>,
    /// The empty name stands for items without a step.
    by_step: BTreeMap<String, u64>,
    /// Items at steps beyond the first thousand, which are not told apart any more.
    other_steps: u64,
    #[schema(value_type = BTreeMap<String, u64>)]
    by_state: BTreeMap<ItemState, u64>,
}

impl From<Summary> for SummaryView {
    fn from(summary: Summary) -> Self {
        let name = |step: Option<StepName>| step.map(|step| step.to_string()).unwrap_or_default();
        Self {
            count: summary.count,
            bytes: summary.bytes,
            oldest_created_at: WallTime::of_some(summary.oldest_created_at, summary.at),
            oldest_deadline: WallTime::of_some(summary.oldest_deadline, summary.at),
            by_workflow: summary.by_workflow,
            by_step: summary.by_step.into_iter().map(|(step, count)| (name(step), count)).collect(),
            other_steps: summary.other_steps,
            by_state: summary.by_state,
        }
    }
}
