//! Leases: claiming items, and ending or extending a lease.
//!
//! The response to a claim is streamed item by item, so that a thousand large payloads are never in memory
//! together.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use warden_api::lease::{
    ClaimRequest, ClaimedItem, CompleteRequest, FailRequest, HeartbeatRequest, ReleaseRequest,
};

use super::course;
use super::document::{document, optional_document};
use super::filter;
use super::json::Json;
use super::page::{read_cursor, write_cursor};
use super::problem::Problem;
use super::request::{self, Segments};
use super::server::answers::{self, RECORD, SMALL};
use super::server::budget::{Hold, attach};
use super::server::exchange::Exchange;
use super::server::{Allowed, Matching, OfLease, Services};
use super::view;
use crate::model::item::StepStatus;
use crate::model::{Item, LeaseId, quote};
use crate::warden::WardenError;
use crate::warden::recovery::{ClaimItems, place_after};
use crate::warden::recovery::{CompleteStep, FailAttempt, TTL_DEFAULT};
use crate::warden::report::ReportError;

pub async fn claim(allowed: Allowed<Matching>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let document: ClaimRequest = optional_document(allowed.server(), &parts, body).await?;
    let duration =
        |name: &str, text: Option<String>| text.map(|text| request::duration(name, &text)).transpose();
    let (ttl, wait) = (duration("ttl", document.ttl)?, duration("wait", document.wait)?);
    if let Some(name) = document.unknown.first() {
        return Err(Problem::invalid(format!("unknown field {} in claim", quote(&name))));
    }
    let ClaimRequest { steps, id, .. } = document;
    let filter = filter::of_claim(document.filter, steps, id, allowed.server().clock())?;
    let (services, filter) = allowed.matching(filter);
    let claim = ClaimItems {
        filter,
        after: document.cursor.map(|text| read_cursor(&text)).transpose()?,
        max: document.max,
        ttl: ttl.unwrap_or(TTL_DEFAULT),
        wait: wait.unwrap_or_default(),
        worker: document.worker.unwrap_or_else(|| services.access().name().unwrap_or("anonymous").into()),
        gone: parts.extensions.get::<Arc<Exchange>>().map(|of| of.gone().clone()).unwrap_or_default(),
    };
    // If there is no memory for the response, the claim is refused before it leases anything.
    drop(services.server().answers.try_hold(SMALL)?);
    let claimed = services.recovery.claim(claim).await?;
    let next_cursor = place_after(&claimed, services.moment()).map(write_cursor);
    let hold = services.server().answers.hold(room(&claimed, document.payloads)).await;
    let hold = Arc::new(hold.map_err(|_| answers::spent())?);
    let answer = Claim { services, items: claimed.into(), payloads: document.payloads, next_cursor, hold };
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((content_type, Body::from_stream(answer.into_stream())).into_response())
}

/// The streamed response to a claim: [`warden_api::lease::Claimed`], one piece for each item.
struct Claim {
    services: Services,
    items: VecDeque<Item>,
    payloads: bool,
    next_cursor: Option<String>,
    hold: Arc<Hold>,
}

/// The memory of the response: the records, and the largest piece.
fn room(claimed: &[Item], payloads: bool) -> u64 {
    let sizes = claimed.iter().filter_map(|item| item.payload.as_ref()).map(|payload| payload.size);
    let largest = sizes.max().filter(|_| payloads).unwrap_or_default();
    claimed.len() as u64 * RECORD + largest.div_ceil(3) * 4 + RECORD
}

/// The progress of the stream.
#[derive(Clone, Copy)]
enum Stage {
    Begin,
    First,
    Next,
    Over,
}

impl Claim {
    fn into_stream(self) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
        stream::try_unfold((self, Stage::Begin), |(mut claimed, stage)| async move {
            let (piece, stage) = match stage {
                Stage::Begin => ("{\"leases\":[".to_owned(), Stage::First),
                Stage::Over => return Ok(None),
                Stage::First | Stage::Next => match claimed.items.pop_front() {
                    Some(item) => {
                        let view = claimed.view(item).await?;
                        let separator = if matches!(stage, Stage::First) { "" } else { ",\n" };
                        let text = view.map(|view| serde_json::to_string(&view)).transpose()?;
                        match text {
                            Some(text) => (format!("{separator}{text}"), Stage::Next),
                            None => (String::new(), stage),
                        }
                    }
                    None => {
                        let cursor = serde_json::to_string(&claimed.next_cursor)?;
                        (format!("],\"next_cursor\":{cursor}}}"), Stage::Over)
                    }
                },
            };
            Ok(Some((attach(claimed.hold.clone(), piece), (claimed, stage))))
        })
    }

    /// The item of the response; `None` if it was closed since the claim.
    async fn view(&self, item: Item) -> Result<Option<ClaimedItem>, std::io::Error> {
        let Some(lease) = item.work.lease.clone() else { return Ok(None) };
        let size = item.payload.as_ref().map_or(0, |payload| payload.size);
        let payload_base64 = if self.payloads {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let payload = self.services.queries.payload(item.number, 0, size).await;
            let payload = payload.map_err(|error| std::io::Error::other(error.to_string()))?;
            let Some(payload) = payload.filter(|payload| payload.len() == size) else { return Ok(None) };
            Some(STANDARD.encode(payload))
        } else {
            None
        };
        Ok(Some(ClaimedItem {
            id: LeaseId { item: item.number, token: lease.token }.to_string(),
            token: lease.token,
            expires_at: view::told(lease.expires_at, self.services.moment()),
            attempt: item.work.attempts,
            item: self.services.facts(item).into(),
            payload_base64,
        }))
    }
}

pub async fn heartbeat(
    allowed: Allowed<OfLease>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<warden_api::Lease>, Problem> {
    let (parts, body) = request.into_parts();
    let document = optional_document::<HeartbeatRequest>(allowed.server(), &parts, body);
    let (services, lease, _, document) = allowed.lease(&id, document).await?;
    let ttl = document.ttl.map(|text| request::duration("ttl", &text)).transpose()?;
    let progress = course::progress(document.progress, document.progress_change)?;
    let item = services.recovery.heartbeat(lease, ttl, progress).await?;
    let held = item.work.lease.as_ref().map(|held| view::lease(&item, held, services.moment()));
    held.map(Json).ok_or_else(|| WardenError::LeaseNotFound.into())
}

pub async fn complete(
    allowed: Allowed<OfLease>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<warden_api::Item>, Problem> {
    let (parts, body) = request.into_parts();
    let document = optional_document::<CompleteRequest>(allowed.server(), &parts, body);
    let (services, lease, _, document) = allowed.lease(&id, document).await?;
    let CompleteRequest { close: closes, status, message, repeat, progress, progress_change } = document;
    let outcome = course::outcome(status, message, repeat, services.server().clock())?;
    if closes && outcome.status == StepStatus::Interrupted {
        return Err(Problem::invalid("an interrupted item is not closed; send close or interrupted"));
    }
    let progress = course::progress(progress, progress_change)?;
    let item = services.recovery.complete(lease, CompleteStep { outcome, closes, progress }).await?;
    Ok(Json(services.facts(item).into()))
}

pub async fn fail(
    allowed: Allowed<OfLease>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<warden_api::Item>, Problem> {
    let (parts, body) = request.into_parts();
    let document = document::<FailRequest>(allowed.server(), &parts, body);
    let (services, lease, item, document) = allowed.lease(&id, document).await?;
    let FailRequest { error, retry_after, progress, progress_change } = document;
    let progress = course::progress(progress, progress_change)?;
    let retry_after = retry_after.map(|text| request::duration("retry_after", &text)).transpose()?;
    let ignorable = error.ignorable;
    let error = ReportError {
        at: None,
        kind: error.kind,
        message: error.message,
        retryable: error.retryable,
        fatal: false,
        data: error.data,
        stack: error.stack,
        idempotency_key: None,
    };
    let request = FailAttempt { error, ignorable, retry_after, progress };
    let item = services.recovery.fail(lease, &item, request).await?;
    Ok(Json(services.facts(item).into()))
}

pub async fn release(
    allowed: Allowed<OfLease>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<warden_api::Item>, Problem> {
    let (parts, body) = request.into_parts();
    let document = optional_document::<ReleaseRequest>(allowed.server(), &parts, body);
    let (services, lease, _, document) = allowed.lease(&id, document).await?;
    let progress = course::progress(document.progress, document.progress_change)?;
    let delay = document.delay.map(|text| request::duration("delay", &text)).transpose()?;
    let item = services.recovery.release(lease, delay.unwrap_or_default(), progress).await?;
    Ok(Json(services.facts(item).into()))
}
