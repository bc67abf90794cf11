//! The census: the in-memory index derived from the items.
//!
//! It holds the timers of open items, the ordered sets of overdue and failed items, closed items in order of
//! their removal, and counters. The store feeds it every committed change in commit order, before the
//! response is sent, so it is never behind an acknowledgement; a restart rebuilds it from the records.
//!
//! A timer that fires makes its item overdue at once: every acknowledged change is already in the census, and
//! a close that is committed later removes the item again.
//!
//! Deadlines are ordered by steady time. When the wall clock is set, items whose deadline is an instant of
//! the wall clock are refiled ([`refile`]).
//!
//! Deliberately absent: any decision based on these numbers.

mod accounts;
mod adopt;
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
mod untold;
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
use self::untold::Untold;
pub use self::workflow::Tally;
use self::workflow::WorkflowCensus;
use super::Workflows;
use crate::incident::Observation;
use crate::model::{
    Clock, ClockTime, Group, IncidentKey, IncidentKind, ItemNumber, ItemState, Moment, OutcomeCounts,
    Timestamp, WorkflowName,
};
use crate::timer::{Due, TimerWheel};

/// The most steps of the timer wheel while the census is locked, so that a million timers that fire together
/// do not delay the committing thread.
pub const STEPS_AT_ONCE: usize = 256;

struct State {
    wheel: TimerWheel,
    /// The classes that the tags of the timers refer to.
    classes: Classes,
    wall_places: WallPlaces,
    claimed: Claimed,
    workflows: BTreeMap<WorkflowName, WorkflowCensus>,
    closed: Closed,
    /// Candidates for removal: workflows created on first use without items.
    emptied: BTreeSet<WorkflowName>,
    claimable: Claimable,
    redrivable: Redrivable,
    /// For the labels in `group_by`.
    policies: Arc<Workflows>,
    /// Kept payloads of closed items, by the instant at which they are to be dropped.
    kept_payloads: BTreeSet<(Timestamp, ItemNumber)>,
    touched: BTreeSet<IncidentKey>,
    untold: Untold,
    accounts: Accounts,
    /// False while the stored items are read at the start, so that they do not count as created or closed.
    recovered: bool,
    /// When the loop that fires timers wakes next.
    asleep_until: Timestamp,
}

pub struct Census {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    sooner: Notify,
    troubled: Notify,
    became_overdue: Notify,
    /// For claims of overdue and failed items only.
    claimable_due: Notify,
    /// For claims that also ask for items that are not due.
    claimable: Notify,
}

impl Census {
    pub fn new(clock: Arc<dyn Clock>, policies: Arc<Workflows>) -> Self {
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
            untold: Untold::default(),
            recovered: false,
            asleep_until: Timestamp::MAX,
        };
        Self {
            state: Mutex::new(state),
            clock,
            sooner: Notify::new(),
            troubled: Notify::new(),
            became_overdue: Notify::new(),
            claimable_due: Notify::new(),
            claimable: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the recovery: from here on items count as created or closed since the start.
    pub fn recovered(&self) {
        let state = &mut *self.lock();
        state.recovered = true;
        state.accounts.recovered(&state.workflows);
    }

    /// Resets the counts of a resolved incident, keeping what was counted after `told` was observed.
    pub fn close_account(&self, key: &IncidentKey, told: &OutcomeCounts) {
        self.lock().accounts.close(key, told);
    }

    /// Drops the counts of items that never were in an incident.
    pub fn drop_account(&self, key: &IncidentKey) {
        let mut state = self.lock();
        if state.workflows.get(&key.workflow).is_none_or(|census| census.troubled(key).is_none()) {
            state.accounts.drop(key);
        }
    }

    /// The number of items in an incident.
    pub fn count(&self, key: &IncidentKey) -> u64 {
        let state = self.lock();
        let troubled = state.workflows.get(&key.workflow).and_then(|census| census.troubled(key));
        troubled.map_or(0, Troubled::count)
    }

    /// Another group with items of the same kind, for the incident to be continued in: the group into which
    /// items moved last, if it has any, or else the one with the most.
    pub fn beside(&self, key: &IncidentKey) -> Option<IncidentKey> {
        let state = self.lock();
        let census = state.workflows.get(&key.workflow)?;
        let of = |group: &Group| IncidentKey { group: group.clone(), ..key.clone() };
        let moved = state.accounts.moved_into(key).filter(|other| census.troubled(other).is_some());
        moved.or_else(|| census.groups(key.kind)?.fullest_but(&key.group).map(of))
    }

    /// Makes items overdue whose timers fire by `now`, in at most `limit` steps of the timer wheel. Returns
    /// when to call it next; that is `now` if there are more.
    pub fn fire(&self, now: Timestamp, limit: usize) -> Timestamp {
        let mut state = self.lock();
        let finished = self.fire_some(&mut state, now, limit);
        let next = if finished { state.next_timer() } else { now };
        state.asleep_until = next;
        self.wake(&mut state);
        next
    }

    /// Like [`Census::fire`], for a loop that does not wait for timers but needs every item counted that is
    /// overdue by `now`. Returns whether all are.
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

    /// Completes when a timer was set that is due before the instant that [`Census::fire`] returned.
    pub async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Completes when the items of an incident have changed since [`Census::take_touched`].
    pub async fn troubled(&self) {
        self.troubled.notified().await;
    }

    /// The incidents whose items have changed since the last call.
    pub fn take_touched(&self) -> BTreeSet<IncidentKey> {
        std::mem::take(&mut self.lock().touched)
    }

    /// The counts of an incident.
    pub fn observe(&self, key: &IncidentKey) -> Observation {
        let state = self.lock();
        let troubled = state.workflows.get(&key.workflow).and_then(|census| census.troubled(key));
        let observation = troubled.map(Troubled::observe).unwrap_or_default();
        Observation { outcomes: state.accounts.get(key), ..observation }
    }

    /// The items of an incident, the earliest deadline first.
    pub fn sample(&self, key: &IncidentKey, limit: usize) -> Vec<ItemNumber> {
        let state = self.lock();
        let troubled = state.workflows.get(&key.workflow).and_then(|census| census.troubled(key));
        troubled.map_or_else(Vec::new, |troubled| troubled.sample(limit))
    }

    /// Overdue items of the admitted workflows, the earliest deadline first, after a position.
    pub fn overdue(&self, admits: impl Fn(&str) -> bool, after: Option<Place>, limit: usize) -> Vec<Place> {
        let state = self.lock();
        let admitted = state.workflows.iter().filter(|(name, _)| admits(name));
        let mut found: Vec<_> = admitted.flat_map(|(_, census)| census.overdue.after(after, limit)).collect();
        found.sort_unstable();
        found.truncate(limit);
        found
    }

    /// Failed items of a workflow, the earliest deadline first, after a position.
    pub fn failed_of(&self, workflow: &str, after: Option<Place>, limit: usize) -> Vec<Place> {
        let state = self.lock();
        let mut found: Vec<_> = state
            .workflows
            .get(workflow)
            .map(|census| census.failed.after(after, limit))
            .into_iter()
            .flatten()
            .collect();
        found.sort_unstable();
        found.truncate(limit);
        found
    }

    /// The first item of a workflow whose redrive is due by `now` and is not in `taken`. The error is when to
    /// ask again.
    pub fn redrivable(
        &self,
        workflow: &str,
        taken: &HashSet<ItemNumber>,
        now: Timestamp,
    ) -> Result<ItemNumber, Timestamp> {
        self.lock().redrivable.first(workflow, taken, now)
    }

    /// Notified when a redrive becomes due before the instant that was returned.
    pub fn redrivable_sooner(&self, workflow: &str) -> Arc<Notify> {
        self.lock().redrivable.sooner(workflow)
    }

    /// Closed items whose retention has ended by `now`, or that exceed `retention_max`.
    pub fn forgettable(&self, now: Timestamp, limit: usize) -> Vec<ItemNumber> {
        self.lock().closed.forgettable(now, limit)
    }

    pub fn closed_of(&self, workflow: &str, limit: usize) -> Vec<ItemNumber> {
        self.lock().closed.of(workflow, limit)
    }

    /// Closed items whose payloads are to be dropped by `now`.
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

    pub fn tally(&self, workflow: &str) -> Tally {
        self.lock().tally(workflow, self.clock.now())
    }

    /// The counts of all workflows with open items, and of known workflows that have or had items.
    pub fn tallies(&self) -> Vec<(WorkflowName, Tally)> {
        let now = self.clock.now();
        let mut state = self.lock();
        let mut names: BTreeSet<WorkflowName> = state.workflows.keys().cloned().collect();
        names.extend(state.policies.names().into_iter().filter(|name| state.closed.count(name) > 0));
        names.into_iter().map(|name| (name.clone(), state.tally(&name, now))).collect()
    }

    /// The number of timers, and their memory in bytes.
    pub fn timers(&self) -> (usize, usize) {
        let state = self.lock();
        (state.wheel.len(), state.wheel.memory())
    }

    fn wake(&self, state: &mut State) {
        let news = state.claimable.take_news();
        if news.due {
            self.claimable_due.notify_waiters();
        }
        if news.any {
            self.claimable.notify_waiters();
        }
        if !state.touched.is_empty() {
            self.troubled.notify_one();
        }
        if state.untold.take_news() {
            self.became_overdue.notify_one();
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

    fn tally(&mut self, name: &str, now: Timestamp) -> Tally {
        let closed = self.closed.count(name);
        let only_closed = || Tally { closed, ..Tally::default() };
        self.workflows.get_mut(name).map_or_else(only_closed, |census| census.tally(closed, now))
    }

    fn workflow(&mut self, name: &WorkflowName) -> &mut WorkflowCensus {
        if !self.workflows.contains_key(name) {
            self.workflows.insert(name.clone(), WorkflowCensus::new(&self.policies.policy(name)));
        }
        self.workflows.get_mut(name).expect("it was just put there if it was missing")
    }

    /// Adds an open item, or a run that waits for others: with a timer, or to the items whose deadline is
    /// past. Returns its incident.
    fn put_open(
        &mut self,
        number: ItemNumber,
        class: &Class,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Option<IncidentKey> {
        let placed = self.placed(number, class, deadline);
        if deadline <= now {
            if class.kind == IncidentKind::Held {
                return Some(self.put_held(number, class, deadline));
            }
            let census = self.workflow(&class.workflow);
            let key = census.add_troubled(IncidentKind::Overdue, class.group.clone(), placed);
            self.touched.insert(key.clone());
            self.redrivable.put(placed, ItemState::Overdue);
            self.untold.note(number, &class.workflow, &self.policies.policy(&class.workflow));
            return Some(key);
        }
        let policy = self.policies.policy(&class.workflow);
        let tag = self.classes.enter(class, |step| policy.step(step).is_some());
        if let Some(tag) = self.wheel.schedule(number.0, deadline.as_millis(), tag) {
            self.classes.leave(tag);
        }
        self.redrivable.remove(number);
        None
    }

    /// Adds a failed item. Returns its incident.
    fn put_failed(&mut self, number: ItemNumber, class: &Class, deadline: Timestamp) -> IncidentKey {
        self.put_aside(number, class, deadline, IncidentKind::Failed)
    }

    /// Adds a held run that people are told about. Returns its incident.
    fn put_held(&mut self, number: ItemNumber, class: &Class, deadline: Timestamp) -> IncidentKey {
        self.put_aside(number, class, deadline, IncidentKind::Held)
    }

    fn put_aside(
        &mut self,
        number: ItemNumber,
        class: &Class,
        deadline: Timestamp,
        kind: IncidentKind,
    ) -> IncidentKey {
        let placed = self.placed(number, class, deadline);
        let census = self.workflow(&class.workflow);
        let key = census.add_troubled(kind, class.group.clone(), placed);
        self.touched.insert(key.clone());
        self.redrivable.remove(number);
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
            let stood = deadline;
            deadline = moment.steady(ClockTime::on_wall(place.wall));
            if stood != deadline {
                place.deadline = deadline;
                self.claimable.postpone(self.placed(number, &class, stood), deadline);
            }
        }
        if self.put_open(number, &class, deadline, moment.now).is_some()
            && class.kind == IncidentKind::Overdue
        {
            self.claimable.note_due();
        }
    }

    /// Removes the timer of an item. Returns the class of the item if it had one.
    fn cancel_timer(&mut self, number: ItemNumber) -> Option<Arc<Class>> {
        self.wheel.cancel(number.0).map(|tag| self.classes.leave(tag))
    }
}
