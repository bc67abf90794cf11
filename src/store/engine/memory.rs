//! The in-memory engine for tests and simulations.
//!
//! It settles commands by the same rules as the others and passes the same conformance suite. Its data lives
//! as long as any handle: [`MemoryStore::reopened`] corresponds to a restart.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::model::{Delivery, DeliveryId, Item, ItemKey, ItemNumber, Page, ReplayId, WorkflowName};
use crate::store::command::{Detail, Rows, settle};
use crate::store::holdings::Holdings;
use crate::store::{
    Change, Command, DeliveryPage, DiskUse, Document, DocumentId, DocumentOrder, DocumentSet, Feed, Health,
    ListDeliveries, ListDocuments, ListItems, Observer, Outcome, Reads, StoreError, StoreStatus, Writes,
    listing,
};

#[derive(Clone, Default)]
struct State {
    last_number: u64,
    items: BTreeMap<ItemNumber, Item>,
    payloads: HashMap<ItemNumber, Bytes>,
    names: HashMap<ItemKey, ItemNumber>,
    idempotency_keys: HashMap<(WorkflowName, [u8; 32]), ItemNumber>,
    documents: BTreeMap<DocumentId, Document>,
    holdings: Holdings,
    commits: u64,
    commands: u64,
}

#[derive(Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    observer: OnceLock<Arc<dyn Observer>>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Another handle to the same data without an observer, like the store after a restart.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self { state: self.state.clone(), observer: OnceLock::new() }
    }

    /// An independent copy of the data without an observer, like a copy of the disk.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())), observer: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State) -> T,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let answer = Ok(read(&self.lock()));
        Box::pin(async move { answer })
    }
}

impl Rows for State {
    type Error = Infallible;

    fn next_number(&mut self) -> Result<ItemNumber, Infallible> {
        self.last_number += 1;
        Ok(ItemNumber(self.last_number))
    }

    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, Infallible> {
        Ok(self.items.get(&number).cloned())
    }

    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, Infallible> {
        Ok(self.names.get(key).copied())
    }

    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, Infallible> {
        Ok(self.idempotency_keys.get(&(workflow.clone(), *digest)).copied())
    }

    fn insert_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), Infallible> {
        if let Some(payload) = payload {
            self.payloads.insert(item.number, payload);
        }
        self.names.insert(item.key(), item.number);
        if let Some(digest) = item.idempotency_key {
            self.idempotency_keys.insert((item.workflow.clone(), digest), item.number);
        }
        self.update_item(item, Detail::Changed)
    }

    fn update_item(&mut self, item: &Item, _detail: Detail) -> Result<(), Infallible> {
        self.items.insert(item.number, item.clone());
        Ok(())
    }

    fn remove_payload(&mut self, item: &Item) -> Result<(), Infallible> {
        self.payloads.remove(&item.number);
        Ok(())
    }

    fn remove_item(&mut self, item: &Item) -> Result<(), Infallible> {
        self.names.remove(&item.key());
        if let Some(digest) = item.idempotency_key {
            self.idempotency_keys.remove(&(item.workflow.clone(), digest));
        }
        self.items.remove(&item.number);
        Ok(())
    }

    fn holdings(&mut self) -> &mut Holdings {
        &mut self.holdings
    }

    fn put(&mut self, document: &Document) -> Result<(), Infallible> {
        self.documents.insert(document.id(), document.clone());
        Ok(())
    }

    fn remove(&mut self, id: &DocumentId) -> Result<bool, Infallible> {
        Ok(self.documents.remove(id).is_some())
    }

    fn document(&mut self, id: &DocumentId) -> Result<Option<Document>, Infallible> {
        Ok(self.documents.get(id).cloned())
    }

    fn ids(&mut self, set: &DocumentSet, limit: usize) -> Result<Vec<DocumentId>, Infallible> {
        Ok(self.set(set).take(limit).map(Document::id).collect())
    }
}

impl State {
    /// In the order of their ids.
    fn set(&self, set: &DocumentSet) -> impl DoubleEndedIterator<Item = &Document> {
        self.documents.iter().filter(|(id, _)| set.contains(id)).map(|(_, document)| document)
    }

    fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.documents.values().filter_map(|document| match document {
            Document::Delivery(delivery) => Some(&**delivery),
            _ => None,
        })
    }
}

impl Feed for MemoryStore {
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        let state = self.lock();
        let told = state.documents.values().filter(|document| document.is_told());
        let item = |item: &Item| Change::Item { before: None, after: Some(item.indexed()) };
        let changes: Vec<Change> =
            told.cloned().map(Change::Put).chain(state.items.values().map(item)).collect();
        observer.committed(&changes);
        let _ = self.observer.set(observer);
        Ok(())
    }
}

impl Writes for MemoryStore {
    fn submit(&self, commands: Vec<Command>) -> BoxFuture<'static, Result<Vec<Outcome>, StoreError>> {
        let mut state = self.lock();
        let mut changes = Vec::new();
        state.commits += 1;
        state.commands += commands.len() as u64;
        let outcomes = commands
            .into_iter()
            .map(|command| match settle(command, &mut *state, &mut changes) {
                Ok(outcome) => outcome,
                Err(never) => match never {},
            })
            .collect();
        // Under the lock, so that changes are told in commit order.
        if let Some(observer) = self.observer.get() {
            observer.committed(&changes);
        }
        drop(state);
        Box::pin(async move { Ok(outcomes) })
    }

    fn close(&self) {}
}

impl Reads for MemoryStore {
    fn get(&self, key: ItemKey) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        self.answer(|state| state.names.get(&key).and_then(|number| state.items.get(number)).cloned())
    }

    fn items(&self, numbers: Vec<ItemNumber>) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.answer(|state| numbers.iter().filter_map(|number| state.items.get(number)).cloned().collect())
    }

    fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        self.answer(|state| {
            let payload = state.payloads.get(&number)?;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(payload.len());
            Some(payload.slice(start..start.saturating_add(length).min(payload.len())))
        })
    }

    fn list(&self, question: ListItems) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        self.answer(|state| {
            let items = state.items.range(listing::scan_from(&question)..).map(|(_, item)| Ok(item.clone()));
            match listing::page::<Infallible>(&question, items) {
                Ok(page) => page,
                Err(never) => match never {},
            }
        })
    }

    fn document(&self, id: DocumentId) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        self.answer(|state| state.documents.get(&id).cloned())
    }

    fn documents(&self, question: ListDocuments) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        let ListDocuments { of, order, limit } = question;
        self.answer(|state| match order {
            DocumentOrder::Ascending => state.set(&of).take(limit).cloned().collect(),
            DocumentOrder::Descending { below } => {
                let is_below =
                    |document: &&Document| below.as_ref().is_none_or(|below| document.id() < *below);
                state.set(&of).rev().filter(is_below).take(limit).cloned().collect()
            }
        })
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        self.answer(|state| state.deliveries().find(|delivery| delivery.id == id).cloned())
    }

    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>> {
        self.answer(|state| {
            let in_range = |delivery: &&Delivery| listing::is_in_range(&question, &delivery.id.0);
            let mut found: Vec<&Delivery> = state.deliveries().filter(in_range).collect();
            found.sort_by(|left, right| right.id.cmp(&left.id));
            let found = found.into_iter().map(|delivery| (delivery.id.clone(), Ok(Some(delivery.clone()))));
            match listing::page_of_deliveries::<Infallible>(&question, found) {
                Ok(page) => page,
                Err(never) => match never {},
            }
        })
    }

    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>> {
        self.answer(|state| {
            let of_chunk = |id: &DocumentId| match id {
                DocumentId::ReplayChunk(replay, _) => Some(replay.clone()),
                _ => None,
            };
            let mut ids: Vec<ReplayId> = state.documents.keys().filter_map(of_chunk).collect();
            ids.dedup();
            ids.retain(|id| !state.documents.contains_key(&DocumentId::Replay(id.clone())));
            ids
        })
    }
}

impl Health for MemoryStore {
    fn status(&self) -> StoreStatus {
        let state = self.lock();
        StoreStatus {
            settled: true,
            commits: state.commits,
            commands: state.commands,
            disk_free: u64::MAX,
            ..StoreStatus::default()
        }
    }

    fn disk_use(&self) -> DiskUse {
        DiskUse::default()
    }
}
