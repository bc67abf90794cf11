//! Expectations: which workflows are to have items created when, and the loop that notices when they have not.
//!
//! What is counted lives in memory; the store tells of each creation in commit order. It is committed as soon as
//! something is missed or no longer missed, and otherwise once a minute: a crash forgets at most a minute of counting,
//! and since each count says to which item it went, that minute is counted again at the start from the items that the
//! store still holds. Only what was created and forgotten within it is lost.
//!
//! Something that is missed is committed before anybody is told, so a restart goes on with the same incident.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Warden, Workflows};
use crate::incident::Observation;
use crate::model::{
    Clock, Expectation, Group, IncidentKey, IncidentKind, Moment, Progress, Standing, Timestamp, WorkflowName,
};
use crate::store::{Change, Command, Document, DocumentId, Observer, StoreError};

/// How often what merely counts is committed. The wall clock is looked at as often.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// A sleep of the machine that is shorter than this counts as none.
const SLEEP_MIN: Duration = Duration::from_secs(1);
/// How long to wait after the store had no room for a commit.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How many workflows' progress is committed at once.
const SAVED_AT_ONCE: usize = 500;

/// A workflow of which something is expected.
struct Watched {
    expectation: Expectation,
    progress: Progress,
    /// What of it is in the store.
    saved: Option<Progress>,
    /// Since when, and in how many windows, something was missed when the incident was last decided about.
    decided: Option<(Timestamp, u64)>,
    /// When it was last looked at, and for how long the machine had slept by then.
    looked_at: Timestamp,
    slept: Duration,
}

impl Watched {
    /// Judges what has passed, apart from what passed while the machine slept.
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

    /// Whether it must be committed now: a restart would find something missed that is not, or the other way round.
    fn has_turned(&self) -> bool {
        self.saved.as_ref().is_none_or(|saved| saved.missed().is_some() != self.progress.missed().is_some())
    }
}

/// What is expected of workflows, and how far it has come to pass. See the module's documentation.
pub struct Expectations {
    watched: BTreeMap<WorkflowName, Mutex<Watched>>,
    /// Workflows of which nothing is expected any more, but progress is stored.
    obsolete: Mutex<Vec<WorkflowName>>,
    /// Whether what is created from here on is new, and not read from the store at the start.
    recovered: AtomicBool,
    clock: Arc<dyn Clock>,
    turned: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Expectations {
    /// Those of the workflows' policies.
    pub fn new(clock: Arc<dyn Clock>, workflows: &Workflows) -> Self {
        let (now, wall_offset) = (clock.now(), clock.wall_offset());
        let mut watched = BTreeMap::new();
        for entry in workflows.list() {
            let Some(expectation) = entry.policy.expect.clone() else { continue };
            let progress = Progress::begin(&expectation, now, wall_offset);
            let (looked_at, slept) = (now, clock.slept());
            let one = Watched { expectation, progress, saved: None, decided: None, looked_at, slept };
            watched.insert(entry.name, Mutex::new(one));
        }
        Self {
            watched,
            obsolete: Mutex::default(),
            recovered: AtomicBool::new(false),
            clock,
            turned: Notify::new(),
        }
    }

    /// What was committed of a workflow: before the end of the recovery it is what the last process knew.
    fn committed_progress(&self, workflow: &WorkflowName, progress: &Progress) {
        let is_recovered = self.recovered.load(Ordering::Relaxed);
        let Some(watched) = self.watched.get(workflow) else {
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

    /// Takes note that all items have been read, and judges what passed while the daemon was down, which was until
    /// `watched_to` at least.
    pub fn recovered(&self, watched_to: Option<Timestamp>) {
        let Moment { now, wall_offset } = self.clock.moment();
        let watched_to = watched_to.unwrap_or(now);
        for watched in self.watched.values() {
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

    /// For when items of a workflow are expected next, by the wall clock; nothing where none are.
    pub fn next_expected_at(&self, workflow: &WorkflowName) -> Option<Timestamp> {
        let watched = lock(self.watched.get(workflow)?);
        let (now, wall_offset) = (self.clock.now(), self.clock.wall_offset());
        watched.progress.next_expected_at(&watched.expectation, now, wall_offset)
    }

    /// Counts an item that is new, or was read at the start.
    fn created(&self, standing: &Standing) {
        let Some(watched) = self.watched.get(&standing.workflow) else { return };
        let Some(at) = standing.created_at else { return };
        let watched = &mut *lock(watched);
        let is_recovered = self.recovered.load(Ordering::Relaxed);
        if is_recovered {
            watched.catch_up(&*self.clock);
        }
        let Watched { expectation, progress, saved, decided, .. } = watched;
        if is_recovered {
            progress.created(expectation, standing.number, at, self.clock.wall_offset());
            if progress.missed().is_some() != decided.is_some() {
                self.turned.notify_one();
            }
        } else if saved.is_some() {
            progress.recount(expectation, standing.number, at);
        }
    }

    /// Takes note that the wall clock was set: what is expected by it comes at another time.
    pub fn clock_was_set(&self) {
        self.turned.notify_one();
    }

    /// What can be seen of what is missed.
    pub fn observe(&self, workflow: &WorkflowName) -> Observation {
        let missed = self.watched.get(workflow).and_then(|watched| lock(watched).progress.missed());
        Observation {
            count: missed.map_or(0, |missed| missed.windows),
            oldest_deadline: missed.map(|missed| missed.since),
            missed,
            ..Observation::default()
        }
    }

    /// Judges what has passed. The workflows about whose incident is to be decided again.
    fn look(&self) -> Vec<WorkflowName> {
        let changed = |watched: &Mutex<Watched>| {
            let watched = &mut *lock(watched);
            watched.catch_up(&*self.clock);
            let missed = watched.missed();
            std::mem::replace(&mut watched.decided, missed) != missed
        };
        let touched = self.watched.iter().filter(|(_, watched)| changed(watched));
        touched.map(|(workflow, _)| workflow.clone()).collect()
    }

    /// When to look again; nothing if nothing is expected of any workflow.
    fn next_look(&self) -> Option<Timestamp> {
        let wake = |watched: &Mutex<Watched>| {
            let watched = lock(watched);
            watched.progress.next_wake(&watched.expectation).unwrap_or(Timestamp::MAX)
        };
        self.watched.values().map(wake).min()
    }

    /// Progress to be committed: all that has changed, or only what must not wait.
    fn unsaved(&self, all: bool) -> Vec<(WorkflowName, Progress)> {
        let unsaved = |(workflow, watched): (&WorkflowName, &Mutex<Watched>)| {
            let watched = lock(watched);
            let changed = all && watched.saved.as_ref() != Some(&watched.progress);
            (changed || watched.has_turned()).then(|| (workflow.clone(), watched.progress.clone()))
        };
        self.watched.iter().filter_map(unsaved).collect()
    }
}

impl Observer for Expectations {
    fn committed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Item { before: None, after: Some(created) } => self.created(created),
                Change::Put(Document::Progress(workflow, progress)) => {
                    self.committed_progress(workflow, progress);
                }
                Change::Item { .. } | Change::Put(_) | Change::Removed(_) => {}
            }
        }
    }
}

impl Warden {
    /// Notices until `stop` what was expected and did not come.
    pub(super) async fn watch_expectations(&self, stop: CancellationToken) {
        let mut save_at = self.clock.now();
        loop {
            let now = self.clock.now();
            self.expected(now);
            let touched = self.expectations.look();
            let all = save_at <= now;
            match self.save_progress(all).await {
                Ok(()) if all => save_at = now.after(SAVE_EVERY),
                Ok(()) => {}
                Err(StoreError::Fatal(error)) => {
                    tracing::error!(%error, "what is expected of workflows could not be committed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "what is expected of workflows could not be committed; trying again");
                    save_at = now.after(TRY_AGAIN);
                }
            }
            self.census.touch(touched.into_iter().map(missed_key));
            let look_at =
                self.expectations.next_look().map_or(Timestamp::MAX, |look_at| look_at.min(save_at));
            self.expected(look_at);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.expectations.turned.notified() => {}
                () = self.clock.sleep_until(look_at) => {}
            }
        }
        if let Err(error) = self.save_progress(true).await {
            tracing::warn!(%error, "what is expected of workflows could not be committed at the end");
        }
    }

    /// What the store has no room for is left for the next time, and what is obsolete for the next start.
    async fn save_progress(&self, all: bool) -> Result<(), StoreError> {
        let obsolete = std::mem::take(&mut *lock(&self.expectations.obsolete));
        if !obsolete.is_empty() {
            self.store
                .apply(obsolete.into_iter().map(DocumentId::Progress).map(Command::Remove).collect())
                .await?;
        }
        for unsaved in self.expectations.unsaved(all).chunks(SAVED_AT_ONCE) {
            let put = |(workflow, progress): &(WorkflowName, Progress)| {
                Command::put(Document::Progress(workflow.clone(), Box::new(progress.clone())))
            };
            self.store.apply(unsaved.iter().map(put).collect()).await?;
        }
        Ok(())
    }
}

fn missed_key(workflow: WorkflowName) -> IncidentKey {
    IncidentKey { workflow, kind: IncidentKind::Missed, group: Group::new() }
}
