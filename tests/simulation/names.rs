//! Checks of workflow names: everything belongs to an existing workflow, and an empty one does not stay.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use warden::model::{Item, Timestamp, WorkflowName};
use warden::store::engine::memory::MemoryStore;
use warden::warden::Warden;

use crate::documents::ReadDocuments as _;
use crate::runs::RUN_WORKFLOWS;
use crate::watch::items;
use crate::world::{MADE_UP_MAX, WORKFLOWS};

/// The names that are stored.
pub fn names(store: &MemoryStore) -> BTreeSet<WorkflowName> {
    let workflows = store.workflows().now_or_never().expect("memory never waits");
    workflows.expect("memory never fails").into_iter().map(|workflow| workflow.name).collect()
}

fn is_configured(name: &WorkflowName) -> bool {
    WORKFLOWS.iter().chain(&RUN_WORKFLOWS).any(|configured| *configured == &**name)
}

/// Holds the names against the items that are stored with them.
pub fn check(store: &MemoryStore, now: Timestamp) -> Result<(), String> {
    let names = names(store);
    if names.len() > MADE_UP_MAX {
        return Err(format!("{names:?} are more workflows than there may be"));
    }
    let is_there = |item: &Item| is_configured(&item.workflow) || names.contains(&item.workflow);
    // Somebody created it; what was closed before anybody did need not be of any workflow.
    match items(store, now).iter().filter(|item| item.payload.is_some()).find(|item| !is_there(item)) {
        Some(Item { workflow, id, .. }) => Err(format!("{workflow} {id} is of a workflow that is not there")),
        None => Ok(()),
    }
}

/// Holds the names against what the daemon knows of them.
pub fn check_known(store: &MemoryStore, warden: &Warden) -> Result<(), String> {
    let stored = names(store);
    let known: BTreeSet<WorkflowName> = warden.workflows.created_on_first_use().into_iter().collect();
    if known == stored {
        return Ok(());
    }
    Err(format!("the daemon knows {known:?} as made on first use, and stored are {stored:?}"))
}

/// Looks for what is there still though everything has come to its end long ago.
pub fn check_gone(store: &MemoryStore, warden: &Warden) -> Result<(), String> {
    if let Some(name) = names(store).first() {
        return Err(format!("{name} is there still, and nothing is left of it"));
    }
    let tallies = warden.queries.tallies();
    match tallies.iter().find(|(name, _)| !is_configured(name)) {
        Some((name, tally)) => Err(format!("of {name} nothing is left, and it has figures: {tally:?}")),
        None => Ok(()),
    }
}
