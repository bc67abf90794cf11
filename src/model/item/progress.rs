//! The progress document of an item.

use serde_json::{Map, Value};
pub use warden_api::limit::{DEPTH_MAX, PROGRESS_SIZE_MAX};

use super::{Item, ItemRefusal};

/// Checks size and depth of a progress document.
pub fn check_progress(progress: &Map<String, Value>) -> Result<(), ItemRefusal> {
    let size = serde_json::to_vec(progress).map_or(usize::MAX, |text| text.len());
    if size > PROGRESS_SIZE_MAX {
        return Err(ItemRefusal::Progress(size));
    }
    let below = |value| check_depth(value, DEPTH_MAX - 1);
    progress.values().try_for_each(below)
}

pub(super) fn check_depth(value: &Value, left: usize) -> Result<(), ItemRefusal> {
    let left = || left.checked_sub(1).ok_or(ItemRefusal::Depth);
    match value {
        Value::Array(values) => {
            let left = left()?;
            values.iter().try_for_each(|value| check_depth(value, left))
        }
        Value::Object(values) => {
            let left = left()?;
            values.values().try_for_each(|value| check_depth(value, left))
        }
        _ => Ok(()),
    }
}

impl Item {
    /// The progress document after a merge patch.
    pub(super) fn merged_progress(
        &self,
        changes: &Map<String, Value>,
    ) -> Result<Map<String, Value>, ItemRefusal> {
        let mut progress = Value::Object(self.detail().progress.clone());
        json_patch::merge(&mut progress, &Value::Object(changes.clone()));
        let Value::Object(progress) = progress else { return Ok(Map::new()) };
        check_progress(&progress)?;
        Ok(progress)
    }
}
