//! A connection's socket, and what is to be known of the requests that come over it.
//!
//! Invariants:
//!
//! * A client that sends no request is not waited for: until the first one has come, [`Course::silence`] counts.
//! * A refusal is heard even by a client that sends its whole body before it listens. Where a socket is closed while
//!   bytes are still coming, the system resets the connection, and the reset overtakes the answer. So after a refusal
//!   what is still coming is read and thrown away first, within limits.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// The most bytes that are thrown away at the end of a connection.
const DISCARD_MAX: usize = 128 * 1024 * 1024;
/// How long nothing may come before a client is taken to have ended.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);

/// How far a connection has come.
#[derive(Debug, Default)]
pub struct Course {
    asked: AtomicBool,
    refused_body: AtomicBool,
}

impl Course {
    /// A request has come, with a body or without.
    pub fn asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// A request was answered; whether its body, if it had one, was read to its end is not known.
    pub fn answered(&self, has_body: bool, status: StatusCode) {
        let refused = status.is_client_error() || status.is_server_error();
        self.refused_body.store(has_body && refused, Ordering::Relaxed);
    }

    /// Completes when no request has come in this time; never when one has.
    pub async fn silence(&self, patience: Duration) {
        sleep(patience).await;
        if self.asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// A socket that closes as the module's documentation says.
pub struct Socket {
    stream: TcpStream,
    course: Arc<Course>,
    patience: Duration,
    farewell: Option<Farewell>,
}

/// What is left of the patience with a client that goes on sending.
struct Farewell {
    bytes: usize,
    end: Pin<Box<Sleep>>,
    pause: Pin<Box<Sleep>>,
}

impl Socket {
    /// A socket which reads for at most `patience` what comes after a refusal.
    pub fn new(stream: TcpStream, course: Arc<Course>, patience: Duration) -> Self {
        Self { stream, course, patience, farewell: None }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.farewell.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.course.refused_body.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let farewell = this.farewell.get_or_insert_with(|| Farewell {
            bytes: DISCARD_MAX,
            end: Box::pin(sleep(this.patience)),
            pause: Box::pin(sleep(DISCARD_PAUSE)),
        });
        farewell.poll(&mut this.stream, cx).map(Ok)
    }
}

impl Farewell {
    /// Reads and throws away until the client has ended or the patience has.
    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = [0; 16 * 1024];
        loop {
            if self.end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.pause.as_mut().poll(cx),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    let count = buffer.filled().len();
                    self.bytes = self.bytes.saturating_sub(count);
                    if count == 0 || self.bytes == 0 {
                        return Poll::Ready(());
                    }
                    self.pause.set(sleep(DISCARD_PAUSE));
                }
            }
        }
    }
}
