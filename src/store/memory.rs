//! The engine for tests and simulations: everything in memory, nothing on disk.
//!
//! It settles commands by the same rules as the others and passes the same conformance suite. What it holds lives as
//! long as any handle to it: [`MemoryStore::reopened`] is what a restart is to an engine with a disk.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::holdings::Holdings;
use super::settle::{Detail, Rows, settle};
use super::{
    Change, Command, DeliveryPage, DiskUse, ListDeliveries, ListItems, Observer, Outcome, Store, StoreError,
    StoreStatus, listing,
};
use crate::model::{
    ClockAnchor, Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, Item, ItemKey, ItemNumber, Page,
    Progress, Replay, ReplayChunk, ReplayId, Silence, SilenceId, Timestamp, Workflow, WorkflowName,
};

#[derive(Clone, Default)]
struct State {
    last_number: u64,
    items: BTreeMap<ItemNumber, Item>,
    payloads: HashMap<ItemNumber, Bytes>,
    names: HashMap<ItemKey, ItemNumber>,
    idempotency_keys: HashMap<(WorkflowName, [u8; 32]), ItemNumber>,
    workflows: BTreeMap<WorkflowName, Workflow>,
    holdings: Holdings,
    incidents: BTreeMap<IncidentId, Incident>,
    deliveries: BTreeMap<(IncidentId, DeliveryId), Delivery>,
    progresses: BTreeMap<WorkflowName, Progress>,
    clock: Option<ClockAnchor>,
    silences: BTreeMap<SilenceId, Silence>,
    replays: BTreeMap<ReplayId, Replay>,
    replay_chunks: BTreeMap<(ReplayId, u32), ReplayChunk>,
    commits: u64,
    commands: u64,
}

/// The engine in memory.
#[derive(Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    observer: OnceLock<Arc<dyn Observer>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another handle to what this one holds, without its observer: the store after a restart.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self { state: self.state.clone(), observer: OnceLock::new() }
    }

    /// A store of its own with what this one holds now, without its observer: a copy of the disk.
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

    fn put_workflow(&mut self, workflow: &Workflow) -> Result<(), Infallible> {
        self.workflows.insert(workflow.name.clone(), workflow.clone());
        Ok(())
    }

    fn remove_workflow(&mut self, name: &WorkflowName) -> Result<(), Infallible> {
        self.workflows.remove(name);
        Ok(())
    }

    fn put_incident(&mut self, incident: &Incident) -> Result<(), Infallible> {
        self.incidents.insert(incident.id.clone(), incident.clone());
        Ok(())
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> Result<(), Infallible> {
        self.deliveries.insert((delivery.incident.clone(), delivery.id.clone()), delivery.clone());
        Ok(())
    }

    fn put_silence(&mut self, silence: &Silence) -> Result<(), Infallible> {
        self.silences.insert(silence.id.clone(), silence.clone());
        Ok(())
    }

    fn remove_silence(&mut self, id: &SilenceId) -> Result<(), Infallible> {
        self.silences.remove(id);
        Ok(())
    }

    fn put_probe(&mut self, _at: Timestamp) -> Result<(), Infallible> {
        Ok(())
    }

    fn put_clock(&mut self, anchor: &ClockAnchor) -> Result<(), Infallible> {
        self.clock = Some(anchor.clone());
        Ok(())
    }

    fn remove_incident(&mut self, id: &IncidentId) -> Result<bool, Infallible> {
        self.deliveries.retain(|(incident, _), _| incident != id);
        self.incidents.remove(id);
        Ok(true)
    }

    fn put_progress(&mut self, workflow: &WorkflowName, progress: &Progress) -> Result<(), Infallible> {
        self.progresses.insert(workflow.clone(), progress.clone());
        Ok(())
    }

    fn remove_progress(&mut self, workflow: &WorkflowName) -> Result<(), Infallible> {
        self.progresses.remove(workflow);
        Ok(())
    }

    fn put_replay(&mut self, replay: &Replay) -> Result<(), Infallible> {
        self.replays.insert(replay.id.clone(), replay.clone());
        Ok(())
    }

    fn put_replay_chunk(&mut self, replay: &ReplayId, chunk: &ReplayChunk) -> Result<(), Infallible> {
        self.replay_chunks.insert((replay.clone(), chunk.index), chunk.clone());
        Ok(())
    }

    fn remove_replay(&mut self, id: &ReplayId) -> Result<bool, Infallible> {
        self.replay_chunks.retain(|(replay, _), _| replay != id);
        self.replays.remove(id);
        Ok(true)
    }
}

impl Store for MemoryStore {
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        let state = self.lock();
        let workflows = state.workflows.values().cloned().map(Change::WorkflowNoted);
        let item = |item: &Item| Change::Item { before: None, after: Some(item.standing()) };
        let changes: Vec<Change> = workflows.chain(state.items.values().map(item)).collect();
        observer.committed(&changes);
        let _ = self.observer.set(observer);
        Ok(())
    }

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
        // Still under the lock, so that changes are told in the order in which they took effect.
        if let Some(observer) = self.observer.get() {
            observer.committed(&changes);
        }
        drop(state);
        Box::pin(async move { Ok(outcomes) })
    }

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

    fn clock(&self) -> BoxFuture<'_, Result<Option<ClockAnchor>, StoreError>> {
        self.answer(|state| state.clock.clone())
    }

    fn workflows(&self) -> BoxFuture<'_, Result<Vec<Workflow>, StoreError>> {
        self.answer(|state| state.workflows.values().cloned().collect())
    }

    fn progresses(&self) -> BoxFuture<'_, Result<Vec<(WorkflowName, Progress)>, StoreError>> {
        self.answer(|state| state.progresses.clone().into_iter().collect())
    }

    fn incident(&self, id: IncidentId) -> BoxFuture<'_, Result<Option<Incident>, StoreError>> {
        self.answer(|state| state.incidents.get(&id).cloned())
    }

    fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Incident>, StoreError>> {
        self.answer(|state| {
            let older = state.incidents.values().rev();
            older
                .filter(|incident| before.as_ref().is_none_or(|id| incident.id < *id))
                .take(limit)
                .cloned()
                .collect()
        })
    }

    fn deliveries(&self, incident: IncidentId) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        self.answer(|state| {
            state.deliveries.values().filter(|delivery| delivery.incident == incident).cloned().collect()
        })
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        self.answer(|state| state.deliveries.values().find(|delivery| delivery.id == id).cloned())
    }

    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>> {
        self.answer(|state| {
            let in_range = |delivery: &&Delivery| listing::is_in_range(&question, &delivery.id.0);
            let mut found: Vec<&Delivery> = state.deliveries.values().filter(in_range).collect();
            found.sort_by(|left, right| right.id.cmp(&left.id));
            let found = found.into_iter().map(|delivery| (delivery.id.clone(), Ok(Some(delivery.clone()))));
            match listing::page_of_deliveries::<Infallible>(&question, found) {
                Ok(page) => page,
                Err(never) => match never {},
            }
        })
    }

    fn outbox(&self) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        self.answer(|state| {
            let pending = |delivery: &&Delivery| delivery.status == DeliveryStatus::Pending;
            let mut deliveries: Vec<_> = state.deliveries.values().filter(pending).cloned().collect();
            deliveries.sort_by(|left, right| left.id.cmp(&right.id));
            deliveries
        })
    }

    fn silences(&self) -> BoxFuture<'_, Result<Vec<Silence>, StoreError>> {
        self.answer(|state| state.silences.values().cloned().collect())
    }

    fn replays(&self) -> BoxFuture<'_, Result<Vec<Replay>, StoreError>> {
        self.answer(|state| state.replays.values().cloned().collect())
    }

    fn replay_chunk(
        &self,
        replay: ReplayId,
        index: u32,
    ) -> BoxFuture<'_, Result<Option<ReplayChunk>, StoreError>> {
        self.answer(|state| state.replay_chunks.get(&(replay, index)).cloned())
    }

    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>> {
        self.answer(|state| {
            let mut ids: Vec<ReplayId> = state.replay_chunks.keys().map(|(id, _)| id.clone()).collect();
            ids.dedup();
            ids.retain(|id| !state.replays.contains_key(id));
            ids
        })
    }

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

    fn close(&self) {}
}
