//! The census compared with a plain map of items, while writes, their notification, queries and the waiting
//! loops interleave at random.
//!
//! The loops are modelled as they are written: they wait and wake only where the real ones do. Anything they
//! have missed at the end is a lost wake-up.

mod story;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use self::story::{Due, Step, Write, steps};
use super::*;
use crate::config::{Config, Sources};
use crate::model::item::{Closing, Course, Interruption, ItemPatch, LeaseCommand, Merge};
use crate::model::{
    ClockTime, CloseOutcome, EventSet, Item, ItemError, ItemId, Labels, ManualClock, PayloadInfo, Policy,
    Redrive, StepName, Work, Workflow,
};
use crate::store::{Change, Observer as _};
use crate::warden::PolicySet;

pub(super) const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const WORKFLOWS: [&str; 2] = ["uploads", "downloads"];
const STEPS: [&str; 2] = ["copy", "backup"];
/// The second workflow is grouped by region.
const REGIONS: [Option<&str>; 3] = [None, Some("eu"), Some("us")];

/// When overdue items are redriven, and how often.
const REDRIVEN_AFTER: Duration = Duration::from_millis(30);
const ATTEMPTS_MAX: u32 = 2;

/// The state of the loop that follows the wall clock.
enum Follower {
    Waits,
    /// Everything up to this item is refiled.
    Refiled {
        last: ItemNumber,
    },
}

/// The default policies, and one workflow with groups and redrives.
pub(super) fn policies() -> Arc<Workflows> {
    let config = Config::load(Sources::default()).unwrap();
    let mut split = Policy::clone(&config.policies.default);
    split.alerting.group_by = vec!["region".into()];
    split.redrive = Some(Redrive { to: "".into(), after: REDRIVEN_AFTER, max_attempts: ATTEMPTS_MAX });
    let configured = [(WorkflowName::new(WORKFLOWS[1]).unwrap(), Arc::new(split))].into();
    Arc::new(Workflows::new(PolicySet::of(configured, config.policies.default)))
}

struct Play {
    clock: ManualClock,
    census: Census,
    items: BTreeMap<ItemNumber, Item>,
    written: Vec<Change>,
    /// When the timer loop wakes next.
    asleep_until: Timestamp,
    follower: Follower,
    /// The last observation of the alerting loop.
    decided: BTreeMap<IncidentKey, Observation>,
    created: u64,
    closed: u64,
}

impl Play {
    fn new() -> Self {
        let clock = ManualClock::new(START);
        let policies = policies();
        let census = Census::new(Arc::new(clock.clone()), policies.clone());
        census.recovered();
        // Known workflows keep their counters.
        let noted =
            |name| Workflow { name: WorkflowName::new(name).unwrap(), created_at: START, definition: None };
        let told = WORKFLOWS.map(|name| Change::Put(noted(name).into()));
        policies.committed(&told);
        census.committed(&told);
        let (items, written, decided) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let follower = Follower::Waits;
        let asleep_until = Timestamp::MIN;
        Self { clock, census, items, written, asleep_until, follower, decided, created: 0, closed: 0 }
    }

    fn at(&self, offset: i64) -> Timestamp {
        Timestamp::from_millis(self.clock.now().as_millis() + offset)
    }

    fn due(&self, due: Due) -> ClockTime {
        let steady = self.at(due.ahead);
        if due.on_wall { ClockTime::on_wall(self.clock.moment().wall(steady)) } else { steady.into() }
    }

    fn write(&mut self, write: &Write) {
        let now = self.clock.now();
        if let Write::Create { workflow, step, deadline } = write {
            self.created += 1;
            let item = item(
                self.created,
                WORKFLOWS[*workflow],
                step.map(|step| STEPS[step]),
                now,
                self.due(*deadline),
            );
            self.written.push(Change::Item { before: None, after: Some(item.indexed()) });
            self.items.insert(item.number, item);
            return;
        }
        let (Write::Patch { item, .. }
        | Write::Label { item, .. }
        | Write::Fail { item }
        | Write::Hold { item, .. }
        | Write::Release { item }
        | Write::Interrupt { item, .. }
        | Write::Wait { item, .. }
        | Write::Close { item }
        | Write::Forget { item }
        | Write::Create { workflow: item, .. }) = write;
        let Some(number) = self.items.keys().nth(item % self.items.len().max(1)).copied() else { return };
        let mut item = self.items[&number].clone();
        let before = Some(item.indexed());
        match write {
            Write::Forget { .. } if item.closed.is_some() => {
                self.items.remove(&number);
                self.written.push(Change::Item { before, after: None });
                return;
            }
            _ if item.closed.is_some() => return,
            Write::Patch { deadline, .. } => {
                let deadline = Some(self.due(*deadline));
                item.patch(&ItemPatch { deadline, ..ItemPatch::default() }, &bare()).unwrap();
            }
            Write::Label { region, .. } => {
                let region = [("region".to_owned(), REGIONS[*region].map(str::to_owned))];
                let labels = Some(Merge::Change(region.into()));
                item.patch(&ItemPatch { labels, ..ItemPatch::default() }, &bare()).unwrap();
            }
            Write::Fail { .. } => item.report(fatal(now)).unwrap(),
            Write::Hold { millis, .. } if item.is_claimable(now) => {
                item.claim(item.version, "worker".into(), self.at(*millis));
            }
            Write::Release { .. } if item.work.running(now).is_some() => {
                let token = item.work.lease.as_ref().unwrap().token;
                let release = LeaseCommand::Release { retry_at: None, counts: true, progress: None };
                item.act(token, release, &bare(), now.into()).unwrap();
            }
            Write::Hold { .. } | Write::Release { .. } => return,
            Write::Interrupt { millis, .. } if item.failed_at.is_none() => {
                let until = millis.map(|millis| self.at(millis));
                item.course.interruption = Some(Interruption { at: now, until });
            }
            Write::Interrupt { .. } => return,
            Write::Wait { millis, .. } => item.course.not_before = Some(self.at(*millis)),
            Write::Close { .. } => {
                item.close(Closing {
                    outcome: CloseOutcome::Success,
                    at: now,
                    retention: Duration::from_secs(1),
                    keep_payload: Duration::ZERO,
                    ended_at: None,
                    events: EventSet::NONE,
                });
                self.closed += 1;
            }
            Write::Create { .. } | Write::Forget { .. } => return,
        }
        self.written.push(Change::Item { before, after: Some(item.indexed()) });
        self.items.insert(number, item);
    }

    fn tell(&mut self, count: usize) {
        let told: Vec<Change> = self.written.drain(..count.min(self.written.len())).collect();
        self.census.committed(&told);
    }

    /// Takes a step; false if it still waits.
    fn watch(&mut self) -> bool {
        let now = self.clock.now();
        if now < self.asleep_until && self.census.sooner().now_or_never().is_none() {
            return false;
        }
        self.asleep_until = self.census.fire(now, 2);
        true
    }

    /// Takes a step; false if it still waits.
    fn follow(&mut self) -> bool {
        let after = match self.follower {
            Follower::Waits => match self.clock.stepped().now_or_never() {
                Some(anchor) => {
                    self.clock.adopt(anchor.wall_offset);
                    None
                }
                None => return false,
            },
            Follower::Refiled { last } => Some(last),
        };
        let refiled = self.census.refile(after, 2);
        self.follower = refiled.map_or(Follower::Waits, |last| Follower::Refiled { last });
        true
    }

    /// Takes a step; false if it still waits.
    fn alert(&mut self) -> bool {
        if self.census.troubled().now_or_never().is_none() {
            return false;
        }
        for trouble in self.census.take_touched() {
            let observation = self.census.observe(&trouble);
            self.decided.insert(trouble, observation);
        }
        true
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Pass(millis) => self.clock.advance(Duration::from_millis(*millis)),
            Step::Write(write) => self.write(write),
            Step::Tell(count) => self.tell(*count),
            Step::Watch => drop(self.watch()),
            Step::Alert => drop(self.alert()),
            Step::SetWall(millis) => self.clock.set_wall_ahead(*millis),
            Step::Follow => drop(self.follow()),
        }
    }

    /// Runs every loop until all of them wait.
    fn settle(&mut self) {
        self.tell(usize::MAX);
        while self.follow() {}
        while self.watch() {}
        while self.alert() {}
    }

    fn steady(&self, item: &Item) -> Timestamp {
        self.clock.moment().steady(item.deadline)
    }

    fn check_incident(&self, key: &IncidentKey, items: &[&Item]) -> Result<(), TestCaseError> {
        let numbers: Vec<ItemNumber> = items.iter().map(|item| item.number).collect();
        prop_assert_eq!(self.census.sample(key, usize::MAX), numbers);
        let observation = self.census.observe(key);
        prop_assert_eq!(observation.count, items.len() as u64);
        prop_assert_eq!(observation.oldest_deadline, items.first().map(|item| self.steady(item)));
        prop_assert_eq!(observation.by_step.values().sum::<u64>(), observation.count);
        for (step, count) in &observation.by_step {
            let at_step = |item: &&&Item| item.step.as_deref().unwrap_or_default() == &**step;
            prop_assert_eq!(items.iter().filter(at_step).count() as u64, *count);
        }
        let decided = self.decided.get(key).cloned().unwrap_or_default();
        prop_assert_eq!(
            decided,
            observation,
            "the alerting loop was not notified of the last change of {:?}",
            key
        );
        Ok(())
    }

    fn check_redrivable(&self, workflow: &str, overdue: &[&Item]) -> Result<(), TestCaseError> {
        let due = |item: &&&Item| (self.steady(item).after(REDRIVEN_AFTER).max(item.free_at()), item.number);
        let are_sent = workflow == WORKFLOWS[1];
        let items = overdue.iter().filter(|item| are_sent && item.work.attempts < ATTEMPTS_MAX);
        let mut expected: Vec<_> = items.map(|item| due(&item)).collect();
        expected.sort_unstable();
        let (mut taken, mut found) = (HashSet::new(), Vec::new());
        while let Ok(number) = self.census.redrivable(workflow, &taken, Timestamp::MAX) {
            taken.insert(number);
            found.push(number);
        }
        prop_assert_eq!(&found, &expected.iter().map(|place| place.1).collect::<Vec<_>>());
        let first = self.census.redrivable(workflow, &HashSet::new(), Timestamp::MIN);
        prop_assert_eq!(first, Err(expected.first().map_or(Timestamp::MAX, |place| place.0)));
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let moment = self.clock.moment();
        let is_late = |item: &Item| self.steady(item) <= moment.now;
        let mut timers = 0;
        for name in WORKFLOWS {
            let workflow = WorkflowName::new(name).unwrap();
            let of = |state| {
                let all = self.items.values().filter(move |item| item.workflow.as_str() == name);
                let mut items: Vec<&Item> = all.filter(|item| item.state(moment) == state).collect();
                items.sort_by_key(|item| (self.steady(item), item.number));
                items
            };
            let (open, overdue, failed) =
                (of(ItemState::Open), of(ItemState::Overdue), of(ItemState::Failed));
            let interrupted = of(ItemState::Interrupted);
            // An interrupted item keeps its deadline.
            let (mut late, in_time): (Vec<&Item>, Vec<&Item>) =
                [&open, &overdue, &interrupted].into_iter().flatten().partition(|item| is_late(item));
            late.sort_by_key(|item| (self.steady(item), item.number));
            timers += in_time.len();
            for (kind, items) in [(IncidentKind::Overdue, &late), (IncidentKind::Failed, &failed)] {
                let mut groups: BTreeMap<Group, Vec<&Item>> = BTreeMap::new();
                for region in REGIONS.map(Option::unwrap_or_default) {
                    groups.insert([("region".into(), region.into())].into(), Vec::new());
                }
                groups.insert(Group::new(), Vec::new());
                for item in items {
                    let region = item.labels.get("region").map_or("", String::as_str);
                    let split = || Group::from([("region".into(), region.into())]);
                    let group = if name == WORKFLOWS[1] { split() } else { Group::new() };
                    groups.entry(group).or_default().push(item);
                }
                for (group, items) in groups {
                    let key = IncidentKey { workflow: workflow.clone(), kind, group };
                    self.check_incident(&key, &items)?;
                }
            }
            for (state, items) in
                [(ItemState::Open, &open), (ItemState::Overdue, &overdue), (ItemState::Failed, &failed)]
            {
                for step in [None, Some(STEPS[0]), Some(STEPS[1])] {
                    let is_at = |at: &str| step == Some(at);
                    let at: Option<&(dyn Fn(&str) -> bool + Sync)> =
                        if step.is_some() { Some(&is_at) } else { None };
                    let wanted = Wanted { admits: &|workflow| workflow == name, states: &[state], step: at };
                    let free = items.iter().filter(|item| item.is_claimable(moment.now));
                    let free = free.filter(|item| step.is_none() || item.step.as_deref() == step);
                    let expected: Vec<Place> = free.map(|item| (self.steady(item), item.number)).collect();
                    let reserved = self.census.reserve_first(&wanted, None, usize::MAX);
                    prop_assert_eq!(&reserved.places, &expected, "in state {:?} at step {:?}", state, step);
                    // The reservation is dropped here, and the items are claimable again.
                }
            }
            self.check_redrivable(name, &late)?;
            let tally = self.census.tally(name);
            prop_assert_eq!(tally.unclosed, (late.len() + in_time.len() + failed.len()) as u64);
            prop_assert_eq!(tally.interrupted, interrupted.len() as u64);
            prop_assert_eq!(tally.closed, of(ItemState::Closed).len() as u64);
        }
        prop_assert_eq!(self.census.timers().0, timers);
        {
            let state = self.census.lock();
            prop_assert_eq!(state.classes.timers(), state.wheel.len() as u64, "each timer is of one class");
            let unclosed = self.items.values().filter(|item| item.closed.is_none()).count();
            prop_assert_eq!(state.claimable.counts(), (unclosed, unclosed), "each item is in one place");
        }
        let tallies = self.census.tallies();
        prop_assert_eq!(tallies.iter().map(|(_, tally)| tally.created_total).sum::<u64>(), self.created);
        prop_assert_eq!(tallies.iter().map(|(_, tally)| tally.closed_total).sum::<u64>(), self.closed);
        Ok(())
    }
}

pub(super) fn item(
    number: u64,
    workflow: &str,
    step: Option<&str>,
    now: Timestamp,
    deadline: ClockTime,
) -> Item {
    Item {
        number: ItemNumber(number),
        workflow: WorkflowName::new(workflow).unwrap(),
        id: ItemId::new(format!("file-{number}")).unwrap(),
        created_at: now,
        deadline,
        failed_at: None,
        closed: None,
        labels: Labels::default(),
        step: step.map(|step| StepName::new(step).unwrap()),
        step_entered_at: now,
        payload: Some(PayloadInfo {
            size: 0,
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

fn bare() -> Policy {
    Policy::bare(Duration::from_secs(1), Duration::from_secs(1))
}

fn fatal(at: Timestamp) -> ItemError {
    ItemError {
        id: "err_1".into(),
        kind: "Fatal".into(),
        message: String::new(),
        retryable: false,
        fatal: true,
        step: None,
        at,
        stack: None,
        data: serde_json::Value::Null,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn however_writes_and_look_ups_cross_the_census_is_right_in_the_end_and_everybody_was_woken(
        acts in prop::collection::vec(prop::collection::vec(steps(), 1..60), 1..4),
    ) {
        let mut play = Play::new();
        for act in &acts {
            act.iter().for_each(|step| play.take(step));
            play.settle();
            play.check()?;
        }
    }
}
