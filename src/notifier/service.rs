//! The notifier's service: which delivery is tried when, and what follows from each attempt.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Receiver;
use super::outbound::Outbound;
use super::post::Post;
use crate::model::{Clock, Delivery, DeliveryStatus, IncidentId, Random, Timestamp};
use crate::store::{Store, StoreError};

/// How long an attempt that could not be recorded waits for its repetition.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What has become of deliveries since the start.
#[derive(Debug, Default)]
pub struct NotifierCounts {
    /// Attempts that were answered with 2xx.
    pub delivered: AtomicU64,
    /// Attempts that failed.
    pub failed: AtomicU64,
    /// Deliveries that were given up.
    pub dead: AtomicU64,
    /// Deliveries that wait.
    pub waiting: AtomicU64,
    /// When the oldest of those that wait was decided, in milliseconds; zero when none waits.
    pub oldest_waiting: AtomicI64,
}

/// A handle by which deliveries are handed over.
#[derive(Clone)]
pub struct Notifier {
    inbox: mpsc::UnboundedSender<Vec<Delivery>>,
    counts: Arc<NotifierCounts>,
}

impl Notifier {
    /// Takes deliveries that are committed. They are in the outbox, so none is lost if the service has ended.
    pub fn enqueue(&self, deliveries: Vec<Delivery>) {
        let _ = self.inbox.send(deliveries);
    }

    /// Takes the deliveries that waited when the daemon ended, in any order. What seems to have been tried after `now`
    /// was tried before the clock was set back: it is due at once, since its time may be years away.
    pub fn take_up(&self, mut outbox: Vec<Delivery>, now: Timestamp) {
        outbox.sort_by(|left, right| left.place().cmp(&right.place()));
        for delivery in &mut outbox {
            let tried_at = delivery.attempts.last().map_or(delivery.created_at, |attempt| attempt.at);
            if tried_at > now {
                delivery.next_attempt_at = now;
            }
        }
        self.enqueue(outbox);
    }

    /// What has become of deliveries since the start.
    pub fn counts(&self) -> &NotifierCounts {
        &self.counts
    }
}

/// The incident and the receiver: what must stay in order.
type Lane = (IncidentId, Arc<str>);

/// The service: runs until it is told to stop.
pub struct NotifierService {
    post: Arc<Post>,
    inbox: mpsc::UnboundedReceiver<Vec<Delivery>>,
    lanes: HashMap<Lane, VecDeque<Delivery>>,
    /// The lanes whose first delivery waits for its time.
    planned: BTreeSet<(Timestamp, Lane)>,
    /// The lanes whose time has come while their receiver was busy.
    held_up: HashMap<Arc<str>, VecDeque<Lane>>,
    under_way: HashMap<Arc<str>, usize>,
    attempts: JoinSet<(Lane, Result<Delivery, StoreError>)>,
}

impl NotifierService {
    /// A service with nothing to do yet, and the handle to give it work.
    pub fn new(
        store: Arc<dyn Store>,
        outbound: Arc<dyn Outbound>,
        receivers: Vec<Receiver>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> (Self, Notifier) {
        let (sender, inbox) = mpsc::unbounded_channel();
        let counts = Arc::<NotifierCounts>::default();
        let receivers = receivers.into_iter().map(|receiver| (receiver.name.clone(), receiver)).collect();
        let started = clock.now();
        let post = Post { store, outbound, receivers, clock, random, counts: counts.clone(), started };
        let service = Self {
            post: Arc::new(post),
            inbox,
            lanes: HashMap::new(),
            planned: BTreeSet::new(),
            held_up: HashMap::new(),
            under_way: HashMap::new(),
            attempts: JoinSet::new(),
        };
        (service, Notifier { inbox: sender, counts })
    }

    /// Delivers until `stop`. Attempts that are under way then are broken off: they are in the outbox and go out again
    /// after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.start_due();
            self.publish();
            let next = self.planned.first().map_or(Timestamp::MAX, |(at, _)| *at);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(deliveries) = self.inbox.recv() => deliveries.into_iter().for_each(|delivery| self.accept(delivery)),
                Some(finished) = self.attempts.join_next() => {
                    if let Ok((lane, result)) = finished {
                        self.finish(lane, result);
                    }
                }
                () = self.post.clock.sleep_until(next) => {}
            }
        }
    }

    fn accept(&mut self, delivery: Delivery) {
        let lane = (delivery.incident.clone(), delivery.receiver.clone());
        let queue = self.lanes.entry(lane.clone()).or_default();
        queue.push_back(delivery);
        if let [only] = queue.make_contiguous() {
            self.planned.insert((only.next_attempt_at, lane));
        }
    }

    fn start_due(&mut self) {
        let now = self.post.clock.now();
        while let Some((at, _)) = self.planned.first()
            && *at <= now
        {
            if let Some((_, lane)) = self.planned.pop_first() {
                self.held_up.entry(lane.1.clone()).or_default().push_back(lane);
            }
        }
        for (receiver, lanes) in &mut self.held_up {
            let limit = self.post.receivers.get(receiver).map_or(1, |receiver| receiver.concurrency.max(1));
            let under_way = self.under_way.entry(receiver.clone()).or_default();
            while *under_way < limit
                && let Some(lane) = lanes.pop_front()
            {
                let Some(delivery) = self.lanes.get(&lane).and_then(VecDeque::front).cloned() else {
                    continue;
                };
                *under_way += 1;
                let post = self.post.clone();
                self.attempts.spawn(async move { (lane, post.attempt(&delivery).await) });
            }
        }
        self.held_up.retain(|_, lanes| !lanes.is_empty());
    }

    fn finish(&mut self, lane: Lane, result: Result<Delivery, StoreError>) {
        if let Some(under_way) = self.under_way.get_mut(&lane.1) {
            *under_way = under_way.saturating_sub(1);
        }
        let Some(queue) = self.lanes.get_mut(&lane) else { return };
        match result {
            Ok(delivery) if delivery.status == DeliveryStatus::Pending => {
                if let Some(front) = queue.front_mut() {
                    *front = delivery;
                }
            }
            Ok(_) => {
                queue.pop_front();
            }
            Err(error) => {
                // What came of the attempt is not on disk, so it has not happened; the receiver knows the id.
                if let Some(front) = queue.front_mut() {
                    tracing::error!(delivery = %front.id.0, %error, "an attempt could not be recorded");
                    front.next_attempt_at = self.post.clock.now().after(TRY_AGAIN);
                }
            }
        }
        match queue.front() {
            Some(next) => {
                self.planned.insert((next.next_attempt_at, lane));
            }
            None => {
                self.lanes.remove(&lane);
            }
        }
    }

    fn publish(&self) {
        let waiting: usize = self.lanes.values().map(VecDeque::len).sum();
        let oldest =
            self.lanes.values().filter_map(VecDeque::front).map(|delivery| delivery.created_at).min();
        self.post.counts.waiting.store(waiting as u64, Ordering::Relaxed);
        self.post.counts.oldest_waiting.store(oldest.map_or(0, Timestamp::as_millis), Ordering::Relaxed);
    }
}
