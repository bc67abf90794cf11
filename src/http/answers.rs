//! Answers in memory: they fit into one budget, however many clients do not take theirs.
//!
//! Invariants:
//!
//! * An answer of more than [`SMALL`] bytes has its part of the budget before it is sent, and until it is.
//!   Smaller ones are bounded by the requests in flight.
//! * What is made piece by piece gets its part before each piece is made, and waits for it: others are cut
//!   off when they take nothing (`limits.write_timeout`), so the wait has an end.

use std::io;
use std::time::Duration;

use axum::body::HttpBody;
use axum::http::Extensions;
use axum::response::Response;

use super::budget::{Budget, Hold};
use super::problem::Problem;

/// The largest answer that is not counted, in bytes.
pub const SMALL: u64 = 16 * 1024;
/// What the record of an item is taken to need in memory, in bytes; progress and errors may make it more.
pub const RECORD: u64 = 4 * 1024;

/// The budget of answers.
pub struct Answers {
    budget: Budget,
    patience: Duration,
}

/// That the body of an answer has its part of the budget already.
#[derive(Clone, Copy)]
struct Counted;

impl Answers {
    /// At most `answers_max` bytes at once. Whoever waits for room does so for twice as long as a client may
    /// take nothing.
    pub fn new(answers_max: u64, write_timeout: Duration) -> Self {
        Self { budget: Budget::new(answers_max), patience: write_timeout.saturating_mul(2) }
    }

    /// What the answer takes of the budget; nothing if it is small, or has its part already.
    ///
    /// # Errors
    /// When the budget is spent.
    pub fn admit(&self, response: &Response) -> Result<Option<Hold>, Problem> {
        match response.body().size_hint().exact() {
            Some(size) if size > SMALL && response.extensions().get::<Counted>().is_none() => {
                self.try_hold(size).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Takes so many bytes of the budget.
    ///
    /// # Errors
    /// When they are not free.
    pub fn try_hold(&self, bytes: u64) -> Result<Hold, Problem> {
        self.budget.try_hold(bytes).ok_or_else(spent)
    }

    /// Takes so many bytes as soon as they are free. Nothing of the budget may be held meanwhile.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn hold(&self, bytes: u64) -> io::Result<Hold> {
        let held = tokio::time::timeout(self.patience, self.budget.hold(bytes)).await;
        held.ok()
            .flatten()
            .ok_or_else(|| io::Error::other("other answers that are not taken fill limits.answers_max"))
    }
}

/// Marks an answer whose body has its part of the budget.
pub fn counted(extensions: &mut Extensions) {
    extensions.insert(Counted);
}

/// The refusal of a request whose answer finds no room.
pub fn spent() -> Problem {
    let detail = "answers that their clients do not take fill limits.answers_max; a change that was asked \
                  for may have been made; try again in a moment";
    Problem::overloaded(detail).retry_after(1)
}
