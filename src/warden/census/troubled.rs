//! Overdue and failed items by group, ordered by deadline.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::placed::Placed;
use crate::incident::Observation;
use crate::model::{Group, ItemNumber, StepName, Timestamp};

/// The most steps counted separately in an observation, those with the most items first. A workflow that
/// accepts any step could otherwise have as many as items.
const STEPS_OBSERVED: usize = 32;
/// The most groups of a workflow counted separately at a time. Items of further groups share one without
/// labels: a label with a distinct value for each item must not create as many incidents.
pub const GROUPS_MAX: usize = 100;

/// The position of an item: by deadline, then by age.
pub type Place = (Timestamp, ItemNumber);

/// The items of one group, the earliest deadline first.
#[derive(Debug, Default)]
pub struct Troubled {
    items: BTreeMap<Place, Option<StepName>>,
    by_step: HashMap<Option<StepName>, u64>,
}

impl Troubled {
    fn insert(&mut self, indexed: Placed<'_>) {
        let place = (indexed.deadline, indexed.number);
        if self.items.insert(place, indexed.step.cloned()).is_none() {
            *self.by_step.entry(indexed.step.cloned()).or_default() += 1;
        }
    }

    /// Returns the item's step if it was there.
    fn remove(&mut self, place: Place) -> Option<Option<StepName>> {
        let step = self.items.remove(&place)?;
        if let Some(count) = self.by_step.get_mut(&step) {
            *count -= 1;
            if *count == 0 {
                self.by_step.remove(&step);
            }
        }
        Some(step)
    }

    pub fn observe(&self) -> Observation {
        let mut steps: Vec<_> = self.by_step.iter().map(|(step, count)| (*count, step.as_deref())).collect();
        steps.sort_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
        Observation {
            count: self.items.len() as u64,
            oldest_deadline: self.items.first_key_value().map(|((deadline, _), _)| *deadline),
            by_step: steps
                .into_iter()
                .take(STEPS_OBSERVED)
                .map(|(count, step)| (Arc::from(step.unwrap_or_default()), count))
                .collect(),
            ..Observation::default()
        }
    }

    pub fn count(&self) -> u64 {
        self.items.len() as u64
    }

    pub fn sample(&self, limit: usize) -> Vec<ItemNumber> {
        self.items.keys().take(limit).map(|(_, number)| *number).collect()
    }
}

/// The overdue or the failed items of one workflow, by group.
#[derive(Debug, Default)]
pub struct Groups(HashMap<Group, Troubled>);

impl Groups {
    /// Returns the group in which the item is counted. `most` is the number of groups from which on further
    /// ones share one.
    pub fn insert(&mut self, group: Group, indexed: Placed<'_>, most: usize) -> Group {
        let known = self.0.contains_key(&group) || self.0.len() < most;
        let group = if known { group } else { Group::new() };
        self.0.entry(group.clone()).or_default().insert(indexed);
        group
    }

    /// Returns the group in which the item was counted.
    pub fn remove(&mut self, group: Group, indexed: Placed<'_>) -> Option<Group> {
        // If there were too many groups when it was added, it is in the one without labels.
        let place = (indexed.deadline, indexed.number);
        [group, Group::new()].into_iter().find(|group| self.remove_from(group, place).is_some())
    }

    /// Removes the item at a position. Returns the group in which it was counted, and its step.
    pub fn remove_at(&mut self, place: Place) -> Option<(Group, Option<StepName>)> {
        let holds = |(group, troubled): (&Group, &Troubled)| {
            troubled.items.contains_key(&place).then(|| group.clone())
        };
        let group = self.0.iter().find_map(holds)?;
        let step = self.remove_from(&group, place)?;
        Some((group, step))
    }

    fn remove_from(&mut self, group: &Group, place: Place) -> Option<Option<StepName>> {
        let troubled = self.0.get_mut(group)?;
        let removed = troubled.remove(place);
        if troubled.items.is_empty() {
            self.0.remove(group);
        }
        removed
    }

    /// Whether an item is in its group, or in the one without labels.
    pub fn contains(&self, group: &Group, indexed: Placed<'_>) -> bool {
        let place = (indexed.deadline, indexed.number);
        let groups = [self.0.get(group), self.0.get(&Group::new())];
        groups.into_iter().flatten().any(|troubled| troubled.items.contains_key(&place))
    }

    pub fn get(&self, group: &Group) -> Option<&Troubled> {
        self.0.get(group)
    }

    /// The group with the most items, except `other`.
    pub fn fullest_but(&self, other: &Group) -> Option<&Group> {
        let others = self.0.iter().filter(|(group, _)| *group != other);
        // With a tie-break, so that the result does not depend on hashing.
        others.max_by_key(|(group, troubled)| (troubled.count(), *group)).map(|(group, _)| group)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> u64 {
        self.0.values().map(|troubled| troubled.items.len() as u64).sum()
    }

    pub fn oldest(&self) -> Option<Timestamp> {
        let first = |troubled: &Troubled| troubled.items.keys().next().map(|(deadline, _)| *deadline);
        self.0.values().filter_map(first).min()
    }

    /// At most `limit` items of each group, after a position.
    pub fn after(&self, after: Option<Place>, limit: usize) -> impl Iterator<Item = Place> {
        let from = after.map_or(Unbounded, Excluded);
        self.0
            .values()
            .flat_map(move |troubled| troubled.items.range((from, Unbounded)).take(limit))
            .map(|(place, _)| *place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::Status;
    use crate::model::{IndexedItem, Labels, WorkflowName};

    fn indexed(number: usize) -> IndexedItem {
        IndexedItem {
            number: ItemNumber(number as u64),
            workflow: WorkflowName::new("uploads").unwrap(),
            created_at: Some(Timestamp::from_millis(0)),
            labels: Labels::default(),
            step: None,
            deadline: Timestamp::from_millis(0).into(),
            attempts: 0,
            free_at: Timestamp::MIN,
            interrupted_until: None,
            failed_at: None,
            status: Status::Open,
        }
    }

    fn group(number: usize) -> Group {
        [("tenant".into(), number.to_string().into())].into()
    }

    #[test]
    fn what_is_too_much_to_tell_apart_is_one_group_and_leaves_it_again() {
        let mut groups = Groups::default();
        for number in 0..GROUPS_MAX {
            assert_eq!(groups.insert(group(number), (&indexed(number)).into(), GROUPS_MAX), group(number));
        }
        for number in GROUPS_MAX..GROUPS_MAX + 50 {
            assert_eq!(groups.insert(group(number), (&indexed(number)).into(), GROUPS_MAX), Group::new());
        }
        assert_eq!(
            groups.insert(group(7), (&indexed(1000)).into(), GROUPS_MAX),
            group(7),
            "one that is there takes more"
        );
        assert_eq!(groups.get(&Group::new()).map(|rest| rest.observe().count), Some(50));
        assert_eq!(groups.len(), GROUPS_MAX as u64 + 51);

        assert_eq!(groups.remove(group(3), (&indexed(3)).into()), Some(group(3)));
        assert_eq!(
            groups.insert(group(500), (&indexed(500)).into(), GROUPS_MAX),
            Group::new(),
            "the rest counts as a group"
        );
        for number in (GROUPS_MAX..GROUPS_MAX + 50).chain([500]) {
            assert_eq!(groups.remove(group(number), (&indexed(number)).into()), Some(Group::new()));
        }
        assert!(groups.get(&Group::new()).is_none());
        assert_eq!(groups.insert(group(500), (&indexed(500)).into(), GROUPS_MAX), group(500));
        assert_eq!(groups.remove(group(501), (&indexed(501)).into()), None);
    }
}
