//! Leases: claiming items, and ending or extending a lease.
//!
//! The response to a claim is streamed item by item, so that a thousand large payloads are never in memory
//! together.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use warden_api::lease::{
    ClaimRequest, Claimed, ClaimedItem, CompleteRequest, FailRequest, HeartbeatRequest, ReleaseRequest,
};

use super::Server;
use super::access::Access;
use super::answers::{self, RECORD, SMALL};
use super::budget::{Hold, attach};
use super::document::{document, optional_document};
use super::exchange::Exchange;
use super::filter;
use super::json::Json;
use super::page::{read_cursor, write_cursor};
use super::problem::Problem;
use super::request::{self, NoQuery, Segments};
use super::view;
use crate::config::Scope;
use crate::model::item::Merge;
use crate::model::{Item, LeaseId, quote};
use crate::warden::recovery::{ClaimItems, place_after};
use crate::warden::recovery::{CompleteStep, FailAttempt, TTL_DEFAULT};
use crate::warden::report::ReportError;
use crate::warden::{Recovery, WardenError};

/// Claim items: lease matching ones, earliest deadline first. With `wait` the request waits for an item if
/// none is claimable (long polling). A claim is not idempotent: if the response is lost, the items stay
/// leased until the ttl has passed.
#[utoipa::path(post, path = "/v1/leases", operation_id = "claim", tag = "recovery",
    request_body(content = Option<ClaimRequest>),
    responses((status = 200, description = "The leases, with their items", body = Claimed)))]
pub async fn claim(
    State(server): State<Arc<Server>>,
    access: Access,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require(Scope::Work)?;
    let (parts, body) = request.into_parts();
    let document: ClaimRequest = optional_document(&server, &parts, body).await?;
    let duration =
        |name: &str, text: Option<String>| text.map(|text| request::duration(name, &text)).transpose();
    let (ttl, wait) = (duration("ttl", document.ttl)?, duration("wait", document.wait)?);
    if let Some(name) = document.unknown.first() {
        return Err(Problem::invalid(format!("unknown field {} in claim", quote(&name))));
    }
    let claim = ClaimItems {
        filter: filter::read(document.filter, &server, &access)?,
        after: document.cursor.map(|text| read_cursor(&text)).transpose()?,
        max: document.max,
        ttl: ttl.unwrap_or(TTL_DEFAULT),
        wait: wait.unwrap_or_default(),
        worker: document.worker.unwrap_or_else(|| access.name().unwrap_or("anonymous").into()),
        gone: parts.extensions.get::<Arc<Exchange>>().map(|of| of.gone().clone()).unwrap_or_default(),
    };
    // If there is no memory for the response, the claim is refused before it leases anything.
    drop(server.answers.try_hold(SMALL)?);
    let claimed = Recovery::claim(&server.warden.recovery, claim).await?;
    let next_cursor = place_after(&claimed, server.moment()).map(write_cursor);
    let hold = server.answers.hold(room(&claimed, document.payloads)).await;
    let hold = Arc::new(hold.map_err(|_| answers::spent())?);
    let answer = Claim { server, items: claimed.into(), payloads: document.payloads, next_cursor, hold };
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((content_type, Body::from_stream(answer.into_stream())).into_response())
}

/// The streamed response to a claim: [`Claimed`], one piece for each item.
struct Claim {
    server: Arc<Server>,
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
            let payload = self.server.warden.queries.payload(item.number, 0, size).await;
            let payload = payload.map_err(|error| std::io::Error::other(error.to_string()))?;
            let Some(payload) = payload.filter(|payload| payload.len() == size) else { return Ok(None) };
            Some(STANDARD.encode(payload))
        } else {
            None
        };
        Ok(Some(ClaimedItem {
            id: LeaseId { item: item.number, token: lease.token }.to_string(),
            token: lease.token,
            expires_at: view::told(lease.expires_at, self.server.moment()),
            attempt: item.work.attempts,
            item: self.server.facts(item).into(),
            payload_base64,
        }))
    }
}

/// The lease in the path, its item, and the parsed body, if the token includes the workflow. The item is read
/// after the body, which may arrive slowly.
async fn leased<T>(
    server: &Server,
    access: &Access,
    id: &str,
    document: impl Future<Output = Result<T, Problem>>,
) -> Result<(LeaseId, Item, T), Problem> {
    access.require(Scope::Work)?;
    let lease: LeaseId = id.parse().map_err(|_| WardenError::LeaseNotFound)?;
    let document = document.await?;
    let item = server.warden.recovery.leased_item(lease, |item| access.admits(&item.workflow)).await?;
    Ok((lease, item, document))
}

/// Extend a lease.
#[utoipa::path(post, path = "/v1/leases/{id}/heartbeat", operation_id = "heartbeat", tag = "recovery",
    params(("id" = String, Path)), request_body(content = Option<HeartbeatRequest>),
    responses((status = 200, description = "The extended lease", body = warden_api::Lease)))]
pub async fn heartbeat(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<warden_api::Lease>, Problem> {
    let (parts, body) = request.into_parts();
    let document = optional_document::<HeartbeatRequest>(&server, &parts, body);
    let (lease, _, document) = leased(&server, &access, &id, document).await?;
    let ttl = document.ttl.map(|text| request::duration("ttl", &text)).transpose()?;
    let item = server.warden.recovery.heartbeat(lease, ttl, document.progress.map(Merge::Change)).await?;
    let held = item.work.lease.as_ref().map(|held| view::lease(&item, held, server.moment()));
    held.map(Json).ok_or_else(|| WardenError::LeaseNotFound.into())
}

/// Complete the current step. The next step becomes claimable; after the last one the item is closed.
#[utoipa::path(post, path = "/v1/leases/{id}/complete", operation_id = "complete", tag = "recovery",
    params(("id" = String, Path)), request_body(content = Option<CompleteRequest>),
    responses((status = 200, description = "The changed item", body = warden_api::Item)))]
pub async fn complete(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<warden_api::Item>, Problem> {
    let (parts, body) = request.into_parts();
    let document = optional_document::<CompleteRequest>(&server, &parts, body);
    let (lease, item, document) = leased(&server, &access, &id, document).await?;
    let request = CompleteStep { close: document.close, progress: document.progress.map(Merge::Change) };
    let item = server.warden.recovery.complete(lease, &item, request).await?;
    Ok(Json(server.facts(item).into()))
}

/// Report a failed attempt. The item is retried after a back-off, or fails, by the workflow's policy.
#[utoipa::path(post, path = "/v1/leases/{id}/fail", operation_id = "fail", tag = "recovery",
    params(("id" = String, Path)), request_body(content = FailRequest),
    responses((status = 200, description = "The changed item", body = warden_api::Item)))]
pub async fn fail(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<warden_api::Item>, Problem> {
    let (parts, body) = request.into_parts();
    let document = document(&server, &parts, body);
    let (lease, item, FailRequest { error, retry_after }) = leased(&server, &access, &id, document).await?;
    let retry_after = retry_after.map(|text| request::duration("retry_after", &text)).transpose()?;
    let ignorable = error.ignorable;
    let error = ReportError {
        kind: error.kind,
        message: error.message,
        retryable: error.retryable,
        fatal: false,
        data: error.data,
        idempotency_key: None,
    };
    let item =
        server.warden.recovery.fail(lease, &item, FailAttempt { error, ignorable, retry_after }).await?;
    Ok(Json(server.facts(item).into()))
}

/// Release a lease without an attempt: the item can be claimed again at once, or after `delay`.
#[utoipa::path(post, path = "/v1/leases/{id}/release", operation_id = "release", tag = "recovery",
    params(("id" = String, Path)), request_body(content = Option<ReleaseRequest>),
    responses((status = 200, description = "The changed item", body = warden_api::Item)))]
pub async fn release(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<warden_api::Item>, Problem> {
    let (parts, body) = request.into_parts();
    let document = optional_document::<ReleaseRequest>(&server, &parts, body);
    let (lease, _, document) = leased(&server, &access, &id, document).await?;
    let delay = document.delay.map(|text| request::duration("delay", &text)).transpose()?;
    let item = server.warden.recovery.release(lease, delay.unwrap_or_default()).await?;
    Ok(Json(server.facts(item).into()))
}
