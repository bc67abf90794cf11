//! Overdue items to be redriven, in the order in which that is due.
//!
//! Kept only for workflows with redrives. An entry is a hint: the store judges each claim.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;

use super::placed::Placed;
use crate::model::{ItemNumber, ItemState, Redrive, Timestamp, WorkflowName};

/// The items of one workflow.
#[derive(Debug)]
struct Queue {
    policy: Redrive,
    due: BTreeSet<(Timestamp, ItemNumber)>,
    /// When the redrive loop asks next; in the past while it is busy.
    asleep_until: Timestamp,
    sooner: Arc<Notify>,
}

impl Queue {
    fn new(policy: Redrive) -> Self {
        Self { policy, due: BTreeSet::new(), asleep_until: Timestamp::MIN, sooner: Arc::default() }
    }
}

#[derive(Debug, Default)]
pub struct Redrivable {
    queues: HashMap<WorkflowName, Queue>,
    places: HashMap<ItemNumber, (WorkflowName, Timestamp)>,
}

impl Redrivable {
    pub fn new(policies: impl IntoIterator<Item = (WorkflowName, Redrive)>) -> Self {
        let queues = policies.into_iter().map(|(name, policy)| (name, Queue::new(policy))).collect();
        Self { queues, places: HashMap::new() }
    }

    /// Goes by these policies from now on. Returns the workflows whose queues begin empty, because their
    /// policy is new: the overdue items of these are to be put there.
    pub fn adopt(
        &mut self,
        policies: impl IntoIterator<Item = (WorkflowName, Redrive)>,
    ) -> Vec<WorkflowName> {
        let mut former = std::mem::take(&mut self.queues);
        let mut begun = Vec::new();
        for (name, policy) in policies {
            let queue = former.remove(&name);
            let queue = queue.filter(|queue| queue.policy == policy).unwrap_or_else(|| {
                begun.push(name.clone());
                Queue::new(policy)
            });
            self.queues.insert(name, queue);
        }
        let gone = |workflow: &WorkflowName| !self.queues.contains_key(workflow) || begun.contains(workflow);
        self.places.retain(|_, (workflow, _)| !gone(workflow));
        begun
    }

    /// The item is in this state now.
    pub fn put(&mut self, indexed: Placed<'_>, state: ItemState) {
        self.remove(indexed.number);
        if state != ItemState::Overdue {
            return;
        }
        let Some(queue) = self.queues.get_mut(indexed.workflow) else { return };
        let Some(due_at) = queue.policy.due_at(indexed.attempts, indexed.free_at, indexed.deadline) else {
            return;
        };
        queue.due.insert((due_at, indexed.number));
        // Not only if it is the first: items that are taken stay in the queue until they are claimed.
        if due_at < queue.asleep_until {
            queue.sooner.notify_one();
        }
        self.places.insert(indexed.number, (indexed.workflow.clone(), due_at));
    }

    pub fn remove(&mut self, number: ItemNumber) {
        if let Some((workflow, due_at)) = self.places.remove(&number)
            && let Some(queue) = self.queues.get_mut(&workflow)
        {
            queue.due.remove(&(due_at, number));
        }
    }

    /// The first item of a workflow that is due by `now` and is not in `taken`. The error is when to ask
    /// again.
    pub fn first(
        &mut self,
        workflow: &str,
        taken: &HashSet<ItemNumber>,
        now: Timestamp,
    ) -> Result<ItemNumber, Timestamp> {
        let Some(queue) = self.queues.get_mut(workflow) else { return Err(Timestamp::MAX) };
        let first = queue.due.iter().find(|(_, number)| !taken.contains(number));
        let found = match first {
            Some((due_at, number)) if *due_at <= now => Ok(*number),
            Some((due_at, _)) => Err(*due_at),
            None => Err(Timestamp::MAX),
        };
        queue.asleep_until = found.err().unwrap_or(Timestamp::MIN);
        found
    }

    /// Notified when an item becomes due before the instant that [`Redrivable::first`] returned.
    pub fn sooner(&self, workflow: &str) -> Arc<Notify> {
        self.queues.get(workflow).map(|queue| queue.sooner.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::model::IndexedItem;
    use crate::model::Labels;
    use crate::model::item::Status;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn indexed(number: u64, workflow: &str, deadline: i64) -> IndexedItem {
        IndexedItem {
            number: ItemNumber(number),
            workflow: WorkflowName::new(workflow).unwrap(),
            created_at: Some(at(0)),
            labels: Labels::default(),
            step: None,
            deadline: at(deadline).into(),
            attempts: 0,
            free_at: Timestamp::MIN,
            interrupted_until: None,
            failed_at: None,
            status: Status::Open,
        }
    }

    fn redrivable() -> Redrivable {
        let policy = Redrive { to: "".into(), after: Duration::from_millis(100), max_attempts: 2 };
        Redrivable::new([(WorkflowName::new("uploads").unwrap(), policy)])
    }

    /// The numbers of the due items.
    fn due(redrivable: &mut Redrivable, now: i64) -> Vec<u64> {
        let mut taken = HashSet::new();
        while let Ok(number) = redrivable.first("uploads", &taken, at(now)) {
            taken.insert(number);
        }
        let mut due: Vec<u64> = taken.into_iter().map(|number| number.0).collect();
        due.sort_unstable();
        due
    }

    #[test]
    fn items_come_up_some_time_after_their_deadlines_the_earliest_first() {
        let mut redrivable = redrivable();
        for (number, deadline) in [(1, 30), (2, 10), (3, 20)] {
            redrivable.put((&indexed(number, "uploads", deadline)).into(), ItemState::Overdue);
        }
        redrivable.put((&indexed(4, "reports", 0)).into(), ItemState::Overdue);
        redrivable.put((&indexed(5, "uploads", 0)).into(), ItemState::Failed);
        redrivable.put((&indexed(6, "uploads", 0)).into(), ItemState::Open);
        let none = HashSet::new();
        assert_eq!(redrivable.first("uploads", &none, at(109)), Err(at(110)));
        assert_eq!(redrivable.first("uploads", &none, at(125)), Ok(ItemNumber(2)));
        assert_eq!(redrivable.first("reports", &none, at(1_000)), Err(Timestamp::MAX));
        assert_eq!((due(&mut redrivable, 125), due(&mut redrivable, 1_000)), (vec![2, 3], vec![1, 2, 3]));
    }

    #[test]
    fn what_is_held_or_has_had_its_attempts_or_is_gone_is_not_due() {
        let mut redrivable = redrivable();
        for number in 1..=4 {
            redrivable.put((&indexed(number, "uploads", 0)).into(), ItemState::Overdue);
        }
        let held = IndexedItem { attempts: 1, free_at: at(500), ..indexed(1, "uploads", 0) };
        redrivable.put((&held).into(), ItemState::Overdue);
        redrivable.put((&IndexedItem { attempts: 2, ..indexed(2, "uploads", 0) }).into(), ItemState::Overdue);
        redrivable.put((&indexed(3, "uploads", 0)).into(), ItemState::Failed);
        redrivable.remove(ItemNumber(4));
        assert_eq!((due(&mut redrivable, 499), due(&mut redrivable, 500)), (vec![], vec![1]));
        redrivable.remove(ItemNumber(1));
        assert!(redrivable.places.is_empty());
    }

    #[test]
    fn the_loop_is_notified_of_an_item_that_is_due_before_it_asks_again() {
        let mut redrivable = redrivable();
        let sooner = redrivable.sooner("uploads");
        let notified = || sooner.notified().now_or_never().is_some();
        let ask = |redrivable: &mut Redrivable, taken: &[u64]| {
            let taken = taken.iter().copied().map(ItemNumber).collect();
            redrivable.first("uploads", &taken, at(150))
        };
        assert_eq!(ask(&mut redrivable, &[]), Err(Timestamp::MAX));
        redrivable.put((&indexed(1, "uploads", 50)).into(), ItemState::Overdue);
        assert!(notified() && !notified());
        assert_eq!(ask(&mut redrivable, &[]), Ok(ItemNumber(1)));
        redrivable.put((&indexed(2, "uploads", 80)).into(), ItemState::Overdue);
        assert!(!notified(), "the loop asks again anyway");
        assert_eq!(ask(&mut redrivable, &[1]), Err(at(180)));
        redrivable.put((&indexed(3, "uploads", 90)).into(), ItemState::Overdue);
        assert!(!notified());
        redrivable.put((&indexed(4, "uploads", 70)).into(), ItemState::Overdue);
        assert!(notified(), "although a taken item is before it");
    }
}
