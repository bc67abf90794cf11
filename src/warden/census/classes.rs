//! What the census needs to know of an open item when its timer fires, stored once for all items that share
//! it.
//!
//! A timer carries the number of its item's class in four bytes, so that a million items can become overdue
//! without a read of the store. Clients choose labels and steps and could create a class for each item, so a
//! workflow has at most [`CLASSES_MAX`]. Further items share one without labels, as further groups do in
//! incidents.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Group, IncidentKind, StepName, WorkflowName};

/// The most classes of one workflow. The class for further items is not counted.
const CLASSES_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Class {
    pub(super) workflow: WorkflowName,
    /// The values of the labels in `group_by`.
    pub(super) group: Group,
    pub(super) step: Option<StepName>,
    /// The incident that the item joins when its timer fires: overdue, or held.
    pub(super) kind: IncidentKind,
}

#[derive(Debug)]
struct Counted {
    class: Arc<Class>,
    /// How many timers refer to it.
    timers: u64,
}

/// The classes in use.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// By number. The number of a class without timers is free.
    counted: Vec<Option<Counted>>,
    free: Vec<u32>,
    numbers: HashMap<Arc<Class>, u32>,
    of_workflow: HashMap<WorkflowName, usize>,
}

impl Classes {
    /// Counts a timer of a class and returns the class's number. Beyond [`CLASSES_MAX`] it is the class
    /// without labels, which keeps the step if the workflow's policy names it.
    pub(super) fn enter(&mut self, class: &Class, is_named: impl FnOnce(&StepName) -> bool) -> u32 {
        if let Some(number) = self.count(class) {
            return number;
        }
        let of_workflow = self.of_workflow.get(&class.workflow).copied().unwrap_or_default();
        if of_workflow < CLASSES_MAX {
            return self.add(class.clone());
        }
        let step = class.step.clone().filter(is_named);
        let rest = Class { workflow: class.workflow.clone(), group: Group::new(), step, kind: class.kind };
        self.count(&rest).unwrap_or_else(|| self.add(rest))
    }

    /// Counts a timer of a class that has others.
    fn count(&mut self, class: &Class) -> Option<u32> {
        let number = *self.numbers.get(class)?;
        self.counted.get_mut(number as usize)?.as_mut()?.timers += 1;
        Some(number)
    }

    fn add(&mut self, class: Class) -> u32 {
        let class = Arc::new(class);
        *self.of_workflow.entry(class.workflow.clone()).or_default() += 1;
        let counted = Some(Counted { class: class.clone(), timers: 1 });
        let number = match self.free.pop() {
            Some(number) => {
                self.counted[number as usize] = counted;
                number
            }
            None => {
                self.counted.push(counted);
                u32::try_from(self.counted.len() - 1).expect("there are fewer classes than timers")
            }
        };
        self.numbers.insert(class, number);
        number
    }

    /// Removes a timer from the class with this number, and returns the class.
    pub(super) fn leave(&mut self, number: u32) -> Arc<Class> {
        let slot = &mut self.counted[number as usize];
        let counted = slot.as_mut().expect("a timer carries the number of a class that is counted");
        counted.timers -= 1;
        let class = counted.class.clone();
        if counted.timers == 0 {
            *slot = None;
            self.free.push(number);
            self.numbers.remove(&class);
            if let Some(count) = self.of_workflow.get_mut(&class.workflow) {
                *count -= 1;
                if *count == 0 {
                    self.of_workflow.remove(&class.workflow);
                }
            }
        }
        class
    }
}

#[cfg(test)]
impl Classes {
    pub(super) fn timers(&self) -> u64 {
        self.counted.iter().flatten().map(|counted| counted.timers).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(tenant: usize, step: Option<&str>) -> Class {
        Class {
            workflow: WorkflowName::new("uploads").unwrap(),
            group: [("tenant".into(), tenant.to_string().into())].into(),
            step: step.map(|step| StepName::new(step).unwrap()),
            kind: IncidentKind::Overdue,
        }
    }

    #[test]
    fn items_of_one_class_share_it_and_the_last_one_frees_its_number() {
        let mut classes = Classes::default();
        let number = classes.enter(&class(1, None), |_| false);
        assert_eq!(classes.enter(&class(1, None), |_| false), number);
        let other = classes.enter(&class(1, Some("copy")), |_| false);
        assert_ne!(other, number);
        assert_eq!(*classes.leave(number), class(1, None));
        assert_eq!(*classes.leave(number), class(1, None));
        assert_eq!(classes.enter(&class(2, None), |_| false), number, "the number is free");
        assert_eq!(*classes.leave(number), class(2, None));
        assert_eq!(*classes.leave(other), class(1, Some("copy")));
        assert!(classes.numbers.is_empty() && classes.of_workflow.is_empty());
    }

    #[test]
    fn classes_beyond_the_limit_are_one_without_labels_that_keeps_named_steps() {
        let mut classes = Classes::default();
        for tenant in 0..CLASSES_MAX {
            classes.enter(&class(tenant, None), |_| false);
        }
        let named = StepName::new("copy").unwrap();
        let is_named = |step: &StepName| *step == named;
        let rest = [
            classes.enter(&class(CLASSES_MAX, Some("made-up")), is_named),
            classes.enter(&class(CLASSES_MAX + 1, Some("also-made-up")), is_named),
            classes.enter(&class(CLASSES_MAX + 2, Some("copy")), is_named),
        ];
        assert_eq!(rest[0], rest[1]);
        let known = classes.enter(&class(7, None), |_| false);
        assert_eq!(*classes.leave(known), class(7, None), "one that is there takes more");
        let (first, last) = (classes.leave(rest[0]), classes.leave(rest[2]));
        assert_eq!((&first.group, &first.step), (&Group::new(), &None));
        assert_eq!((&last.group, &last.step), (&Group::new(), &Some(named.clone())));
    }
}
