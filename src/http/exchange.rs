//! An exchange: a request and its answer, from the head of the one to the last byte of the other.
//!
//! Invariants:
//!
//! * What an exchange keeps - its place among the requests in flight, its part of the budget of answers - it
//!   keeps until the socket has taken the whole answer, or the exchange is cut off. It travels with the
//!   bytes: every piece of the body holds the exchange, and whoever buffers a piece on its way out holds it
//!   too.
//! * Every piece that arrives or is taken counts as a move. An exchange that waits for its client and does
//!   not move is found by [`Exchange::quiet_ticks`].

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

/// How much of an answer is handed to HTTP/2 at once: a frame. It buffers a piece beyond what the client has
/// asked for.
const PIECE: usize = 16 * 1024;

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// The daemon.
    Working,
    /// The client, which is to send more of the request's body.
    Arriving,
    /// The client, if pieces of the answer are under way.
    Sending,
}

/// A request that is being answered.
pub struct Exchange {
    course: Arc<Course>,
    version: Version,
    phase: AtomicU8,
    /// Whether the request has been read as far as anybody wants to.
    read: AtomicBool,
    moves: AtomicU32,
    /// How many pieces of the answer are out of our hands but not with the socket.
    under_way: AtomicU32,
    taken: AtomicWaker,
    kept: Mutex<(Place, Option<Hold>)>,
    /// The stream's own task, where it has one.
    task: OnceLock<AbortHandle>,
    /// The watch's: what had moved when it last looked, and how often nothing had since.
    seen: AtomicU64,
    quiet: AtomicU32,
}

impl Exchange {
    /// One that begins with a request on that connection.
    pub fn begin(course: &Arc<Course>, version: Version) -> Arc<Self> {
        let exchange = Arc::new(Self {
            course: course.clone(),
            version,
            phase: AtomicU8::new(Phase::Working as u8),
            read: AtomicBool::new(false),
            moves: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            taken: AtomicWaker::new(),
            kept: Mutex::default(),
            task: OnceLock::new(),
            seen: AtomicU64::new(u64::MAX),
            quiet: AtomicU32::new(0),
        });
        course.began(&exchange, version);
        exchange
    }

    /// Keeps this until the answer has been taken.
    pub fn keep(&self, place: Place, hold: Option<Hold>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = (place, hold);
    }

    /// Cancelled when the client will send nothing more, and may have gone.
    pub fn gone(&self) -> &CancellationToken {
        self.course.gone()
    }

    /// The task that carries the exchange, so that it can be cut off alone.
    pub fn carried_by(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    /// Cuts the exchange off and gives back its place. What is buffered elsewhere goes with the connection.
    pub fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).0 = Place::default();
    }

    /// How many looks in a row, this one included, have found that the exchange waits for its client and
    /// nothing has moved. When the daemon is `stopping` it counts too that a request's body does not come, or that
    /// the rest of an answer waits for room: those that fill it may take nothing either.
    pub fn quiet_ticks(&self, stopping: bool) -> u32 {
        let phase = self.phase.load(Ordering::Relaxed);
        let sending = phase == Phase::Sending as u8;
        let under_way = self.under_way.load(Ordering::Relaxed) > 0;
        let waits = (sending && (under_way || stopping)) || (phase == Phase::Arriving as u8 && stopping);
        let written = if self.is_alone() { self.course.written() } else { 0 };
        let moves = written + u64::from(self.moves.load(Ordering::Relaxed));
        let moved = self.seen.swap(moves, Ordering::Relaxed) != moves;
        if !waits || moved {
            self.quiet.store(0, Ordering::Relaxed);
            return 0;
        }
        self.quiet.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the connection carries one exchange at a time.
    fn is_alone(&self) -> bool {
        self.version <= Version::HTTP_11
    }

    fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// The request has been read as far as anybody wants to.
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

/// The body of a request as it arrives.
pub struct Arriving<B> {
    inner: B,
    exchange: Arc<Exchange>,
    ended: bool,
}

impl<B: HttpBody> Arriving<B> {
    /// The body of that exchange's request.
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
    /// What is left of a piece of the body that is handed on frame by frame.
    rest: Bytes,
    /// Whether each piece waits until the one before it was taken.
    paced: bool,
}

impl<B: HttpBody<Data = Bytes>> Sending<B> {
    /// The body of that exchange's answer. With `paced` no more than a piece is under way at a time.
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
        self.exchange.under_way.fetch_add(1, Ordering::Relaxed);
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
            if self.exchange.under_way.load(Ordering::Acquire) > 0 {
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

/// A piece of an answer, until the socket has taken it.
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
        self.exchange.under_way.fetch_sub(1, Ordering::Release);
        self.exchange.taken.wake();
    }
}
