//! How many items may be claimed at this moment, as a pure function of what was begun.
//!
//! Invariants: no more is claimed than can begin at once; in no stretch of the rate's time is more begun than it says;
//! and never more altogether than was allowed.

use crate::model::Timestamp;
use crate::outbound::{Rate, RateLimiter};

/// The most items that a claim can ask for.
const CLAIM_MAX: usize = 1_000;

/// What may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bite {
    /// So many items.
    Claim(usize),
    /// Nothing before this instant.
    Wait(Timestamp),
    /// Nothing as things stand.
    Nothing,
}

/// The bounds within which items are claimed.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: Option<Rate>,
    limiter: Option<RateLimiter>,
    /// How many items a command takes; one, unless it takes batches.
    batch: Option<usize>,
    /// How many may still begin.
    left: u64,
    /// How many of these may begin before somebody has looked at how the first went, while there is such a gate.
    before_gate: Option<u64>,
}

impl Pace {
    /// The bounds: a rate, how many items a command takes if it takes several, and how many may begin altogether.
    pub fn new(rate: Option<Rate>, batch: Option<usize>, most: Option<u64>) -> Self {
        let limiter = rate.map(RateLimiter::new);
        Self { rate, limiter, batch, left: most.unwrap_or(u64::MAX), before_gate: None }
    }

    /// Lets so many items through, and no more until [`Pace::open`].
    #[must_use]
    pub fn gated(mut self, items: u64) -> Self {
        self.before_gate = Some(items);
        self
    }

    /// Whether all have begun that may before the gate is opened, and there are more that could.
    pub fn at_gate(&self) -> bool {
        self.before_gate == Some(0) && self.left > 0
    }

    /// Lets everybody through from now on.
    pub fn open(&mut self) {
        self.before_gate = None;
    }

    /// What may be claimed now, while so many more commands could run.
    pub fn bite(&self, slots: usize, now: Timestamp) -> Bite {
        if slots == 0 {
            return Bite::Nothing;
        }
        let left = usize::try_from(self.left.min(self.before_gate.unwrap_or(u64::MAX))).unwrap_or(usize::MAX);
        let most = self.batch.unwrap_or(slots).min(left).min(CLAIM_MAX);
        if most == 0 {
            return Bite::Nothing;
        }
        let (Some(rate), Some(limiter)) = (self.rate, &self.limiter) else { return Bite::Claim(most) };
        // A batch waits until it can be as large as it may: many small ones are what batches are to avoid.
        let least = match self.batch {
            Some(_) => most.min(usize::try_from(rate.count).unwrap_or(usize::MAX)),
            None => 1,
        };
        match limiter.free_for(least) {
            later if later > now => Bite::Wait(later),
            _ => {
                let fits = |items: &usize| limiter.free_for(*items) <= now;
                Bite::Claim((least..=most).rev().find(fits).unwrap_or(least))
            }
        }
    }

    /// Takes note of items that begin now.
    pub fn begun(&mut self, items: usize, now: Timestamp) {
        if let Some(limiter) = &mut self.limiter {
            (0..items).for_each(|_| limiter.note(now));
        }
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(items);
        self.before_gate = self.before_gate.map(|before| before.saturating_sub(items));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000).after(Duration::from_millis(millis))
    }

    fn rate(text: &str) -> Option<Rate> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn without_bounds_all_that_can_run_is_claimed() {
        let pace = Pace::new(None, None, None);
        assert_eq!(pace.bite(4, at(0)), Bite::Claim(4));
        assert_eq!(pace.bite(0, at(0)), Bite::Nothing);
        assert_eq!(pace.bite(5_000, at(0)), Bite::Claim(CLAIM_MAX));
    }

    #[test]
    fn no_more_begin_than_are_allowed() {
        let mut pace = Pace::new(None, None, Some(5));
        pace.begun(3, at(0));
        assert_eq!(pace.bite(4, at(0)), Bite::Claim(2));
        pace.begun(2, at(0));
        assert_eq!(pace.bite(4, at(0)), Bite::Nothing);
        assert!(pace.left == 0 && !pace.at_gate());
    }

    #[test]
    fn a_gate_holds_until_it_is_opened_unless_nobody_is_left_behind_it() {
        let mut pace = Pace::new(None, None, Some(10)).gated(2);
        assert_eq!(pace.bite(4, at(0)), Bite::Claim(2));
        pace.begun(2, at(0));
        assert_eq!(pace.bite(4, at(0)), Bite::Nothing);
        assert!(pace.at_gate());
        pace.open();
        assert!(!pace.at_gate());
        assert_eq!(pace.bite(10, at(0)), Bite::Claim(8));
        let mut few = Pace::new(None, None, Some(2)).gated(2);
        few.begun(2, at(0));
        assert!(!few.at_gate());
    }

    #[test]
    fn a_rate_lets_through_what_has_room_and_says_when_there_is_more() {
        let mut pace = Pace::new(rate("3/s"), None, None);
        assert_eq!(pace.bite(8, at(0)), Bite::Claim(3));
        pace.begun(2, at(0));
        assert_eq!(pace.bite(8, at(100)), Bite::Claim(1));
        pace.begun(1, at(100));
        assert_eq!(pace.bite(8, at(200)), Bite::Wait(at(1_000)));
        assert_eq!(pace.bite(8, at(1_000)), Bite::Claim(2));
    }

    #[test]
    fn a_batch_is_as_large_as_it_may_be() {
        let mut pace = Pace::new(rate("30/s"), Some(20), Some(55));
        assert_eq!(pace.bite(1, at(0)), Bite::Claim(20));
        pace.begun(20, at(0));
        assert_eq!(pace.bite(1, at(0)), Bite::Wait(at(1_000)));
        pace.begun(20, at(1_000));
        assert_eq!(pace.bite(1, at(2_000)), Bite::Claim(15));
        let slow = Pace::new(rate("5/s"), Some(20), None);
        assert_eq!(slow.bite(1, at(0)), Bite::Claim(5));
    }

    proptest! {
        #[test]
        fn whatever_becomes_free_no_bound_is_broken_and_all_are_used(
            count in 1u32..20, most in 1u64..60, batch in prop::option::of(1usize..10),
            slots in prop::collection::vec((1usize..6, 0u64..300), 200),
        ) {
            let mut pace = Pace::new(Some(Rate { count, per: Duration::from_secs(1) }), batch, Some(most));
            let (mut now, mut begun) = (0, Vec::new());
            for (slots, wait) in slots {
                match pace.bite(slots, at(now)) {
                    Bite::Claim(items) => {
                        prop_assert!(items >= 1 && items <= batch.unwrap_or(slots));
                        pace.begun(items, at(now));
                        begun.extend(std::iter::repeat_n(now, items));
                    }
                    Bite::Wait(later) => now = u64::try_from(later.since(at(0)).as_millis()).unwrap(),
                    Bite::Nothing => prop_assert!(pace.left == 0),
                }
                now += wait;
            }
            prop_assert_eq!(begun.len() as u64, most);
            for last in &begun {
                let within = begun.iter().filter(|other| **other <= *last && *other + 1_000 > *last).count();
                prop_assert!(within <= count as usize);
            }
        }
    }
}
