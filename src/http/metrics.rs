//! Metrics for Prometheus. Requests are counted when they are answered; everything else is read from the
//! services at each scrape.

mod figures;
mod form;
mod process;
mod runs;
mod steps;

use std::fmt;
use std::time::Duration;

use axum::http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use self::figures::Figures;
pub use self::form::Form;
use self::process::ProcessFigures;
use super::access::Access;
use crate::model::Timestamp;
use crate::warden::Warden;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    took: Histogram,
    reload_succeeded: Gauge,
    /// In seconds since 1970.
    reloaded_at: Gauge,
}

impl HttpMetrics {
    /// `now` is when the configuration was read.
    pub fn new(now: Timestamp) -> Self {
        let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let (reload_succeeded, reloaded_at) = (Gauge::default(), Gauge::default());
        let metrics =
            Self { requests: Family::default(), took: Histogram::new(bounds), reload_succeeded, reloaded_at };
        metrics.reloaded(true, now);
        metrics
    }

    /// The configuration was read anew, or could not be.
    pub fn reloaded(&self, succeeded: bool, now: Timestamp) {
        self.reload_succeeded.set(i64::from(succeeded));
        if succeeded {
            self.reloaded_at.set(now.as_millis() / 1_000);
        }
    }

    /// Unknown methods are counted as `other`, so that clients cannot create series.
    pub fn count(&self, method: &Method, route: &'static str, status: u16, took: Duration) {
        let known = ["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD"];
        let method = known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
        let labels = RequestLabels { method, route, status };
        self.requests.get_or_create(&labels).inc();
        self.took.observe(took.as_secs_f64());
    }
}

/// Writes all metrics; of workflows, those that the token includes.
pub fn write(warden: &Warden, http: &HttpMetrics, access: &Access, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    // Without process metrics the others are still useful.
    match ProcessFigures::read() {
        Ok(figures) => registry.register_collector(Box::new(figures)),
        Err(error) => tracing::debug!(%error, "process metrics cannot be read"),
    }
    let registered = registry.sub_registry_with_prefix("warden");
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registered.register("build", "The running program", build);
    registered.register("http_requests", "Requests answered", http.requests.clone());
    let took = http.took.clone();
    registered.register_with_unit("http_request_duration", "Duration of requests", Unit::Seconds, took);
    let help = "Whether the last attempt to read the configuration succeeded";
    registered.register("config_last_reload_successful", help, http.reload_succeeded.clone());
    let help = "When the configuration in force was read";
    let unit = Unit::Seconds;
    registered.register_with_unit(
        "config_last_reload_success_timestamp",
        help,
        unit,
        http.reloaded_at.clone(),
    );
    registered.register_collector(Box::new(Figures::of(warden, access)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(match form {
        Form::OpenMetrics => text,
        Form::Text => form::to_text(&text),
    })
}
