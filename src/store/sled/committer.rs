//! The committing thread: one plain thread that owns all writes.
//!
//! It takes everything that waits, settles it, hands it to the database in atomic batches, makes it durable once,
//! tells the observer, and answers everybody. The more waits, the more share one sync.
//!
//! Any error between the first batch and the sync is fatal: what was written is unknown, so everybody is told so
//! and nothing is acknowledged from then on. No sync is retried, since a failed one may have dropped the pages it
//! was asked to write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::draft::{Draft, DraftError};
use super::queue::{Queue, Request, payload_size};
use super::space::Space;
use crate::model::Clock;
use crate::store::settle::settle;
use crate::store::{Change, Observer, Outcome};

/// Why a group could not be committed.
#[derive(Debug, thiserror::Error)]
enum CommitError {
    #[error(transparent)]
    Draft(#[from] DraftError),
    #[error("the free space could not be read: {0}")]
    Space(std::io::Error),
}

/// The thread's own things.
pub(super) struct Committer {
    pub(super) queue: Arc<Queue>,
    pub(super) draft: Draft,
    pub(super) space: Space,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<OnceLock<Arc<dyn Observer>>>,
}

impl Committer {
    /// Works until the queue is closed and empty, or until something fails.
    pub(super) fn run(mut self) {
        let queue = self.queue.clone();
        let mut group = Vec::new();
        while queue.take(&mut group, self.draft.is_untidy(self.space.is_enough_to_move())) {
            queue.busy_since.store(self.clock.now().as_millis(), Ordering::Relaxed);
            let mut changes = Vec::new();
            // The database panics where it should return an error; to us both mean the same.
            let result = catch_unwind(AssertUnwindSafe(|| {
                let outcomes = self.commit(&mut group, &mut changes)?;
                if let Some(observer) = self.observer.get() {
                    observer.committed(&changes);
                }
                Ok::<_, CommitError>(outcomes)
            }));
            queue.busy_since.store(0, Ordering::Relaxed);
            let reason = match result {
                Ok(Ok(outcomes)) => {
                    for (request, outcomes) in group.drain(..).zip(outcomes) {
                        // Whoever asked may have gone; the change stands all the same.
                        let _ = request.answer.send(Ok(outcomes));
                    }
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(panic) => format!("the committing thread panicked: {}", panic_message(&*panic)),
            };
            queue.fail(reason.into(), &mut group);
            return;
        }
    }

    /// Carries out what the group asks for and makes it durable: the outcomes for each of its requests.
    fn commit(
        &mut self,
        group: &mut [Request],
        changes: &mut Vec<Change>,
    ) -> Result<Vec<Vec<Outcome>>, CommitError> {
        self.space.look().map_err(CommitError::Space)?;
        let mut settled = Vec::with_capacity(group.len());
        let mut commands = 0;
        for request in group {
            let mut outcomes = Vec::with_capacity(request.commands.len());
            for command in std::mem::take(&mut request.commands) {
                commands += 1;
                if command.grows() && !self.space.admits(payload_size(&command) as u64) {
                    outcomes.push(Outcome::StorageFull);
                    continue;
                }
                self.draft.make_room(&command)?;
                outcomes.push(settle(command, &mut self.draft, changes)?);
            }
            settled.push(outcomes);
        }
        self.queue.full.store(self.space.is_full(), Ordering::Relaxed);
        self.queue.free.store(self.space.free(), Ordering::Relaxed);
        self.draft.apply()?;
        self.draft.tidy(self.space.is_enough_to_move())?;
        self.draft.sync()?;
        self.queue.commits.fetch_add(1, Ordering::Relaxed);
        self.queue.commands.fetch_add(commands, Ordering::Relaxed);
        Ok(settled)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
