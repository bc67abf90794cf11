//! What patches and errors change of an item in the model, and what a feed says of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use warden::model::item::{ItemDetail, ItemPatch, ItemRefusal, Merge, ProgressValue, Status};
use warden::model::{IndexedItem, Item, ItemError, Timestamp};
use warden::store::Outcome;

pub fn change_by_patch(item: &mut Item, patch: &ItemPatch) -> Result<(), Outcome> {
    let mut labels =
        if patch.labels == Some(Merge::Clear) { BTreeMap::new() } else { BTreeMap::clone(&item.labels) };
    let changes = match &patch.labels {
        Some(Merge::Change(changes)) => changes.clone(),
        _ => BTreeMap::new(),
    };
    for (name, value) in &changes {
        if name.contains(' ') && value.is_some() {
            // The one sort of bad label in these stories; the words of the refusal are the store's.
            return Err(Outcome::Refused(ItemRefusal::Labels(String::new())));
        }
        labels.remove(name);
        labels.extend(value.clone().map(|value| (name.clone(), value)));
    }
    item.labels = labels.into();
    item.deadline = patch.deadline.unwrap_or(item.deadline);
    item.course.deadline_max = patch.deadline.or(item.course.deadline_max);
    match patch.progress.as_ref().map(|change| &change.to) {
        Some(ProgressValue::Merge(Merge::Change(changes))) => {
            merge(&mut item.detail.get_or_insert_default().progress, changes);
        }
        Some(ProgressValue::Merge(Merge::Clear)) => item.detail.get_or_insert_default().progress.clear(),
        Some(other) => panic!("no patch has {other:?}"),
        None => {}
    }
    Ok(())
}

/// RFC 7396.
fn merge(target: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, change) in changes {
        match change {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(changes) => {
                let old = target.remove(name).unwrap_or_default();
                let mut inner = old.as_object().cloned().unwrap_or_default();
                merge(&mut inner, changes);
                target.insert(name.clone(), Value::Object(inner));
            }
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

pub fn add_error(item: &mut Item, error: &ItemError) {
    if error.fatal {
        item.failed_at = item.failed_at.or(Some(error.at));
    }
    let step = item.step.clone();
    let detail: &mut ItemDetail = item.detail.get_or_insert_default();
    detail.errors.push(ItemError { step, ..error.clone() });
    if detail.errors.len() > 20 {
        detail.errors.remove(0);
    }
}

pub fn indexed(item: &Item) -> IndexedItem {
    let status = match item.closed {
        Some(closed) => Status::Closed {
            at: closed.at,
            outcome: closed.outcome,
            record_until: closed.record_until,
            payload_until: (item.payload.is_some() && closed.payload_until > closed.at)
                .then_some(closed.payload_until),
        },
        None if item.failed_at.is_some() => Status::Failed,
        None => Status::Open,
    };
    IndexedItem {
        number: item.number,
        workflow: item.workflow.clone(),
        created_at: item.payload.as_ref().map(|_| item.created_at),
        labels: item.labels.clone(),
        step: item.step.clone(),
        deadline: item.deadline,
        attempts: item.work.attempts,
        free_at: item.free_at(),
        interrupted_until: item
            .course
            .interruption
            .filter(|_| status == Status::Open)
            .map(|it| it.until.unwrap_or(Timestamp::MAX)),
        failed_at: item.failed_at,
        status,
    }
}
