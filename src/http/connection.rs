//! A connection's socket, and what is to be known of the exchanges that it carries.
//!
//! Invariants:
//!
//! * An answer is heard even by a client that sends its whole body before it listens. Where a socket is
//!   closed while bytes are still coming, the system resets the connection, and the reset overtakes the
//!   answer. So where a body was not read to its end, what is still coming is read and thrown away first,
//!   within limits ([`Course::part`]).
//! * A client may close its half after the request (RFC 9112, 9.6): the end is hidden from hyper, which would
//!   drop the request, until the answer has been sent. That it may have gone altogether is told by
//!   [`Course::gone`].
//! * The system buffers little of what a client does not take: whether it takes anything is seen here.

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

/// The most bytes that are thrown away at the end of a connection.
const DISCARD_MAX: usize = 128 * 1024 * 1024;
/// How long nothing may come before a client is taken to have ended.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);
/// How many bytes the system takes beyond what it can send at present. More would be memory that nobody
/// counts, and would hide for long that a client takes nothing.
const UNSENT_MAX: u32 = 32 * 1024;

/// How far a connection has come.
#[derive(Default)]
pub struct Course {
    /// How many requests have come, and how many of them are not over.
    requests: AtomicU64,
    active: AtomicUsize,
    exchanges: Mutex<Vec<Weak<Exchange>>>,
    second_version: AtomicBool,
    /// How many requests of the first version are read to their end and not over: more than one only for an
    /// instant.
    answering: AtomicUsize,
    reader: AtomicWaker,
    gone: CancellationToken,
    unread: AtomicBool,
    written: AtomicU64,
    blocked: AtomicBool,
    unblocked: Notify,
    /// The exchange whose task comes next.
    newest: Mutex<Option<Arc<Exchange>>>,
    /// The stream, when its socket was dropped.
    left: Mutex<Option<TcpStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Course {
    /// An exchange begins.
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

    /// A request has been read to its end, or as far as anybody wants to.
    pub fn request_read(&self, version: Version) {
        if version <= Version::HTTP_11 {
            self.answering.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request's body was left before its end.
    pub fn body_left(&self, version: Version) {
        if version <= Version::HTTP_11 {
            self.unread.store(true, Ordering::Relaxed);
        }
    }

    /// An exchange is over.
    pub fn ended(&self, version: Version) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        if version <= Version::HTTP_11 {
            self.answering.fetch_sub(1, Ordering::Release);
            self.reader.wake();
        }
    }

    /// The exchange that began last, if nobody has asked for it yet.
    pub fn take_newest(&self) -> Option<Arc<Exchange>> {
        lock(&self.newest).take()
    }

    /// The exchanges that are not over.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        lock(&self.exchanges).iter().filter_map(Weak::upgrade).collect()
    }

    /// How many requests have come so far, and how many of them are not over.
    pub fn requests(&self) -> (u64, usize) {
        (self.requests.load(Ordering::Relaxed), self.active.load(Ordering::Relaxed))
    }

    /// Whether requests have come in HTTP/2.
    pub fn is_second_version(&self) -> bool {
        self.second_version.load(Ordering::Relaxed)
    }

    /// Cancelled when the client will send nothing more.
    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// How many bytes the socket has taken.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether bytes wait for the client to take others first.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Completes when no bytes wait for the client.
    pub async fn unblocked(&self) {
        while self.is_blocked() {
            let unblocked = self.unblocked.notified();
            if self.is_blocked() {
                unblocked.await;
            }
        }
    }

    /// Closes what is left of the connection when hyper is done with it. With `broken` hyper has given up
    /// what came. Reads and throws away for at most `patience` what would reset it.
    pub async fn part(&self, broken: bool, patience: Duration) {
        let stream = lock(&self.left).take();
        let Some(mut stream) = stream.filter(|_| broken || self.unread.load(Ordering::Relaxed)) else {
            return;
        };
        if stream.shutdown().await.is_ok() {
            let _ = tokio::time::timeout(patience, discard(&mut stream)).await;
        }
    }

    /// Ends what is left of the connection at once, with all that the system still has of it.
    pub fn reset(&self) {
        if let Some(stream) = lock(&self.left).take() {
            let _ = stream.set_zero_linger();
        }
    }
}

/// Reads and throws away until the client has ended.
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

/// Has the system buffer little on the connections that this socket accepts.
pub fn limit_unsent(listener: &TcpListener) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_MAX) {
        tracing::debug!(%error, "what the system buffers of connections could not be limited");
    }
}

/// A connection's socket. When it is dropped, its course has the stream.
pub struct Socket {
    stream: Option<TcpStream>,
    course: Arc<Course>,
}

impl Socket {
    /// The socket of a connection that takes that course.
    pub fn new(stream: TcpStream, course: Arc<Course>) -> Self {
        Self { stream: Some(stream), course }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Notes how a write went.
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
