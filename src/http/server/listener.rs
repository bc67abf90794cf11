//! Accepting connections within limits, and graceful shutdown.
//!
//! axum's own server has no timeout for the request head, so connections are driven here.

use std::convert::Infallible;
use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::connection::{Course, Socket, limit_unsent};
use super::exchange::{Arriving, Exchange, Sending};
use super::reserve::{self, Place, Places, Wish};
use super::watch::{Patience, Verdict, Watch};
use crate::config::Limits;

/// The pause when the process has no file descriptor for a connection.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// The most concurrent streams of an HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// The bytes of a response that HTTP/2 buffers beyond what the socket accepts.
const STREAM_BUFFER_MAX: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", self.advice())]
pub struct ListenerError {
    address: SocketAddr,
    error: std::io::Error,
}

impl ListenerError {
    pub fn is_denied(&self) -> bool {
        self.error.kind() == ErrorKind::PermissionDenied
    }

    /// The error of the system, and what to do.
    fn advice(&self) -> String {
        let Self { address, error } = self;
        match error.kind() {
            ErrorKind::PermissionDenied => format!(
                "{error}; ports below 1024 need a privilege: set server.listen to a higher one such as \
                {}:8470, or grant it (AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit)",
                if address.is_ipv6() { format!("[{}]", address.ip()) } else { address.ip().to_string() }
            ),
            ErrorKind::AddrInUse => format!(
                "another program listens there, perhaps a warden that runs already ({error}); stop it, or \
                set server.listen to another port"
            ),
            ErrorKind::AddrNotAvailable => {
                format!(
                    "this machine has no such address ({error}); set server.listen to one of its addresses"
                )
            }
            _ => format!("{error}; set server.listen to another address"),
        }
    }
}

pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenerError> {
        let failed = |error| ListenerError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        limit_unsent(&listener);
        Ok(Self { listener, address })
    }

    /// The bound address, with the port chosen by the system if it was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until `stop`. Then no more are accepted, and requests in flight have `patience` to
    /// finish.
    pub async fn serve(self, router: Router, limits: &Limits, patience: Duration, stop: CancellationToken) {
        let host = Arc::new(Host {
            router,
            header_max: usize::try_from(limits.header_max).unwrap_or(usize::MAX),
            patience: Patience::new(limits, patience),
            places: Places::new(limits.connections_max),
            stop,
            over: CancellationToken::new(),
        });
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = host.stop.cancelled() => break,
                accepted = self.accept(&host.places) => accepted,
            };
            if let Some((stream, place)) = accepted {
                connections.spawn(host.clone().receive(stream, place));
            }
        }
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(patience, connections.wait()).await.is_err() {
            tracing::warn!(?patience, "requests in flight at shutdown were aborted");
        }
        host.over.cancel();
    }

    async fn accept(&self, places: &Places) -> Option<(TcpStream, Place)> {
        let place = places.next().await?;
        match self.listener.accept().await {
            Ok((stream, _)) => {
                // Responses are complete and small; Nagle's algorithm would only delay them.
                let _ = stream.set_nodelay(true);
                Some((stream, places.better(place)))
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(TRY_AGAIN).await;
                None
            }
        }
    }
}

/// The state shared by all connections.
struct Host {
    router: Router,
    header_max: usize,
    patience: Patience,
    places: Places,
    /// Cancelled when requests are only to be finished.
    stop: CancellationToken,
    /// Cancelled when the grace period is over.
    over: CancellationToken,
}

/// Marks a request on a connection beyond the limit, which may only be a health check.
#[derive(Clone, Copy)]
pub struct BeyondLimit;

impl Host {
    async fn receive(self: Arc<Self>, stream: TcpStream, place: Place) {
        if !place.is_beyond {
            return self.carry(stream, None, self.patience).await;
        }
        let head = self.patience.head.min(reserve::PATIENCE);
        let wish = tokio::select! {
            wish = reserve::wish(&stream, head) => wish,
            () = self.stop.cancelled() => return,
        };
        let own = tokio::select! {
            own = self.places.turn(), if wish == Wish::Service => own,
            () = self.stop.cancelled(), if wish == Wish::Service => return,
            else => None,
        };
        match own {
            Some(_own) => {
                drop(place);
                self.carry(stream, None, self.patience).await;
            }
            None if wish == Wish::Nothing => {}
            None => self.carry(stream, Some(BeyondLimit), Patience { head, ..self.patience }).await,
        }
    }

    /// Serves all exchanges of a connection and closes it.
    async fn carry(&self, stream: TcpStream, beyond: Option<BeyondLimit>, patience: Patience) {
        let course = Arc::new(Course::default());
        let ended = self.exchanges(stream, &course, beyond, patience).await;
        match ended {
            Ok(broken) => course.part(broken, patience.body).await,
            Err(Verdict::Idle | Verdict::Dead) => tracing::debug!("connection closed: idle"),
            Err(Verdict::Stalled) => {
                tracing::debug!("connection reset: the client does not read");
                course.reset();
            }
        }
    }

    /// Drives hyper until the connection ends. Returns whether it ended with an error, or why it is to be
    /// closed.
    async fn exchanges(
        &self,
        stream: TcpStream,
        course: &Arc<Course>,
        beyond: Option<BeyondLimit>,
        patience: Patience,
    ) -> Result<bool, Verdict> {
        let socket = Socket::new(stream, course.clone());
        let service = service(self.router.clone(), course.clone(), beyond);
        let builder = self.builder(course, patience);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
        let mut watch = Watch::new(course, patience, &self.stop);
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    let ended = ended.inspect_err(|error| tracing::debug!(%error, "connection failed"));
                    return Ok(ended.is_err_and(|error| !is_timeout(&*error)));
                }
                () = self.stop.cancelled(), if !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's builder would wait without a limit for the bytes that tell the protocol version.
                verdict = watch.verdict() => match verdict {
                    Verdict::Idle => connection.as_mut().graceful_shutdown(),
                    verdict => return Err(verdict),
                },
                () = self.over.cancelled() => return Err(Verdict::Stalled),
            }
        }
    }

    fn builder(&self, course: &Arc<Course>, patience: Patience) -> Builder<Streams> {
        let mut builder = Builder::new(Streams(course.clone()));
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.head)
            .max_buf_size(self.header_max)
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_send_buf_size(STREAM_BUFFER_MAX)
            .max_header_list_size(u32::try_from(self.header_max).unwrap_or(u32::MAX))
            .keep_alive_interval(patience.head)
            .keep_alive_timeout(patience.head);
        builder
    }
}

/// Whether hyper timed out, so that no response can be lost.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
}

/// The router as the service of one connection.
fn service(
    router: Router,
    course: Arc<Course>,
    beyond: Option<BeyondLimit>,
) -> impl Service<Request<Incoming>, Response = Response<Sending<Body>>, Error = Infallible, Future: Send> {
    service_fn(move |request: Request<Incoming>| {
        let version = request.version();
        let exchange = Exchange::begin(&course, version);
        // At an upgrade hyper closes the connection without waiting for pending writes.
        let paced = request.headers().contains_key(UPGRADE);
        let mut request = request.map(|body| Body::new(Arriving::new(body, exchange.clone())));
        request.extensions_mut().insert(exchange.clone());
        if let Some(beyond) = beyond {
            request.extensions_mut().insert(beyond);
        }
        let (answering, course) = (router.clone().oneshot(request), course.clone());
        async move {
            let mut response = answering.await?;
            if version <= Version::HTTP_11 {
                // hyper buffers response heads without a limit.
                course.unblocked().await;
                if beyond.is_some() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
            }
            Ok(response.map(|body| Sending::new(body, exchange, paced)))
        }
    })
}

/// Spawns the streams of an HTTP/2 connection, and gives each exchange its task.
#[derive(Clone)]
struct Streams(Arc<Course>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let task = tokio::spawn(stream);
        if let Some(exchange) = self.0.take_newest() {
            exchange.carried_by(task.abort_handle());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_taken_is_named_with_what_to_do() {
        for (kind, address, words) in [
            (ErrorKind::PermissionDenied, "0.0.0.0:80", "a higher one such as 0.0.0.0:8470"),
            (ErrorKind::PermissionDenied, "[::1]:80", "CAP_NET_BIND_SERVICE"),
            (ErrorKind::AddrInUse, "127.0.0.1:8470", "another program listens there"),
            (ErrorKind::AddrNotAvailable, "192.0.2.1:8470", "this machine has no such address"),
            (ErrorKind::Other, "127.0.0.1:8470", "set server.listen to another address"),
        ] {
            let error = ListenerError { address: address.parse().unwrap(), error: kind.into() };
            let said = error.to_string();
            assert!(said.starts_with(&format!("cannot listen on {address}: ")), "{said}");
            assert!(said.contains(words) && said.contains("server.listen"), "{said}");
            assert_eq!(error.is_denied(), kind == ErrorKind::PermissionDenied);
        }
    }
}
