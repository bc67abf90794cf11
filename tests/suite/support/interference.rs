//! An in-memory store that a test can interfere with.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, pending, ready};
use warden::model::{Delivery, DeliveryId, Item, ItemKey, ItemNumber, Page, ReplayId};
use warden::store::engine::memory::MemoryStore;
use warden::store::{
    Command, DeliveryPage, DiskUse, Document, DocumentId, Feed, Health, ListDeliveries, ListDocuments,
    ListItems, Observer, Outcome, Reads, Store, StoreError, StoreStatus, Writes,
};

/// What a test does to the daemon's dealings with its store. What it says nothing about goes on as usual.
pub trait Interference: Send + Sync + 'static {
    /// An interruption keeps the commands from being carried out.
    fn before_write(&self, _commands: &[Command]) -> Result<(), Interruption> {
        Ok(())
    }

    /// The commands are carried out; an error is answered all the same.
    fn after_write(&self, _commands: &[Command]) -> Result<(), StoreError> {
        Ok(())
    }

    /// An error is answered instead of the items.
    fn before_reading_items(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// A list is read when this is over. As in the engine that goes on when nobody waits for it any longer.
    fn while_listing(&self) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }

    /// An error is answered instead of a payload.
    fn before_reading_payload(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What comes instead of a write.
pub enum Interruption {
    /// An error is answered.
    Error(StoreError),
    /// Nothing is ever answered.
    Never,
}

impl From<StoreError> for Interruption {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

/// The store.
pub struct InterferedStore<I> {
    inner: MemoryStore,
    interference: Arc<I>,
}

impl<I: Interference> InterferedStore<I> {
    /// Makes an empty store, and what gives a handle to it at each start of a daemon.
    pub fn starts(interference: &Arc<I>) -> impl Fn() -> Arc<dyn Store> + Send + Sync + 'static {
        let (inner, interference) = (MemoryStore::new(), interference.clone());
        move || Arc::new(Self { inner: inner.reopened(), interference: interference.clone() })
    }
}

impl<I: Interference> Feed for InterferedStore<I> {
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        self.inner.attach(observer)
    }
}

impl<I: Interference> Writes for InterferedStore<I> {
    fn submit(&self, commands: Vec<Command>) -> BoxFuture<'static, Result<Vec<Outcome>, StoreError>> {
        match self.interference.before_write(&commands) {
            Ok(()) => {}
            Err(Interruption::Error(error)) => return Box::pin(ready(Err(error))),
            Err(Interruption::Never) => return Box::pin(pending()),
        }
        // It is carried out when this returns.
        let done = self.inner.submit(commands.clone());
        match self.interference.after_write(&commands) {
            Ok(()) => done,
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn close(&self) {
        self.inner.close();
    }
}

impl<I: Interference> Reads for InterferedStore<I> {
    fn get(&self, key: ItemKey) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        self.inner.get(key)
    }

    fn items(&self, numbers: Vec<ItemNumber>) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        match self.interference.before_reading_items() {
            Ok(()) => self.inner.items(numbers),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        match self.interference.before_reading_payload() {
            Ok(()) => self.inner.payload(number, offset, length),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn list(&self, question: ListItems) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        let listing = tokio::spawn(self.interference.while_listing());
        Box::pin(async move {
            listing.await.expect("a test that does not panic");
            self.inner.list(question).await
        })
    }

    fn document(&self, id: DocumentId) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        self.inner.document(id)
    }

    fn documents(&self, question: ListDocuments) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.inner.documents(question)
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        self.inner.delivery(id)
    }

    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>> {
        self.inner.list_deliveries(question)
    }

    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>> {
        self.inner.unmade_replays()
    }
}

impl<I: Interference> Health for InterferedStore<I> {
    fn disk_use(&self) -> DiskUse {
        self.inner.disk_use()
    }

    fn status(&self) -> StoreStatus {
        self.inner.status()
    }
}
