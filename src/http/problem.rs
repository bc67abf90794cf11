//! Problems (RFC 9457, `application/problem+json`). The only file that maps errors of the layers below to
//! problems; [`warden_api::Problem`] has their status codes.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use warden_api::ProblemDocument;
use warden_api::problem::TYPE_PREFIX;
use warden_api::run::UnmetRequirement;

use super::reload::ConfigChangeError;
use crate::model::{ArtifactId, ItemId, quote, run};
use crate::store::StoreError;
use crate::warden::WardenError;

/// In bytes.
const DETAIL_MAX: usize = 1024;
/// For the problems of a configuration, one a line.
const PROBLEMS_MAX: usize = 16 * 1024;

/// The status codes of success.
pub mod success {
    use axum::http::StatusCode;

    pub const CREATED: StatusCode = StatusCode::CREATED;
    /// Accepted, and continues asynchronously.
    pub const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
    pub const OK: StatusCode = StatusCode::OK;
    /// Done; no body.
    pub const DONE: StatusCode = StatusCode::NO_CONTENT;
    /// A byte range.
    pub const PART: StatusCode = StatusCode::PARTIAL_CONTENT;
    /// The client's copy is current.
    pub const NOT_MODIFIED: StatusCode = StatusCode::NOT_MODIFIED;
}

/// A problem to be returned to the client. Boxed, so that results without a problem stay small.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: warden_api::Problem,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
    hangs_up: bool,
    run: Option<Arc<str>>,
    requirements: Vec<UnmetRequirement>,
    /// The ids of artifacts that must be loaded first.
    dependencies: Vec<Arc<str>>,
}

/// Shortens a detail. Our own details quote briefly, but those of the JSON parser contain whole strings.
fn short(kind: warden_api::Problem, detail: Cow<'static, str>) -> Cow<'static, str> {
    let most = if kind == warden_api::Problem::ConfigurationInvalid { PROBLEMS_MAX } else { DETAIL_MAX };
    if detail.len() <= most {
        return detail;
    }
    let mut detail = detail.into_owned();
    quote::shorten(&mut detail, most);
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
    run_open: RunOpen;
    workflow_held: WorkflowHeld;
    requirement_not_met: RequirementNotMet;
    run_failed: RunFailed;
    no_run_open: NoRunOpen;
    run_not_found: RunNotFound;
    configuration_invalid: ConfigurationInvalid;
    lease_not_found: LeaseNotFound;
    lease_lost: LeaseLost;
    step_order: StepOrder;
    step_unknown: StepUnknown;
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
    artifact_not_found: ArtifactNotFound;
    artifact_loaded: ArtifactLoaded;
    artifact_status_unknown: ArtifactStatusUnknown;
    dependency_not_met: DependencyNotMet;
    dependency_refused: DependencyRefused;
    too_many_artifacts: TooManyArtifacts;
    overloaded: Overloaded;
    unavailable: Unavailable;
    storage_full: StorageFull;
    store_failed: StoreFailed;
}

impl Problem {
    fn new(kind: warden_api::Problem, detail: Cow<'static, str>) -> Self {
        let (run, requirements) = (None, Vec::new());
        Self(Box::new(Inner {
            kind,
            detail: short(kind, detail),
            header: None,
            hangs_up: false,
            run,
            requirements,
            dependencies: Vec::new(),
        }))
    }

    /// The last segment of the `type`, which clients use.
    pub fn slug(&self) -> &'static str {
        self.0.kind.slug()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u16) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds the id of a run.
    #[must_use]
    pub fn about_run(mut self, id: Option<ItemId>) -> Self {
        self.0.run = id.map(Arc::from);
        self
    }

    /// Adds requirements that are not met.
    #[must_use]
    pub fn about_requirements(mut self, unmet: Vec<run::UnmetRequirement>) -> Self {
        let view = |unmet: run::UnmetRequirement| UnmetRequirement {
            workflow: unmet.workflow.to_string(),
            reason: unmet.reason.into(),
            run: unmet.number,
        };
        self.0.requirements = unmet.into_iter().map(view).collect();
        self
    }

    /// Closes the connection after the response, because the rest of the request's body will not be read.
    #[must_use]
    pub fn hang_up(mut self) -> Self {
        self.0.hangs_up = true;
        self
    }

    /// Names the artifacts that must be loaded first.
    #[must_use]
    fn with_dependencies(mut self, ids: Vec<ArtifactId>) -> Self {
        self.0.dependencies = ids.into_iter().map(|id| id.0).collect();
        self
    }

    /// Appends to the detail.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        self.0.detail = short(self.0.kind, format!("{}; {more}", self.0.detail).into());
        self
    }

    /// Adds the `Bearer` challenge (RFC 6750).
    #[must_use]
    pub fn challenge(self) -> Self {
        self.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"warden\""))
    }

    pub fn document<'a>(&'a self, request_id: Option<&'a str>) -> ProblemDocument<'a> {
        ProblemDocument {
            kind: format!("{TYPE_PREFIX}{}", self.slug()).into(),
            title: self.0.kind.title().into(),
            status: self.0.kind.status(),
            detail: (&*self.0.detail).into(),
            instance: request_id.map(Into::into),
            run: self.0.run.as_deref().map(Into::into),
            requirements: self.0.requirements.clone(),
            dependencies: self.0.dependencies.iter().map(|id| (&**id).into()).collect(),
        }
    }

    /// The response to the request with this id.
    pub fn respond(&self, request_id: &str, version: Version) -> Response {
        let document = serde_json::to_vec(&self.document(Some(request_id))).unwrap_or_default();
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = &self.0.header {
            headers.insert(name, value.clone());
        }
        // HTTP/2 ends the stream instead.
        if self.0.hangs_up && version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The request id is not known here, so the problem travels in the response's extensions and the outermost
/// layer writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ConfigChangeError> for Problem {
    fn from(error: ConfigChangeError) -> Self {
        match error {
            ConfigChangeError::Config(error) => {
                Self::configuration_invalid(format!("the former configuration stays in force:\n{error}"))
            }
            ConfigChangeError::Definition(error) => {
                let told =
                    |problem: &crate::config::Problem| format!("{}: {}", problem.path, problem.message);
                Self::invalid(error.problems().iter().map(told).collect::<Vec<_>>().join("; "))
            }
            ConfigChangeError::Warden(error) => error.into(),
        }
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
            WardenError::RunOpen { id, .. } => Self::run_open(detail).about_run(id),
            WardenError::WorkflowHeld { id, .. } => Self::workflow_held(detail).about_run(id),
            WardenError::RequirementNotMet(unmet) => {
                Self::requirement_not_met(detail).about_requirements(unmet)
            }
            WardenError::NoRunOpen(_) | WardenError::NoRunBegun(_) => Self::no_run_open(detail),
            WardenError::RunNotFound { .. } => Self::run_not_found(detail),
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
            WardenError::StepUnknown(_) => Self::step_unknown(detail),
            WardenError::StepOrder(_) => Self::step_order(detail),
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
            WardenError::ArtifactNotFound(_) => Self::artifact_not_found(detail),
            WardenError::ArtifactLoadedOnce(_) => Self::artifact_loaded(detail),
            WardenError::ArtifactStatusUnknown { .. } => Self::artifact_status_unknown(detail),
            WardenError::DependencyNotMet { dependencies, .. } => {
                Self::dependency_not_met(detail).with_dependencies(dependencies)
            }
            WardenError::DependencyRefused(_) => Self::dependency_refused(detail),
            WardenError::TooManyArtifacts { .. } => Self::too_many_artifacts(detail),
            WardenError::ArtifactRunNotFound(_) => Self::item_not_found(detail),
            WardenError::StorageFull => Self::storage_full(detail).retry_after(30),
            WardenError::Store(StoreError::Overloaded) => Self::overloaded(detail).retry_after(1),
            WardenError::Store(StoreError::Closing) => Self::unavailable(detail).retry_after(5),
            WardenError::Store(StoreError::Fatal(reason)) => {
                tracing::error!(%reason, "the store failed");
                Self::store_failed(
                    "whether the change was written is unknown; check when the warden runs again",
                )
            }
        }
    }
}
