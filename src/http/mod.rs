//! The HTTP API: routes by resource. Status codes occur only here, nearly all of them in [`problem`].
//!
//! Every request passes one outermost layer ([`serve_request`]). It assigns the request id, rejects malformed
//! paths, unknown hosts, foreign origins and unknown tokens, counts the request, and writes problems. Then a
//! handler parses the request strictly, calls a service and renders the result.
//!
//! Deliberately absent: decisions. What a request means is decided by the services.
//! Deliberately absent: decisions. What a request means is the warden's business.

mod access;
mod answers;
mod batch;
mod body;
mod browser;
mod budget;
mod connection;
mod deliveries;
mod document;
mod elsewhere;
mod exchange;
mod export;
mod filter;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hosts;
mod incidents;
mod items;
mod json;
mod leases;
mod list;
mod listener;
mod metrics;
mod openapi;
mod operation;
mod page;
mod place;
mod prefer;
mod problem;
mod question;
mod receivers;
mod replays;
mod request;
mod reserve;
mod silences;
mod trouble;
mod view;
mod watch;
mod workflows;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Uri, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures_util::future::Either;
use tokio::sync::Semaphore;
use tower::layer::layer_fn;
use tower::{Layer, Service, service_fn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::access::Tokens;
use self::answers::Answers;
use self::body::BodyLimits;
use self::browser::Browsers;
use self::exchange::Exchange;
use self::hosts::Hosts;
use self::listener::BeyondLimit;
pub use self::listener::{Listener, ListenerError};
use self::metrics::HttpMetrics;
use self::place::Place;
use self::problem::Problem;
use self::view::ItemFacts;
use crate::config::Config;
use crate::model::{Item, Moment, Warning};
use crate::warden::Warden;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The state shared by all handlers.
pub struct Server {
    warden: Arc<Warden>,
    tokens: Tokens,
    hosts: Hosts,
    browsers: Browsers,
    bodies: BodyLimits,
    answers: Answers,
    batch_max: u64,
    batch_items_max: usize,
    in_flight: Arc<Semaphore>,
    stall_timeout: Duration,
    draining: AtomicBool,
    warnings: RwLock<Vec<Warning>>,
    metrics: HttpMetrics,
    openapi: String,
}

impl Server {
    fn moment(&self) -> Moment {
        self.warden.clock.moment()
    }

    /// An item with the facts shown beside it.
    fn facts(&self, item: Item) -> ItemFacts {
        let incident = self.warden.alerting.incident_of(&item);
        ItemFacts { moment: self.moment(), incident, item }
    }

    /// The server at this address, with the configured limits.
    pub fn new(warden: Arc<Warden>, config: &Config, address: SocketAddr) -> Arc<Self> {
        let limits = &config.limits;
        let (_, mut api) = routes().split_for_parts();
        openapi::complete(&mut api);
        Arc::new(Self {
            warden,
            tokens: Tokens::new(&config.tokens),
            hosts: Hosts::new(config, address),
            browsers: Browsers::new(config),
            bodies: BodyLimits::new(limits.buffered_max, limits.body_timeout),
            answers: Answers::new(limits.answers_max, limits.write_timeout),
            batch_max: limits.batch_max,
            batch_items_max: limits.batch_items_max,
            in_flight: Arc::new(Semaphore::new(limits.requests_max)),
            stall_timeout: config.storage.stall_timeout,
            draining: AtomicBool::new(false),
            warnings: RwLock::new(config.warnings.clone()),
            metrics: HttpMetrics::default(),
            openapi: api.to_pretty_json().unwrap_or_default(),
        })
    }

    /// Reports not ready from now on, so that load balancers stop sending requests, and ends waiting claims.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.warden.recovery.stop_waiting();
    }

    /// Adds warnings to those of the configuration.
    pub fn warn(&self, warnings: Vec<Warning>) {
        self.warnings.write().unwrap_or_else(PoisonError::into_inner).extend(warnings);
    }

    pub fn router(self: &Arc<Self>) -> Router {
        let (router, _) = routes().split_for_parts();
        let server = self.clone();
        router
            .fallback(|uri: Uri| async move { elsewhere::nothing_at(uri.path()) })
            .method_not_allowed_fallback(|| async {
                Problem::method_not_allowed(
                    "this path does not support the method; /openapi.json lists those that it does",
                )
            })
            .layer(layer_fn(move |route: Route| {
                let (server, mut route) = (server.clone(), route);
                service_fn(move |request| serve_request(&server, &mut route, request))
            }))
            .with_state(self.clone())
    }
}

fn routes() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(items::put, items::get, items::delete, items::patch))
        .routes(routes!(items::post))
        .routes(routes!(items::payload))
        .routes(routes!(items::report))
        .routes(routes!(items::retry))
        .routes(routes!(list::retry))
        .routes(routes!(leases::claim))
        .routes(routes!(leases::heartbeat))
        .routes(routes!(leases::complete))
        .routes(routes!(leases::fail))
        .routes(routes!(leases::release))
        .routes(routes!(batch::batch))
        .routes(routes!(list::list))
        .routes(routes!(list::summary))
        .routes(routes!(export::export))
        .routes(routes!(workflows::list))
        .routes(routes!(workflows::get, workflows::delete))
        .routes(routes!(workflows::stats))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::get))
        .routes(routes!(incidents::deliveries))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::resend))
        .routes(routes!(receivers::list))
        .routes(routes!(receivers::test))
        .routes(routes!(receivers::resume))
        .routes(routes!(incidents::acknowledge))
        .routes(routes!(incidents::snooze))
        .routes(routes!(incidents::comment))
        .routes(routes!(silences::list, silences::post))
        .routes(routes!(silences::get, silences::delete))
        .routes(routes!(replays::list, replays::post))
        .routes(routes!(replays::get))
        .routes(routes!(replays::pause))
        .routes(routes!(replays::resume))
        .routes(routes!(replays::cancel))
        .routes(routes!(operation::healthz))
        .routes(routes!(operation::readyz))
        .routes(routes!(operation::metrics))
        .routes(routes!(operation::openapi))
}

fn serve_request(
    server: &Arc<Server>,
    route: &mut Route,
    request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let server = server.clone();
    let began = server.warden.clock.now();
    let request_id = server.warden.random.uuid(began);
    let (method, version) = (request.method().clone(), request.version());
    let (is_read, has_body) = (method.is_safe(), !request.body().is_end_stream());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let exchange = request.extensions().get::<Arc<Exchange>>().cloned();
    let cors = server.browsers.cors(&request, &server.hosts);
    let mut answer = service_fn(|request| {
        let answering = admit(&server, request).map(|(request, place)| (route.call(request), place));
        let (server, exchange) = (server.clone(), exchange.clone());
        async move {
            let response = match answering {
                Ok((answering, place)) => {
                    let response = if is_read && place.is_taken() {
                        place.keep(answering).await?
                    } else {
                        answering.await?
                    };
                    match server.answers.admit(&response) {
                        Ok(hold) => {
                            if let Some(exchange) = exchange {
                                exchange.keep(place, hold);
                            }
                            response
                        }
                        Err(problem) => problem.into_response(),
                    }
                }
                Err(problem) if has_body => problem.hang_up().into_response(),
                Err(problem) => problem.into_response(),
            };
            Ok::<_, Infallible>(written_out(response, request_id, version))
        }
    });
    let answering = match cors {
        Some(cors) => Either::Left(cors.layer(answer).call(request)),
        None => Either::Right(answer.call(request)),
    };
    async move {
        let mut response = answering.await?;
        let mut text = Uuid::encode_buffer();
        let request_id = &*request_id.hyphenated().encode_lower(&mut text);
        let problem = response.extensions().get::<Problem>().cloned();
        browser::protect(response.headers_mut());
        let status = response.status();
        let took = server.warden.clock.now().since(began);
        let route = matched.as_ref().map_or("none", MatchedPath::as_str);
        server.metrics.count(&method, route, status.as_u16(), took);
        // The request id links a problem shown to a client with the log. The detail is not logged, since it
        // may quote what the client sent.
        match problem.as_ref().map(Problem::slug) {
            Some(problem) if status.is_server_error() => {
                let status = status.as_u16();
                tracing::warn!(request = request_id, %method, route, status, problem, "request failed");
            }
            Some(problem) => {
                let status = status.as_u16();
                tracing::info!(request = request_id, %method, route, status, problem, "request refused");
            }
            None => {
                let status = status.as_u16();
                tracing::debug!(request = request_id, %method, route, status, ?took, "request answered");
            }
        }
        response
            .headers_mut()
            .extend(HeaderValue::from_str(request_id).ok().map(|value| (REQUEST_ID, value)));
        Ok(response)
    }
}

/// Writes the problem of a response as its body. The problem stays in the extensions, to be logged.
fn written_out(response: Response, request_id: Uuid, version: Version) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let mut text = Uuid::encode_buffer();
    let mut written = problem.respond(request_id.hyphenated().encode_lower(&mut text), version);
    written.extensions_mut().insert(problem.clone());
    written
}

/// Rejects what no handler should see, attaches the access of the token, and takes a permit of the requests
/// in flight. Health checks take none, so that a daemon under load is not restarted as dead.
fn admit(server: &Server, mut request: Request) -> Result<(Request, Place), Problem> {
    framing::check(&request).map_err(Problem::hang_up)?;
    let path = request.uri().path();
    if request.extensions().get::<BeyondLimit>().is_some() && !operation::is_health(path) {
        let detail = "limits.connections_max connections are open; try again later";
        return Err(Problem::overloaded(detail).retry_after(1).hang_up());
    }
    request::check_escapes(path)?;
    server.hosts.check(&request)?;
    server.browsers.check(&request)?;
    if operation::is_open(path) {
        return Ok((request, Place::default()));
    }
    let access = server.tokens.authenticate(request.headers())?;
    request.extensions_mut().insert(access);
    match server.in_flight.clone().try_acquire_owned() {
        Ok(permit) => {
            let place = Place::new(permit);
            request.extensions_mut().insert(place.clone());
            Ok((request, place))
        }
        Err(_) => {
            let detail = "limits.requests_max requests are in flight; try again later";
            Err(Problem::overloaded(detail).retry_after(1))
        }
    }
}
