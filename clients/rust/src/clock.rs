//! The source of time, injected so that tests can move it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use warden_api::Timestamp;

/// A clock that never goes back. Only differences of its instants mean something.
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;

    /// Completes once [`Clock::now`] has reached this instant.
    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()>;
}

/// The clock of tokio. It stands still while the machine is suspended, so a lease may be over earlier than
/// it says; the daemon refuses what comes too late.
#[derive(Clone, Debug)]
pub struct SteadyClock {
    start: Instant,
}

impl SteadyClock {
    /// A clock that begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the rest of the crate is handed")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0).after(self.start.elapsed())
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        let until = self.start.checked_add(instant.since(Timestamp::from_millis(0)));
        Box::pin(async move {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                // Farther away than tokio can count.
                None => std::future::pending().await,
            }
        })
    }
}

/// This much before an instant.
pub(crate) fn before(instant: Timestamp, duration: Duration) -> Timestamp {
    instant.moved(-i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}
