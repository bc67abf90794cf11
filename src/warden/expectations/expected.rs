//! The expectations of workflows and their progress: in memory, fed by the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::incident::Observation;
use crate::model::{
    Clock, Expectation, Group, IncidentKey, IncidentKind, IndexedItem, ItemNumber, Moment, Progress,
    Timestamp, WorkflowName,
};
use crate::store::{Change, Document, Observer};
use crate::warden::workflows::{PolicySet, Workflows};

/// The machine counts as awake through a shorter sleep.
const SLEEP_MIN: Duration = Duration::from_secs(1);

/// A workflow with an expectation.
struct Watched {
    expectation: Expectation,
    progress: Progress,
    /// The progress as stored.
    saved: Option<Progress>,
    /// The start and number of missed windows at the last decision about the incident.
    decided: Option<(Timestamp, u64)>,
    /// When it was last evaluated, and how long the machine had slept by then.
    looked_at: Timestamp,
    slept: Duration,
}

/// The workflows of which something is expected.
fn expectations(policies: &PolicySet) -> impl Iterator<Item = (WorkflowName, Expectation)> {
    policies.configured.iter().filter_map(|(name, policy)| Some((name.clone(), policy.expect.clone()?)))
}

impl Watched {
    /// Watches from now on.
    fn begin(expectation: Expectation, clock: &dyn Clock) -> Self {
        let (looked_at, slept) = (clock.now(), clock.slept());
        let progress = Progress::begin(&expectation, looked_at, clock.wall_offset());
        Self { expectation, progress, saved: None, decided: None, looked_at, slept }
    }

    /// Evaluates the windows that have passed, except those during which the machine slept.
    fn catch_up(&mut self, clock: &dyn Clock) {
        let (Moment { now, wall_offset }, slept) = (clock.moment(), clock.slept());
        if slept.saturating_sub(self.slept) >= SLEEP_MIN {
            self.progress.unwatched(&self.expectation, self.looked_at, now, wall_offset);
        }
        (self.looked_at, self.slept) = (now, slept);
        self.progress.advance(&self.expectation, now, wall_offset);
    }

    fn missed(&self) -> Option<(Timestamp, u64)> {
        self.progress.missed().map(|missed| (missed.since, missed.windows))
    }

    /// Whether missed or not missed has changed since the last commit, so that it must be committed now.
    fn has_flipped(&self) -> bool {
        self.saved.as_ref().is_none_or(|saved| saved.missed().is_some() != self.progress.missed().is_some())
    }
}

pub struct ExpectedWork {
    watched: RwLock<BTreeMap<WorkflowName, Mutex<Watched>>>,
    /// Workflows with stored progress that have no expectation in the configuration.
    obsolete: Mutex<Vec<WorkflowName>>,
    /// False while items are read at the start, so that they do not count as new.
    recovered: AtomicBool,
    /// Incidents that need a decision.
    changed: Mutex<BTreeSet<IncidentKey>>,
    has_changed: Notify,
    clock: Arc<dyn Clock>,
    pub(super) flipped: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ExpectedWork {
    pub fn new(clock: Arc<dyn Clock>, workflows: &Workflows) -> Self {
        let policies = workflows.in_force();
        let watched = expectations(&policies)
            .map(|(name, expected)| (name, Mutex::new(Watched::begin(expected, &*clock))));
        Self {
            watched: RwLock::new(watched.collect()),
            obsolete: Mutex::default(),
            recovered: AtomicBool::new(false),
            changed: Mutex::default(),
            has_changed: Notify::new(),
            clock,
            flipped: Notify::new(),
        }
    }

    fn watched(&self) -> RwLockReadGuard<'_, BTreeMap<WorkflowName, Mutex<Watched>>> {
        self.watched.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes by these policies from now on. What is expected as before keeps its progress; a missed start that
    /// is not expected any more is over.
    pub fn adopt(&self, policies: &PolicySet) {
        let mut watched = self.watched.write().unwrap_or_else(PoisonError::into_inner);
        let mut former = std::mem::take(&mut *watched);
        let mut changed = Vec::new();
        for (name, expectation) in expectations(policies) {
            let kept =
                former.remove(&name).map(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner));
            let one = match kept {
                Some(mut one) if one.progress.is_of(&expectation) => {
                    one.expectation = expectation;
                    one
                }
                _ => Watched::begin(expectation, &*self.clock),
            };
            changed.push(name.clone());
            watched.insert(name, Mutex::new(one));
        }
        drop(watched);
        lock(&self.obsolete).extend(former.keys().cloned());
        changed.extend(former.into_keys());
        self.report(changed);
        self.flipped.notify_one();
    }

    /// Takes over committed progress. During recovery it is that of the last process.
    fn committed_progress(&self, workflow: &WorkflowName, progress: &Progress) {
        let is_recovered = self.recovered.load(Ordering::Relaxed);
        let all = self.watched();
        let Some(watched) = all.get(workflow) else {
            return lock(&self.obsolete).push(workflow.clone());
        };
        let watched = &mut *lock(watched);
        if !progress.is_of(&watched.expectation) {
            return;
        }
        if !is_recovered {
            watched.progress = progress.clone();
        }
        watched.saved = Some(progress.clone());
    }

    /// Ends the recovery: all items have been read. Evaluates the windows that passed while the daemon was
    /// down, which was since `watched_to` at the earliest.
    pub fn recovered(&self, watched_to: Option<Timestamp>) {
        let Moment { now, wall_offset } = self.clock.moment();
        let watched_to = watched_to.unwrap_or(now);
        for watched in self.watched().values() {
            let watched = &mut *lock(watched);
            if watched.saved.is_some() {
                watched.progress.unwatched(&watched.expectation, watched_to, now, wall_offset);
            } else {
                watched.progress = Progress::begin(&watched.expectation, now, wall_offset);
            }
            watched.progress.advance(&watched.expectation, now, wall_offset);
        }
        self.recovered.store(true, Ordering::Relaxed);
    }

    /// The next expected start, by the wall clock; `None` without an expectation.
    pub fn next_expected_at(&self, workflow: &WorkflowName) -> Option<Timestamp> {
        let all = self.watched();
        let watched = lock(all.get(workflow)?);
        let (now, wall_offset) = (self.clock.now(), self.clock.wall_offset());
        watched.progress.next_expected_at(&watched.expectation, now, wall_offset)
    }

    /// Counts an item that is new, or was read at the start.
    fn created(&self, indexed: &IndexedItem) {
        let Some(at) = indexed.created_at else { return };
        self.happened(&indexed.workflow, indexed.number, at, false);
    }

    /// Counts the latest success of a run, which may have been counted before. Successes are numbered by the
    /// time of their end.
    fn succeeded(&self, workflow: &WorkflowName, at: Timestamp) {
        let number = ItemNumber(u64::try_from(at.as_millis()).unwrap_or_default());
        self.happened(workflow, number, at, true);
    }

    fn happened(&self, workflow: &WorkflowName, number: ItemNumber, at: Timestamp, is_success: bool) {
        let all = self.watched();
        let Some(watched) = all.get(workflow) else { return };
        let watched = &mut *lock(watched);
        if watched.expectation.of_success != is_success {
            return;
        }
        let is_recovered = self.recovered.load(Ordering::Relaxed);
        if is_recovered {
            watched.catch_up(&*self.clock);
        }
        let Watched { expectation, progress, saved, decided, .. } = watched;
        if is_recovered {
            progress.created(expectation, number, at, self.clock.wall_offset());
            if progress.missed().is_some() != decided.is_some() {
                self.flipped.notify_one();
            }
        } else if saved.is_some() {
            progress.recount(expectation, number, at);
        }
    }

    /// Expectations depend on the wall clock.
    pub fn clock_was_set(&self) {
        self.flipped.notify_one();
    }

    pub fn observe(&self, workflow: &WorkflowName) -> Observation {
        let missed = self.watched().get(workflow).and_then(|watched| lock(watched).progress.missed());
        Observation {
            count: missed.map_or(0, |missed| missed.windows),
            oldest_deadline: missed.map(|missed| missed.since),
            missed,
            ..Observation::default()
        }
    }

    /// The incidents that need a decision since the last call.
    pub fn take_changed(&self) -> BTreeSet<IncidentKey> {
        std::mem::take(&mut *lock(&self.changed))
    }

    /// Completes when there are incidents for [`ExpectedWork::take_changed`].
    pub async fn changed(&self) {
        self.has_changed.notified().await;
    }

    /// Has the incidents of these workflows decided about.
    pub(super) fn report(&self, workflows: Vec<WorkflowName>) {
        if workflows.is_empty() {
            return;
        }
        let key = |workflow| IncidentKey { workflow, kind: IncidentKind::Missed, group: Group::new() };
        lock(&self.changed).extend(workflows.into_iter().map(key));
        self.has_changed.notify_one();
    }

    /// Evaluates the windows that have passed. Returns the workflows whose incidents need a decision.
    pub(super) fn evaluate(&self) -> Vec<WorkflowName> {
        let changed = |watched: &Mutex<Watched>| {
            let watched = &mut *lock(watched);
            watched.catch_up(&*self.clock);
            let missed = watched.missed();
            std::mem::replace(&mut watched.decided, missed) != missed
        };
        let all = self.watched();
        let touched = all.iter().filter(|(_, watched)| changed(watched));
        touched.map(|(workflow, _)| workflow.clone()).collect()
    }

    /// When the next evaluation is due; `None` without expectations.
    pub(super) fn next_evaluation(&self) -> Option<Timestamp> {
        let wake = |watched: &Mutex<Watched>| {
            let watched = lock(watched);
            watched.progress.next_wake(&watched.expectation).unwrap_or(Timestamp::MAX)
        };
        self.watched().values().map(wake).min()
    }

    pub(super) fn take_obsolete(&self) -> Vec<WorkflowName> {
        std::mem::take(&mut *lock(&self.obsolete))
    }

    /// Progress to commit: all that has changed, or only what must not wait.
    pub(super) fn unsaved(&self, all: bool) -> Vec<(WorkflowName, Progress)> {
        let unsaved = |(workflow, watched): (&WorkflowName, &Mutex<Watched>)| {
            let watched = lock(watched);
            let changed = all && watched.saved.as_ref() != Some(&watched.progress);
            (changed || watched.has_flipped()).then(|| (workflow.clone(), watched.progress.clone()))
        };
        self.watched().iter().filter_map(unsaved).collect()
    }
}

impl Observer for ExpectedWork {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Item { before: None, after: Some(created) } => self.created(created),
                Change::Put(Document::RunHistory(workflow, history)) => {
                    if let Some(success) = history.last_success {
                        self.succeeded(workflow, success.at);
                    }
                }
                Change::Put(Document::Progress(workflow, progress)) => {
                    self.committed_progress(workflow, progress);
                }
                Change::Item { .. } | Change::Step { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}
