//! One database of those that hold what lived on.
//!
//! Invariants: a chunk or bundle that was written is never changed and never removed, so whoever has a generation in hand
//! reads from it for as long as that is in hand, also once its files are removed. A generation has its name once its files are
//! whole and on the disk.
//!
//! The database cannot be trusted with all of this. It fails for ever over a file that it left behind when it was killed
//! while opening; it builds on data that the kernel has not written yet; it gives up what it cannot read; and it syncs
//! neither directories nor, reliably, its own file. That is seen to here, before and after it opens.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::directory::{remove, sync};
use super::layout;
use super::mark::Mark;
pub(super) use super::naming::name;
use super::naming::{FOREIGN, Named, REMOVED, UNFINISHED, look_through};
use super::plan::SEGMENT_SIZES;
use super::survey::{self, survey};

/// What a summary of a database takes at most, as a share of its file.
const SUMMARY_SHARE: u64 = 256;

/// How often, and how far apart, it is looked whether a predecessor has let go of the database's file: for ten
/// seconds in all.
const RELEASE_TRIES: u32 = 10_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(1);

/// How databases are opened.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// The directory of them all.
    pub(super) directory: PathBuf,
    /// The database's segment size in bytes; it is fixed when a database is made.
    pub(super) segment_size: usize,
    /// How much of each is held in memory, in bytes as they are on disk.
    pub(super) cache: u64,
}

/// Why a generation cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum GenerationError {
    /// The system could not read or write it.
    #[error("{path}: {error}")]
    System { path: PathBuf, error: io::Error },
    /// The disk does not give back what is on it.
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: io::Error },
    /// Another process has it open.
    #[error("{path} is in use")]
    Locked { path: PathBuf },
    /// It is not as it was written.
    #[error("{path} {problem}")]
    Damaged { path: PathBuf, problem: String },
}

/// See the module's documentation.
pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) tree: sled::Tree,
    /// Keeps the database open.
    _database: sled::Db,
    /// The database's file, by a descriptor of our own.
    file: File,
    path: PathBuf,
    /// The database's segment size in bytes.
    pub(super) segment_size: usize,
    /// What its files took when it was last looked, in bytes.
    size: AtomicU64,
    /// Whether what it holds may be less than was written, as far as can be told before it is read.
    pub(super) is_to_be_read: bool,
    /// Whether it can be made to give memory back, and how many pages were read since it last was.
    pub(super) is_evictable: AtomicBool,
    pub(super) reads: AtomicU32,
    /// Which the last ones were, of the journal and of bundles, near enough.
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
    /// Makes a generation that holds nothing but this mark, which names it as the newest.
    ///
    /// # Errors
    /// When the system cannot write it. What was made of it is removed at the next start.
    pub(super) fn create(form: &Form, mark: &Mark) -> Result<Self, GenerationError> {
        let number = mark.newest.generation;
        let path = form.directory.join(name(number));
        let unfinished = form.directory.join(name(number) + UNFINISHED);
        remove(&unfinished).map_err(system(&unfinished))?;
        let database = open_database(&unfinished, form.segment_size, form.cache)?;
        let tree = (*database).clone();
        let written = tree.insert(layout::MARK, mark.encode()).and_then(|_| tree.flush());
        written.map_err(|error| broken(&unfinished, error))?;
        let made = || {
            for file in ["db", "conf"] {
                sync(&unfinished.join(file))?;
            }
            sync(&unfinished)?;
            fs::rename(&unfinished, &path)?;
            sync(&form.directory)
        };
        made().map_err(system(&path))?;
        Self::of(database, number, path, form.segment_size, false)
    }

    /// Opens a generation that is there.
    ///
    /// # Errors
    /// When its files cannot be read or written, and then nothing has changed; and when the database finds no sense in them,
    /// which it may have altered in trying.
    pub(super) fn open(form: &Form, number: u32) -> Result<Self, GenerationError> {
        Self::open_at(&form.directory.join(name(number)), number, form.segment_size, form.cache)
    }

    /// The same for one in this directory. Its segment size is that with which it was made, or if that cannot be told this one.
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
        // After a kill the kernel may still hold pages that are not on the disk. The database reads them as if they
        // were, and writes a synced summary that refers to them; so they go to the disk first.
        sync(&db).and_then(|()| sync(&path)).map_err(system(&path))?;
        let unreadable = |error| GenerationError::Unreadable { path: path.clone(), error };
        let segment_size = segment_size_of(&path)
            .or_else(|| survey::segment_size(&path, &SEGMENT_SIZES))
            .unwrap_or(segment_size);
        let is_covered = survey(&path, segment_size).map_err(unreadable)?;
        clear(&path).map_err(system(&path))?;
        let database = open_database(&path, segment_size, cache)?;
        sync(&path).map_err(system(&path))?;
        Self::of(database, number, path, segment_size, !is_covered)
    }

    /// The one in this directory, with its database open.
    fn of(
        database: sled::Db,
        number: u32,
        path: PathBuf,
        segment_size: usize,
        is_to_be_read: bool,
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
            is_to_be_read,
            is_evictable: AtomicBool::new(false),
            reads: AtomicU32::new(0),
            pages_read: Default::default(),
        };
        generation.look().map_err(system(&generation.path))?;
        generation.find_out_whether_evictable();
        Ok(generation)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes durable what was written into it.
    ///
    /// # Errors
    /// They are final: a sync that failed may have dropped the very pages that it was asked to write.
    pub(super) fn sync(&self) -> Result<(), GenerationError> {
        self.tree.flush().map_err(|error| broken(&self.path, error))?;
        // The flush persists neither the file's length nor the drive's cache.
        self.file.sync_data().and_then(|()| self.look()).map_err(system(&self.path))
    }

    fn look(&self) -> io::Result<()> {
        // As it opens again, the database fills up its last segment, and writes a summary.
        let file = self.file.metadata()?.len();
        let size = file.next_multiple_of(self.segment_size as u64) + file / SUMMARY_SHARE;
        self.size.store(size, Ordering::Relaxed);
        Ok(())
    }

    /// What its files take, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Removes its files. Whoever has it in hand can go on reading.
    ///
    /// # Errors
    /// When the system cannot.
    pub(super) fn remove(&self) -> Result<(), GenerationError> {
        // By another name first: what is left of a directory that was half removed is never taken for one that is damaged.
        let mut removed = self.path.clone().into_os_string();
        removed.push(REMOVED);
        let removed = PathBuf::from(removed);
        let parent = self.path.parent().unwrap_or(Path::new("."));
        fs::rename(&self.path, &removed)
            .and_then(|()| remove(&removed))
            .and_then(|()| sync(parent))
            .map_err(system(&self.path))
    }

    /// Values that outgrew a leaf and were written to files that are never synced. There must be none.
    pub(super) fn stray_blobs(&self) -> usize {
        fs::read_dir(self.path.join("blobs")).map_or(0, Iterator::count)
    }
}

/// The numbers of the generations that are there, once what was left half made or half removed is cleared away. What was put
/// aside because it was damaged stays.
///
/// # Errors
/// When the directory cannot be read or written, or when something else is in it.
pub(super) fn list(directory: &Path) -> Result<Vec<u32>, GenerationError> {
    let mut numbers = Vec::new();
    for (path, named) in look_through(directory).map_err(system(directory))? {
        match named {
            Named::Generation(number) => numbers.push(number),
            Named::Unfinished => remove(&path).map_err(system(directory))?,
            Named::PutAside => {}
            Named::Foreign => return Err(GenerationError::Damaged { path, problem: FOREIGN.into() }),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what a database has beside its file and derives from that, so that it is opened by that alone.
pub(super) fn remove_derived(form: &Form, number: u32) -> io::Result<()> {
    let path = form.directory.join(name(number));
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        let file_name = entry.file_name();
        if file_name == "conf" || file_name.to_string_lossy().starts_with("snap.") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Clears away what a predecessor left behind that was killed while the database opened.
fn clear(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Waits until nobody holds the database's file. The directory is ours already, so that can only be what a
/// predecessor in this very process left behind: the database's own threads, which let go of the file an instant
/// after it was closed.
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

/// The segment size with which a database was made.
fn segment_size_of(path: &Path) -> Option<usize> {
    // A checksum follows the lines.
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
        // Its own timed flush would only get in the way of ours.
        .flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(broken(path, error)),
        Err(_) => Err(GenerationError::Damaged {
            path: path.to_owned(),
            problem: "does not open: the database panicked while reading its log".into(),
        }),
    }
}

/// What an error of the database says. It writes as it opens, so one of the system is a full or failing disk, and no reason
/// to give up what is on it.
pub(super) fn broken(path: &Path, error: sled::Error) -> GenerationError {
    let path = path.to_owned();
    match error {
        sled::Error::Io(error) => GenerationError::System { path, error },
        error => GenerationError::Damaged { path, problem: format!("cannot be read: {error}") },
    }
}
