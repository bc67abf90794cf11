//! Bodies: read whole, within limits of size, time and memory.
//!
//! Invariants:
//!
//! * A body that announces to be too large is refused before any of it is kept; one that turns out to be, as soon as it
//!   does. None is ever cut short.
//! * All bodies that are held at once fit into one budget; what does not fit is refused with 503, not queued.
//! * A body that arrives too slowly is refused with 408.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// The budget is counted in blocks of this many bytes.
const BLOCK: u64 = 1024;
/// How much of a refused body is read and thrown away, so that a client which sends before it listens gets to hear the
/// refusal instead of a broken connection; in bytes.
const DISCARD_MAX: u64 = 128 * 1024 * 1024;

/// The limits that bodies are read within.
#[derive(Clone)]
pub struct BodyLimits {
    budget: Arc<Semaphore>,
    timeout: Duration,
}

/// A body, and the hold on the budget that lasts as long as it does.
pub struct Held {
    /// The bytes.
    pub bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl BodyLimits {
    /// At most `buffered_max` bytes held at once, each body within `timeout`.
    pub fn new(buffered_max: u64, timeout: Duration) -> Self {
        let blocks = usize::try_from(buffered_max.div_ceil(BLOCK)).unwrap_or(Semaphore::MAX_PERMITS);
        Self { budget: Arc::new(Semaphore::new(blocks.min(Semaphore::MAX_PERMITS))), timeout }
    }

    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is too large, too slow, incomplete, or does not fit into the budget.
    pub async fn read(
        &self,
        parts: &Parts,
        body: Body,
        limit: u64,
        too_large: fn(u64) -> Problem,
    ) -> Result<Held, Problem> {
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > limit) {
            // A client that waits for permission has sent nothing yet.
            if !parts.headers.contains_key(EXPECT) {
                self.discard(body).await;
            }
            return Err(too_large(limit));
        }
        match tokio::time::timeout(self.timeout, self.collect(body, announced, limit, too_large)).await {
            Ok(result) => result,
            Err(_) => Err(self.too_slow()),
        }
    }

    async fn collect(
        &self,
        mut body: Body,
        announced: Option<u64>,
        limit: u64,
        too_large: fn(u64) -> Problem,
    ) -> Result<Held, Problem> {
        let mut permit = self.hold(announced.unwrap_or_default())?;
        let mut held = announced.unwrap_or_default();
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(data) = next_data(&mut body).await? {
            let length = (first.len() + rest.len() + data.len()) as u64;
            if length > limit {
                self.discard(body).await;
                return Err(too_large(limit));
            }
            if length > held {
                let more = length.max(held.saturating_mul(2)) - held;
                permit.merge(self.hold(more)?);
                held += more;
            }
            // Most bodies come in one piece, which is kept as it is.
            if first.is_empty() && rest.is_empty() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.reserve(usize::try_from(held).unwrap_or_default());
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.freeze() };
        Ok(Held { bytes, _permit: permit })
    }

    /// Holds that many bytes of the budget.
    ///
    /// # Errors
    /// When it is spent.
    pub fn hold(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        self.budget.clone().try_acquire_many_owned(blocks).map_err(|_| {
            Problem::overloaded(
                "the bodies of other requests fill limits.buffered_max; try again in a moment",
            )
            .retry_after(1)
        })
    }

    /// How long a body may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The refusal of a body that took longer.
    pub fn too_slow(&self) -> Problem {
        let allowed = humantime::format_duration(self.timeout);
        Problem::body_timeout(format!("the body did not arrive within the {allowed} of limits.body_timeout"))
    }

    /// Reads what a client is still sending, keeps nothing of it, and gives up on clients that go on for ever.
    pub async fn discard(&self, mut body: Body) {
        let drain = async {
            let mut seen = 0;
            while let Ok(Some(data)) = next_data(&mut body).await {
                seen += data.len() as u64;
                if seen > DISCARD_MAX {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(self.timeout, drain).await;
    }
}

/// The next piece of a body; nothing at its end.
///
/// # Errors
/// When the body broke off.
pub async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                // Trailers are no data.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(Problem::incomplete_body(format!(
                    "the body broke off: {error}; nothing was stored"
                )));
            }
        }
    }
}
