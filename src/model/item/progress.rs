//! The progress documents of an item: one that all steps share, and one for each step.

use serde_json::{Map, Value};
pub use warden_api::limit::{DEPTH_MAX, PROGRESS_SIZE_MAX};
pub use warden_api::merge::Merge;

use super::{Item, ItemDetail, ItemRefusal, StepRefusal};
use crate::model::{Policy, StepName};

/// A progress document of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProgressOf {
    /// Shared by all steps.
    #[default]
    Item,
    /// Of the step that the item is at; the shared one if it is at none.
    CurrentStep,
    Step(StepName),
}

/// A change of a progress document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressChange {
    pub of: ProgressOf,
    pub to: ProgressValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressValue {
    /// Replaces the document.
    Set(Map<String, Value>),
    /// Replaces members at the top level. Null is kept.
    Assign(Map<String, Value>),
    /// A merge patch (RFC 7396).
    Merge(Merge<Map<String, Value>>),
}

impl ProgressChange {
    /// A merge patch of the shared document.
    pub const fn merge(patch: Merge<Map<String, Value>>) -> Self {
        Self { of: ProgressOf::Item, to: ProgressValue::Merge(patch) }
    }

    /// How many bytes of JSON it adds at most.
    pub fn size(&self) -> usize {
        match &self.to {
            ProgressValue::Set(members)
            | ProgressValue::Assign(members)
            | ProgressValue::Merge(Merge::Change(members)) => size(members),
            ProgressValue::Merge(Merge::Clear) => 0,
        }
    }
}

/// Checks size and depth of a progress document.
pub fn check_progress(progress: &Map<String, Value>) -> Result<(), ItemRefusal> {
    // Nearly every create has none.
    if progress.is_empty() {
        return Ok(());
    }
    check_size(size(progress))?;
    let below = |value| check_depth(value, DEPTH_MAX - 1);
    progress.values().try_for_each(below)
}

fn size(progress: &Map<String, Value>) -> usize {
    serde_json::to_vec(progress).map_or(usize::MAX, |text| text.len())
}

fn check_size(size: usize) -> Result<(), ItemRefusal> {
    if size > PROGRESS_SIZE_MAX { Err(ItemRefusal::Progress(size)) } else { Ok(()) }
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

impl ItemDetail {
    /// The progress document of a step; empty if there is none.
    pub fn progress_of(&self, step: &str) -> Map<String, Value> {
        self.step_progress.get(step).cloned().unwrap_or_default()
    }
}

impl Item {
    /// A progress document; empty if there is none.
    pub fn progress_of(&self, document: &ProgressOf) -> Map<String, Value> {
        let detail = self.detail();
        let step = match document {
            ProgressOf::Item => None,
            ProgressOf::CurrentStep => self.step.as_ref(),
            ProgressOf::Step(step) => Some(step),
        };
        step.map_or_else(|| detail.progress.clone(), |step| detail.progress_of(step))
    }

    /// Whether the item has this document. The step that it is at, or that has a document already, need not
    /// be one that its workflow names.
    pub fn check_progress_of(&self, document: &ProgressOf, policy: &Policy) -> Result<(), StepRefusal> {
        match document {
            ProgressOf::Step(step)
                if self.step.as_ref() == Some(step) || self.detail().step_progress.contains_key(step) =>
            {
                Ok(())
            }
            ProgressOf::Step(step) => self.check_step_name(step, policy),
            ProgressOf::Item | ProgressOf::CurrentStep => Ok(()),
        }
    }

    /// Changes a progress document; on an error nothing is changed. Does not count as a change of the item by
    /// itself.
    pub(super) fn change_progress(&mut self, change: ProgressChange) -> Result<(), ItemRefusal> {
        let step = match change.of {
            ProgressOf::Item => None,
            ProgressOf::CurrentStep => self.step.clone(),
            ProgressOf::Step(step) => Some(step),
        };
        let detail = self.detail();
        let before = match &step {
            Some(step) => detail.progress_of(step),
            None => detail.progress.clone(),
        };
        let progress = changed(before, change.to);
        check_progress(&progress)?;
        let others = detail.step_progress.iter().filter(|(name, _)| Some(*name) != step.as_ref());
        let others: usize = others.map(|(_, document)| size(document)).sum();
        let shared = if step.is_some() { size(&detail.progress) } else { 0 };
        // A document alone may use the whole limit. An empty shared one counts for nothing.
        let together = size(&progress) + others + if shared > 2 { shared } else { 0 };
        check_size(together)?;
        let detail = self.detail.get_or_insert_default();
        match step {
            Some(step) if progress.is_empty() => drop(detail.step_progress.remove(&step)),
            Some(step) => drop(detail.step_progress.insert(step, progress)),
            None => detail.progress = progress,
        }
        Ok(())
    }
}

fn changed(before: Map<String, Value>, to: ProgressValue) -> Map<String, Value> {
    match to {
        ProgressValue::Set(progress) => progress,
        ProgressValue::Assign(members) => {
            let mut progress = before;
            progress.extend(members);
            progress
        }
        ProgressValue::Merge(Merge::Clear) => Map::new(),
        ProgressValue::Merge(Merge::Change(patch)) => {
            let mut progress = Value::Object(before);
            json_patch::merge(&mut progress, &Value::Object(patch));
            match progress {
                Value::Object(progress) => progress,
                _ => Map::new(),
            }
        }
    }
}
