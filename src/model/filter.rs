//! Which items are meant, in which order, and how a list is cut into pages.

use super::{Item, ItemNumber, ItemState, Moment, Timestamp};

/// A choice of items. Every criterion that is set must hold; an empty list of alternatives does not restrict.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// Globs of workflow names, any of which may match.
    pub workflows: Vec<wildmatch::WildMatch>,
    /// The globs that the caller is limited to, any of which must match too.
    pub allowed: Vec<wildmatch::WildMatch>,
    /// Whether the tombstones of items that nobody ever created are meant as well. Clients do not see them.
    pub unseen: bool,
    /// States, any of which may hold.
    pub states: Vec<ItemState>,
    /// Labels that must be there with exactly this value.
    pub labels: Vec<(String, String)>,
    /// The current step.
    pub step: Option<String>,
    /// Created at or after this instant.
    pub created_after: Option<Timestamp>,
    /// Created before this instant.
    pub created_before: Option<Timestamp>,
    /// Due at or after this instant.
    pub deadline_after: Option<Timestamp>,
    /// Due before this instant.
    pub deadline_before: Option<Timestamp>,
}

impl ItemFilter {
    /// Whether a workflow of that name can hold chosen items.
    pub fn admits_workflow(&self, name: &str) -> bool {
        let any =
            |globs: &[wildmatch::WildMatch]| globs.is_empty() || globs.iter().any(|glob| glob.matches(name));
        any(&self.workflows) && any(&self.allowed)
    }

    /// Whether it names anything that only an item's record tells: anything besides workflows and states.
    pub fn needs_record(&self) -> bool {
        let bounds = [self.created_after, self.created_before, self.deadline_after, self.deadline_before];
        self.step.is_some() || !self.labels.is_empty() || bounds.iter().any(Option::is_some)
    }

    /// Whether the item is chosen. One whose retention has run out never is; nor, unless such are meant, one that exists only
    /// as the tombstone of something never created.
    pub fn admits(&self, item: &Item, moment: Moment) -> bool {
        let deadline = moment.steady(item.deadline);
        (item.is_visible(moment.now) || (self.unseen && item.is_remembered(moment.now)))
            && (self.states.is_empty() || self.states.contains(&item.state(moment)))
            && self.step.as_deref().is_none_or(|step| item.step.as_deref() == Some(step))
            && self.created_after.is_none_or(|bound| item.created_at >= bound)
            && self.created_before.is_none_or(|bound| item.created_at < bound)
            && self.deadline_after.is_none_or(|bound| deadline >= bound)
            && self.deadline_before.is_none_or(|bound| deadline < bound)
            && self.labels.iter().all(|(name, value)| item.labels.get(name) == Some(value))
            && self.admits_workflow(&item.workflow)
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// In the order in which the items were accepted.
    #[default]
    Created,
    /// The earliest deadline first.
    Deadline,
}

/// A place in an ordered list: the last item that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its deadline in steady time; only significant in [`Order::Deadline`]. It moves when the wall clock is set, if it is
    /// an instant: a list that is being paged through just then may miss or repeat such items.
    pub deadline: Timestamp,
    /// Its number.
    pub number: ItemNumber,
}

/// A piece of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What was found.
    pub data: Vec<T>,
    /// Where to go on; nothing when the list has ended. A page may be shorter than asked for, even empty, and
    /// yet be followed by another.
    pub next: Option<Position>,
}
