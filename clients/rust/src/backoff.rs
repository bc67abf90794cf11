//! The waits between the tries of a request.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait, unless the daemon asks for more. Short, so that work resumes soon after an outage.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest wait that the daemon can ask for.
const GRANTED_MAX: Duration = Duration::from_secs(30);

/// The waits between consecutive failures: 100 ms at first, then twice as long each time, up to 5 s.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// Before the first failure.
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait before the next try. `asked` is the daemon's `Retry-After` in seconds, which is honoured up
    /// to 30 s.
    pub fn wait(&mut self, asked: Option<u64>) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait.max(Duration::from_secs(asked.unwrap_or(0)).min(GRANTED_MAX))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_a_daemon_may_ask_for_longer_ones_within_another() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..8).map(|_| backoff.wait(None).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(Backoff::new().wait(Some(7)), Duration::from_secs(7));
        assert_eq!(Backoff::new().wait(Some(u64::MAX)), GRANTED_MAX);
        assert_eq!(Backoff::new().wait(Some(0)), FIRST);
    }
}
