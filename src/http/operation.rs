//! Operation: liveness, readiness, metrics, and the API description.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use warden_api::health::{Health, Readiness};
use warden_api::word::StorageState;

use super::json::Json;
use super::metrics::Form;
use super::problem::Problem;
use super::server::{Allowed, AnyWorkflow, Public};
use crate::model::Warning;

pub async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".into(), version: env!("CARGO_PKG_VERSION").into() })
}

pub async fn readyz(public: Public, headers: HeaderMap) -> Result<Json<Readiness>, Problem> {
    let (server, health) = (public.server(), public.health());
    let store = health.store_status();
    if server.is_draining() {
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
    let sees_all = server.sees_all(&headers);
    let mut found = server.warnings();
    found.extend(health.warnings());
    let view = |warning: Warning| warden_api::health::Warning {
        code: warning.code.as_str().into(),
        message: Some(warning.message).filter(|_| sees_all),
    };
    let storage = if store.full { StorageState::Full } else { StorageState::Ok };
    let warnings = found.into_iter().map(view).collect();
    Ok(Json(Readiness { status: "ready".into(), storage: storage.into(), warnings }))
}

pub async fn metrics(allowed: Allowed<AnyWorkflow>, headers: HeaderMap) -> Result<Response, Problem> {
    let (services, access) = allowed.visible();
    let form = Form::wanted(&headers);
    let text = super::metrics::write(&services, &services.server().metrics, &access, form)
        .map_err(|error| Problem::unavailable(format!("the metrics could not be written: {error}")))?;
    Ok(([(CONTENT_TYPE, form.content_type()), (VARY, "accept")], text).into_response())
}

pub async fn openapi(public: Public) -> Response {
    ([(CONTENT_TYPE, "application/json")], public.server().openapi.clone()).into_response()
}
