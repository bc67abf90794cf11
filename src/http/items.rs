//! Items: create, read, close, patch, report errors, retry.

use axum::body::Body;
use axum::extract::Request;
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
use warden_api::item::{ErrorReceipt, ErrorRequest, PatchRequest};
use warden_api::path;
use warden_api::step::StepRequest;

use super::course;
use super::document::{document, idempotency_key, optional_document};
use super::json::Json;
use super::prefer::{self, PREFERENCE_APPLIED, RETURN_MINIMAL};
use super::problem::{Problem, success};
use super::request::{self, ByteRange, Query, StepPath};
use super::server::body::Held;
use super::server::budget::attach;
use super::server::{Allowed, InPath, Services};
use super::view::{Sent, hex};
use crate::model::item::ProgressChange;
use crate::model::{CloseOutcome, Item, ItemKey, ItemNumber, PayloadInfo, Step, WorkflowName};
use crate::warden::intake::{CreateItem, Done, PatchItem, Plan, ReportStep};
use crate::warden::report::ReportError;
use crate::warden::{ClosedSince, WardenError};

/// The bytes of a payload read and sent at a time.
const WINDOW: u64 = 256 * 1024;

/// The checksum of the whole payload, also when a part is sent (RFC 9530).
pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

pub async fn put(
    allowed: Allowed<InPath<ItemKey>>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    let (parts, body) = request.into_parts();
    let create = CreateItem { id: Some(key.id), ..create_request(&parts, key.workflow, query)? };
    match store(&services, create, &parts, body).await? {
        Done::Created(item) => Ok(show_created(success::CREATED, *item, Sent::Item, &parts, &services)),
        Done::Existed(item) => Ok(show_created(success::OK, *item, Sent::Payload, &parts, &services)),
        Done::Closed => Err(Problem::item_closed("the item is closed")),
    }
}

pub async fn post(
    allowed: Allowed<InPath<WorkflowName>>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (services, workflow) = allowed.granted();
    let (parts, body) = request.into_parts();
    let idempotency_key = idempotency_key(&parts)?;
    let create = CreateItem { idempotency_key, ..create_request(&parts, workflow, query)? };
    let (item, sent) = match store(&services, create, &parts, body).await? {
        Done::Created(item) => (item, Sent::Item),
        // A repetition gets the response of the first request, which may have been lost.
        Done::Existed(item) => (item, Sent::Payload),
        Done::Closed => return Err(Problem::item_closed("the item is closed")),
    };
    let location = path::fill(path::ITEM, &[&item.workflow, &item.id]);
    let mut response = show_created(success::CREATED, *item, sent, &parts, &services);
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|value| (LOCATION, value)));
    Ok(response)
}

fn create_request(parts: &Parts, workflow: WorkflowName, mut query: Query) -> Result<CreateItem, Problem> {
    let deadline = query.one("deadline")?.map(|text| request::deadline(&text)).transpose()?;
    let labels = request::labels(query.all("label"))?;
    let step = query.one("step")?.map(request::step).transpose()?;
    let own_steps = query.all("steps").into_iter().map(|name| Ok(Step::named(request::step(name)?)));
    let own_steps = own_steps.collect::<Result<Vec<_>, Problem>>()?;
    let plan = Plan {
        steps: Some(own_steps).filter(|steps| !steps.is_empty()),
        not_before: query.one("not_before")?.map(|text| request::deadline(&text)).transpose()?,
        ..Plan::default()
    };
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
        plan,
        trace: request::trace(&parts.headers).map(Box::new),
        past: None,
        run: None,
    })
}

async fn store(services: &Services, create: CreateItem, parts: &Parts, body: Body) -> Result<Done, Problem> {
    let bodies = &services.server().bodies;
    let too_large = |limit| WardenError::PayloadTooLarge { limit }.into();
    // The memory reservation lasts until the payload is on disk.
    let Held { bytes, hold: _hold } =
        bodies.read(parts, body, services.intake.payload_max(), too_large).await?;
    let created = services.intake.create(CreateItem { payload: bytes, ..create }).await;
    created.map_err(|error| services.access().explain(error))
}

/// The response to a create. With `Prefer: return=minimal` it has no body.
fn show_created(
    status: axum::http::StatusCode,
    item: Item,
    sent: Sent,
    parts: &Parts,
    services: &Services,
) -> Response {
    if !prefer::is_minimal(&parts.headers) {
        return show(status, item, sent, services);
    }
    let headers = [(ETAG, entity_tag(item.version)), (PREFERENCE_APPLIED, RETURN_MINIMAL)];
    (status, headers).into_response()
}

/// The response to a write.
pub(super) fn show(status: axum::http::StatusCode, item: Item, sent: Sent, services: &Services) -> Response {
    let tag = entity_tag(item.version);
    let answer = services.facts(item).answer(sent, services.access().may_read());
    (status, [(ETAG, tag)], Json(answer)).into_response()
}

/// The response to a client that may read the item.
fn show_whole(item: Item, services: &Services) -> Response {
    let tag = entity_tag(item.version);
    (success::OK, [(ETAG, tag)], Json(warden_api::Item::from(services.facts(item)))).into_response()
}

pub(super) fn entity_tag(version: u64) -> HeaderValue {
    match version {
        // Every new item.
        1 => HeaderValue::from_static("\"1\""),
        version => {
            HeaderValue::try_from(format!("\"{version}\"")).expect("a number in quotes is a header value")
        }
    }
}

pub async fn get(allowed: Allowed<InPath<ItemKey>>) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    Ok(show_whole(services.queries.item(key).await?, &services))
}

pub async fn payload(
    allowed: Allowed<InPath<ItemKey>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    let (item, info) = services.queries.item_with_payload(key).await?;
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
        if method == Method::HEAD { Body::empty() } else { payload_body(services, &item, range).await? };
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
async fn payload_body(services: Services, item: &Item, range: ByteRange) -> Result<Body, Problem> {
    let number = item.number;
    let Some(first) = window(&services, number, range).await? else {
        return Err(WardenError::PayloadGone(ClosedSince::of(item, services.moment())).into());
    };
    let next = ByteRange { start: range.start + first.len() as u64, end: range.end };
    if next.start >= next.end {
        return Ok(Body::from(first));
    }
    let first = attach(services.server().answers.try_hold(WINDOW)?, first);
    let rest = stream::try_unfold((services, next), move |(services, range)| async move {
        if range.start >= range.end {
            return Ok::<_, std::io::Error>(None);
        }
        let hold = services.server().answers.hold(WINDOW).await?;
        let bytes = window(&services, number, range).await.ok().flatten().filter(|bytes| !bytes.is_empty());
        let bytes =
            bytes.ok_or_else(|| std::io::Error::other("the payload was dropped while it was sent"))?;
        let next = ByteRange { start: range.start + bytes.len() as u64, end: range.end };
        Ok(Some((attach(hold, bytes), (services, next))))
    });
    use futures_util::StreamExt;
    Ok(Body::from_stream(stream::once(async move { Ok(first) }).chain(rest)))
}

async fn window(
    services: &Services,
    number: ItemNumber,
    range: ByteRange,
) -> Result<Option<bytes::Bytes>, Problem> {
    let length = usize::try_from((range.end - range.start).min(WINDOW)).unwrap_or_default();
    Ok(services.queries.payload(number, range.start, length).await?)
}

pub async fn delete(allowed: Allowed<InPath<ItemKey>>, mut query: Query) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    let outcome: Option<CloseOutcome> =
        query.one("outcome")?.map(|text| request::word("outcome", &text)).transpose()?;
    let at = query.one("at")?.map(|text| request::instant("at", &text)).transpose()?;
    let closed = match at {
        Some(at) => services.intake.close_at(key, outcome.unwrap_or_default(), at).await,
        None => services.intake.close(key, outcome.unwrap_or_default()).await,
    };
    closed.map_err(|error| services.access().explain(error))?;
    Ok(success::DONE.into_response())
}

/// Parses a patch, without `If-Match`.
pub(super) fn change(request: PatchRequest) -> Result<PatchItem, Problem> {
    let deadline = request.deadline.map(|text| request::deadline(&text)).transpose()?;
    Ok(PatchItem {
        deadline,
        labels: request.labels,
        progress: request.progress.map(ProgressChange::merge),
        counts: request.counts,
        if_version: None,
    })
}

pub async fn patch(allowed: Allowed<InPath<ItemKey>>, request: Request) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    let (parts, body) = request.into_parts();
    let if_version = request::if_match(&parts.headers)?;
    let document: PatchRequest = document(services.server(), &parts, body).await?;
    let patch = PatchItem { if_version, ..change(document)? };
    let sent = Sent::Change { deadline: patch.deadline.is_some() };
    let patched = services.intake.patch(key, patch).await;
    let item = patched.map_err(|error| services.access().explain(error))?;
    Ok(show(success::OK, item, sent, &services))
}

pub async fn report(allowed: Allowed<InPath<ItemKey>>, request: Request) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    let (parts, body) = request.into_parts();
    let document: ErrorRequest = document(services.server(), &parts, body).await?;
    let report = ReportError {
        kind: document.kind,
        message: document.message,
        retryable: document.retryable,
        fatal: document.fatal,
        data: document.data,
        stack: document.stack,
        at: document.at.map(|text| request::instant("at", &text)).transpose()?,
        idempotency_key: idempotency_key(&parts)?,
    };
    let reported = services.intake.report(key, report).await;
    let error_id = reported.map_err(|error| services.access().explain(error))?;
    Ok((success::CREATED, Json(ErrorReceipt { error_id })).into_response())
}

pub async fn retry(allowed: Allowed<InPath<ItemKey>>, request: Request) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    let (parts, body) = request.into_parts();
    let document = optional_document(services.server(), &parts, body).await?;
    let request = course::retry(document, services.server().clock())?;
    Ok(show_whole(services.recovery.retry(key, request).await?, &services))
}

pub async fn cancel(allowed: Allowed<InPath<ItemKey>>) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    // An id that is not there is a mistake, and must stay free.
    services.queries.item(key.clone()).await?;
    services.intake.close(key, CloseOutcome::Discarded).await?;
    Ok(success::DONE.into_response())
}

pub async fn report_step(allowed: Allowed<InPath<StepPath>>, request: Request) -> Result<Response, Problem> {
    let (services, StepPath { key, step }) = allowed.granted();
    let (parts, body) = request.into_parts();
    let document: StepRequest = optional_document(services.server(), &parts, body).await?;
    let StepRequest { status, message, repeat, progress_change } = document;
    let outcome = course::outcome(status, message, repeat, services.server().clock())?;
    let progress = progress_change.map(course::progress_change);
    let reported = services.intake.report_step(key, ReportStep { step, outcome, progress }).await;
    let item = reported.map_err(|error| services.access().explain(error))?;
    Ok(show(success::OK, item, Sent::Change { deadline: false }, &services))
}
