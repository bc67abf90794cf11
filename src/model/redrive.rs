//! The policy for sending overdue items automatically.

use std::sync::Arc;
use std::time::Duration;

use super::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// Scheme, host and port of the target; the rest may be secret.
    pub to: Arc<str>,
    /// How long an item must be overdue; also the pause after each attempt.
    pub after: Duration,
    /// The attempts at a step, by anybody, after which an item is not sent any more.
    pub max_attempts: u32,
}

impl Redrive {
    /// When an open item is to be sent that has this many attempts at its step, can be claimed from `free_at`
    /// on, and has this deadline in steady time. `None` after its last attempt.
    pub fn due_at(&self, attempts: u32, free_at: Timestamp, deadline: Timestamp) -> Option<Timestamp> {
        (attempts < self.max_attempts).then(|| deadline.after(self.after).max(free_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_due_some_time_after_its_deadline_and_when_nobody_holds_it() {
        let at = Timestamp::from_millis;
        let redrive = Redrive { to: "".into(), after: Duration::from_millis(500), max_attempts: 2 };
        for (attempts, free_at, due_at) in [
            (0, Timestamp::MIN, Some(at(1_500))),
            (1, at(1_200), Some(at(1_500))),
            (1, at(9_000), Some(at(9_000))),
            (2, Timestamp::MIN, None),
            (3, Timestamp::MIN, None),
        ] {
            assert_eq!(
                redrive.due_at(attempts, free_at, at(1_000)),
                due_at,
                "{attempts} attempts, free at {free_at}"
            );
        }
    }
}
