//! Refreshes of receivers that expire alerts.

use super::*;

#[test]
fn a_refresh_goes_only_where_something_new_could_go_and_keeps_its_lane_to_itself() {
    let mut stage = Stage::set(2, None);
    assert_eq!(stage.refresh("a"), Refresh::Goes);
    assert_eq!(stage.refresh("a"), Refresh::Needless, "one of it is under way");
    stage.accept("a", 1);
    assert_eq!(stage.begin(), [], "the end must not be overtaken by what is told again");
    stage.answer_refresh(Answer::Yes);
    assert_eq!(stage.queue.status(&"oncall".into()).outcomes.refreshed, 1);
    assert_eq!(stage.begin(), sent(&[("a", 1)]));
    assert_eq!(stage.refresh("a"), Refresh::Needless, "there is news");
    assert_eq!(stage.refresh("b"), Refresh::Goes);
    assert_eq!(stage.refresh("c"), Refresh::Refused, "two are under way");
    stage.answer_refresh(Answer::No);
    assert_eq!(stage.queue.breaker.failures(), 1);
    stage.fail(4);
    assert_eq!(stage.refresh("c"), Refresh::Refused, "the circuit is open");
}

#[test]
fn where_nothing_else_waits_refreshes_probe_a_receiver_until_it_is_back() {
    let mut stage = Stage::set(8, None);
    for of in ["a", "b", "c", "d", "e"] {
        assert_eq!(stage.refresh(of), Refresh::Goes);
    }
    let turns: Vec<_> = (0..5).map(|_| stage.answer_refresh(Answer::No)).collect();
    assert_eq!(turns.last(), Some(&Some(Turn::Opened)));
    for pause in [5, 10, 20, 40, 60, 60] {
        stage.now = stage.now.after((pause - 1) * SECOND);
        assert_eq!(stage.refresh("a"), Refresh::Refused, "before {pause} s");
        stage.now = stage.now.after(SECOND);
        assert_eq!(stage.refresh("a"), Refresh::Goes, "after {pause} s");
        assert_eq!(stage.refresh("b"), Refresh::Refused, "one at a time");
        stage.answer_refresh(Answer::No);
    }
    stage.now = stage.now.after(MINUTE);
    stage.refresh("b");
    assert_eq!(stage.answer_refresh(Answer::Yes), Some(Turn::Closed));
    assert!(!stage.queue.is_down());
}

#[test]
fn a_receiver_that_was_left_alone_for_as_long_as_it_asked_is_refreshed_again() {
    let mut stage = Stage::set(8, None);
    stage.refresh("a");
    stage.answer_refresh(Answer::Later(MINUTE + SECOND));
    assert!(stage.queue.is_down());
    stage.now = stage.now.after(MINUTE);
    assert_eq!(stage.refresh("a"), Refresh::Refused);
    stage.now = stage.now.after(SECOND);
    assert_eq!(stage.refresh("a"), Refresh::Goes);
    stage.answer_refresh(Answer::Yes);
    assert!(!stage.queue.is_down());
}
