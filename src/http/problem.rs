//! Problems: what went wrong, as RFC 9457 `application/problem+json`. The one file that knows which status says what.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::quote;
use crate::store::StoreError;
use crate::warden::WardenError;

/// The longest detail, in bytes.
const DETAIL_MAX: usize = 1024;

/// What a 2xx says.
pub mod success {
    use axum::http::StatusCode;

    /// Something was made.
    pub const CREATED: StatusCode = StatusCode::CREATED;
    /// Something was begun, and goes on by itself.
    pub const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
    /// It is there, or here it is.
    pub const OK: StatusCode = StatusCode::OK;
    /// It is done, and there is nothing to say.
    pub const DONE: StatusCode = StatusCode::NO_CONTENT;
    /// Here is the part that was asked for.
    pub const PART: StatusCode = StatusCode::PARTIAL_CONTENT;
    /// The client has it already.
    pub const NOT_MODIFIED: StatusCode = StatusCode::NOT_MODIFIED;
}

/// Something that went wrong, on its way to the client. Behind a pointer, so that the results that are no problem stay
/// small.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
    hangs_up: bool,
}

/// The form of a problem on the wire.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument<'a> {
    /// `/problems/` and a word that clients may go by.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem of the type.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What was wrong this time, and what to do.
    detail: &'a str,
    /// The request's id, also in the header `x-request-id` and in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

/// A detail that is not too long. What it quotes is cut where it is quoted, but not everybody who words a detail is ours: a
/// parser of JSON repeats whole strings.
fn short(detail: Cow<'static, str>) -> Cow<'static, str> {
    if detail.len() <= DETAIL_MAX {
        return detail;
    }
    let mut detail = detail.into_owned();
    quote::shorten(&mut detail, DETAIL_MAX);
    detail.into()
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $status:ident, $slug:literal, $title:literal;)*) => {
        impl Problem {
            $($(#[$doc])* pub fn $name(detail: impl Into<Cow<'static, str>>) -> Self {
                Self(Box::new(Inner {
                    status: StatusCode::$status,
                    slug: $slug,
                    title: $title,
                    detail: short(detail.into()),
                    header: None,
                    hangs_up: false,
                }))
            })*
        }
    };
}

problems! {
    /// The request is not as it must be.
    invalid: BAD_REQUEST, "invalid-request", "The request is not valid";
    /// The body ended early or broke off.
    incomplete_body: BAD_REQUEST, "incomplete-body", "The body did not arrive whole";
    /// No token, or an unknown one.
    unauthorized: UNAUTHORIZED, "unauthorized", "A valid token is required";
    /// For another host.
    unknown_host: MISDIRECTED_REQUEST, "unknown-host", "The host is not known here";
    /// From a page of another origin.
    foreign_origin: FORBIDDEN, "foreign-origin", "The request comes from a foreign page";
    /// A body of a type from which this is not read.
    unsupported_media_type: UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body is not of a type for this";
    /// The token does not allow it.
    forbidden: FORBIDDEN, "forbidden", "The token does not allow this";
    /// The body's length is not told.
    length_required: LENGTH_REQUIRED, "length-required", "The length of the body is required";
    /// A form of the protocol that is not spoken here.
    not_implemented: NOT_IMPLEMENTED, "not-implemented", "This is not implemented";
    /// No such path.
    not_found: NOT_FOUND, "not-found", "There is nothing here";
    /// No such item.
    item_not_found: NOT_FOUND, "item-not-found", "There is no such item";
    /// No such workflow.
    workflow_not_found: NOT_FOUND, "workflow-not-found", "There is no such workflow";
    /// Something of it has not ended.
    workflow_in_use: CONFLICT, "workflow-in-use", "Something of the workflow has not ended";
    /// The configuration says what it is.
    workflow_configured: CONFLICT, "workflow-configured", "The workflow is defined in the configuration";
    /// No such lease.
    lease_not_found: NOT_FOUND, "lease-not-found", "There is no such lease";
    /// The lease holds no longer.
    lease_lost: CONFLICT, "lease-lost", "The lease holds no longer";
    /// No such incident.
    incident_not_found: NOT_FOUND, "incident-not-found", "There is no such incident";
    /// No such receiver.
    receiver_not_found: NOT_FOUND, "receiver-not-found", "There is no such receiver";
    /// No such delivery.
    delivery_not_found: NOT_FOUND, "delivery-not-found", "There is no such delivery";
    /// Nothing is left of it.
    incident_resolved: CONFLICT, "incident-resolved", "The incident is resolved";
    incident_open: CONFLICT, "incident-open", "The incident is open";
    /// No such silence.
    silence_not_found: NOT_FOUND, "silence-not-found", "There is no such silence";
    /// One silence too many.
    too_many_silences: UNPROCESSABLE_ENTITY, "too-many-silences", "There are too many silences";
    /// No such replay.
    replay_not_found: NOT_FOUND, "replay-not-found", "There is no such replay";
    /// It is over.
    replay_ended: CONFLICT, "replay-ended", "The replay has ended";
    /// One replay too many.
    too_many_replays: UNPROCESSABLE_ENTITY, "too-many-replays", "There are too many replays";
    /// Too many items at once.
    selection_too_large: UNPROCESSABLE_ENTITY, "selection-too-large", "Too many items are selected";
    /// The path does not take this method.
    method_not_allowed: METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here";
    /// The body took too long.
    body_timeout: REQUEST_TIMEOUT, "body-timeout", "The body took too long to arrive";
    /// Open with another payload.
    item_conflict: CONFLICT, "item-conflict", "The item exists with another payload";
    /// Closed.
    item_closed: CONFLICT, "item-closed", "The item is closed";
    /// It waits to be sent.
    delivery_pending: CONFLICT, "delivery-pending", "The delivery is still pending";
    /// The payload was dropped.
    payload_gone: GONE, "payload-gone", "The payload is gone";
    /// Another version.
    precondition_failed: PRECONDITION_FAILED, "precondition-failed", "The item has changed";
    /// Too large.
    payload_too_large: PAYLOAD_TOO_LARGE, "payload-too-large", "The payload is too large";
    /// Too many lines or bytes.
    batch_too_large: PAYLOAD_TOO_LARGE, "batch-too-large", "The batch is too large";
    /// No such part.
    range_not_satisfiable: RANGE_NOT_SATISFIABLE, "range-not-satisfiable", "The range lies outside the payload";
    /// A body is compressed that must not be.
    unsupported_encoding: UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "The body is encoded";
    /// One workflow too many.
    too_many_workflows: UNPROCESSABLE_ENTITY, "too-many-workflows", "There are too many workflows";
    /// Too much at once.
    overloaded: SERVICE_UNAVAILABLE, "overloaded", "The warden is overloaded";
    /// Not ready, or on the way down.
    unavailable: SERVICE_UNAVAILABLE, "unavailable", "The warden is not available";
    /// No room.
    storage_full: INSUFFICIENT_STORAGE, "storage-full", "The disk is full";
    /// The store broke.
    store_failed: INTERNAL_SERVER_ERROR, "store-failed", "The store failed";
}

impl Problem {
    /// The word that clients may go by.
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Asks the client to come back after that many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u16) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Ends the connection with the answer: what is left of the request's body will not be read.
    #[must_use]
    pub fn hang_up(mut self) -> Self {
        self.0.hangs_up = true;
        self
    }

    /// Adds to what was wrong.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        self.0.detail = short(format!("{}; {more}", self.0.detail).into());
        self
    }

    /// Tells how to authenticate (RFC 6750).
    #[must_use]
    pub fn challenge(self) -> Self {
        self.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"warden\""))
    }

    /// The problem as it is written.
    pub fn document<'a>(&'a self, request_id: Option<&'a str>) -> ProblemDocument<'a> {
        ProblemDocument {
            kind: format!("/problems/{}", self.0.slug),
            title: self.0.title,
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            instance: request_id,
        }
    }

    /// The whole answer to the request with this id, in this version of the protocol.
    pub fn respond(&self, request_id: &str, version: Version) -> Response {
        let document = serde_json::to_vec(&self.document(Some(request_id))).unwrap_or_default();
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = &self.0.header {
            headers.insert(name, value.clone());
        }
        // Later versions end the one stream by themselves.
        if self.0.hangs_up && version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The request's id is not known here: the problem travels in the response's extensions, and the outermost layer writes
/// it out.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<WardenError> for Problem {
    fn from(error: WardenError) -> Self {
        let detail = error.to_string();
        match error {
            WardenError::Invalid(_) | WardenError::Name(_) => Self::invalid(detail),
            WardenError::PayloadTooLarge { .. } => Self::payload_too_large(detail),
            WardenError::WorkflowNotFound(_) | WardenError::WorkflowUnknown(_) => {
                Self::workflow_not_found(detail)
            }
            WardenError::TooManyWorkflows { .. } => Self::too_many_workflows(detail),
            WardenError::ItemNotFound => Self::item_not_found(detail),
            WardenError::ItemConflict { .. } | WardenError::ItemNotClosed { .. } => {
                Self::item_conflict(detail)
            }
            WardenError::ItemClosed(_) => Self::item_closed(detail),
            WardenError::WorkflowInUse { .. } => Self::workflow_in_use(detail),
            WardenError::WorkflowConfigured(_) => Self::workflow_configured(detail),
            WardenError::PayloadGone(_) => Self::payload_gone(detail),
            WardenError::VersionMismatch(_) => Self::precondition_failed(detail),
            WardenError::LeaseNotFound => Self::lease_not_found(detail),
            WardenError::LeaseLost(_) => Self::lease_lost(detail),
            WardenError::IncidentNotFound => Self::incident_not_found(detail),
            WardenError::ReceiverNotFound(_) => Self::receiver_not_found(detail),
            WardenError::DeliveryNotFound => Self::delivery_not_found(detail),
            WardenError::DeliveryPending => Self::delivery_pending(detail),
            WardenError::IncidentResolved | WardenError::DeliveryOutdated(_) => {
                Self::incident_resolved(detail)
            }
            WardenError::DeliveryOvertaken => Self::incident_open(detail),
            WardenError::SilenceNotFound => Self::silence_not_found(detail),
            WardenError::TooManySilences { .. } => Self::too_many_silences(detail),
            WardenError::ReplayNotFound => Self::replay_not_found(detail),
            WardenError::ReplayEnded(_) => Self::replay_ended(detail),
            WardenError::TooManyReplays(_) => Self::too_many_replays(detail),
            WardenError::SelectionTooLarge { .. } => Self::selection_too_large(detail),
            WardenError::StorageFull => Self::storage_full(detail).retry_after(30),
            WardenError::Store(StoreError::Overloaded) => Self::overloaded(detail).retry_after(1),
            WardenError::Store(StoreError::Closing) => Self::unavailable(detail).retry_after(5),
            WardenError::Store(StoreError::Fatal(reason)) => {
                tracing::error!(%reason, "the store failed");
                Self::store_failed(
                    "whether the change was written is unknown; ask again once the warden is back",
                )
            }
        }
    }
}
