//! The default engine: sled, embedded, handled so that it keeps what it promises.
//!
//! Reads go to the database from any thread; every write goes through one committing thread. The layout on disk is
//! described in [`layout`], the handling of the directory in [`directory`], the thread in [`committer`].
//!
//! Exactly one version of sled is used, since what is relied upon here was measured on it: that a flush followed by
//! our own sync of its file survives a power cut; that leaves below a quarter of a segment never go to unsynced
//! files; that batches of up to 400 operations do not leak.

mod committer;
mod directory;
mod draft;
mod layout;
mod space;
mod survey;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use self::committer::{Committer, Queue};
use self::directory::Directory;
pub use self::directory::OpenError;
use self::draft::Draft;
use self::layout::PIECE_SIZE;
use self::space::Space;
use super::record::{self, RecordError};
use super::{
    Change, Command, DeliveryPage, DiskUse, ListDeliveries, ListItems, Observer, Outcome, Store, StoreError,
    StoreStatus, listing,
};
use crate::model::{
    Clock, Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, Item, ItemKey, ItemNumber, Page,
    Progress, Replay, ReplayChunk, ReplayId, Silence, Timestamp, Workflow, WorkflowName,
};

/// How many changes are shown to the observer at once while records are read at start.
const ATTACH_CHUNK: usize = 4096;

/// What the engine needs to know.
#[derive(Clone, Debug)]
pub struct SledSettings {
    /// The data directory.
    pub path: PathBuf,
    /// How much of the database is held in memory, in bytes as they are on disk.
    pub cache: u64,
    /// How much space is kept back on the file system, in bytes; at most a tenth of it is.
    pub reserve: u64,
    /// How many commands may wait for the committing thread.
    pub queue_max: usize,
    /// How many bytes of payloads may wait with them.
    pub queue_bytes_max: u64,
}

/// The engine over sled.
pub struct SledStore {
    rows: Rows,
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
    observer: Arc<OnceLock<Arc<dyn Observer>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    database: sled::Db,
    directory: Directory,
}

impl SledStore {
    /// Takes the directory and opens the database in it, making both if need be.
    ///
    /// # Errors
    /// When the directory cannot be used, or holds something else or a format that this version does not know,
    /// or when another process works in it; nothing is changed then. And when the database in it is damaged, which it
    /// may have altered in trying to open.
    pub fn open(settings: &SledSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let directory = Directory::take(&settings.path)?;
        let unusable = |error| OpenError::Unusable { path: settings.path.clone(), error };
        let damaged = |reason: String| OpenError::Damaged { path: settings.path.clone(), reason };
        // Before the database opens, for it needs room to do so.
        let space = Space::new(directory.ballast(), settings.reserve).map_err(unusable)?;
        let database = match open_database(&directory.database(), settings.cache) {
            Ok(database) => database,
            // It writes as it opens, so that is a full or failing disk, and no reason to give up what is on it.
            Err(DatabaseError::System(error)) => return Err(unusable(error)),
            Err(DatabaseError::Damaged(reason)) => return Err(damaged(reason)),
        };
        let tree = (*database).clone();
        if directory.is_new() {
            Draft::begin(&tree).map_err(|error| damaged(error.to_string()))?;
        }
        let batches = Arc::new(RwLock::default());
        let file = File::open(directory.database().join("db")).map_err(unusable)?;
        let draft =
            Draft::new(tree.clone(), file, batches.clone()).map_err(|error| damaged(error.to_string()))?;
        directory.seal()?;
        let queue = Arc::new(Queue::new(settings.queue_max, settings.queue_bytes_max));
        queue.full.store(space.is_full(), Ordering::Relaxed);
        queue.free.store(space.free(), Ordering::Relaxed);
        let observer = Arc::new(OnceLock::new());
        let committer = Committer {
            queue: queue.clone(),
            draft,
            space,
            clock: clock.clone(),
            observer: observer.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || committer.run())
            .map_err(unusable)?;
        Ok(Self {
            rows: Rows { tree, batches },
            queue,
            clock,
            observer,
            committer: Mutex::new(Some(thread)),
            database,
            directory,
        })
    }

    /// Runs a read where it may wait for the disk.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Rows) -> Result<T, ReadError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let rows = self.rows.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || read(&rows)).await {
                Ok(result) => result.map_err(|error| StoreError::Fatal(error.to_string().into())),
                Err(error) => Err(StoreError::Fatal(format!("a read was broken off: {error}").into())),
            }
        })
    }
}

/// Why the database did not open.
enum DatabaseError {
    System(std::io::Error),
    Damaged(String),
}

fn open_database(path: &Path, cache: u64) -> Result<sled::Db, DatabaseError> {
    let config = sled::Config::default()
        .path(path)
        .cache_capacity(cache)
        .segment_size(layout::SEGMENT_SIZE)
        // Its own timed flush would only get in the way of ours.
        .flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(sled::Error::Io(error))) => Err(DatabaseError::System(error)),
        Ok(Err(error)) => Err(DatabaseError::Damaged(error.to_string())),
        Err(_) => Err(DatabaseError::Damaged("it panicked while reading its log".into())),
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the database could not be read: {0}")]
    Database(#[from] sled::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Reading from the database.
///
/// What takes several keys is read under the guard of [`Rows::between_batches`], so that it is never put together
/// from before and after a change. Scans do not hold it: they would keep everybody's writes waiting.
#[derive(Clone)]
struct Rows {
    tree: sled::Tree,
    batches: Arc<RwLock<()>>,
}

impl Rows {
    /// Keeps the committing thread from applying a batch for as long as the guard lives.
    fn between_batches(&self) -> RwLockReadGuard<'_, ()> {
        self.batches.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &ItemKey) -> Result<Option<Item>, ReadError> {
        let _guard = self.between_batches();
        let Some(value) = self.tree.get(layout::item_name(key))? else { return Ok(None) };
        let number: [u8; 8] = value
            .as_ref()
            .try_into()
            .map_err(|_| RecordError::Damaged("an item number has a wrong length".into()))?;
        self.with_detail(self.record(ItemNumber(u64::from_be_bytes(number)))?)
    }

    fn item(&self, number: ItemNumber) -> Result<Option<Item>, ReadError> {
        let _guard = self.between_batches();
        self.with_detail(self.record(number)?)
    }

    /// To be called under the guard under which the item was read.
    fn with_detail(&self, item: Option<Item>) -> Result<Option<Item>, ReadError> {
        let Some(mut item) = item else { return Ok(None) };
        if item.detail.is_some() {
            item.detail = self.pieces(&layout::numbered(layout::DETAIL, item.number))?.map(Box::new);
        }
        Ok(Some(item))
    }

    /// The item without its detail.
    fn record(&self, number: ItemNumber) -> Result<Option<Item>, ReadError> {
        let value = self.tree.get(layout::numbered(layout::RECORD, number))?;
        Ok(value.map(|value| record::decode_item(number, &value)).transpose()?)
    }

    /// Records by ascending number, without their details.
    fn records(&self, from: ItemNumber) -> impl Iterator<Item = Result<Item, ReadError>> + use<> {
        let start = layout::numbered(layout::RECORD, from);
        self.tree.range(start.to_vec()..vec![layout::RECORD + 1]).map(|entry| {
            let (key, value) = entry?;
            let number = layout::number_of(&key)
                .ok_or_else(|| RecordError::Damaged("a record's key has a wrong length".into()))?;
            Ok(record::decode_item(number, &value)?)
        })
    }

    fn document<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Option<T>, ReadError> {
        let _guard = self.between_batches();
        self.pieces(prefix)
    }

    /// To be called under the guard.
    fn pieces<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Option<T>, ReadError> {
        let mut bytes = Vec::new();
        for piece in 0.. {
            match self.tree.get(layout::piece(prefix, piece))? {
                Some(value) => bytes.extend_from_slice(&value),
                None => break,
            }
        }
        if bytes.is_empty() { Ok(None) } else { Ok(Some(record::decode_document(&bytes)?)) }
    }

    /// The documents to which these keys belong, in their order.
    fn documents<T: DeserializeOwned>(
        &self,
        keys: impl Iterator<Item = sled::Result<sled::IVec>>,
    ) -> impl Iterator<Item = Result<T, ReadError>> {
        keys.filter_map(|key| match key {
            // Each document is met by its pieces; the first of them stands for it.
            Ok(key) => key.strip_suffix(&[0, 0]).and_then(|prefix| self.document(prefix).transpose()),
            Err(error) => Some(Err(error.into())),
        })
    }

    fn payload(&self, number: ItemNumber, offset: u64, length: usize) -> Result<Option<Bytes>, ReadError> {
        let Some(item) = self.record(number)? else { return Ok(None) };
        let Some(payload) = item.stored_payload() else { return Ok(None) };
        let start = offset.min(payload.size);
        let end = start.saturating_add(length as u64).min(payload.size);
        let mut bytes = Vec::with_capacity((end - start) as usize);
        let mut skip = (start % PIECE_SIZE as u64) as usize;
        for piece in start / PIECE_SIZE as u64..end.div_ceil(PIECE_SIZE as u64) {
            let key = layout::numbered_piece(layout::PAYLOAD, number, piece as u16);
            // The item may have been closed since its record was read.
            let Some(value) = self.tree.get(key)? else { return Ok(None) };
            bytes.extend_from_slice(value.get(skip..).unwrap_or_default());
            skip = 0;
        }
        bytes.truncate((end - start) as usize);
        Ok(Some(bytes.into()))
    }

    fn progresses(&self) -> Result<Vec<(WorkflowName, Progress)>, ReadError> {
        let progress = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = entry?;
            let name = std::str::from_utf8(&key[1..]).ok().and_then(|name| WorkflowName::new(name).ok());
            let name = name.ok_or_else(|| RecordError::Damaged("a key holds no workflow name".into()))?;
            Ok((name, record::decode_document(&value)?))
        };
        self.tree.scan_prefix([layout::PROGRESS]).map(progress).collect()
    }

    fn replay_chunk(&self, replay: &ReplayId, index: u32) -> Result<Option<ReplayChunk>, ReadError> {
        let value = self.tree.get(layout::replay_chunk(replay, index))?;
        Ok(value.map(|value| record::decode_replay_chunk(index, &value)).transpose()?)
    }

    fn unmade_replays(&self) -> Result<Vec<ReplayId>, ReadError> {
        let mut unmade = Vec::new();
        let mut from = vec![layout::REPLAY_CHUNK];
        while let Some(entry) = self.tree.range(from..vec![layout::REPLAY_CHUNK + 1]).keys().next() {
            let id = layout::replay_of_chunk(&entry?)
                .ok_or_else(|| RecordError::Damaged("a key holds no id of a replay".into()))?;
            if !self.tree.contains_key(layout::piece(&layout::replay(&id), 0))? {
                unmade.push(id.clone());
            }
            // On behind all chunks of this one, however many they are.
            from = layout::replay_chunks(&id);
            from.extend([u8::MAX; 5]);
        }
        Ok(unmade)
    }

    fn list(&self, question: &ListItems) -> Result<Page<Item>, ReadError> {
        let mut page = listing::page(question, self.records(listing::scan_from(question)))?;
        // A detail belongs to the record it is read with; meanwhile there may be another, or none.
        let whole = |item: Item| match item.detail {
            None => Some(Ok(item)),
            Some(_) => self.item(item.number).transpose(),
        };
        page.data = page.data.into_iter().filter_map(whole).collect::<Result<_, _>>()?;
        Ok(page)
    }

    fn incidents(&self, before: Option<IncidentId>, limit: usize) -> Result<Vec<Incident>, ReadError> {
        let end = before.map_or_else(|| vec![layout::INCIDENT + 1], |id| layout::incident(&id));
        let newest_first = self.tree.range([layout::INCIDENT].to_vec()..end).keys().rev();
        self.documents(newest_first).take(limit).collect()
    }

    /// All documents whose keys begin like this, in the order of their keys.
    fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, ReadError> {
        self.documents(self.tree.scan_prefix(prefix).keys()).collect()
    }

    /// What the keys of each delivery begin with. The keys alone are looked at, of which a delivery has a few.
    fn delivery_prefixes(&self) -> impl Iterator<Item = Result<sled::IVec, ReadError>> {
        let keys = self.tree.scan_prefix([layout::DELIVERY]).keys();
        keys.filter_map(|key| match key {
            Ok(key) => key.strip_suffix(&[0, 0]).map(|prefix| Ok(prefix.into())),
            Err(error) => Some(Err(error.into())),
        })
    }

    fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, ReadError> {
        for prefix in self.delivery_prefixes() {
            let prefix = prefix?;
            if layout::delivery_id(&prefix) == Some(&*id.0) {
                return self.document(&prefix);
            }
        }
        Ok(None)
    }

    fn list_deliveries(&self, question: &ListDeliveries) -> Result<DeliveryPage, ReadError> {
        let mut found = Vec::new();
        for prefix in self.delivery_prefixes() {
            let prefix = prefix?;
            if let Some(id) = layout::delivery_id(&prefix)
                && listing::is_in_range(question, id)
            {
                found.push((DeliveryId(id.into()), prefix));
            }
        }
        found.sort_by(|left, right| right.0.cmp(&left.0));
        let read = |(id, prefix): (DeliveryId, sled::IVec)| (id, self.document(&prefix));
        listing::page_of_deliveries(question, found.into_iter().map(read))
    }
}

impl Store for SledStore {
    fn attach(&self, observer: Arc<dyn Observer>) -> Result<(), StoreError> {
        let mut chunk = Vec::with_capacity(ATTACH_CHUNK);
        for item in self.rows.records(ItemNumber(0)) {
            let item = item.map_err(|error| StoreError::Fatal(error.to_string().into()))?;
            chunk.push(Change { before: None, after: Some(item.standing()) });
            if chunk.len() == ATTACH_CHUNK {
                observer.committed(&chunk);
                chunk.clear();
            }
        }
        observer.committed(&chunk);
        let _ = self.observer.set(observer);
        Ok(())
    }

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

    fn get(&self, key: ItemKey) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        self.read(move |rows| rows.find(&key))
    }

    fn items(&self, numbers: Vec<ItemNumber>) -> BoxFuture<'_, Result<Vec<Item>, StoreError>> {
        self.read(move |rows| {
            numbers.into_iter().filter_map(|number| rows.item(number).transpose()).collect()
        })
    }

    fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        self.read(move |rows| rows.payload(number, offset, length))
    }

    fn list(&self, question: ListItems) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        self.read(move |rows| rows.list(&question))
    }

    fn workflows(&self) -> BoxFuture<'_, Result<Vec<Workflow>, StoreError>> {
        self.read(|rows| {
            rows.tree
                .scan_prefix([layout::WORKFLOW])
                .map(|entry| Ok(record::decode_document(&entry?.1)?))
                .collect()
        })
    }

    fn progresses(&self) -> BoxFuture<'_, Result<Vec<(WorkflowName, Progress)>, StoreError>> {
        self.read(Rows::progresses)
    }

    fn incident(&self, id: IncidentId) -> BoxFuture<'_, Result<Option<Incident>, StoreError>> {
        self.read(move |rows| rows.document(&layout::incident(&id)))
    }

    fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Incident>, StoreError>> {
        self.read(move |rows| rows.incidents(before, limit))
    }

    fn deliveries(&self, incident: IncidentId) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        self.read(move |rows| rows.all(&layout::deliveries(&incident)))
    }

    fn delivery(&self, id: DeliveryId) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        self.read(move |rows| rows.delivery(&id))
    }

    fn list_deliveries(&self, question: ListDeliveries) -> BoxFuture<'_, Result<DeliveryPage, StoreError>> {
        self.read(move |rows| rows.list_deliveries(&question))
    }

    fn outbox(&self) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        self.read(|rows| {
            let mut deliveries: Vec<Delivery> = rows.all(&[layout::DELIVERY])?;
            deliveries.retain(|delivery| delivery.status == DeliveryStatus::Pending);
            deliveries.sort_by(|left, right| left.id.cmp(&right.id));
            Ok(deliveries)
        })
    }

    fn silences(&self) -> BoxFuture<'_, Result<Vec<Silence>, StoreError>> {
        self.read(|rows| rows.all(&[layout::SILENCE]))
    }

    fn replays(&self) -> BoxFuture<'_, Result<Vec<Replay>, StoreError>> {
        self.read(|rows| rows.all(&[layout::REPLAY]))
    }

    fn replay_chunk(
        &self,
        replay: ReplayId,
        index: u32,
    ) -> BoxFuture<'_, Result<Option<ReplayChunk>, StoreError>> {
        self.read(move |rows| rows.replay_chunk(&replay, index))
    }

    fn unmade_replays(&self) -> BoxFuture<'_, Result<Vec<ReplayId>, StoreError>> {
        self.read(Rows::unmade_replays)
    }

    fn status(&self) -> StoreStatus {
        let busy_since = self.queue.busy_since.load(Ordering::Relaxed);
        StoreStatus {
            fatal: self.queue.fatal.get().cloned(),
            full: self.queue.full.load(Ordering::Relaxed),
            busy_for: match busy_since {
                0 => Duration::ZERO,
                since => self.clock.now().since(Timestamp::from_millis(since)),
            },
            waiting: self.queue.len(),
            disk_free: self.queue.free.load(Ordering::Relaxed),
            commits: self.queue.commits.load(Ordering::Relaxed),
            commands: self.queue.commands.load(Ordering::Relaxed),
        }
    }

    fn disk_use(&self) -> DiskUse {
        let blobs = self.directory.stray_blobs();
        DiskUse {
            used: self.database.size_on_disk().unwrap_or_default(),
            alarms: if blobs == 0 {
                Vec::new()
            } else {
                vec![format!("the database wrote {blobs} values to files that are never synced")]
            },
        }
    }

    fn close(&self) {
        self.queue.close();
        let thread = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread was caught and told long before.
            let _ = thread.join();
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
    }
}
