//! Changes of an item by its application: deadline, labels, progress and the counts of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use warden_api::merge::Merge;

use super::{Item, ItemRefusal, ProgressChange, StepError, check_labels};
use crate::model::{ClockTime, Policy};

/// A change by the application or a person.
#[derive(Clone, Debug, Default)]
pub struct ItemPatch {
    /// The new deadline, which holds for later steps as well.
    pub deadline: Option<ClockTime>,
    /// Labels to set, or to remove if there is no value.
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    pub progress: Option<ProgressChange>,
    /// Counts of a run to set, or to remove if there is no value.
    pub counts: Option<Merge<BTreeMap<Arc<str>, Option<i64>>>>,
}

impl Item {
    /// Applies a patch; on an error nothing is changed.
    pub fn patch(&mut self, patch: &ItemPatch, policy: &Policy) -> Result<(), StepError> {
        let labels = match &patch.labels {
            Some(Merge::Change(changes)) => {
                let mut labels = BTreeMap::clone(&self.labels);
                for (name, value) in changes {
                    match value {
                        Some(value) => labels.insert(name.clone(), value.clone()),
                        None => labels.remove(name),
                    };
                }
                check_labels(&labels).map_err(ItemRefusal::from)?;
                Some(labels)
            }
            Some(Merge::Clear) => Some(BTreeMap::new()),
            None => None,
        };
        let counts = patch.counts.as_ref().map(|change| self.counts_after(change)).transpose()?;
        if let Some(progress) = &patch.progress {
            self.check_progress_of(&progress.of, policy)?;
            self.change_progress(progress.clone())?;
        }
        if let Some(labels) = labels {
            self.labels = labels.into();
        }
        if let Some(counts) = counts {
            self.replace_counts(counts);
        }
        if let Some(deadline) = patch.deadline {
            self.deadline = deadline;
            self.course.deadline_max = Some(deadline);
        }
        self.version += 1;
        Ok(())
    }
}
