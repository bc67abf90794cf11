//! Closed items in order of their removal.
//!
//! There may be many workflows that consist of closed items only, so a workflow costs nothing beyond its
//! items, and due items are found without visiting every workflow.

use std::collections::{BTreeSet, HashMap};

use crate::model::{ItemNumber, Timestamp, WorkflowName};

/// The closed items of one workflow.
#[derive(Debug)]
struct Remembered {
    /// By the instant at which their retention ends.
    items: BTreeSet<(Timestamp, ItemNumber)>,
    /// `retention_max`.
    most: u64,
}

impl Remembered {
    fn surplus(&self) -> u64 {
        (self.items.len() as u64).saturating_sub(self.most)
    }

    fn first(&self) -> Option<Timestamp> {
        self.items.first().map(|(until, _)| *until)
    }
}

#[derive(Debug, Default)]
pub struct Closed {
    workflows: HashMap<WorkflowName, Remembered>,
    /// Workflows by the instant at which their first item is due for removal.
    by_first: BTreeSet<(Timestamp, WorkflowName)>,
    /// Workflows with more items than `retention_max`.
    overfull: BTreeSet<WorkflowName>,
}

impl Closed {
    /// `most` is the workflow's `retention_max`.
    pub fn insert(&mut self, workflow: &WorkflowName, until: Timestamp, number: ItemNumber, most: u64) {
        let new = || Remembered { items: BTreeSet::new(), most };
        let remembered = self.workflows.entry(workflow.clone()).or_insert_with(new);
        let before = remembered.first();
        remembered.items.insert((until, number));
        let (first, surplus) = (remembered.first(), remembered.surplus());
        self.refile(workflow, before, first);
        if surplus > 0 {
            self.overfull.insert(workflow.clone());
        }
    }

    /// `most_of` is the `retention_max` of each workflow from now on.
    pub fn limit(&mut self, most_of: impl Fn(&str) -> u64) {
        for (workflow, remembered) in &mut self.workflows {
            remembered.most = most_of(workflow);
            if remembered.surplus() > 0 {
                self.overfull.insert(workflow.clone());
            } else {
                self.overfull.remove(workflow);
            }
        }
    }

    /// Returns whether it was the last one of its workflow.
    pub fn remove(&mut self, workflow: &WorkflowName, until: Timestamp, number: ItemNumber) -> bool {
        let Some(remembered) = self.workflows.get_mut(workflow) else { return false };
        let before = remembered.first();
        remembered.items.remove(&(until, number));
        let (first, surplus) = (remembered.first(), remembered.surplus());
        self.refile(workflow, before, first);
        if surplus == 0 {
            self.overfull.remove(workflow);
        }
        if first.is_none() {
            self.workflows.remove(workflow);
        }
        first.is_none()
    }

    fn refile(&mut self, workflow: &WorkflowName, before: Option<Timestamp>, after: Option<Timestamp>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.by_first.remove(&(before, workflow.clone()));
        }
        if let Some(after) = after {
            self.by_first.insert((after, workflow.clone()));
        }
    }

    pub fn count(&self, workflow: &str) -> u64 {
        self.workflows.get(workflow).map_or(0, |remembered| remembered.items.len() as u64)
    }

    pub fn of(&self, workflow: &str, limit: usize) -> Vec<ItemNumber> {
        let remembered = self.workflows.get(workflow).into_iter();
        remembered.flat_map(|remembered| &remembered.items).take(limit).map(|(_, number)| *number).collect()
    }

    /// Items whose retention has ended by `now`, or that exceed `retention_max`.
    pub fn forgettable(&self, now: Timestamp, limit: usize) -> Vec<ItemNumber> {
        let is_over = |(until, _): &&(Timestamp, WorkflowName)| *until <= now;
        let over = self.by_first.iter().take_while(is_over).map(|(_, workflow)| workflow);
        let over = over.filter(|workflow| !self.overfull.contains(*workflow));
        let workflows = self.overfull.iter().chain(over).filter_map(|workflow| self.workflows.get(workflow));
        let items = workflows.flat_map(|remembered| {
            let surplus = remembered.surplus();
            let goes = move |(position, (until, _)): &(u64, &(Timestamp, ItemNumber))| {
                *position < surplus || *until <= now
            };
            (0..).zip(&remembered.items).take_while(goes)
        });
        items.take(limit).map(|(_, (_, number))| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const MOST: u64 = 3;

    fn name(workflow: u8) -> WorkflowName {
        WorkflowName::new(format!("w{workflow}")).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_to_go_is_found_as_if_all_were_looked_at(
            steps in prop::collection::vec((0..4_u8, 0..6_u64, 0..9_i64, any::<bool>()), 1..60),
        ) {
            let (mut closed, mut model) = (Closed::default(), BTreeMap::new());
            for (workflow, number, until, comes) in steps {
                let (until, number) = (Timestamp::from_millis(until), ItemNumber(number));
                let items = model.entry(workflow).or_insert_with(BTreeSet::new);
                if comes {
                    items.insert((until, number));
                    closed.insert(&name(workflow), until, number, MOST);
                } else if items.remove(&(until, number)) {
                    prop_assert_eq!(closed.remove(&name(workflow), until, number), items.is_empty());
                }
                prop_assert_eq!(closed.count(&name(workflow)), items.len() as u64);
                let numbers: Vec<ItemNumber> = items.iter().map(|(_, number)| *number).collect();
                prop_assert_eq!(closed.of(&name(workflow), usize::MAX), numbers);
                let now = Timestamp::from_millis(4);
                let mut expected: Vec<ItemNumber> = model
                    .values()
                    .flat_map(|items| {
                        let surplus = (items.len() as u64).saturating_sub(MOST);
                        let goes = move |(position, (until, _)): &(u64, &(Timestamp, ItemNumber))| {
                            *position < surplus || *until <= now
                        };
                        (0..).zip(items).filter(goes)
                    })
                    .map(|(_, (_, number))| *number)
                    .collect();
                let mut found = closed.forgettable(now, usize::MAX);
                expected.sort_unstable();
                found.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            for (workflow, items) in model {
                for (until, number) in items {
                    closed.remove(&name(workflow), until, number);
                }
            }
            prop_assert!(closed.workflows.is_empty() && closed.by_first.is_empty());
            prop_assert!(closed.overfull.is_empty());
        }
    }
}
