use super::*;
use crate::model::item::Status;
use crate::model::{IndexedItem, Labels};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn indexed(number: u64, workflow: &str, step: Option<&str>, deadline: i64) -> IndexedItem {
    IndexedItem {
        number: ItemNumber(number),
        workflow: WorkflowName::new(workflow).unwrap(),
        created_at: Some(at(0)),
        labels: Labels::default(),
        step: step.map(|step| StepName::new(step).unwrap()),
        deadline: at(deadline).into(),
        attempts: 0,
        free_at: Timestamp::MIN,
        interrupted_until: None,
        failed_at: None,
        status: Status::Open,
    }
}

/// Adds an item whose policy names its step.
fn put(claimable: &mut Claimable, indexed: &IndexedItem, state: ItemState, now: Timestamp) {
    claimable.put(indexed.into(), state, indexed.step.clone(), now);
}

fn reserve(claimable: &mut Claimable, states: &[ItemState], step: Option<&str>, limit: usize) -> Vec<u64> {
    let at_step = |name: &str| step == Some(name);
    let at_step: Option<&(dyn Fn(&str) -> bool + Sync)> = if step.is_some() { Some(&at_step) } else { None };
    let wanted = Wanted { admits: &|name| name != "secret", states, step: at_step };
    assert!(claimable.free(at(1_000)));
    let places = claimable.first(&wanted, None, limit, at(1_000));
    claimable.reserve(&places, limit).into_iter().map(|(_, number)| number.0).collect()
}

/// Overdue items of three workflows and two steps, and a failed one.
fn filled() -> Claimable {
    let mut claimable = Claimable::default();
    for (number, workflow, step, deadline) in [
        (1, "uploads", Some("copy"), 40),
        (2, "uploads", Some("backup"), 10),
        (3, "downloads", None, 30),
        (4, "uploads", Some("copy"), 20),
        (5, "secret", Some("copy"), 5),
    ] {
        put(&mut claimable, &indexed(number, workflow, step, deadline), ItemState::Overdue, at(1_000));
    }
    put(&mut claimable, &indexed(6, "uploads", Some("copy"), 1), ItemState::Failed, at(1_000));
    claimable
}

const BOTH: &[ItemState] = &[ItemState::Overdue, ItemState::Failed];

#[test]
fn the_earliest_deadline_goes_first_across_workflows_states_and_steps() {
    assert_eq!(reserve(&mut filled(), BOTH, None, 10), [6, 2, 4, 3, 1]);
    assert_eq!(reserve(&mut filled(), BOTH, None, 2), [6, 2]);
    // Items at steps that no policy names match any step; the caller checks their records.
    assert_eq!(reserve(&mut filled(), &[ItemState::Overdue], Some("copy"), 10), [4, 3, 1]);
    assert_eq!(reserve(&mut filled(), &[ItemState::Overdue], Some("backup"), 10), [2, 3]);
    assert_eq!(reserve(&mut filled(), &[ItemState::Open, ItemState::Closed], None, 10), Vec::<u64>::new());
}

#[test]
fn what_is_reserved_for_one_is_not_handed_to_another() {
    let mut claimable = filled();
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), [6, 2, 4]);
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), [3, 1]);
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), Vec::<u64>::new());
    claimable.give_back(&[(at(10), ItemNumber(2))]);
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), [2]);
}

#[test]
fn what_changed_while_it_was_reserved_is_not_given_back_a_second_time() {
    let mut claimable = filled();
    assert_eq!(reserve(&mut claimable, BOTH, None, 1), [6]);
    claimable.remove(ItemNumber(6));
    claimable.give_back(&[(at(1), ItemNumber(6))]);
    assert_eq!(reserve(&mut claimable, BOTH, None, 10), [2, 4, 3, 1]);
}

#[test]
fn what_is_held_comes_back_when_its_time_is_over() {
    let mut claimable = Claimable::default();
    let held = IndexedItem { free_at: at(1_500), ..indexed(1, "uploads", None, 10) };
    put(&mut claimable, &held, ItemState::Overdue, at(1_000));
    assert_eq!(reserve(&mut claimable, BOTH, None, 10), Vec::<u64>::new());
    assert_eq!(claimable.next_free(), at(1_500));
    let wanted = Wanted { admits: &|_| true, states: BOTH, step: None };
    assert!(claimable.free(at(1_500)));
    assert_eq!(claimable.first(&wanted, None, 10, at(1_500)), [(at(10), ItemNumber(1))]);
    assert_eq!(claimable.next_free(), Timestamp::MAX);
    // It was added to another place than the one it is removed from.
    claimable.remove(ItemNumber(1));
    assert_eq!(reserve(&mut claimable, BOTH, None, 10), Vec::<u64>::new());
}

#[test]
fn a_place_in_the_order_is_where_the_next_claim_goes_on() {
    let claimable = filled();
    let wanted = Wanted { admits: &|_| true, states: BOTH, step: None };
    let after = Some((at(20), ItemNumber(4)));
    let found = claimable.first(&wanted, after, 10, at(1_000));
    assert_eq!(found, [(at(30), ItemNumber(3)), (at(40), ItemNumber(1))]);
}

#[test]
fn waiting_claims_try_again_when_an_item_is_ready_or_will_be() {
    let mut claimable = filled();
    assert!(claimable.take_news());
    assert!(!claimable.take_news());
    reserve(&mut claimable, BOTH, None, 1);
    assert!(!claimable.take_news());
    claimable.give_back(&[(at(1), ItemNumber(6))]);
    assert!(claimable.take_news());
    let held = IndexedItem { free_at: at(1_500), ..indexed(9, "uploads", None, 10) };
    put(&mut claimable, &held, ItemState::Overdue, at(1_000));
    assert!(claimable.take_news());
}

#[test]
fn items_that_are_not_due_are_kept_only_once_they_are_asked_for() {
    let open = &[ItemState::Open];
    let mut claimable = Claimable::default();
    put(&mut claimable, &indexed(1, "uploads", None, 2_010), ItemState::Open, at(0));
    assert_eq!(reserve(&mut claimable, open, None, 10), Vec::<u64>::new());
    claimable.keep_open();
    // While they are read, one is created, one is closed, and one is closed that was already read.
    put(&mut claimable, &indexed(2, "uploads", None, 2_020), ItemState::Open, at(0));
    claimable.remove(ItemNumber(3));
    for number in [1, 2, 3] {
        claimable.fill((&indexed(number, "uploads", None, 2_000 + number as i64 * 10)).into(), None, at(0));
    }
    claimable.filled();
    assert_eq!(reserve(&mut claimable, open, None, 10), [1, 2]);
    claimable.fill((&indexed(4, "uploads", None, 2_040)).into(), None, at(0));
    assert_eq!(reserve(&mut claimable, open, None, 10), Vec::<u64>::new());
}

#[test]
fn an_open_item_is_claimed_as_overdue_as_soon_as_it_is() {
    let mut claimable = Claimable::default();
    claimable.keep_open();
    claimable.filled();
    for (number, deadline) in [(1, 999), (2, 1_000), (3, 1_001)] {
        put(&mut claimable, &indexed(number, "uploads", None, deadline), ItemState::Open, at(0));
    }
    assert_eq!(reserve(&mut claimable, &[ItemState::Open], None, 10), [3]);
    assert_eq!(reserve(&mut claimable, &[ItemState::Overdue], None, 1), [1]);
    assert_eq!(reserve(&mut claimable, &[ItemState::Overdue], None, 10), [2]);
}

#[test]
fn what_stands_elsewhere_from_now_on_is_news_for_those_who_did_not_ask_for_where_it_stood() {
    let mut claimable = Claimable::default();
    claimable.keep_open();
    claimable.filled();
    put(&mut claimable, &indexed(1, "uploads", Some("copy"), 900), ItemState::Open, at(0));
    claimable.take_news();
    put(&mut claimable, &indexed(1, "uploads", Some("copy"), 900), ItemState::Overdue, at(1_000));
    assert!(claimable.take_news(), "a claim may wait for overdue items");
    put(&mut claimable, &indexed(1, "uploads", Some("backup"), 900), ItemState::Overdue, at(1_000));
    assert!(claimable.take_news(), "a claim may wait for this step");
    put(&mut claimable, &indexed(1, "uploads", Some("backup"), 900), ItemState::Overdue, at(1_000));
    assert!(!claimable.take_news());
}

#[test]
fn what_changes_without_becoming_claimable_is_no_news() {
    let mut claimable = filled();
    claimable.take_news();
    put(&mut claimable, &indexed(1, "uploads", Some("copy"), 45), ItemState::Overdue, at(1_000));
    assert!(!claimable.take_news(), "it was claimable already");
    let held = |until| IndexedItem { free_at: at(until), ..indexed(1, "uploads", None, 10) };
    put(&mut claimable, &held(5_000), ItemState::Overdue, at(1_000));
    assert!(claimable.take_news(), "the waiting claims must wake for it");
    put(&mut claimable, &held(9_000), ItemState::Overdue, at(1_000));
    claimable.take_news();
    put(
        &mut claimable,
        &IndexedItem { number: ItemNumber(77), ..held(9_500) },
        ItemState::Overdue,
        at(1_000),
    );
    assert!(!claimable.take_news(), "it is not the next to become claimable");
}

#[test]
fn items_at_steps_that_no_policy_names_share_a_shelf() {
    let mut claimable = Claimable::default();
    for number in 0..100 {
        let step = format!("step-{number}");
        claimable.put(
            (&indexed(number, "uploads", Some(&step), 10)).into(),
            ItemState::Overdue,
            None,
            at(1_000),
        );
    }
    assert_eq!(claimable.ready.len(), 1);
    assert_eq!(
        reserve(&mut claimable, BOTH, Some("step-7"), 200).len(),
        100,
        "the caller checks their records"
    );
}

#[test]
fn what_could_not_be_read_whole_is_kept_no_longer() {
    let mut claimable = filled();
    claimable.keep_open();
    put(&mut claimable, &indexed(9, "uploads", None, 2_000), ItemState::Open, at(1_000));
    claimable.drop_open();
    assert_eq!(reserve(&mut claimable, &[ItemState::Open, ItemState::Overdue], None, 10), [2, 4, 3, 1]);
    assert!(claimable.changed.is_none());
}
