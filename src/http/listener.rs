//! Listening: connections within limits, and a way to end that lets requests finish.
//!
//! axum's own server sets no limit on how long a client may take over its headers, so connections are driven here. Nor does
//! the part of hyper-util that tells HTTP/1 from HTTP/2 by the first bytes, so that is done here too, under the same
//! limit as the headers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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
        let builders = Arc::new([builder(limits).http1_only(), builder(limits).http2_only()]);
        let connections = Arc::new(Semaphore::new(limits.connections_max));
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.accept(&connections) => accepted,
            };
            let Some((stream, permit)) = accepted else { continue };
            let service = TowerToHyperService::new(router.clone());
            let (builders, header_timeout) = (builders.clone(), limits.header_timeout);
            let (watcher, stopping) = (graceful.watcher(), stop.clone());
            tokio::spawn(async move {
                let version = tokio::select! {
                    version = tokio::time::timeout(header_timeout, version(&stream)) => version,
                    () = stopping.cancelled() => return,
                };
                // Neither a word in time nor a readable one: there is nobody to answer.
                let Ok(Ok(version)) = version else { return };
                let connection = builders[version as usize].serve_connection(TokioIo::new(stream), service);
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(%error, "a connection ended badly");
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

/// Which HTTP a client speaks; the values are places among the builders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1 = 0,
    Http2 = 1,
}

/// Tells by the first bytes, without taking them, which version the client speaks: HTTP/2 begins with a preface (RFC 9113,
/// 3.4) whose first letter some methods of HTTP/1 share.
async fn version(stream: &TcpStream) -> std::io::Result<Version> {
    const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// How long to wait for the rest of a preface that came in pieces.
    const PAUSE: Duration = Duration::from_millis(10);
    let mut seen = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut seen).await?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if seen[..length] != PREFACE[..length] {
            return Ok(Version::Http1);
        }
        if length == PREFACE.len() {
            return Ok(Version::Http2);
        }
        tokio::time::sleep(PAUSE).await;
    }
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
