//! The committing thread: one plain thread that owns all writes.
//!
//! It takes everything that waits, settles it, hands it to the database in atomic batches, makes it durable once,
//! tells the observer, and answers everybody. The more waits, the more share one sync.
//!
//! Any error between the first batch and the sync is fatal: what was written is unknown, so everybody is told so
//! and nothing is acknowledged from then on. No sync is retried, since a failed one may have dropped the pages it
//! was asked to write.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::oneshot;

use super::draft::{Draft, DraftError};
use super::space::Space;
use crate::model::Clock;
use crate::store::settle::settle;
use crate::store::{Change, Command, Observer, Outcome, StoreError};

/// The most commands that share one sync.
const GROUP_COMMANDS_MAX: usize = 2048;
/// The most payload bytes that share one sync, unless a single request holds more.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

type Answer = Result<Vec<Outcome>, StoreError>;

struct Request {
    commands: Vec<Command>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    commands: usize,
    /// Payload bytes of those commands.
    bytes: u64,
    closing: bool,
}

/// What the committing thread shares with those who hand it commands.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// The most commands that may wait.
    limit: usize,
    /// The most payload bytes that may wait. Requests hold their bodies against a budget, but a client that goes away lets
    /// go of it while its command still stands in line.
    bytes_limit: u64,
    /// Why nothing is acknowledged any more.
    pub(super) fatal: OnceLock<Arc<str>>,
    /// When the commit under way began, in milliseconds; zero when none is.
    pub(super) busy_since: AtomicI64,
    pub(super) commits: AtomicU64,
    pub(super) commands: AtomicU64,
    pub(super) full: AtomicBool,
    pub(super) free: AtomicU64,
}

impl Queue {
    pub(super) fn new(limit: usize, bytes_limit: u64) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            limit,
            bytes_limit,
            fatal: OnceLock::new(),
            busy_since: AtomicI64::new(0),
            commits: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            full: AtomicBool::new(false),
            free: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commands that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().commands
    }

    /// Hands commands over; the answer comes through the receiver.
    pub(super) fn push(&self, commands: Vec<Command>) -> Result<oneshot::Receiver<Answer>, StoreError> {
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        // Under the lock: once the thread has ended and sent everybody away, nobody may come to wait any more.
        if let Some(reason) = self.fatal.get() {
            return Err(StoreError::Fatal(reason.clone()));
        }
        if waiting.closing {
            return Err(StoreError::Closing);
        }
        let bytes: u64 = commands.iter().map(|command| payload_size(command) as u64).sum();
        let fits = waiting.commands == 0
            || (waiting.commands + commands.len() <= self.limit && waiting.bytes + bytes <= self.bytes_limit);
        if !fits && !commands.iter().all(tells_people) && !is_round(&commands) {
            return Err(StoreError::Overloaded);
        }
        waiting.commands += commands.len();
        waiting.bytes += bytes;
        waiting.requests.push_back(Request { commands, answer });
        // The thread looks again before it sleeps, so only the first arrival needs to wake it.
        if waiting.requests.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(receiver)
    }

    /// Lets nothing more in; the thread ends when all that waits is committed.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_one();
    }

    /// Takes the next group into `group`, waiting for one unless `idle_work` is there to be done. False at the end.
    fn take(&self, group: &mut Vec<Request>, idle_work: bool) -> bool {
        let mut waiting = self.lock();
        while waiting.requests.is_empty() {
            if waiting.closing {
                return false;
            }
            if idle_work {
                return true;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut commands, mut bytes) = (0, 0);
        while let Some(request) = waiting.requests.front() {
            let size: usize = request.commands.iter().map(payload_size).sum();
            let over =
                commands + request.commands.len() > GROUP_COMMANDS_MAX || bytes + size > GROUP_BYTES_MAX;
            if over && !group.is_empty() {
                break;
            }
            commands += request.commands.len();
            bytes += size;
            group.extend(waiting.requests.pop_front());
        }
        waiting.commands -= commands;
        waiting.bytes -= bytes as u64;
        true
    }
}

/// Incidents and deliveries are let in however much waits: there are few at a time, and people must be told of all
/// others that are too late. So is progress, by which a restart knows what is missed, that of replays, which people may
/// have to stop just then, and the probe, since a store that is busy commits.
fn tells_people(command: &Command) -> bool {
    matches!(
        command,
        Command::CommitIncident { .. }
            | Command::RecordDelivery(_)
            | Command::PutProgress { .. }
            | Command::PutReplay { .. }
            | Command::Probe(_)
    )
}

/// A round of a replay: how far it has come, behind what ends the leases of the items that have ended. There are no more of them
/// than there are items on their way, and whoever wants to stop it waits for it.
fn is_round(commands: &[Command]) -> bool {
    matches!(commands.split_last(), Some((Command::PutReplay { .. }, before)) if before.iter().all(|command| {
        matches!(command, Command::ActOnLease { .. } | Command::Close { .. })
    }))
}

fn payload_size(command: &Command) -> usize {
    match command {
        Command::Create(creation) => creation.payload.len(),
        _ => 0,
    }
}

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
            self.fail(&reason, group);
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

    fn fail(&self, reason: &str, group: Vec<Request>) {
        let reason: Arc<str> = reason.into();
        let _ = self.queue.fatal.set(reason.clone());
        let rest = std::mem::take(&mut *self.queue.lock()).requests;
        for request in group.into_iter().chain(rest) {
            let _ = request.answer.send(Err(StoreError::Fatal(reason.clone())));
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Delivery, DeliveryId, DeliveryStatus, Event, IncidentId, ItemNumber, Timestamp};

    fn attempt() -> Command {
        let now = Timestamp::from_millis(0);
        Command::RecordDelivery(Box::new(Delivery {
            id: DeliveryId("dlv_1".into()),
            incident: IncidentId("inc_1".into()),
            receiver: "oncall".into(),
            event: Event::Opened,
            sequence: 1,
            body: "{}".into(),
            created_at: now,
            resent_at: None,
            status: DeliveryStatus::Delivered,
            attempts_made: 1,
            next_attempt_at: now,
            attempts: Vec::new(),
        }))
    }

    #[test]
    fn beyond_the_limit_only_what_tells_people_is_let_in() {
        let queue = Queue::new(2, 1 << 20);
        let sweep = || Command::Forget(ItemNumber(1));
        queue.push(vec![sweep(), sweep()]).unwrap();
        assert!(matches!(queue.push(vec![sweep()]), Err(StoreError::Overloaded)));
        assert!(matches!(queue.push(vec![attempt(), sweep()]), Err(StoreError::Overloaded)));
        queue.push(vec![attempt()]).unwrap();
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn more_than_the_limit_in_one_request_waits_for_nobody() {
        let queue = Queue::new(2, 1 << 20);
        let request = || vec![Command::Forget(ItemNumber(1)); 5];
        queue.push(request()).unwrap();
        assert!(matches!(queue.push(request()), Err(StoreError::Overloaded)));
    }
}
