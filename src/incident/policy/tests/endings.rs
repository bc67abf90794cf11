//! Ends of incidents whose items are in trouble in another one.

use super::*;

fn continuation() -> Continuation {
    Continuation { incident: IncidentId("inc_failed".into()), kind: IncidentKind::Failed }
}

/// Notified at ten seconds.
fn told_story() -> Story {
    let mut story = Story::begin(policy());
    story.told(0, &many(3));
    story.told(10 * SECOND, &many(3));
    story
}

#[test]
fn the_end_waits_for_the_incident_in_which_the_items_are_in_trouble_to_be_told() {
    let mut story = told_story();
    for (second, successor) in
        [(20, Successor::Coming), (21, Successor::Open { continuation: continuation(), is_awaited: true })]
    {
        story.successor = Some(successor);
        let held = story.at(second * SECOND, &many(0)).unwrap();
        assert_eq!((held.dispatches, held.commit), (Vec::new(), second == 20));
        assert_eq!(held.incident.status, IncidentStatus::Open);
        assert_eq!(held.incident.ending_since, Some(Timestamp::from_millis(20 * SECOND)));
    }
    story.successor = Some(Successor::Open { continuation: continuation(), is_awaited: false });
    let end = story.at(40 * SECOND, &many(0)).unwrap().incident;
    assert_eq!(end.status, IncidentStatus::Resolved);
    assert_eq!(end.resolved_at, Some(Timestamp::from_millis(20 * SECOND)), "since then nothing is left");
    assert_eq!((end.continued_in, end.ending_since), (Some(continuation()), None));
}

#[test]
fn an_end_comes_also_when_the_other_incident_is_over_before_it_was_told() {
    let mut story = told_story();
    story.successor = Some(Successor::Open { continuation: continuation(), is_awaited: true });
    assert_eq!(story.told(20 * SECOND, &many(0)), []);
    story.successor = None;
    assert_eq!(story.told(21 * SECOND, &many(0))[0].0, Event::Resolved);
    assert_eq!(story.last.as_ref().unwrap().continued_in, None);
}

#[test]
fn items_that_come_back_while_the_end_waits_go_on_as_if_they_had_never_left() {
    let mut story = told_story();
    story.successor = Some(Successor::Coming);
    story.told(20 * SECOND, &many(0));
    let on = story.at(21 * SECOND, &many(2)).unwrap();
    assert_eq!((on.dispatches, on.incident.ending_since, on.incident.reopened_at), (Vec::new(), None, None));
    story.successor = None;
    assert_eq!(story.told(22 * SECOND, &many(0))[0].0, Event::Resolved);
}

#[test]
fn the_end_of_an_incident_that_nobody_heard_of_waits_for_nothing() {
    let mut story = Story::begin(policy());
    story.told(0, &many(3));
    story.successor = Some(Successor::Open { continuation: continuation(), is_awaited: true });
    let end = story.at(SECOND, &many(0)).unwrap();
    assert_eq!((end.dispatches, end.incident.status), (Vec::new(), IncidentStatus::Resolved));
    assert_eq!(end.incident.continued_in, Some(continuation()));
}

#[test]
fn an_incident_is_awaited_only_while_it_is_about_to_be_told_to_those_who_wait() {
    let ended = told_story().last.unwrap();
    let awaited = |changes: &dyn Fn(&mut Story)| {
        let mut story = Story::begin(policy());
        story.told(0, &many(1));
        changes(&mut story);
        let silenced = story.silenced;
        let circumstances = Circumstances {
            policy: &story.policy,
            silence: &|_| silenced.then_some(Timestamp::MAX),
            successor: None,
            is_failing: &|name| story.failing.contains(&name),
            now: Timestamp::from_millis(20 * SECOND),
        };
        is_awaited(story.last.as_ref().unwrap(), &ended, &circumstances)
    };
    assert!(awaited(&|_| ()));
    assert!(!awaited(&|story| drop(story.told(10 * SECOND, &many(1)))), "it was told");
    assert!(!awaited(&|story| drop(story.told(SECOND, &many(0)))), "it is over");
    assert!(!awaited(&|story| story.silenced = true));
    let snooze = ActionKind::Snooze { until: Timestamp::from_millis(HOUR) };
    assert!(!awaited(&|story| story.act(SECOND, snooze)));
    assert!(!awaited(&|story| story.policy.receivers = vec!["others".into()]));
    assert!(!awaited(&|story| story.policy.receivers.clear()));

    // The fallback of a failing receiver is notified a moment later.
    let stands_in = |story: &mut Story| {
        story.policy.fallback = std::mem::replace(&mut story.policy.receivers, vec!["others".into()]);
        story.told(10 * SECOND, &many(1));
        story.failing = vec!["others"];
    };
    assert!(awaited(&stands_in));
    assert!(!awaited(&|story| {
        stands_in(story);
        story.told(11 * SECOND, &many(1));
    }));
}
