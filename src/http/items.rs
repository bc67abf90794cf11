//! Items: create, read, close, change, report.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderName, IF_RANGE, LOCATION, RANGE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use utoipa::ToSchema;
use warden_api::item::{ErrorReceipt, ErrorRequest, ItemAnswer, PatchRequest};
use warden_api::path;

use super::Server;
use super::access::Access;
use super::body::Held;
use super::budget::attach;
use super::document::{document, idempotency_key};
use super::json::Json;
use super::prefer::{self, PREFERENCE_APPLIED, RETURN_MINIMAL};
use super::problem::{Problem, success};
use super::request::{self, ByteRange, ItemPath, NoQuery, Query, WorkflowPath};
use super::view::{Sent, hex};
use crate::config::Scope;
use crate::model::{CloseOutcome, Item, ItemNumber, PayloadInfo};
use crate::warden::intake::{CreateItem, Done, PatchItem};
use crate::warden::report::ReportError;
use crate::warden::{ClosedSince, WardenError};

/// How much of a payload is read and sent at once, in bytes.
const WINDOW: u64 = 256 * 1024;

/// The checksum of a payload, whatever part of it is sent (RFC 9530).
pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// A payload: bytes that mean nothing to the warden.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct PayloadBytes(#[expect(dead_code, reason = "it stands in the description only")] Vec<u8>);

/// Create an item; the body is its payload, verbatim.
///
/// Its `Content-Type` and its `Content-Encoding` are kept with it and given back; the bytes are never decoded. Other headers
/// that describe a body, such as `Content-Language`, are not kept: labels may say what they say. A body without a type has
/// `application/octet-stream`.
#[utoipa::path(put, path = "/v1/workflows/{workflow}/items/{id}", operation_id = "create_item", tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("deadline" = Option<String>, Query, description = "A duration from now, or an RFC 3339 instant"),
        ("label" = Option<Vec<String>>, Query, description = "name:value, repeatable"),
        ("step" = Option<String>, Query),
        ("prefer" = Option<String>, Header, description = "With return=minimal the answer has no body (RFC 7240)")),
    request_body(content = PayloadBytes, content_type = "*/*"),
    responses((status = 201, description = "Created", body = ItemAnswer),
        (status = 200, description = "The same payload again", body = ItemAnswer)))]
pub async fn put(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    access.require_for(Scope::Ingest, &key.workflow)?;
    let (parts, body) = request.into_parts();
    let create = CreateItem { id: Some(key.id), ..create_request(&parts, key.workflow, query)? };
    match store(&server, &access, create, &parts, body).await? {
        Done::Created(item) => {
            Ok(show_created(success::CREATED, *item, Sent::Item, &parts, &server, &access))
        }
        Done::Existed(item) => Ok(show_created(success::OK, *item, Sent::Payload, &parts, &server, &access)),
        Done::Closed => Err(Problem::item_closed("the item is closed")),
    }
}

/// Create an item under an id of the server's.
#[utoipa::path(post, path = "/v1/workflows/{workflow}/items", operation_id = "post_item", tag = "items",
    params(("workflow" = String, Path),
        ("deadline" = Option<String>, Query), ("label" = Option<Vec<String>>, Query), ("step" = Option<String>, Query),
        ("idempotency-key" = Option<String>, Header, description = "A repetition with the same key finds the first item"),
        ("prefer" = Option<String>, Header, description = "With return=minimal the answer has no body (RFC 7240)")),
    request_body(content = PayloadBytes, content_type = "*/*"),
    responses((status = 201, description = "Created; `Location` names it", body = ItemAnswer)))]
pub async fn post(
    State(server): State<Arc<Server>>,
    access: Access,
    WorkflowPath(workflow): WorkflowPath,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    access.require_for(Scope::Ingest, &workflow)?;
    let (parts, body) = request.into_parts();
    let idempotency_key = idempotency_key(&parts)?;
    let create = CreateItem { idempotency_key, ..create_request(&parts, workflow, query)? };
    let (item, sent) = match store(&server, &access, create, &parts, body).await? {
        Done::Created(item) => (item, Sent::Item),
        // A repetition gets the answer that the first request got, or should have got.
        Done::Existed(item) => (item, Sent::Payload),
        Done::Closed => return Err(Problem::item_closed("the item is closed")),
    };
    let location = path::fill(path::ITEM, &[&item.workflow, &item.id]);
    let mut response = show_created(success::CREATED, *item, sent, &parts, &server, &access);
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|value| (LOCATION, value)));
    Ok(response)
}

fn create_request(
    parts: &Parts,
    workflow: crate::model::WorkflowName,
    mut query: Query,
) -> Result<CreateItem, Problem> {
    let deadline = query.one("deadline")?.map(|text| request::deadline(&text)).transpose()?;
    let labels = request::labels(query.all("label"))?;
    let step = query.one("step")?.map(request::step).transpose()?;
    query.finish("deadline, label, step")?;
    Ok(CreateItem {
        workflow,
        id: None,
        idempotency_key: None,
        content_type: request::content_type(&parts.headers)?.into(),
        content_encoding: request::content_encoding(&parts.headers)?.into(),
        payload: bytes::Bytes::new(),
        deadline,
        labels,
        step,
        past: None,
    })
}

async fn store(
    server: &Server,
    access: &Access,
    create: CreateItem,
    parts: &Parts,
    body: Body,
) -> Result<Done, Problem> {
    let too_large = |limit| WardenError::PayloadTooLarge { limit }.into();
    // The hold on the budget lasts until the bytes are on disk.
    let Held { bytes, hold: _hold } =
        server.bodies.read(parts, body, server.warden.intake.payload_max(), too_large).await?;
    let created = server.warden.intake.create(CreateItem { payload: bytes, ..create }).await;
    created.map_err(|error| access.explain(error))
}

/// The answer to whoever created an item, or found it as it was to be; without a body for who prefers that.
fn show_created(
    status: axum::http::StatusCode,
    item: Item,
    sent: Sent,
    parts: &Parts,
    server: &Server,
    access: &Access,
) -> Response {
    if !prefer::is_minimal(&parts.headers) {
        return show(status, item, sent, server, access);
    }
    let headers = [(ETAG, entity_tag(item.version)), (PREFERENCE_APPLIED, RETURN_MINIMAL)];
    (status, headers).into_response()
}

/// The answer to whoever wrote an item.
fn show(
    status: axum::http::StatusCode,
    item: Item,
    sent: Sent,
    server: &Server,
    access: &Access,
) -> Response {
    let tag = entity_tag(item.version);
    (status, [(ETAG, tag)], Json(server.facts(item).answer(sent, access.may_read()))).into_response()
}

/// The answer to whoever may see the whole item.
fn show_whole(item: Item, server: &Server) -> Response {
    let tag = entity_tag(item.version);
    (success::OK, [(ETAG, tag)], Json(warden_api::Item::from(server.facts(item)))).into_response()
}

fn entity_tag(version: u64) -> HeaderValue {
    match version {
        // That of every item that is new.
        1 => HeaderValue::from_static("\"1\""),
        version => {
            HeaderValue::try_from(format!("\"{version}\"")).expect("a number in quotes is a header value")
        }
    }
}

/// Get an item.
#[utoipa::path(get, path = "/v1/workflows/{workflow}/items/{id}", operation_id = "get_item", tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "The item", body = warden_api::Item)))]
pub async fn get(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    _: NoQuery,
) -> Result<Response, Problem> {
    access.require_for(Scope::Read, &key.workflow)?;
    Ok(show_whole(server.warden.queries.item(key).await?, &server))
}

/// Get an item's payload: the bytes as they came.
///
/// With the `Content-Type` and the `Content-Encoding` that they came with, whatever the request's `Accept` and
/// `Accept-Encoding` say. `Content-Length`, `ETag`, `Repr-Digest` and ranges are those of the stored bytes.
#[utoipa::path(get, path = "/v1/workflows/{workflow}/items/{id}/payload", operation_id = "get_payload", tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path), ("range" = Option<String>, Header)),
    responses((status = 200, description = "The bytes, with the type they came with", body = PayloadBytes, content_type = "*/*"),
        (status = 206, description = "A part of them", body = PayloadBytes, content_type = "*/*"),
        (status = 304, description = "The client has them already")))]
pub async fn payload(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    _: NoQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access.require_for(Scope::Recover, &key.workflow)?;
    let (item, info) = server.warden.queries.item_with_payload(key).await?;
    let tag = format!("\"{}\"", hex(&info.sha256));
    if request::has_already(&headers, &tag) {
        return Ok((success::NOT_MODIFIED, payload_headers(&info, &tag)).into_response());
    }
    // Parts are for GET alone (RFC 9110, 14.2), and hold for the representation that they were meant for.
    let wanted = match headers.get(IF_RANGE) {
        _ if method != Method::GET => None,
        Some(condition) if condition != tag.as_str() => None,
        _ => request::header(&headers, &RANGE)?,
    };
    let (status, range) = match request::byte_range(wanted, info.size) {
        Ok(None) => (success::OK, ByteRange { start: 0, end: info.size }),
        Ok(Some(range)) => (success::PART, range),
        Err(()) => {
            let size = format!("bytes */{}", info.size);
            let value = HeaderValue::from_str(&size).expect("digits and signs are a header value");
            let problem = Problem::range_not_satisfiable(format!("the payload has {} bytes", info.size));
            return Err(problem.with_header(CONTENT_RANGE, value));
        }
    };
    let body =
        if method == Method::HEAD { Body::empty() } else { payload_body(server, &item, range).await? };
    let mut response = (status, payload_headers(&info, &tag), body).into_response();
    let length = range.end - range.start;
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    if status == success::PART {
        let part = format!("bytes {}-{}/{}", range.start, range.end - 1, info.size);
        response.headers_mut().extend(HeaderValue::from_str(&part).ok().map(|value| (CONTENT_RANGE, value)));
    }
    Ok(response)
}

fn payload_headers(info: &PayloadInfo, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let digest = format!("sha-256=:{}:", STANDARD.encode(info.sha256));
    for (name, value) in [(CONTENT_TYPE, &*info.content_type), (ETAG, tag), (REPR_DIGEST, &digest)] {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    let encoding = info.content_encoding.as_deref().map(HeaderValue::from_str);
    headers.extend(encoding.and_then(Result::ok).map(|value| (CONTENT_ENCODING, value)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A browser must not take what a client stored for a page of ours.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers
}

/// The bytes of a range, read window by window. The first is read before the answer begins, so that a payload that is
/// dropped in this instant is still told by its status; one that is dropped later breaks the body off.
async fn payload_body(server: Arc<Server>, item: &Item, range: ByteRange) -> Result<Body, Problem> {
    let number = item.number;
    let Some(first) = window(&server, number, range).await? else {
        return Err(WardenError::PayloadGone(ClosedSince::of(item, server.moment())).into());
    };
    let next = ByteRange { start: range.start + first.len() as u64, end: range.end };
    if next.start >= next.end {
        return Ok(Body::from(first));
    }
    let first = attach(server.answers.try_hold(WINDOW)?, first);
    let rest = stream::try_unfold((server, next), move |(server, range)| async move {
        if range.start >= range.end {
            return Ok::<_, std::io::Error>(None);
        }
        let hold = server.answers.hold(WINDOW).await?;
        let bytes = window(&server, number, range).await.ok().flatten().filter(|bytes| !bytes.is_empty());
        let bytes =
            bytes.ok_or_else(|| std::io::Error::other("the payload was dropped while it was sent"))?;
        let next = ByteRange { start: range.start + bytes.len() as u64, end: range.end };
        Ok(Some((attach(hold, bytes), (server, next))))
    });
    use futures_util::StreamExt;
    Ok(Body::from_stream(stream::once(async move { Ok(first) }).chain(rest)))
}

async fn window(
    server: &Server,
    number: ItemNumber,
    range: ByteRange,
) -> Result<Option<bytes::Bytes>, Problem> {
    let length = usize::try_from((range.end - range.start).min(WINDOW)).unwrap_or_default();
    Ok(server.warden.queries.payload(number, range.start, length).await?)
}

/// Close an item. Closing it again is fine.
#[utoipa::path(delete, path = "/v1/workflows/{workflow}/items/{id}", operation_id = "close_item", tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("outcome" = Option<String>, Query, description = "success (default), discarded or failed")),
    responses((status = 204, description = "Closed, now or before")))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    mut query: Query,
) -> Result<Response, Problem> {
    access.require_for(Scope::Ingest, &key.workflow)?;
    let outcome: Option<CloseOutcome> =
        query.one("outcome")?.map(|text| request::word("outcome", &text)).transpose()?;
    query.finish("outcome")?;
    server
        .warden
        .intake
        .close(key, outcome.unwrap_or_default())
        .await
        .map_err(|error| access.explain(error))?;
    Ok(success::DONE.into_response())
}

/// What is to be changed, of whatever version.
///
/// # Errors
/// When the deadline cannot be read.
pub(super) fn change(request: PatchRequest) -> Result<PatchItem, Problem> {
    let deadline = request.deadline.map(|text| request::deadline(&text)).transpose()?;
    Ok(PatchItem { deadline, labels: request.labels, progress: request.progress, if_version: None })
}

/// Change an open item's deadline, labels or progress.
#[utoipa::path(patch, path = "/v1/workflows/{workflow}/items/{id}", operation_id = "patch_item", tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("if-match" = Option<String>, Header, description = "Change only the version with this entity tag")),
    request_body(content = PatchRequest, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The item as it is now", body = ItemAnswer)))]
pub async fn patch(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require_for(Scope::Ingest, &key.workflow)?;
    let (parts, body) = request.into_parts();
    let if_version = request::if_match(&parts.headers)?;
    let document: PatchRequest = document(&server, &parts, body).await?;
    let patch = PatchItem { if_version, ..change(document)? };
    let sent = Sent::Change { deadline: patch.deadline.is_some() };
    let item = server.warden.intake.patch(key, patch).await.map_err(|error| access.explain(error))?;
    Ok(show(success::OK, item, sent, &server, &access))
}

/// Report an error about an open item.
#[utoipa::path(post, path = "/v1/workflows/{workflow}/items/{id}/errors", operation_id = "report_error", tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("idempotency-key" = Option<String>, Header, description = "A repetition with the same key is the same report")),
    request_body(content = ErrorRequest),
    responses((status = 201, description = "Reported", body = ErrorReceipt)))]
pub async fn report(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require_for(Scope::Ingest, &key.workflow)?;
    let (parts, body) = request.into_parts();
    let document: ErrorRequest = document(&server, &parts, body).await?;
    let report = ReportError {
        kind: document.kind,
        message: document.message,
        retryable: document.retryable,
        fatal: document.fatal,
        data: document.data,
        idempotency_key: idempotency_key(&parts)?,
    };
    let error_id = server.warden.intake.report(key, report).await.map_err(|error| access.explain(error))?;
    Ok((success::CREATED, Json(ErrorReceipt { error_id })).into_response())
}

/// Send an item back to its step that has failed, and have one that waits for its next attempt wait no longer.
#[utoipa::path(post, path = "/v1/workflows/{workflow}/items/{id}/retry", operation_id = "retry_item", tag = "recovery",
    params(("workflow" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "The item as it is now", body = warden_api::Item)))]
pub async fn retry(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    _: NoQuery,
) -> Result<Response, Problem> {
    access.require_for(Scope::Recover, &key.workflow)?;
    Ok(show_whole(server.warden.recovery.retry(key).await?, &server))
}
