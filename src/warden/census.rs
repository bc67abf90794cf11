//! The census: what is derived from the items and kept in memory.
//!
//! The timers of the open items, the ordered sets of overdue and of failed items, the closed ones in the order in
//! which they are to be forgotten, and the counters. It is told of every committed change in commit order, by the
//! store, before the answer goes out; so it is never behind an acknowledgement, and a restart builds it anew from the
//! records.
//!
//! A timer that fires makes its item overdue at once: whatever was acknowledged before is known here, and a close that is
//! committed later takes the item out again.
//!
//! What is ordered by deadline is ordered by steady time. When the wall clock was set, items whose deadline is an instant
//! of it are placed anew ([`refile`]).
//!
//! Deliberately absent: anything that is decided from these numbers.

mod accounts;
mod changes;
mod claimable;
mod claims;
mod classes;
mod closed;
mod disused;
mod placed;
#[cfg(test)]
mod properties;
mod redrivable;
mod refile;
#[cfg(test)]
mod steps;
mod troubled;
mod workflow;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use self::accounts::Accounts;
use self::claimable::Claimable;
pub use self::claimable::Wanted;
pub use self::claims::Reservation;
use self::classes::{Class, Classes};
use self::closed::Closed;
use self::placed::{Claimed, Placed, WallPlaces};
use self::redrivable::Redrivable;
pub use self::troubled::Place;
use self::troubled::Troubled;
pub use self::workflow::Tally;
use self::workflow::WorkflowCensus;
use super::Workflows;
use super::expectations::ExpectedWork;
use crate::incident::Observation;
use crate::model::{
    Became, Clock, ClockTime, Group, IncidentKey, IncidentKind, ItemNumber, ItemState, Moment, StepName,
    Timestamp, WorkflowName,
};
use crate::timer::{Due, TimerWheel};

struct State {
    wheel: TimerWheel,
    /// What the tags of the timers stand for.
    classes: Classes,
    wall_places: WallPlaces,
    claimed: Claimed,
    workflows: BTreeMap<WorkflowName, WorkflowCensus>,
    closed: Closed,
    /// Workflows that were made on first use and have had no item for a moment, until somebody asks.
    emptied: BTreeSet<WorkflowName>,
    claimable: Claimable,
    redrivable: Redrivable,
    /// Where the labels are found by which a workflow's items are split.
    policies: Arc<Workflows>,
    /// Payloads that outlived their items' close, by the instant at which they are to be dropped.
    kept_payloads: BTreeSet<(Timestamp, ItemNumber)>,
    touched: BTreeSet<IncidentKey>,
    accounts: Accounts,
    /// Whether what is committed from here on is new, and not read from the store at the start.
    recovered: bool,
    /// Until when the one who waits for timers sleeps.
    asleep_until: Timestamp,
}

/// The derived state. See the module's documentation.
pub struct Census {
    state: Mutex<State>,
    expectations: Arc<ExpectedWork>,
    clock: Arc<dyn Clock>,
    sooner: Notify,
    troubled: Notify,
    claimable: Notify,
}

impl Census {
    /// An empty census of workflows with these policies, of which this is expected.
    pub fn new(clock: Arc<dyn Clock>, policies: Arc<Workflows>, expectations: Arc<ExpectedWork>) -> Self {
        let state = State {
            wheel: TimerWheel::new(clock.now().as_millis()),
            classes: Classes::default(),
            wall_places: WallPlaces::default(),
            claimed: Claimed::default(),
            workflows: BTreeMap::new(),
            closed: Closed::default(),
            emptied: BTreeSet::new(),
            claimable: Claimable::default(),
            redrivable: Redrivable::new(policies.redriving()),
            accounts: Accounts::new(policies.clone()),
            policies,
            kept_payloads: BTreeSet::new(),
            touched: BTreeSet::new(),
            recovered: false,
            asleep_until: Timestamp::MAX,
        };
        Self {
            state: Mutex::new(state),
            expectations,
            clock,
            sooner: Notify::new(),
            troubled: Notify::new(),
            claimable: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that all items have been read: what comes from here on counts as created or closed since the start.
    pub fn recovered(&self) {
        let state = &mut *self.lock();
        state.recovered = true;
        state.accounts.recovered(&state.workflows);
    }

    /// Begins to count anew what becomes of an incident's items, but for those that left since `told` was observed.
    pub fn close_account(&self, key: &IncidentKey, told: &Became) {
        self.lock().accounts.close(key, told);
    }

    /// Forgets what became of items of which there was never an incident.
    pub fn drop_account(&self, key: &IncidentKey) {
        let mut state = self.lock();
        if state.workflows.get(&key.workflow).is_none_or(|census| census.troubled(key).is_none()) {
            state.accounts.drop(key);
        }
    }

    /// How many items an incident has.
    pub fn count(&self, key: &IncidentKey) -> u64 {
        if key.kind == IncidentKind::Missed {
            return self.expectations.observe(&key.workflow).count;
        }
        let state = self.lock();
        let troubled = state.workflows.get(&key.workflow).and_then(|census| census.troubled(key));
        troubled.map_or(0, Troubled::count)
    }

    /// The group, other than an incident's own, with the most items that are wrong in the same way. That into which items
    /// were moved last counts more, as long as it has any.
    pub fn beside(&self, key: &IncidentKey) -> Option<IncidentKey> {
        let state = self.lock();
        let census = state.workflows.get(&key.workflow)?;
        let of = |group: &Group| IncidentKey { group: group.clone(), ..key.clone() };
        let moved = state.accounts.moved_into(key).filter(|other| census.troubled(other).is_some());
        moved.or_else(|| census.groups(key.kind)?.fullest_but(&key.group).map(of))
    }

    /// Counts items whose timers fire by `now` as overdue, in one bite of at most `limit` steps of the timer wheel. When to
    /// call it next; that is `now` if there are more.
    pub fn fire(&self, now: Timestamp, limit: usize) -> Timestamp {
        let mut state = self.lock();
        let finished = self.fire_some(&mut state, now, limit);
        let next = if finished { state.next_timer() } else { now };
        state.asleep_until = next;
        self.wake(&mut state);
        next
    }

    /// The same, for a loop that needs what is overdue by `now` to be counted and does not wait for timers itself. Whether
    /// that is all.
    pub fn catch_up(&self, now: Timestamp, limit: usize) -> bool {
        let mut state = self.lock();
        let finished = self.fire_some(&mut state, now, limit);
        self.wake(&mut state);
        finished
    }

    fn fire_some(&self, state: &mut State, now: Timestamp, limit: usize) -> bool {
        let moment = self.clock.moment();
        let mut due = Vec::new();
        let finished = state.wheel.advance(now.as_millis(), limit, &mut due);
        for due in due {
            state.fire(due, moment);
        }
        finished
    }

    /// Completes when a timer was set that is due before the instant that [`Census::fire`] named last.
    pub async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Completes when an incident's items have changed since [`Census::take_touched`].
    pub async fn troubled(&self) {
        self.troubled.notified().await;
    }

    /// The incidents whose items have changed since the last call.
    pub fn take_touched(&self) -> BTreeSet<IncidentKey> {
        std::mem::take(&mut self.lock().touched)
    }

    /// Takes note that these incidents are to be decided about again.
    pub fn touch(&self, keys: impl IntoIterator<Item = IncidentKey>) {
        let mut state = self.lock();
        state.touched.extend(keys);
        self.wake(&mut state);
    }

    /// What can be seen of an incident's items, or of those that did not come.
    pub fn observe(&self, key: &IncidentKey) -> Observation {
        if key.kind == IncidentKind::Missed {
            return self.expectations.observe(&key.workflow);
        }
        let state = self.lock();
        let troubled = state.workflows.get(&key.workflow).and_then(|census| census.troubled(key));
        let observation = troubled.map(Troubled::observe).unwrap_or_default();
        Observation { became: state.accounts.get(key), ..observation }
    }

    /// The items of an incident, the earliest deadline first, at most `limit`.
    pub fn sample(&self, key: &IncidentKey, limit: usize) -> Vec<ItemNumber> {
        let state = self.lock();
        let troubled = state.workflows.get(&key.workflow).and_then(|census| census.troubled(key));
        troubled.map_or_else(Vec::new, |troubled| troubled.sample(limit))
    }

    /// Overdue items of the workflows that `admits` names, the earliest deadline first, after a place in that order.
    pub fn overdue(&self, admits: impl Fn(&str) -> bool, after: Option<Place>, limit: usize) -> Vec<Place> {
        let state = self.lock();
        let admitted = state.workflows.iter().filter(|(name, _)| admits(name));
        let mut found: Vec<_> = admitted.flat_map(|(_, census)| census.overdue.after(after, limit)).collect();
        found.sort_unstable();
        found.truncate(limit);
        found
    }

    /// The first of a workflow's items that is to be sent again by itself by `now` and not among those that are taken.
    ///
    /// # Errors
    /// When there is none; says when to ask again.
    pub fn redrivable(
        &self,
        workflow: &str,
        taken: &HashSet<ItemNumber>,
        now: Timestamp,
    ) -> Result<ItemNumber, Timestamp> {
        self.lock().redrivable.first(workflow, taken, now)
    }

    /// What wakes whoever waits for them, when one comes that is due before all others.
    pub fn redrivable_sooner(&self, workflow: &str) -> Arc<Notify> {
        self.lock().redrivable.sooner(workflow)
    }

    /// At most `limit` closed items whose records are to go by `now`, or because their workflow remembers no more.
    pub fn forgettable(&self, now: Timestamp, limit: usize) -> Vec<ItemNumber> {
        self.lock().closed.forgettable(now, limit)
    }

    /// At most `limit` closed items of a workflow.
    pub fn closed_of(&self, workflow: &str, limit: usize) -> Vec<ItemNumber> {
        self.lock().closed.of(workflow, limit)
    }

    /// At most `limit` closed items whose payloads are to go by `now`.
    pub fn droppable(&self, now: Timestamp, limit: usize) -> Vec<ItemNumber> {
        let state = self.lock();
        state
            .kept_payloads
            .iter()
            .take_while(|(until, _)| *until <= now)
            .take(limit)
            .map(|entry| entry.1)
            .collect()
    }

    /// The figures of one workflow.
    pub fn tally(&self, workflow: &str) -> Tally {
        self.lock().tally(workflow)
    }

    /// The figures of all workflows that have items which are not closed, or are known and have or had items.
    pub fn tallies(&self) -> Vec<(WorkflowName, Tally)> {
        let state = self.lock();
        let mut names: BTreeSet<WorkflowName> = state.workflows.keys().cloned().collect();
        names.extend(state.policies.names().into_iter().filter(|name| state.closed.count(name) > 0));
        names.into_iter().map(|name| (name.clone(), state.tally(&name))).collect()
    }

    /// Timers that are set, and the bytes of memory that they take.
    pub fn timers(&self) -> (usize, usize) {
        let state = self.lock();
        (state.wheel.len(), state.wheel.memory())
    }

    fn wake(&self, state: &mut State) {
        if state.claimable.take_news() {
            self.claimable.notify_waiters();
        }
        if !state.touched.is_empty() {
            self.troubled.notify_one();
        }
        if state.next_timer() < state.asleep_until {
            self.sooner.notify_one();
        }
    }
}

impl State {
    fn next_timer(&self) -> Timestamp {
        self.wheel.next_deadline().map_or(Timestamp::MAX, Timestamp::from_millis)
    }

    fn tally(&self, name: &str) -> Tally {
        let closed = self.closed.count(name);
        let only_closed = || Tally { closed, ..Tally::default() };
        self.workflows.get(name).map_or_else(only_closed, |census| census.tally(closed))
    }

    fn workflow(&mut self, name: &WorkflowName) -> &mut WorkflowCensus {
        if !self.workflows.contains_key(name) {
            self.workflows.insert(name.clone(), WorkflowCensus::new(self.policies.policy(name)));
        }
        self.workflows.get_mut(name).expect("it was just put there if it was missing")
    }

    /// Takes note of who may have an item that is in this state.
    fn stand(&mut self, placed: Placed<'_>, state: ItemState, now: Timestamp) {
        let step = self.named_step(placed.workflow, placed.step);
        self.claimable.put(placed, state, step, now);
        self.redrivable.put(placed, state);
    }

    /// A step, if the policy of its workflow names it.
    fn named_step(&self, workflow: &WorkflowName, step: Option<&StepName>) -> Option<StepName> {
        let policy = self.policies.policy(workflow);
        step.filter(|step| policy.step(step).is_some()).cloned()
    }

    /// Gives an item that is open its place: among the overdue ones, or a timer. The incident that it belongs to.
    fn put_open(
        &mut self,
        number: ItemNumber,
        class: &Class,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Option<IncidentKey> {
        let placed = self.placed(number, class, deadline);
        if deadline <= now {
            let census = self.workflow(&class.workflow);
            let key = census.add_troubled(IncidentKind::Overdue, class.group.clone(), placed);
            self.touched.insert(key.clone());
            self.stand(placed, ItemState::Overdue, now);
            return Some(key);
        }
        let named_step = self.named_step(&class.workflow, class.step.as_ref());
        let tag = self.classes.enter(class.clone(), named_step);
        if let Some(tag) = self.wheel.schedule(number.0, deadline.as_millis(), tag) {
            self.classes.leave(tag);
        }
        self.stand(placed, ItemState::Open, now);
        None
    }

    /// Gives an item that has failed its place; the incident that it belongs to.
    fn put_failed(
        &mut self,
        number: ItemNumber,
        class: &Class,
        deadline: Timestamp,
        now: Timestamp,
    ) -> IncidentKey {
        let placed = self.placed(number, class, deadline);
        let census = self.workflow(&class.workflow);
        let key = census.add_troubled(IncidentKind::Failed, class.group.clone(), placed);
        self.touched.insert(key.clone());
        self.stand(placed, ItemState::Failed, now);
        key
    }

    fn placed<'a>(&self, number: ItemNumber, class: &'a Class, deadline: Timestamp) -> Placed<'a> {
        let (attempts, free_at) = self.claimed.get(number);
        Placed { number, workflow: &class.workflow, step: class.step.as_ref(), deadline, attempts, free_at }
    }

    fn fire(&mut self, due: Due, moment: Moment) {
        let (number, class) = (ItemNumber(due.number), self.classes.leave(due.tag));
        let mut deadline = Timestamp::from_millis(due.deadline_ms);
        // The wall clock may have been set since the timer was.
        if let Some(place) = self.wall_places.get_mut(number) {
            deadline = moment.steady(ClockTime::on_wall(place.wall));
            place.deadline = deadline;
        }
        self.put_open(number, &class, deadline, moment.now);
    }

    /// Removes the timer of an item; the class of the item, if it had one.
    fn cancel_timer(&mut self, number: ItemNumber) -> Option<Arc<Class>> {
        self.wheel.cancel(number.0).map(|tag| self.classes.leave(tag))
    }
}
