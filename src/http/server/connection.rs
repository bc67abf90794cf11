//! The socket of a connection, and the state of its exchanges.
//!
//! Invariants:
//!
//! * A client that sends its whole body before it reads still gets the response. If a socket is closed while
//!   data is arriving, the kernel resets the connection, and the reset overtakes the response. So if a body
//!   was not read to its end, remaining data is read and discarded first, within limits ([`Course::part`]).
//! * A client may close its sending side after the request (RFC 9112, 9.6). The end of input is hidden from
//!   hyper, which would drop the request, until the response is sent. [`Course::gone`] signals that the
//!   client may have disconnected.
//! * The kernel buffers little unsent data, so that a client that does not read is detected here.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::Version;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::exchange::Exchange;

/// The most bytes discarded at the end of a connection.
const DISCARD_MAX: usize = 128 * 1024 * 1024;
/// Discarding ends after a pause of this length.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);
/// The most unsent bytes in the kernel. More would be uncounted memory, and would delay detecting a client
/// that does not read.
const UNSENT_MAX: u32 = 32 * 1024;

/// The state of a connection.
#[derive(Default)]
pub struct Course {
    /// Requests so far, and those in progress.
    requests: AtomicU64,
    active: AtomicUsize,
    exchanges: Mutex<Vec<Weak<Exchange>>>,
    second_version: AtomicBool,
    /// HTTP/1 requests that are read completely and not answered: more than one only briefly.
    answering: AtomicUsize,
    reader: AtomicWaker,
    gone: CancellationToken,
    unread: AtomicBool,
    written: AtomicU64,
    blocked: AtomicBool,
    unblocked: Notify,
    /// The exchange whose task is spawned next (HTTP/2).
    newest: Mutex<Option<Arc<Exchange>>>,
    /// The stream, once its socket was dropped.
    left: Mutex<Option<TcpStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Course {
    /// An exchange starts.
    pub fn began(&self, exchange: &Arc<Exchange>, version: Version) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        if version > Version::HTTP_11 {
            self.second_version.store(true, Ordering::Relaxed);
            *lock(&self.newest) = Some(exchange.clone());
        }
        let mut exchanges = lock(&self.exchanges);
        if exchanges.len() == exchanges.capacity() {
            exchanges.retain(|exchange| exchange.strong_count() > 0);
        }
        exchanges.push(Arc::downgrade(exchange));
    }

    /// A request has been read to its end, or as far as needed.
    pub fn request_read(&self, version: Version) {
        if version <= Version::HTTP_11 {
            self.answering.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A body was not read to its end.
    pub fn body_left(&self, version: Version) {
        if version <= Version::HTTP_11 {
            self.unread.store(true, Ordering::Relaxed);
        }
    }

    /// An exchange has ended.
    pub fn ended(&self, version: Version) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        if version <= Version::HTTP_11 {
            self.answering.fetch_sub(1, Ordering::Release);
            self.reader.wake();
        }
    }

    /// Takes the latest exchange.
    pub fn take_newest(&self) -> Option<Arc<Exchange>> {
        lock(&self.newest).take()
    }

    /// The exchanges in progress.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        lock(&self.exchanges).iter().filter_map(Weak::upgrade).collect()
    }

    /// Requests so far, and those in progress.
    pub fn requests(&self) -> (u64, usize) {
        (self.requests.load(Ordering::Relaxed), self.active.load(Ordering::Relaxed))
    }

    /// Whether the connection uses HTTP/2.
    pub fn is_second_version(&self) -> bool {
        self.second_version.load(Ordering::Relaxed)
    }

    /// Cancelled when the client will send nothing more.
    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Bytes that the socket has accepted.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether a write is blocked by the client.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Completes when no write is blocked.
    pub async fn unblocked(&self) {
        while self.is_blocked() {
            let unblocked = self.unblocked.notified();
            if self.is_blocked() {
                unblocked.await;
            }
        }
    }

    /// Closes the connection after hyper is done with it; `broken` if hyper gave up on the input. Discards
    /// arriving data for at most `patience`, to avoid a reset.
    pub async fn part(&self, broken: bool, patience: Duration) {
        let stream = lock(&self.left).take();
        let Some(mut stream) = stream.filter(|_| broken || self.unread.load(Ordering::Relaxed)) else {
            return;
        };
        if stream.shutdown().await.is_ok() {
            let _ = tokio::time::timeout(patience, discard(&mut stream)).await;
        }
    }

    /// Resets the connection, discarding unsent data.
    pub fn reset(&self) {
        if let Some(stream) = lock(&self.left).take() {
            let _ = stream.set_zero_linger();
        }
    }
}

/// Reads and discards until the client has closed.
async fn discard(stream: &mut TcpStream) {
    let mut room = [0; 16 * 1024];
    let mut bytes = 0;
    while bytes < DISCARD_MAX {
        match tokio::time::timeout(DISCARD_PAUSE, stream.read(&mut room)).await {
            Ok(Ok(count)) if count > 0 => bytes += count,
            _ => return,
        }
    }
}

/// Limits the unsent data in the kernel for accepted connections.
pub fn limit_unsent(listener: &TcpListener) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_MAX) {
        tracing::debug!(%error, "unsent data in the kernel could not be limited");
    }
}

/// The socket of a connection. On drop it passes the stream to the [`Course`].
pub struct Socket {
    stream: Option<TcpStream>,
    course: Arc<Course>,
}

impl Socket {
    pub fn new(stream: TcpStream, course: Arc<Course>) -> Self {
        Self { stream: Some(stream), course }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Records the result of a write.
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.course.blocked.store(true, Ordering::Relaxed),
            Poll::Ready(result) => {
                let count = *result.as_ref().unwrap_or(&0) as u64;
                self.course.written.fetch_add(count, Ordering::Relaxed);
                if self.course.blocked.swap(false, Ordering::Relaxed) {
                    self.course.unblocked.notify_waiters();
                }
            }
        }
        written
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        *lock(&self.course.left) = self.stream.take();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream()?.poll_read(cx, buffer))?;
        if buffer.filled().len() == before && buffer.remaining() > 0 {
            self.course.gone.cancel();
            self.course.reader.register(cx.waker());
            if self.course.answering.load(Ordering::Acquire) > 0 {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(cx, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
