//! The policy as stories: what is observed when, and what must follow.

mod endings;
mod flapping;

use std::time::Duration;

use super::*;
use crate::model::{Action, ActionKind, Escalation, Flapping, Group, IncidentKind, Severity, WorkflowName};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The defaults of the configuration, and two receivers.
pub(in crate::incident) fn policy() -> AlertPolicy {
    AlertPolicy {
        group_wait: Duration::from_secs(10),
        group_interval: Duration::from_secs(300),
        flapping: Flapping { after: 3, window: Duration::from_secs(1800), damping: Duration::from_secs(300) },
        repeat_interval: Duration::from_secs(4 * 3600),
        grow_factor: 2.0,
        receivers: vec!["oncall".into(), "chat".into()],
        escalate: Vec::new(),
        fallback: Vec::new(),
        group_by: Vec::new(),
        severity: Severity::Critical,
        runbook_url: None,
    }
}

/// Items by step; the empty name stands for items without one.
pub(in crate::incident) fn items(by_step: &[(&str, u64)]) -> Observation {
    let by_step: BTreeMap<Arc<str>, u64> = by_step
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(step, count)| (Arc::from(*step), *count))
        .collect();
    let count = by_step.values().sum();
    let oldest_deadline = (count > 0).then_some(Timestamp::from_millis(0));
    Observation { count, oldest_deadline, by_step, ..Observation::default() }
}

fn many(count: u64) -> Observation {
    items(&[("", count)])
}

pub(in crate::incident) fn key() -> IncidentKey {
    let workflow = WorkflowName::new("uploads").unwrap();
    IncidentKey { workflow, kind: IncidentKind::Overdue, group: Group::new() }
}

/// An incident over time.
struct Story {
    policy: AlertPolicy,
    last: Option<Incident>,
    opened: u32,
    silenced: bool,
    successor: Option<Successor>,
    failing: Vec<&'static str>,
}

impl Story {
    fn begin(policy: AlertPolicy) -> Self {
        Self { policy, last: None, opened: 0, silenced: false, successor: None, failing: Vec::new() }
    }

    fn at(&mut self, now: i64, observation: &Observation) -> Option<Decision> {
        let opened = &mut self.opened;
        let id = || {
            *opened += 1;
            IncidentId(format!("inc_{opened}").into())
        };
        let silenced = self.silenced;
        let circumstances = Circumstances {
            policy: &self.policy,
            silence: &|_| silenced.then_some(Timestamp::MAX),
            successor: self.successor.as_ref(),
            is_failing: &|name| self.failing.contains(&name),
            now: Timestamp::from_millis(now),
        };
        let decision = decide(self.last.as_ref(), &key(), observation, &circumstances, id)?;
        self.last = Some(decision.incident.clone());
        Some(decision)
    }

    /// The notifications at `now`: events and receivers.
    fn told(&mut self, now: i64, observation: &Observation) -> Vec<(Event, Vec<String>)> {
        let decision = self.at(now, observation);
        let names = |receivers: Vec<Arc<str>>| receivers.iter().map(ToString::to_string).collect();
        let dispatches = decision.map(|decision| decision.dispatches).unwrap_or_default();
        dispatches.into_iter().map(|dispatch| (dispatch.event, names(dispatch.receivers))).collect()
    }

    fn act(&mut self, now: i64, kind: ActionKind) {
        let at = Timestamp::from_millis(now);
        self.last.as_mut().unwrap().record_action(Action { kind, by: "kim".into(), at, comment: None });
    }

    /// Goes through lines of (time, observation, event, wake-up), in milliseconds.
    fn goes(&mut self, lines: &[(i64, Observation, Option<Event>, Option<i64>)]) {
        for (now, observation, event, wake_at) in lines {
            let decision = self.at(*now, observation);
            let told: Vec<Event> = decision
                .iter()
                .flat_map(|decision| decision.dispatches.iter().map(|dispatch| dispatch.event))
                .collect();
            assert_eq!(told, event.iter().copied().collect::<Vec<_>>(), "at {now}, seeing {observation:?}");
            let asked_again = decision.and_then(|decision| decision.wake_at).map(Timestamp::as_millis);
            assert_eq!(asked_again, *wake_at, "at {now}, seeing {observation:?}");
        }
    }
}

/// The only notification of a decision.
fn only(decision: Option<Decision>) -> Dispatch {
    let mut dispatches = decision.unwrap().dispatches;
    assert_eq!(dispatches.len(), 1, "{dispatches:?}");
    dispatches.remove(0)
}

#[test]
fn nothing_follows_from_nothing() {
    assert_eq!(Story::begin(policy()).at(0, &many(0)), None);
}

#[test]
fn an_incident_is_told_once_it_has_gathered_for_the_group_wait() {
    Story::begin(policy()).goes(&[
        (0, many(1), None, Some(10 * SECOND)),
        (10 * SECOND - 1, many(5), None, Some(10 * SECOND)),
        (10 * SECOND, many(7), Some(Event::Opened), Some(10 * SECOND + 4 * HOUR)),
    ]);
}

#[test]
fn an_incident_that_is_attended_late_is_told_at_once() {
    Story::begin(policy())
        .goes(&[(0, many(1), None, Some(10 * SECOND)), (HOUR, many(1), Some(Event::Opened), Some(5 * HOUR))]);
}

#[test]
fn without_a_group_wait_an_incident_is_told_as_it_opens() {
    let mut story = Story::begin(AlertPolicy { group_wait: Duration::ZERO, ..policy() });
    story.goes(&[(0, many(1), Some(Event::Opened), Some(4 * HOUR))]);
}

#[test]
fn an_incident_that_ends_within_the_group_wait_wakes_nobody_and_is_committed_all_the_same() {
    let mut story = Story::begin(policy());
    assert!(story.at(0, &many(3)).unwrap().commit);
    let end = story.at(10 * SECOND - 1, &many(0)).unwrap();
    assert_eq!(end.dispatches, []);
    assert!(end.commit);
    assert_eq!(end.wake_at, None);
    assert_eq!(end.incident.status, IncidentStatus::Resolved);
    assert_eq!(end.incident.resolved_at, Some(Timestamp::from_millis(10 * SECOND - 1)));
    assert_eq!((end.incident.count, end.incident.peak), (0, 3));
}

#[test]
fn everybody_who_was_told_is_told_of_the_end() {
    let mut story = Story::begin(policy());
    story
        .goes(&[(0, many(1), None, Some(10 * SECOND)), (HOUR, many(1), Some(Event::Opened), Some(5 * HOUR))]);
    story.policy.receivers = vec!["new".into()];
    let end = only(story.at(2 * HOUR, &many(0)));
    assert_eq!(end, Dispatch { event: Event::Resolved, receivers: vec!["chat".into(), "oncall".into()] });
}

#[test]
fn a_receiver_that_joined_by_a_reminder_is_told_of_the_end_too() {
    let mut story = Story::begin(policy());
    story
        .goes(&[(0, many(1), None, Some(10 * SECOND)), (HOUR, many(1), Some(Event::Opened), Some(5 * HOUR))]);
    story.policy.receivers = vec!["new".into()];
    let reminder = only(story.at(5 * HOUR, &many(1)));
    assert_eq!(reminder, Dispatch { event: Event::Reminder, receivers: vec!["new".into()] });
    let end = only(story.at(6 * HOUR, &many(0)));
    assert_eq!(end.receivers, ["chat".into(), "new".into(), "oncall".into()]);
}

#[test]
fn an_incident_without_receivers_lives_and_ends_in_silence() {
    let mut story = Story::begin(AlertPolicy { receivers: Vec::new(), ..policy() });
    story.at(0, &many(1)).unwrap();
    let later = story.at(10 * SECOND, &many(1)).unwrap();
    assert_eq!((later.dispatches, later.wake_at, later.incident.notified_at), (Vec::new(), None, None));
    let end = story.at(20 * SECOND, &many(0)).unwrap();
    assert_eq!((end.dispatches, end.commit), (Vec::new(), true));
}

#[test]
fn the_first_receiver_of_an_open_incident_is_told_from_the_beginning() {
    let mut story = Story::begin(AlertPolicy { receivers: Vec::new(), ..policy() });
    story.at(0, &many(1)).unwrap();
    story.policy.receivers = vec!["new".into()];
    let dispatch = only(story.at(HOUR, &many(1)));
    assert_eq!(dispatch, Dispatch { event: Event::Opened, receivers: vec!["new".into()] });
}

#[test]
fn a_while_after_its_end_the_next_item_opens_another_incident() {
    let mut story = Story::begin(policy());
    let first = story.at(0, &many(1)).unwrap().incident.id;
    story.at(SECOND, &many(0)).unwrap();
    let now = SECOND + 5 * MINUTE;
    let second = story.at(now, &many(1)).unwrap();
    assert_ne!(second.incident.id, first);
    assert_eq!(second.incident.opened_at, Timestamp::from_millis(now));
    assert_eq!((second.incident.peak, second.wake_at), (1, Some(Timestamp::from_millis(now + 10 * SECOND))));
}

#[test]
fn growth_is_told_when_the_count_reached_the_factor_but_not_before_the_interval_has_passed() {
    let told = 10 * SECOND;
    let reminder = Some(told + 4 * HOUR);
    let growth = Some(told + 5 * MINUTE);
    Story::begin(policy()).goes(&[
        (0, many(10), None, Some(told)),
        (told, many(10), Some(Event::Opened), reminder),
        (told + SECOND, many(19), None, reminder),
        (told + MINUTE, many(20), None, growth),
        (told + 2 * MINUTE, many(19), None, reminder),
        (told + 3 * MINUTE, many(25), None, growth),
        (told + 5 * MINUTE - 1, many(25), None, growth),
        (told + 5 * MINUTE, many(25), Some(Event::Grown), Some(told + 5 * MINUTE + 4 * HOUR)),
        (told + HOUR, many(49), None, Some(told + 5 * MINUTE + 4 * HOUR)),
        (told + HOUR, many(50), Some(Event::Grown), Some(told + 5 * HOUR)),
    ]);
}

#[test]
fn a_step_that_was_not_told_yet_is_growth_however_few_its_items_are() {
    let told = 10 * SECOND;
    let mut story = Story::begin(policy());
    story.goes(&[
        (0, items(&[("copy", 10)]), None, Some(told)),
        (told, items(&[("copy", 10)]), Some(Event::Opened), Some(told + 4 * HOUR)),
        (told + SECOND, items(&[("copy", 9), ("backup", 1)]), None, Some(told + 5 * MINUTE)),
        (
            told + 5 * MINUTE,
            items(&[("copy", 9), ("backup", 1)]),
            Some(Event::Grown),
            Some(told + 5 * MINUTE + 4 * HOUR),
        ),
        (told + HOUR, items(&[("copy", 10)]), None, Some(told + 5 * MINUTE + 4 * HOUR)),
        (told + 2 * HOUR, items(&[("backup", 10)]), None, Some(told + 5 * MINUTE + 4 * HOUR)),
    ]);
}

#[test]
fn an_incident_that_goes_on_is_recalled_every_repeat_interval() {
    let told = 10 * SECOND;
    Story::begin(policy()).goes(&[
        (0, many(5), None, Some(told)),
        (told, many(5), Some(Event::Opened), Some(told + 4 * HOUR)),
        (told + 4 * HOUR - 1, many(5), None, Some(told + 4 * HOUR)),
        (told + 4 * HOUR, many(5), Some(Event::Reminder), Some(told + 8 * HOUR)),
        (told + 8 * HOUR, many(1), Some(Event::Reminder), Some(told + 12 * HOUR)),
    ]);
}

#[test]
fn a_reminder_does_not_wait_for_a_longer_interval_of_growth() {
    let day = Duration::from_secs(86_400);
    let mut story = Story::begin(AlertPolicy { group_interval: day, ..policy() });
    let told = 10 * SECOND;
    story.goes(&[
        (0, many(1), None, Some(told)),
        (told, many(1), Some(Event::Opened), Some(told + 4 * HOUR)),
        (told + HOUR, many(100), None, Some(told + 4 * HOUR)),
        (told + 4 * HOUR, many(100), Some(Event::Reminder), Some(told + 8 * HOUR)),
    ]);
}

#[test]
fn what_was_missed_for_a_day_is_told_once() {
    let told = 10 * SECOND;
    Story::begin(policy()).goes(&[
        (0, many(1), None, Some(told)),
        (told, many(1), Some(Event::Opened), Some(told + 4 * HOUR)),
        (24 * HOUR, many(1), Some(Event::Reminder), Some(28 * HOUR)),
    ]);
}

#[test]
fn only_what_opens_tells_or_ends_is_written() {
    let mut story = Story::begin(policy());
    let commits: Vec<bool> = [(0, 1), (5, 2), (10, 3), (15, 100), (310, 100), (400, 50), (500, 0)]
        .map(|(seconds, count)| story.at(seconds * SECOND, &many(count)).unwrap().commit)
        .into();
    assert_eq!(commits, [true, false, true, false, true, false, true]);
}

#[test]
fn an_incident_with_ever_new_steps_stays_small() {
    let mut story = Story::begin(policy());
    let mut grown = 0;
    for round in 0..100 {
        let names: Vec<String> = (0..32).map(|step| format!("{round}-{step}-{}", "x".repeat(100))).collect();
        let steps: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let decision = story.at(round * 10 * MINUTE, &items(&steps)).unwrap();
        grown += decision.dispatches.iter().filter(|dispatch| dispatch.event == Event::Grown).count();
        assert!(decision.incident.notified_steps.len() <= STEPS_TOLD_MAX);
    }
    assert!((1..10).contains(&grown), "told of growth {grown} times");
}

#[test]
fn a_silence_holds_back_what_is_told_when_it_ends() {
    let mut story = Story::begin(policy());
    story.silenced = true;
    story.goes(&[
        (0, many(1), None, Some(10 * SECOND)),
        (10 * SECOND, many(1), None, None),
        (HOUR, many(5), None, None),
    ]);
    story.silenced = false;
    assert_eq!(story.told(2 * HOUR, &many(5)), [(Event::Opened, vec!["oncall".into(), "chat".into()])]);
    story.silenced = true;
    story.goes(&[(7 * HOUR, many(5), None, None)]);
    story.silenced = false;
    assert_eq!(story.told(8 * HOUR, &many(5))[0].0, Event::Reminder);
    assert_eq!(story.told(9 * HOUR, &many(5)), []);
}

#[test]
fn what_nothing_was_held_back_of_is_not_recalled_when_a_silence_ends() {
    let mut story = Story::begin(policy());
    story.told(0, &many(1));
    story.told(10 * SECOND, &many(1));
    story.silenced = true;
    story.told(MINUTE, &many(1));
    story.silenced = false;
    assert_eq!(story.told(2 * MINUTE, &many(1)), []);
}

#[test]
fn the_end_is_told_through_a_silence_to_those_who_heard_of_the_beginning() {
    let mut story = Story::begin(policy());
    story.told(0, &many(1));
    story.told(10 * SECOND, &many(1));
    story.silenced = true;
    assert_eq!(story.told(MINUTE, &many(0))[0].0, Event::Resolved);
    let mut story = Story::begin(policy());
    story.silenced = true;
    story.told(0, &many(1));
    story.told(10 * SECOND, &many(1));
    assert_eq!(story.told(MINUTE, &many(0)), []);
}

#[test]
fn a_snooze_is_quiet_until_it_ends_and_recalls_then() {
    let mut story = Story::begin(AlertPolicy { repeat_interval: Duration::from_secs(600), ..policy() });
    story.told(0, &many(1));
    story.told(10 * SECOND, &many(1));
    story.act(MINUTE, ActionKind::Snooze { until: Timestamp::from_millis(31 * MINUTE) });
    story.goes(&[
        (MINUTE, many(1), None, Some(10 * SECOND + 10 * MINUTE)),
        (11 * MINUTE, many(100), None, Some(31 * MINUTE)),
        (31 * MINUTE, many(100), Some(Event::Reminder), Some(41 * MINUTE)),
    ]);
}

fn escalating() -> AlertPolicy {
    let level = |minutes: u64, name: &str| Escalation {
        after: Duration::from_secs(60 * minutes),
        receivers: vec![name.into()],
    };
    AlertPolicy { escalate: vec![level(30, "manager"), level(60, "director")], ..policy() }
}

#[test]
fn what_nobody_acknowledges_is_escalated_level_by_level() {
    let told = 10 * SECOND;
    let mut story = Story::begin(escalating());
    story.goes(&[
        (0, many(1), None, Some(told)),
        (told, many(1), Some(Event::Opened), Some(told + 30 * MINUTE)),
        (told + 30 * MINUTE - 1, many(1), None, Some(told + 30 * MINUTE)),
        (told + 30 * MINUTE, many(1), Some(Event::Escalated), Some(told + HOUR)),
    ]);
    assert_eq!(story.told(told + HOUR, &many(1)), [(Event::Escalated, vec!["director".into()])]);
    let everybody: Vec<String> = ["oncall", "chat", "manager", "director"].map(Into::into).into();
    assert_eq!(story.told(told + 4 * HOUR, &many(1)), [(Event::Reminder, everybody)]);
    let end = story.told(told + 5 * HOUR, &many(0));
    let everybody: Vec<String> = ["chat", "director", "manager", "oncall"].map(Into::into).into();
    assert_eq!(end, [(Event::Resolved, everybody)]);
}

#[test]
fn what_was_acknowledged_is_not_escalated_any_further_but_is_recalled() {
    let told = 10 * SECOND;
    let mut story = Story::begin(escalating());
    story.told(0, &many(1));
    story.told(told, &many(1));
    story.told(told + 30 * MINUTE, &many(1));
    story.act(told + 40 * MINUTE, ActionKind::Acknowledge);
    story.goes(&[
        (told + 40 * MINUTE, many(1), None, Some(told + 4 * HOUR)),
        (told + 2 * HOUR, many(1), None, Some(told + 4 * HOUR)),
        (told + 4 * HOUR, many(1), Some(Event::Reminder), Some(told + 8 * HOUR)),
    ]);
}

#[test]
fn levels_that_fell_due_in_the_quiet_are_told_together_when_it_ends() {
    let mut story = Story::begin(escalating());
    story.told(0, &many(1));
    story.told(10 * SECOND, &many(1));
    story.silenced = true;
    story.told(5 * HOUR, &many(1));
    story.silenced = false;
    let told = story.told(6 * HOUR, &many(1));
    let above: Vec<String> = ["director", "manager"].map(Into::into).into();
    assert_eq!((told[0].0, told[1].clone()), (Event::Reminder, (Event::Escalated, above)));
    assert_eq!(story.told(7 * HOUR, &many(1)), []);
}

#[test]
fn a_receiver_that_was_renamed_does_not_hold_the_fallback_back() {
    let mut story = Story::begin(AlertPolicy { fallback: vec!["mail".into()], ..policy() });
    story.told(0, &many(1));
    story.told(10 * SECOND, &many(1));
    story.policy.receivers = vec!["oncall".into(), "talk".into()];
    story.failing = vec!["oncall"];
    assert_eq!(story.told(2 * MINUTE, &many(1)), [(Event::Opened, vec!["mail".into()])]);
}

#[test]
fn the_fallback_is_told_when_nobody_else_can_be_reached_and_hears_the_end() {
    let mut story = Story::begin(AlertPolicy { fallback: vec!["mail".into()], ..policy() });
    story.told(0, &many(1));
    story.told(10 * SECOND, &many(1));
    story.failing = vec!["oncall"];
    assert_eq!(story.told(MINUTE, &many(1)), []);
    story.failing = vec!["oncall", "chat"];
    assert_eq!(story.told(2 * MINUTE, &many(1)), [(Event::Opened, vec!["mail".into()])]);
    assert_eq!(story.told(3 * MINUTE, &many(1)), []);
    let everybody: Vec<String> = ["chat", "mail", "oncall"].map(Into::into).into();
    assert_eq!(story.told(HOUR, &many(0)), [(Event::Resolved, everybody)]);
}
