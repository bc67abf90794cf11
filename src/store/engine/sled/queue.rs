//! The queue of requests for the committing thread.
//!
//! Invariants: requests are taken whole and in the order of their arrival. The queue is bounded, except for
//! commands that alerting and replays depend on and for one request that finds it empty. Once
//! [`Queue::fatal`] is set, every push fails.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::store::{Command, Document, DocumentId, Outcome, StoreError};

/// The most commands that share one sync, unless a single request holds more.
const GROUP_COMMANDS_MAX: usize = 2048;
/// The most payload bytes that share one sync, unless a single request holds more.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) type Answer = Result<Vec<Outcome>, StoreError>;

/// Commands that are settled in order, and the channel for their outcomes.
pub(super) struct Request {
    pub(super) commands: Vec<Command>,
    pub(super) answer: oneshot::Sender<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Group,
    /// The timeout passed.
    TimedOut,
    /// The queue is closed and empty.
    Closed,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    commands: usize,
    /// Payload bytes of those commands.
    bytes: u64,
    closing: bool,
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// The most commands that may wait.
    limit: usize,
    /// The most payload bytes that may wait. The budget for request bodies does not bound them: a client that
    /// disconnects releases its share while its command is still queued.
    bytes_limit: u64,
    /// The first fatal error; nothing is acknowledged after it.
    pub(super) fatal: OnceLock<Arc<str>>,
    /// The start of the current commit in milliseconds; 0 between commits.
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

    /// The number of queued commands.
    pub(super) fn len(&self) -> usize {
        self.lock().commands
    }

    /// Queues a request. The outcomes come through the receiver.
    pub(super) fn push(&self, commands: Vec<Command>) -> Result<oneshot::Receiver<Answer>, StoreError> {
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        // Under the lock: after `fail` has answered all queued requests, no other may be queued.
        if let Some(reason) = self.fatal.get() {
            return Err(StoreError::Fatal(reason.clone()));
        }
        if waiting.closing {
            return Err(StoreError::Closing);
        }
        let bytes: u64 = commands.iter().map(|command| payload_size(command) as u64).sum();
        let fits = waiting.commands == 0
            || (waiting.commands + commands.len() <= self.limit && waiting.bytes + bytes <= self.bytes_limit);
        let is_admitted =
            || commands.iter().all(tells_people) || is_round(&commands) || commands.iter().all(is_of_events);
        if !fits && !is_admitted() {
            return Err(StoreError::Overloaded);
        }
        waiting.commands += commands.len();
        waiting.bytes += bytes;
        waiting.requests.push_back(Request { commands, answer });
        // The thread checks the queue before it sleeps, so only the first request has to wake it.
        if waiting.requests.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(receiver)
    }

    /// Refuses new requests. The committing thread ends once the queue is empty.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_one();
    }

    /// Moves the next group of requests into `group`. Without a timeout it waits for as long as it takes.
    pub(super) fn take(&self, group: &mut Vec<Request>, timeout: Option<Duration>) -> Next {
        let mut waiting = self.lock();
        while waiting.requests.is_empty() {
            if waiting.closing {
                return Next::Closed;
            }
            let Some(timeout) = timeout else {
                waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, waited) =
                self.arrived.wait_timeout(waiting, timeout).unwrap_or_else(PoisonError::into_inner);
            waiting = woken;
            if waited.timed_out() && waiting.requests.is_empty() && !waiting.closing {
                return Next::TimedOut;
            }
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
        Next::Group
    }

    /// Closes the queue with a fatal error, the first of which stands, and fails the requests of `group` and
    /// all queued ones.
    pub(super) fn fail(&self, reason: Arc<str>, group: &mut Vec<Request>) {
        let mut waiting = self.lock();
        let reason = self.fatal.get_or_init(|| reason).clone();
        // Whichever thread has failed, the committing thread ends.
        let Waiting { requests: rest, .. } =
            std::mem::replace(&mut *waiting, Waiting { closing: true, ..Waiting::default() });
        drop(waiting);
        self.arrived.notify_one();
        for request in group.drain(..).chain(rest) {
            let _ = request.answer.send(Err(StoreError::Fatal(reason.clone())));
        }
    }
}

/// Commands that are queued beyond the limit. There are few at a time: incidents and deliveries, with the
/// results of their attempts, because people must be alerted of everything else that is late; schedule
/// progress, from which a restart derives missed starts; replays, which an operator may have to stop right
/// then; health-check writes, since a busy store is not a failing one; and the clock anchor, by which
/// deadlines are judged.
fn tells_people(command: &Command) -> bool {
    if matches!(command, Command::Remove(DocumentId::Delivery(..))) {
        return true;
    }
    command.documents().iter().any(|document| match document {
        Document::Incident(_)
        | Document::Delivery(_)
        | Document::Progress(..)
        | Document::Replay(_)
        | Document::HealthCheck(_)
        | Document::Clock(_) => true,
        Document::Workflow(_)
        | Document::Silence(_)
        | Document::ReplayChunk(..)
        | Document::Run(..)
        | Document::RunHistory(..)
        | Document::Event(_)
        | Document::Artifact(_) => false,
    })
}

/// Whether it belongs to the loop that turns events into deliveries. It has one request at a time, and what
/// waits for it grows meanwhile.
const fn is_of_events(command: &Command) -> bool {
    matches!(command, Command::NoteOverdue { .. } | Command::TellEvent { .. })
}

/// Whether the request is one step of a replay: the lease changes of the items that ended, then the replay
/// itself. Such requests are bounded by the replay's concurrency, and whoever stops the replay waits for
/// them.
fn is_round(commands: &[Command]) -> bool {
    let Some((last, before)) = commands.split_last() else { return false };
    last.documents().iter().any(|document| matches!(document, Document::Replay(_)))
        && before.iter().all(|command| matches!(command, Command::ActOnLease { .. } | Command::Close { .. }))
}

/// The bytes of payload, progress, restored detail, artifacts and deliveries that a command brings.
pub(super) fn payload_size(command: &Command) -> usize {
    match command {
        Command::Create(creation) => {
            let progress = match creation.progress.is_empty() {
                true => 0,
                false => serde_json::to_vec(&creation.progress).map_or(0, |json| json.len()),
            };
            let restored = creation.restored.as_ref().map_or(0, |restored| restored.detail_size);
            creation.payload.len() + progress + restored
        }
        Command::Artifacts(command) => command.size(),
        Command::TellEvent { deliveries, .. } => deliveries.iter().map(|delivery| delivery.body.len()).sum(),
        _ => 0,
    }
}

pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
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
        Command::put(Delivery {
            id: DeliveryId("dlv_1".into()),
            topic: IncidentId("inc_1".into()).into(),
            item: None,
            receiver: "oncall".into(),
            event: Event::Opened,
            after: None,
            sequence: 1,
            body: "{}".into(),
            created_at: now,
            resent_at: None,
            status: DeliveryStatus::Delivered,
            attempts_made: 1,
            next_attempt_at: now,
            attempts: Vec::new(),
        })
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

    #[test]
    fn after_a_failure_nobody_waits_and_nobody_comes_to_wait() {
        let queue = Queue::new(10, 1 << 20);
        let mut answer = queue.push(vec![attempt()]).unwrap();
        queue.fail("the disk is gone".into(), &mut Vec::new());
        assert!(matches!(answer.try_recv(), Ok(Err(StoreError::Fatal(_)))));
        assert_eq!(queue.len(), 0);
        assert!(matches!(queue.push(vec![attempt()]), Err(StoreError::Fatal(_))));
        assert_eq!(queue.take(&mut Vec::new(), None), Next::Closed, "whoever takes from it ends");
    }
}
