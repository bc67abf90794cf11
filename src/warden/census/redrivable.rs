//! The overdue items that are to be sent again by themselves, in the order in which that is due.
//!
//! Kept for the workflows that ask for it alone. What stands here is a hint: the store judges each claim anew.

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
    /// When whoever waits for them asks again. Long ago if nobody waits.
    asleep_until: Timestamp,
    sooner: Arc<Notify>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Redrivable {
    queues: HashMap<WorkflowName, Queue>,
    places: HashMap<ItemNumber, (WorkflowName, Timestamp)>,
}

impl Redrivable {
    /// Nothing yet, of these workflows.
    pub fn new(policies: impl Iterator<Item = (WorkflowName, Redrive)>) -> Self {
        let queue = |policy| Queue {
            policy,
            due: BTreeSet::new(),
            asleep_until: Timestamp::MIN,
            sooner: Arc::default(),
        };
        Self {
            queues: policies.map(|(name, policy)| (name, queue(policy))).collect(),
            places: HashMap::new(),
        }
    }

    /// Takes note that an item is in this state, wherever it stood before.
    pub fn put(&mut self, standing: Placed<'_>, state: ItemState) {
        self.remove(standing.number);
        if state != ItemState::Overdue {
            return;
        }
        let Some(queue) = self.queues.get_mut(standing.workflow) else { return };
        let Some(due_at) = queue.policy.due_at(standing.attempts, standing.free_at, standing.deadline) else {
            return;
        };
        queue.due.insert((due_at, standing.number));
        // Not only before all others: those that are taken stand here as well until they are claimed.
        if due_at < queue.asleep_until {
            queue.sooner.notify_one();
        }
        self.places.insert(standing.number, (standing.workflow.clone(), due_at));
    }

    /// Takes an item out, wherever it stands.
    pub fn remove(&mut self, number: ItemNumber) {
        if let Some((workflow, due_at)) = self.places.remove(&number)
            && let Some(queue) = self.queues.get_mut(&workflow)
        {
            queue.due.remove(&(due_at, number));
        }
    }

    /// The first of a workflow's items that is due by `now` and not among those that are taken.
    ///
    /// # Errors
    /// When there is none; says when to ask again.
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

    /// What wakes whoever waits for a workflow's items, when one comes that is due before they mean to ask again.
    pub fn sooner(&self, workflow: &str) -> Arc<Notify> {
        self.queues.get(workflow).map(|queue| queue.sooner.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::model::Labels;
    use crate::model::Standing;
    use crate::model::item::Status;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn standing(number: u64, workflow: &str, deadline: i64) -> Standing {
        Standing {
            number: ItemNumber(number),
            workflow: WorkflowName::new(workflow).unwrap(),
            created_at: Some(at(0)),
            labels: Labels::default(),
            step: None,
            deadline: at(deadline).into(),
            attempts: 0,
            free_at: Timestamp::MIN,
            failed_at: None,
            status: Status::Open,
        }
    }

    fn redrivable() -> Redrivable {
        let policy = Redrive { to: "".into(), after: Duration::from_millis(100), max_attempts: 2 };
        Redrivable::new([(WorkflowName::new("uploads").unwrap(), policy)].into_iter())
    }

    /// The numbers of those that are due, in their order.
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
            redrivable.put((&standing(number, "uploads", deadline)).into(), ItemState::Overdue);
        }
        redrivable.put((&standing(4, "reports", 0)).into(), ItemState::Overdue);
        redrivable.put((&standing(5, "uploads", 0)).into(), ItemState::Failed);
        redrivable.put((&standing(6, "uploads", 0)).into(), ItemState::Open);
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
            redrivable.put((&standing(number, "uploads", 0)).into(), ItemState::Overdue);
        }
        let held = Standing { attempts: 1, free_at: at(500), ..standing(1, "uploads", 0) };
        redrivable.put((&held).into(), ItemState::Overdue);
        redrivable.put((&Standing { attempts: 2, ..standing(2, "uploads", 0) }).into(), ItemState::Overdue);
        redrivable.put((&standing(3, "uploads", 0)).into(), ItemState::Failed);
        redrivable.remove(ItemNumber(4));
        assert_eq!((due(&mut redrivable, 499), due(&mut redrivable, 500)), (vec![], vec![1]));
        redrivable.remove(ItemNumber(1));
        assert!(redrivable.places.is_empty());
    }

    #[test]
    fn whoever_waits_hears_of_one_that_comes_before_they_ask_again() {
        let mut redrivable = redrivable();
        let sooner = redrivable.sooner("uploads");
        let heard = || sooner.notified().now_or_never().is_some();
        let ask = |redrivable: &mut Redrivable, taken: &[u64]| {
            let taken = taken.iter().copied().map(ItemNumber).collect();
            redrivable.first("uploads", &taken, at(150))
        };
        assert_eq!(ask(&mut redrivable, &[]), Err(Timestamp::MAX));
        redrivable.put((&standing(1, "uploads", 50)).into(), ItemState::Overdue);
        assert!(heard() && !heard());
        assert_eq!(ask(&mut redrivable, &[]), Ok(ItemNumber(1)));
        redrivable.put((&standing(2, "uploads", 80)).into(), ItemState::Overdue);
        assert!(!heard(), "they ask again anyway");
        assert_eq!(ask(&mut redrivable, &[1]), Err(at(180)));
        redrivable.put((&standing(3, "uploads", 90)).into(), ItemState::Overdue);
        assert!(!heard());
        redrivable.put((&standing(4, "uploads", 70)).into(), ItemState::Overdue);
        assert!(heard(), "although one that is taken stands before it");
    }
}
