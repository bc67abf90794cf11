//! Operation: health, metrics and the API description.

use warden_api::Problem::Unavailable;
use warden_api::health::{Health, Readiness};
use warden_api::path;
use warden_api::word::Scope;

use crate::http::openapi::{json, object, text};
use crate::http::operation;
use crate::http::route::Route;
use crate::http::server::AnyWorkflow;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(path::HEALTHZ, "healthz")
            .health()
            .about("Check whether the process is alive.")
            .answers(200, "Alive", json::<Health>())
            .to(operation::healthz),
        Route::get(path::READYZ, "readyz")
            .health()
            .about("Check whether the daemon has recovered, can write, and its committing thread responds.")
            .answers(200, "Ready", json::<Readiness>())
            .refuses(&[Unavailable])
            .to(operation::readyz),
        Route::get(path::METRICS, "metrics")
            .needs::<AnyWorkflow>(Scope::Read)
            .about("Get metrics in the Prometheus text format, or in OpenMetrics if `Accept` prefers it.")
            .ignores_query()
            .answers(200, "The metrics", text(&["text/plain", "application/openmetrics-text"]))
            .to(operation::metrics),
        Route::get(path::OPENAPI, "openapi")
            .open()
            .about("Get this description.")
            .answers(200, "OpenAPI 3.1", object())
            .to(operation::openapi),
    ]
}
