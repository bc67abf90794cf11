//! Bodies: read whole, within limits of size, time and memory.
//!
//! Invariants:
//!
//! * A body that announces to be too large is refused before any of it is read; one that turns out to be, as soon as it
//!   does. None is ever cut short.
//! * All bodies that are held at once fit into one budget; what does not fit is refused with 503, not queued. One that
//!   asks for more than the whole budget gets the whole of it, when it is free.
//! * The budget is taken by what has come, not by what is announced: a client that announces much and sends nothing keeps
//!   nobody out.
//! * A body that arrives too slowly is refused with 408.
//! * After a refusal the rest of the body is not read here; the connection ends with the answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::budget::{Budget, Hold};
use super::problem::Problem;

/// The limits that bodies are read within.
#[derive(Clone)]
pub struct BodyLimits {
    budget: Budget,
    timeout: Duration,
}

/// A body, and the hold on the budget that lasts as long as it does.
pub struct Held {
    /// The bytes.
    pub bytes: Bytes,
    /// To be dropped when they are.
    pub hold: Hold,
}

impl BodyLimits {
    /// At most `buffered_max` bytes held at once, each body within `timeout`.
    pub fn new(buffered_max: u64, timeout: Duration) -> Self {
        Self { budget: Budget::new(buffered_max), timeout }
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
        let announced = announced_length(&parts.headers);
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(limit).hang_up());
        }
        let reading = self.collect(body, announced.unwrap_or_default(), limit, too_large);
        let read = tokio::time::timeout(self.timeout, reading).await;
        read.unwrap_or_else(|_| Err(self.too_slow())).map_err(Problem::hang_up)
    }

    async fn collect(
        &self,
        mut body: Body,
        announced: u64,
        limit: u64,
        too_large: fn(u64) -> Problem,
    ) -> Result<Held, Problem> {
        // What would not fit now is refused before it is sent.
        drop(self.hold(announced)?);
        let mut hold = self.hold(0)?;
        let growth_max = if announced == 0 { limit } else { announced };
        let mut bytes = BytesMut::new();
        while let Some(data) = next_data(&mut body).await? {
            let length = (bytes.len() + data.len()) as u64;
            if length > limit {
                return Err(too_large(limit));
            }
            self.grow(&mut hold, length, growth_max)?;
            // What came is a part of the connection's buffer, the whole of which it would keep.
            let room = usize::try_from(hold.bytes()).unwrap_or_default().saturating_sub(bytes.len());
            bytes.reserve(room);
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.freeze(), hold })
    }

    /// Holds that many bytes of the budget.
    ///
    /// # Errors
    /// When it is spent.
    pub fn hold(&self, bytes: u64) -> Result<Hold, Problem> {
        self.budget.try_hold(bytes).ok_or_else(spent)
    }

    /// Holds at least that many bytes from now on; see [`Hold::grow`].
    ///
    /// # Errors
    /// When the budget is spent.
    pub fn grow(&self, hold: &mut Hold, bytes: u64, limit: u64) -> Result<(), Problem> {
        if hold.grow(bytes, limit) { Ok(()) } else { Err(spent()) }
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
}

fn spent() -> Problem {
    Problem::overloaded("the bodies of other requests fill limits.buffered_max; try again in a moment")
        .retry_after(1)
}

/// How long a body says that it is.
pub fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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
                return Err(Problem::incomplete_body(format!("the body broke off: {error}")));
            }
        }
    }
}
