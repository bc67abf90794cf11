//! How long a daemon that does not answer is left alone before it is asked again.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait that nobody asked for: a daemon that is back should not stand idle for long.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest wait that a daemon can ask for.
const GRANTED_MAX: Duration = Duration::from_secs(30);

/// The waits between tries that fail one after the other.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// The waits from the first one on.
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait before the next try; `asked` is for how many seconds the daemon wants to be left alone.
    pub fn wait(&mut self, asked: Option<u64>) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        wait.max(Duration::from_secs(asked.unwrap_or(0)).min(GRANTED_MAX))
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
