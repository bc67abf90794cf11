//! A disk that keeps what was synced, and the store on it.
//!
//! A group of commands is first applied, so that reads see it, and is durable a moment later; then the observer is told and
//! the answers go out. At a crash all that waits is gone, and of the group that was applied any number of commands from the
//! beginning on are there: a commit that was cut short.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use warden::model::{
    Clock, Delivery, DeliveryId, Incident, IncidentId, Item, ItemKey, ItemNumber, Page, Progress, Replay,
    ReplayChunk, ReplayId, Silence, Timestamp, Workflow, WorkflowName,
};
use warden::store::memory::MemoryStore;
use warden::store::{
    Command, DeliveryPage, DiskUse, ListDeliveries, ListItems, Observer, Outcome, Store, StoreError,
    StoreStatus,
};

use crate::claimable::Claimable;
use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::history::History;
use crate::quiet::Quiet;
use crate::watch::{Weather, items};

type Answer = Result<Vec<Outcome>, StoreError>;

/// What goes wrong with the disk at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// How many commands in a thousand are refused because too much waits.
    pub overloaded: u64,
    /// Whether nothing that grows is taken.
    pub full: bool,
    /// Whether commits take seconds.
    pub slow: bool,
}

/// What survives a crash.
pub struct Disk {
    durable: MemoryStore,
    /// Commands that are applied and not synced.
    cut: Mutex<Vec<Command>>,
    faults: Mutex<Faults>,
    /// Since when nothing has been wrong with it, if nothing is.
    healthy_since: Mutex<Option<Timestamp>>,
    weather: Weather,
    quiet: Quiet,
    claimable: Claimable,
    history: History,
    clock: SimulatedClock,
}

impl Disk {
    pub fn new(weather: Weather, quiet: Quiet, history: History, clock: SimulatedClock) -> Self {
        Self {
            durable: MemoryStore::new(),
            cut: Mutex::default(),
            faults: Mutex::default(),
            healthy_since: Mutex::new(Some(Timestamp::MIN)),
            weather,
            quiet,
            claimable: Claimable::default(),
            history,
            clock,
        }
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().expect("nothing panics under the lock") = faults;
        let is_healthy = !faults.full && !faults.slow && faults.overloaded == 0;
        *self.healthy_since.lock().expect("nothing panics under the lock") =
            is_healthy.then(|| self.clock.now());
    }

    /// Since when nothing has been wrong with it, if nothing is.
    pub fn healthy_since(&self) -> Option<Timestamp> {
        *self.healthy_since.lock().expect("nothing panics under the lock")
    }

    /// Since when items could be claimed.
    pub fn claimable(&self) -> &Claimable {
        &self.claimable
    }

    /// A command is written for good: nothing that it says is to break what people were promised.
    fn write(&self, store: &MemoryStore, command: Command) -> Outcome {
        if let Command::CommitIncident { incident, deliveries } = &command {
            let (_, latest) = self.clock.read();
            for delivery in deliveries {
                let breach = self.quiet.breach(incident, delivery, latest);
                self.history.note(breach.map_or(Ok(()), Err));
            }
        }
        let since = self.claimable.since(&self.durable, &command);
        let outcome = done(store, command);
        self.claimable.note(since, &outcome, self.clock.now());
        outcome
    }

    pub fn faults(&self) -> Faults {
        *self.faults.lock().expect("nothing panics under the lock")
    }

    /// What is durable.
    pub fn durable(&self) -> &MemoryStore {
        &self.durable
    }

    /// Everything that is durable, in words.
    pub fn described(&self) -> Vec<String> {
        fn read<T>(answer: BoxFuture<'_, Result<T, StoreError>>) -> T {
            answer.now_or_never().expect("memory never waits").expect("memory never fails")
        }
        let store = &self.durable;
        let mut lines = Vec::new();
        for item in items(store, self.clock.read().0) {
            let payload = read(store.payload(item.number, 0, usize::MAX));
            lines.push(format!("{item:?} {payload:?}"));
        }
        for incident in read(store.incidents(None, usize::MAX)) {
            lines.push(format!("{incident:?} {:?}", read(store.deliveries(incident.id.clone()))));
        }
        for replay in read(store.replays()) {
            let chunks = (0..).map_while(|index| read(store.replay_chunk(replay.id.clone(), index)));
            lines.push(format!("{replay:?} {:?}", chunks.collect::<Vec<_>>()));
        }
        lines.push(format!("{:?} {:?}", read(store.workflows()), read(store.silences())));
        lines.push(format!("{:?} {:?}", read(store.progresses()), read(store.unmade_replays())));
        lines
    }

    /// The power is gone. Any part of what was being written is there afterwards.
    pub fn crash(&self, dice: &Dice) {
        let cut = std::mem::take(&mut *self.cut.lock().expect("nothing panics under the lock"));
        let written = dice.below(cut.len() as u64 + 1) as usize;
        for command in cut.into_iter().take(written) {
            self.write(&self.durable, command);
        }
        self.weather.note(&self.durable, self.clock.now());
    }
}

fn done(store: &MemoryStore, command: Command) -> Outcome {
    let outcomes = store.submit(vec![command]).now_or_never().expect("memory never waits");
    outcomes.expect("memory never fails").pop().expect("an outcome for the command")
}

struct Request {
    commands: Vec<Command>,
    answer: oneshot::Sender<Answer>,
}

/// The store on the disk, for one life of the daemon.
pub struct SimulatedStore {
    disk: Arc<Disk>,
    /// Tells the observer.
    durable: MemoryStore,
    /// What reads see.
    visible: MemoryStore,
    waiting: Mutex<VecDeque<Request>>,
    arrived: Notify,
    fatal: Mutex<Option<Arc<str>>>,
    clock: SimulatedClock,
    dice: Dice,
}

impl SimulatedStore {
    pub fn open(disk: &Arc<Disk>, clock: SimulatedClock, dice: Dice) -> Arc<Self> {
        let cut = disk.cut.lock().expect("nothing panics under the lock").len();
        assert_eq!(cut, 0, "a life ends by a crash or by an orderly stop");
        Arc::new(Self {
            durable: disk.durable.reopened(),
            visible: disk.durable.copied(),
            disk: disk.clone(),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            fatal: Mutex::default(),
            clock,
            dice,
        })
    }

    /// Has everything fail from now on.
    pub fn fail(&self) {
        *self.fatal.lock().expect("nothing panics under the lock") = Some("the disk is gone".into());
        self.waiting().clear();
    }

    fn failure(&self) -> Option<StoreError> {
        let fatal = self.fatal.lock().expect("nothing panics under the lock");
        fatal.clone().map(StoreError::Fatal)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.waiting.lock().expect("nothing panics under the lock")
    }

    /// Whether all that was handed in is written.
    pub fn is_idle(&self) -> bool {
        self.waiting().is_empty() && self.disk.cut.lock().expect("nothing panics under the lock").is_empty()
    }

    /// What the committing thread does.
    pub async fn commit(self: Arc<Self>) {
        loop {
            let group: Vec<Request> = {
                let mut waiting = self.waiting();
                let most = (1 + self.dice.below(8) as usize).min(waiting.len());
                waiting.drain(..most).collect()
            };
            if group.is_empty() {
                self.arrived.notified().await;
                continue;
            }
            let faults = self.disk.faults();
            let refused = |command: &Command| faults.full && command.grows();
            for command in group.iter().flat_map(|request| &request.commands) {
                if !refused(command) {
                    done(&self.visible, command.clone());
                    self.disk.cut.lock().expect("nothing panics under the lock").push(command.clone());
                }
            }
            let takes = match self.dice.below(10) {
                _ if faults.slow => self.dice.millis(3000),
                0..3 => Duration::ZERO,
                _ => self.dice.millis(20),
            };
            self.clock.sleep_until(self.clock.now().after(takes)).await;
            if self.failure().is_some() {
                // The rest of the group is as it is: written or not.
                return;
            }
            self.disk.cut.lock().expect("nothing panics under the lock").clear();
            for Request { commands, answer } in group {
                let settle = |command: Command| {
                    if refused(&command) {
                        Outcome::StorageFull
                    } else {
                        self.disk.write(&self.durable, command)
                    }
                };
                let outcomes = commands.into_iter().map(settle).collect();
                // Whoever asked may have gone.
                let _ = answer.send(Ok(outcomes));
            }
            // What came and went within a group, nobody can have seen.
            self.disk.weather.note(&self.disk.durable, self.clock.now());
        }
    }

    fn read<T: Send + 'static>(
        &self,
        answer: BoxFuture<'_, Result<T, StoreError>>,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let answer = match self.failure() {
            Some(error) => Err(error),
            None => answer.now_or_never().expect("memory never waits"),
        };
        let turns = self.dice.below(3);
        Box::pin(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            answer
        })
    }
}

impl Store for SimulatedStore {
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        self.durable.attach(observer)
    }

    fn submit(&self, commands: Vec<Command>) -> BoxFuture<'static, Answer> {
        if let Some(error) = self.failure() {
            return Box::pin(async { Err(error) });
        }
        if self.dice.chance(self.disk.faults().overloaded) {
            return Box::pin(async { Err(StoreError::Overloaded) });
        }
        let (answer, answered) = oneshot::channel();
        self.waiting().push_back(Request { commands, answer });
        self.arrived.notify_one();
        Box::pin(async move { answered.await.unwrap_or(Err(StoreError::Fatal("the disk is gone".into()))) })
    }

    fn get(&self, key: ItemKey) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        self.read(self.visible.get(key))
    }

    fn items(&self, numbers: Vec<ItemNumber>) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.read(self.visible.items(numbers))
    }

    fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        self.read(self.visible.payload(number, offset, length))
    }

    fn list(&self, question: ListItems) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        self.read(self.visible.list(question))
    }

    fn workflows(&self) -> BoxFuture<'_, Result<Vec<Workflow>, StoreError>> {
        self.read(self.visible.workflows())
    }

    fn progresses(&self) -> BoxFuture<'_, Result<Vec<(WorkflowName, Progress)>, StoreError>> {
        self.read(self.visible.progresses())
    }

    fn incident(&self, id: IncidentId) -> BoxFuture<'_, Result<Option<Incident>, StoreError>> {
        self.read(self.visible.incident(id))
    }

    fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Incident>, StoreError>> {
        self.read(self.visible.incidents(before, limit))
    }

    fn deliveries(&self, incident: IncidentId) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        self.read(self.visible.deliveries(incident))
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        self.read(self.visible.delivery(id))
    }

    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>> {
        self.read(self.visible.list_deliveries(question))
    }

    fn outbox(&self) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        self.read(self.visible.outbox())
    }

    fn silences(&self) -> BoxFuture<'_, Result<Vec<Silence>, StoreError>> {
        self.read(self.visible.silences())
    }

    fn replays(&self) -> BoxFuture<'_, Result<Vec<Replay>, StoreError>> {
        self.read(self.visible.replays())
    }

    fn replay_chunk(
        &self,
        replay: ReplayId,
        index: u32,
    ) -> BoxFuture<'_, Result<Option<ReplayChunk>, StoreError>> {
        self.read(self.visible.replay_chunk(replay, index))
    }

    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>> {
        self.read(self.visible.unmade_replays())
    }

    fn status(&self) -> StoreStatus {
        let fatal = self.fatal.lock().expect("nothing panics under the lock").clone();
        StoreStatus { fatal, full: self.disk.faults().full, ..self.durable.status() }
    }

    fn disk_use(&self) -> DiskUse {
        DiskUse::default()
    }

    fn close(&self) {}
}
