//! An item as a run of its workflow: held, opened, ended with counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Closing, Item, ItemError, ItemRefusal, Merge};
use crate::model::name::is_name;
use crate::model::run::{COUNTS_MAX, Counts, HeldFor, Run, RunDetail, RunParams};
use crate::model::{ClockTime, CloseOutcome, Moment, Policy, Timestamp};

/// How a run is ended by the name of its workflow.
#[derive(Clone, Debug)]
pub struct RunEnd {
    pub kind: RunEndKind,
    /// When it ended; `None` if that is when it is told.
    pub at: Option<Timestamp>,
    /// Counts to set.
    pub counts: Counts,
}

#[derive(Clone, Debug)]
pub enum RunEndKind {
    Close(CloseOutcome),
    /// Boxed, since few runs fail.
    Fail(Box<ItemError>),
}

/// The deadline of a run that began later than it was made. An instant of the wall clock stays.
fn later(deadline: ClockTime, by: Duration) -> ClockTime {
    match deadline {
        ClockTime::Steady(_) => deadline.after(by),
        ClockTime::Wall { .. } => deadline,
    }
}

impl Item {
    /// Whether it is a run that has not begun. One that has failed or is closed is not held.
    pub fn is_held(&self) -> bool {
        self.held_for().is_some()
    }

    pub fn held_for(&self) -> Option<HeldFor> {
        self.run.as_ref()?.held.filter(|_| self.failed_at.is_none() && self.closed.is_none())
    }

    /// Begins a held run: its deadline, and that of its step, count from now, unless they are instants of the
    /// wall clock.
    pub fn open_run(&mut self, params: RunParams, moment: Moment) {
        let Some(run) = &mut self.run else { return };
        run.held = None;
        run.started_at = Some(moment.now);
        let waited = moment.now.since(self.created_at);
        self.deadline = later(self.deadline, waited);
        self.course.deadline_max = self.course.deadline_max.map(|deadline| later(deadline, waited));
        self.step_entered_at = moment.now;
        self.run_detail().params = Some(params);
        self.version += 1;
    }

    /// A run that was held because its workflow was on hold waits for other runs instead.
    pub fn hold_for_requirements(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|run| run.held.is_some()) {
            run.held = Some(HeldFor::Requirement);
            self.version += 1;
        }
    }

    /// Ends a run. On an error nothing is changed.
    pub fn end_run(&mut self, end: &RunEnd, policy: &Policy, now: Timestamp) -> Result<(), ItemRefusal> {
        let counts = self.counts_with(end.counts.iter().map(|(name, count)| (name, Some(*count))))?;
        let version = self.version;
        match &end.kind {
            RunEndKind::Close(outcome) => {
                self.close(Closing { ended_at: end.at, ..policy.closing(*outcome, now) });
            }
            RunEndKind::Fail(error) => self.report(ItemError::clone(error))?,
        }
        self.replace_counts(counts);
        self.version = version + 1;
        Ok(())
    }

    /// Before which nothing about it can have happened: its creation, or the beginning of a run that began
    /// earlier.
    pub(super) fn began_at(&self) -> Timestamp {
        let started_at = self.run.as_ref().and_then(|run| run.started_at);
        started_at.unwrap_or(self.created_at).min(self.created_at)
    }

    /// Takes note of when a run ended, if it has and that was told.
    pub(super) fn note_run_end(&mut self, at: Option<Timestamp>) {
        let has_ended = self.failed_at.is_some() || self.closed.is_some();
        let began_at = self.began_at();
        if let (Some(run), Some(at)) = (&mut self.run, at.filter(|_| has_ended)) {
            run.ended_at = Some(at.max(began_at));
        }
    }

    /// Takes note of it if an open run is past its deadline, once for each deadline. Clients do not see this,
    /// so it is no new version. Returns whether anything has changed.
    pub fn note_overdue(&mut self, moment: Moment) -> bool {
        let is_open = self.run.is_some() && self.closed.is_none() && self.failed_at.is_none();
        let is_overdue = is_open && !self.is_held() && moment.steady(self.deadline) <= moment.now;
        let told = self.detail().run.as_ref().and_then(|run| run.told_overdue);
        let is_news = is_overdue && told != Some(self.deadline);
        if is_news {
            self.run_detail().told_overdue = Some(self.deadline);
        }
        is_news
    }

    /// The deadline of a held run counts from its beginning, also one that is set while it is held.
    pub fn count_deadline_from_beginning(&mut self, set_at: Timestamp) {
        let from_beginning = |deadline: ClockTime| match deadline {
            ClockTime::Steady(deadline) => self.created_at.after(deadline.since(set_at)).into(),
            ClockTime::Wall { .. } => deadline,
        };
        if self.is_held() {
            let deadline = from_beginning(self.deadline);
            (self.deadline, self.course.deadline_max) = (deadline, Some(deadline));
        }
    }

    /// A run that goes on has no end, also if one was told.
    pub(super) fn forget_run_end(&mut self) {
        if let Some(run) = &mut self.run {
            run.ended_at = None;
            // A held run that failed has not begun. It begins once it may.
            run.held = run.held.map(|_| HeldFor::Requirement);
        }
    }

    /// The counts that a change leaves.
    ///
    /// # Errors
    ///
    /// The item is no run, a name is none, or there would be too many.
    pub(super) fn counts_after(
        &self,
        change: &Merge<BTreeMap<Arc<str>, Option<i64>>>,
    ) -> Result<Counts, ItemRefusal> {
        match change {
            Merge::Change(change) => self.counts_with(change.iter().map(|(name, count)| (name, *count))),
            Merge::Clear => self.counts_with([].into_iter()).map(|_| Counts::default()),
        }
    }

    fn counts_with<'a>(
        &self,
        change: impl Iterator<Item = (&'a Arc<str>, Option<i64>)>,
    ) -> Result<Counts, ItemRefusal> {
        if self.run.is_none() {
            return Err(ItemRefusal::CountsOfNoRun);
        }
        let mut counts = self.detail().run.as_ref().map(|run| run.counts.clone()).unwrap_or_default();
        for (name, count) in change {
            if !is_name(name) {
                return Err(ItemRefusal::CountName(name.to_string()));
            }
            match count {
                Some(count) => counts.insert(name.clone(), count),
                None => counts.remove(name),
            };
        }
        if counts.len() > COUNTS_MAX { Err(ItemRefusal::Counts(counts.len())) } else { Ok(counts) }
    }

    pub(super) fn replace_counts(&mut self, counts: Counts) {
        if counts != self.detail().run.as_ref().map(|run| run.counts.clone()).unwrap_or_default() {
            self.run_detail().counts = counts;
        }
    }

    /// Makes it a run.
    pub fn begin_run(&mut self, run: Run, detail: RunDetail) {
        self.run = Some(run);
        if detail != RunDetail::default() {
            *self.run_detail() = detail;
        }
    }

    fn run_detail(&mut self) -> &mut RunDetail {
        self.detail.get_or_insert_default().run.get_or_insert_default()
    }
}
