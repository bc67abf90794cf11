//! Problems: what went wrong, as RFC 9457 `application/problem+json`. The one file that knows which success has which
//! status, and which problem an error of the layers below is; [`warden_api::Problem`] has the statuses of those.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use warden_api::ProblemDocument;
use warden_api::problem::TYPE_PREFIX;

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
    kind: warden_api::Problem,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
    hangs_up: bool,
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
    ($($name:ident: $kind:ident;)*) => {
        impl Problem {
            $(pub fn $name(detail: impl Into<Cow<'static, str>>) -> Self {
                Self::new(warden_api::Problem::$kind, detail.into())
            })*
        }
    };
}

problems! {
    invalid: InvalidRequest;
    incomplete_body: IncompleteBody;
    unauthorized: Unauthorized;
    unknown_host: UnknownHost;
    foreign_origin: ForeignOrigin;
    unsupported_media_type: UnsupportedMediaType;
    forbidden: Forbidden;
    length_required: LengthRequired;
    not_implemented: NotImplemented;
    not_found: NotFound;
    item_not_found: ItemNotFound;
    workflow_not_found: WorkflowNotFound;
    workflow_in_use: WorkflowInUse;
    workflow_configured: WorkflowConfigured;
    lease_not_found: LeaseNotFound;
    lease_lost: LeaseLost;
    incident_not_found: IncidentNotFound;
    receiver_not_found: ReceiverNotFound;
    delivery_not_found: DeliveryNotFound;
    incident_resolved: IncidentResolved;
    incident_open: IncidentOpen;
    silence_not_found: SilenceNotFound;
    too_many_silences: TooManySilences;
    replay_not_found: ReplayNotFound;
    replay_ended: ReplayEnded;
    too_many_replays: TooManyReplays;
    selection_too_large: SelectionTooLarge;
    method_not_allowed: MethodNotAllowed;
    body_timeout: BodyTimeout;
    item_conflict: ItemConflict;
    item_closed: ItemClosed;
    delivery_pending: DeliveryPending;
    payload_gone: PayloadGone;
    precondition_failed: PreconditionFailed;
    payload_too_large: PayloadTooLarge;
    batch_too_large: BatchTooLarge;
    range_not_satisfiable: RangeNotSatisfiable;
    unsupported_encoding: UnsupportedEncoding;
    too_many_workflows: TooManyWorkflows;
    overloaded: Overloaded;
    unavailable: Unavailable;
    storage_full: StorageFull;
    store_failed: StoreFailed;
}

impl Problem {
    fn new(kind: warden_api::Problem, detail: Cow<'static, str>) -> Self {
        Self(Box::new(Inner { kind, detail: short(detail), header: None, hangs_up: false }))
    }

    /// The word that clients may go by.
    pub fn slug(&self) -> &'static str {
        self.0.kind.slug()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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
            kind: format!("{TYPE_PREFIX}{}", self.slug()).into(),
            title: self.0.kind.title().into(),
            status: self.0.kind.status(),
            detail: (&*self.0.detail).into(),
            instance: request_id.map(Into::into),
        }
    }

    /// The whole answer to the request with this id, in this version of the protocol.
    pub fn respond(&self, request_id: &str, version: Version) -> Response {
        let document = serde_json::to_vec(&self.document(Some(request_id))).unwrap_or_default();
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = self.status();
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
        let mut response = self.status().into_response();
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
