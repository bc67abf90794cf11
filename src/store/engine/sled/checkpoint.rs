//! The checkpoint thread: moves live data from the in-memory tables into the newest generation.
//!
//! A table is filled for one interval and then kept for another, so that items closed within that time never
//! reach the database with their payloads. Then its rows are written, except for those that a later table
//! fully supersedes, and synced; then the manifest with the new log position is synced; only then are the
//! table and its segments of the log released.
//!
//! When memory is short, tables are written early; see [`super::pace`]. When no table is due, the thread
//! compacts.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::draft::{Draft, DraftError};
use super::generations::Totals;
use super::pace::{Pace, Room};
use super::plan::GROWTH;
use super::queue::{Queue, panic_message};
use super::space::{Space, Usage};
use super::table::Table;
use super::tables::{Frozen, Tables};
use crate::model::{Clock, Timestamp};
use crate::store::log::Segments;

/// Rows written between two checks of the newest generation's size, and bytes written between two
/// notifications of waiting commits.
const ROWS_AT_ONCE: usize = 512;
const BYTES_REPORTED: usize = 512 * 1024;
/// The longest sleep of the idle thread.
const PAUSE: Duration = Duration::from_secs(1);
/// The outdated share from which a generation is compacted, in percent: normally, when disk space gets short,
/// and when it is short.
const OUTDATED: u64 = 30;
const OUTDATED_PRESSED: u64 = 10;
const OUTDATED_SHORT: u64 = 3;
/// The bytes that one compaction step may write, and that a checkpoint writes beside its table.
const MOVED_AT_ONCE: u64 = 4 * 1024 * 1024;
const CHECKPOINT_OVERHEAD: u64 = 1024 * 1024;

/// Signals between the two threads.
#[derive(Debug, Default)]
struct Signals {
    /// All tables are to be written now, since a commit waits for log space.
    urgent: bool,
    /// The thread is to end once they are written.
    close: bool,
    ended: bool,
    /// The thread has nothing to do.
    idle: bool,
}

/// The state shared by the committing and the checkpoint thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    pub(super) tables: Arc<RwLock<Tables>>,
    room: Room,
    /// The bytes of table rows written to the database since the start.
    written: AtomicU64,
    signals: Mutex<Signals>,
    signalled: Condvar,
    done: Condvar,
    /// The sizes of the generations, as last published.
    totals: Mutex<Totals>,
    space: Mutex<Space>,
}

impl Checkpoints {
    /// For a database that holds the log up to the record `covered`.
    pub(super) fn new(covered: u64, next_number: u64, room: Room, totals: Totals, space: Space) -> Self {
        let tables = Tables::new(covered, next_number, room.table_max());
        Self {
            tables: Arc::new(RwLock::new(tables)),
            room,
            written: AtomicU64::new(0),
            signals: Mutex::default(),
            signalled: Condvar::new(),
            done: Condvar::new(),
            totals: Mutex::new(totals),
            space: Mutex::new(space),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk budget, refreshed.
    pub(super) fn space(&self, segments: &Segments) -> io::Result<MutexGuard<'_, Space>> {
        let generations = *self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = self.read().bytes() as u64;
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        let (log, log_ready) = (segments.bytes(), segments.bytes_ready());
        space.refresh(&Usage { generations, log, log_ready, pending })?;
        Ok(space)
    }

    /// Adds a group's changes, which are durable as the log record `last`.
    pub(super) fn add(&self, group: Table, last: u64, next_number: u64) {
        let must_wake = {
            let mut tables = self.write();
            let (was_empty, was_short) = (tables.is_newest_empty(), self.room.is_short(tables.bytes()));
            tables.add(group, last, next_number);
            was_empty || self.room.is_short(tables.bytes()) != was_short
        };
        if must_wake {
            // The thread may be asleep for long.
            self.wake();
        }
    }

    /// Wakes the thread to prepare a segment of the log.
    pub(super) fn wake(&self) {
        let _wishes = self.signals();
        self.signalled.notify_one();
    }

    /// Waits until a group of this size may be added. Returns false if the checkpoint thread has ended.
    pub(super) fn wait_for_memory(&self, pace: &mut Pace, bytes: usize) -> bool {
        let written = || self.written.load(Ordering::Relaxed);
        let is_enough = || pace.admits(self.room, self.read().bytes(), written());
        if !is_enough() && !self.wait(false, is_enough) {
            return false;
        }
        pace.note(bytes, written());
        true
    }

    /// Counts written bytes and wakes the commits that wait for them.
    fn note_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        let _wishes = self.signals();
        self.done.notify_all();
    }

    /// Has all tables written, and waits until `is_enough`. Returns false if the thread has ended.
    pub(super) fn wait_for(&self, is_enough: impl Fn() -> bool) -> bool {
        self.wait(true, is_enough)
    }

    fn wait(&self, urgent: bool, is_enough: impl Fn() -> bool) -> bool {
        let mut signals = self.signals();
        loop {
            if signals.ended {
                return false;
            }
            if is_enough() {
                signals.urgent &= !urgent;
                return true;
            }
            signals.urgent |= urgent;
            self.signalled.notify_one();
            signals = self.done.wait(signals).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether everything is in the database and no compaction is due.
    pub(super) fn is_settled(&self) -> bool {
        self.signals().idle && self.read().is_settled()
    }

    /// Has the thread write everything and end.
    pub(super) fn close(&self) {
        self.signals().close = true;
        self.signalled.notify_one();
    }

    fn end(&self) {
        self.signals().ended = true;
        self.done.notify_all();
    }
}

pub(super) struct Checkpointer {
    pub(super) shared: Arc<Checkpoints>,
    pub(super) draft: Draft,
    pub(super) segments: Arc<Segments>,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Arc<dyn Clock>,
    /// How long a table is filled, and then kept.
    pub(super) interval: Duration,
    pub(super) ticked_at: Timestamp,
    /// Whether segments of the log are allocated ahead: not while disk space is short.
    pub(super) may_prepare: bool,
}

enum Task {
    Checkpoint(Arc<Frozen>),
    Compact,
    PrepareSegment,
    End,
}

impl Checkpointer {
    /// Works until it is closed, or until an error.
    pub(super) fn run(mut self) {
        // sled panics in places where it should return an error; both are handled alike.
        let result = catch_unwind(AssertUnwindSafe(|| self.work()));
        let reason = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(format!("the checkpoints panicked: {}", panic_message(&*panic))),
        };
        if let Some(reason) = reason {
            self.queue.fail(reason.into(), &mut Vec::new());
        }
        self.shared.end();
    }

    fn work(&mut self) -> Result<(), DraftError> {
        loop {
            match self.next() {
                Task::Checkpoint(frozen) => {
                    self.checkpoint(&frozen)?;
                    // Compaction has to keep up even if tables are always due.
                    let mut left = 1 + 3 * frozen.table.bytes() / MOVED_AT_ONCE as usize;
                    while left > 0 && self.compact(false)? {
                        left -= 1;
                    }
                }
                Task::Compact => drop(self.compact(true)?),
                // On failure, the commit that needs a segment waits for a checkpoint to release one.
                Task::PrepareSegment => {
                    if let Err(error) = self.segments.prepare() {
                        tracing::debug!("a segment of the log could not be allocated ahead: {error}");
                        self.may_prepare = false;
                    }
                }
                Task::End => return Ok(()),
            }
        }
    }

    /// The outdated share from which a generation is compacted at present, in percent.
    fn outdated(&self) -> Result<u64, DraftError> {
        let space = self.shared.space(&self.segments).map_err(DraftError::Space)?;
        Ok(match (space.is_short(), space.is_pressed()) {
            (true, _) => OUTDATED_SHORT,
            (_, true) => OUTDATED_PRESSED,
            _ => OUTDATED,
        })
    }

    /// Does one compaction step, if there is one to do. Returns whether there was.
    fn compact(&mut self, is_idle: bool) -> Result<bool, DraftError> {
        let is_compacting = self.draft.begin_compaction(self.outdated()?);
        if is_compacting {
            let mut space = self.shared.space(&self.segments).map_err(DraftError::Space)?;
            space.provide(MOVED_AT_ONCE * GROWTH).map_err(DraftError::Space)?;
            drop(space);
            self.draft.compact_some()?;
        }
        self.draft.seal_if_due(is_idle)?;
        self.publish();
        Ok(is_compacting)
    }

    fn publish(&self) {
        *self.shared.totals.lock().unwrap_or_else(PoisonError::into_inner) = self.draft.totals();
    }

    /// Waits for the next task. Once per interval the newest table is frozen, and those frozen earlier become
    /// due.
    fn next(&mut self) -> Task {
        let shared = self.shared.clone();
        let mut signals = shared.signals();
        signals.idle = false;
        loop {
            if self.may_prepare && !signals.close && self.segments.is_low() {
                return Task::PrepareSegment;
            }
            let now = self.clock.now();
            let is_urgent = signals.urgent || signals.close;
            let mut tables = shared.write();
            if is_urgent || now.since(self.ticked_at) >= self.interval {
                self.ticked_at = now;
                tables.tick();
            }
            let is_short = shared.room.is_short(tables.bytes());
            if is_short && tables.next(true).is_none() {
                // The room is so small that all of it is in the newest table.
                tables.tick();
            }
            let (next, is_settled) = (tables.next(is_urgent || is_short), tables.is_settled());
            drop(tables);
            if let Some(next) = next {
                return Task::Checkpoint(next);
            }
            if signals.close {
                return Task::End;
            }
            signals.urgent = false;
            if self.draft.can_compact(OUTDATED) || self.is_pressed_for_room() {
                return Task::Compact;
            }
            signals.idle = true;
            let pause = if is_settled { PAUSE } else { self.interval };
            let (woken, waited) =
                shared.signalled.wait_timeout(signals, pause).unwrap_or_else(PoisonError::into_inner);
            signals = woken;
            signals.idle = false;
            if waited.timed_out() {
                // Whatever the clock says: a test may stop it.
                self.ticked_at = Timestamp::MIN;
            }
        }
    }

    /// Whether disk space is short and compaction at a lower threshold would free some.
    fn is_pressed_for_room(&self) -> bool {
        self.outdated().is_ok_and(|outdated| outdated < OUTDATED && self.draft.can_compact(outdated))
    }

    /// Writes the oldest table into the newest generation, and releases it.
    fn checkpoint(&mut self, frozen: &Frozen) -> Result<(), DraftError> {
        let mut space = self.shared.space(&self.segments).map_err(DraftError::Space)?;
        space
            .provide(frozen.table.bytes() as u64 * GROWTH + CHECKPOINT_OVERHEAD)
            .map_err(DraftError::Space)?;
        let is_short = space.is_short();
        drop(space);
        self.may_prepare = !is_short;
        let later = Later(&self.shared);
        write(&mut self.draft, &frozen.table, Some(&later))?;
        self.draft.set_covered(frozen.last, frozen.next_number)?;
        self.publish();
        self.shared.write().remove_oldest();
        self.segments.release(frozen.last, is_short).map_err(DraftError::Log)?;
        let _wishes = self.shared.signals();
        self.shared.done.notify_all();
        Ok(())
    }
}

/// The tables after the oldest.
pub(super) struct Later<'a>(&'a Checkpoints);

/// Writes a table's rows into the newest generation, except for those that `later` tables supersede, and
/// syncs.
pub(super) fn write(draft: &mut Draft, table: &Table, later: Option<&Later<'_>>) -> Result<(), DraftError> {
    let mut unreported = 0;
    for (index, (number, row)) in table.rows().enumerate() {
        unreported += row.size();
        if unreported >= BYTES_REPORTED {
            later.iter().for_each(|Later(shared)| shared.note_written(unreported));
            unreported = 0;
        }
        if index % ROWS_AT_ONCE == ROWS_AT_ONCE - 1 {
            draft.seal_if_due(false)?;
        }
        let superseding = later.and_then(|Later(shared)| shared.read().superseding(*number).cloned());
        // Names are looked up in this table or in the database, so a new item has to get there with the table
        // that named it.
        let is_new = table.names_of(*number).is_some();
        match &superseding {
            None => draft.write_row(*number, row)?,
            Some(superseding) if is_new => draft.write_row(*number, superseding)?,
            Some(_) => {}
        }
    }
    later.iter().for_each(|Later(shared)| shared.note_written(unreported));
    for (key, value) in table.documents() {
        let is_superseded = later.is_some_and(|Later(shared)| shared.read().is_document_superseded(key));
        if !is_superseded {
            draft.write_document(key, value.as_deref())?;
        }
    }
    draft.apply()?;
    draft.sync()
}
