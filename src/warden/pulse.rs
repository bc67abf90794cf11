//! Detects a hung loop: the loop publishes when its next iteration is due.
//!
//! Being late once is not hung, because the clock may have jumped or the machine slept. A loop is hung if the
//! same iteration is overdue at two checks in a row.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::model::Timestamp;

#[derive(Debug, Default)]
pub struct Pulse {
    turns: AtomicU64,
    due_at: AtomicI64,
}

/// The state of a pulse at a check.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    turns: u64,
    was_due: bool,
}

impl Pulse {
    /// Called in each iteration. `due_at` is when the next one is due at the latest.
    pub fn turn(&self, due_at: Timestamp) {
        self.due_at.store(due_at.as_millis(), Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the loop is hung, and the state for the next check.
    pub fn look(&self, before: Look, now: Timestamp) -> (bool, Look) {
        let turns = self.turns.load(Ordering::Relaxed);
        let was_due = self.due_at.load(Ordering::Relaxed) <= now.as_millis();
        let stuck = before.was_due && was_due && turns == before.turns;
        (stuck, Look { turns, was_due })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_loop_that_sleeps_until_its_time_is_well() {
        let pulse = Pulse::default();
        pulse.turn(Timestamp::MAX);
        let (stuck, look) = pulse.look(Look::default(), at(0));
        assert!(!stuck && !pulse.look(look, at(1_000_000)).0);
    }

    #[test]
    fn a_loop_that_does_not_turn_although_it_was_due_at_the_last_look_is_stuck() {
        let pulse = Pulse::default();
        pulse.turn(at(100));
        let (late, look) = pulse.look(Look::default(), at(500));
        assert!(!late, "it may have been woken this very moment");
        assert!(pulse.look(look, at(1000)).0);
        pulse.turn(at(1000));
        let (stuck, look) = pulse.look(look, at(1000));
        assert!(!stuck, "it has turned");
        assert!(pulse.look(look, at(1500)).0);
    }
}
