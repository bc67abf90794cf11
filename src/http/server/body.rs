//! Request bodies, read whole within limits of size, time and memory.
//!
//! Invariants:
//!
//! * A body with a `Content-Length` over the limit is rejected before it is read; any other as soon as it
//!   exceeds the limit. None is truncated.
//! * All bodies in memory fit into one budget. If it is exhausted the request gets 503 and is not queued. A
//!   body larger than the whole budget gets all of it, when it is free.
//! * The budget counts received bytes, not announced ones: a client that announces much and sends nothing
//!   blocks no others.
//! * A body that arrives too slowly gets 408.
//! * After a rejection the rest of the body is not read here, and the connection is closed with the response.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::budget::{Budget, Hold};
use crate::http::problem::Problem;

#[derive(Clone)]
pub struct BodyLimits {
    budget: Budget,
    timeout: Duration,
}

/// A body with its memory reservation.
pub struct Held {
    pub bytes: Bytes,
    /// Drop it together with the bytes.
    pub hold: Hold,
}

impl BodyLimits {
    /// `buffered_max` is the most bytes of all bodies in memory, `timeout` the limit for each.
    pub fn new(buffered_max: u64, timeout: Duration) -> Self {
        Self { budget: Budget::new(buffered_max), timeout }
    }

    /// Reads a body of at most `limit` bytes.
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
        // A body that does not fit now is rejected before the client sends it.
        if !self.budget.has(announced) {
            return Err(spent());
        }
        let mut hold = self.budget.nothing();
        let growth_max = if announced == 0 { limit } else { announced };
        let mut bytes = Vec::new();
        while let Some(data) = next_data(&mut body).await? {
            let length = (bytes.len() + data.len()) as u64;
            if length > limit {
                return Err(too_large(limit));
            }
            self.grow(&mut hold, length, growth_max)?;
            // The received data is a slice of the connection's buffer and would keep all of it alive, so it
            // is copied.
            let room = usize::try_from(hold.bytes().min(growth_max)).unwrap_or_default();
            bytes.reserve_exact(room.max(bytes.len() + data.len()) - bytes.len());
            bytes.extend_from_slice(&data);
        }
        // The store keeps the payload in memory, so excess capacity is released.
        bytes.shrink_to_fit();
        Ok(Held { bytes: bytes.into(), hold })
    }

    /// Reserves memory.
    pub fn hold(&self, bytes: u64) -> Result<Hold, Problem> {
        self.budget.try_hold(bytes).ok_or_else(spent)
    }

    /// Grows a reservation to at least that many bytes; see [`Hold::grow`].
    pub fn grow(&self, hold: &mut Hold, bytes: u64, limit: u64) -> Result<(), Problem> {
        if hold.grow(bytes, limit) { Ok(()) } else { Err(spent()) }
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub fn too_slow(&self) -> Problem {
        let allowed = humantime::format_duration(self.timeout);
        Problem::body_timeout(format!("the body did not arrive within the {allowed} of limits.body_timeout"))
    }
}

fn spent() -> Problem {
    Problem::overloaded("the bodies of other requests fill limits.buffered_max; try again later")
        .retry_after(1)
}

/// The `Content-Length`.
pub fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The next chunk of a body; `None` at its end.
pub async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                // Trailers are ignored.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(error)) => {
                return Err(Problem::incomplete_body(format!("the body is incomplete: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use futures_util::{StreamExt, stream};

    use super::*;

    const LIMIT: u64 = 1 << 20;

    async fn read(limits: &BodyLimits, request: Request<Body>) -> Result<Held, Problem> {
        let (parts, body) = request.into_parts();
        limits.read(&parts, body, LIMIT, |_| Problem::payload_too_large("it is too large")).await
    }

    fn pieces(length: usize, count: usize) -> Body {
        let piece = Bytes::from(vec![b'a'; length]);
        Body::from_stream(stream::iter(vec![piece; count]).map(Ok::<_, std::io::Error>))
    }

    #[tokio::test]
    async fn a_body_takes_no_more_memory_than_it_is_long() {
        let limits = BodyLimits::new(LIMIT, Duration::from_secs(1));
        for (length, count) in [(1, 1), (100, 1), (1500, 7), (16 * 1024, 20)] {
            for announced in [true, false] {
                let mut request = Request::new(pieces(length, count));
                if announced {
                    request.headers_mut().insert(CONTENT_LENGTH, (length * count).into());
                }
                let Held { bytes, hold } =
                    read(&limits, request).await.unwrap_or_else(|problem| panic!("{}", problem.slug()));
                assert_eq!(bytes.len(), length * count);
                assert!(hold.bytes() >= bytes.len() as u64);
                let room = bytes.try_into_mut().expect("nobody else has it").capacity();
                assert_eq!(room, length * count, "announced: {announced}");
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_is_announced_and_would_not_fit_is_refused_before_it_comes() {
        let limits = BodyLimits::new(LIMIT, Duration::from_secs(1));
        let held = limits.hold(LIMIT - 1024);
        assert!(held.is_ok(), "it is free");
        let mut request = Request::new(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
        request.headers_mut().insert(CONTENT_LENGTH, 1025.into());
        let refused = read(&limits, request).await.err().expect("it does not fit");
        assert_eq!(refused.slug(), "overloaded");
    }
}
