//! Commands: what may be asked of a store, and what each does, given what is there.
//!
//! This is the one place where preconditions are judged. Engines that read and decide by themselves hand their rows
//! in as [`Rows`] and get the rules of the domain from here, so that no two of them can differ. An engine that lets
//! a server decide (SQL) would not use this; the conformance suite holds it to the same answers.

mod documents;
mod items;
mod leases;

use bytes::Bytes;

pub use self::items::Creation;
pub use self::leases::Claim;
use super::holdings::Holdings;
use super::{Change, Document, DocumentId, DocumentSet, document};
use crate::model::item::{Closing, Item, ItemPatch, ItemRefusal};
use crate::model::{
    Delivery, Incident, ItemError, ItemKey, ItemNumber, LeaseAct, LeaseId, LeaseLost, Moment, Replay,
    ReplayChunk, ReplayId, Timestamp, WorkflowName,
};

/// A change to be made. Each happens wholly or not at all.
#[derive(Clone, Debug)]
pub enum Command {
    /// Creates an item, unless it is there or was closed within its retention. One that is taken over closed is
    /// there if it is as closed, with the same payload, and in conflict if it is not closed; if its retention has run
    /// out there is nothing to be stored. No workflow is made but by the item that is its first.
    /// Outcomes: `Created`, `Exists`, `Conflict`, `AlreadyClosed`, `Done`, `TooManyWorkflows`, `StorageFull`.
    Create(Box<Creation>),
    /// Closes an item; one that was never created leaves a tombstone, which makes no workflow.
    /// Outcomes: `Closed`, `AlreadyClosed`, `Unknown`.
    Close { key: ItemKey, closing: Closing },
    /// Changes an open item, if `if_version` is absent or its version.
    /// Outcomes: `Changed`, `AlreadyClosed`, `Unknown`, `VersionMismatch`, `Refused`, `StorageFull`.
    Patch { key: ItemKey, patch: ItemPatch, if_version: Option<u64>, now: Timestamp },
    /// Adds an error to an open item; one whose id the item has already changes nothing.
    /// Outcomes: `Changed`, `AlreadyClosed`, `Unknown`, `Refused`, `StorageFull`.
    Report { key: ItemKey, error: Box<ItemError> },
    /// Leases an item, provided that it matches the filter, nobody else holds it, and it waits for nothing. The
    /// token of the lease is larger than any before.
    /// Outcomes: `Changed`, `NotClaimable`.
    Claim(Box<Claim>),
    /// Does what the holder of a lease asks for, provided that the lease holds. Repeating what ended it changes
    /// nothing. Outcomes: `Changed`, `LeaseLost`, `Refused`; and `StorageFull` for what adds errors or progress.
    ActOnLease { lease: LeaseId, act: LeaseAct, now: Moment },
    /// Sends an item that failed back to its step, and ends the wait of one that waits for its next attempt. Any
    /// other open item is left alone.
    /// Outcomes: `Changed`, `AlreadyClosed`, `Unknown`.
    Retry { key: ItemKey, now: Timestamp },
    /// Removes the record of a closed item; anything else is left alone. Outcome: `Done`.
    Forget(ItemNumber),
    /// Removes the payload of a closed item; anything else is left alone. Outcome: `Done`.
    DropPayload(ItemNumber),
    /// Writes documents together, each over the one with its id.
    /// Outcomes: `Done`; and `StorageFull` if all of them are chunks of a replay.
    Put(Vec<Document>),
    /// Removes a document with what belongs to it, if it is there.
    /// Outcomes: `Done`; `Partly` for an incident or a replay of which so much is left that the command must be
    /// repeated; `WorkflowInUse` for a workflow that still has an item, a closed one included, or an open incident.
    Remove(DocumentId),
}

/// The most deliveries that one incident commits at once, so that no command is large.
pub const DELIVERIES_MAX: usize = 32;
/// The most chunks of a replay that are written at once, for the same reason.
pub const REPLAY_CHUNKS_MAX: usize = 288;

impl Command {
    /// Writes one document.
    pub fn put(document: impl Into<Document>) -> Self {
        Self::Put(vec![document.into()])
    }

    /// Writes an incident together with the deliveries that tell about it; at most [`DELIVERIES_MAX`].
    pub fn put_incident(incident: Incident, deliveries: Vec<Delivery>) -> Self {
        let deliveries = deliveries.into_iter().map(Document::from);
        Self::Put([incident.into()].into_iter().chain(deliveries).collect())
    }

    /// Writes a replay together with chunks that have changed; at most [`REPLAY_CHUNKS_MAX`].
    pub fn put_replay(replay: Replay, chunks: Vec<ReplayChunk>) -> Self {
        let id = replay.id.clone();
        Self::Put([replay.into()].into_iter().chain(document::chunks(&id, chunks)).collect())
    }

    /// Writes chunks of a replay that is being made; at most [`REPLAY_CHUNKS_MAX`]. The replay is there when its
    /// own document is.
    pub fn put_replay_chunks(replay: &ReplayId, chunks: Vec<ReplayChunk>) -> Self {
        Self::Put(document::chunks(replay, chunks).collect())
    }

    /// The documents that it writes.
    pub fn documents(&self) -> &[Document] {
        match self {
            Self::Put(documents) => documents,
            _ => &[],
        }
    }

    /// How much more space it may need than it frees.
    pub fn growth(&self) -> Growth {
        match self {
            Self::Create(_) => Growth::Items,
            Self::Put(documents)
                if documents.iter().all(|document| matches!(document, Document::ReplayChunk(..))) =>
            {
                Growth::Items
            }
            Self::Report { .. } => Growth::Detail,
            Self::Patch { patch, .. } if patch.labels.is_some() || patch.progress.is_some() => Growth::Detail,
            Self::ActOnLease { act, .. } if act.grows() => Growth::Detail,
            _ => Growth::None,
        }
    }
}

/// How much more space a command may need than it frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Hardly any. These commands go on while the disk is full.
    None,
    /// Progress, labels or an error of an item that is there. Refused when the reserve is nearly used up.
    Detail,
    /// New items, and the selections of replays. Refused first.
    Items,
}

/// What became of a command. Unless it says that something was written, nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Created(Box<Item>),
    /// The item is there already, with the same payload.
    Exists(Box<Item>),
    /// The item is there already, with another payload.
    Conflict(Box<Item>),
    Closed(Box<Item>),
    /// The item is closed and remembered.
    AlreadyClosed(Box<Item>),
    Changed(Box<Item>),
    /// There is no such item. After a close a tombstone keeps its id from being created late.
    Unknown,
    /// The item has another version, this one.
    VersionMismatch(u64),
    /// The change would break a limit.
    Refused(ItemRefusal),
    /// The item is gone, held by somebody, waits, or does not match.
    NotClaimable,
    /// The lease does not hold.
    LeaseLost(LeaseLost),
    /// This workflow would be made with the item, and there are too many.
    TooManyWorkflows(WorkflowName),
    /// Something is left of the workflow.
    WorkflowInUse,
    /// The disk has no room for what the command may add.
    StorageFull,
    Done,
    /// A part is done; the same command again does the next part.
    Partly,
}

/// Whether an item's progress, errors or steps have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Changed,
    Same,
}

/// Rows as an engine has them: what was written shows in what is read next.
pub(super) trait Rows {
    type Error;

    /// A number that no item has had.
    fn next_number(&mut self) -> Result<ItemNumber, Self::Error>;
    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, Self::Error>;
    /// The number of the item that clients call by this key.
    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, Self::Error>;
    /// The number of the item that was made under an `Idempotency-Key`.
    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, Self::Error>;
    /// Adds an item with its names, and its payload if it has one.
    fn insert_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), Self::Error>;
    /// Writes a changed item over the old one; its detail, which may be large, only where that has changed.
    fn update_item(&mut self, item: &Item, detail: Detail) -> Result<(), Self::Error>;
    /// Removes an item's payload, if it is there.
    fn remove_payload(&mut self, item: &Item) -> Result<(), Self::Error>;
    /// Removes an item with its names; its payload is gone already.
    fn remove_item(&mut self, item: &Item) -> Result<(), Self::Error>;
    /// Counts for each workflow, which are kept up to date here.
    fn holdings(&mut self) -> &mut Holdings;
    /// Writes a document over the one with its id.
    fn put(&mut self, document: &Document) -> Result<(), Self::Error>;
    /// Removes a document; whether it was there.
    fn remove(&mut self, id: &DocumentId) -> Result<bool, Self::Error>;
    /// The first ids of a set, at most so many.
    fn ids(&mut self, set: &DocumentSet, limit: usize) -> Result<Vec<DocumentId>, Self::Error>;
}

/// Carries one command out on the rows and notes what changed.
pub(super) fn settle<R: Rows>(
    command: Command,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    match command {
        Command::Create(creation) => items::create(*creation, rows, changes),
        Command::Close { key, closing } => items::close(key, closing, rows, changes),
        Command::Patch { key, patch, if_version, now } => items::change(&key, now, rows, changes, |item| {
            if if_version.is_some_and(|version| version != item.version) {
                return Err(Outcome::VersionMismatch(item.version));
            }
            item.patch(&patch).map_err(Outcome::Refused)
        }),
        Command::Report { key, error } => items::change(&key, error.at, rows, changes, |item| {
            if item.has_error(&error.id) {
                return Err(Outcome::Changed(Box::new(item.clone())));
            }
            item.report(*error).map_err(Outcome::Refused)
        }),
        Command::Retry { key, now } => items::change(&key, now, rows, changes, |item| {
            if item.retry() { Ok(()) } else { Err(Outcome::Changed(Box::new(item.clone()))) }
        }),
        Command::Forget(number) => items::forget_closed(number, rows, changes),
        Command::DropPayload(number) => items::drop_payload(number, rows, changes),
        Command::Claim(claim) => leases::claim(*claim, rows, changes),
        Command::ActOnLease { lease, act, now } => leases::act(lease, act, now, rows, changes),
        Command::Put(documents) => {
            documents.into_iter().try_for_each(|document| documents::put(document, rows, changes))?;
            Ok(Outcome::Done)
        }
        Command::Remove(id) => documents::remove(id, rows, changes),
    }
}
