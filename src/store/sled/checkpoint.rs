//! The checkpoints: a thread of its own moves what lives on from the tables into the newest generation.
//!
//! A table is left alone for as long as it was filled, so that what is closed within that time never comes to the database
//! with its payload. Then what it says goes there, unless a later table says all that there is to know, and is synced; the
//! mark that says so is synced after it; and only then are the table and its part of the log let go of.
//!
//! When memory is short for the tables, they go sooner; see [`super::pace`].
//!
//! When no table is due, room is made: what holds of a generation of which enough is outdated is moved, and the generation
//! removed.

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
use super::space::{Space, Taken};
use super::table::Table;
use super::tables::{Frozen, Tables};
use crate::model::{Clock, Timestamp};
use crate::store::log::Segments;

/// How many rows are written between two looks at how large the newest generation is, and how many bytes of them before whoever
/// waits is told.
const ROWS_AT_ONCE: usize = 512;
const BYTES_TOLD: usize = 512 * 1024;
/// How long the thread sleeps at most while it has nothing to do.
const PAUSE: Duration = Duration::from_secs(1);
/// How much of a generation has to be outdated for the rest to be moved, in percent: usually, when room becomes short, and when
/// it is.
const OUTDATED: u64 = 30;
const OUTDATED_PRESSED: u64 = 10;
const OUTDATED_SHORT: u64 = 3;
/// How many bytes making room may write in one go, and how many a checkpoint takes beside its table.
const MOVED_AT_ONCE: u64 = 4 * 1024 * 1024;
const BESIDES: u64 = 1024 * 1024;

/// What the committing thread wants of this one.
#[derive(Debug, Default)]
struct Wishes {
    /// That all tables go into the database now, since somebody waits for room.
    hurry: bool,
    /// That it ends once they have.
    close: bool,
    /// It has ended.
    ended: bool,
    /// It has nothing to do, and waits.
    idle: bool,
}

/// What both threads share.
#[derive(Debug)]
pub(super) struct Checkpoints {
    pub(super) tables: Arc<RwLock<Tables>>,
    room: Room,
    /// How many bytes of tables have been written to the database since the start.
    written: AtomicU64,
    wishes: Mutex<Wishes>,
    wished: Condvar,
    done: Condvar,
    /// What the generations take.
    totals: Mutex<Totals>,
    /// The watch over the room on the disk.
    space: Mutex<Space>,
}

impl Checkpoints {
    /// Over a database that holds the log up to the record `covered`.
    pub(super) fn new(covered: u64, next_number: u64, room: Room, totals: Totals, space: Space) -> Self {
        let tables = Tables::new(covered, next_number, room.table_max());
        Self {
            tables: Arc::new(RwLock::new(tables)),
            room,
            written: AtomicU64::new(0),
            wishes: Mutex::default(),
            wished: Condvar::new(),
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

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch over the room on the disk, after a look at it.
    pub(super) fn space(&self, segments: &Segments) -> io::Result<MutexGuard<'_, Space>> {
        let generations = *self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = self.read().bytes() as u64;
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        let (log, log_ready) = (segments.bytes(), segments.bytes_ready());
        space.look(&Taken { generations, log, log_ready, pending })?;
        Ok(space)
    }

    /// Adds what a group has changed, which is durable as that record of the log.
    pub(super) fn add(&self, group: Table, last: u64, next_number: u64) {
        let is_wanted = {
            let mut tables = self.write();
            let (was_empty, was_short) = (tables.is_newest_empty(), self.room.is_short(tables.bytes()));
            tables.add(group, last, next_number);
            was_empty || self.room.is_short(tables.bytes()) != was_short
        };
        if is_wanted {
            // It may have gone to sleep for long.
            self.wake();
        }
    }

    /// Wakes the thread, since the log is about to need another segment.
    pub(super) fn wake(&self) {
        let _wishes = self.wishes();
        self.wished.notify_one();
    }

    /// Waits until a group of so many bytes may be added. False if the thread of the checkpoints has ended.
    pub(super) fn wait_for_memory(&self, pace: &mut Pace, bytes: usize) -> bool {
        let written = || self.written.load(Ordering::Relaxed);
        let is_enough = || pace.admits(self.room, self.read().bytes(), written());
        if !is_enough() && !self.wait(false, is_enough) {
            return false;
        }
        pace.note(bytes, written());
        true
    }

    /// So many bytes of a table have been written, and whoever waits for that may go on.
    fn note_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        let _wishes = self.wishes();
        self.done.notify_all();
    }

    /// Has all that is in the tables go into the database, and waits until `is_enough`, or until the thread has ended; false
    /// then.
    pub(super) fn wait_for(&self, is_enough: impl Fn() -> bool) -> bool {
        self.wait(true, is_enough)
    }

    fn wait(&self, hurry: bool, is_enough: impl Fn() -> bool) -> bool {
        let mut wishes = self.wishes();
        loop {
            if wishes.ended {
                return false;
            }
            if is_enough() {
                wishes.hurry &= !hurry;
                return true;
            }
            wishes.hurry |= hurry;
            self.wished.notify_one();
            wishes = self.done.wait(wishes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether all is in the database and nothing is left to be cleared away.
    pub(super) fn is_settled(&self) -> bool {
        self.wishes().idle && self.read().is_settled()
    }

    /// Has the thread end once all is in the database.
    pub(super) fn close(&self) {
        self.wishes().close = true;
        self.wished.notify_one();
    }

    fn end(&self) {
        self.wishes().ended = true;
        self.done.notify_all();
    }
}

/// The thread's own things.
pub(super) struct Checkpointer {
    pub(super) shared: Arc<Checkpoints>,
    pub(super) draft: Draft,
    pub(super) segments: Arc<Segments>,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Arc<dyn Clock>,
    /// For how long a table is filled, and then left alone.
    pub(super) interval: Duration,
    pub(super) ticked_at: Timestamp,
    /// Whether the log may have another segment made ahead: not while room is short.
    pub(super) may_prepare: bool,
}

/// What is to be done next.
enum Task {
    Checkpoint(Arc<Frozen>),
    MakeRoom,
    PrepareSegment,
    End,
}

impl Checkpointer {
    /// Works until it is told to end, or until something fails.
    pub(super) fn run(mut self) {
        // The database panics where it should return an error; to us both mean the same.
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
                    // Also while tables are always due, and faster than they bring what is outdated.
                    let mut left = 1 + 3 * frozen.table.bytes() / MOVED_AT_ONCE as usize;
                    while left > 0 && self.make_room(false)? {
                        left -= 1;
                    }
                }
                Task::MakeRoom => drop(self.make_room(true)?),
                // Where it cannot be made, whoever needs one waits for a checkpoint to free one.
                Task::PrepareSegment => {
                    if let Err(error) = self.segments.prepare() {
                        tracing::debug!("a segment of the log could not be made ahead: {error}");
                        self.may_prepare = false;
                    }
                }
                Task::End => return Ok(()),
            }
        }
    }

    /// How much of a generation has to be outdated now.
    fn outdated(&self) -> Result<u64, DraftError> {
        let space = self.shared.space(&self.segments).map_err(DraftError::Space)?;
        Ok(match (space.is_short(), space.is_pressed()) {
            (true, _) => OUTDATED_SHORT,
            (_, true) => OUTDATED_PRESSED,
            _ => OUTDATED,
        })
    }

    /// Moves some of what holds of an outdated generation, if there is one; whether there was.
    fn make_room(&mut self, is_idle: bool) -> Result<bool, DraftError> {
        let is_moving = self.draft.begin_moving(self.outdated()?);
        if is_moving {
            let mut space = self.shared.space(&self.segments).map_err(DraftError::Space)?;
            space.provide(MOVED_AT_ONCE * GROWTH).map_err(DraftError::Space)?;
            drop(space);
            self.draft.move_some()?;
        }
        self.draft.seal_if_due(is_idle)?;
        self.publish();
        Ok(is_moving)
    }

    fn publish(&self) {
        *self.shared.totals.lock().unwrap_or_else(PoisonError::into_inner) = self.draft.totals();
    }

    /// Waits for something to do. Time goes by in ticks of the interval: with each the newest table is frozen, and those that
    /// were by then go into the database.
    fn next(&mut self) -> Task {
        let shared = self.shared.clone();
        let mut wishes = shared.wishes();
        wishes.idle = false;
        loop {
            if self.may_prepare && !wishes.close && self.segments.is_low() {
                return Task::PrepareSegment;
            }
            let now = self.clock.now();
            let is_urgent = wishes.hurry || wishes.close;
            let mut tables = shared.write();
            if is_urgent || now.since(self.ticked_at) >= self.interval {
                self.ticked_at = now;
                tables.tick();
            }
            let is_short = shared.room.is_short(tables.bytes());
            if is_short && tables.next(true).is_none() {
                // The room is so small that it is all in the newest.
                tables.tick();
            }
            let (next, is_settled) = (tables.next(is_urgent || is_short), tables.is_settled());
            drop(tables);
            if let Some(next) = next {
                return Task::Checkpoint(next);
            }
            if wishes.close {
                return Task::End;
            }
            wishes.hurry = false;
            if self.draft.has_room_to_make(OUTDATED) || self.is_pressed_for_room() {
                return Task::MakeRoom;
            }
            wishes.idle = true;
            let pause = if is_settled { PAUSE } else { self.interval };
            let (woken, waited) =
                shared.wished.wait_timeout(wishes, pause).unwrap_or_else(PoisonError::into_inner);
            wishes = woken;
            wishes.idle = false;
            if waited.timed_out() {
                // Whatever the clock says: in tests it may stand still.
                self.ticked_at = Timestamp::MIN;
            }
        }
    }

    /// Whether room is short and there is some to be made, although little is outdated.
    fn is_pressed_for_room(&self) -> bool {
        self.outdated().is_ok_and(|outdated| outdated < OUTDATED && self.draft.has_room_to_make(outdated))
    }

    /// Moves the oldest table into the newest generation.
    fn checkpoint(&mut self, frozen: &Frozen) -> Result<(), DraftError> {
        let mut space = self.shared.space(&self.segments).map_err(DraftError::Space)?;
        space.provide(frozen.table.bytes() as u64 * GROWTH + BESIDES).map_err(DraftError::Space)?;
        let is_short = space.is_short();
        drop(space);
        self.may_prepare = !is_short;
        let later = Later(&self.shared);
        write(&mut self.draft, &frozen.table, Some(&later))?;
        self.draft.set_covered(frozen.last, frozen.next_number)?;
        self.publish();
        self.shared.write().remove_oldest();
        self.segments.release(frozen.last, is_short).map_err(DraftError::Log)?;
        let _wishes = self.shared.wishes();
        self.shared.done.notify_all();
        Ok(())
    }
}

/// What the tables say that come after the oldest.
pub(super) struct Later<'a>(&'a Checkpoints);

/// Writes what a table says into the newest generation, but for what `later` tables say better, and syncs it.
pub(super) fn write(draft: &mut Draft, table: &Table, later: Option<&Later<'_>>) -> Result<(), DraftError> {
    let mut untold = 0;
    for (index, (number, row)) in table.rows().enumerate() {
        untold += row.size();
        if untold >= BYTES_TOLD {
            later.iter().for_each(|Later(shared)| shared.note_written(untold));
            untold = 0;
        }
        if index % ROWS_AT_ONCE == ROWS_AT_ONCE - 1 {
            draft.seal_if_due(false)?;
        }
        let superseding = later.and_then(|Later(shared)| shared.read().superseding(*number).cloned());
        // By what it is called an item is found here or in the database, so it goes there all the same.
        let is_new = table.names_of(*number).is_some();
        match &superseding {
            None => draft.write_row(*number, row)?,
            Some(superseding) if is_new => draft.write_row(*number, superseding)?,
            Some(_) => {}
        }
    }
    later.iter().for_each(|Later(shared)| shared.note_written(untold));
    for (key, value) in table.documents() {
        let is_superseded = later.is_some_and(|Later(shared)| shared.read().is_document_superseded(key));
        if !is_superseded {
            draft.write_document(key, value.as_deref())?;
        }
    }
    draft.apply()?;
    draft.sync()
}
