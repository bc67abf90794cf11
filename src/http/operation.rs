//! Operation: whether the daemon lives, whether it is ready, how it is doing, and what it serves.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Server;
use super::access::Access;
use super::json::Json;
use super::metrics::Form;
use super::problem::{Problem, ProblemDocument};
use crate::config::Scope;
use crate::model::Warning;

/// The paths that need no token.
pub fn is_open(path: &str) -> bool {
    is_health(path) || path == "/openapi.json"
}

/// The paths that are answered however many clients there are.
pub fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", security(()),
    responses((status = 200, description = "It lives", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// That the daemon can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`
    status: &'static str,
    /// `ok`, or `full` while creates are refused for want of space and closes go on.
    storage: &'static str,
    /// What works as it is set up and is probably not what was meant: mostly that nobody would be told.
    warnings: Vec<WarningView>,
}

/// Something that is probably not what was meant.
#[derive(Debug, Serialize, ToSchema)]
pub struct WarningView {
    /// Which warning it is, such as `no-receivers`; `warden check --help` lists them.
    code: &'static str,
    /// The particulars: where, what, and what to do. For those who may read everything; others see the code alone.
    message: Option<String>,
}

/// Whether it has recovered, can write, and is answered by its committing thread.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),
    responses((status = 200, description = "It is ready", body = Readiness),
        (status = 503, description = "It is not", body = ProblemDocument, content_type = "application/problem+json")))]
pub async fn readyz(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
) -> Result<Json<Readiness>, Problem> {
    let store = server.warden.store_status();
    if server.draining.load(Ordering::Relaxed) {
        return Err(Problem::unavailable("the warden is shutting down"));
    }
    if let Some(reason) = store.fatal {
        return Err(Problem::unavailable(format!("the store failed: {reason}")));
    }
    if store.busy_for > server.stall_timeout / 2 {
        let busy_for = humantime::format_duration(store.busy_for);
        return Err(Problem::unavailable(format!("a commit has been under way for {busy_for}")));
    }
    // Whoever asks needs no token, so names and addresses are for those who bring one.
    let access = server.tokens.authenticate(&headers);
    let sees_all = access.is_ok_and(|access| access.require_unlimited(Scope::Read).is_ok());
    let mut found = server.warnings.read().unwrap_or_else(PoisonError::into_inner).clone();
    found.extend(server.warden.warnings());
    let view = |warning: Warning| WarningView {
        code: warning.code.as_str(),
        message: Some(warning.message).filter(|_| sees_all),
    };
    let storage = if store.full { "full" } else { "ok" };
    Ok(Json(Readiness { status: "ready", storage, warnings: found.into_iter().map(view).collect() }))
}

/// Figures for Prometheus, in the text that it has always read, or as OpenMetrics for those whose `Accept` prefers that.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "The figures",
            content((String = "text/plain"), (String = "application/openmetrics-text")))))]
pub async fn metrics(
    State(server): State<Arc<Server>>,
    access: Access,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access.require(Scope::Read)?;
    let form = Form::wanted(&headers);
    let text = super::metrics::write(&server.warden, &server.metrics, &access, form)
        .map_err(|error| Problem::unavailable(format!("the figures could not be written: {error}")))?;
    Ok(([(CONTENT_TYPE, form.content_type()), (VARY, "accept")], text).into_response())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "operation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
pub async fn openapi(State(server): State<Arc<Server>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], server.openapi.clone()).into_response()
}
