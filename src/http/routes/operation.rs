//! Operation: health, metrics and the API description.

use warden_api::Problem::{ConfigurationInvalid, Unavailable};
use warden_api::health::{Health, Readiness, Reloaded};
use warden_api::path;
use warden_api::word::Scope;

use crate::http::openapi::{json, object, text};
use crate::http::route::Route;
use crate::http::server::{AnyWorkflow, Everything};
use crate::http::{operation, reload};

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
        Route::post(path::RELOAD, "reload")
            .needs::<Everything>(Scope::Admin)
            .about(
                "Read the configuration anew and put it in force.\n\n\
                As a whole or not at all: if anything is wrong, all problems are in the detail of the \
                answer, one a line, and nothing changes. Items, counters and open incidents live on. Some \
                settings take a restart; the answer names those that differ.",
            )
            .answers(200, "The configuration is in force", json::<Reloaded>())
            .refuses(&[ConfigurationInvalid])
            .to(reload::reload),
        Route::get(path::OPENAPI, "openapi")
            .open()
            .about("Get this description.")
            .answers(200, "OpenAPI 3.1", object())
            .to(operation::openapi),
    ]
}
