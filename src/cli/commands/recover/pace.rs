//! How many items may be claimed now, as a pure function of the items that began; and whether to continue
//! after the canary.
//!
//! Invariants: no more items are claimed than can begin at once; the rate holds in every window of its
//! period; the total limit is never exceeded.

use warden_api::limit::CLAIM_MAX;

use crate::cli::commands::worker::report::Counts;
use crate::model::Timestamp;
use crate::outbound::{Rate, RateLimiter};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// At most this many items.
    Claim(usize),
    /// None before this time.
    Wait(Timestamp),
    /// None until something changes.
    Nothing,
}

/// The limits for claiming items.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: Option<Rate>,
    limiter: Option<RateLimiter>,
    /// Items for one run of the command, if it takes batches.
    batch: Option<usize>,
    /// The items that may still begin.
    left: u64,
    /// The items that may begin before the canary is judged; `None` without a canary.
    before_gate: Option<u64>,
}

impl Pace {
    /// `batch` is the number of items for one run of the command, `most` the limit of items in total.
    pub fn new(rate: Option<Rate>, batch: Option<usize>, most: Option<u64>) -> Self {
        let limiter = rate.map(RateLimiter::new);
        Self { rate, limiter, batch, left: most.unwrap_or(u64::MAX), before_gate: None }
    }

    /// Allows this many items until [`Pace::open`].
    #[must_use]
    pub fn gated(mut self, items: u64) -> Self {
        self.before_gate = Some(items);
        self
    }

    /// Whether all items of the canary have begun, and others may follow.
    pub fn at_gate(&self) -> bool {
        self.before_gate == Some(0) && self.left > 0
    }

    /// Ends the canary.
    pub fn open(&mut self) {
        self.before_gate = None;
    }

    /// The items that may be claimed while `slots` more commands can run.
    pub fn allowance(&self, slots: usize, now: Timestamp) -> Allowance {
        if slots == 0 {
            return Allowance::Nothing;
        }
        let left = usize::try_from(self.left.min(self.before_gate.unwrap_or(u64::MAX))).unwrap_or(usize::MAX);
        let most = self.batch.unwrap_or(slots).min(left).min(CLAIM_MAX);
        if most == 0 {
            return Allowance::Nothing;
        }
        let (Some(rate), Some(limiter)) = (self.rate, &self.limiter) else { return Allowance::Claim(most) };
        // A batch waits until it can be full, as batches are to avoid many small runs.
        let least = match self.batch {
            Some(_) => most.min(usize::try_from(rate.count).unwrap_or(usize::MAX)),
            None => 1,
        };
        match limiter.free_for(least) {
            later if later > now => Allowance::Wait(later),
            _ => {
                let fits = |items: &usize| limiter.free_for(*items) <= now;
                Allowance::Claim((least..=most).rev().find(fits).unwrap_or(least))
            }
        }
    }

    /// Records items that begin now.
    pub fn begun(&mut self, items: usize, now: Timestamp) {
        if let Some(limiter) = &mut self.limiter {
            (0..items).for_each(|_| limiter.note(now));
        }
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(items);
        self.before_gate = self.before_gate.map(|before| before.saturating_sub(items));
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryDecision {
    Continue,
    /// For this reason.
    Stop(String),
    /// With this question.
    Ask(String),
}

/// `rest` is the expected number of remaining items.
pub fn judge_canary(first: Counts, rest: Option<u64>, is_interactive: bool) -> CanaryDecision {
    let done = first.done;
    let items = first.items();
    if is_interactive && rest != Some(0) {
        let others = match rest {
            Some(rest) => format!("the other {rest}"),
            None => "the rest".to_owned(),
        };
        return CanaryDecision::Ask(format!("{done} of the first {items} are done. Go on with {others}?"));
    }
    if done == items {
        CanaryDecision::Continue
    } else {
        CanaryDecision::Stop(format!("stopped after the canary: only {done} of the first {items} are done"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::cli::commands::worker::report::Ending;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000).after(Duration::from_millis(millis))
    }

    fn rate(text: &str) -> Option<Rate> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn without_bounds_all_that_can_run_is_claimed() {
        let pace = Pace::new(None, None, None);
        assert_eq!(pace.allowance(4, at(0)), Allowance::Claim(4));
        assert_eq!(pace.allowance(0, at(0)), Allowance::Nothing);
        assert_eq!(pace.allowance(5_000, at(0)), Allowance::Claim(CLAIM_MAX));
    }

    #[test]
    fn no_more_begin_than_are_allowed() {
        let mut pace = Pace::new(None, None, Some(5));
        pace.begun(3, at(0));
        assert_eq!(pace.allowance(4, at(0)), Allowance::Claim(2));
        pace.begun(2, at(0));
        assert_eq!(pace.allowance(4, at(0)), Allowance::Nothing);
        assert!(pace.left == 0 && !pace.at_gate());
    }

    #[test]
    fn a_gate_holds_until_it_is_opened_unless_nobody_is_left_behind_it() {
        let mut pace = Pace::new(None, None, Some(10)).gated(2);
        assert_eq!(pace.allowance(4, at(0)), Allowance::Claim(2));
        pace.begun(2, at(0));
        assert_eq!(pace.allowance(4, at(0)), Allowance::Nothing);
        assert!(pace.at_gate());
        pace.open();
        assert!(!pace.at_gate());
        assert_eq!(pace.allowance(10, at(0)), Allowance::Claim(8));
        let mut few = Pace::new(None, None, Some(2)).gated(2);
        few.begun(2, at(0));
        assert!(!few.at_gate());
    }

    #[test]
    fn a_rate_lets_through_what_has_room_and_says_when_there_is_more() {
        let mut pace = Pace::new(rate("3/s"), None, None);
        assert_eq!(pace.allowance(8, at(0)), Allowance::Claim(3));
        pace.begun(2, at(0));
        assert_eq!(pace.allowance(8, at(100)), Allowance::Claim(1));
        pace.begun(1, at(100));
        assert_eq!(pace.allowance(8, at(200)), Allowance::Wait(at(1_000)));
        assert_eq!(pace.allowance(8, at(1_000)), Allowance::Claim(2));
    }

    #[test]
    fn a_batch_is_as_large_as_it_may_be() {
        let mut pace = Pace::new(rate("30/s"), Some(20), Some(55));
        assert_eq!(pace.allowance(1, at(0)), Allowance::Claim(20));
        pace.begun(20, at(0));
        assert_eq!(pace.allowance(1, at(0)), Allowance::Wait(at(1_000)));
        pace.begun(20, at(1_000));
        assert_eq!(pace.allowance(1, at(2_000)), Allowance::Claim(15));
        let slow = Pace::new(rate("5/s"), Some(20), None);
        assert_eq!(slow.allowance(1, at(0)), Allowance::Claim(5));
    }

    fn counts(endings: &[Ending]) -> Counts {
        let mut counts = Counts::default();
        endings.iter().for_each(|ending| counts.count(*ending));
        counts
    }

    #[test]
    fn where_nobody_is_there_it_goes_on_only_if_all_are_done() {
        let done = counts(&[Ending::Done, Ending::Done]);
        assert_eq!(judge_canary(done, Some(7), false), CanaryDecision::Continue);
        for bad in [Ending::Failed, Ending::Retry, Ending::Lost, Ending::Skipped] {
            let told = "stopped after the canary: only 1 of the first 2 are done".to_owned();
            assert_eq!(
                judge_canary(counts(&[Ending::Done, bad]), Some(7), false),
                CanaryDecision::Stop(told)
            );
        }
    }

    #[test]
    fn whoever_is_there_decides_and_is_told_what_there_is_to_decide() {
        let counts = counts(&[Ending::Done, Ending::Failed]);
        let asked = |text: &str| CanaryDecision::Ask(text.to_owned());
        let question = "1 of the first 2 are done. Go on with the other 7?";
        assert_eq!(judge_canary(counts, Some(7), true), asked(question));
        let question = "1 of the first 2 are done. Go on with the rest?";
        assert_eq!(judge_canary(counts, None, true), asked(question));
        assert!(
            matches!(judge_canary(counts, Some(0), true), CanaryDecision::Stop(_)),
            "there is nothing to ask about"
        );
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
                match pace.allowance(slots, at(now)) {
                    Allowance::Claim(items) => {
                        prop_assert!(items >= 1 && items <= batch.unwrap_or(slots));
                        pace.begun(items, at(now));
                        begun.extend(std::iter::repeat_n(now, items));
                    }
                    Allowance::Wait(later) => now = u64::try_from(later.since(at(0)).as_millis()).unwrap(),
                    Allowance::Nothing => prop_assert!(pace.left == 0),
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
