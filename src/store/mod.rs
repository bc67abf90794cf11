//! The store: durable state.
//!
//! Its interface is in terms of the domain, not of keys and values. The unit is a list of [`Command`]s with
//! an [`Outcome`] each. Every command is atomic, and all are durable when [`Writes::apply`] returns, so there
//! is no flush.
//!
//! Invariants of every engine, checked by one conformance suite:
//!
//! * An outcome is returned after the data is synced to disk.
//! * Commands take effect in one order; those of a list in its order. The [`Observer`] gets every change in
//!   that order, after it is durable and before the outcome is returned. So derived state is never behind a
//!   response, and never out of order.
//! * An error means either *nothing was written* or *the outcome is unknown*. After the second kind the
//!   engine acknowledges nothing more; no sync is retried.
//! * Item numbers grow and are never reused, also across restarts.
//!
//! Deliberately absent: timers, counts and the overdue set. They are derived from the feed. Reads may see a
//! change shortly before it is durable; a response never does.

mod check;
mod command;
mod document;
pub mod engine;
mod error;
mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod holdings;
mod listing;
pub mod log;
pub mod record;

pub use check::{CheckError, Finding, GenerationHeld, LogHeld, Report};
pub use command::{
    ArtifactClaim, ArtifactCommand, Claim, Command, Creation, DELIVERIES_MAX, EVENTS_MAX, Growth, Outcome,
    REPLAY_CHUNKS_MAX, Registration, RunCreation, StepReport, Visible,
};
pub use document::{Document, DocumentId, DocumentOrder, DocumentSet, ListDocuments, of_kind};
pub use error::{OnDamage, OpenError, OpenErrorKind, StoreError};
pub use feed::{Change, Observer};
pub use listing::{DELIVERIES_SCAN_MAX, SCAN_MAX};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::model::{
    Artifact, ArtifactId, ClockAnchor, Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, Item,
    ItemFilter, ItemKey, ItemNumber, Moment, Order, Page, Position, ReplayChunk, ReplayId,
};

/// A query for a page of items.
#[derive(Clone, Debug)]
pub struct ListItems {
    pub filter: ItemFilter,
    pub order: Order,
    /// The end of the page before.
    pub after: Option<Position>,
    pub limit: usize,
    /// For judging states.
    pub now: Moment,
}

/// A query for a page of deliveries, the newest first.
#[derive(Clone, Debug, Default)]
pub struct ListDeliveries {
    /// `None` for all.
    pub status: Option<DeliveryStatus>,
    /// `None` for all.
    pub receiver: Option<Arc<str>>,
    /// Only those older than this one, which need not exist any more.
    pub before: Option<DeliveryId>,
    pub limit: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryPage {
    /// May be shorter than the limit, even empty, although others follow.
    pub data: Vec<Delivery>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<DeliveryId>,
}

/// The state of the engine. Cheap, as it is read several times a second.
#[derive(Clone, Debug, Default)]
pub struct StoreStatus {
    /// Why nothing is acknowledged any more.
    pub fatal: Option<Arc<str>>,
    /// Whether creates are refused for lack of space.
    pub full: bool,
    /// How long the current commit has taken so far.
    pub busy_for: Duration,
    /// Commands in the queue.
    pub waiting: usize,
    /// Bytes available in the file system.
    pub disk_free: u64,
    /// Bytes of memory for data that is durable in the log but not yet in a database.
    pub recent: u64,
    /// Whether no checkpoint or compaction is due.
    pub settled: bool,
    /// Groups since the start.
    pub commits: u64,
    /// Commands since the start.
    pub commands: u64,
}

/// What an engine finds in its files.
#[derive(Clone, Debug, Default)]
pub struct DiskUse {
    /// Bytes on disk, without the reserve.
    pub used: u64,
    /// Bytes of an empty file, which is released so that closes work while the disk is full.
    pub reserve: u64,
    /// Inconsistencies that must not occur, for the log and the metrics.
    pub alarms: Vec<String>,
}

/// What an engine provides. A service takes the part that it needs.
pub trait Store: Writes + Reads + Feed + Health {}

impl<S: Writes + Reads + Feed + Health> Store for S {}

pub trait Writes: Send + Sync + 'static {
    /// Queues the commands before it returns, so that what is submitted later takes effect later. Completes
    /// when all are durable, with an outcome for each, in their order.
    fn submit(&self, commands: Vec<Command>) -> BoxFuture<'static, Result<Vec<Outcome>, StoreError>>;

    /// Submits commands. Completes when all are durable, with an outcome for each, in their order.
    fn apply(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>> {
        self.submit(commands)
    }

    /// Submits one command.
    fn apply_one(&self, command: Command) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        let applied = self.apply(vec![command]);
        Box::pin(async { Ok(applied.await?.pop().unwrap_or(Outcome::Unknown)) })
    }

    /// Commits what is queued, accepts nothing more, and releases the files. Blocks until done.
    fn close(&self);
}

/// Reads return `None` or nothing if there is no such data.
pub trait Reads: Send + Sync + 'static {
    /// The item with this key.
    fn get(&self, key: ItemKey) -> BoxFuture<'_, Result<Option<Item>, StoreError>>;

    /// The items with these numbers, in their order, without those that are gone.
    fn items(&self, numbers: Vec<ItemNumber>) -> BoxFuture<'_, Result<Vec<Item>, StoreError>>;

    /// At most `length` bytes of an item's payload from `offset`; `None` if it is gone.
    fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>>;

    fn list(&self, question: ListItems) -> BoxFuture<'_, Result<Page<Item>, StoreError>>;

    fn document(&self, id: DocumentId) -> BoxFuture<'_, Result<Option<Document>, StoreError>>;

    /// Several documents. Reading a range of ids costs as much as what is returned.
    fn documents(&self, question: ListDocuments) -> BoxFuture<'_, Result<Vec<Document>, StoreError>>;

    /// The stored clock anchor, if there is one.
    fn clock(&self) -> BoxFuture<'_, Result<Option<ClockAnchor>, StoreError>> {
        let read = self.document(DocumentId::Clock);
        Box::pin(async { Ok(read.await?.and_then(|document| document.try_into().ok())) })
    }

    /// The artifacts with these ids, in their order, without those that are gone.
    fn artifacts(&self, ids: Vec<ArtifactId>) -> BoxFuture<'_, Result<Vec<Artifact>, StoreError>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let document = self.document(DocumentId::Artifact(id)).await?;
                found.extend(document.and_then(|document| Artifact::try_from(document).ok()));
            }
            Ok(found)
        })
    }

    fn incident(&self, id: IncidentId) -> BoxFuture<'_, Result<Option<Incident>, StoreError>> {
        let read = self.document(DocumentId::Incident(id));
        Box::pin(async { Ok(read.await?.and_then(|document| document.try_into().ok())) })
    }

    /// At most `limit` incidents older than `before`, the newest first.
    fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Incident>, StoreError>> {
        let order = DocumentOrder::Descending { below: before.map(DocumentId::Incident) };
        let read = self.documents(ListDocuments { of: DocumentSet::Incidents, order, limit });
        Box::pin(async { Ok(of_kind(read.await?)) })
    }

    /// In the order of their ids.
    fn deliveries(&self, incident: IncidentId) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        let read = self.documents(ListDocuments::all(DocumentSet::DeliveriesOf(incident.into())));
        Box::pin(async { Ok(of_kind(read.await?)) })
    }

    fn replay_chunk(
        &self,
        replay: ReplayId,
        index: u32,
    ) -> BoxFuture<'_, Result<Option<ReplayChunk>, StoreError>> {
        let read = self.document(DocumentId::ReplayChunk(replay, index));
        Box::pin(async { Ok(read.await?.and_then(|document| document.try_into().ok())) })
    }

    /// An engine may have to scan all ids, which takes milliseconds for each ten thousand: only for
    /// occasional requests of people.
    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>>;

    /// The newest first. An engine may have to scan all ids, and to read up to [`DELIVERIES_SCAN_MAX`]
    /// deliveries.
    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>>;

    /// Replays that have chunks but no document, by id: they are being created, or their creation was
    /// interrupted.
    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>>;
}

pub trait Feed: Send + Sync + 'static {
    /// Feeds the observer: first what is stored, that is every document that is told, in the order of
    /// [`DocumentSet::TOLD`], and every item as a change from nothing; then every change. Called once, before
    /// the first [`Writes::apply`]. Fails if stored records cannot be read.
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError>;
}

/// The state of an engine, for checks and metrics.
pub trait Health: Send + Sync + 'static {
    fn status(&self) -> StoreStatus;

    /// Reads the disk, so call it rarely.
    fn disk_use(&self) -> DiskUse;
}
