//! Runs: what clients do with them, and what must hold of every one that is written.
//!
//! `nightly` allows one open run at a time and goes on hold after two failures in a row; `summary` requires
//! it, and waits for it. The ledger loses nothing here: it is compared with all that was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use futures_util::FutureExt as _;
use warden::model::item::RunEndKind;
use warden::model::run::{Counts, HeldFor, ReleaseAs, RunStatus};
use warden::model::{
    Clock as _, CloseOutcome, ItemId, JobName, RunEntry, RunHistory, Timestamp, WorkflowName,
};
use warden::store::engine::memory::MemoryStore;
use warden::store::{
    Command, Document, DocumentId, DocumentSet, ListDocuments, Outcome, Reads as _, of_kind,
};
use warden::warden::Warden;
use warden::warden::intake::{CreateItem, Deadline, Done, Plan, RunTerms};
use warden::warden::runs::{EndRun, Since, WaitForRuns, Waited};

use crate::chain::Courses;
use crate::clients::{Client, encoding_of};
use crate::history::Seen;
use crate::items::content;

pub const NIGHTLY: &str = "nightly";
pub const SUMMARY: &str = "summary";
pub const RUN_WORKFLOWS: [&str; 2] = [NIGHTLY, SUMMARY];
/// Payloads that items have too whose names nobody knows, without those that say that an item failed before.
const PAYLOADS: [u64; 5] = [0, 1, 2, 4, 5];
/// How many runs of `nightly` may fail in a row.
const HOLD_AFTER: usize = 2;

/// What clients were told of runs.
#[derive(Default)]
pub struct Told {
    /// By workflow and number, the id.
    opened: BTreeMap<(&'static str, u64), ItemId>,
    succeeded: BTreeSet<(&'static str, u64)>,
}

impl Client {
    /// Does something with a run.
    pub async fn run(&self) {
        let name = *self.dice.pick(&RUN_WORKFLOWS);
        let workflow = WorkflowName::new(name).expect("a name");
        match self.dice.below(10) {
            0..4 => self.open_run(name, workflow).await,
            4..7 => self.end_run(name, &workflow, self.dice.chance(650)).await,
            7 => self.wait_for_run(workflow).await,
            8 => {
                let release_as = *self.dice.pick(&[ReleaseAs::Open, ReleaseAs::Open, ReleaseAs::Success]);
                let released = self.warden.runs.release(&workflow, release_as, "ada").await;
                self.history.tell(|| format!("release of {workflow} as {release_as}: {}", released.is_ok()));
            }
            _ if self.dice.chance(300) => {
                let held = self.warden.runs.hold(&workflow, "ada".into(), None).await;
                self.history.tell(|| format!("hold of {workflow}: {}", held.is_ok()));
            }
            _ => {}
        }
    }

    async fn open_run(&self, name: &'static str, workflow: WorkflowName) {
        let payload = content(*self.dice.pick(&PAYLOADS));
        let request = CreateItem {
            workflow,
            id: None,
            idempotency_key: None,
            content_type: "application/octet-stream".into(),
            content_encoding: encoding_of(&payload).unwrap_or_default().into(),
            payload,
            deadline: self.dice.chance(300).then(|| Deadline::In(self.dice.millis(600_000))),
            labels: BTreeMap::new(),
            step: None,
            plan: Plan::default(),
            trace: None,
            past: None,
            run: Some(RunTerms::default()),
        };
        let opened = self.warden.intake.create(request).await;
        self.history.tell(|| match &opened {
            Ok(Done::Created(item)) => format!("run of {name} {:?} as {}", item.run, item.number.0),
            Ok(_) => format!("run of {name} existed"),
            Err(error) => format!("run of {name}: {error}"),
        });
        if let Ok(Done::Created(item)) = opened {
            let number = item.run.as_ref().map_or(0, |run| run.number);
            let before = self.history.lock().runs.opened.insert((name, number), item.id.clone());
            if let Some(before) = before {
                self.history.note(Err(format!("{before} and {} are both run {number} of {name}", item.id)));
            }
        }
    }

    async fn end_run(&self, name: &'static str, workflow: &WorkflowName, succeeds: bool) {
        let end =
            if succeeds { EndRun::Close(CloseOutcome::Success) } else { EndRun::Fail(self.error(true)) };
        let ended = self.warden.runs.end(workflow, end, None, Counts::new()).await;
        self.history.tell(|| match &ended {
            Ok(item) => format!("end of {name} {:?}, success {succeeds}", item.run),
            Err(error) => format!("end of {name}: {error}"),
        });
        if let (Ok(item), true) = (ended, succeeds) {
            let number = item.run.map_or(0, |run| run.number);
            self.history.lock().runs.succeeded.insert((name, number));
        }
    }

    /// A success that is waited for is one, and no later run had begun before anybody asked.
    async fn wait_for_run(&self, workflow: WorkflowName) {
        let asked_at = self.clock.now();
        let request = WaitForRuns {
            workflows: vec![workflow.clone()],
            since: Since::Ever,
            covers: None,
            timeout: self.dice.millis(5_000),
            fail_fast: false,
            gone: Default::default(),
        };
        let Ok(Waited::Succeeded(runs)) = self.warden.runs.wait(request).await else { return };
        for (name, ended) in runs {
            let entries = ledger(self.disk.durable(), &name);
            let is_it = |entry: &&RunEntry| entry.number == ended.number;
            if entries.iter().find(is_it).is_none_or(|entry| entry.status != RunStatus::Success) {
                self.history.note(Err(format!("{name} was waited for, and {} is no success", ended.number)));
            }
            let is_later = |entry: &&RunEntry| {
                entry.number > ended.number
                    && entry.status == RunStatus::Open
                    && entry.started_at.is_some_and(|at| at < asked_at)
            };
            if let Some(later) = entries.iter().find(is_later) {
                let (early, late) = (ended.number, later.number);
                self.history.note(Err(format!("{name} was waited for with {early}, while {late} was open")));
            }
        }
    }
}

/// What is written of runs, in the order in which it is.
#[derive(Default)]
pub struct Written {
    /// The failures in a row of `nightly`.
    failures: Mutex<BTreeSet<u64>>,
    courses: Mutex<Courses>,
}

impl Written {
    /// How runs stood, one after the other.
    pub fn courses(&self) -> MutexGuard<'_, Courses> {
        self.courses.lock().expect("nothing panics under the lock")
    }

    /// Holds a command that was written against what was there before, reckoned from the ledger alone.
    pub fn check(
        &self,
        before: &Ledgers,
        store: &MemoryStore,
        command: &Command,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let after = Ledgers::of(store);
        self.courses().note(&after);
        let mut failures = self.failures.lock().expect("nothing panics under the lock");
        for (name, entries) in &after.0 {
            let was = |number: u64| before.0.get(name)?.iter().find(|entry| entry.number == number);
            let open = entries.iter().filter(|entry| entry.status == RunStatus::Open).count();
            let has_begun = |entry: &&RunEntry| {
                entry.status == RunStatus::Open
                    && was(entry.number).is_none_or(|was| was.status == RunStatus::Held)
            };
            if let Some(begun) = entries.iter().find(has_begun) {
                if open > 1 {
                    return Err(format!("{name} has {open} open runs, since {} began", begun.number));
                }
                if *name == SUMMARY && !before.is_met() {
                    return Err(format!("{} of {name} began before what it requires", begun.number));
                }
                if *name == NIGHTLY
                    && failures.len() >= HOLD_AFTER
                    && !matches!(command, Command::Release { .. })
                {
                    return Err(format!("{} of {name} began after {failures:?} had failed", begun.number));
                }
            }
            let reserved = entries.iter().filter(|entry| entry.held == Some(HeldFor::Hold)).count();
            if reserved > 1 {
                return Err(format!("{name} holds {reserved} runs"));
            }
            if *name == NIGHTLY {
                for entry in entries {
                    match (was(entry.number).map(|was| was.status), entry.status) {
                        (Some(was), is) if was == is => {}
                        (_, RunStatus::Failed) => drop(failures.insert(entry.number)),
                        (_, RunStatus::Success) => failures.clear(),
                        (_, RunStatus::Open | RunStatus::Discarded | RunStatus::Held) => {
                            failures.remove(&entry.number);
                        }
                    }
                }
                check_windows(entries)?;
            }
        }
        if let Command::Release { workflow, .. } = command
            && **workflow == *NIGHTLY
            && *outcome == Outcome::Done
        {
            failures.clear();
        }
        Ok(())
    }
}

/// The windows of successful runs follow each other without a gap.
fn check_windows(entries: &[RunEntry]) -> Result<(), String> {
    let job = JobName::new("all").expect("a name");
    let done = entries.iter().filter(|entry| entry.status == RunStatus::Success);
    let windows = done.filter_map(|entry| Some(entry.params.as_ref()?.jobs.get(&job)?.window));
    let mut covered_to: Option<Timestamp> = None;
    for window in windows {
        // The first one has no beginning, as nothing says where it is.
        if window.from.is_some() && covered_to < window.from {
            return Err(format!("there is a gap from {covered_to:?} to {:?}", window.from));
        }
        covered_to = covered_to.max(Some(window.to));
    }
    Ok(())
}

/// The ledgers at some time.
pub struct Ledgers(BTreeMap<&'static str, Vec<RunEntry>>);

impl Ledgers {
    pub fn of(store: &MemoryStore) -> Self {
        let ledger_of = |name: &'static str| (name, ledger(store, &WorkflowName::new(name).expect("a name")));
        Self(RUN_WORKFLOWS.map(ledger_of).into())
    }

    /// With the names of their workflows.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &RunEntry)> {
        self.0.iter().flat_map(|(name, entries)| entries.iter().map(|entry| (*name, entry)))
    }

    /// Whether the latest run of `nightly` has succeeded, or it never ran.
    fn is_met(&self) -> bool {
        let nightly = &self.0[NIGHTLY];
        let is_held = nightly.iter().any(|entry| entry.status == RunStatus::Held);
        let latest = nightly.iter().rev().find(|entry| entry.status != RunStatus::Discarded);
        !is_held && latest.is_none_or(|latest| latest.status == RunStatus::Success)
    }
}

fn ledger(store: &MemoryStore, workflow: &WorkflowName) -> Vec<RunEntry> {
    let set = DocumentSet::RunsOf(workflow.clone());
    let read = store.documents(ListDocuments::all(set)).now_or_never().expect("memory never waits");
    of_kind(read.expect("memory never fails"))
}

/// Whether a command may change runs, so that it is worth a look at the ledgers.
pub fn concerns(command: &Command, store: &MemoryStore) -> bool {
    let is_of_runs = |workflow: &WorkflowName| RUN_WORKFLOWS.contains(&&**workflow);
    match command {
        Command::Create(creation) => is_of_runs(&creation.key.workflow),
        Command::Close { key, .. } | Command::Report { key, .. } | Command::Retry { key, .. } => {
            is_of_runs(&key.workflow)
        }
        Command::EndRun { workflow, end, .. } => {
            is_of_runs(workflow) && matches!(end.kind, RunEndKind::Close(_) | RunEndKind::Fail(_))
        }
        Command::Release { .. } | Command::OpenWaiting { .. } => true,
        Command::ActOnLease { lease, .. } => {
            let read = store.items(vec![lease.item]).now_or_never().expect("memory never waits");
            read.expect("memory never fails").iter().any(|item| item.run.is_some())
        }
        Command::IfMatching { command, .. } => concerns(command, store),
        _ => false,
    }
}

/// What was acknowledged is in the ledger, for good.
pub fn check_told(store: &MemoryStore, seen: &Seen) -> Result<(), String> {
    let ledgers = Ledgers::of(store);
    let entry = |name: &str, number: u64| ledgers.0[name].iter().find(|entry| entry.number == number);
    for ((name, number), id) in &seen.runs.opened {
        if entry(name, *number).is_none_or(|entry| entry.item != *id) {
            return Err(format!("run {number} of {name} was acknowledged as {id}, and is not in the ledger"));
        }
    }
    for (name, number) in &seen.runs.succeeded {
        if entry(name, *number).is_none_or(|entry| entry.status != RunStatus::Success) {
            return Err(format!("the success of run {number} of {name} was acknowledged, and is gone"));
        }
    }
    Ok(())
}

/// In the calm: what may begin has begun, and failed runs that a success has made up for are closed.
pub fn check_calm(store: &MemoryStore, warden: &Warden, now: Timestamp) -> Result<(), String> {
    let history = |name: &WorkflowName| {
        let read = store.document(DocumentId::RunHistory(name.clone())).now_or_never();
        let found: Option<Document> = read.expect("memory never waits").expect("memory never fails");
        found.and_then(|found| RunHistory::try_from(found).ok()).unwrap_or_default()
    };
    let ledgers = Ledgers::of(store);
    for (name, entries) in &ledgers.0 {
        let workflow = WorkflowName::new(*name).expect("a name");
        let policy = warden.workflows.policy(&workflow).runs.clone();
        let (own, nightly) = (history(&workflow), history(&WorkflowName::new(NIGHTLY).expect("a name")));
        if own.waiting.count > 0 && own.may_open(&policy, |_| Some(&nightly), now) {
            return Err(format!("runs of {name} wait, though nothing stands in their way"));
        }
        // What fails after a success was not made up for by it, whatever its number.
        let is_made_up = |failed: &RunEntry| {
            entries.iter().any(|success| {
                success.status == RunStatus::Success
                    && success.backfill.is_none()
                    && success.number > failed.number
                    && success.ended_at >= failed.ended_at
            })
        };
        for failed in entries.iter().filter(|entry| entry.status == RunStatus::Failed) {
            let read = store.items(vec![failed.item_number]).now_or_never().expect("memory never waits");
            let items = read.expect("memory never fails");
            let is_left = items.first().is_some_and(|item| item.closed.is_none());
            if is_left && is_made_up(failed) {
                return Err(format!("run {} of {name} was made up for, and is not closed", failed.number));
            }
        }
    }
    Ok(())
}
