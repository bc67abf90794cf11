//! Changes of an item by its application: deadline, labels and progress.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
pub use warden_api::merge::Merge;

use super::{Item, ItemRefusal, check_labels};
use crate::model::ClockTime;

/// A JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Default)]
pub struct ItemPatch {
    pub deadline: Option<ClockTime>,
    /// Labels to set, or to remove if there is no value.
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    /// A patch of the progress document.
    pub progress: Option<Merge<Map<String, Value>>>,
}

impl Item {
    /// Applies a patch; on an error nothing is changed.
    pub fn patch(&mut self, patch: &ItemPatch) -> Result<(), ItemRefusal> {
        let labels = match &patch.labels {
            Some(Merge::Change(changes)) => {
                let mut labels = BTreeMap::clone(&self.labels);
                for (name, value) in changes {
                    match value {
                        Some(value) => labels.insert(name.clone(), value.clone()),
                        None => labels.remove(name),
                    };
                }
                check_labels(&labels)?;
                Some(labels)
            }
            Some(Merge::Clear) => Some(BTreeMap::new()),
            None => None,
        };
        let progress = match &patch.progress {
            Some(Merge::Change(changes)) => Some(self.merged_progress(changes)?),
            Some(Merge::Clear) => Some(Map::new()),
            None => None,
        };
        if let Some(progress) = progress {
            self.detail.get_or_insert_default().progress = progress;
        }
        if let Some(labels) = labels {
            self.labels = labels.into();
        }
        if let Some(deadline) = patch.deadline {
            self.deadline = deadline;
        }
        self.version += 1;
        Ok(())
    }
}
