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

mod command;
mod document;
mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod holdings;
mod listing;
pub mod log;
pub mod memory;
pub mod record;
pub mod sled;

pub use command::{Claim, Command, Creation, DELIVERIES_MAX, Growth, Outcome, REPLAY_CHUNKS_MAX};
pub use document::{Document, DocumentId, DocumentOrder, DocumentSet, ListDocuments, of_kind};
pub use feed::{Change, Observer};
pub use listing::{DELIVERIES_SCAN_MAX, SCAN_MAX};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::model::{
    ClockAnchor, Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, Item, ItemFilter, ItemKey,
    ItemNumber, Moment, Order, Page, Position, ReplayChunk, ReplayId,
};

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
    /// Tells the observer what is stored: every document that is told, in the order of [`DocumentSet::TOLD`], then
    /// every item as a change from nothing; and from then on every change. Called once, before the first
    /// [`Store::apply`].
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

    /// Carries one command out, and completes when it is durable.
    fn apply_one(&self, command: Command) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        let applied = self.apply(vec![command]);
        Box::pin(async { Ok(applied.await?.pop().unwrap_or(Outcome::Unknown)) })
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

    /// The document with this id.
    fn document(&self, id: DocumentId) -> BoxFuture<'_, Result<Option<Document>, StoreError>>;

    /// Several documents. A set of which only the ids begin to be read costs what is returned of it.
    fn documents(&self, question: ListDocuments) -> BoxFuture<'_, Result<Vec<Document>, StoreError>>;

    /// What ties steady time to the wall clock, if it was ever written.
    fn clock(&self) -> BoxFuture<'_, Result<Option<ClockAnchor>, StoreError>> {
        let read = self.document(DocumentId::Clock);
        Box::pin(async { Ok(read.await?.and_then(|document| document.try_into().ok())) })
    }

    fn incident(&self, id: IncidentId) -> BoxFuture<'_, Result<Option<Incident>, StoreError>> {
        let read = self.document(DocumentId::Incident(id));
        Box::pin(async { Ok(read.await?.and_then(|document| document.try_into().ok())) })
    }

    /// At most `limit` incidents, the newest first, older than `before`.
    fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Incident>, StoreError>> {
        let order = DocumentOrder::Descending { below: before.map(DocumentId::Incident) };
        let read = self.documents(ListDocuments { of: DocumentSet::Incidents, order, limit });
        Box::pin(async { Ok(of_kind(read.await?)) })
    }

    /// The deliveries of an incident, by their ids.
    fn deliveries(&self, incident: IncidentId) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        let read = self.documents(ListDocuments::all(DocumentSet::DeliveriesOf(incident)));
        Box::pin(async { Ok(of_kind(read.await?)) })
    }

    /// A chunk of a replay's selection.
    fn replay_chunk(
        &self,
        replay: ReplayId,
        index: u32,
    ) -> BoxFuture<'_, Result<Option<ReplayChunk>, StoreError>> {
        let read = self.document(DocumentId::ReplayChunk(replay, index));
        Box::pin(async { Ok(read.await?.and_then(|document| document.try_into().ok())) })
    }

    /// The delivery with this id. An engine may have to look through the ids of all to find it, which takes milliseconds
    /// for each ten thousand: it is for what people ask now and then.
    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>>;

    /// A page of deliveries, the newest first. Besides the ids of all, as for [`Store::delivery`], an engine may have to
    /// read at most [`DELIVERIES_SCAN_MAX`] deliveries whole to find those that are asked for.
    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>>;

    /// The replays of which there are chunks and no document, by their ids: they are being made, or never were.
    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>>;

    /// How the engine is doing.
    fn status(&self) -> StoreStatus;

    /// What its files are like; it looks at the disk, so now and then.
    fn disk_use(&self) -> DiskUse;

    /// Commits what waits, takes nothing more, and lets go of the files. Blocks until that is done.
    fn close(&self);
}
