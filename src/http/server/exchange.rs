//! An exchange: a request and its response, from the first byte of the one to the last of the other.
//!
//! Invariants:
//!
//! * An exchange keeps its permit and its memory reservation until the socket has accepted the whole
//!   response, or the exchange is aborted. Each piece of the body holds a reference to the exchange, also
//!   while it is buffered.
//! * Each piece that is received or accepted counts as progress. An exchange that waits for its client
//!   without progress is detected by [`Exchange::quiet_ticks`].

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::HttpBody;
use axum::http::Version;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::body::{Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::budget::Hold;
use super::connection::Course;
use super::place::Place;

/// The bytes of a response passed to HTTP/2 at a time, a frame. HTTP/2 buffers one piece beyond the client's
/// window.
const PIECE: usize = 16 * 1024;

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Working,
    /// The client, for more of the request's body.
    Arriving,
    /// The client, if pieces of the response are in flight.
    Sending,
}

pub struct Exchange {
    course: Arc<Course>,
    version: Version,
    phase: AtomicU8,
    /// The request has been read as far as needed.
    read: AtomicBool,
    moves: AtomicU32,
    /// The pieces of the response that the socket has not accepted.
    in_flight: AtomicU32,
    taken: AtomicWaker,
    kept: Mutex<(Place, Option<Hold>)>,
    /// The stream's task in HTTP/2.
    task: OnceLock<AbortHandle>,
    /// The watch's state: the progress at the last check, and the number of checks without progress.
    seen: AtomicU64,
    quiet: AtomicU32,
}

impl Exchange {
    pub fn begin(course: &Arc<Course>, version: Version) -> Arc<Self> {
        let exchange = Arc::new(Self {
            course: course.clone(),
            version,
            phase: AtomicU8::new(Phase::Working as u8),
            read: AtomicBool::new(false),
            moves: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            taken: AtomicWaker::new(),
            kept: Mutex::default(),
            task: OnceLock::new(),
            seen: AtomicU64::new(u64::MAX),
            quiet: AtomicU32::new(0),
        });
        course.began(&exchange, version);
        exchange
    }

    /// Keeps the permit and the reservation until the response is sent.
    pub fn keep(&self, place: Place, hold: Option<Hold>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = (place, hold);
    }

    /// Cancelled when the client will send nothing more, and may have disconnected.
    pub fn gone(&self) -> &CancellationToken {
        self.course.gone()
    }

    /// Sets the task to abort.
    pub fn carried_by(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    /// Aborts the exchange and releases its permit. Memory that is buffered elsewhere is released with the
    /// connection.
    pub fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0 = Place::default();
    }

    /// The number of consecutive checks, including this one, at which the exchange waited for its client
    /// without progress. While `stopping`, waiting for a request's body counts, and so does waiting for the
    /// response budget, which may be held by clients that do not read.
    pub fn quiet_ticks(&self, stopping: bool) -> u32 {
        let phase = self.phase.load(Ordering::Relaxed);
        let sending = phase == Phase::Sending as u8;
        let in_flight = self.in_flight.load(Ordering::Relaxed) > 0;
        let waits = (sending && (in_flight || stopping)) || (phase == Phase::Arriving as u8 && stopping);
        let written = if self.is_alone() { self.course.written() } else { 0 };
        let moves = written + u64::from(self.moves.load(Ordering::Relaxed));
        let moved = self.seen.swap(moves, Ordering::Relaxed) != moves;
        if !waits || moved {
            self.quiet.store(0, Ordering::Relaxed);
            return 0;
        }
        self.quiet.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the connection carries one exchange at a time (HTTP/1).
    fn is_alone(&self) -> bool {
        self.version <= Version::HTTP_11
    }

    fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// The request has been read as far as needed.
    fn request_read(&self) {
        if !self.read.swap(true, Ordering::Relaxed) {
            self.course.request_read(self.version);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.request_read();
        self.course.ended(self.version);
    }
}

/// The body of a request.
pub struct Arriving<B> {
    inner: B,
    exchange: Arc<Exchange>,
    ended: bool,
}

impl<B: HttpBody> Arriving<B> {
    pub fn new(inner: B, exchange: Arc<Exchange>) -> Self {
        let ended = inner.is_end_stream();
        if ended {
            exchange.request_read();
        }
        Self { inner, exchange, ended }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let phase = if polled.is_pending() { Phase::Arriving } else { Phase::Working };
        self.exchange.phase.store(phase as u8, Ordering::Relaxed);
        let frame = ready!(polled);
        self.exchange.moved();
        if frame.is_none() || self.inner.is_end_stream() {
            self.ended = true;
            self.exchange.request_read();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        if !self.ended {
            self.exchange.course.body_left(self.exchange.version);
        }
        self.exchange.request_read();
    }
}

/// The body of an answer on its way out.
pub struct Sending<B> {
    inner: B,
    exchange: Arc<Exchange>,
    /// The rest of a chunk that is sent frame by frame.
    rest: Bytes,
    /// Send the next piece only when the last one was accepted.
    paced: bool,
}

impl<B: HttpBody<Data = Bytes>> Sending<B> {
    /// With `paced` at most one piece is in flight.
    pub fn new(inner: B, exchange: Arc<Exchange>, paced: bool) -> Self {
        exchange.phase.store(Phase::Sending as u8, Ordering::Relaxed);
        Self { inner, exchange, rest: Bytes::new(), paced }
    }

    fn piece(&mut self) -> Bytes {
        let whole = self.exchange.is_alone() && !self.paced;
        let length = if whole { self.rest.len() } else { self.rest.len().min(PIECE) };
        let bytes = self.rest.split_to(length);
        if self.rest.is_empty() {
            self.rest = Bytes::new();
        }
        self.exchange.in_flight.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Piece { bytes, exchange: self.exchange.clone() })
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Sending<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.paced {
            self.exchange.taken.register(cx.waker());
            if self.exchange.in_flight.load(Ordering::Acquire) > 0 {
                return Poll::Pending;
            }
        }
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)?) else {
                return Poll::Ready(None);
            };
            self.exchange.moved();
            match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(bytes) => self.rest = bytes,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.inner.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// A piece of a response, until the socket has accepted it.
struct Piece {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.exchange.moved();
        self.exchange.in_flight.fetch_sub(1, Ordering::Release);
        self.exchange.taken.wake();
    }
}
