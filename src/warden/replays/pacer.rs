//! When the next item may be sent, as a pure function of earlier sends.
//!
//! The generic cell rate algorithm on a virtual time: the number of items that could have been sent since the
//! start, which also covers the ramp-up. Invariants:
//!
//! * In any interval at most as many items are sent as the rate allows in it, plus [`CATCH_UP`] at the full
//!   rate, plus one.
//! * An item that keeps within that is never delayed.
//! * Capacity that was unused for longer than [`CATCH_UP`] is lost: there is no burst after a pause.

use std::time::Duration;

use crate::model::Timestamp;

/// How much unused capacity can be made up for, in seconds at the full rate, because loops and disks are
/// sometimes late.
const CATCH_UP: f64 = 0.05;
/// The rounding error to tolerate, in items.
const TOLERANCE: f64 = 1e-6;

/// The rate limiter of one replay.
#[derive(Clone, Debug)]
pub struct Pacer {
    max_per_second: f64,
    /// In seconds.
    ramp_up: f64,
    started_at: Timestamp,
    /// The next item may be sent when this many items could have been sent since the start.
    next: f64,
}

impl Pacer {
    /// The rate grows from zero to `max_per_second` during `ramp_up`, beginning now.
    pub fn new(max_per_second: f64, ramp_up: Duration, now: Timestamp) -> Self {
        Self { max_per_second, ramp_up: ramp_up.as_secs_f64(), started_at: now, next: 0.0 }
    }

    /// When the next item may be sent.
    pub fn free_at(&self) -> Timestamp {
        let seconds = self.seconds_for(self.next - TOLERANCE);
        self.started_at.after(Duration::from_millis((seconds * 1000.0).ceil() as u64))
    }

    /// An item is sent now.
    pub fn sent(&mut self, now: Timestamp) {
        let possible = self.possible_by(now);
        self.next = self.next.max(possible - self.max_per_second * CATCH_UP) + 1.0;
    }

    /// The last item was not sent after all.
    pub fn take_back(&mut self) {
        self.next = (self.next - 1.0).max(0.0);
    }

    /// How many items could have been sent by then.
    fn possible_by(&self, now: Timestamp) -> f64 {
        let seconds = now.since(self.started_at).as_secs_f64();
        if seconds < self.ramp_up {
            self.max_per_second * seconds * seconds / (2.0 * self.ramp_up)
        } else {
            self.max_per_second * (seconds - self.ramp_up / 2.0)
        }
    }

    /// The inverse of [`Pacer::possible_by`], in seconds after the start.
    fn seconds_for(&self, items: f64) -> f64 {
        let items = items.max(0.0);
        if items < self.max_per_second * self.ramp_up / 2.0 {
            (2.0 * self.ramp_up * items / self.max_per_second).sqrt()
        } else {
            items / self.max_per_second + self.ramp_up / 2.0
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn at(millis: u64) -> Timestamp {
        START.after(Duration::from_millis(millis))
    }

    /// The send times of a sender that is never late, in milliseconds from the start.
    fn sent(pacer: &mut Pacer, count: usize) -> Vec<i64> {
        let mut now = START;
        let mut send = || {
            now = now.max(pacer.free_at());
            pacer.sent(now);
            now.as_millis() - START.as_millis()
        };
        (0..count).map(|_| send()).collect()
    }

    #[test]
    fn items_are_sent_at_even_intervals() {
        assert_eq!(sent(&mut Pacer::new(4.0, Duration::ZERO, START), 5), [0, 250, 500, 750, 1000]);
        assert_eq!(sent(&mut Pacer::new(0.01, Duration::ZERO, START), 3), [0, 100_000, 200_000]);
        let many = sent(&mut Pacer::new(10_000.0, Duration::ZERO, START), 100_001);
        assert_eq!(many[100_000], 10_000);
    }

    #[test]
    fn the_rate_grows_from_nothing_to_its_maximum() {
        let sent = sent(&mut Pacer::new(10.0, Duration::from_secs(10), START), 200);
        let within = |from: i64, to: i64| sent.iter().filter(|at| (from..to).contains(*at)).count();
        let seconds: Vec<usize> = (0..11).map(|second| within(second * 1000, second * 1000 + 1000)).collect();
        // Half an item, one and a half, two and a half and so on; the first is sent at once.
        assert_eq!(seconds, [1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 10]);
    }

    #[test]
    fn after_a_stop_little_is_made_up_for() {
        let mut pacer = Pacer::new(100.0, Duration::ZERO, START);
        sent(&mut pacer, 10);
        let mut made_up_for = 0;
        while pacer.free_at() <= at(3_600_000) {
            pacer.sent(at(3_600_000));
            made_up_for += 1;
        }
        assert_eq!(made_up_for, 6);
    }

    #[test]
    fn what_was_not_sent_after_all_may_be_sent_at_once() {
        let mut pacer = Pacer::new(1.0, Duration::ZERO, START);
        pacer.sent(START);
        assert_eq!(pacer.free_at(), at(1_000));
        pacer.take_back();
        assert_eq!(pacer.free_at(), START);
        pacer.take_back();
        assert_eq!(pacer.free_at(), START);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_holds_more_than_the_rate_and_nobody_waits_for_nothing(
            rate in 0.01f64..10_000.0, ramp_up in prop_oneof![Just(0u64), 1u64..100_000],
            waits in prop::collection::vec(prop_oneof![Just(0u64), 0u64..50, 0u64..100_000], 1..200),
        ) {
            let mut pacer = Pacer::new(rate, Duration::from_millis(ramp_up), START);
            let possible = |pacer: &Pacer, millis: u64| pacer.possible_by(at(millis));
            let mut sent: Vec<u64> = Vec::new();
            let mut now = 0;
            for wait in waits {
                now += wait;
                let free = pacer.free_at();
                if free > at(now) {
                    // As many as could have been sent since an earlier item was sent.
                    let ahead = sent.iter().rev().zip(1u32..).any(|(since, count)| {
                        f64::from(count) + TOLERANCE >= possible(&pacer, now) - possible(&pacer, *since)
                    });
                    prop_assert!(ahead, "an item was delayed that is within the rate");
                    now = u64::try_from(free.as_millis() - START.as_millis()).unwrap();
                }
                prop_assert!(pacer.free_at() <= at(now));
                pacer.sent(at(now));
                sent.push(now);
            }
            for (position, first) in sent.iter().enumerate() {
                for (count, last) in (1u32..).zip(&sent[position..]) {
                    let allowed = possible(&pacer, *last) - possible(&pacer, *first) + rate * CATCH_UP + 1.0;
                    let tolerance = 2.0 * TOLERANCE * f64::from(count) + TOLERANCE;
                    prop_assert!(f64::from(count) <= allowed + tolerance);
                }
            }
        }

        #[test]
        fn what_is_possible_by_an_instant_is_possible_then(
            rate in 0.01f64..10_000.0, ramp_up in 0u64..100_000, items in 0.0f64..1e7,
        ) {
            let pacer = Pacer { next: items, ..Pacer::new(rate, Duration::from_millis(ramp_up), START) };
            let free = pacer.free_at();
            prop_assert!(pacer.possible_by(free) + 2.0 * TOLERANCE >= items);
            let before = free.moved(-1);
            prop_assert!(before < START || pacer.possible_by(before) <= items);
        }
    }
}
