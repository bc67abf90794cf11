//! Selections of items, their order, and pages.

use super::{Item, ItemKey, ItemNumber, ItemState, Moment, Timestamp};

/// All given criteria must match; an empty list matches everything.
#[derive(Clone, Debug, Default)]
pub struct ItemFilter {
    /// Globs of workflow names, any of which may match.
    pub workflows: Vec<wildmatch::WildMatch>,
    /// The globs of the caller's token, any of which must match too.
    pub allowed: Vec<wildmatch::WildMatch>,
    /// Whether tombstones of items that were never created are included. Clients do not see them.
    pub unseen: bool,
    /// States, any of which may match.
    pub states: Vec<ItemState>,
    /// Labels with exactly these values.
    pub labels: Vec<(String, String)>,
    /// The current step.
    pub step: Option<String>,
    /// Current steps, any of which may match.
    pub steps: Vec<String>,
    /// The only item that can match.
    pub item: Option<ItemKey>,
    /// Items with at least so many retryable errors at their step.
    pub step_retries_min: Option<u32>,
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
    /// Whether items of this workflow can match.
    pub fn admits_workflow(&self, name: &str) -> bool {
        let any =
            |globs: &[wildmatch::WildMatch]| globs.is_empty() || globs.iter().any(|glob| glob.matches(name));
        any(&self.workflows) && any(&self.allowed)
    }

    /// Whether it has criteria other than workflows and states, for which records must be read.
    pub fn needs_record(&self) -> bool {
        let bounds = [self.created_after, self.created_before, self.deadline_after, self.deadline_before];
        self.names_steps()
            || self.step_retries_min.is_some()
            || !self.labels.is_empty()
            || bounds.iter().any(Option::is_some)
    }

    /// Whether it has a criterion for the current step.
    pub fn names_steps(&self) -> bool {
        self.step.is_some() || !self.steps.is_empty()
    }

    /// Whether items at this step can match.
    pub fn admits_step(&self, step: Option<&str>) -> bool {
        self.step.as_deref().is_none_or(|wanted| step == Some(wanted))
            && (self.steps.is_empty() || self.steps.iter().any(|wanted| step == Some(wanted)))
    }

    /// Whether the item matches. Items after their retention never match, and tombstones of items that were
    /// never created only if `unseen` is set.
    pub fn admits(&self, item: &Item, moment: Moment) -> bool {
        let deadline = moment.steady(item.deadline);
        (item.is_visible(moment.now) || (self.unseen && item.is_remembered(moment.now)))
            && (self.states.is_empty() || self.states.contains(&item.state(moment)))
            && self.admits_step(item.step.as_deref())
            && self.item.as_ref().is_none_or(|key| key.workflow == item.workflow && key.id == item.id)
            && self.step_retries_min.is_none_or(|least| item.course.retries >= least)
            && self.created_after.is_none_or(|bound| item.created_at >= bound)
            && self.created_before.is_none_or(|bound| item.created_at < bound)
            && self.deadline_after.is_none_or(|bound| deadline >= bound)
            && self.deadline_before.is_none_or(|bound| deadline < bound)
            && self.labels.iter().all(|(name, value)| item.labels.get(name) == Some(value))
            && self.admits_workflow(&item.workflow)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By creation.
    #[default]
    Created,
    /// By deadline.
    Deadline,
}

/// A position in an ordered list: that of the last item returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The deadline in steady time, used by [`Order::Deadline`]. If it is an instant of the wall clock, it
    /// moves when that is set: a list that is paged meanwhile may skip or repeat such items.
    pub deadline: Timestamp,
    pub number: ItemNumber,
}

#[derive(Clone, Debug)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// Where the next page begins; `None` at the end. A page may be shorter than the limit, even empty,
    /// although others follow.
    pub next: Option<Position>,
}
