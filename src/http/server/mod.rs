//! Serving: connections, limits, the outermost layer of all requests, and the state of handlers.
//!
//! Invariant: a handler reaches the services only through an [`Allowed`], which has checked what its route
//! declares, or which checks what the handler has read before it gives them out. [`Server`] itself gives out
//! budgets and limits; its services are private to this folder.

mod allowed;
pub mod answers;
pub mod body;
pub mod browser;
pub mod budget;
mod connection;
pub mod exchange;
mod framing;
mod hosts;
mod listener;
mod place;
mod reserve;
mod rules;
mod serve;
mod watch;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, Uri};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tower::layer::layer_fn;
use tower::service_fn;
use warden_api::word::Scope;

pub use self::allowed::{
    AdmittedLine, Allowed, AnyWorkflow, EachLine, Everything, InBody, InPath, Matching, OfArtifact,
    OfDelivery, OfIncident, OfLease, OfReplay, OfSilence, Open, Over, Public, Services,
};
use self::answers::Answers;
use self::body::BodyLimits;
pub use self::listener::{Listener, ListenerError};
pub use self::place::Place;
pub use self::rules::Rules;
pub use self::serve::Call;
use super::access::Access;
use super::metrics::HttpMetrics;
use super::reload::ConfigChange;
use super::route::Operations;
use super::{elsewhere, openapi, routes};
use crate::config::Config;
use crate::http::problem::Problem;
use crate::model::{Clock, Moment, Warning};
use crate::warden::Warden;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A resolution of the names in the configuration.
pub struct LookUp(u64);

#[derive(Default)]
struct LookedUp {
    /// How many look-ups have begun.
    begun: u64,
    /// Of the latest one that has ended.
    warnings: Vec<Warning>,
}

/// The state shared by all requests.
pub struct Server {
    warden: Arc<Warden>,
    rules: RwLock<Arc<Rules>>,
    looked_up: Mutex<LookedUp>,
    address: SocketAddr,
    operations: Operations,
    changes: mpsc::Sender<ConfigChange>,
    draining: AtomicBool,
    pub(super) bodies: BodyLimits,
    pub(super) answers: Answers,
    pub(super) stall_timeout: Duration,
    pub(super) metrics: HttpMetrics,
    /// The description of the API.
    pub(super) openapi: String,
}

impl Server {
    /// The server at this address, with the configured limits. Changes of the configuration are asked for at
    /// `changes`.
    pub fn new(
        warden: Arc<Warden>,
        config: &Config,
        address: SocketAddr,
        changes: mpsc::Sender<ConfigChange>,
    ) -> Arc<Self> {
        let limits = &config.limits;
        let routes = routes::all();
        Arc::new(Self {
            metrics: HttpMetrics::new(warden.clock.wall()),
            warden,
            rules: RwLock::new(Arc::new(Rules::new(config, address))),
            looked_up: Mutex::default(),
            address,
            operations: Operations::of(&routes),
            changes,
            draining: AtomicBool::new(false),
            bodies: BodyLimits::new(limits.buffered_max, limits.body_timeout),
            answers: Answers::new(limits.answers_max, limits.write_timeout),
            stall_timeout: config.storage.stall_timeout,
            openapi: openapi::describe(routes).to_pretty_json().unwrap_or_default(),
        })
    }

    /// Reports not ready from now on, so that load balancers stop sending requests, and ends waiting claims.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.warden.recovery.stop_waiting();
        self.warden.runs.stop_waiting();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Goes by another configuration from the next request on.
    pub fn adopt(&self, config: &Config) {
        let rules = self.rules().renewed(config, self.address);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// What requests are judged by. A request goes by one configuration throughout its checks.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names in the configuration are being resolved, which may take a while.
    pub fn begin_look_up(&self) -> LookUp {
        let mut looked_up = self.looked_up.lock().unwrap_or_else(PoisonError::into_inner);
        looked_up.begun += 1;
        LookUp(looked_up.begun)
    }

    /// What a look-up has found, in place of what was found before. It is dropped if another one began since.
    pub fn looked_up(&self, look_up: LookUp, warnings: Vec<Warning>) {
        let mut looked_up = self.looked_up.lock().unwrap_or_else(PoisonError::into_inner);
        if look_up.0 == looked_up.begun {
            looked_up.warnings = warnings;
        }
    }

    /// The warnings of the configuration, and of the names in it.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let looked_up = self.looked_up.lock().unwrap_or_else(PoisonError::into_inner);
        [&self.rules().warnings[..], &looked_up.warnings[..]].concat()
    }

    /// The outcome of a reload, for the metrics.
    pub fn reloaded(&self, succeeded: bool) {
        self.metrics.reloaded(succeeded, self.warden.clock.wall());
    }

    /// Queues a change of the configuration.
    pub(super) fn ask_for(&self, change: ConfigChange) -> Result<(), Problem> {
        self.changes.try_send(change).map_err(|error| match error {
            TrySendError::Full(_) => {
                let detail = "other changes of the configuration are waiting; try again later";
                Problem::overloaded(detail).retry_after(1)
            }
            TrySendError::Closed(_) => Problem::unavailable("the warden is shutting down"),
        })
    }

    /// Whether these headers have a token that may read everything, on a path that needs none.
    pub(super) fn sees_all(&self, headers: &HeaderMap) -> bool {
        let access = self.rules().tokens.authenticate(headers);
        let reads_all = |access: Access| {
            access.require(Scope::Read).and_then(|()| access.require_all_workflows()).is_ok()
        };
        access.is_ok_and(reads_all)
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.warden.clock
    }

    pub(super) fn moment(&self) -> Moment {
        self.warden.clock.moment()
    }

    /// The largest payload, in bytes.
    pub(super) fn payload_max(&self) -> u64 {
        self.warden.intake.payload_max()
    }

    pub fn router(self: &Arc<Self>) -> Router {
        let router = Router::new();
        let router =
            routes::all().into_iter().fold(router, |router, route| router.route(route.path, route.handler));
        let server = self.clone();
        router
            .fallback(|uri: Uri| async move { elsewhere::nothing_at(uri.path()) })
            .method_not_allowed_fallback(|| async {
                Problem::method_not_allowed(
                    "this path does not support the method; /openapi.json lists those that it does",
                )
            })
            .layer(layer_fn(move |route: axum::routing::Route| {
                let (server, mut route) = (server.clone(), route);
                service_fn(move |request| serve::serve(&server, &mut route, request))
            }))
            .with_state(self.clone())
    }
}
