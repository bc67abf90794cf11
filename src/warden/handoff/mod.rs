//! Posting a leased item to a target: the request, and the meaning of the response.
//!
//! The body is the payload, byte for byte, with its content type and content encoding. Headers identify the
//! item. If the target has a key they include those of Standard Webhooks, so that it can verify the sender
//! and recognize repetitions.

mod backoff;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;

pub use self::backoff::Backoff;
use super::context::Context;
use crate::model::replay::REASON_MAX;
use crate::model::{Clock, Item, ItemError, LeaseCommand, LeaseId, Moment, Policies, Random, Timestamp};
use crate::outbound::{
    Endpoint, Outbound, OutboundError, OutboundRequest, OutboundResponse, SigningKey, Transport, retry_after,
    signature,
};
use crate::store::{Claim, Command, Outcome, Store, StoreError};
use crate::warden::report::log_exhausted;

/// How much longer than the target's timeout a lease lasts: for the commits before and after the post.
pub const LEASE_MARGIN: Duration = Duration::from_secs(60);
/// The bytes of one permit of the payload budget.
const PERMIT: u64 = 1024;
/// The most bytes of payloads in memory at a time, unless a single one is larger.
const PAYLOADS_MAX: u64 = 256 << 20;
const TOO_MANY: u16 = 429;
const UNAVAILABLE: u16 = 503;
/// What is percent-encoded in the header with an item's id: everything but visible ASCII, and the percent
/// sign itself, so that decoding always returns the id.
const HEADER_VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

#[derive(Clone, Debug)]
pub struct Target {
    /// Used for the circuit breaker, metrics and logs.
    pub name: Arc<str>,
    pub url: Endpoint,
    /// One signature for each.
    pub keys: Vec<SigningKey>,
    /// The timeout of a request.
    pub timeout: Duration,
    pub transport: Arc<Transport>,
}

/// The response of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// 2xx.
    Taken,
    /// 429 or 503.
    Busy {
        what: Arc<str>,
        /// From `Retry-After`.
        wait: Option<Duration>,
    },
    /// Any other status, or no response.
    Refused {
        /// `None` if there was no response.
        status: Option<u16>,
        /// The reason without what the target sent, for grouping.
        counts_as: Arc<str>,
        /// The reason with the beginning of the response.
        reason: Arc<str>,
    },
}

/// The result of posting an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    Posted(Posted),
    /// Not posted, because its payload is gone: it was closed in the meantime.
    Gone,
    /// Not posted, because the lease expires too soon or the caller does not want it any more. Release the
    /// item.
    Late,
}

#[derive(Clone, Debug)]
pub struct Leased {
    pub item: Box<Item>,
    pub lease: LeaseId,
    policies: Arc<dyn Policies>,
}

impl Leased {
    pub fn act(&self, act: LeaseCommand, now: Moment) -> Command {
        Command::ActOnLease { lease: self.lease, act, policies: self.policies.clone(), now }
    }

    /// Returns the item as if it had not been leased.
    pub fn release(&self, now: Moment) -> Command {
        self.act(LeaseCommand::release(), now)
    }
}

pub enum Leasing {
    Leased(Leased),
    StorageFull,
    /// The item does not exist, is leased by somebody else, or does not match.
    Refused,
}

/// Leases items, posts them to targets and records the result. Shared by replays and redrives, and with it
/// the memory budget for payloads.
pub struct Handoff {
    store: Arc<dyn Store>,
    outbound: Arc<dyn Outbound>,
    payloads: Semaphore,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Handoff {
    pub(super) fn new(context: &Context, outbound: Arc<dyn Outbound>) -> Self {
        let Context { store, clock, random, .. } = context.clone();
        let permits = usize::try_from(PAYLOADS_MAX / PERMIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self { store, outbound, payloads: Semaphore::new(permits), clock, random }
    }

    /// Leases an item, after an optional command that makes it claimable.
    pub async fn lease(&self, before: Option<Command>, claim: Claim) -> Result<Leasing, StoreError> {
        let (number, policies) = (claim.number, claim.policies.clone());
        let commands = before.into_iter().chain([Command::Claim(Box::new(claim))]).collect();
        let item = match self.store.apply(commands).await?.pop() {
            Some(Outcome::Changed(item)) => item,
            Some(Outcome::StorageFull) => return Ok(Leasing::StorageFull),
            Some(Outcome::Exhausted(item)) => {
                log_exhausted(&item);
                return Ok(Leasing::Refused);
            }
            _ => return Ok(Leasing::Refused),
        };
        let Some(token) = item.work.lease.as_ref().map(|lease| lease.token) else {
            return Ok(Leasing::Refused);
        };
        Ok(Leasing::Leased(Leased { item, lease: LeaseId { item: number, token }, policies }))
    }

    /// Posts a leased item once, unless `may_still` returns false when everything is ready. `id` is the
    /// `webhook-id`, the same for all attempts that the target must recognize as one.
    pub async fn post(
        &self,
        target: &Target,
        id: &str,
        item: &Item,
        may_still: impl Fn() -> bool,
    ) -> Result<Sending, StoreError> {
        let size = item.payload.as_ref().map_or(0, |info| info.size);
        let permits = u32::try_from(size.min(PAYLOADS_MAX).div_ceil(PERMIT)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _permits = self.payloads.acquire_many(permits).await;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let payload = self.store.payload(item.number, 0, length).await?;
        let Some(payload) = payload.filter(|payload| payload.len() as u64 == size) else {
            return Ok(Sending::Gone);
        };
        let expires_at = item.work.lease.as_ref().map(|lease| lease.expires_at);
        let is_late =
            expires_at.is_none_or(|expires_at| self.clock.now().after(target.timeout) >= expires_at);
        if is_late || !may_still() {
            return Ok(Sending::Late);
        }
        Ok(Sending::Posted(post(&*self.outbound, &*self.clock, target, id, item, payload).await))
    }

    /// The error to record on an item that its target did not accept. It does not include the response, which
    /// not everybody who can see the item may see. That is in the log.
    pub fn error(&self, kind: &str, message: String, data: serde_json::Value, now: Timestamp) -> ItemError {
        ItemError {
            id: self.random.id("err", now),
            kind: kind.to_owned(),
            message,
            retryable: true,
            fatal: false,
            step: None,
            at: now,
            data,
            stack: None,
        }
    }
}

/// Posts an item once. `id` is the same for repeated attempts; it contains no full stop.
async fn post(
    outbound: &dyn Outbound,
    clock: &dyn Clock,
    target: &Target,
    id: &str,
    item: &Item,
    payload: Bytes,
) -> Posted {
    let request = OutboundRequest {
        receiver: target.name.clone(),
        method: Method::POST,
        url: target.url.clone(),
        headers: headers(target, id, clock, item, &payload),
        body: payload,
        timeout: target.timeout,
        transport: target.transport.clone(),
    };
    // A panic would end all other posts in flight.
    let sent = AssertUnwindSafe(outbound.send(request)).catch_unwind().await;
    judge(
        sent.unwrap_or_else(|_| {
            Err(OutboundError::Other("the attempt panicked; this is a bug in the warden".to_owned()))
        }),
        clock,
    )
}

fn judge(sent: Result<OutboundResponse, OutboundError>, clock: &dyn Clock) -> Posted {
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => {
            let reason = short(&error.to_string());
            return Posted::Refused { status: None, counts_as: reason.clone(), reason };
        }
    };
    let what = format!("HTTP {}", answer.status);
    match answer.status {
        200..=299 => Posted::Taken,
        TOO_MANY | UNAVAILABLE => {
            let now = clock.wall().as_millis();
            let wait = answer.retry_after.as_deref().and_then(|value| retry_after::parse(value, now));
            Posted::Busy { what: what.into(), wait: wait.map(retry_after::granted) }
        }
        status => {
            let said = answer.excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
            let told = format!("HTTP {}", answer.told());
            let reason = if said.is_empty() { told } else { format!("{told}: {said}") };
            Posted::Refused { status: Some(status), counts_as: what.into(), reason: short(&reason) }
        }
    }
}

fn short(text: &str) -> Arc<str> {
    text.chars().take(REASON_MAX).collect::<String>().into()
}

fn headers(target: &Target, id: &str, clock: &dyn Clock, item: &Item, payload: &[u8]) -> HeaderMap {
    // The wall clock, because targets compare the timestamp with their own.
    let mut headers = signature::headers(&target.keys, id, clock.wall(), payload);
    let item_id = utf8_percent_encode(&item.id, HEADER_VALUE).to_string();
    let attempt = item.work.attempts.to_string();
    let content_type = item.payload.as_ref().map_or("", |info| &*info.content_type);
    let content_encoding = item.payload.as_ref().and_then(|info| info.content_encoding.as_deref());
    let trace = item.trace.as_deref();
    let state = trace.and_then(|trace| trace.state.as_deref());
    let values = [
        (CONTENT_TYPE, content_type),
        (CONTENT_ENCODING, content_encoding.unwrap_or_default()),
        (HeaderName::from_static("warden-item-id"), &*item_id),
        (HeaderName::from_static("warden-workflow"), &*item.workflow),
        (HeaderName::from_static("warden-step"), item.step.as_deref().unwrap_or_default()),
        (HeaderName::from_static("warden-attempt"), &*attempt),
        (HeaderName::from_static("traceparent"), trace.map_or("", |trace| &trace.parent)),
        (HeaderName::from_static("tracestate"), state.unwrap_or_default()),
    ];
    let values = values.into_iter().filter(|(_, value)| !value.is_empty());
    headers.extend(values.filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?))));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        ItemId, ItemNumber, Labels, ManualClock, PayloadInfo, StepName, Timestamp, Work, WorkflowName,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn item(id: &str, step: Option<&str>) -> Item {
        Item {
            number: ItemNumber(1),
            workflow: WorkflowName::new("uploads").unwrap(),
            id: ItemId::new(id).unwrap(),
            created_at: NOW,
            deadline: NOW.into(),
            failed_at: None,
            closed: None,
            labels: Labels::default(),
            step: step.map(|step| StepName::new(step).unwrap()),
            step_entered_at: NOW,
            payload: Some(PayloadInfo {
                size: 1,
                content_type: "text/plain; a=b".into(),
                content_encoding: None,
                sha256: [0; 32],
            }),
            idempotency_key: None,
            version: 1,
            work: Work { attempts: 3, ..Work::default() },
            course: crate::model::item::Course::default(),
            run: None,
            trace: None,
            detail: None,
        }
    }

    fn headers_of(item: &Item) -> HeaderMap {
        let url = "http://target.internal/".parse().unwrap();
        let target = Target {
            name: "test".into(),
            url,
            keys: Vec::new(),
            timeout: Duration::from_secs(1),
            transport: Arc::default(),
        };
        headers(&target, "msg_1", &ManualClock::new(NOW), item, b"x")
    }

    #[test]
    fn the_headers_say_which_item_it_is_and_of_what_sort_its_bytes_are() {
        let headers = headers_of(&item("file-1", Some("backup")));
        let expected = [
            ("content-type", "text/plain; a=b"),
            ("warden-attempt", "3"),
            ("warden-item-id", "file-1"),
            ("warden-step", "backup"),
            ("warden-workflow", "uploads"),
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1767225600"),
        ];
        let mut found: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_item_without_a_step_or_a_type_has_no_header_for_it() {
        let mut item = item("file-1", None);
        if let Some(info) = &mut item.payload {
            info.content_type = "".into();
        }
        let headers = headers_of(&item);
        assert!(!headers.contains_key("warden-step") && !headers.contains_key("content-type"));
    }

    #[test]
    fn an_id_is_encoded_where_it_is_no_visible_ascii_and_can_always_be_decoded() {
        for (id, header) in [
            ("file-1", "file-1"),
            ("a/b?c&d=\"e\"", "a/b?c&d=\"e\""),
            ("ä b", "%C3%A4%20b"),
            ("100%", "100%25"),
            ("%41", "%2541"),
        ] {
            assert_eq!(headers_of(&item(id, None))["warden-item-id"], header, "{id}");
            let decoded = percent_encoding::percent_decode_str(header).decode_utf8().unwrap();
            assert_eq!(decoded, id);
        }
    }

    #[test]
    fn the_status_says_what_became_of_it() {
        let clock = ManualClock::new(NOW);
        let answered = |status, retry_after: Option<&str>, excerpt: &str| {
            let retry_after = retry_after.map(str::to_owned);
            judge(
                Ok(OutboundResponse { status, retry_after, location: None, excerpt: excerpt.to_owned() }),
                &clock,
            )
        };
        for status in [200, 202, 204, 299] {
            assert_eq!(answered(status, None, "thanks"), Posted::Taken);
        }
        for (status, retry_after, wait) in [
            (503, None, None),
            (429, Some("7"), Some(7)),
            (503, Some("Thu, 01 Jan 2026 00:02:00 GMT"), Some(120)),
            (503, Some("86400"), Some(3600)),
            (429, Some("soon"), None),
        ] {
            let wait = wait.map(Duration::from_secs);
            assert_eq!(
                answered(status, retry_after, "x"),
                Posted::Busy { what: format!("HTTP {status}").into(), wait }
            );
        }
        for (status, excerpt, reason) in [
            (500, "", "HTTP 500"),
            (302, "", "HTTP 302"),
            (422, " no\n such\tfile ", "HTTP 422: no such file"),
        ] {
            let counts_as = format!("HTTP {status}").into();
            let expected = Posted::Refused { status: Some(status), counts_as, reason: reason.into() };
            assert_eq!(answered(status, None, excerpt), expected);
        }
        let Posted::Refused { reason, .. } = answered(500, None, &"ü".repeat(2000)) else { panic!() };
        assert_eq!(reason.chars().count(), REASON_MAX);
        let timeout = judge(Err(OutboundError::Timeout(Duration::from_secs(30))), &clock);
        let reason: Arc<str> = "no answer within 30s".into();
        assert_eq!(timeout, Posted::Refused { status: None, counts_as: reason.clone(), reason });
    }
}
