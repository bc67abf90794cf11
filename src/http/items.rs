//! Items: create, read, close, patch, report errors, retry.

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

/// The bytes of a payload read and sent at a time.
const WINDOW: u64 = 256 * 1024;

/// The checksum of the whole payload, also when a part is sent (RFC 9530).
pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// A payload. The warden does not interpret it.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct PayloadBytes(#[expect(dead_code, reason = "for the API description only")] Vec<u8>);

/// Create an item. The body is its payload.
///
/// The payload is stored byte for byte and never decoded, with its `Content-Type` (`application/octet-stream`
/// by default) and its `Content-Encoding`. Other headers that describe a body, such as `Content-Language`,
/// are not stored; use labels. Repeating the request with the same payload returns the existing item with
/// 200; with another payload it is a conflict (409).
#[utoipa::path(put, path = "/v1/workflows/{workflow}/items/{id}", operation_id = "create_item", tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("deadline" = Option<String>, Query, description = "A duration from now, or an RFC 3339 instant. The \
            default is the deadline of the step or workflow"),
        ("label" = Option<Vec<String>>, Query, description = "A label as name:value; repeatable"),
        ("step" = Option<String>, Query),
        ("prefer" = Option<String>, Header,
            description = "`return=minimal` for a response without a body (RFC 7240)")),
    request_body(content = PayloadBytes, content_type = "*/*"),
    responses((status = 201, description = "Created", body = ItemAnswer),
        (status = 200, description = "The item is open already, with the same payload", body = ItemAnswer)))]
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

/// Create an item with a generated id. The body is its payload, as with a given id.
#[utoipa::path(post, path = "/v1/workflows/{workflow}/items", operation_id = "post_item", tag = "items",
    params(("workflow" = String, Path),
        ("deadline" = Option<String>, Query, description = "A duration from now, or an RFC 3339 instant. The \
            default is the deadline of the step or workflow"),
        ("label" = Option<Vec<String>>, Query, description = "A label as name:value; repeatable"),
        ("step" = Option<String>, Query),
        ("idempotency-key" = Option<String>, Header, description = "Repeating a request with the same key \
            returns the first item"),
        ("prefer" = Option<String>, Header,
            description = "`return=minimal` for a response without a body (RFC 7240)")),
    request_body(content = PayloadBytes, content_type = "*/*"),
    responses((status = 201, description = "Created; `Location` is its path", body = ItemAnswer)))]
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
        // A repetition gets the response of the first request, which may have been lost.
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
    // The memory reservation lasts until the payload is on disk.
    let Held { bytes, hold: _hold } =
        server.bodies.read(parts, body, server.warden.intake.payload_max(), too_large).await?;
    let created = server.warden.intake.create(CreateItem { payload: bytes, ..create }).await;
    created.map_err(|error| access.explain(error))
}

/// The response to a create. With `Prefer: return=minimal` it has no body.
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

/// The response to a write.
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

/// The response to a client that may read the item.
fn show_whole(item: Item, server: &Server) -> Response {
    let tag = entity_tag(item.version);
    (success::OK, [(ETAG, tag)], Json(warden_api::Item::from(server.facts(item)))).into_response()
}

fn entity_tag(version: u64) -> HeaderValue {
    match version {
        // Every new item.
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

/// Get an item's payload, byte for byte.
///
/// The `Content-Type` and `Content-Encoding` are those of the create, whatever `Accept` and `Accept-Encoding`
/// say. `Content-Length`, `ETag`, `Repr-Digest` and ranges refer to the stored bytes.
#[utoipa::path(get, path = "/v1/workflows/{workflow}/items/{id}/payload", operation_id = "get_payload",
    tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path), ("range" = Option<String>, Header)),
    responses((status = 200, description = "The payload, with its content type", body = PayloadBytes,
            content_type = "*/*"),
        (status = 206, description = "The requested range", body = PayloadBytes, content_type = "*/*"),
        (status = 304, description = "Not modified: `If-None-Match` has the current ETag")))]
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
    // Ranges apply to GET only (RFC 9110, 14.2), and only if `If-Range` still matches.
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
    // A browser must not run a stored payload as a page of this origin.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers
}

/// Streams a range, one window at a time. The first window is read before the response starts, so that a
/// payload which has just been dropped still gets an error status; a later drop aborts the body.
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

/// Close an item. Closing it again succeeds.
#[utoipa::path(delete, path = "/v1/workflows/{workflow}/items/{id}", operation_id = "close_item",
    tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("outcome" = Option<String>, Query, description = "success (default), discarded or failed")),
    responses((status = 204, description = "Closed, by this request or an earlier one")))]
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

/// Parses a patch, without `If-Match`.
pub(super) fn change(request: PatchRequest) -> Result<PatchItem, Problem> {
    let deadline = request.deadline.map(|text| request::deadline(&text)).transpose()?;
    Ok(PatchItem { deadline, labels: request.labels, progress: request.progress, if_version: None })
}

/// Change the deadline, labels or progress of an open item (JSON merge patch, RFC 7396).
#[utoipa::path(patch, path = "/v1/workflows/{workflow}/items/{id}", operation_id = "patch_item",
    tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("if-match" = Option<String>, Header, description = "Require this to be the current ETag")),
    request_body(content = PatchRequest, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The changed item", body = ItemAnswer)))]
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

/// Report an error on an open item. A fatal error fails the item.
#[utoipa::path(post, path = "/v1/workflows/{workflow}/items/{id}/errors", operation_id = "report_error",
    tag = "items",
    params(("workflow" = String, Path), ("id" = String, Path),
        ("idempotency-key" = Option<String>, Header, description = "Repeating a request with the same key \
            reports the error once")),
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

/// Retry a failed item at its current step, or end the back-off of an item that waits for its next attempt.
#[utoipa::path(post, path = "/v1/workflows/{workflow}/items/{id}/retry", operation_id = "retry_item",
    tag = "recovery",
    params(("workflow" = String, Path), ("id" = String, Path)),
    responses((status = 200, description = "The changed item", body = warden_api::Item)))]
pub async fn retry(
    State(server): State<Arc<Server>>,
    access: Access,
    ItemPath(key): ItemPath,
    _: NoQuery,
) -> Result<Response, Problem> {
    access.require_for(Scope::Recover, &key.workflow)?;
    Ok(show_whole(server.warden.recovery.retry(key).await?, &server))
}
