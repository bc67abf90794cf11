//! The wheel against a plain map of deadlines, with random calls.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::assert_sound;
use super::*;

/// Few numbers, so that most calls meet one that has a deadline.
const NUMBERS: u64 = 48;
const TWENTY_YEARS: i64 = 20 * 366 * 24 * 3_600_000;

#[derive(Clone, Copy, Debug)]
enum Time {
    /// Milliseconds from now; negative ones have passed.
    FromNow(i64),
    /// Milliseconds from the next multiple of 64 to the power of `level`.
    FromBorder {
        level: u32,
        offset: i64,
    },
    At(i64),
}

#[derive(Clone, Debug)]
enum Step {
    Schedule { number: u64, deadline: Time },
    Cancel { number: u64 },
    Advance { to: Time, limit: usize },
    AdvanceToNextDeadline { limit: usize },
}

impl Time {
    fn after(self, now: i64) -> i64 {
        match self {
            Self::FromNow(offset) => now.saturating_add(offset),
            Self::FromBorder { level, offset } => {
                let width = 64_i64.pow(level);
                now.div_euclid(width).saturating_add(1).saturating_mul(width).saturating_add(offset)
            }
            Self::At(time) => time,
        }
    }
}

fn times() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => (-100_i64..200).prop_map(Time::FromNow),
        3 => (-5_000_i64..300_000).prop_map(Time::FromNow),
        2 => (0..TWENTY_YEARS).prop_map(Time::FromNow),
        5 => (0_u32..8, -2_i64..3).prop_map(|(level, offset)| Time::FromBorder { level, offset }),
        1 => prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(Time::At),
    ]
}

/// Mostly times that are not the end of time.
fn times_to_advance_to() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => (0_i64..200).prop_map(Time::FromNow),
        1 => (-TWENTY_YEARS..0).prop_map(Time::FromNow),
        20 => times().prop_filter("not the end of time", |time| !matches!(time, Time::At(_))),
    ]
}

fn starts() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 1_700_000_000_000_i64..1_900_000_000_000,
        // Around the year 2109, where 64 to the power of 7 milliseconds have passed since the epoch.
        1 => (1_i64 << 42) - 10_000..(1 << 42) + 10_000,
        1 => -10_000_i64..10_000,
        1 => any::<i64>(),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let limit = || prop_oneof![0_usize..4, 4_usize..40, Just(usize::MAX)];
    prop_oneof![
        8 => (0..NUMBERS, times()).prop_map(|(number, deadline)| Step::Schedule { number, deadline }),
        2 => (0..NUMBERS).prop_map(|number| Step::Cancel { number }),
        3 => (times_to_advance_to(), limit()).prop_map(|(to, limit)| Step::Advance { to, limit }),
        2 => limit().prop_map(|limit| Step::AdvanceToNextDeadline { limit }),
    ]
}

/// A tag that tells a number, and the deadline for which it was scheduled.
fn tag(number: u64, deadline: i64) -> u32 {
    (deadline.unsigned_abs().wrapping_mul(31) ^ number) as u32
}

/// The wheel, and a model of it.
struct Pair {
    wheel: TimerWheel,
    /// Each number's deadline, and whether it was in the future when it was scheduled.
    deadlines: BTreeMap<u64, (i64, bool)>,
    /// The time that the wheel has reached or, while incomplete, is advancing to.
    now: i64,
    /// Whether the last advance was complete.
    done: bool,
    /// The latest deadline returned that was in the future when it was scheduled.
    latest: i64,
}

impl Pair {
    fn new(now: i64) -> Self {
        Self { wheel: TimerWheel::new(now), deadlines: BTreeMap::new(), now, done: true, latest: i64::MIN }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Schedule { number, deadline } => self.schedule(number, deadline.after(self.now)),
            Step::Cancel { number } => {
                let tag = self.deadlines.remove(&number).map(|(deadline, _)| tag(number, deadline));
                assert_eq!(self.wheel.cancel(number), tag);
            }
            Step::Advance { to, limit } => self.advance(to.after(self.now), limit),
            Step::AdvanceToNextDeadline { limit } => {
                self.advance(self.wheel.next_deadline().unwrap_or(self.now), limit);
            }
        }
        self.check();
    }

    fn schedule(&mut self, number: u64, deadline: i64) {
        let before = self.wheel.schedule(number, deadline, tag(number, deadline));
        let known = self.deadlines.insert(number, (deadline, deadline > self.now));
        assert_eq!(before, known.map(|(deadline, _)| tag(number, deadline)));
    }

    fn advance(&mut self, to: i64, limit: usize) {
        let mut due = Vec::new();
        // Exact, unless the last advance was incomplete.
        let before = if self.done { self.now } else { milliseconds(self.wheel.reached) };
        self.now = to.max(before);
        self.done = self.wheel.advance(to, limit, &mut due);
        assert!(due.len() <= limit);
        for Due { number, deadline_ms, tag: tagged } in due {
            let (deadline, was_ahead) =
                self.deadlines.remove(&number).expect("only what is scheduled is due");
            assert_eq!((deadline_ms, tagged), (deadline, tag(number, deadline)));
            assert!(deadline <= self.now, "{number} came {} ms early", deadline.abs_diff(self.now));
            if was_ahead {
                assert!(self.latest <= deadline, "{number} came after a later one");
                self.latest = deadline;
            }
        }
        if self.done {
            let forgotten = self.deadlines.iter().find(|(_, (deadline, _))| *deadline <= self.now);
            assert_eq!(forgotten, None, "due at {}", self.now);
        }
    }

    fn check(&self) {
        assert_sound(&self.wheel);
        assert_eq!(self.wheel.len(), self.deadlines.len());
        for number in 0..NUMBERS {
            assert_eq!(
                self.wheel.deadline(number),
                self.deadlines.get(&number).map(|(deadline, _)| *deadline)
            );
        }
        let earliest = self.deadlines.values().map(|(deadline, _)| *deadline).min();
        let (next, earliest) = match (self.wheel.next_deadline(), earliest) {
            (Some(next), Some(earliest)) => (next, earliest),
            (next, earliest) => return assert_eq!(next, earliest),
        };
        assert!(next <= earliest.max(self.now), "{next} is after {earliest}, now {}", self.now);
        if self.done && earliest <= self.now {
            assert_eq!(next, self.now, "what has passed is due at once");
        }
        if self.done && earliest > self.now {
            assert!(next > self.now, "{next} is no later than now, {}", self.now);
            if earliest.div_euclid(64) == self.now.div_euclid(64) {
                assert_eq!(next, earliest);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_wheel_hands_over_what_a_sorted_map_would(
        start in starts(),
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let mut pair = Pair::new(start);
        for step in &steps {
            pair.take(step);
        }
        pair.advance(i64::MAX, usize::MAX);
        pair.check();
        prop_assert!(pair.done && pair.wheel.is_empty());
    }

    #[test]
    fn advancing_from_deadline_to_deadline_hands_over_each_at_its_millisecond(
        start in starts(),
        deadlines in prop::collection::btree_map(0..NUMBERS, times(), 0..40),
        limit in 1_usize..10,
    ) {
        let mut wheel = TimerWheel::new(start);
        let mut expected: BTreeMap<u64, i64> = BTreeMap::new();
        for (number, deadline) in deadlines {
            let deadline = deadline.after(start);
            wheel.schedule(number, deadline, 0);
            expected.insert(number, deadline.max(start));
        }
        let mut rounds = expected.len() * LEVELS;
        while let Some(now) = wheel.next_deadline() {
            let mut due = Vec::new();
            let _interrupted = !wheel.advance(now, limit, &mut due);
            rounds = rounds.checked_sub(1).expect("every round moves a timer");
            for Due { number, .. } in due {
                prop_assert_eq!(expected.remove(&number), Some(now));
            }
        }
        prop_assert!(expected.is_empty());
    }
}
