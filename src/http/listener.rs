//! Listening: connections within limits, and a way to end that lets requests finish.
//!
//! axum's own server sets no limit on how long a client may take over its headers, so connections are driven here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::connection::{Course, Socket};
use crate::config::Limits;

/// How long to wait when the system has no file descriptor for a connection.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// The most streams that one HTTP/2 connection has open at once.
const STREAMS_MAX: u32 = 256;

/// The address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {error}; is another program using it? Set server.listen to another address"
)]
pub struct ListenerError {
    address: SocketAddr,
    error: std::io::Error,
}

/// A bound socket that waits to be served.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenerError> {
        let failed = |error| ListenerError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address that was bound, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until `stop`; then takes no more, lets requests finish for at most `patience`, and ends.
    pub async fn serve(self, router: Router, limits: &Limits, patience: Duration, stop: CancellationToken) {
        let builder = Arc::new(builder(limits));
        let connections = Arc::new(Semaphore::new(limits.connections_max));
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept(&connections) => accepted,
            };
            let Some((stream, permit)) = accepted else { continue };
            let (builder, router, watcher) = (builder.clone(), router.clone(), graceful.watcher());
            let (header_timeout, body_timeout) = (limits.header_timeout, limits.body_timeout);
            tokio::spawn(async move {
                let course = Arc::new(Course::default());
                let socket = Socket::new(stream, course.clone(), body_timeout);
                let service = service(router, course.clone());
                let connection = watcher.watch(builder.serve_connection(TokioIo::new(socket), service));
                tokio::select! {
                    // What the builder needs to know which version is spoken, it would wait for without end.
                    () = course.silence(header_timeout) => tracing::debug!("a client sent no request in time"),
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended badly");
                    },
                }
                drop(permit);
            });
        }
        drop(self.listener);
        if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
            tracing::warn!(?patience, "some requests were not finished in time and are cut off");
        }
    }

    async fn accept(
        &self,
        connections: &Arc<Semaphore>,
    ) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        let permit = connections.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and complete; waiting to fill a segment would only delay them.
                let _ = stream.set_nodelay(true);
                Some((stream, permit))
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(TRY_AGAIN).await;
                None
            }
        }
    }
}

/// The router as a service of one connection, whose course is followed.
fn service(
    router: Router,
    course: Arc<Course>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> {
    service_fn(move |request: Request<Incoming>| {
        course.asked();
        let has_body = !request.body().is_end_stream();
        let (answering, course) = (router.clone().oneshot(request), course.clone());
        async move { answering.await.inspect(|response| course.answered(has_body, response.status())) }
    })
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let header_max = usize::try_from(limits.header_max).unwrap_or(usize::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(header_max)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(header_max).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    builder
}
