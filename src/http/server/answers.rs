//! The memory budget of responses, whatever the number of slow clients.
//!
//! Invariants:
//!
//! * A response of more than [`SMALL`] bytes reserves its size before it is sent, until the client has taken
//!   it. Smaller ones are bounded by the requests in flight.
//! * A streamed response reserves each piece before creating it, and waits if necessary. The wait is bounded,
//!   because clients that read nothing are disconnected (`limits.write_timeout`).

use std::io;
use std::time::Duration;

use axum::body::HttpBody;
use axum::http::Extensions;
use axum::response::Response;

use super::budget::{Budget, Hold};
use crate::http::problem::Problem;

/// In bytes. Smaller responses are not counted.
pub const SMALL: u64 = 16 * 1024;
/// The assumed size of an item's record in memory, in bytes; progress and errors may make it larger.
pub const RECORD: u64 = 4 * 1024;

pub struct Answers {
    budget: Budget,
    patience: Duration,
}

/// Marks a response that has reserved its size already.
#[derive(Clone, Copy)]
struct Counted;

impl Answers {
    /// Waiting for the budget times out after twice the write timeout.
    pub fn new(answers_max: u64, write_timeout: Duration) -> Self {
        Self { budget: Budget::new(answers_max), patience: write_timeout.saturating_mul(2) }
    }

    /// Reserves the size of a response, unless it is small or has done so.
    pub fn admit(&self, response: &Response) -> Result<Option<Hold>, Problem> {
        match response.body().size_hint().exact() {
            Some(size) if size > SMALL && response.extensions().get::<Counted>().is_none() => {
                self.try_hold(size).map(Some)
            }
            _ => Ok(None),
        }
    }

    pub fn try_hold(&self, bytes: u64) -> Result<Hold, Problem> {
        self.budget.try_hold(bytes).ok_or_else(spent)
    }

    /// Waits for a reservation. The caller must not hold another one meanwhile.
    pub async fn hold(&self, bytes: u64) -> io::Result<Hold> {
        let held = tokio::time::timeout(self.patience, self.budget.hold(bytes)).await;
        held.ok().flatten().ok_or_else(|| {
            io::Error::other("responses that other clients do not read fill limits.answers_max")
        })
    }
}

/// Marks a response that has reserved its size.
pub fn counted(extensions: &mut Extensions) {
    extensions.insert(Counted);
}

/// The problem if the budget is exhausted.
pub fn spent() -> Problem {
    let detail = "responses that clients do not read fill limits.answers_max; a requested change may have \
        been made; try again later";
    Problem::overloaded(detail).retry_after(1)
}
