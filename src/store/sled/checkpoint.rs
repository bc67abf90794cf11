//! The checkpoints: a thread of its own moves what lives on from the tables into the database.
//!
//! A table is left alone for as long as it was filled, so that what is closed within that time never comes to the database
//! with its payload. Then what it says goes there, unless a later table says all that there is to know, and is synced; the
//! mark that says so is synced after it; and only then are the table and its part of the log let go of. Nobody waits for that
//! but commits that would have the tables outgrow their room.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::draft::{Draft, DraftError};
use super::log_mark::LogMark;
use super::queue::{Queue, panic_message};
use super::table::Table;
use super::tables::{Frozen, Tables};
use crate::model::{Clock, Timestamp};
use crate::store::log::Segments;

/// How many rows are written between two looks at what is outdated.
const ROWS_AT_ONCE: usize = 512;
/// How long the thread sleeps at most while there is something outdated and no room to move it.
const PAUSE: Duration = Duration::from_secs(1);

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
    wishes: Mutex<Wishes>,
    wished: Condvar,
    done: Condvar,
    /// Whether there is room on the disk to move things so that some of it comes free.
    pub(super) may_move: AtomicBool,
}

impl Checkpoints {
    pub(super) fn new(tables: Tables) -> Self {
        Self {
            tables: Arc::new(RwLock::new(tables)),
            wishes: Mutex::default(),
            wished: Condvar::new(),
            done: Condvar::new(),
            may_move: AtomicBool::new(false),
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

    /// Adds what a group has changed, which is durable as that record of the log.
    pub(super) fn add(&self, group: Table, last: u64, next_number: u64) {
        let was_empty = {
            let mut tables = self.write();
            let was_empty = tables.is_newest_empty();
            tables.add(group, last, next_number);
            was_empty
        };
        if was_empty {
            // It may have gone to sleep for long.
            let _wishes = self.wishes();
            self.wished.notify_one();
        }
    }

    /// Has all that is in the tables go into the database, and waits until `is_enough`, or until the thread has ended; false
    /// then.
    pub(super) fn wait_for(&self, is_enough: impl Fn() -> bool) -> bool {
        let mut wishes = self.wishes();
        loop {
            if wishes.ended {
                return false;
            }
            if is_enough() {
                return true;
            }
            wishes.hurry = true;
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
    pub(super) mark: LogMark,
    pub(super) segments: Arc<Segments>,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Arc<dyn Clock>,
    /// For how long a table is filled, and then left alone.
    pub(super) interval: Duration,
    pub(super) ticked_at: Timestamp,
    /// How many of the frozen tables have been left alone for long enough.
    pub(super) due: usize,
}

/// What is to be done next.
enum Task {
    Move(Arc<Frozen>),
    Tidy,
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
                Task::Move(frozen) => self.checkpoint(&frozen)?,
                Task::Tidy => {
                    self.draft.tidy(self.may_move())?;
                    self.draft.sync()?;
                }
                Task::End => return Ok(()),
            }
        }
    }

    fn may_move(&self) -> bool {
        self.shared.may_move.load(Ordering::Relaxed)
    }

    /// Waits for something to do. Time goes by in ticks of the interval: with each the newest table is frozen, and those that
    /// were by then go into the database.
    fn next(&mut self) -> Task {
        let shared = self.shared.clone();
        let mut wishes = shared.wishes();
        wishes.idle = false;
        loop {
            let now = self.clock.now();
            let is_urgent = wishes.hurry || wishes.close;
            let mut tables = shared.write();
            if is_urgent || now.since(self.ticked_at) >= self.interval {
                self.ticked_at = now;
                self.due = tables.frozen();
                tables.freeze();
            }
            let (oldest, is_settled) = (tables.oldest(), tables.is_settled());
            drop(tables);
            if let Some(oldest) = oldest
                && (is_urgent || self.due > 0)
            {
                self.due = self.due.saturating_sub(1);
                return Task::Move(oldest);
            }
            if wishes.close {
                return Task::End;
            }
            wishes.hurry = false;
            if self.draft.is_untidy(self.may_move()) {
                return Task::Tidy;
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

    /// Moves the oldest table into the database.
    fn checkpoint(&mut self, frozen: &Frozen) -> Result<(), DraftError> {
        let later = Later(&self.shared);
        let may_move = self.shared.may_move.load(Ordering::Relaxed);
        write(&mut self.draft, &frozen.table, may_move, Some(&later))?;
        self.mark.covered = frozen.last;
        self.draft.set_covered(&self.mark, frozen.next_number)?;
        self.shared.write().remove_oldest();
        self.segments.release(self.mark.covered).map_err(DraftError::Log)?;
        let _wishes = self.shared.wishes();
        self.shared.done.notify_all();
        Ok(())
    }
}

/// What the tables say that come after the oldest.
pub(super) struct Later<'a>(&'a Checkpoints);

/// Writes what a table says into the database, but for what `later` tables say better, and syncs it.
pub(super) fn write(
    draft: &mut Draft,
    table: &Table,
    may_move: bool,
    later: Option<&Later<'_>>,
) -> Result<(), DraftError> {
    let mut written = 0;
    for (number, row) in table.rows() {
        let superseding = later.and_then(|Later(shared)| shared.read().superseding(*number).cloned());
        // By what it is called an item is found here or in the database, so it goes there all the same.
        let is_new = table.names_of(*number).is_some();
        match &superseding {
            None => draft.write_row(*number, row)?,
            Some(superseding) if is_new => draft.write_row(*number, superseding)?,
            Some(_) => continue,
        }
        written += 1;
        if written % ROWS_AT_ONCE == 0 {
            draft.apply()?;
            draft.tidy(may_move)?;
        }
    }
    for (key, value) in table.documents() {
        let is_superseded = later.is_some_and(|Later(shared)| shared.read().is_document_superseded(key));
        if !is_superseded {
            draft.write_document(key, value.as_deref())?;
        }
    }
    draft.apply()?;
    draft.tidy(may_move)?;
    draft.sync()
}
