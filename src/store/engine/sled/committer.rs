//! The committing thread: every change goes through this one OS thread (group commit).
//!
//! It takes all queued requests, settles their commands, appends the changes to the log as one record, syncs
//! it, publishes the changes to readers and to the observer, and answers. Requests that queue meanwhile share
//! the next sync.
//!
//! Any error from the first write on is fatal: how much was written is unknown, so all requests fail and
//! nothing is acknowledged from then on. No sync is retried, since a failed one may have dropped the pages it
//! was asked to write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::checkpoint::Checkpoints;
use super::entry;
use super::pace::Pace;
use super::queue::{Next, Queue, Request, panic_message, payload_size};
use super::transaction::{Transaction, TransactionError};
use crate::model::Clock;
use crate::model::item::ProgressChange;
use crate::store::command::settle;
use crate::store::log::Log;
use crate::store::{Change, Command, Growth, Observer, Outcome};

/// Idle time after the last record before a confirmation record; see [`crate::store::log::recovery`].
const CONFIRM_AFTER: Duration = Duration::from_millis(500);
/// The encoding buffer is shrunk to this size between groups, in bytes.
const BUFFER_KEPT: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
enum CommitError {
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    #[error("the free space could not be read: {0}")]
    Space(std::io::Error),
    #[error("the log could not be written: {0}")]
    Log(std::io::Error),
    #[error("the checkpoints have ended")]
    NoCheckpoints,
}

pub(super) struct Committer {
    pub(super) queue: Arc<Queue>,
    pub(super) transaction: Transaction,
    pub(super) log: Log,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<OnceLock<Arc<dyn Observer>>>,
    pub(super) pace: Pace,
    pub(super) buffer: Vec<u8>,
    /// Whether the log may grow beyond its pre-allocated segments.
    pub(super) may_grow: bool,
}

impl Committer {
    /// Commits groups until the queue is closed and empty, or until an error.
    pub(super) fn run(mut self) {
        let queue = self.queue.clone();
        let mut group = Vec::new();
        let mut is_confirmed = true;
        loop {
            let timeout = if is_confirmed { None } else { Some(CONFIRM_AFTER) };
            let next = queue.take(&mut group, timeout);
            if next == Next::Closed && is_confirmed {
                break;
            }
            queue.busy_since.store(self.clock.now().as_millis(), Ordering::Relaxed);
            let mut changes = Vec::new();
            // sled panics in places where it should return an error; both are handled alike.
            let result = catch_unwind(AssertUnwindSafe(|| {
                if next != Next::Group {
                    self.confirm()?;
                    return Ok(Vec::new());
                }
                let outcomes = self.commit(&mut group, &mut changes)?;
                if let Some(observer) = self.observer.get() {
                    observer.committed(&changes);
                }
                Ok::<_, CommitError>(outcomes)
            }));
            queue.busy_since.store(0, Ordering::Relaxed);
            is_confirmed = next != Next::Group;
            let reason = match result {
                Ok(Ok(outcomes)) => {
                    for (request, outcomes) in group.drain(..).zip(outcomes) {
                        // The requester may have gone; the change stands.
                        let _ = request.answer.send(Ok(outcomes));
                    }
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(panic) => format!("the committing thread panicked: {}", panic_message(&*panic)),
            };
            queue.fail(reason.into(), &mut group);
            break;
        }
        self.checkpoints.close();
    }

    /// Appends a confirmation record, so that damage to the record before is not mistaken for a torn write.
    fn confirm(&mut self) -> Result<(), CommitError> {
        self.make_room(0)?;
        self.log.append(&[]).and_then(|_| self.log.sync()).map_err(CommitError::Log)
    }

    /// Settles a group and makes its changes durable. Returns the outcomes of each request.
    fn commit(
        &mut self,
        group: &mut [Request],
        changes: &mut Vec<Change>,
    ) -> Result<Vec<Vec<Outcome>>, CommitError> {
        let segments = self.log.segments();
        let (mut budget, free) = {
            let space = self.checkpoints.space(&segments).map_err(CommitError::Space)?;
            self.may_grow = !space.is_short();
            (space.budget(), space.free())
        };
        // One command may take half of the log at most, since other records may still be needed there.
        let capacity = if self.may_grow { segments.capacity() } else { segments.bytes_ready() };
        let mut settled = Vec::with_capacity(group.len());
        let mut commands = 0;
        for request in group {
            let mut outcomes = Vec::with_capacity(request.commands.len());
            for command in std::mem::take(&mut request.commands) {
                commands += 1;
                let (size, growth) = (size(&command) as u64, command.growth());
                if growth != Growth::None && (size > capacity / 2 || !budget.admits(growth, size)) {
                    outcomes.push(Outcome::StorageFull);
                    continue;
                }
                outcomes.push(settle(command, &mut self.transaction, changes)?);
                if self.transaction.group_bytes() as u64 > capacity / 4 {
                    self.write()?;
                }
            }
            settled.push(outcomes);
        }
        self.queue.full.store(budget.is_full(), Ordering::Relaxed);
        self.queue.free.store(free, Ordering::Relaxed);
        self.write()?;
        self.queue.commits.fetch_add(1, Ordering::Relaxed);
        self.queue.commands.fetch_add(commands, Ordering::Relaxed);
        Ok(settled)
    }

    /// Appends the settled changes to the log as one record, syncs it, and publishes them to readers.
    fn write(&mut self) -> Result<(), CommitError> {
        let (table, next_number) = self.transaction.take_group();
        if table.is_empty() {
            return Ok(());
        }
        if !self.checkpoints.wait_for_memory(&mut self.pace, table.bytes()) {
            return Err(CommitError::NoCheckpoints);
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT);
        entry::encode(&table, next_number, &mut self.buffer);
        self.make_room(self.buffer.len())?;
        let record = self.log.append(&self.buffer).map_err(CommitError::Log)?;
        self.log.sync().map_err(CommitError::Log)?;
        self.checkpoints.add(table, record, next_number);
        if self.may_grow && self.log.segments().is_low() {
            self.checkpoints.wake();
        }
        Ok(())
    }

    /// Waits until the log has room for a record of this size.
    fn make_room(&self, bytes: usize) -> Result<(), CommitError> {
        // A checkpoint frees segments, both when the disk is full and when the log has reached its maximum
        // size.
        let has_room = |may_grow| self.log.make_room(bytes, may_grow).is_ok_and(|has_room| has_room);
        let is_enough = || has_room(false) || self.checkpoints.read().is_settled();
        if has_room(self.may_grow) {
            return Ok(());
        }
        if !self.checkpoints.wait_for(is_enough) {
            return Err(CommitError::NoCheckpoints);
        }
        if has_room(false) {
            return Ok(());
        }
        match self.log.make_room(bytes, true) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(CommitError::Log(std::io::Error::other("a group exceeds the maximum size of the log")))
            }
            Err(error) => Err(CommitError::Log(error)),
        }
    }
}

/// An upper estimate of the bytes that a report, a run of a step or a change of labels adds.
const DETAIL_SIZE: usize = 16 * 1024;

/// An upper estimate of the bytes that a command adds.
fn size(command: &Command) -> usize {
    let with_progress =
        |progress: &Option<ProgressChange>| DETAIL_SIZE + progress.as_ref().map_or(0, ProgressChange::size);
    match command {
        Command::Patch { patch, .. } => with_progress(&patch.progress),
        Command::IfMatching { command, .. } => size(command),
        Command::ActOnLease { act, .. } => with_progress(act.progress()),
        Command::ReportStep(report) => with_progress(&report.progress),
        Command::Report { .. } => DETAIL_SIZE,
        Command::NoteOverdue { .. } => DETAIL_SIZE,
        Command::Artifacts(command) => command.size(),
        _ => payload_size(command),
    }
}
