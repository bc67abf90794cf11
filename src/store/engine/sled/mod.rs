//! The default engine: sled, embedded, with what it does not guarantee added around it.
//!
//! Writes queue ([`queue`]) for one committing thread ([`committer`]), which appends them to the write-ahead
//! log ([`crate::store::log`]) and to an in-memory table ([`table`]). A second thread writes checkpoints
//! ([`checkpoint`]): it moves live data from the tables into a sequence of databases, the generations
//! ([`generation`]), in atomic batches ([`draft`]). Any thread reads tables and generations ([`reader`],
//! [`documents`]). [`layout`] describes the files, [`index`] the in-memory index over them, [`compaction`]
//! how space is freed, [`plan`] and [`space`] the disk budget, [`pace`] back-pressure when memory is short,
//! and [`opening`] how a start verifies the generations.
//!
//! sled is pinned to one version, because the engine relies on behaviour that was measured on it: a flush
//! followed by our own sync of its file survives a power cut; leaves below a quarter of a segment never go to
//! unsynced files; batches of up to 400 operations do not leak memory.

mod advice;
mod batch;
pub mod check;
mod checkpoint;
mod committer;
mod compaction;
mod contents;
mod directory;
mod documents;
mod draft;
mod entry;
mod eviction;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod generation;
mod generations;
mod index;
mod items;
mod journal;
mod keys;
mod layout;
mod locations;
mod manifest;
mod names;
mod naming;
mod open_error;
mod opening;
mod pace;
mod plan;
mod preread;
mod privacy;
mod queue;
mod read_ahead;
mod read_error;
mod reader;
mod recovery;
mod space;
mod start;
mod table;
mod tables;
mod transaction;
mod upgrade;
mod verification;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use self::checkpoint::{Checkpointer, Checkpoints};
use self::committer::Committer;
use self::directory::Directory;
pub use self::open_error::OpenError;
use self::pace::{Pace, Room};
use self::plan::{Configured, Plan};
use self::queue::Queue;
use self::read_error::ReadError;
use self::reader::Reader;
use self::space::Space;
use self::start::{Start, Started};
use self::transaction::Transaction;
use crate::model::{
    Artifact, ArtifactId, Clock, Delivery, DeliveryId, Item, ItemKey, ItemNumber, Page, ReplayId, Timestamp,
};
use crate::store::holdings::Holdings;
use crate::store::log::Segments;
use crate::store::{
    Change, Command, DeliveryPage, DiskUse, Document, DocumentId, DocumentSet, Feed, Health, ListDeliveries,
    ListDocuments, ListItems, Observer, OnDamage, Outcome, Reads, StoreError, StoreStatus, Writes, of_kind,
};

#[derive(Clone, Debug)]
pub struct SledSettings {
    pub path: PathBuf,
    /// The budget for page caches, in bytes as they are on disk. Each database gets a sixteenth of it.
    pub cache: u64,
    /// Free space to keep on the file system, in bytes: capped at a tenth of it, and raised to what closes
    /// may need.
    pub reserve: u64,
    /// The most that the directory may take, in bytes; `None` is the whole file system.
    pub size_max: Option<u64>,
    /// The largest payload, in bytes.
    pub payload_max: u64,
    /// The most memory for the in-memory tables, in bytes.
    pub recent: u64,
    /// How long a change stays in memory and the log before a checkpoint writes it to a database; at most
    /// twice that. Most items are closed by then, so that their payloads are never written there.
    pub checkpoint: Duration,
    pub on_damage: OnDamage,
    /// The most commands that may wait for the committing thread.
    pub queue_max: usize,
    /// The most bytes of payload that may wait with them.
    pub queue_bytes_max: u64,
}

pub struct SledStore {
    reader: Reader,
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    observer: Arc<OnceLock<Arc<dyn Observer>>>,
    /// The committing thread, then the checkpoint thread, which outlives it.
    threads: Mutex<Vec<JoinHandle<()>>>,
    segments: Arc<Segments>,
    checkpoints: Arc<Checkpoints>,
    directory: Directory,
}

impl SledStore {
    /// Locks the directory and opens its databases, creating both if necessary.
    ///
    /// # Errors
    /// The directory cannot be used, holds something else or an unknown format, or is locked by another
    /// process: nothing is changed then. Or its data is damaged: sled may have altered its files in trying to
    /// open them.
    pub fn open(settings: &SledSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let directory = Directory::take(&settings.path, settings.on_damage)?;
        let unusable = |error| OpenError::Unusable { path: settings.path.clone(), error };
        let volume = directory.volume().map_err(unusable)?.min(settings.size_max.unwrap_or(u64::MAX));
        let SledSettings { payload_max, recent, reserve, .. } = *settings;
        let plan = Plan::new(&Configured { volume, payload_max, recent, reserve });
        if volume < plan.volume_min {
            let (path, needed) = (settings.path.clone(), plan.volume_min);
            return Err(OpenError::TooSmall { path, volume, payload_max, needed });
        }
        // Before the databases open: that takes free space.
        let mut space = Space::new(directory.ballast(), &plan, settings.size_max).map_err(unusable)?;
        space.provide(plan.room_for_start()).map_err(unusable)?;
        directory.prepare()?;
        let Started { draft, mut holdings, log, next_number } =
            Start { settings, directory: &directory, plan: &plan }.recover()?;
        let room = Room(usize::try_from(plan.recent).unwrap_or(usize::MAX));
        let (covered, totals) = (draft.manifest().log.covered, draft.totals());
        let checkpoints = Arc::new(Checkpoints::new(covered, next_number, room, totals, space));
        let reader = draft.reader(checkpoints.tables.clone());
        let unreadable = |error: ReadError| start::wrong(&settings.path, error.into());
        for document in Holdings::OF.iter().flat_map(|set| reader.stream(set)) {
            holdings.put(&document.map_err(unreadable)?);
        }
        directory.seal()?;
        // Only once FORMAT is current: until then the data of an earlier format depends on its log.
        log.segments().release(log.last(), false).map_err(unusable)?;
        let queue = Arc::new(Queue::new(settings.queue_max, settings.queue_bytes_max));
        let segments = log.segments();
        {
            let space = checkpoints.space(&segments).map_err(unusable)?;
            queue.full.store(space.budget().is_full(), Ordering::Relaxed);
            queue.free.store(space.free(), Ordering::Relaxed);
        }
        let observer = Arc::new(OnceLock::new());
        let committer = Committer {
            queue: queue.clone(),
            transaction: Transaction::new(reader.clone(), next_number, holdings),
            log,
            checkpoints: checkpoints.clone(),
            clock: clock.clone(),
            observer: observer.clone(),
            pace: Pace::default(),
            buffer: Vec::new(),
            may_grow: true,
        };
        let checkpointer = Checkpointer {
            shared: checkpoints.clone(),
            draft,
            segments: segments.clone(),
            queue: queue.clone(),
            clock: clock.clone(),
            interval: settings.checkpoint,
            ticked_at: Timestamp::MIN,
            may_prepare: true,
        };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(run).map_err(unusable)
        };
        let threads = vec![
            spawn("committer", Box::new(move || committer.run()))?,
            spawn("checkpoints", Box::new(move || checkpointer.run()))?,
        ];
        let threads = Mutex::new(threads);
        Ok(Self { reader, queue, clock, observer, threads, segments, checkpoints, directory })
    }

    /// Runs a read on a blocking thread, because it may wait for the disk.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let reader = self.reader.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || read(&reader)).await {
                Ok(result) => result.map_err(|error| StoreError::Fatal(error.to_string().into())),
                Err(error) => Err(StoreError::Fatal(format!("a read was aborted: {error}").into())),
            }
        })
    }
}

impl Feed for SledStore {
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        let failed = |error: ReadError| StoreError::Fatal(error.to_string().into());
        let documents = DocumentSet::TOLD.iter().flat_map(|set| self.reader.stream(set));
        let documents = documents.map(|document| Ok(Change::Put(document.map_err(failed)?)));
        let items = self.reader.items(ItemNumber(0)).map(|item| {
            let item = item.map_err(failed)?;
            Ok(Change::Item { before: None, after: Some(item.indexed()) })
        });
        let changes = documents.chain(items);
        read_ahead::read_ahead(changes, |mut chunks| {
            chunks.try_for_each(|chunk| {
                observer.committed(&chunk.into_iter().collect::<Result<Vec<_>, StoreError>>()?);
                Ok(())
            })
        })?;
        let _ = self.observer.set(observer);
        Ok(())
    }
}

impl Writes for SledStore {
    fn submit(&self, commands: Vec<Command>) -> BoxFuture<'static, Result<Vec<Outcome>, StoreError>> {
        if commands.is_empty() {
            return Box::pin(async { Ok(Vec::new()) });
        }
        let answer = self.queue.push(commands);
        Box::pin(async move {
            match answer?.await {
                Ok(result) => result,
                Err(_) => Err(StoreError::Fatal("the committing thread is gone".into())),
            }
        })
    }

    fn close(&self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic of the thread was caught and reported by `Queue::fail`.
            let _ = thread.join();
        }
    }
}

impl Reads for SledStore {
    fn get(&self, key: ItemKey) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        self.read(move |reader| reader.find(&key))
    }

    fn items(&self, numbers: Vec<ItemNumber>) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.read(move |reader| {
            numbers.into_iter().filter_map(|number| reader.item(number).transpose()).collect()
        })
    }

    fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        self.read(move |reader| reader.payload(number, offset, length))
    }

    fn list(&self, question: ListItems) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        self.read(move |reader| reader.list(&question))
    }

    fn document(&self, id: DocumentId) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        self.read(move |reader| reader.document(&id))
    }

    fn artifacts(&self, ids: Vec<ArtifactId>) -> BoxFuture<'_, Result<Vec<Artifact>, StoreError>> {
        self.read(move |reader| {
            let found = ids.into_iter().map(|id| reader.document(&DocumentId::Artifact(id)));
            let found: Result<Vec<_>, _> = found.filter_map(Result::transpose).collect();
            Ok(of_kind(found?))
        })
    }

    fn documents(&self, question: ListDocuments) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.read(move |reader| reader.documents(&question))
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        self.read(move |reader| reader.delivery(&id))
    }

    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>> {
        self.read(move |reader| reader.list_deliveries(&question))
    }

    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>> {
        self.read(Reader::unmade_replays)
    }
}

impl Health for SledStore {
    fn status(&self) -> StoreStatus {
        let busy_since = self.queue.busy_since.load(Ordering::Relaxed);
        // In a statement of its own: a lock taken within an expression is held until the end of that
        // expression.
        let recent = self.checkpoints.read().bytes() as u64;
        StoreStatus {
            fatal: self.queue.fatal.get().cloned(),
            full: self.queue.full.load(Ordering::Relaxed),
            busy_for: match busy_since {
                0 => Duration::ZERO,
                since => self.clock.now().since(Timestamp::from_millis(since)),
            },
            waiting: self.queue.len(),
            disk_free: self.queue.free.load(Ordering::Relaxed),
            recent,
            settled: self.checkpoints.is_settled(),
            commits: self.queue.commits.load(Ordering::Relaxed),
            commands: self.queue.commands.load(Ordering::Relaxed),
        }
    }

    fn disk_use(&self) -> DiskUse {
        let generations: Vec<_> = {
            let index = self.reader.index();
            index.generations.all().iter().map(|held| held.generation.clone()).collect()
        };
        let blobs: usize = generations.iter().map(|generation| generation.stray_blobs()).sum();
        DiskUse {
            used: generations.iter().map(|generation| generation.size()).sum::<u64>() + self.segments.bytes(),
            reserve: std::fs::metadata(self.directory.ballast()).map_or(0, |metadata| metadata.len()),
            alarms: if blobs == 0 {
                Vec::new()
            } else {
                vec![format!("the database wrote {blobs} values to files that are never synced")]
            },
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
    }
}
