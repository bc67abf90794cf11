use std::time::Duration;

use super::*;
use crate::model::item::CloseOutcome;
use crate::model::item::Status;
use crate::model::{
    Clock as _, IncidentKey, IncidentKind, ItemNumber, Labels, ManualClock, Policy, Redrive, Timestamp,
};
use crate::store::{Change, Observer as _};
use crate::warden::Workflows;

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const MINUTE: Duration = Duration::from_secs(60);

fn uploads() -> WorkflowName {
    WorkflowName::new("uploads").unwrap()
}

/// One workflow, split by this label.
fn split_by(label: Option<&str>, redrive: Option<Redrive>) -> PolicySet {
    let bare = || Policy::bare(MINUTE, MINUTE);
    let mut policy = Policy { redrive, ..bare() };
    policy.alerting.group_by = label.into_iter().map(Into::into).collect();
    PolicySet::of([(uploads(), Arc::new(policy))].into(), Arc::new(bare()))
}

struct Stage {
    census: Census,
    clock: ManualClock,
}

impl Stage {
    fn begin() -> Self {
        let clock = ManualClock::new(START);
        let workflows = Arc::new(Workflows::new(split_by(None, None)));
        let census = Census::new(Arc::new(clock.clone()), workflows);
        census.recovered();
        Self { census, clock }
    }

    fn tell(&self, before: Option<&IndexedItem>, after: Option<&IndexedItem>) {
        self.census.committed(&[Change::Item { before: before.cloned(), after: after.cloned() }]);
    }

    fn create(&self, number: u64, region: &str, due_in: Duration) -> IndexedItem {
        let item = IndexedItem {
            number: ItemNumber(number),
            workflow: uploads(),
            created_at: Some(self.clock.now()),
            labels: labels(region),
            step: None,
            deadline: self.clock.now().after(due_in).into(),
            attempts: 0,
            free_at: Timestamp::MIN,
            interrupted_until: None,
            failed_at: None,
            status: Status::Open,
        };
        self.tell(None, Some(&item));
        item
    }

    /// How many items are overdue in the group of a region.
    fn count(&self, region: Option<&str>) -> u64 {
        let group = region.map(|region| ("region".into(), region.into())).into_iter().collect();
        self.census.count(&IncidentKey { workflow: uploads(), kind: IncidentKind::Overdue, group })
    }
}

fn labels(region: &str) -> Labels {
    Labels::new([("region".to_owned(), region.to_owned())].into())
}

#[test]
fn items_move_to_the_groups_of_other_labels_unless_they_changed_in_the_meantime() {
    let stage = Stage::begin();
    let items: Vec<IndexedItem> = [(1, "eu"), (2, "us"), (3, "eu"), (4, "eu")]
        .map(|(number, region)| stage.create(number, region, Duration::ZERO))
        .into();
    let timed = stage.create(5, "us", 2 * MINUTE);
    assert_eq!(stage.count(None), 4);

    let [(workflow, mut numbers)]: [_; 1] =
        stage.census.adopt(Arc::new(split_by(Some("region"), None))).try_into().unwrap();
    numbers.sort_unstable();
    assert_eq!((workflow, numbers), (uploads(), (1..=5).map(ItemNumber).collect()));
    assert_eq!(stage.count(None), 4, "nothing has moved yet");

    // These were read before what follows was committed.
    let read = [items.as_slice(), std::slice::from_ref(&timed)].concat();
    let relabelled = IndexedItem { labels: labels("asia"), ..items[2].clone() };
    stage.tell(Some(&items[2]), Some(&relabelled));
    stage.tell(Some(&items[3]), None);
    stage.create(6, "us", Duration::ZERO);
    stage.census.place_anew(&read);
    stage.census.placed_anew(&uploads());
    let counts = [None, Some("eu"), Some("us"), Some("asia")].map(|region| stage.count(region));
    assert_eq!(counts, [0, 1, 2, 1]);

    stage.clock.advance(2 * MINUTE);
    while !stage.census.catch_up(stage.clock.now(), 1) {}
    assert_eq!(stage.count(Some("us")), 3, "its timer knows the group");
    stage.tell(Some(&timed), None);
    stage.tell(Some(&items[0]), None);
    assert_eq!((stage.count(Some("us")), stage.count(Some("eu"))), (2, 0));
}

#[test]
fn items_that_are_overdue_already_are_redriven_by_a_new_policy() {
    let stage = Stage::begin();
    let item = stage.create(1, "eu", Duration::ZERO);
    let redrive = Redrive { to: "".into(), after: MINUTE, max_attempts: 1 };
    let moving = stage.census.adopt(Arc::new(split_by(None, Some(redrive.clone()))));
    assert_eq!(moving, [(uploads(), vec![ItemNumber(1)])]);
    stage.census.place_anew(&[item]);
    stage.census.placed_anew(&uploads());
    let first = || stage.census.redrivable("uploads", &HashSet::new(), stage.clock.now().after(MINUTE));
    assert_eq!(first(), Ok(ItemNumber(1)));
    assert_eq!(stage.census.adopt(Arc::new(split_by(None, Some(redrive)))), [], "it is the same");
    assert_eq!(first(), Ok(ItemNumber(1)));
    assert_eq!(stage.census.adopt(Arc::new(split_by(None, None))), []);
    assert_eq!(first(), Err(Timestamp::MAX));
}

#[test]
fn a_smaller_retention_makes_closed_items_forgettable() {
    let stage = Stage::begin();
    for number in 1..=3 {
        let item = stage.create(number, "eu", MINUTE);
        let status = Status::Closed {
            at: START,
            outcome: CloseOutcome::Success,
            record_until: Timestamp::MAX,
            payload_until: None,
        };
        stage.tell(Some(&item), Some(&IndexedItem { status, ..item.clone() }));
    }
    assert_eq!(stage.census.forgettable(START, 9), []);
    let mut policies = split_by(None, None);
    let policy = Policy { retention_max: 1, ..Policy::bare(MINUTE, MINUTE) };
    policies.configured.insert(uploads(), Arc::new(policy));
    stage.census.adopt(Arc::new(policies));
    assert_eq!(stage.census.forgettable(START, 9), [ItemNumber(1), ItemNumber(2)]);
}
