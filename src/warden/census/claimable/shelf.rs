//! Shelves of claimable items, and which of them a claim wants.

use std::time::Duration;

use crate::model::{ItemState, StepName, Timestamp, WorkflowName};
use crate::warden::census::placed::Placed;

/// After every deadline.
const END: Timestamp = Timestamp::from_millis(i64::MAX);

/// The items of one workflow, failed or not, at one step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shelf {
    pub(super) workflow: WorkflowName,
    pub(super) failed: bool,
    pub(super) at: At,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    NoStep,
    Step(StepName),
    /// Any of the steps that had no shelf of their own when the item came.
    OtherStep,
}

impl Shelf {
    pub(super) fn of(placed: Placed<'_>, failed: bool) -> Self {
        let at = placed.step.map_or(At::NoStep, |step| At::Step(step.clone()));
        Self { workflow: placed.workflow.clone(), failed, at }
    }
}

/// The criteria of a claim that the index can judge.
pub struct Wanted<'a> {
    pub admits: &'a (dyn Fn(&str) -> bool + Sync),
    /// States in which no item can be claimed match nothing.
    pub states: &'a [ItemState],
    /// `None` matches any step.
    pub step: Option<&'a (dyn Fn(&str) -> bool + Sync)>,
}

impl Wanted<'_> {
    /// The range of deadlines on a shelf that matches: from the first, and before the second. Items at steps
    /// without shelves of their own match any step; the caller checks their records.
    pub(super) fn range_of(&self, shelf: &Shelf, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let in_time = now.after(Duration::from_millis(1));
        let has = |state| self.states.contains(&state);
        let range = match (shelf.failed, has(ItemState::Open), has(ItemState::Overdue)) {
            (true, ..) if has(ItemState::Failed) => (Timestamp::MIN, END),
            (false, true, true) => (Timestamp::MIN, END),
            (false, true, false) => (in_time, END),
            (false, false, true) => (Timestamp::MIN, in_time),
            _ => return None,
        };
        let is_at = |admits: &(dyn Fn(&str) -> bool + Sync)| match &shelf.at {
            At::NoStep => false,
            At::Step(step) => admits(step.as_str()),
            At::OtherStep => true,
        };
        (self.step.is_none_or(is_at) && (self.admits)(&shelf.workflow)).then_some(range)
    }
}
