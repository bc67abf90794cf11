//! The notifier's service: which delivery is tried when, and what follows from each attempt.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backoff::{Next, next_attempt, parse_retry_after};
use super::outbound::{Outbound, OutboundRequest};
use super::{Receiver, signature};
use crate::model::{Attempt, Clock, Delivery, DeliveryStatus, IncidentId, Random, Timestamp};
use crate::store::{Command, Store, StoreError};

/// The longest account of an error that is kept with an attempt, in characters.
const ERROR_MAX: usize = 300;

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

    /// What has become of deliveries since the start.
    pub fn counts(&self) -> &NotifierCounts {
        &self.counts
    }
}

/// The incident and the receiver: what must stay in order.
type Lane = (IncidentId, Arc<str>);

/// A delivery after an attempt; or, when that could not be recorded, as it was before, and why.
type Attempted = Result<Delivery, (Delivery, StoreError)>;

/// What an attempt needs, shared by all.
struct Post {
    store: Arc<dyn Store>,
    outbound: Arc<dyn Outbound>,
    receivers: HashMap<Arc<str>, Receiver>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    counts: Arc<NotifierCounts>,
}

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
    attempts: JoinSet<(Lane, Attempted)>,
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
        let post = Post { store, outbound, receivers, clock, random, counts: counts.clone() };
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
                self.attempts.spawn(async move { (lane, post.attempt(delivery).await) });
            }
        }
        self.held_up.retain(|_, lanes| !lanes.is_empty());
    }

    fn finish(&mut self, lane: Lane, result: Attempted) {
        if let Some(under_way) = self.under_way.get_mut(&lane.1) {
            *under_way = under_way.saturating_sub(1);
        }
        let delivery = match result {
            Ok(delivery) => delivery,
            Err((mut delivery, error)) => {
                // What came of the attempt is not on disk, so it has not happened; the receiver knows the id.
                tracing::error!(delivery = %delivery.id.0, %error, "an attempt could not be recorded");
                delivery.next_attempt_at = self.post.clock.now().after(std::time::Duration::from_secs(5));
                delivery
            }
        };
        let Some(queue) = self.lanes.get_mut(&lane) else { return };
        if delivery.status == DeliveryStatus::Pending {
            self.planned.insert((delivery.next_attempt_at, lane));
            if let Some(front) = queue.front_mut() {
                *front = delivery;
            }
            return;
        }
        queue.pop_front();
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

/// What an attempt came to.
struct Answer {
    status: Option<u16>,
    retry_after: Option<std::time::Duration>,
    error: Option<String>,
    /// Nothing will ever come of it.
    hopeless: bool,
}

impl Post {
    /// Tries a delivery once and commits what follows.
    async fn attempt(&self, delivery: Delivery) -> Attempted {
        let began = self.clock.now();
        let answer = self.send(&delivery).await;
        let now = self.clock.now();
        let attempt = Attempt {
            at: began,
            status: answer.status,
            latency_ms: u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX),
            error: answer.error.clone(),
        };
        let (status, next_attempt_at) = match &answer.error {
            None => (DeliveryStatus::Delivered, now),
            Some(_) if answer.hopeless => (DeliveryStatus::Dead, now),
            Some(_) => match next_attempt(
                delivery.attempts_made + 1,
                delivery.created_at.as_millis(),
                now.as_millis(),
                answer.retry_after,
                self.random.unit(),
            ) {
                Next::At(at) => (DeliveryStatus::Pending, Timestamp::from_millis(at)),
                Next::Dead => (DeliveryStatus::Dead, now),
            },
        };
        let mut recorded = delivery.clone();
        recorded.record(attempt, status, next_attempt_at);
        self.note(&recorded, &answer);
        match self.store.apply(vec![Command::RecordDelivery(Box::new(recorded.clone()))]).await {
            Ok(_) => Ok(recorded),
            Err(error) => Err((delivery, error)),
        }
    }

    fn note(&self, delivery: &Delivery, answer: &Answer) {
        let id = &*delivery.id.0;
        let receiver = &*delivery.receiver;
        let event = delivery.event.as_str();
        let count = match (delivery.status, &answer.error) {
            (DeliveryStatus::Delivered, _) | (_, None) => {
                tracing::info!(delivery = id, receiver, event, "delivered");
                &self.counts.delivered
            }
            (DeliveryStatus::Pending, Some(error)) => {
                let again_at = delivery.next_attempt_at;
                tracing::warn!(delivery = id, receiver, event, %again_at, "an attempt failed: {error}");
                &self.counts.failed
            }
            (DeliveryStatus::Dead, Some(error)) => {
                tracing::error!(
                    delivery = id,
                    receiver,
                    event,
                    attempts = delivery.attempts_made,
                    "given up: nobody was told by this receiver: {error}"
                );
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                &self.counts.dead
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    async fn send(&self, delivery: &Delivery) -> Answer {
        let failed = |error: String, hopeless| Answer {
            status: None,
            retry_after: None,
            error: Some(error.chars().take(ERROR_MAX).collect()),
            hopeless,
        };
        let Some(receiver) = self.receivers.get(&delivery.receiver) else {
            return failed(
                format!("the configuration names no receiver {:?} any more", delivery.receiver),
                true,
            );
        };
        // Receivers check this against their own clocks, so it is the wall clock's time.
        let timestamp = self.clock.wall().as_seconds();
        let body = Bytes::copy_from_slice(delivery.body.as_bytes());
        let headers = match headers(receiver, &delivery.id.0, timestamp, &body) {
            Ok(headers) => headers,
            Err(error) => return failed(format!("the headers cannot be written: {error}"), true),
        };
        let request = OutboundRequest {
            receiver: receiver.name.clone(),
            url: receiver.url.clone(),
            headers,
            body,
            timeout: receiver.timeout,
            allow_private: receiver.allow_private,
        };
        match self.outbound.post(request).await {
            Ok(response) if (200..300).contains(&response.status) => {
                Answer { status: Some(response.status), retry_after: None, error: None, hopeless: false }
            }
            Ok(response) => {
                let excerpt: String = response.excerpt.chars().take(ERROR_MAX / 2).collect();
                let now = self.clock.wall().as_millis();
                Answer {
                    status: Some(response.status),
                    retry_after: response.retry_after.and_then(|value| parse_retry_after(&value, now)),
                    error: Some(format!("it answered {}: {excerpt}", response.status)),
                    hopeless: false,
                }
            }
            Err(error) => failed(error.to_string(), false),
        }
    }
}

fn headers(
    receiver: &Receiver,
    webhook_id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<HeaderMap, reqwest::header::InvalidHeaderValue> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("webhook-id"), HeaderValue::from_str(webhook_id)?);
    headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(timestamp));
    if !receiver.signing_keys.is_empty() {
        let signature = signature::sign(&receiver.signing_keys, webhook_id, timestamp, body);
        headers.insert(HeaderName::from_static("webhook-signature"), HeaderValue::from_str(&signature)?);
    }
    Ok(headers)
}
