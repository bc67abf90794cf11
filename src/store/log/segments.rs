//! The segment files of the log, and which of them may be overwritten.
//!
//! Invariants: a segment has its full length in synced zeros before it is used, so that a sync of a write to
//! it persists only data. It is overwritten only once no record in it is needed. A file keeps its name; its
//! head tells which segment it holds.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::frame::HEAD_SIZE;

/// The suffix of a file that is being created.
const UNFINISHED: &str = ".new";
/// Spare segments that are kept beyond the recent demand.
const SPARE_MIN: usize = 2;
/// By this share the recent demand decays with each release of segments, so that the files of a busy hour are
/// removed in time.
const FORGOTTEN_SHARE: usize = 32;
/// The bytes per write when a segment is zeroed.
const ZEROS: usize = 256 * 1024;

/// A segment that holds records which may be needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// The segment's number.
    pub number: u64,
    /// The number of its file.
    pub slot: u32,
    /// The last record of which it holds a part.
    pub last: u64,
}

#[derive(Debug, Default)]
struct State {
    /// In ascending order.
    live: VecDeque<Live>,
    spare: BTreeSet<u32>,
    /// Files that are being created.
    making: BTreeSet<u32>,
    /// Spare segments that are promised to the writer.
    provided: usize,
    /// The recent maximum of live segments, decaying.
    needed: usize,
}

impl State {
    fn files(&self) -> usize {
        self.live.len() + self.spare.len() + self.making.len()
    }

    /// Reserves a file number, unless there are `limit` files.
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

/// The files of a log, shared by its writer and by whoever releases segments.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    size: usize,
    /// The most files, and the files that are always allocated.
    limit: usize,
    ready: usize,
    state: Mutex<State>,
}

impl Segments {
    /// For existing files.
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

    /// The size of a segment, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The most bytes of all files.
    pub fn capacity(&self) -> u64 {
        (self.limit * self.size) as u64
    }

    /// The bytes of the files that are always allocated.
    pub fn bytes_ready(&self) -> u64 {
        (self.ready * self.size) as u64
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        let state = self.lock();
        ((state.live.len() + state.spare.len()) * self.size) as u64
    }

    /// Allocates the files that must always exist.
    ///
    /// # Errors
    /// The disk has no room for a file.
    pub fn provide_ready(&self) -> io::Result<()> {
        let live = self.lock().live.len();
        self.provide(self.ready.saturating_sub(live).max(1), true).map(drop)
    }

    /// Ensures that `count` more segments can be begun. Returns false if that takes too many files or, unless
    /// `may_grow`, more than are always allocated.
    ///
    /// # Errors
    /// The disk has no room for a file. Nothing has changed.
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

    /// Whether a segment should be allocated ahead of demand.
    pub fn is_low(&self) -> bool {
        let state = self.lock();
        state.spare.len() + state.making.len() < SPARE_MIN && state.files() < self.limit
    }

    /// Allocates a segment ahead of demand, unless there are too many files.
    ///
    /// # Errors
    /// The disk has no room for it. Nothing has changed.
    pub fn prepare(&self) -> io::Result<()> {
        let slot = self.lock().reserve(self.limit);
        slot.map_or(Ok(()), |slot| self.make(slot))
    }

    /// Creates a reserved file.
    fn make(&self, slot: u32) -> io::Result<()> {
        let made = self.write_zeros(slot);
        let mut state = self.lock();
        state.making.remove(&slot);
        if made.is_ok() {
            state.spare.insert(slot);
        }
        made
    }

    /// Creates a file of zeros and syncs it.
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
            // A partial segment is useless, and its space may be needed elsewhere.
            let _ = fs::remove_file(&path);
        }
        made
    }

    /// Begins a segment with this number in a spare file.
    ///
    /// # Errors
    /// No file is spare, or it cannot be opened.
    pub fn begin(&self, number: u64, first: u64) -> io::Result<File> {
        let mut state = self.lock();
        let slot =
            state.spare.pop_first().ok_or_else(|| io::Error::other("no segment of the log is free"))?;
        state.provided = state.provided.saturating_sub(1);
        state.live.push_back(Live { number, slot, last: first });
        drop(state);
        File::options().write(true).open(self.path(slot))
    }

    /// Opens the live segment with this number, to append to it.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    pub fn resume(&self, number: u64) -> io::Result<File> {
        let slot = self.lock().live.iter().find(|live| live.number == number).map(|live| live.slot);
        let slot = slot.ok_or_else(|| io::Error::other("a segment of the log is missing"))?;
        File::options().write(true).open(self.path(slot))
    }

    /// Records that the newest segment holds a part of this record.
    pub fn note(&self, record: u64) {
        if let Some(newest) = self.lock().live.back_mut() {
            newest.last = record;
        }
    }

    /// Makes the segments spare that hold no record after `covered`, except for the newest, which is being
    /// written. Removes spare files beyond the recent demand; if disk space is short, all but those that are
    /// always allocated.
    ///
    /// # Errors
    /// A surplus file cannot be removed.
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
            // Under the lock, since the next file to be created may get the same name.
            fs::remove_file(self.path(surplus))?;
        }
        Ok(())
    }

    /// Clears the heads of spare files, so that they hold no segment.
    ///
    /// # Errors
    /// One cannot be written or synced.
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

fn name(slot: u32) -> String {
    format!("segment-{slot:04}")
}

/// Removes files whose creation was interrupted.
pub fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes all segment files of a log that is given up.
pub fn remove_all(directory: &Path) -> io::Result<()> {
    files(directory)?.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
}

/// The segment files in a directory, by their numbers.
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
