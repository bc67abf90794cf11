//! Operation: liveness, readiness, metrics, and the API description.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use warden_api::health::{self, Health, Readiness};
use warden_api::word::StorageState;
use warden_api::{ProblemDocument, path};

use super::Server;
use super::access::Access;
use super::json::Json;
use super::metrics::Form;
use super::problem::Problem;
use crate::config::Scope;
use crate::model::Warning;

/// The paths that need no token.
pub fn is_open(asked: &str) -> bool {
    is_health(asked) || asked == path::OPENAPI
}

/// The paths that are answered whatever the load.
pub fn is_health(asked: &str) -> bool {
    matches!(asked, path::HEALTHZ | path::READYZ)
}

/// Check whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operation", security(()),
    responses((status = 200, description = "Alive", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".into(), version: env!("CARGO_PKG_VERSION").into() })
}

/// Check whether the daemon has recovered, can write, and its committing thread responds.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),
    responses((status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = ProblemDocument,
            content_type = "application/problem+json")))]
pub async fn readyz(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
) -> Result<Json<Readiness>, Problem> {
    let store = server.warden.health.store_status();
    if server.draining.load(Ordering::Relaxed) {
        return Err(Problem::unavailable("the warden is shutting down"));
    }
    if let Some(reason) = store.fatal {
        return Err(Problem::unavailable(format!("the store failed: {reason}")));
    }
    if store.busy_for > server.stall_timeout / 2 {
        let busy_for = humantime::format_duration(store.busy_for);
        return Err(Problem::unavailable(format!("a commit has been in progress for {busy_for}")));
    }
    // The path needs no token, so messages, which contain names and addresses, are only for clients with one.
    let access = server.tokens.authenticate(&headers);
    let sees_all = access.is_ok_and(|access| access.require_unlimited(Scope::Read).is_ok());
    let mut found = server.warnings.read().unwrap_or_else(PoisonError::into_inner).clone();
    found.extend(server.warden.health.warnings());
    let view = |warning: Warning| health::Warning {
        code: warning.code.as_str().into(),
        message: Some(warning.message).filter(|_| sees_all),
    };
    let storage = if store.full { StorageState::Full } else { StorageState::Ok };
    let warnings = found.into_iter().map(view).collect();
    Ok(Json(Readiness { status: "ready".into(), storage: storage.into(), warnings }))
}

/// Get metrics in the Prometheus text format, or in OpenMetrics if `Accept` prefers it.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "The metrics",
            content((String = "text/plain"), (String = "application/openmetrics-text")))))]
pub async fn metrics(
    State(server): State<Arc<Server>>,
    access: Access,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access.require(Scope::Read)?;
    let form = Form::wanted(&headers);
    let text = super::metrics::write(&server.warden, &server.metrics, &access, form)
        .map_err(|error| Problem::unavailable(format!("the metrics could not be written: {error}")))?;
    Ok(([(CONTENT_TYPE, form.content_type()), (VARY, "accept")], text).into_response())
}

/// Get this description.
#[utoipa::path(get, path = "/openapi.json", tag = "operation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
pub async fn openapi(State(server): State<Arc<Server>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], server.openapi.clone()).into_response()
}
