//! Steps of a workflow, or of one item.

use std::time::Duration;

use serde::{Deserialize, Serialize};
pub use warden_api::word::OnIgnorable;

use super::StepName;
use super::retry::RetryTerms;

/// A stage of the work on an item. What a step leaves open is the workflow's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: StepName,
    /// The deadline of an item from entering it; never later than the item's own.
    #[serde(default)]
    pub deadline: Option<Duration>,
    #[serde(default)]
    pub retry: RetryTerms,
    /// How many leases may run out at it. With one more the item fails, since it may be what ends its
    /// workers. [`u32::MAX`] for any number.
    #[serde(default)]
    pub losses_max: Option<u32>,
    /// What an ignorable error does.
    #[serde(default)]
    pub on_ignorable: OnIgnorable,
}

impl Step {
    /// A step with the terms of its workflow.
    pub const fn named(name: StepName) -> Self {
        Self {
            name,
            deadline: None,
            retry: RetryTerms { max: None, backoff: None, jitter: None },
            losses_max: None,
            on_ignorable: OnIgnorable::Skip,
        }
    }
}
