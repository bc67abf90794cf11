use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::model::{Policy, RetryPolicy};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn step(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

/// Copy, then backup, for which an item has 7 s. Two retries, after 6 s each.
fn policy() -> Policy {
    let backup = Step { deadline: Some(Duration::from_secs(7)), ..Step::named(step("backup")) };
    Policy {
        steps: vec![Step::named(step("copy")), backup],
        retry: RetryPolicy { max: 2, backoff: "6s".parse().unwrap(), jitter: 0.0 },
        ..Policy::bare(Duration::from_secs(1), Duration::from_secs(60))
    }
}

fn closing(at: Timestamp) -> Closing {
    policy().closing(CloseOutcome::Success, at)
}

fn item() -> Item {
    Item {
        number: ItemNumber(7),
        workflow: WorkflowName::new("uploads").unwrap(),
        id: ItemId::new("file-1").unwrap(),
        created_at: at(0),
        deadline: at(1_000).into(),
        failed_at: None,
        closed: None,
        labels: Labels::default(),
        step: Some(step("copy")),
        step_entered_at: at(0),
        payload: Some(PayloadInfo {
            size: 1,
            content_type: "text/plain".into(),
            content_encoding: None,
            sha256: [0; 32],
        }),
        idempotency_key: None,
        version: 1,
        work: Work::default(),
        course: Course::default(),
        run: None,
        trace: None,
        detail: None,
    }
}

/// The item, leased with token 1 until 5 s.
fn leased() -> Item {
    let mut item = item();
    item.claim(1, "worker".into(), at(5_000));
    item
}

fn error() -> Box<ItemError> {
    Box::new(ItemError {
        id: "err_1".into(),
        kind: "Timeout".into(),
        message: "no answer".into(),
        retryable: true,
        fatal: false,
        step: None,
        at: at(2_000),
        data: json!(null),
        stack: None,
    })
}

fn complete() -> LeaseCommand {
    end(StepOutcome::plain(StepStatus::Done))
}

fn end(outcome: StepOutcome) -> LeaseCommand {
    LeaseCommand::Complete { outcome, closes: false, progress: None }
}

fn close() -> LeaseCommand {
    LeaseCommand::Complete { outcome: StepOutcome::plain(StepStatus::Done), closes: true, progress: None }
}

fn failure(retryable: bool, ignorable: bool) -> LeaseCommand {
    let error = Box::new(ItemError { retryable, ..*error() });
    let then = AfterFailure::ByPolicy { ignorable, wait: None, random: 0.0 };
    LeaseCommand::Fail { error, then, progress: None }
}

fn release(counts: bool) -> LeaseCommand {
    LeaseCommand::Release { retry_at: None, counts, progress: None }
}

fn carry_out(item: &mut Item, token: u64, act: LeaseCommand, millis: i64) -> Result<(), LeaseRefusal> {
    item.act(token, act, &policy(), at(millis).into())
}

fn retry(item: &mut Item, millis: i64) -> bool {
    item.retry(&Retry::default(), &policy(), at(millis).into()).unwrap()
}

#[test]
fn a_leased_item_is_nobody_elses_until_the_lease_runs_out() {
    let item = leased();
    assert!(!item.is_claimable(at(4_999)));
    assert!(item.is_claimable(at(5_000)));
    assert_eq!(item.work.running(at(4_999)).map(|lease| lease.token), Some(1));
    assert_eq!(item.work.running(at(5_000)), None);
    assert_eq!((item.work.attempts, item.version), (1, 2));
}

#[test]
fn a_heartbeat_holds_a_lease_longer_and_notes_progress() {
    let mut item = leased();
    let progress = Map::from_iter([("done".to_owned(), json!(3))]);
    let act = LeaseCommand::Heartbeat {
        expires_at: at(9_000),
        may_shorten: true,
        progress: Some(ProgressChange::merge(Merge::Change(progress.clone()))),
    };
    carry_out(&mut item, 1, act, 4_999).unwrap();
    assert!(!item.is_claimable(at(8_999)));
    assert_eq!((&item.detail().progress, item.version), (&progress, 3));
}

#[test]
fn a_heartbeat_that_comes_too_late_changes_nothing() {
    let mut item = leased();
    let act = LeaseCommand::Heartbeat { expires_at: at(9_000), may_shorten: true, progress: None };
    let before = item.clone();
    let refused = carry_out(&mut item, 1, act, 5_000);
    assert_eq!(refused, Err(LeaseRefusal::Lost(LeaseLost::Expired(at(5_000)))));
    assert_eq!(item, before);
}

#[test]
fn a_completed_step_makes_the_next_one_claimable() {
    let mut item = leased();
    carry_out(&mut item, 1, complete(), 2_000).unwrap();
    assert_eq!((item.step.as_deref(), item.step_entered_at), (Some("backup"), at(2_000)));
    assert_eq!((item.deadline, item.state(at(2_000).into())), (at(9_000).into(), ItemState::Open));
    assert_eq!((item.work.attempts, item.version), (0, 3));
    assert!(item.is_claimable(at(2_000)));
    let steps = &item.detail().steps;
    assert_eq!(
        *steps,
        [StepRecord {
            name: step("copy"),
            status: StepStatus::Done,
            at: at(2_000),
            message: None,
            entered_at: Some(at(0)),
            attempts: 1,
        }]
    );
}

#[test]
fn after_the_last_step_the_item_is_closed() {
    let mut item = leased();
    carry_out(&mut item, 1, close(), 2_000).unwrap();
    assert_eq!(
        item.closed.map(|closed| (closed.at, closed.outcome)),
        Some((at(2_000), CloseOutcome::Success))
    );
    assert_eq!((item.version, item.detail().steps.len()), (3, 1));
}

#[test]
fn a_failed_attempt_waits_for_the_next_one_and_keeps_its_count() {
    let mut item = leased();
    carry_out(&mut item, 1, failure(true, false), 2_000).unwrap();
    assert!(!item.is_claimable(at(7_999)) && item.is_claimable(at(8_000)));
    assert_eq!(item.state(at(2_000).into()), ItemState::Overdue, "people are told of it all the same");
    assert_eq!((item.work.attempts, item.version), (1, 3));
    let [error] = &item.detail().errors[..] else { panic!("one error") };
    assert_eq!((error.fatal, error.step.as_deref()), (false, Some("copy")));
    item.claim(2, "other".into(), at(20_000));
    assert_eq!((item.work.attempts, item.work.retry_at), (2, None));
}

#[test]
fn an_item_that_is_given_up_has_failed_until_somebody_sends_it_back() {
    let mut item = leased();
    carry_out(&mut item, 1, failure(false, false), 2_000).unwrap();
    assert_eq!(item.state(at(2_000).into()), ItemState::Failed);
    assert!(item.detail().errors[0].fatal);
    assert!(item.is_claimable(at(2_000)), "a recovery script may still take it");
    assert!(retry(&mut item, 2_000));
    assert_eq!(
        (item.state(at(500).into()), item.work.attempts, item.step.as_deref()),
        (ItemState::Open, 0, Some("copy"))
    );
    assert!(!retry(&mut item, 2_000), "there is nothing left to do");
}

#[test]
fn an_error_that_can_be_ignored_is_noted_and_left_behind() {
    let mut item = leased();
    carry_out(&mut item, 1, failure(true, true), 2_000).unwrap();
    assert_eq!((item.step.as_deref(), item.failed_at, item.version), (Some("backup"), None, 3));
    let detail = item.detail();
    assert_eq!((detail.steps[0].status, detail.errors.len()), (StepStatus::Skipped, 1));
}

#[test]
fn completing_a_step_of_a_failed_item_ends_the_failure() {
    let mut item = leased();
    carry_out(&mut item, 1, failure(false, false), 2_000).unwrap();
    item.claim(2, "other".into(), at(20_000));
    carry_out(&mut item, 2, complete(), 3_000).unwrap();
    assert_eq!(item.state(at(3_000).into()), ItemState::Open);
}

#[test]
fn what_is_released_unharmed_counts_as_never_claimed() {
    let mut item = leased();
    carry_out(&mut item, 1, release(false), 2_000).unwrap();
    assert_eq!(item.work.attempts, 0);
    assert!(item.is_claimable(at(2_000)));
    let mut item = leased();
    carry_out(
        &mut item,
        1,
        LeaseCommand::Release { retry_at: Some(at(3_000)), counts: true, progress: None },
        2_000,
    )
    .unwrap();
    assert_eq!(item.work.attempts, 1);
    assert!(!item.is_claimable(at(2_999)));
}

#[test]
fn a_closed_item_is_lost_to_whoever_held_it() {
    let mut item = leased();
    item.close(closing(at(2_000)));
    let lost = Err(LeaseRefusal::Lost(LeaseLost::Closed(at(2_000))));
    assert_eq!(
        carry_out(
            &mut item,
            1,
            LeaseCommand::Heartbeat { expires_at: at(9_000), may_shorten: true, progress: None },
            2_001
        ),
        lost
    );
    assert_eq!(carry_out(&mut item, 1, complete(), 2_001), lost);
    assert!(!item.is_claimable(at(99_000)));
}

#[test]
fn a_late_worker_is_told_that_somebody_else_has_the_item() {
    let mut item = leased();
    item.claim(2, "other".into(), at(20_000));
    let refused = carry_out(&mut item, 1, complete(), 6_000);
    assert_eq!(refused, Err(LeaseRefusal::Lost(LeaseLost::Taken)));
    carry_out(&mut item, 2, complete(), 6_000).unwrap();
}

#[test]
fn what_ended_a_lease_may_be_repeated_and_nothing_else_may_follow() {
    for (act, end) in [
        (complete(), LeaseEnd::Completed),
        (close(), LeaseEnd::Completed),
        (failure(false, false), LeaseEnd::Failed),
        (release(true), LeaseEnd::Released),
    ] {
        let mut item = leased();
        carry_out(&mut item, 1, act.clone(), 2_000).unwrap();
        let ended = item.clone();
        // Also after the lease would have expired.
        assert_eq!(carry_out(&mut item, 1, act, 6_000), Err(LeaseRefusal::Repeated));
        let heartbeat = LeaseCommand::Heartbeat { expires_at: at(9_000), may_shorten: true, progress: None };
        assert_eq!(carry_out(&mut item, 1, heartbeat, 2_001), Err(LeaseRefusal::Lost(LeaseLost::Ended(end))));
        assert_eq!(item, ended);
    }
}

#[test]
fn what_ended_a_lease_may_be_repeated_when_another_has_the_item() {
    let mut item = leased();
    carry_out(&mut item, 1, complete(), 2_000).unwrap();
    item.claim(2, "other".into(), at(20_000));
    let held = item.clone();
    assert_eq!(carry_out(&mut item, 1, complete(), 3_000), Err(LeaseRefusal::Repeated));
    let lost = Err(LeaseRefusal::Lost(LeaseLost::Ended(LeaseEnd::Completed)));
    assert_eq!(carry_out(&mut item, 1, release(true), 3_000), lost);
    assert_eq!(item, held);
    carry_out(&mut item, 2, release(true), 3_000).unwrap();
    item.claim(3, "third".into(), at(20_000));
    let lost = Err(LeaseRefusal::Lost(LeaseLost::Taken));
    assert_eq!(carry_out(&mut item, 1, complete(), 3_000), lost);
}

#[test]
fn what_ended_a_lease_may_be_repeated_when_the_one_after_it_ran_out() {
    let mut item = leased();
    carry_out(&mut item, 1, complete(), 2_000).unwrap();
    item.claim(2, "other".into(), at(20_000));
    assert!(!item.fail_if_lost(&policy(), at(20_000).into()));
    item.claim(3, "third".into(), at(40_000));
    assert_eq!(carry_out(&mut item, 1, complete(), 21_000), Err(LeaseRefusal::Repeated));
    let taken = Err(LeaseRefusal::Lost(LeaseLost::Taken));
    assert_eq!(carry_out(&mut item, 2, complete(), 21_000), taken);
}

#[test]
fn a_heartbeat_that_names_no_time_never_shortens_a_lease() {
    let mut item = leased();
    let beat = |expires_at, may_shorten| LeaseCommand::Heartbeat {
        expires_at: at(expires_at),
        may_shorten,
        progress: None,
    };
    carry_out(&mut item, 1, beat(3_000, false), 2_000).unwrap();
    assert!(!item.is_claimable(at(4_999)));
    carry_out(&mut item, 1, beat(3_000, true), 2_000).unwrap();
    assert!(item.is_claimable(at(3_000)));
}

#[test]
fn a_token_that_nobody_was_given_is_that_of_no_lease() {
    let unknown = Err(LeaseRefusal::Lost(LeaseLost::Unknown));
    assert_eq!(carry_out(&mut item(), 1, release(true), 2_000), unknown);
    assert_eq!(carry_out(&mut leased(), 2, release(true), 2_000), unknown);
}

#[test]
fn a_step_without_a_deadline_of_its_own_takes_none_of_the_time_that_an_item_has() {
    for (deadline, expected) in [(500, 1_000), (3_000, 3_000)] {
        let mut policy = policy();
        policy.deadline = Duration::from_millis(deadline);
        policy.steps[1].deadline = None;
        let mut item = leased();
        item.act(1, complete(), &policy, at(2_000).into()).unwrap();
        assert_eq!(item.deadline, at(expected).into());
    }
}

#[test]
fn an_error_that_cannot_be_kept_ends_nothing() {
    let mut item = leased();
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let error = Box::new(ItemError { data: deep, ..*error() });
    let before = item.clone();
    let then = AfterFailure::RetryAt(at(3_000));
    let refused = carry_out(&mut item, 1, LeaseCommand::Fail { error, then, progress: None }, 2_000);
    assert_eq!(refused, Err(LeaseRefusal::Item(ItemRefusal::Depth)));
    assert_eq!(item, before);
}

#[test]
fn only_the_latest_runs_are_remembered() {
    let names = (0..STEPS_KEPT + 6).map(|number| step(&format!("step-{number}")));
    let policy = Policy { steps: names.map(Step::named).collect(), ..policy() };
    let mut item = Item { step: Some(policy.steps[0].name.clone()), ..item() };
    for number in 0..STEPS_KEPT as u64 + 5 {
        item.claim(number + 1, "worker".into(), at(5_000));
        item.act(number + 1, complete(), &policy, at(2_000).into()).unwrap();
    }
    let steps = &item.detail().steps;
    assert_eq!((steps.len(), &*steps[0].name), (STEPS_KEPT, "step-5"));
}

proptest! {
    #[test]
    fn the_id_of_a_lease_is_read_as_it_was_written(item: u64, token: u64) {
        let id = LeaseId { item: ItemNumber(item), token };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn no_other_text_is_an_id_of_a_lease(text in "(lse_)?[0-9a-fA-F+é]{0,40}") {
        if let Ok(id) = text.parse::<LeaseId>() {
            prop_assert_eq!(id.to_string(), text.to_lowercase());
        }
    }
}
