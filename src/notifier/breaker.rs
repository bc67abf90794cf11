//! The circuit breaker of a receiver, as a pure function of its responses.
//!
//! Five consecutive failures, of any incidents, open the circuit. Then there is one attempt at a time, a
//! probe, after 5 s, 10 s, 20 s, 40 s, and then every minute, until one succeeds. Invariants:
//!
//! - An open circuit always has a time for the next probe: no receiver is given up.
//! - Any success closes it, whether of a probe or of an attempt that was in flight when it opened.
//! - The pause after a failed probe is never shorter than the one before it.
//!
//! Deliberately absent: what is sent as a probe, and when a delivery becomes dead, for which see
//! [`super::backoff`].

use std::time::Duration;

use crate::model::Timestamp;

/// The consecutive failures that open the circuit.
pub const FAILURES_MAX: u32 = 5;
/// The pause before the first probe; it doubles after each failed probe.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Closed at first.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Timestamp,
    probe_at: Timestamp,
    pause: Duration,
}

impl Breaker {
    /// Records a success. Returns whether it closed the circuit.
    pub fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.open.take().is_some()
    }

    /// Records a failure at `now` of an attempt that began at `began`. Returns whether it opened the circuit.
    pub fn failed(&mut self, began: Timestamp, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            None if self.failures < FAILURES_MAX => false,
            None => {
                self.open = Some(Open { since: now, probe_at: now.after(PAUSE_FIRST), pause: PAUSE_FIRST });
                true
            }
            // An attempt that was in flight when the circuit opened is no probe.
            Some(open) if began < open.probe_at => false,
            Some(open) => {
                open.pause = open.pause.saturating_mul(2).min(PAUSE_MAX);
                open.probe_at = now.after(open.pause);
                false
            }
        }
    }

    /// `None` while the circuit is closed.
    pub fn probe_at(&self) -> Option<Timestamp> {
        self.open.map(|open| open.probe_at)
    }

    /// `None` while the circuit is closed.
    pub fn open_since(&self) -> Option<Timestamp> {
        self.open.map(|open| open.since)
    }

    /// The failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// A breaker that has just opened, at the start.
    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            assert!(!breaker.failed(START, START));
            assert_eq!(breaker.probe_at(), None);
        }
        assert!(breaker.failed(START, START));
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_then_probes_come_ever_less_often_down_to_one_a_minute() {
        let mut breaker = open();
        assert_eq!(breaker.open_since(), Some(START));
        let mut now = START;
        for seconds in [5, 10, 20, 40, 60, 60, 60] {
            let probe_at = breaker.probe_at().unwrap();
            assert_eq!(probe_at.since(now), Duration::from_secs(seconds));
            assert!(!breaker.failed(probe_at, probe_at), "it opens once");
            now = probe_at;
        }
        assert_eq!((breaker.failures(), breaker.open_since()), (12, Some(START)));
    }

    #[test]
    fn a_success_in_between_begins_the_count_anew() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES_MAX {
                breaker.failed(START, START);
            }
            assert!(!breaker.succeeded(), "there was nothing to close");
        }
        assert_eq!((breaker.probe_at(), breaker.failures()), (None, 0));
    }

    #[test]
    fn a_success_closes_it_and_the_next_time_the_pauses_begin_anew() {
        let mut breaker = open();
        for _ in 0..5 {
            let probe_at = breaker.probe_at().unwrap();
            breaker.failed(probe_at, probe_at);
        }
        assert!(breaker.succeeded());
        assert_eq!((breaker.probe_at(), breaker.open_since(), breaker.failures()), (None, None, 0));
        assert_eq!(open().probe_at(), Some(START.after(PAUSE_FIRST)));
    }

    #[test]
    fn what_was_under_way_when_it_opened_does_not_make_the_pauses_grow() {
        let mut breaker = open();
        let probe_at = breaker.probe_at();
        for _ in 0..7 {
            breaker.failed(START, START.after(Duration::from_secs(15)));
        }
        assert_eq!((breaker.probe_at(), breaker.failures()), (probe_at, 12));
    }

    #[test]
    fn the_pause_is_counted_from_the_end_of_a_probe() {
        let mut breaker = open();
        let began = breaker.probe_at().unwrap();
        let ended = began.after(Duration::from_secs(15));
        breaker.failed(began, ended);
        assert_eq!(breaker.probe_at(), Some(ended.after(Duration::from_secs(10))));
    }

    proptest! {
        #[test]
        fn it_is_open_after_five_failures_and_until_a_success_and_never_without_a_next_probe(
            answers in prop::collection::vec((any::<bool>(), 0u64..100_000, 0u64..20_000), 1..200),
        ) {
            let mut breaker = Breaker::default();
            let mut now = START;
            let mut failures = 0;
            for (succeeds, wait, took) in answers {
                let began = now.after(Duration::from_millis(wait)).max(breaker.probe_at().unwrap_or(now));
                now = began.after(Duration::from_millis(took));
                if succeeds {
                    prop_assert_eq!(breaker.succeeded(), failures >= FAILURES_MAX);
                    failures = 0;
                } else {
                    failures += 1;
                    prop_assert_eq!(breaker.failed(began, now), failures == FAILURES_MAX);
                }
                prop_assert_eq!(breaker.failures(), failures);
                prop_assert_eq!(breaker.probe_at().is_some(), failures >= FAILURES_MAX);
                if let Some(probe_at) = breaker.probe_at() {
                    let pause = probe_at.since(now);
                    prop_assert!((PAUSE_FIRST..=PAUSE_MAX).contains(&pause), "{pause:?}");
                }
            }
        }
    }
}
