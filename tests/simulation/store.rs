//! The store on the disk, for one life of the daemon.
//!
//! A group of commands is first applied, so that reads see it, and is durable a moment later; then the
//! observer is told and the answers go out. At a crash all that waits is gone, and of the group that was
//! applied any number of commands from the beginning on are there: a commit that was cut short.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use warden::model::{Clock, Delivery, DeliveryId, Item, ItemKey, ItemNumber, Page, ReplayId};
use warden::store::engine::memory::MemoryStore;
use warden::store::{
    Command, DeliveryPage, DiskUse, Document, DocumentId, Feed, Growth, Health, ListDeliveries,
    ListDocuments, ListItems, Observer, Outcome, Reads, StoreError, StoreStatus, Writes,
};

use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::disk::{Disk, done};

type Answer = Result<Vec<Outcome>, StoreError>;

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
        let cut = disk.cut().len();
        assert_eq!(cut, 0, "a life ends by a crash or by an orderly stop");
        Arc::new(Self {
            durable: disk.durable().reopened(),
            visible: disk.durable().copied(),
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
        self.waiting().is_empty() && self.disk.cut().is_empty()
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
            let refused = |command: &Command| faults.full && command.growth() != Growth::None;
            for command in group.iter().flat_map(|request| &request.commands) {
                if !refused(command) {
                    done(&self.visible, command.clone());
                    self.disk.cut().push(command.clone());
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
            self.disk.cut().clear();
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
            self.disk.note_weather();
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

impl Feed for SimulatedStore {
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        self.durable.attach(observer)
    }
}

impl Writes for SimulatedStore {
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

    fn close(&self) {}
}

impl Reads for SimulatedStore {
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

    fn document(&self, id: DocumentId) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        self.read(self.visible.document(id))
    }

    fn documents(&self, question: ListDocuments) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.read(self.visible.documents(question))
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        self.read(self.visible.delivery(id))
    }

    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>> {
        self.read(self.visible.list_deliveries(question))
    }

    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>> {
        self.read(self.visible.unmade_replays())
    }
}

impl Health for SimulatedStore {
    fn status(&self) -> StoreStatus {
        let fatal = self.fatal.lock().expect("nothing panics under the lock").clone();
        StoreStatus { fatal, full: self.disk.faults().full, ..self.durable.status() }
    }

    fn disk_use(&self) -> DiskUse {
        DiskUse::default()
    }
}
