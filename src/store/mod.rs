//! The store: what must survive.
//!
//! It speaks the domain, not keys and values. Its unit is a list of [`Command`]s with an [`Outcome`] each; every
//! command happens wholly or not at all, and all are durable when [`Store::apply`] returns. There is no flush to
//! forget.
//!
//! Invariants that every engine keeps, and that one conformance suite checks:
//!
//! * An outcome that says something was written means that it is on disk.
//! * Commands take effect in one order; within one list, in the list's order. The [`Observer`] is told of every
//!   change in that order, after it is durable and before the answer goes out. State derived from it is therefore
//!   never behind an answer and never out of order.
//! * An error is either *nothing was written* or *the outcome is unknown*. After the second kind the engine
//!   acknowledges nothing more; no sync is ever retried.
//! * Item numbers grow and are never used twice, across restarts as well.
//!
//! Deliberately absent: timers, counters and the set of overdue items. They are derived from the feed of changes.
//! Reads may see a change an instant before it is durable; an acknowledgement never does.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod holdings;
mod listing;
pub mod log;
pub mod memory;
pub mod record;
mod settle;
pub mod sled;

pub use listing::{DELIVERIES_SCAN_MAX, SCAN_MAX};
pub use settle::Growth;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::model::item::{Closing, ItemPatch, ItemRefusal};
use crate::model::{
    ClockAnchor, ClockTime, Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, Item, ItemError,
    ItemFilter, ItemKey, ItemNumber, Labels, LeaseAct, LeaseId, LeaseLost, Moment, Order, Page, PayloadInfo,
    Position, Progress, Replay, ReplayChunk, ReplayId, Restored, Silence, SilenceId, Standing, StepName,
    Timestamp, Workflow, WorkflowName,
};

/// An item to be created.
#[derive(Clone, Debug)]
pub struct Creation {
    /// What clients will call it by.
    pub key: ItemKey,
    /// The digest of the client's `Idempotency-Key`: a second creation with the same one finds the first item,
    /// whatever its id.
    pub idempotency_key: Option<[u8; 32]>,
    /// Now.
    pub created_at: Timestamp,
    /// By when it must be closed.
    pub deadline: ClockTime,
    /// Names and values to find it by, within the limits of [`crate::model::item`].
    pub labels: Labels,
    /// The step it starts at.
    pub step: Option<StepName>,
    /// The bytes, in memory of their own: an engine may keep them as they are, and with a part of something larger it would keep
    /// the whole.
    pub payload: Bytes,
    /// What is known of the bytes; must agree with them, unless they went when the item was closed.
    pub info: PayloadInfo,
    /// What it has been through already, if it is taken over from elsewhere.
    pub restored: Option<Box<Restored>>,
    /// Whether its workflow is one that is made on first use: it is noted together with the item unless it is there, or so
    /// many are already.
    pub notes_workflow: Option<usize>,
}

/// An item to be leased.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The item.
    pub number: ItemNumber,
    /// What must be true of it.
    pub filter: Arc<ItemFilter>,
    /// Who claims it; at most [`crate::model::lease::WORKER_MAX`] bytes.
    pub worker: Arc<str>,
    /// Until when.
    pub expires_at: Timestamp,
    /// Whether it is also claimed if it waits for its next attempt.
    pub ignores_wait: bool,
    /// Now.
    pub now: Moment,
}

/// A change to be made. Each happens wholly or not at all.
#[derive(Clone, Debug)]
pub enum Command {
    /// Creates an item, unless it is there or was closed within its retention. One that is taken over closed is there if
    /// it is as closed, with the same payload, and in conflict if it is not closed; if its retention has run out there is
    /// nothing left to be remembered. No workflow is noted but by the item that makes it.
    /// Outcomes: `Created`, `Exists`, `Conflict`, `AlreadyClosed`, `Done`, `TooManyWorkflows`, `StorageFull`.
    Create(Box<Creation>),
    /// Closes an item; one that was never created leaves a tombstone, which notes no workflow.
    /// Outcomes: `Closed`, `AlreadyClosed`, `Unknown`.
    Close {
        /// The item.
        key: ItemKey,
        /// How, when, and what is kept.
        closing: Closing,
    },
    /// Changes an open item.
    /// Outcomes: `Changed`, `AlreadyClosed`, `Unknown`, `VersionMismatch`, `Refused`, `StorageFull`.
    Patch {
        /// The item.
        key: ItemKey,
        /// What to change.
        patch: ItemPatch,
        /// Change only this version.
        if_version: Option<u64>,
        /// Now.
        now: Timestamp,
    },
    /// Adds an error to an open item; one whose id the item has already changes nothing.
    /// Outcomes: `Changed`, `AlreadyClosed`, `Unknown`, `Refused`, `StorageFull`.
    Report {
        /// The item.
        key: ItemKey,
        /// The error.
        error: Box<ItemError>,
    },
    /// Leases an item, provided that it is as its filter says, nobody else holds it, and it waits for nothing. The lease's
    /// token is larger than any before.
    /// Outcomes: `Changed`, `NotClaimable`.
    Claim(Box<Claim>),
    /// Does what the holder of a lease asks for, provided that the lease holds. Repeating what ended it changes nothing.
    /// Outcomes: `Changed`, `LeaseLost`, `Refused`; and `StorageFull` for what adds errors or progress.
    ActOnLease {
        /// The lease.
        lease: LeaseId,
        /// What its holder asks for.
        act: LeaseAct,
        /// Now.
        now: Moment,
    },
    /// Sends an item that failed back to its step, and has one that waits for its next attempt wait no longer. Any other
    /// open item is left alone.
    /// Outcomes: `Changed`, `AlreadyClosed`, `Unknown`.
    Retry {
        /// The item.
        key: ItemKey,
        /// Now.
        now: Timestamp,
    },
    /// Removes the record of a closed item; anything else is left alone. Outcome: `Done`.
    Forget(ItemNumber),
    /// Removes the payload of a closed item; anything else is left alone. Outcome: `Done`.
    DropPayload(ItemNumber),
    /// Forgets that a workflow was made on first use, provided that nothing else is left of it: no item, be it closed, and no
    /// open incident. Outcomes: `Done`, `WorkflowInUse`.
    ForgetWorkflow(WorkflowName),
    /// Writes an incident and the deliveries that tell about it, together. Outcome: `Done`.
    CommitIncident {
        /// The incident as it stands now.
        incident: Box<Incident>,
        /// What is to be told; at most [`DELIVERIES_MAX`].
        deliveries: Vec<Delivery>,
    },
    /// Writes how far a delivery has come. Outcome: `Done`.
    RecordDelivery(Box<Delivery>),
    /// Writes a silence. Outcome: `Done`.
    PutSilence(Box<Silence>),
    /// Removes a silence. Outcome: `Done`.
    ForgetSilence(SilenceId),
    /// Shows that commits go through; nothing is ever made of it. Outcome: `Done`.
    Probe(Timestamp),
    /// Writes what ties steady time to the wall clock. Outcome: `Done`.
    PutClock(Box<ClockAnchor>),
    /// Removes an incident and its deliveries. Outcome: `Done`, or `Partly` when it must be said again.
    ForgetIncident(IncidentId),
    /// Writes how far what is expected of a workflow has come to pass. Outcome: `Done`.
    PutProgress {
        /// The workflow.
        workflow: WorkflowName,
        /// What is known.
        progress: Box<Progress>,
    },
    /// Removes it. Outcome: `Done`.
    ForgetProgress(WorkflowName),
    /// Writes chunks of the selection of a replay that is being made. It is there when its document is.
    /// Outcomes: `Done`, `StorageFull`.
    PutReplayChunks {
        /// The replay.
        replay: ReplayId,
        /// The chunks; at most [`REPLAY_CHUNKS_MAX`].
        chunks: Vec<ReplayChunk>,
    },
    /// Writes a replay and chunks that have changed with it, together. Outcome: `Done`.
    PutReplay {
        /// The replay as it stands now.
        replay: Box<Replay>,
        /// The chunks; at most [`REPLAY_CHUNKS_MAX`].
        chunks: Vec<ReplayChunk>,
    },
    /// Removes a replay and its chunks, or the chunks of one that was never made. Outcome: `Done`, or `Partly` when it
    /// must be said again.
    ForgetReplay(ReplayId),
}

/// The most deliveries that one incident commits at once, so that no command is large.
pub const DELIVERIES_MAX: usize = 32;
/// The most chunks of a replay that are written at once, for the same reason.
pub const REPLAY_CHUNKS_MAX: usize = 288;

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The item was created.
    Created(Box<Item>),
    /// It is there already, with the same payload; nothing changed.
    Exists(Box<Item>),
    /// It is there already, with another payload; nothing changed.
    Conflict(Box<Item>),
    /// The item was closed.
    Closed(Box<Item>),
    /// The item is closed and remembered; nothing changed.
    AlreadyClosed(Box<Item>),
    /// The item was changed.
    Changed(Box<Item>),
    /// There is no such item. After a close a tombstone keeps its id from being created late.
    Unknown,
    /// The item has another version, this one; nothing changed.
    VersionMismatch(u64),
    /// The change would break a limit; nothing changed.
    Refused(ItemRefusal),
    /// The item is gone, held by somebody, waits, or is not as was asked; nothing changed.
    NotClaimable,
    /// The lease holds no longer; nothing changed.
    LeaseLost(LeaseLost),
    /// This workflow would be noted with the item, and too many are; nothing changed.
    TooManyWorkflows(WorkflowName),
    /// Something is left of the workflow; nothing changed.
    WorkflowInUse,
    /// The disk has no room for what the command may add; nothing changed.
    StorageFull,
    /// It is done.
    Done,
    /// A part is done; the same command again does the next part.
    Partly,
}

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting; nothing was written.
    #[error("too many changes are waiting for the disk")]
    Overloaded,
    /// The store is closing; nothing was written.
    #[error("the store is closing")]
    Closing,
    /// The engine failed; whether anything was written is unknown. Nothing is acknowledged from now on.
    #[error("the store failed: {0}")]
    Fatal(Arc<str>),
}

/// A change that is durable.
#[expect(clippy::large_enum_variant, reason = "nearly all changes are of items")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// What an item's standing was and what it is.
    Item {
        /// Before; nothing when the item is new.
        before: Option<Standing>,
        /// After; nothing when the item is forgotten.
        after: Option<Standing>,
    },
    /// A workflow was made by its first item, of which is told next.
    WorkflowNoted(Workflow),
    /// It is forgotten, since nothing was left of it.
    WorkflowForgotten(WorkflowName),
}

/// Somebody who derives state from what is committed.
pub trait Observer: Send + Sync + 'static {
    /// Takes durable changes, in the order in which they took effect. Called by one thread at a time, the committing one once it
    /// is attached: it must not wait for the store.
    fn committed(&self, changes: &[Change]);
}

/// A question for a list of items.
#[derive(Clone, Debug)]
pub struct ListItems {
    /// Which.
    pub filter: ItemFilter,
    /// In which order.
    pub order: Order,
    /// After which place.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: usize,
    /// What states are judged by.
    pub now: Moment,
}

/// A question for a list of deliveries, the newest first.
#[derive(Clone, Debug, Default)]
pub struct ListDeliveries {
    /// Those that have come so far; any if none is named.
    pub status: Option<DeliveryStatus>,
    /// Those to this receiver; to any if none is named.
    pub receiver: Option<Arc<str>>,
    /// Those older than this one, which need not be there any more.
    pub before: Option<DeliveryId>,
    /// How many at most.
    pub limit: usize,
}

/// A page of deliveries, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryPage {
    /// What was found. It may be less than the limit, even nothing, although more follows.
    pub data: Vec<Delivery>,
    /// Where to go on; nothing at the end.
    pub next: Option<DeliveryId>,
}

/// How the engine is doing, as it remembers; asked several times a second.
#[derive(Clone, Debug, Default)]
pub struct StoreStatus {
    /// Why nothing is acknowledged any more, if so.
    pub fatal: Option<Arc<str>>,
    /// Whether creates are refused for want of space.
    pub full: bool,
    /// How long the commit that is under way has taken so far.
    pub busy_for: Duration,
    /// Commands that wait for the committing thread.
    pub waiting: usize,
    /// Bytes that the file system has left for us.
    pub disk_free: u64,
    /// Bytes of memory for what is durable in a log, and has yet to be moved to where it stays.
    pub recent: u64,
    /// Whether nothing is left to be moved or cleared away.
    pub settled: bool,
    /// Groups committed since the start.
    pub commits: u64,
    /// Commands committed since the start.
    pub commands: u64,
}

/// What an engine finds when it looks at its files.
#[derive(Clone, Debug, Default)]
pub struct DiskUse {
    /// Bytes on disk, without the reserve.
    pub used: u64,
    /// Bytes of a file that holds nothing, and is given up so that closes go on while the disk is full.
    pub reserve: u64,
    /// Things that should never be; for the log and the metrics.
    pub alarms: Vec<String>,
}

/// What every engine offers. Answers of reads are `None` or empty where there is nothing; errors are of the engine.
pub trait Store: Send + Sync + 'static {
    /// Shows the observer every workflow that is noted, then every item as a change from nothing, and from then on every
    /// change. Called once, before the first [`Store::apply`].
    ///
    /// # Errors
    /// When the stored records cannot be read.
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError>;

    /// Puts the commands in line before it returns, so that what is submitted later takes effect later. What it returns
    /// completes when all of them are durable: an outcome for each, in order.
    fn submit(&self, commands: Vec<Command>) -> BoxFuture<'static, Result<Vec<Outcome>, StoreError>>;

    /// Carries the commands out, and completes when all of them are durable: an outcome for each, in order.
    fn apply(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>> {
        self.submit(commands)
    }

    /// The item that clients call by this key.
    fn get(&self, key: ItemKey) -> BoxFuture<'_, Result<Option<Item>, StoreError>>;

    /// The items with these numbers, in their order; those that are gone are left out.
    fn items(&self, numbers: Vec<ItemNumber>) -> BoxFuture<'_, Result<Vec<Item>, StoreError>>;

    /// At most `length` bytes of an item's payload from `offset` on; nothing when it is gone.
    fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>>;

    /// A page of items.
    fn list(&self, question: ListItems) -> BoxFuture<'_, Result<Page<Item>, StoreError>>;

    /// What ties steady time to the wall clock, if it was ever written.
    fn clock(&self) -> BoxFuture<'_, Result<Option<ClockAnchor>, StoreError>>;

    /// The workflows that were made on first use, by name.
    fn workflows(&self) -> BoxFuture<'_, Result<Vec<Workflow>, StoreError>>;

    /// How far what is expected of workflows has come to pass, by workflow.
    fn progresses(&self) -> BoxFuture<'_, Result<Vec<(WorkflowName, Progress)>, StoreError>>;

    /// The incident with this id.
    fn incident(&self, id: IncidentId) -> BoxFuture<'_, Result<Option<Incident>, StoreError>>;

    /// At most `limit` incidents, the newest first, older than `before`.
    fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Incident>, StoreError>>;

    /// The deliveries of an incident, the oldest first.
    fn deliveries(&self, incident: IncidentId) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>>;

    /// The delivery with this id. An engine may have to look through the ids of all to find it, which takes milliseconds
    /// for each ten thousand: it is for what people ask now and then.
    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>>;

    /// A page of deliveries, the newest first. Besides the ids of all, as for [`Store::delivery`], an engine may have to
    /// read at most [`DELIVERIES_SCAN_MAX`] deliveries whole to find those that are asked for.
    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>>;

    /// The deliveries that are neither delivered nor dead, the oldest first.
    fn outbox(&self) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>>;

    /// All silences, by their ids.
    fn silences(&self) -> BoxFuture<'_, Result<Vec<Silence>, StoreError>>;

    /// All replays, by their ids.
    fn replays(&self) -> BoxFuture<'_, Result<Vec<Replay>, StoreError>>;

    /// A chunk of a replay's selection.
    fn replay_chunk(
        &self,
        replay: ReplayId,
        index: u32,
    ) -> BoxFuture<'_, Result<Option<ReplayChunk>, StoreError>>;

    /// The replays of which there are chunks and no document, by their ids: they are being made, or never were.
    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>>;

    /// How the engine is doing.
    fn status(&self) -> StoreStatus;

    /// What its files are like; it looks at the disk, so now and then.
    fn disk_use(&self) -> DiskUse;

    /// Commits what waits, takes nothing more, and lets go of the files. Blocks until that is done.
    fn close(&self);
}
