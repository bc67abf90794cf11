use super::*;
use crate::model::item::Status;
use crate::model::{IndexedItem, ItemState, Labels};

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

/// Adds an item of a workflow whose policy names no steps.
fn put(claimable: &mut Claimable, indexed: &IndexedItem, now: Timestamp) {
    claimable.put(indexed.into(), indexed.status == Status::Failed, |_| false, now);
}

fn remove(claimable: &mut Claimable, indexed: &IndexedItem) {
    claimable.remove(indexed.into(), indexed.status == Status::Failed);
}

fn failed(indexed: IndexedItem) -> IndexedItem {
    IndexedItem { status: Status::Failed, ..indexed }
}

fn numbers(places: Vec<Place>) -> Vec<u64> {
    places.into_iter().map(|(_, number)| number.0).collect()
}

fn reserve(claimable: &mut Claimable, states: &[ItemState], step: Option<&str>, limit: usize) -> Vec<u64> {
    let at_step = |name: &str| step == Some(name);
    let at_step: Option<&(dyn Fn(&str) -> bool + Sync)> = if step.is_some() { Some(&at_step) } else { None };
    let wanted = Wanted { admits: &|name| name != "secret", states, step: at_step };
    assert!(claimable.free(at(1_000)));
    let candidates = claimable.first(&wanted, None, limit, at(1_000));
    numbers(claimable.reserve(&candidates, limit))
}

/// The numbers of those that any claim of the states could get.
fn first(claimable: &Claimable, states: &[ItemState], after: Option<Place>, now: Timestamp) -> Vec<u64> {
    let wanted = Wanted { admits: &|_| true, states, step: None };
    let candidates = claimable.first(&wanted, after, usize::MAX, now);
    numbers(candidates.into_iter().map(|candidate| candidate.place).collect())
}

const ALL: News = News { due: true, any: true };
const NOT_DUE: News = News { due: false, any: true };
const NONE: News = News { due: false, any: false };

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
        put(&mut claimable, &indexed(number, workflow, step, deadline), at(1_000));
    }
    put(&mut claimable, &failed(indexed(6, "uploads", Some("copy"), 1)), at(1_000));
    claimable
}

const BOTH: &[ItemState] = &[ItemState::Overdue, ItemState::Failed];

const OPEN: &[ItemState] = &[ItemState::Open];
const OVERDUE: &[ItemState] = &[ItemState::Overdue];

#[test]
fn the_earliest_deadline_goes_first_across_workflows_states_and_steps() {
    assert_eq!(reserve(&mut filled(), BOTH, None, 10), [6, 2, 4, 3, 1]);
    assert_eq!(reserve(&mut filled(), BOTH, None, 2), [6, 2]);
    assert_eq!(reserve(&mut filled(), OVERDUE, Some("copy"), 10), [4, 1]);
    assert_eq!(reserve(&mut filled(), OVERDUE, Some("backup"), 10), [2]);
    assert_eq!(reserve(&mut filled(), OVERDUE, Some("load"), 10), Vec::<u64>::new());
    assert_eq!(reserve(&mut filled(), &[ItemState::Open, ItemState::Closed], None, 10), Vec::<u64>::new());
}

#[test]
fn what_is_reserved_for_one_is_not_handed_to_another() {
    let mut claimable = filled();
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), [6, 2, 4]);
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), [3, 1]);
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), Vec::<u64>::new());
    claimable.give_back(&[(at(10), ItemNumber(2))], at(1_000));
    assert_eq!(reserve(&mut claimable, BOTH, None, 3), [2]);
}

#[test]
fn what_changed_while_it_was_reserved_is_not_given_back_a_second_time() {
    let mut claimable = filled();
    assert_eq!(reserve(&mut claimable, BOTH, None, 1), [6]);
    remove(&mut claimable, &failed(indexed(6, "uploads", Some("copy"), 1)));
    claimable.give_back(&[(at(1), ItemNumber(6))], at(1_000));
    assert_eq!(reserve(&mut claimable, BOTH, None, 10), [2, 4, 3, 1]);
}

#[test]
fn what_waits_comes_back_when_its_time_is_over_on_whatever_side_of_its_deadline() {
    let mut claimable = Claimable::default();
    for (number, deadline) in [(1, 10), (2, 5_000)] {
        let held = IndexedItem { free_at: at(1_500), ..indexed(number, "uploads", Some("copy"), deadline) };
        put(&mut claimable, &held, at(1_000));
    }
    assert_eq!(reserve(&mut claimable, &[ItemState::Open, ItemState::Overdue], None, 10), Vec::<u64>::new());
    assert_eq!(claimable.next_free(), at(1_500));
    assert!(claimable.free(at(1_500)));
    assert_eq!(first(&claimable, OVERDUE, None, at(1_500)), [1]);
    assert_eq!(first(&claimable, OPEN, None, at(1_500)), [2]);
    assert_eq!(claimable.next_free(), Timestamp::MAX);
    // It was among the busy ones when it was added.
    let held = IndexedItem { free_at: at(1_500), ..indexed(1, "uploads", Some("copy"), 10) };
    remove(&mut claimable, &held);
    assert_eq!(first(&claimable, OVERDUE, None, at(1_500)), Vec::<u64>::new());
}

#[test]
fn a_place_in_the_order_is_where_the_next_claim_goes_on() {
    let claimable = filled();
    assert_eq!(first(&claimable, BOTH, Some((at(20), ItemNumber(4))), at(1_000)), [3, 1]);
    assert_eq!(first(&claimable, BOTH, Some((at(20), ItemNumber(3))), at(1_000)), [4, 3, 1]);
    assert_eq!(first(&claimable, BOTH, Some((at(40), ItemNumber(1))), at(1_000)), Vec::<u64>::new());
}

#[test]
fn an_open_item_is_claimed_as_overdue_as_soon_as_it_is() {
    let mut claimable = Claimable::default();
    for (number, deadline) in [(1, 999), (2, 1_000), (3, 1_001)] {
        put(&mut claimable, &indexed(number, "uploads", None, deadline), at(0));
    }
    assert_eq!(reserve(&mut claimable, OPEN, None, 10), [3]);
    assert_eq!(reserve(&mut claimable, OVERDUE, None, 1), [1]);
    assert_eq!(reserve(&mut claimable, OVERDUE, None, 10), [2]);
}

#[test]
fn a_deadline_that_moves_takes_its_item_along_wherever_that_is() {
    let mut claimable = Claimable::default();
    let held = IndexedItem { free_at: at(1_500), ..indexed(1, "uploads", Some("copy"), 500) };
    put(&mut claimable, &held, at(1_000));
    for number in [2, 3] {
        put(&mut claimable, &indexed(number, "uploads", Some("copy"), 500), at(1_000));
    }
    let wanted = Wanted { admits: &|_| true, states: OVERDUE, step: None };
    let candidates = claimable.first(&wanted, None, 1, at(1_000));
    let reserved = claimable.reserve(&candidates, 1);
    claimable.take_news();
    for item in [&held, &indexed(2, "uploads", None, 500), &indexed(3, "uploads", None, 500)] {
        claimable.postpone(item.into(), at(9_000 - item.number.0 as i64));
    }
    assert_eq!(claimable.take_news(), ALL);
    claimable.give_back(&reserved, at(1_500));
    assert!(claimable.free(at(1_500)));
    assert_eq!(first(&claimable, OVERDUE, None, at(1_500)), Vec::<u64>::new());
    assert_eq!(first(&claimable, OPEN, None, at(1_500)), [3, 2, 1]);
}

#[test]
fn waiting_claims_try_again_when_an_item_is_ready_or_will_be() {
    let mut claimable = filled();
    assert_eq!((claimable.take_news(), claimable.take_news()), (ALL, NONE));
    reserve(&mut claimable, BOTH, None, 1);
    assert_eq!(claimable.take_news(), NONE);
    claimable.give_back(&[(at(1), ItemNumber(6))], at(1_000));
    assert_eq!(claimable.take_news(), ALL);
    let held = IndexedItem { free_at: at(1_500), ..indexed(9, "uploads", None, 10) };
    put(&mut claimable, &held, at(1_000));
    assert_eq!(claimable.take_news(), ALL, "they sleep until the first one is ready");
    put(&mut claimable, &IndexedItem { number: ItemNumber(7), free_at: at(1_501), ..held }, at(1_000));
    assert_eq!(claimable.take_news(), NONE, "it is not the next to become ready");
}

#[test]
fn an_item_that_is_not_due_is_news_only_for_claims_that_ask_for_such() {
    let mut claimable = Claimable::default();
    put(&mut claimable, &indexed(1, "uploads", None, 1_001), at(1_000));
    assert_eq!(claimable.take_news(), NOT_DUE);
    claimable.note_due();
    assert!(claimable.take_news().due);
    put(&mut claimable, &failed(indexed(2, "uploads", None, 1_001)), at(1_000));
    assert_eq!(claimable.take_news(), ALL);
}

#[test]
fn what_changes_without_becoming_claimable_is_no_news() {
    let mut claimable = filled();
    let item = |free_at: i64| IndexedItem { free_at: at(free_at), ..indexed(3, "downloads", None, 30) };
    let mut hold = |before: Timestamp, until: i64| {
        claimable.take_news();
        let stood = IndexedItem { free_at: before, ..item(0) };
        claimable.hold((&stood).into(), false, at(until), at(1_000));
        claimable.take_news()
    };
    assert_eq!(hold(Timestamp::MIN, 900), NONE, "it was claimable already");
    assert_eq!(hold(at(900), 5_000), ALL, "the waiting claims must wake for it");
    assert_eq!(hold(at(5_000), 4_000), ALL);
    assert_eq!(hold(at(4_000), 800), ALL, "it is claimable again");
}

#[test]
fn beyond_their_limit_items_at_steps_that_no_policy_names_share_a_shelf() {
    let mut claimable = Claimable::default();
    let item = |number: u64| indexed(number, "uploads", Some(&format!("step-{number}")), 10);
    let count = SHELVES_MAX as u64 + 100;
    for number in 0..count {
        claimable.put((&item(number)).into(), false, |step| step.as_str() == "step-150", at(1_000));
    }
    put(&mut claimable, &indexed(900, "uploads", None, 10), at(1_000));
    assert_eq!(
        claimable.shelves.len(),
        SHELVES_MAX + 3,
        "those, a named one, one for the rest, one for none"
    );
    let others = 99;
    assert_eq!(reserve(&mut claimable, OVERDUE, Some("step-7"), 200).len(), 1 + others);
    assert_eq!(reserve(&mut claimable, OVERDUE, Some("step-150"), 200), [150]);
    assert_eq!(reserve(&mut claimable, OVERDUE, None, 200).len(), SHELVES_MAX);
    let all: Vec<Place> = (0..count).map(|number| (at(10), ItemNumber(number))).collect();
    claimable.give_back(&all, at(1_000));
    (0..count).for_each(|number| remove(&mut claimable, &item(number)));
    remove(&mut claimable, &indexed(900, "uploads", None, 10));
    assert!(claimable.shelves.is_empty(), "{:?}", claimable.shelves);
}
