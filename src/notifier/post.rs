//! One delivery attempt: builds the request, judges the response, and commits the result.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::HeaderMap;

use super::Receiver;
use super::backoff::{Failure, Next, next_attempt};
use super::format::Rendered;
use super::queue::{Attempted, GONE, Record, Waiting};
use super::receivers::Receivers;
use crate::model::{
    Attempt, Clock, Delivery, DeliveryId, DeliveryStatus, Event, IncidentId, IncidentKind, IncidentStatus,
    ItemNotification, ItemSubject, Labels, Moment, Notification, Random, Severity, Subject, Timestamp, Topic,
};
use crate::outbound::{Outbound, OutboundRequest, retry_after, signature};
use crate::store::{Command, DocumentId, Store};

/// What a test is about, in place of an incident or item.
const TEST: &str = "receiver-test";
/// The longest error that is kept with an attempt, in characters.
const ERROR_MAX: usize = 300;

/// What all attempts share.
pub(super) struct Post {
    pub(super) store: Arc<dyn Store>,
    pub(super) outbound: Arc<dyn Outbound>,
    pub(super) receivers: Receivers,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
}

/// The result of an attempt.
struct Answer {
    status: Option<u16>,
    retry_after: Option<Duration>,
    error: Option<String>,
    excerpt: Option<String>,
}

impl Answer {
    fn failed(error: &str) -> Self {
        let error = Some(error.chars().take(ERROR_MAX).collect());
        Self { status: None, retry_after: None, error, excerpt: None }
    }
}

impl Post {
    /// Makes an attempt and commits its result. If the commit fails, the attempt does not count.
    pub(super) async fn attempt(&self, waiting: &Waiting) -> Attempted {
        let delivery = &waiting.delivery;
        let (attempt, retry_after) = self.try_once(delivery).await;
        let now = self.clock.now();
        let (status, next_attempt_at) = match (attempt.error.is_some(), attempt.status) {
            (false, _) => (DeliveryStatus::Delivered, now),
            // Kept until the receiver is resumed, or removed from the configuration.
            (true, Some(GONE)) => (DeliveryStatus::Pending, now),
            (true, _) => self.after_failure(waiting, &attempt, retry_after, now),
        };
        let record = self.record(delivery, attempt.clone(), status, next_attempt_at).await;
        Attempted { attempt, retry_after, record }
    }

    /// Makes a delivery dead without an attempt, with the reason in place of one. If the commit fails,
    /// nothing has changed.
    pub(super) async fn give_up(&self, delivery: &Delivery, reason: &str) -> Attempted {
        let now = self.clock.now();
        let error = Some(reason.chars().take(ERROR_MAX).collect());
        let attempt = Attempt { at: now, status: None, latency_ms: 0, error, answer: None };
        let record = self.record(delivery, attempt.clone(), DeliveryStatus::Dead, now).await;
        Attempted { attempt, retry_after: None, record }
    }

    async fn record(
        &self,
        delivery: &Delivery,
        attempt: Attempt,
        status: DeliveryStatus,
        next_attempt_at: Timestamp,
    ) -> Record {
        let error = attempt.error.clone();
        let mut recorded = delivery.clone();
        recorded.record(attempt, status, next_attempt_at);
        let command = match (&recorded.topic, recorded.status) {
            // There can be as many as items, and a person has no use for it.
            (Topic::Item(_), DeliveryStatus::Delivered) => {
                Command::Remove(DocumentId::Delivery(recorded.topic.clone(), recorded.id.clone()))
            }
            _ => Command::put(recorded.clone()),
        };
        match self.store.apply(vec![command]).await {
            Ok(_) => {
                note(&recorded, error.as_deref(), self.clock.moment());
                Record::Committed(Box::new(recorded))
            }
            Err(error) => {
                // The result is not durable, so the attempt does not count; the receiver recognizes the
                // repeated id.
                tracing::error!(delivery = &*delivery.id.0, %error, "attempt could not be stored");
                Record::Refused
            }
        }
    }

    fn after_failure(
        &self,
        waiting: &Waiting,
        attempt: &Attempt,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> (DeliveryStatus, Timestamp) {
        let failure = Failure {
            failures: waiting.delivery.failures() + 1,
            since: waiting.since.as_millis(),
            tried_at: attempt.at.as_millis(),
            now: now.as_millis(),
            retry_after,
        };
        match next_attempt(&failure, self.random.unit()) {
            Next::At(at) => (DeliveryStatus::Pending, Timestamp::from_millis(at)),
            Next::Dead => (DeliveryStatus::Dead, now),
        }
    }

    /// Sends again what the receiver was told already. Stores nothing.
    pub(super) async fn refresh(&self, delivery: &Delivery) -> Attempted {
        let (attempt, retry_after) = self.try_once(delivery).await;
        if let Some(error) = &attempt.error {
            let receiver = &*delivery.receiver;
            let incident = delivery.incident().map(|incident| &*incident.0);
            tracing::warn!(incident, receiver, "refreshing an open incident failed: {error}");
        }
        Attempted { attempt, retry_after, record: Record::None }
    }

    /// Sends a test notification that links to `url`. Stores nothing.
    pub(super) async fn test(&self, receiver: &Arc<str>, url: String) -> Attempt {
        let moment = self.clock.moment();
        let now = moment.now;
        let is_for_incidents =
            self.receivers.get(receiver).is_none_or(|receiver| receiver.min_severity.is_some());
        let body = if is_for_incidents {
            serde_json::to_string(&sample(receiver, url, moment.wall(now)))
        } else {
            serde_json::to_string(&sample_of_item(receiver, url, moment.wall(now)))
        };
        let delivery = Delivery {
            id: DeliveryId(self.random.id("tst", now)),
            topic: IncidentId(TEST.into()).into(),
            item: None,
            receiver: receiver.clone(),
            event: Event::Test,
            after: None,
            sequence: 1,
            body: body.expect("plain data with text keys always has a JSON form").into(),
            created_at: now,
            resent_at: None,
            status: DeliveryStatus::Pending,
            attempts_made: 0,
            next_attempt_at: now,
            attempts: Vec::new(),
        };
        let (attempt, _) = self.try_once(&delivery).await;
        match &attempt.error {
            None => tracing::info!(receiver = &**receiver, "test notification delivered"),
            Some(error) => tracing::warn!(receiver = &**receiver, "test notification failed: {error}"),
        }
        attempt
    }

    async fn try_once(&self, delivery: &Delivery) -> (Attempt, Option<Duration>) {
        let began = self.clock.now();
        // A panic would otherwise block the delivery's lane.
        let answer = AssertUnwindSafe(self.send(delivery)).catch_unwind().await;
        let answer = answer
            .unwrap_or_else(|_| Answer::failed("the attempt panicked, which is a defect of the warden"));
        let latency = self.clock.now().since(began);
        let attempt = Attempt {
            at: began,
            status: answer.status,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            error: answer.error,
            answer: answer.excerpt.filter(|excerpt| !excerpt.is_empty()),
        };
        (attempt, answer.retry_after)
    }

    async fn send(&self, delivery: &Delivery) -> Answer {
        let Some(receiver) = self.receivers.get(&delivery.receiver) else {
            // The name may be a mistake in the configuration that is corrected within 24 h.
            return Answer::failed(&format!("the configuration names no receiver {:?}", delivery.receiver));
        };
        // Receivers compare the timestamp with their own clocks, so it is that of the wall clock.
        let now = self.clock.wall();
        let rendered = match receiver.format.render(&delivery.body, &delivery.id, now) {
            Ok(rendered) => rendered,
            Err(error) => return Answer::failed(&format!("the notification cannot be written: {error}")),
        };
        let request = OutboundRequest {
            receiver: receiver.name.clone(),
            headers: headers(&receiver, &delivery.id, now, &rendered),
            method: rendered.method,
            url: receiver.url.clone(),
            body: rendered.body,
            timeout: receiver.timeout,
            transport: receiver.transport.clone(),
        };
        let response = match self.outbound.send(request).await {
            Ok(response) => response,
            Err(error) => return Answer::failed(&error.to_string()),
        };
        let now = self.clock.wall().as_millis();
        Answer {
            status: Some(response.status),
            retry_after: response.retry_after.as_deref().and_then(|value| retry_after::parse(value, now)),
            error: (!(200..300).contains(&response.status)).then(|| {
                let excerpt: String = response.excerpt.chars().take(ERROR_MAX / 2).collect();
                let colon = if excerpt.is_empty() { "" } else { ": " };
                format!("it answered {}{colon}{excerpt}", response.told())
            }),
            excerpt: Some(response.excerpt),
        }
    }
}

/// Logs the stored result of an attempt.
fn note(delivery: &Delivery, error: Option<&str>, moment: Moment) {
    let id = &*delivery.id.0;
    let receiver = &*delivery.receiver;
    let event = delivery.event.as_str();
    match (delivery.status, error) {
        (DeliveryStatus::Delivered, _) | (_, None) => {
            tracing::info!(delivery = id, receiver, event, "notification delivered");
        }
        (DeliveryStatus::Pending, Some(error)) => {
            let again_at = moment.wall(delivery.next_attempt_at);
            tracing::warn!(delivery = id, receiver, event, %again_at, "a delivery attempt failed: {error}");
        }
        (DeliveryStatus::Dead, Some(error)) => {
            let attempts = delivery.attempts_made;
            // A delivery of a resolved incident can be resent only if it tells the resolution.
            let is_open_only = delivery.incident().is_some() && delivery.event != Event::Resolved;
            let while_open = if is_open_only { " while the incident is open" } else { "" };
            tracing::error!(
                delivery = id,
                receiver,
                event,
                attempts,
                "delivery dead: this receiver was not told; `warden resend {id}` tries it for another \
                 day{while_open}: {error}"
            );
        }
    }
}

/// The test notification, at the time of the wall clock. It says that it is about no incident.
fn sample(receiver: &str, url: String, wall: Timestamp) -> Notification {
    Notification {
        event: Event::Test,
        timestamp: wall,
        data: Subject {
            id: TEST.into(),
            workflow: TEST.into(),
            kind: IncidentKind::Overdue,
            group: BTreeMap::new(),
            status: IncidentStatus::Open,
            severity: Severity::Info,
            opened_at: wall,
            resolved_at: None,
            count: 0,
            peak: 0,
            growth: 0,
            oldest_deadline: None,
            by_step: BTreeMap::new(),
            missed: None,
            outcomes: None,
            continued_in: None,
            summary: summary_of_test(receiver),
            runbook_url: None,
            acknowledged_by: None,
            items: Vec::new(),
            truncated: 0,
            url,
        },
    }
}

/// The same for a receiver of events only.
fn sample_of_item(receiver: &str, url: String, wall: Timestamp) -> ItemNotification {
    Notification {
        event: Event::Test,
        timestamp: wall,
        data: ItemSubject {
            id: TEST.into(),
            workflow: TEST.into(),
            created_at: wall,
            deadline: wall,
            labels: Labels::default(),
            outcome: None,
            run: None,
            summary: summary_of_test(receiver),
            truncated: false,
            payload_url: url.clone(),
            url,
        },
    }
}

fn summary_of_test(receiver: &str) -> String {
    format!("This is a test of the receiver {receiver} by Process Warden. Nothing is wrong.")
}

/// The configured headers, those of the format, and the signature.
fn headers(receiver: &Receiver, id: &DeliveryId, now: Timestamp, rendered: &Rendered) -> HeaderMap {
    let mut headers = receiver.headers.clone();
    headers.extend(rendered.headers.clone());
    if receiver.format.is_webhook() {
        headers.extend(signature::headers(&receiver.signing_keys, &id.0, now, &rendered.body));
    }
    headers
}
