//! The outlook of an incident comes true.

use std::time::Duration;

use proptest::prelude::*;

use super::super::policy::decide;
use super::super::policy::tests::{items, key, policy};
use super::*;
use crate::incident::Decision;
use crate::model::{Action, ActionKind, AlertPolicy, IncidentId};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// An incident, and the silences that match it.
struct Story {
    policy: AlertPolicy,
    silences: Vec<(i64, i64)>,
    last: Option<Incident>,
}

impl Story {
    fn begin(silences: &[(i64, i64)]) -> Self {
        Self { policy: policy(), silences: silences.to_vec(), last: None }
    }

    fn judge<T>(&self, now: i64, judge: impl FnOnce(&Circumstances<'_>) -> T) -> T {
        let silence = |at: Timestamp| {
            let holds = |(from, until): &&(i64, i64)| (*from..*until).contains(&at.as_millis());
            let until = self.silences.iter().filter(holds).map(|(_, until)| *until).max();
            until.map(Timestamp::from_millis)
        };
        let now = Timestamp::from_millis(now);
        judge(&Circumstances {
            policy: &self.policy,
            silence: &silence,
            successor: None,
            is_failing: &|_| false,
            now,
        })
    }

    /// Decides at an instant with this many items. Returns the outlook after that.
    fn at(&mut self, now: i64, count: u64) -> (Option<Decision>, Outlook) {
        let id = || IncidentId("inc_1".into());
        let decision = self.judge(now, |circumstances| {
            decide(self.last.as_ref(), &key(), &items(&[("", count)]), circumstances, id)
        });
        self.last = decision.as_ref().map(|decision| decision.incident.clone()).or(self.last.take());
        let ahead =
            self.last.as_ref().map(|last| self.judge(now, |circumstances| outlook(last, circumstances)));
        (decision, ahead.unwrap_or_default())
    }

    fn sees(&mut self, now: i64, count: u64, next: Option<i64>, waiting_for: Option<WaitingFor>) {
        let (_, outlook) = self.at(now, count);
        let expected = Outlook { next_told_at: next.map(Timestamp::from_millis), waiting_for };
        assert_eq!(outlook, expected, "at {now}");
    }
}

#[test]
fn a_new_incident_waits_for_the_group_wait_and_then_for_nothing_but_its_reminder() {
    let mut story = Story::begin(&[]);
    story.sees(0, 1, Some(10 * SECOND), Some(WaitingFor::GroupWait));
    story.sees(10 * SECOND, 1, Some(10 * SECOND + 4 * HOUR), None);
    story.sees(MINUTE, 5, Some(10 * SECOND + 5 * MINUTE), Some(WaitingFor::GroupInterval));
    story.sees(2 * MINUTE, 0, None, None);
}

#[test]
fn an_incident_that_flaps_waits_for_the_damping() {
    let mut story = Story::begin(&[]);
    for minute in 0..4 {
        story.at(minute * MINUTE, 1);
        if minute < 3 {
            story.sees(
                minute * MINUTE + 10 * SECOND,
                1,
                Some(minute * MINUTE + 10 * SECOND + 4 * HOUR),
                None,
            );
            story.at(minute * MINUTE + 30 * SECOND, 0);
        }
    }
    let next = 2 * MINUTE + 30 * SECOND + 5 * MINUTE;
    story.sees(3 * MINUTE, 1, Some(next), Some(WaitingFor::Damping));
    story.sees(next, 1, Some(next + 4 * HOUR), None);
}

#[test]
fn silences_hold_back_what_falls_into_them_one_after_the_other() {
    let mut story = Story::begin(&[(5 * SECOND, MINUTE), (MINUTE, HOUR), (2 * HOUR, 3 * HOUR)]);
    story.sees(0, 1, Some(HOUR), Some(WaitingFor::Silence));
    story.sees(MINUTE, 1, Some(HOUR), Some(WaitingFor::Silence));
    story.sees(HOUR, 1, Some(5 * HOUR), None);
}

#[test]
fn a_silence_that_ends_before_anything_is_due_holds_nothing_back() {
    let mut story = Story::begin(&[(0, 5 * SECOND)]);
    story.sees(0, 1, Some(10 * SECOND), Some(WaitingFor::GroupWait));
}

#[test]
fn a_snooze_holds_back_until_it_ends_and_what_ends_last_is_named() {
    let mut story = Story::begin(&[(5 * HOUR, 6 * HOUR)]);
    story.at(0, 1);
    story.at(10 * SECOND, 1);
    let mut snooze = |hours: i64| {
        let kind = ActionKind::Snooze { until: Timestamp::from_millis(hours * HOUR) };
        let at = Timestamp::from_millis(MINUTE);
        story.last.as_mut().unwrap().record_action(Action { kind, by: "kim".into(), at, comment: None });
        story.at(MINUTE, 1).1
    };
    let seen = |hours: i64, waiting_for| Outlook {
        next_told_at: Some(Timestamp::from_millis(hours * HOUR)),
        waiting_for: Some(waiting_for),
    };
    assert_eq!(snooze(5), seen(6, WaitingFor::Silence));
    assert_eq!(snooze(7), seen(7, WaitingFor::Snooze));
    assert_eq!(
        snooze(3),
        Outlook { next_told_at: Some(Timestamp::from_millis(4 * HOUR + 10 * SECOND)), waiting_for: None }
    );
}

#[test]
fn of_a_snooze_and_a_silence_that_end_together_the_snooze_is_named() {
    let mut story = Story::begin(&[(MINUTE, HOUR)]);
    story.at(0, 1);
    story.at(10 * SECOND, 1);
    story.policy.repeat_interval = Duration::from_secs(20);
    let kind = ActionKind::Snooze { until: Timestamp::from_millis(HOUR) };
    let at = Timestamp::from_millis(10 * SECOND);
    story.last.as_mut().unwrap().record_action(Action { kind, by: "kim".into(), at, comment: None });
    story.sees(20 * SECOND, 1, Some(HOUR), Some(WaitingFor::Snooze));
    story.sees(2 * MINUTE, 1, Some(HOUR), Some(WaitingFor::Snooze));
}

#[test]
fn nobody_to_tell_is_nothing_ahead() {
    let mut story = Story::begin(&[]);
    story.policy.receivers.clear();
    story.sees(0, 1, None, None);
    story.sees(HOUR, 1, None, None);
}

proptest! {
    #[test]
    fn people_are_told_when_it_was_said_and_not_before(
        changes in prop::collection::vec((0_i64..90, 0_u64..20), 1..12),
        silences in prop::collection::vec((0_i64..900, 1_i64..300), 0..4),
        snooze in prop::option::of((0_usize..12, 1_i64..600)),
        repeat in 60_u64..900,
    ) {
        let silences: Vec<_> =
            silences.into_iter().map(|(from, lasts)| (from * SECOND, (from + lasts) * SECOND)).collect();
        let mut story = Story::begin(&silences);
        story.policy.repeat_interval = Duration::from_secs(repeat);
        story.policy.flapping.damping = Duration::from_secs(90);
        let mut now = 0;
        for (index, (seconds, count)) in changes.into_iter().enumerate() {
            let mut ahead = story.at(now, count).1;
            if let Some((_, lasts)) = snooze.filter(|(at, _)| *at == index)
                && let Some(incident) = story.last.as_mut().filter(|last| last.status == IncidentStatus::Open)
            {
                let until = Timestamp::from_millis(now + lasts * SECOND);
                let kind = ActionKind::Snooze { until };
                let at = Timestamp::from_millis(now);
                incident.record_action(Action { kind, by: "kim".into(), at, comment: None });
                ahead = story.at(now, count).1;
            }
            for _ in 0..seconds {
                now += SECOND;
                let (decision, next) = story.at(now, count);
                let is_told = decision.is_some_and(|decision| !decision.dispatches.is_empty());
                let is_due = ahead.next_told_at.is_some_and(|at| at.as_millis() <= now);
                prop_assert_eq!(is_told, is_due, "at {}, with {:?} ahead", now, ahead);
                prop_assert!(is_told || next == ahead, "at {now} {next:?} lies ahead, and it was {ahead:?}");
                ahead = next;
            }
        }
    }
}
