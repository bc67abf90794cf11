//! Posting an item that is leased to a target: what is written, and what the answer means.
//!
//! What goes out is the payload, byte for byte, with its content type and its content codings. The headers say which item it is; with a key they
//! are those of Standard Webhooks as well, so that a target may check that they are genuine and know a repetition.

mod hold;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

pub use self::hold::Hold;
use tokio::sync::Semaphore;

use crate::model::replay::REASON_MAX;
use crate::model::{Clock, Item, ItemError, LeaseAct, LeaseId, Moment, Random, Timestamp};
use crate::outbound::{
    Endpoint, Outbound, OutboundError, OutboundRequest, OutboundResponse, SigningKey, Transport, retry_after,
    signature,
};
use crate::store::{Claim, Command, Outcome, Store, StoreError};

/// How much longer than the target may take an item is to be leased: for the commits before and after.
pub const LEASE_MARGIN: Duration = Duration::from_secs(60);
/// What one permit of the budget for payloads stands for, in bytes.
const PERMIT: u64 = 1024;
/// The most bytes of payloads that are in memory at a time to be posted, unless one alone is larger.
const PAYLOADS_MAX: u64 = 256 << 20;
/// Too many requests.
const TOO_MANY: u16 = 429;
/// No service for now.
const UNAVAILABLE: u16 = 503;
/// What of an item's id is percent-encoded in its header: all that is no visible ASCII, and the percent sign itself, so that
/// whoever decodes it gets the id.
const HEADER_VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Where items are posted, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the target is known by.
    pub name: Arc<str>,
    /// Where to.
    pub url: Endpoint,
    /// What signs them; a signature for each.
    pub keys: Vec<SigningKey>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How it is reached.
    pub transport: Arc<Transport>,
}

/// What the target made of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It took it.
    Taken,
    /// It has no room for now, and perhaps says for how long.
    Busy {
        /// What it answered.
        what: Arc<str>,
        /// How long it wants to be left alone, if it says so.
        wait: Option<Duration>,
    },
    /// It did not take it, or there was no answer.
    Refused {
        /// The status of the answer, if there was one.
        status: Option<u16>,
        /// What happened in few words, such as others share.
        counts_as: Arc<str>,
        /// The same with what the target said.
        reason: Arc<str>,
    },
}

/// What became of an item that was to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It was posted.
    Posted(Posted),
    /// It was not: it was closed meanwhile.
    Gone,
    /// It was not: so little is left of its lease that it is better given back, or it may not be posted any more.
    Late,
}

/// An item that was leased to be posted.
#[derive(Clone, Debug)]
pub struct Leased {
    pub item: Box<Item>,
    pub lease: LeaseId,
}

impl Leased {
    /// What the holder of the lease says.
    pub fn act(&self, act: LeaseAct, now: Moment) -> Command {
        Command::ActOnLease { lease: self.lease, act, now }
    }

    /// Gives the item back, as if it had not been leased.
    pub fn release(&self, now: Moment) -> Command {
        self.act(LeaseAct::Release { retry_at: None, counts: false }, now)
    }
}

/// What came of a claim for one item.
pub enum Leasing {
    Leased(Leased),
    /// The disk is full.
    StorageFull,
    /// It is gone, somebody else has it, or it does not match.
    Refused,
}

/// Hands items over to targets: leases them, posts them, and says what became of them. Replays and redrives share it, and
/// with it the budget for the payloads that are in memory.
pub struct Handoff {
    store: Arc<dyn Store>,
    outbound: Arc<dyn Outbound>,
    payloads: Semaphore,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Handoff {
    pub fn new(
        store: Arc<dyn Store>,
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let permits = usize::try_from(PAYLOADS_MAX / PERMIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self { store, outbound, payloads: Semaphore::new(permits), clock, random }
    }

    /// Leases an item, after a command that makes it free, if there is one.
    pub async fn lease(&self, before: Option<Command>, claim: Claim) -> Result<Leasing, StoreError> {
        let number = claim.number;
        let commands = before.into_iter().chain([Command::Claim(Box::new(claim))]).collect();
        let item = match self.store.apply(commands).await?.pop() {
            Some(Outcome::Changed(item)) => item,
            Some(Outcome::StorageFull) => return Ok(Leasing::StorageFull),
            _ => return Ok(Leasing::Refused),
        };
        let Some(token) = item.work.lease.as_ref().map(|lease| lease.token) else {
            return Ok(Leasing::Refused);
        };
        Ok(Leasing::Leased(Leased { item, lease: LeaseId { item: number, token } }))
    }

    /// Posts a leased item once, if it still may be when all is ready for it. `id` is the `webhook-id`, the same for all
    /// attempts that the target is to know as one.
    ///
    /// # Errors
    /// When the store cannot read its payload.
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
        let _held = self.payloads.acquire_many(permits).await;
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

    /// An error to be reported about an item that its target did not take. Not what the target said: whoever may see the item
    /// may not always see that. It is in the log.
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
        }
    }
}

/// Posts an item once. `id` is that of all attempts that are to be known as one; it holds no full stop.
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
    // A panic would take all that is on its way with it.
    let sent = AssertUnwindSafe(outbound.send(request)).catch_unwind().await;
    judge(
        sent.unwrap_or_else(|_| {
            Err(OutboundError::Other("the attempt panicked, which is a defect of the warden".to_owned()))
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
    // Targets check this against their own clocks, so it is the wall clock's time.
    let mut headers = signature::headers(&target.keys, id, clock.wall(), payload);
    let item_id = utf8_percent_encode(&item.id, HEADER_VALUE).to_string();
    let attempt = item.work.attempts.to_string();
    let content_type = item.payload.as_ref().map_or("", |info| &*info.content_type);
    let content_encoding = item.payload.as_ref().and_then(|info| info.content_encoding.as_deref());
    let values = [
        (CONTENT_TYPE, content_type),
        (CONTENT_ENCODING, content_encoding.unwrap_or_default()),
        (HeaderName::from_static("warden-item-id"), &*item_id),
        (HeaderName::from_static("warden-workflow"), &*item.workflow),
        (HeaderName::from_static("warden-step"), item.step.as_deref().unwrap_or_default()),
        (HeaderName::from_static("warden-attempt"), &*attempt),
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
