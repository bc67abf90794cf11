//! One attempt: writes the request, judges the answer, and commits what follows.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::HeaderMap;

use super::backoff::{Next, next_attempt, parse_retry_after};
use super::format::Rendered;
use super::outbound::{Outbound, OutboundRequest};
use super::service::NotifierCounts;
use super::{Receiver, signature};
use crate::model::{Attempt, Clock, Delivery, DeliveryId, DeliveryStatus, Random, Timestamp};
use crate::store::{Command, Store, StoreError};

/// The longest account of an error that is kept with an attempt, in characters.
const ERROR_MAX: usize = 300;

/// What an attempt needs, shared by all.
pub(super) struct Post {
    pub(super) store: Arc<dyn Store>,
    pub(super) outbound: Arc<dyn Outbound>,
    pub(super) receivers: HashMap<Arc<str>, Receiver>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) counts: Arc<NotifierCounts>,
    /// When the service began.
    pub(super) started: Timestamp,
}

/// What an attempt came to.
struct Answer {
    status: Option<u16>,
    retry_after: Option<Duration>,
    error: Option<String>,
}

impl Answer {
    fn failed(error: &str) -> Self {
        Self { status: None, retry_after: None, error: Some(error.chars().take(ERROR_MAX).collect()) }
    }
}

impl Post {
    /// Tries a delivery once and commits what follows. When that cannot be committed the attempt has not happened.
    pub(super) async fn attempt(&self, delivery: &Delivery) -> Result<Delivery, StoreError> {
        let began = self.clock.now();
        // A panic would take the delivery's lane with it.
        let answer = AssertUnwindSafe(self.send(delivery)).catch_unwind().await;
        let answer = answer
            .unwrap_or_else(|_| Answer::failed("the attempt panicked, which is a defect of the warden"));
        let now = self.clock.now();
        let next = match &answer.error {
            None => None,
            Some(_) => Some(next_attempt(
                delivery.attempts_made + 1,
                // While the warden was down nothing was tried: what it finds in the outbox gets its day from now on.
                delivery.created_at.max(self.started).as_millis(),
                now.as_millis(),
                answer.retry_after,
                self.random.unit(),
            )),
        };
        let (status, next_attempt_at) = match next {
            None => (DeliveryStatus::Delivered, now),
            Some(Next::At(at)) => (DeliveryStatus::Pending, Timestamp::from_millis(at)),
            Some(Next::Dead) => (DeliveryStatus::Dead, now),
        };
        let attempt = Attempt {
            at: began,
            status: answer.status,
            latency_ms: u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX),
            error: answer.error.clone(),
            answer: None,
        };
        let mut recorded = delivery.clone();
        recorded.record(attempt, status, next_attempt_at);
        self.store.apply(vec![Command::RecordDelivery(Box::new(recorded.clone()))]).await?;
        self.note(&recorded, &answer);
        Ok(recorded)
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
        let Some(receiver) = self.receivers.get(&delivery.receiver) else {
            // It may be a slip that somebody corrects within the day.
            return Answer::failed(&format!("the configuration names no receiver {:?}", delivery.receiver));
        };
        // Receivers check this against their own clocks, so it is the wall clock's time.
        let now = self.clock.wall();
        let rendered = match receiver.format.render(&delivery.body, &delivery.id, now) {
            Ok(rendered) => rendered,
            Err(error) => return Answer::failed(&format!("the notification cannot be written: {error}")),
        };
        let request = OutboundRequest {
            receiver: receiver.name.clone(),
            headers: headers(receiver, &delivery.id, now, &rendered),
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
            retry_after: response.retry_after.as_deref().and_then(|value| parse_retry_after(value, now)),
            error: (!(200..300).contains(&response.status)).then(|| {
                let excerpt: String = response.excerpt.chars().take(ERROR_MAX / 2).collect();
                let colon = if excerpt.is_empty() { "" } else { ": " };
                format!("it answered {}{colon}{excerpt}", response.status)
            }),
        }
    }
}

/// What the configuration says, what the form says, and what makes it genuine.
fn headers(receiver: &Receiver, id: &DeliveryId, now: Timestamp, rendered: &Rendered) -> HeaderMap {
    let mut headers = receiver.headers.clone();
    headers.extend(rendered.headers.clone());
    if receiver.format.is_webhook() {
        headers.extend(signature::headers(&receiver.signing_keys, id, now, &rendered.body));
    }
    headers
}
