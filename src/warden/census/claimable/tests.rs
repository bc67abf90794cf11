use super::*;
use crate::model::Labels;
use crate::model::item::Status;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn standing(number: u64, workflow: &str, step: Option<&str>, deadline: i64) -> Standing {
    Standing {
        number: ItemNumber(number),
        workflow: WorkflowName::new(workflow).unwrap(),
        created_at: Some(at(0)),
        labels: Labels::default(),
        step: step.map(|step| StepName::new(step).unwrap()),
        deadline: at(deadline),
        attempts: 0,
        free_at: Timestamp::MIN,
        status: Status::Open,
    }
}

fn reserve(claimable: &mut Claimable, states: &[ItemState], step: Option<&str>, limit: usize) -> Vec<u64> {
    let wanted = Wanted { admits: &|name| name != "secret", states, step };
    let places = claimable.first(&wanted, None, limit, at(1_000));
    claimable.reserve(&places, limit).into_iter().map(|(_, number)| number.0).collect()
}

/// Overdue ones of three workflows and two steps, and a failed one.
fn filled() -> Claimable {
    let mut claimable = Claimable::default();
    for (number, workflow, step, deadline) in [
        (1, "uploads", Some("copy"), 40),
        (2, "uploads", Some("backup"), 10),
        (3, "downloads", None, 30),
        (4, "uploads", Some("copy"), 20),
        (5, "secret", Some("copy"), 5),
    ] {
        claimable.put(&standing(number, workflow, step, deadline), ItemState::Overdue, at(1_000));
    }
    claimable.put(&standing(6, "uploads", Some("copy"), 1), ItemState::Failed, at(1_000));
    claimable
}

const BOTH: &[ItemState] = &[ItemState::Overdue, ItemState::Failed];

#[test]
fn the_earliest_deadline_goes_first_across_workflows_states_and_steps() {
    assert_eq!(reserve(&mut filled(), BOTH, None, 10), [6, 2, 4, 3, 1]);
    assert_eq!(reserve(&mut filled(), BOTH, None, 2), [6, 2]);
    assert_eq!(reserve(&mut filled(), &[ItemState::Overdue], Some("copy"), 10), [4, 1]);
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
    let held = Standing { free_at: at(1_500), ..standing(1, "uploads", None, 10) };
    claimable.put(&held, ItemState::Overdue, at(1_000));
    assert_eq!(reserve(&mut claimable, BOTH, None, 10), Vec::<u64>::new());
    assert_eq!(claimable.next_free(), at(1_500));
    let wanted = Wanted { admits: &|_| true, states: BOTH, step: None };
    assert_eq!(claimable.first(&wanted, None, 10, at(1_500)), [(at(10), ItemNumber(1))]);
    assert_eq!(claimable.next_free(), Timestamp::MAX);
    // It stands elsewhere by then than where it was put, and is found all the same.
    claimable.remove(ItemNumber(1));
    assert_eq!(reserve(&mut claimable, BOTH, None, 10), Vec::<u64>::new());
}

#[test]
fn a_place_in_the_order_is_where_the_next_claim_goes_on() {
    let mut claimable = filled();
    let wanted = Wanted { admits: &|_| true, states: BOTH, step: None };
    let after = Some((at(20), ItemNumber(4)));
    let found = claimable.first(&wanted, after, 10, at(1_000));
    assert_eq!(found, [(at(30), ItemNumber(3)), (at(40), ItemNumber(1))]);
}

#[test]
fn whoever_waits_hears_of_what_has_become_ready_or_will() {
    let mut claimable = filled();
    assert!(claimable.take_news());
    assert!(!claimable.take_news());
    reserve(&mut claimable, BOTH, None, 1);
    assert!(!claimable.take_news());
    claimable.give_back(&[(at(1), ItemNumber(6))]);
    assert!(claimable.take_news());
    let held = Standing { free_at: at(1_500), ..standing(9, "uploads", None, 10) };
    claimable.put(&held, ItemState::Overdue, at(1_000));
    assert!(claimable.take_news());
}

#[test]
fn items_that_are_not_due_are_kept_only_once_they_are_asked_for() {
    let open = &[ItemState::Open];
    let mut claimable = Claimable::default();
    claimable.put(&standing(1, "uploads", None, 10), ItemState::Open, at(0));
    assert_eq!(reserve(&mut claimable, open, None, 10), Vec::<u64>::new());
    claimable.keep_open();
    // While they are read, one comes, one goes, and one is closed that was read before.
    claimable.put(&standing(2, "uploads", None, 20), ItemState::Open, at(0));
    claimable.remove(ItemNumber(3));
    for number in [1, 2, 3] {
        claimable.fill(&standing(number, "uploads", None, number as i64 * 10), at(0));
    }
    claimable.filled();
    assert_eq!(reserve(&mut claimable, open, None, 10), [1, 2]);
    claimable.fill(&standing(4, "uploads", None, 40), at(0));
    assert_eq!(reserve(&mut claimable, open, None, 10), Vec::<u64>::new());
}
