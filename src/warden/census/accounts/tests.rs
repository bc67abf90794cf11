//! Outcomes of items.

use std::time::Duration;

use super::super::Census;
use super::*;
use crate::config::{Config, ConfigFile, Sources};
use crate::model::{
    Clock as _, IncidentId, IncidentStatus, ItemNumber, Labels, ManualClock, Severity, StepName,
};
use crate::store::{Change, Observer as _};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const SECOND: Duration = Duration::from_secs(1);

/// A census of a workflow that is grouped by region.
struct Stage {
    census: Census,
    clock: Arc<ManualClock>,
}

impl Stage {
    fn set() -> Self {
        let text = "[workflows.uploads]\ngroup_by = [\"region\"]";
        let file = Some(ConfigFile::from_text("warden.toml", text));
        let config = Config::load(Sources { file, ..Sources::default() }).unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let workflows = Arc::new(Workflows::new(config.policies));
        Self { census: Census::new(clock.clone(), workflows), clock }
    }

    fn started() -> Self {
        let stage = Self::set();
        stage.census.recovered();
        stage
    }

    fn tell(&self, before: Option<&IndexedItem>, after: &IndexedItem) {
        self.census.committed(&[Change::Item { before: before.cloned(), after: Some(after.clone()) }]);
    }

    /// An item that is overdue from now on.
    fn lose(&self, number: u64, region: &str) -> IndexedItem {
        let item = IndexedItem { deadline: self.clock.now().into(), ..item(number, region) };
        self.tell(None, &item);
        self.clock.advance(SECOND);
        item
    }

    /// Changes an item, and returns it as changed.
    fn becomes(&self, before: &IndexedItem, change: impl FnOnce(&mut IndexedItem)) -> IndexedItem {
        let mut after = before.clone();
        change(&mut after);
        self.tell(Some(before), &after);
        self.clock.advance(SECOND);
        after
    }

    fn fails(&self, item: &IndexedItem) -> IndexedItem {
        let now = self.clock.now();
        self.becomes(item, |item| (item.status, item.failed_at) = (Status::Failed, Some(now)))
    }

    fn ends(&self, item: &IndexedItem, outcome: CloseOutcome) -> IndexedItem {
        let at = self.clock.now();
        self.becomes(item, |item| item.status = closed(at, outcome))
    }

    fn outcomes(&self, kind: IncidentKind, region: &str) -> OutcomeCounts {
        self.census.observe(&key(kind, region)).outcomes
    }
}

fn closed(at: Timestamp, outcome: CloseOutcome) -> Status {
    Status::Closed { at, outcome, record_until: Timestamp::MAX, payload_until: None }
}

fn region(region: &str) -> Labels {
    BTreeMap::from([("region".to_owned(), region.to_owned())]).into()
}

fn item(number: u64, of: &str) -> IndexedItem {
    IndexedItem {
        number: ItemNumber(number),
        workflow: WorkflowName::new("uploads").unwrap(),
        created_at: Some(START),
        labels: region(of),
        step: None,
        deadline: START.into(),
        attempts: 0,
        free_at: Timestamp::MIN,
        interrupted_until: None,
        failed_at: None,
        status: Status::Open,
    }
}

fn key(kind: IncidentKind, region: &str) -> IncidentKey {
    let group = Group::from([("region".into(), region.into())]);
    IncidentKey { workflow: WorkflowName::new("uploads").unwrap(), kind, group }
}

use IncidentKind::{Failed, Overdue};

#[test]
fn each_way_to_leave_is_counted_by_itself() {
    let stage = Stage::started();
    let items: Vec<IndexedItem> = (0..5).map(|number| stage.lose(number, "eu")).collect();
    stage.ends(&items[0], CloseOutcome::Success);
    stage.ends(&items[1], CloseOutcome::Discarded);
    stage.ends(&items[2], CloseOutcome::Failed);
    stage.fails(&items[3]);
    let later = stage.clock.now().after(60 * SECOND);
    stage.becomes(&items[4], |item| item.deadline = later.into());
    let expected =
        OutcomeCounts { closed: 1, discarded: 1, extended: 1, failed: 2, ..OutcomeCounts::default() };
    assert_eq!(stage.outcomes(Overdue, "eu"), expected);
    assert_eq!(stage.outcomes(Overdue, "us"), OutcomeCounts::default());
    assert_eq!(stage.outcomes(Failed, "eu"), OutcomeCounts::default());
}

#[test]
fn what_changes_about_an_item_that_stays_is_no_end_of_it() {
    let stage = Stage::started();
    let item = stage.lose(1, "eu");
    let item = stage.becomes(&item, |item| item.step = Some(StepName::new("copy").unwrap()));
    let item = stage.becomes(&item, |item| item.deadline = item_deadline(&stage).into());
    stage.becomes(&item, |item| (item.attempts, item.free_at) = (1, START.after(90 * SECOND)));
    assert_eq!(stage.outcomes(Overdue, "eu"), OutcomeCounts::default());
}

/// Another deadline in the past.
fn item_deadline(stage: &Stage) -> Timestamp {
    stage.clock.now()
}

#[test]
fn an_item_that_comes_under_another_group_has_moved_there() {
    let stage = Stage::started();
    let item = stage.lose(1, "eu");
    stage.becomes(&item, |item| item.labels = region("us"));
    assert_eq!(stage.outcomes(Overdue, "eu"), OutcomeCounts { moved: 1, ..OutcomeCounts::default() });
    assert_eq!(stage.census.beside(&key(Overdue, "eu")), Some(key(Overdue, "us")));
}

#[test]
fn an_item_that_failed_and_is_sent_back_has_not_failed_after_all() {
    let stage = Stage::started();
    let items: Vec<IndexedItem> = (0..2).map(|number| stage.lose(number, "eu")).collect();
    let failed = stage.fails(&items[0]);
    assert_eq!(stage.outcomes(Overdue, "eu").failed, 1);
    let back = stage.becomes(&failed, |item| (item.status, item.failed_at) = (Status::Open, None));
    assert_eq!(stage.outcomes(Overdue, "eu"), OutcomeCounts::default());
    assert_eq!(stage.outcomes(Failed, "eu"), OutcomeCounts { retried: 1, ..OutcomeCounts::default() });
    stage.ends(&back, CloseOutcome::Success);
    assert_eq!(stage.outcomes(Overdue, "eu"), OutcomeCounts { closed: 1, ..OutcomeCounts::default() });
}

#[test]
fn one_that_had_failed_in_time_takes_nothing_back() {
    let stage = Stage::started();
    let other = stage.lose(1, "eu");
    let early = item(2, "eu");
    let early = IndexedItem { deadline: stage.clock.now().after(60 * SECOND).into(), ..early };
    stage.tell(None, &early);
    let early = stage.fails(&early);
    stage.fails(&other);
    stage.clock.advance(60 * SECOND);
    stage.becomes(&early, |item| (item.status, item.failed_at) = (Status::Open, None));
    assert_eq!(stage.outcomes(Overdue, "eu").failed, 1);
}

#[test]
fn what_is_told_counts_no_more_and_what_left_meanwhile_still_does() {
    let stage = Stage::started();
    let items: Vec<IndexedItem> = (0..3).map(|number| stage.lose(number, "eu")).collect();
    stage.ends(&items[0], CloseOutcome::Success);
    let told = stage.outcomes(Overdue, "eu");
    stage.ends(&items[1], CloseOutcome::Success);
    stage.census.close_account(&key(Overdue, "eu"), &told);
    assert_eq!(stage.outcomes(Overdue, "eu").closed, 1);
    stage.census.drop_account(&key(Overdue, "eu"));
    assert_eq!(stage.outcomes(Overdue, "eu").closed, 1, "an item is there, so there will be an incident");
    stage.ends(&items[2], CloseOutcome::Success);
    stage.census.drop_account(&key(Overdue, "eu"));
    assert_eq!(stage.outcomes(Overdue, "eu"), OutcomeCounts::default());
}

/// An incident as committed while it was open.
fn committed(count: u64, outcomes: OutcomeCounts) -> Incident {
    Incident {
        id: IncidentId("inc_1".into()),
        key: key(Overdue, "eu"),
        status: IncidentStatus::Open,
        severity: Severity::Critical,
        opened_at: START,
        reopened_at: None,
        reopenings: Vec::new(),
        resolved_at: None,
        ending_since: None,
        outcomes: Some(outcomes),
        counted_at: Some(START.after(10 * SECOND)),
        continued_in: None,
        count,
        peak: count,
        oldest_deadline: None,
        by_step: BTreeMap::new(),
        missed: None,
        notified_at: None,
        first_notified_at: None,
        notified_count: 0,
        notified_steps: std::collections::BTreeSet::new(),
        told: std::collections::BTreeSet::new(),
        escalations: 0,
        muted: false,
        notifications: 0,
        acknowledged: false,
        snoozed_until: None,
        actions: Vec::new(),
    }
}

/// The outcomes recovered for such an incident from these items.
fn found(incident: &Incident, items: &[IndexedItem]) -> OutcomeCounts {
    let stage = Stage::set();
    stage.clock.advance(60 * SECOND);
    stage.census.committed(&[Change::Put(incident.clone().into())]);
    items.iter().for_each(|item| stage.tell(None, item));
    stage.census.recovered();
    stage.outcomes(Overdue, "eu")
}

#[test]
fn after_a_crash_the_items_tell_what_became_of_them_since_the_last_commit() {
    let at = |seconds| START.after(seconds * SECOND);
    let before = OutcomeCounts { closed: 3, failed: 1, ..OutcomeCounts::default() };
    let done =
        |number, seconds, outcome| IndexedItem { status: closed(at(seconds), outcome), ..item(number, "eu") };
    let failed =
        |number, seconds, status| IndexedItem { failed_at: Some(at(seconds)), status, ..item(number, "eu") };
    let items = [
        done(1, 5, CloseOutcome::Success),
        done(2, 20, CloseOutcome::Success),
        done(3, 21, CloseOutcome::Discarded),
        failed(4, 5, Status::Failed),
        failed(5, 20, Status::Failed),
        failed(6, 20, closed(at(30), CloseOutcome::Success)),
        // Neither was ever overdue.
        IndexedItem { deadline: at(90).into(), ..done(7, 20, CloseOutcome::Success) },
        IndexedItem { deadline: at(90).into(), ..failed(8, 20, Status::Failed) },
        // One is still there, one is in time again.
        item(9, "eu"),
        IndexedItem { deadline: at(90).into(), ..item(10, "eu") },
    ];
    let expected =
        OutcomeCounts { closed: 4, discarded: 1, extended: 1, failed: 3, ..OutcomeCounts::default() };
    assert_eq!(found(&committed(6, before), &items), expected);
}

#[test]
fn what_was_under_way_to_the_disk_at_the_last_commit_is_counted_if_it_is_missing() {
    let done = |number, seconds| {
        let status = closed(START.after(seconds * SECOND), CloseOutcome::Success);
        IndexedItem { status, ..item(number, "eu") }
    };
    let items = [done(1, 9), done(2, 10), item(3, "eu")];
    for (count, closed) in [(1, 0), (2, 1), (3, 2)] {
        let expected = OutcomeCounts { closed, ..OutcomeCounts::default() };
        assert_eq!(
            found(&committed(count, OutcomeCounts::default()), &items),
            expected,
            "{count} were there"
        );
    }
}

#[test]
fn after_an_orderly_end_nothing_is_counted_again() {
    let before = OutcomeCounts { closed: 3, ..OutcomeCounts::default() };
    let early =
        IndexedItem { status: closed(START.after(5 * SECOND), CloseOutcome::Success), ..item(1, "eu") };
    assert_eq!(found(&committed(1, before), &[early, item(2, "eu")]), before);
}

#[test]
fn items_that_are_told_apart_in_another_way_after_a_restart_have_moved() {
    let mut incident = committed(2, OutcomeCounts::default());
    incident.key.group = Group::from([("tenant".into(), "a".into())]);
    let stage = Stage::set();
    stage.census.committed(&[Change::Put(incident.clone().into())]);
    (1..=2).for_each(|number| stage.tell(None, &item(number, "eu")));
    stage.census.recovered();
    let outcomes = stage.census.observe(&incident.key).outcomes;
    assert_eq!(outcomes, OutcomeCounts { moved: 2, ..OutcomeCounts::default() });
    assert_eq!(stage.census.beside(&incident.key), Some(key(Overdue, "eu")));
}
