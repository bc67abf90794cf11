//! Runs: the ledger, holds, waiting for runs, and the loop that opens the runs that wait.
//!
//! Creating a run is [`super::Intake`]'s. What may begin is judged by the store; the loop only asks it again
//! when something has changed: a request that it makes for nothing changes nothing.

mod coverage;
mod known;
mod waiting;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::coverage::Coverage;
pub use self::known::KnownRuns;
pub use self::waiting::{RUN_WAIT_MAX, Since, WaitForRuns, Waited};
use super::census::Census;
use super::context::Context;
use super::error::changed;
use super::report::{ReportError, item_error, past};
use super::{WardenError, Workflows};
use crate::model::item::{RunEnd, RunEndKind};
use crate::model::run::{Counts, Hold, ReleaseAs};
use crate::model::{
    Clock, CloseOutcome, Item, ItemFilter, ItemId, ItemKey, ItemState, Random, RunEntry, RunHistory,
    Timestamp, WorkflowName,
};
use crate::store::{
    Command, DocumentId, DocumentOrder, DocumentSet, ListDocuments, Outcome, Store, StoreError, of_kind,
};

/// The pause before a rejected commit is retried.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// The most failed runs that one commit closes.
const BATCH: usize = 256;
/// The most entries that a request reads for a filter.
const SCAN_MAX: usize = 10_000;
/// The most entries read at once.
const ENTRIES_AT_ONCE: usize = 500;

pub struct Runs {
    store: Arc<dyn Store>,
    workflows: Arc<Workflows>,
    census: Arc<Census>,
    known: Arc<KnownRuns>,
    /// One permit for each request that may wait.
    waiting: Semaphore,
    closing: CancellationToken,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// How the open run of a workflow ended.
#[derive(Clone, Debug)]
pub enum EndRun {
    Close(CloseOutcome),
    Fail(ReportError),
}

/// Some runs of a ledger, the newest first.
#[derive(Clone, Debug, Default)]
pub struct RunPage {
    /// May be shorter than the limit, even empty, although others follow.
    pub data: Vec<RunEntry>,
    /// The number below which the next page begins; `None` at the end.
    pub next: Option<u64>,
}

/// What metrics tell of a workflow's runs.
#[derive(Clone, Copy, Debug)]
pub struct RunFigures {
    pub open: u64,
    pub waiting: u64,
    pub failures: u64,
    pub is_on_hold: bool,
    /// By the wall clock.
    pub last_success_at: Option<Timestamp>,
}

impl Runs {
    /// `waiting_max` is the most requests that may wait for runs at a time.
    pub(super) fn new(context: &Context, known: Arc<KnownRuns>, waiting_max: usize) -> Self {
        let Context { store, workflows, census, clock, random } = context.clone();
        let (waiting, closing) = (Semaphore::new(waiting_max), CancellationToken::new());
        Self { store, workflows, census, known, waiting, closing, clock, random }
    }

    /// What the runs of a workflow have come to. Fails if there is no such workflow.
    pub fn history(&self, workflow: &WorkflowName) -> Result<RunHistory, WardenError> {
        self.check_workflow(workflow)?;
        Ok(self.known.view(workflow, RunHistory::clone).unwrap_or_default())
    }

    /// Of all workflows that have or had runs.
    pub fn figures(&self) -> Vec<(WorkflowName, RunFigures)> {
        let moment = self.clock.moment();
        let figures = |name: WorkflowName, history: &RunHistory| {
            let figures = RunFigures {
                open: history.open.count,
                waiting: history.waiting.count,
                failures: history.failures.len() as u64,
                is_on_hold: history.is_on_hold(&self.workflows.policy(&name).runs),
                last_success_at: history.last_success.map(|ended| moment.wall(ended.at)),
            };
            (name, figures)
        };
        self.known.all(figures)
    }

    fn check_workflow(&self, workflow: &WorkflowName) -> Result<(), WardenError> {
        if self.workflows.contains(workflow) || self.known.contains(workflow) {
            return Ok(());
        }
        Err(WardenError::WorkflowUnknown(workflow.clone()))
    }

    /// At most `limit` runs that `is_wanted`, the newest first.
    pub async fn list(
        &self,
        workflow: &WorkflowName,
        before: Option<u64>,
        limit: usize,
        is_wanted: impl Fn(&RunEntry) -> bool,
    ) -> Result<RunPage, WardenError> {
        self.check_workflow(workflow)?;
        let (mut data, mut below, mut scanned) = (Vec::new(), before, 0);
        // More each time: those that are wanted may lie far apart.
        let mut at_once = limit + 1;
        loop {
            at_once = at_once.min(ENTRIES_AT_ONCE);
            let entries = self.entries_before(workflow, below, at_once).await?;
            at_once *= 2;
            let Some(last) = entries.last().map(|entry| entry.number) else {
                return Ok(RunPage { data, next: None });
            };
            scanned += entries.len();
            for entry in entries.into_iter().filter(&is_wanted) {
                // The page has a successor only if another run follows its last one.
                if data.len() == limit {
                    let next = data.last().map(|entry: &RunEntry| entry.number);
                    return Ok(RunPage { data, next });
                }
                data.push(entry);
            }
            below = Some(last);
            if scanned >= SCAN_MAX {
                return Ok(RunPage { data, next: below });
            }
        }
    }

    async fn entries_before(
        &self,
        workflow: &WorkflowName,
        below: Option<u64>,
        limit: usize,
    ) -> Result<Vec<RunEntry>, StoreError> {
        let below = below.map(|number| DocumentId::Run(workflow.clone(), number));
        let order = DocumentOrder::Descending { below };
        let of = DocumentSet::RunsOf(workflow.clone());
        Ok(of_kind(self.store.documents(ListDocuments { of, order, limit }).await?))
    }

    /// The newest open run.
    pub async fn current(&self, workflow: &WorkflowName) -> Result<Item, WardenError> {
        self.check_workflow(workflow)?;
        let number = self.known.view(workflow, RunHistory::newest_open).flatten();
        let entry = match number {
            Some(number) => self.entry(workflow, number).await?,
            None => None,
        };
        let item = match entry {
            Some(entry) => self.store.items(vec![entry.item_number]).await?.pop(),
            None => None,
        };
        item.ok_or_else(|| WardenError::NoRunOpen(workflow.clone()))
    }

    /// The run whose item has this id, or else the newest one that has begun.
    pub async fn begun(&self, workflow: &WorkflowName, id: Option<&ItemId>) -> Result<RunEntry, WardenError> {
        self.check_workflow(workflow)?;
        if let Some(id) = id {
            let key = ItemKey { workflow: workflow.clone(), id: id.clone() };
            let run = self.store.get(key).await?.and_then(|item| item.run);
            if let Some(run) = run
                && let Some(entry) = self.entry(workflow, run.number).await?
            {
                return Ok(entry);
            }
        }
        let is_it = |entry: &RunEntry| match id {
            Some(id) => entry.item == *id,
            None => entry.started_at.is_some(),
        };
        let (mut below, mut at_once) = (None, 1);
        loop {
            let entries = self.entries_before(workflow, below, at_once).await?;
            let Some(last) = entries.last() else { break };
            (below, at_once) = (Some(last.number), ENTRIES_AT_ONCE);
            if let Some(entry) = entries.into_iter().find(is_it) {
                return Ok(entry);
            }
        }
        let workflow = workflow.clone();
        Err(match id {
            Some(id) => WardenError::RunNotFound { workflow, id: id.clone() },
            None => WardenError::NoRunBegun(workflow),
        })
    }

    async fn entry(&self, workflow: &WorkflowName, number: u64) -> Result<Option<RunEntry>, StoreError> {
        let read = self.store.document(DocumentId::Run(workflow.clone(), number)).await?;
        Ok(read.and_then(|document| document.try_into().ok()))
    }

    /// Ends the newest open run, by the name of its workflow alone. `at`, by the wall clock, must not be in
    /// the future.
    pub async fn end(
        &self,
        workflow: &WorkflowName,
        end: EndRun,
        at: Option<Timestamp>,
        counts: Counts,
    ) -> Result<Item, WardenError> {
        self.check_workflow(workflow)?;
        let now = self.clock.moment();
        let at = at.map(|at| past(at, now)).transpose()?;
        let kind = match end {
            EndRun::Close(outcome) => RunEndKind::Close(outcome),
            EndRun::Fail(error) => {
                let id = ItemId::new("run")?;
                let key = ItemKey { workflow: workflow.clone(), id };
                let mut error = item_error(error, &key, now, &*self.random)?;
                error.at = at.unwrap_or(error.at);
                RunEndKind::Fail(Box::new(error))
            }
        };
        let end = Box::new(RunEnd { kind, at, counts });
        let (workflow, policies) = (workflow.clone(), self.workflows.clone());
        let command = Command::EndRun { workflow: workflow.clone(), end, policies, now: now.now };
        match self.store.apply_one(command).await? {
            Outcome::Closed(item) => Ok(*item),
            Outcome::NoRunOpen => Err(WardenError::NoRunOpen(workflow)),
            other => changed(other, now),
        }
    }

    /// Holds new runs until the workflow is released.
    pub async fn hold(
        &self,
        workflow: &WorkflowName,
        by: Arc<str>,
        comment: Option<Arc<str>>,
    ) -> Result<RunHistory, WardenError> {
        self.check_workflow(workflow)?;
        super::checks::check_person(&by)?;
        super::checks::check_comment(comment.as_deref().unwrap_or_default())?;
        let hold = Hold { since: self.clock.now(), by: Some(by.clone()), comment };
        let command = Command::Hold { workflow: workflow.clone(), hold: Box::new(hold) };
        self.store.apply_one(command).await?;
        tracing::info!(%workflow, %by, "workflow put on hold");
        self.history(workflow)
    }

    /// Ends a hold; the streak of failed runs begins anew.
    pub async fn release(
        &self,
        workflow: &WorkflowName,
        release_as: ReleaseAs,
        by: &str,
    ) -> Result<RunHistory, WardenError> {
        self.check_workflow(workflow)?;
        let (policies, now) = (self.workflows.clone(), self.clock.moment());
        let command = Command::Release { workflow: workflow.clone(), release_as, policies, now };
        self.store.apply_one(command).await?;
        tracing::info!(%workflow, by, %release_as, "workflow released");
        self.history(workflow)
    }

    /// What successful runs cover between two instants of the wall clock, by job.
    pub async fn coverage(
        &self,
        workflow: &WorkflowName,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Coverage, WardenError> {
        self.check_workflow(workflow)?;
        let policy = self.workflows.policy(workflow).runs.clone();
        let (mut coverage, mut below) = (Coverage::of(policy.jobs.keys()), None);
        loop {
            let entries = self.entries_before(workflow, below, ENTRIES_AT_ONCE).await?;
            let Some(last) = entries.last() else { break };
            below = Some(last.number);
            entries.iter().for_each(|entry| coverage.add(entry));
        }
        coverage.limit(since, until);
        Ok(coverage)
    }

    /// Has the loop look at all workflows, since other policies are in force.
    pub(super) fn decide_anew(&self) {
        self.known.touch_all();
    }

    /// Opens waiting runs, and closes failed ones that a later success has made up for, until `stop`.
    pub(super) async fn run(&self, stop: CancellationToken) {
        // The opened store was told of each history, which touched all of them.
        let mut left = BTreeSet::new();
        loop {
            left.extend(self.known.take_touched());
            let mut again = BTreeSet::new();
            for workflow in std::mem::take(&mut left) {
                if let Err(error) = self.attend(&workflow).await {
                    if matches!(error, StoreError::Fatal(_) | StoreError::Closing) {
                        tracing::error!(%workflow, %error, "waiting runs could not be opened");
                        return;
                    }
                    tracing::warn!(%workflow, %error, "waiting runs could not be opened; retrying");
                    again.insert(workflow);
                }
            }
            let next = if again.is_empty() { Timestamp::MAX } else { self.clock.now().after(TRY_AGAIN) };
            left = again;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.known.touched() => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Something has changed about the runs of a workflow: its own may begin, and those of the workflows that
    /// require it.
    async fn attend(&self, workflow: &WorkflowName) -> Result<(), StoreError> {
        self.close_made_up(workflow).await?;
        let requiring = self.workflows.requiring(workflow);
        for name in requiring.into_iter().chain([workflow.clone()]) {
            if self.known.view(&name, |history| history.waiting.count).unwrap_or_default() == 0 {
                continue;
            }
            let open = || Command::OpenWaiting {
                workflow: name.clone(),
                policies: self.workflows.clone(),
                now: self.clock.moment(),
            };
            while self.store.apply_one(open()).await? == Outcome::Partly {}
        }
        Ok(())
    }

    /// Closes the failed runs that a later success has made up for: they need nobody any more.
    async fn close_made_up(&self, workflow: &WorkflowName) -> Result<(), StoreError> {
        let Some(successes) = self.known.successes_to_follow(workflow) else { return Ok(()) };
        let policy = self.workflows.policy(workflow).clone();
        let is_failed = Arc::new(ItemFilter { states: vec![ItemState::Failed], ..ItemFilter::default() });
        let mut after = None;
        loop {
            let places = self.census.failed_of(workflow, after, BATCH);
            after = places.last().copied();
            if after.is_none() {
                break;
            }
            let items = self.store.items(places.into_iter().map(|(_, number)| number).collect()).await?;
            let is_made_up = |item: &Item| {
                let failed = item.run.as_ref().map(|run| run.number).zip(item.failed_at);
                failed.is_some_and(|(number, at)| {
                    successes.iter().any(|success| success.makes_up_for(number, at))
                })
            };
            let now = self.clock.moment();
            let close = |item: Item| Command::IfMatching {
                number: item.number,
                filter: is_failed.clone(),
                command: Box::new(Command::Close {
                    key: item.key(),
                    closing: policy.closing(CloseOutcome::Failed, now.now),
                }),
                now,
            };
            let commands: Vec<Command> = items.into_iter().filter(is_made_up).map(close).collect();
            if !commands.is_empty() {
                self.store.apply(commands).await?;
            }
        }
        self.known.followed(workflow, successes);
        Ok(())
    }

    /// Removes what the ledgers keep longer than their policies say.
    pub(super) async fn sweep(&self) -> Result<(), StoreError> {
        for workflow in self.known.names() {
            self.sweep_old(&workflow).await?;
            self.sweep_surplus(&workflow).await?;
        }
        Ok(())
    }

    /// Removes the runs that ended too long ago. They are looked for among the oldest only: one that has not
    /// ended may hide others, which are found by their number.
    async fn sweep_old(&self, workflow: &WorkflowName) -> Result<(), StoreError> {
        let retention = self.workflows.policy(workflow).runs.retention;
        for limit in std::iter::once(1).chain(std::iter::repeat(BATCH)) {
            let (of, order) = (DocumentSet::RunsOf(workflow.clone()), DocumentOrder::Ascending);
            let oldest: Vec<RunEntry> =
                of_kind(self.store.documents(ListDocuments { of, order, limit }).await?);
            let now = self.clock.now();
            let is_young = |entry: &RunEntry| entry.ended_at.is_some_and(|at| at.after(retention) > now);
            if oldest.first().is_some_and(is_young) {
                return Ok(());
            }
            if oldest.is_empty() {
                return self.forget_unused(workflow).await;
            }
            let is_over = |entry: &RunEntry| entry.has_ended() && !is_young(entry);
            if !self.remove(workflow, oldest.into_iter().filter(is_over)).await? && limit > 1 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes the runs beyond the most that are kept.
    async fn sweep_surplus(&self, workflow: &WorkflowName) -> Result<(), StoreError> {
        let last = self.known.view(workflow, |history| history.last_number).unwrap_or_default();
        let most = self.workflows.policy(workflow).runs.retention_max;
        if last <= most {
            return Ok(());
        }
        let mut below = Some(last - most + 1);
        while below.is_some() {
            let entries = self.entries_before(workflow, below, BATCH).await?;
            below = entries.last().map(|entry| entry.number);
            self.remove(workflow, entries.into_iter().filter(RunEntry::has_ended)).await?;
        }
        Ok(())
    }

    /// Returns whether there was anything to remove.
    async fn remove(
        &self,
        workflow: &WorkflowName,
        entries: impl Iterator<Item = RunEntry>,
    ) -> Result<bool, StoreError> {
        let remove = |entry: RunEntry| Command::Remove(DocumentId::Run(workflow.clone(), entry.number));
        let commands: Vec<Command> = entries.map(remove).collect();
        if commands.is_empty() {
            return Ok(false);
        }
        self.store.apply(commands).await?;
        Ok(true)
    }

    /// Nothing is left of the runs of a workflow. If nobody has defined it, its history goes too.
    async fn forget_unused(&self, workflow: &WorkflowName) -> Result<(), StoreError> {
        let is_needed = self.known.view(workflow, RunHistory::is_needed).unwrap_or_default();
        if is_needed || self.workflows.is_configured(workflow) {
            return Ok(());
        }
        self.forget(workflow).await
    }

    /// Removes everything about the runs of a workflow.
    pub(super) async fn forget(&self, workflow: &WorkflowName) -> Result<(), StoreError> {
        let remove = || Command::Remove(DocumentId::RunHistory(workflow.clone()));
        // The store refuses it if a run was opened meanwhile.
        while self.store.apply_one(remove()).await? == Outcome::Partly {}
        Ok(())
    }
}
