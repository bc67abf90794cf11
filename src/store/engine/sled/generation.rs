//! A generation: one of the databases that hold live data.
//!
//! Invariants: chunks and bundles are never changed or removed, so that a reader with a handle keeps reading,
//! even once the files are unlinked. A generation gets its name only once its files are complete and synced.
//!
//! sled needs guarding around its opening: it fails for good over a temporary file that a kill during an
//! earlier opening left; it trusts pages in the kernel that are not on disk yet; it drops what it cannot
//! read; and it syncs neither directories nor, reliably, its own file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::directory::{remove, sync};
use super::layout;
use super::manifest::Manifest;
pub(super) use super::naming::name;
use super::naming::{FOREIGN, Named, REMOVED, UNFINISHED, list_entries};
use super::plan::SEGMENT_SIZES;
use super::preread::{self, preread};

/// A snapshot that sled writes takes at most this share of its file.
const SUMMARY_SHARE: u64 = 256;

/// How often, and at which interval, the lock on a database's file is tried: for ten seconds in all.
const RELEASE_TRIES: u32 = 10_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(super) struct GenerationOptions {
    /// The directory of all generations.
    pub(super) directory: PathBuf,
    /// Of new databases, in bytes; sled fixes it at creation.
    pub(super) segment_size: usize,
    /// sled's page cache of each database, in bytes as they are on disk.
    pub(super) cache: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum GenerationError {
    /// The system failed to read or write it.
    #[error("{path}: {error}")]
    System { path: PathBuf, error: io::Error },
    /// The disk fails to return some of its bytes.
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: io::Error },
    /// Another process has it open.
    #[error("{path} is in use")]
    Locked { path: PathBuf },
    /// It differs from what was written.
    #[error("{path} {problem}")]
    Damaged { path: PathBuf, problem: String },
}

pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) tree: sled::Tree,
    /// Keeps the database open.
    _database: sled::Db,
    /// The database's file, through a descriptor of our own that is used to sync it.
    file: File,
    path: PathBuf,
    /// In bytes.
    pub(super) segment_size: usize,
    /// The size of its files at the last sync, in bytes.
    size: AtomicU64,
    /// Whether sled may have dropped data as it opened, so that the bundles have to be checked.
    pub(super) needs_reading: bool,
    /// Whether memory can be reclaimed from it, and pages read since that was done; see [`super::eviction`].
    pub(super) is_evictable: AtomicBool,
    pub(super) reads: AtomicU32,
    /// The pages of the journal and of bundles that were read last; approximate.
    pub(super) pages_read: [AtomicU64; 2],
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Generation").field("number", &self.number).finish_non_exhaustive()
    }
}

fn system(path: &Path) -> impl FnOnce(io::Error) -> GenerationError {
    let path = path.to_owned();
    move |error| GenerationError::System { path, error }
}

impl Generation {
    /// Creates a generation that holds nothing but this manifest, which names it as the newest. A failed
    /// attempt is removed by the next start.
    pub(super) fn create(options: &GenerationOptions, manifest: &Manifest) -> Result<Self, GenerationError> {
        let number = manifest.newest.generation;
        let path = options.directory.join(name(number));
        let unfinished = options.directory.join(name(number) + UNFINISHED);
        remove(&unfinished).map_err(system(&unfinished))?;
        let database = open_database(&unfinished, options.segment_size, options.cache)?;
        let tree = (*database).clone();
        let written = tree.insert(layout::MANIFEST, manifest.encode()).and_then(|_| tree.flush());
        written.map_err(|error| broken(&unfinished, error))?;
        let made = || {
            for file in ["db", "conf"] {
                sync(&unfinished.join(file))?;
            }
            sync(&unfinished)?;
            fs::rename(&unfinished, &path)?;
            sync(&options.directory)
        };
        made().map_err(system(&path))?;
        Self::of(database, number, path, options.segment_size, false)
    }

    /// Opens an existing generation.
    ///
    /// # Errors
    /// Its files cannot be read or written: nothing was changed then. Or they are damaged: sled may have
    /// altered them in trying to open them.
    pub(super) fn open(options: &GenerationOptions, number: u32) -> Result<Self, GenerationError> {
        Self::open_at(&options.directory.join(name(number)), number, options.segment_size, options.cache)
    }

    /// Opens a generation in any directory. `segment_size` applies only if that of its creation cannot be
    /// determined.
    pub(super) fn open_at(
        path: &Path,
        number: u32,
        segment_size: usize,
        cache: u64,
    ) -> Result<Self, GenerationError> {
        let path = path.to_owned();
        let db = path.join("db");
        if !db.try_exists().map_err(system(&db))? {
            return Err(GenerationError::Damaged { path: db, problem: "is missing".into() });
        }
        wait_for_release(&File::open(&db).map_err(system(&db))?, &path)?;
        // After a kill the kernel may hold pages that are not on disk. sled reads them and writes a synced
        // snapshot that refers to them, so they are synced first.
        sync(&db).and_then(|()| sync(&path)).map_err(system(&path))?;
        let unreadable = |error| GenerationError::Unreadable { path: path.clone(), error };
        let segment_size = segment_size_of(&path)
            .or_else(|| preread::segment_size(&path, &SEGMENT_SIZES))
            .unwrap_or(segment_size);
        let is_covered = preread(&path, segment_size).map_err(unreadable)?;
        clear(&path).map_err(system(&path))?;
        let database = open_database(&path, segment_size, cache)?;
        sync(&path).map_err(system(&path))?;
        Self::of(database, number, path, segment_size, !is_covered)
    }

    fn of(
        database: sled::Db,
        number: u32,
        path: PathBuf,
        segment_size: usize,
        needs_reading: bool,
    ) -> Result<Self, GenerationError> {
        let file = File::open(path.join("db")).map_err(system(&path))?;
        let tree = (*database).clone();
        let size = AtomicU64::new(0);
        let generation = Self {
            number,
            tree,
            _database: database,
            file,
            path,
            segment_size,
            size,
            needs_reading,
            is_evictable: AtomicBool::new(false),
            reads: AtomicU32::new(0),
            pages_read: Default::default(),
        };
        generation.update_size().map_err(system(&generation.path))?;
        generation.update_evictable();
        Ok(generation)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what was written durable. An error is final: a failed sync may have dropped the pages it was
    /// asked to write.
    pub(super) fn sync(&self) -> Result<(), GenerationError> {
        self.tree.flush().map_err(|error| broken(&self.path, error))?;
        // sled's flush persists neither the file's length nor the drive's cache.
        self.file.sync_data().and_then(|()| self.update_size()).map_err(system(&self.path))
    }

    fn update_size(&self) -> io::Result<()> {
        // On the next opening, sled pads its last segment and writes a snapshot.
        let file = self.file.metadata()?.len();
        let size = file.next_multiple_of(self.segment_size as u64) + file / SUMMARY_SHARE;
        self.size.store(size, Ordering::Relaxed);
        Ok(())
    }

    /// The size of its files, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Removes its files. Open handles stay readable.
    pub(super) fn remove(&self) -> Result<(), GenerationError> {
        // Renamed first, so that a partly removed directory is not mistaken for a damaged one.
        let mut removed = self.path.clone().into_os_string();
        removed.push(REMOVED);
        let removed = PathBuf::from(removed);
        let parent = self.path.parent().unwrap_or(Path::new("."));
        fs::rename(&self.path, &removed)
            .and_then(|()| remove(&removed))
            .and_then(|()| sync(parent))
            .map_err(system(&self.path))
    }

    /// The number of values that outgrew a leaf, so that sled wrote them to files that it never syncs. There
    /// must be none.
    pub(super) fn stray_blobs(&self) -> usize {
        fs::read_dir(self.path.join("blobs")).map_or(0, Iterator::count)
    }
}

/// The numbers of the generations in a directory, ascending. Removes what an interrupted creation or removal
/// left, and keeps damaged generations that were renamed.
///
/// # Errors
/// The directory cannot be read or written, or holds anything else.
pub(super) fn list(directory: &Path) -> Result<Vec<u32>, GenerationError> {
    let mut numbers = Vec::new();
    for (path, named) in list_entries(directory).map_err(system(directory))? {
        match named {
            Named::Generation(number) => numbers.push(number),
            Named::Unfinished => remove(&path).map_err(system(directory))?,
            Named::Damaged => {}
            Named::Foreign => return Err(GenerationError::Damaged { path, problem: FOREIGN.into() }),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes the files that sled derives from its log, so that it opens from the log alone.
pub(super) fn remove_derived(options: &GenerationOptions, number: u32) -> io::Result<()> {
    let path = options.directory.join(name(number));
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        let file_name = entry.file_name();
        if file_name == "conf" || file_name.to_string_lossy().starts_with("snap.") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the temporary file that makes sled fail to open after a kill during an earlier opening.
fn clear(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Waits until the lock on the database's file is free. The data directory is locked by us, so that the
/// holder can only be a store that this very process closed: sled's own threads release the file a moment
/// after that.
fn wait_for_release(file: &File, path: &Path) -> Result<(), GenerationError> {
    for _ in 0..RELEASE_TRIES {
        match file.try_lock() {
            Ok(()) => return file.unlock().map_err(system(path)),
            Err(TryLockError::WouldBlock) => thread::sleep(RELEASE_PAUSE),
            Err(TryLockError::Error(error)) => return Err(system(path)(error)),
        }
    }
    Err(GenerationError::Locked { path: path.to_owned() })
}

/// The segment size that was set when the database was created, if its configuration says so.
fn segment_size_of(path: &Path) -> Option<usize> {
    // A binary checksum follows the lines.
    let conf = fs::read(path.join("conf")).ok()?;
    String::from_utf8_lossy(&conf)
        .lines()
        .find_map(|line| line.strip_prefix("segment_size: ")?.trim().parse().ok())
}

fn open_database(path: &Path, segment_size: usize, cache: u64) -> Result<sled::Db, GenerationError> {
    let config = sled::Config::default()
        .path(path)
        .cache_capacity(cache)
        .segment_size(segment_size)
        // Syncs are made explicitly.
        .flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(broken(path, error)),
        Err(_) => Err(GenerationError::Damaged {
            path: path.to_owned(),
            problem: "does not open: sled panicked while reading its log".into(),
        }),
    }
}

/// Maps an error of sled. It writes as it opens, so an I/O error means a full or failing disk and not damage.
pub(super) fn broken(path: &Path, error: sled::Error) -> GenerationError {
    let path = path.to_owned();
    match error {
        sled::Error::Io(error) => GenerationError::System { path, error },
        error => GenerationError::Damaged { path, problem: format!("cannot be read: {error}") },
    }
}
