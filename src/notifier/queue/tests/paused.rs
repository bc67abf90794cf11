//! Receivers that answered 410 and are paused.

use super::*;

#[test]
fn a_receiver_that_is_gone_gets_nothing_until_it_is_resumed() {
    let mut stage = Stage::set(2, None);
    for of in ["a", "b", "c"] {
        stage.accept(of, 1);
    }
    stage.begin();
    assert_eq!(stage.answer(Answer::Gone), Some(Turn::Paused));
    assert_eq!(stage.answer(Answer::Gone), None, "it is said once");
    stage.now = stage.now.after(DAY - SECOND);
    assert_eq!(stage.begin(), []);
    let status = stage.queue.status(&"oncall".into());
    assert_eq!(status.waiting, 3, "nothing is given up");
    assert_eq!(status.state, ReceiverState::Paused { since: START, reason: "it answered 410".into() });
    assert_eq!((status.last_attempt.unwrap().answer, status.next_attempt_at), (None, None));
    stage.queue.resume(stage.now);
    assert_eq!(stage.begin().len(), 2);
    assert!(matches!(stage.queue.status(&"oncall".into()).state, ReceiverState::Ok));
}

#[test]
fn nothing_is_given_up_when_an_attempt_of_before_succeeds_after_its_receiver_was_paused() {
    let mut stage = Stage::set(6, None);
    for of in ["a", "b", "c", "d", "e", "f", "g"] {
        stage.accept(of, 1);
    }
    stage.begin();
    for _ in 0..5 {
        stage.answer(Answer::Gone);
    }
    assert_eq!(stage.answer(Answer::Yes), None, "it stays paused, whatever was under way");
    assert_eq!((stage.begin(), stage.given_up.len()), (vec![], 0));
    assert!(matches!(stage.queue.status(&"oncall".into()).state, ReceiverState::Paused { .. }));
    stage.queue.resume(stage.now);
    assert_eq!(stage.begin().len(), 6);
}

#[test]
fn what_has_waited_for_a_paused_receiver_for_its_day_is_given_up_in_its_order_and_without_an_attempt() {
    let mut stage = Stage::set(1, Some(Rate { count: 1, per: 2 * DAY }));
    stage.accept("a", 1);
    stage.accept("a", 2);
    stage.begin();
    stage.answer(Answer::Gone);
    stage.now = stage.now.after(MINUTE);
    stage.accept("b", 1);
    stage.accept("a", 3);
    let attempted = stage.queue.status(&"oncall".into()).last_attempt;
    let given_up = |stage: &mut Stage| {
        assert_eq!(stage.begin(), [], "something went");
        let given_up = stage.given_up.drain(..).map(|(delivery, reason)| {
            assert_eq!(reason, "the receiver is paused since 2026-01-01T00:00:00.000Z: it answered 410");
            (of(&delivery), delivery.sequence)
        });
        given_up.collect::<Vec<_>>()
    };
    stage.now = START.after(DAY - SECOND);
    assert_eq!(given_up(&mut stage), []);
    assert_eq!(stage.wait(), Some(SECOND));
    stage.now = START.after(DAY);
    assert_eq!(given_up(&mut stage), sent(&[("a", 1), ("a", 2)]));
    assert!(stage.is_failing("a"));
    stage.now = START.after(DAY + MINUTE);
    let mut rest = given_up(&mut stage);
    rest.sort();
    assert_eq!(rest, sent(&[("a", 3), ("b", 1)]));
    let status = stage.queue.status(&"oncall".into());
    assert_eq!((status.waiting, status.outcomes.dead, status.consecutive_failures), (0, 4, 1));
    assert_eq!(status.last_attempt, attempted, "nothing was attempted");
    assert_eq!(stage.queue.ready_at(), None);
}

#[test]
fn what_could_not_be_noted_as_given_up_is_given_up_a_little_later() {
    let mut stage = Stage::set(1, None);
    stage.accept("a", 1);
    stage.begin();
    stage.answer(Answer::Gone);
    stage.now = stage.now.after(DAY);
    let Some(Task::GiveUp(waiting, reason)) = stage.queue.begin(stage.now.into()) else {
        panic!("it is kept")
    };
    let attempt = Attempt { status: None, ..attempt(stage.now, 0, Some(reason)) };
    let attempted = Attempted { attempt, retry_after: None, record: Record::Refused };
    stage.queue.finish(&waiting.delivery.topic, attempted, stage.now);
    assert_eq!(stage.wait(), Some(TRY_AGAIN));
    stage.now = stage.now.after(TRY_AGAIN);
    assert!(matches!(stage.queue.begin(stage.now.into()), Some(Task::GiveUp(..))));
}
