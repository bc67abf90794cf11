//! Documents of aggregate counts.

use std::sync::Arc;

use super::told;
use crate::model::{StepName, Summary};

impl From<Summary> for warden_api::item::Summary {
    fn from(summary: Summary) -> Self {
        let at = |steady| told(steady, summary.at);
        let name = |step: Option<StepName>| step.map(Arc::from).unwrap_or_default();
        Self {
            count: summary.count,
            bytes: summary.bytes,
            oldest_created_at: summary.oldest_created_at.map(at),
            oldest_deadline: summary.oldest_deadline.map(at),
            by_workflow: summary.by_workflow.into_iter().map(|(name, count)| (name.into(), count)).collect(),
            by_step: summary.by_step.into_iter().map(|(step, count)| (name(step), count)).collect(),
            other_steps: summary.other_steps,
            by_state: summary.by_state.into_iter().map(|(state, count)| (state.into(), count)).collect(),
        }
    }
}
