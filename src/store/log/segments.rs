//! The files of the log: which segments hold what is still needed, and which may be written over.
//!
//! Invariants: a segment has its full length, in zeros, on the disk before it is used, so that a sync of what is written into
//! it persists nothing but data; one is written over only once nothing in it is needed; a file keeps its name for ever, what
//! it holds is told by its head.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::frame::HEAD_SIZE;

/// What the name of a file ends with while it is being made.
const UNFINISHED: &str = ".new";
/// How many segments are kept to be written over beside those that were needed lately.
const SPARE_MIN: usize = 2;
/// By which share of it what was needed lately is forgotten each time that segments come free, so that a busy hour does not keep
/// its room for ever.
const FORGOTTEN_SHARE: usize = 32;
/// How much is written at once when a segment is made, in bytes.
const ZEROS: usize = 256 * 1024;

/// A segment that holds something that may be needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its place in the log.
    pub number: u64,
    /// Its file.
    pub slot: u32,
    /// The last record of which it holds anything.
    pub last: u64,
}

#[derive(Debug, Default)]
struct State {
    /// By number.
    live: VecDeque<Live>,
    spare: BTreeSet<u32>,
    /// Files that are being made.
    making: BTreeSet<u32>,
    /// How many of the spare ones somebody counts on who is about to write.
    provided: usize,
    /// How many were needed at once lately.
    needed: usize,
}

impl State {
    fn files(&self) -> usize {
        self.live.len() + self.spare.len() + self.making.len()
    }

    /// The number of a file that is about to be made, if there may be one more.
    fn reserve(&mut self, limit: usize) -> Option<u32> {
        if self.files() >= limit {
            return None;
        }
        let is_free = |slot: &u32| {
            !self.spare.contains(slot)
                && !self.making.contains(slot)
                && self.live.iter().all(|live| live.slot != *slot)
        };
        let slot = (0..).find(is_free)?;
        self.making.insert(slot);
        Some(slot)
    }
}

/// The files of a log, shared by who writes it and who knows what is needed no longer.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    size: usize,
    /// The most files that there may be, and how many there are at least.
    limit: usize,
    ready: usize,
    state: Mutex<State>,
}

impl Segments {
    /// Those that are there already.
    pub fn new(
        directory: &Path,
        size: usize,
        (ready, limit): (usize, usize),
        live: VecDeque<Live>,
        spare: Vec<u32>,
    ) -> Self {
        let needed = live.len();
        let spare = spare.into_iter().collect();
        let state = State { live, spare, needed, ..State::default() };
        Self { directory: directory.to_owned(), size, limit, ready, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long each is, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The most bytes of all files.
    pub fn capacity(&self) -> u64 {
        (self.limit * self.size) as u64
    }

    /// The bytes of the files that there are at least.
    pub fn bytes_ready(&self) -> u64 {
        (self.ready * self.size) as u64
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        let state = self.lock();
        ((state.live.len() + state.spare.len()) * self.size) as u64
    }

    /// Makes as many files as there are to be at least.
    ///
    /// # Errors
    /// When there is no room on the disk for one.
    pub fn provide_ready(&self) -> io::Result<()> {
        let live = self.lock().live.len();
        self.provide(self.ready.saturating_sub(live).max(1), true).map(drop)
    }

    /// Sees to it that so many more segments can be begun; false if there would be too many files, or if none may be made
    /// beyond those that there are at least.
    ///
    /// # Errors
    /// When there is no room on the disk for a new one. Nothing has changed then.
    pub fn provide(&self, count: usize, may_grow: bool) -> io::Result<bool> {
        loop {
            let slot = {
                let mut state = self.lock();
                if state.spare.len() >= count {
                    state.provided = count;
                    return Ok(true);
                }
                let Some(slot) = state.reserve(if may_grow { self.limit } else { self.ready }) else {
                    return Ok(false);
                };
                slot
            };
            self.make(slot)?;
        }
    }

    /// Whether another segment is to be made before somebody needs it.
    pub fn is_low(&self) -> bool {
        let state = self.lock();
        state.spare.len() + state.making.len() < SPARE_MIN && state.files() < self.limit
    }

    /// Makes one before somebody needs it, where there is room for another file.
    ///
    /// # Errors
    /// When there is no room on the disk for it. Nothing has changed then.
    pub fn prepare(&self) -> io::Result<()> {
        let slot = self.lock().reserve(self.limit);
        slot.map_or(Ok(()), |slot| self.make(slot))
    }

    /// Makes a file that is reserved.
    fn make(&self, slot: u32) -> io::Result<()> {
        let made = self.write_zeros(slot);
        let mut state = self.lock();
        state.making.remove(&slot);
        if made.is_ok() {
            state.spare.insert(slot);
        }
        made
    }

    /// Makes a file of zeros and has it on the disk.
    fn write_zeros(&self, slot: u32) -> io::Result<()> {
        let path = self.directory.join(name(slot) + UNFINISHED);
        let made = File::create(&path).and_then(|file| {
            let zeros = vec![0; ZEROS.min(self.size)];
            for offset in (0..self.size).step_by(zeros.len()) {
                let length = zeros.len().min(self.size - offset);
                file.write_all_at(&zeros[..length], offset as u64)?;
            }
            file.sync_all()?;
            fs::rename(&path, self.path(slot))?;
            File::open(&self.directory)?.sync_all()
        });
        if made.is_err() {
            // Half a segment is of no use, and its room may be somebody else's.
            let _ = fs::remove_file(&path);
        }
        made
    }

    /// Begins a segment with that number in a file that may be written over.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn begin(&self, number: u64, first: u64) -> io::Result<File> {
        let mut state = self.lock();
        let slot =
            state.spare.pop_first().ok_or_else(|| io::Error::other("no segment of the log is free"))?;
        state.provided = state.provided.saturating_sub(1);
        state.live.push_back(Live { number, slot, last: first });
        drop(state);
        File::options().write(true).open(self.path(slot))
    }

    /// Opens the segment with that number, to go on writing into it.
    ///
    /// # Errors
    /// When there is none, or it cannot be opened.
    pub fn resume(&self, number: u64) -> io::Result<File> {
        let slot = self.lock().live.iter().find(|live| live.number == number).map(|live| live.slot);
        let slot = slot.ok_or_else(|| io::Error::other("a segment of the log is not there"))?;
        File::options().write(true).open(self.path(slot))
    }

    /// Notes that the newest segment holds something of a record.
    pub fn note(&self, record: u64) {
        if let Some(newest) = self.lock().live.back_mut() {
            newest.last = record;
        }
    }

    /// Frees the segments that hold nothing of a record after `covered`. The newest stays, since it is being written. Of those
    /// that are free some are removed, and all but a few if room is short.
    ///
    /// # Errors
    /// When a file that is one too many cannot be removed.
    pub fn release(&self, covered: u64, is_short: bool) -> io::Result<()> {
        let mut state = self.lock();
        let forgotten = (state.needed / FORGOTTEN_SHARE).max(1);
        state.needed = state.needed.saturating_sub(forgotten).max(state.live.len());
        while state.live.len() > 1 && state.live.front().is_some_and(|oldest| oldest.last <= covered) {
            let freed = state.live.pop_front().map(|oldest| oldest.slot);
            state.spare.extend(freed);
        }
        let kept = if is_short { self.ready } else { (state.needed + SPARE_MIN).max(self.ready) };
        while state.files() > kept
            && state.spare.len() > state.provided.max(1)
            && let Some(surplus) = state.spare.pop_last()
        {
            // Under the lock, since the next file that is made may have its name.
            fs::remove_file(self.path(surplus))?;
        }
        Ok(())
    }

    /// Takes the heads from files that may be written over, so that what is in them is of no segment any more.
    ///
    /// # Errors
    /// When one cannot be written or synced.
    pub fn forget(&self, slots: &[u32]) -> io::Result<()> {
        for slot in slots {
            let file = File::options().write(true).open(self.path(*slot))?;
            file.write_all_at(&[0; HEAD_SIZE], 0)?;
            file.sync_data()?;
        }
        Ok(())
    }

    fn path(&self, slot: u32) -> PathBuf {
        self.directory.join(name(slot))
    }
}

/// What a segment's file is called.
fn name(slot: u32) -> String {
    format!("segment-{slot:04}")
}

/// Removes files that were never finished.
///
/// # Errors
/// When the directory cannot be read or written.
pub fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes all files of a log that is given up.
///
/// # Errors
/// When the directory cannot be read or written.
pub fn remove_all(directory: &Path) -> io::Result<()> {
    files(directory)?.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
}

/// The files of segments in a directory.
///
/// # Errors
/// When it cannot be read.
pub fn files(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let slot = entry.file_name().to_str().and_then(|file| {
            let slot = file.strip_prefix("segment-")?.parse().ok()?;
            (name(slot) == file).then_some(slot)
        });
        found.extend(slot.map(|slot| (slot, entry.path())));
    }
    found.sort_unstable();
    Ok(found)
}
