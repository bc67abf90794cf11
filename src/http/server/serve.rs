//! The outermost layer: request ids, what no handler should see, tokens, permits, counts and the log.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures_util::future::Either;
use tower::{Layer, Service, service_fn};
use uuid::Uuid;

use super::exchange::Exchange;
use super::listener::BeyondLimit;
use super::place::Place;
use super::{REQUEST_ID, Rules, Server, browser, framing};
use crate::http::access::Access;
use crate::http::problem::Problem;
use crate::http::request;
use crate::http::route::{Exposure, Operation};

/// What this layer knows of a request to an operation that needs a token. Handlers get it from the request's
/// extensions.
#[derive(Clone)]
pub struct Call {
    pub operation: Operation,
    pub access: Access,
    pub place: Place,
}

/// The operation of a request, the exposure of its path, and the path for the log and the metrics.
struct Asked {
    operation: Option<Operation>,
    exposure: Option<Exposure>,
    route: &'static str,
}

impl Asked {
    fn of(server: &Server, request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        match matched.and_then(|path| server.operations.at(path.as_str())) {
            Some(path) => Self {
                operation: path.operation(request.method()),
                exposure: path.exposure(),
                route: path.path(),
            },
            None => Self { operation: None, exposure: None, route: "none" },
        }
    }
}

pub fn serve(
    server: &Arc<Server>,
    handlers: &mut Route,
    request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    let server = server.clone();
    let began = server.warden.clock.now();
    let request_id = server.warden.random.uuid(began);
    let (method, version) = (request.method().clone(), request.version());
    let (is_read, has_body) = (method.is_safe(), !request.body().is_end_stream());
    let asked = Asked::of(&server, &request);
    let route = asked.route;
    let exchange = request.extensions().get::<Arc<Exchange>>().cloned();
    let rules = server.rules();
    let cors = rules.browsers.cors(&request, &rules.hosts);
    let mut answer = service_fn(|request| {
        let answering =
            admit(&rules, &asked, request).map(|(request, place)| (handlers.call(request), place));
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
fn admit(rules: &Rules, asked: &Asked, mut request: Request) -> Result<(Request, Place), Problem> {
    framing::check(&request).map_err(Problem::hang_up)?;
    let is_beyond_limit = request.extensions().get::<BeyondLimit>().is_some();
    if is_beyond_limit && asked.exposure != Some(Exposure::Health) {
        let detail = "limits.connections_max connections are open; try again later";
        return Err(Problem::overloaded(detail).retry_after(1).hang_up());
    }
    request::check_escapes(request.uri().path())?;
    rules.hosts.check(&request)?;
    rules.browsers.check(&request)?;
    if matches!(asked.exposure, Some(Exposure::Health | Exposure::Open)) {
        return Ok((request, Place::default()));
    }
    let access = rules.tokens.authenticate(request.headers())?;
    let Ok(permit) = rules.in_flight.clone().try_acquire_owned() else {
        let detail = "limits.requests_max requests are in flight; try again later";
        return Err(Problem::overloaded(detail).retry_after(1));
    };
    let place = Place::new(permit);
    if let Some(operation) = asked.operation {
        request.extensions_mut().insert(Call { operation, access, place: place.clone() });
    }
    Ok((request, place))
}
