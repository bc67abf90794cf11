//! Runs: random stories, in which every engine and a plain model must agree on what may begin, on the ledger,
//! on what the windows of successful runs cover, and on what receivers are told.
//!
//! `PROPTEST_CASES` is the number of stories for each engine.

mod events;
mod model;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use warden::model::item::{ItemPatch, Merge, RunEnd, RunEndKind};
use warden::model::run::window::WindowPolicy;
use warden::model::run::{
    Counts, Hold, JobPolicy, ReleaseAs, Requirement, RunStatus, Single, Truncate, Unmet,
};
use warden::model::{
    CloseOutcome, EventSet, ItemError, JobName, Moment, Policies, Policy, RunEntry, RunHistory, RunPolicy,
    Timestamp, WorkflowName,
};
use warden::store::{
    Command, Creation, Document, DocumentId, DocumentSet, ListDocuments, Outcome, RunCreation, of_kind,
};

use self::events::{Told, steady};
use self::model::{Model, WORKFLOWS};
use crate::store::engine::Engine;
use crate::store::sample::{IntoCommand as _, at, creation, error, key_in, workflow};

#[test]
fn stories_of_runs_end_on_sled_as_in_the_model() {
    tell(24, Engine::sled);
}

#[test]
fn stories_of_runs_end_in_memory_as_in_the_model() {
    tell(400, Engine::memory);
}

/// What happens to the runs of a workflow, which is named by its place among [`WORKFLOWS`].
#[derive(Clone, Debug)]
pub enum Turn {
    Open(usize),
    EndCurrent(usize, CloseOutcome),
    FailCurrent(usize),
    /// Of the run that has so many newer ones.
    CloseItem(usize, usize, CloseOutcome),
    FailItem(usize, usize),
    Retry(usize, usize),
    /// What it has read is told anew; nothing takes the count away.
    Count(usize, usize, Option<i64>),
    Hold(usize),
    Release(usize, ReleaseAs),
    OpenWaiting(usize),
    /// Has the run that has so many newer ones noted as overdue.
    NoteOverdue(usize, usize),
    /// The events so far become deliveries.
    Deliver,
    Wait(i64),
    /// What is closed is forgotten, and the ledger loses the ended runs below the newest so many.
    Sweep(usize, u64),
    Restart,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let of = || 0..WORKFLOWS.len();
    let outcome = || {
        prop_oneof![
            3 => Just(CloseOutcome::Success),
            1 => Just(CloseOutcome::Failed),
            1 => Just(CloseOutcome::Discarded)
        ]
    };
    let release = prop_oneof![2 => Just(ReleaseAs::Open), 1 => Just(ReleaseAs::Success)];
    let turn = prop_oneof![
        10 => of().prop_map(Turn::Open),
        6 => (of(), outcome()).prop_map(|(of, outcome)| Turn::EndCurrent(of, outcome)),
        4 => of().prop_map(Turn::FailCurrent),
        3 => (of(), 0..4_usize, outcome()).prop_map(|(of, back, outcome)| Turn::CloseItem(of, back, outcome)),
        2 => (of(), 0..4_usize).prop_map(|(of, back)| Turn::FailItem(of, back)),
        3 => (of(), 0..4_usize).prop_map(|(of, back)| Turn::Retry(of, back)),
        3 => (of(), 0..4_usize, proptest::option::weighted(0.8, -9..1_000_i64))
            .prop_map(|(of, back, count)| Turn::Count(of, back, count)),
        1 => of().prop_map(Turn::Hold),
        3 => (of(), release).prop_map(|(of, release)| Turn::Release(of, release)),
        4 => of().prop_map(Turn::OpenWaiting),
        3 => (of(), 0..4_usize).prop_map(|(of, back)| Turn::NoteOverdue(of, back)),
        1 => Just(Turn::Deliver),
        6 => (1..7_200_000_i64).prop_map(Turn::Wait),
        2 => (of(), 0..5_u64).prop_map(|(of, kept)| Turn::Sweep(of, kept)),
        1 => Just(Turn::Restart),
    ];
    proptest::collection::vec(turn, 1..60)
}

fn tell(cases: u32, engine: fn() -> Engine) {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    TestRunner::new(config)
        .run(&turns(), |turns| {
            runtime.block_on(async {
                let mut telling = Telling {
                    engine: engine(),
                    model: Model::default(),
                    told: Told::default(),
                    now: at(0),
                    created: 0,
                };
                for turn in turns {
                    let before = telling.model.standings();
                    telling = telling.turn(turn).await;
                    telling.compare().await;
                    telling.told.compare(&telling.engine, &before, &telling.model).await;
                }
            });
            Ok(())
        })
        .unwrap();
}

/// `load` is single, goes on hold after two failures, and has two jobs; `report` requires it and waits for
/// it; `free` may have any number of open runs, requires a fresh `load`, and does not wait.
#[derive(Debug)]
struct Configured;

impl Policies for Configured {
    fn policy_of(&self, name: &WorkflowName) -> Arc<Policy> {
        let runs = match &**name {
            "load" => RunPolicy {
                hold_after: Some(2),
                jobs: [
                    ("plain", Duration::ZERO, None),
                    ("again", Duration::from_secs(3600), Some(Truncate::Day)),
                ]
                .map(|(name, reprocess, truncate)| (JobName::new(name).unwrap(), job(reprocess, truncate)))
                .into(),
                ..RunPolicy::default()
            },
            "report" => RunPolicy { requires: vec![requires(None, Unmet::Held)], ..RunPolicy::default() },
            "free" => RunPolicy {
                single: Single::Allow,
                requires: vec![requires(Some(Duration::from_secs(3600)), Unmet::Refuse)],
                hold_after: Some(3),
                ..RunPolicy::default()
            },
            _ => RunPolicy { single: Single::Supersede, ..RunPolicy::default() },
        };
        let second = Duration::from_secs(1);
        let all = (Arc::from("chain"), EventSet::of_items());
        let events = [all].into_iter().collect();
        Arc::new(Policy { runs: Arc::new(runs), events, ..Policy::bare(second, second) })
    }
}

fn job(reprocess: Duration, truncate: Option<Truncate>) -> JobPolicy {
    let window = WindowPolicy {
        reprocess,
        truncate,
        zone: "Europe/Berlin".parse().unwrap(),
        initial_from: Some(at(-86_400_000)),
    };
    JobPolicy { window, params: Default::default(), section: None }
}

fn requires(within: Option<Duration>, otherwise: Unmet) -> Requirement {
    Requirement { workflow: workflow("load"), within, otherwise }
}

struct Telling {
    engine: Engine,
    model: Model,
    told: Told,
    now: Timestamp,
    /// Items so far, which name the next one.
    created: usize,
}

impl Telling {
    async fn turn(mut self, turn: Turn) -> Self {
        let policies: Arc<dyn Policies> = Arc::new(Configured);
        let now = Moment::from(self.now);
        self.model.now = self.now;
        let name = |of: usize| workflow(WORKFLOWS[of]);
        match turn {
            Turn::Open(of) => {
                self.created += 1;
                let id = format!("run-{}", self.created);
                let policy = policies.policy_of(&name(of));
                let run = RunCreation { lineage: None, started_at: None, backfill: None, policy, now };
                let create = Creation {
                    key: key_in(WORKFLOWS[of], &id),
                    created_at: self.now,
                    run: Some(Box::new(run)),
                    ..creation(&id, "x")
                };
                let expected = self.model.open(of, &id, self.now);
                match self.engine.one(create.into_command()).await {
                    Outcome::Created(_) => assert!(expected, "{id} was let in"),
                    Outcome::RunRefused(..) => assert!(!expected, "{id} was refused"),
                    other => panic!("{other:?}"),
                }
            }
            Turn::EndCurrent(of, outcome) => self.end(of, RunEndKind::Close(outcome)).await,
            Turn::FailCurrent(of) => {
                let error = Box::new(ItemError { fatal: true, ..error("end", self.now) });
                self.end(of, RunEndKind::Fail(error)).await;
            }
            Turn::CloseItem(of, back, outcome) => {
                if let Some(id) = self.model.unclosed(of, back) {
                    let closing = policies.policy_of(&name(of)).closing(outcome, self.now);
                    let key = key_in(WORKFLOWS[of], &id);
                    let closed = self.engine.one(Command::Close { key, closing }).await;
                    assert!(matches!(closed, Outcome::Closed(_)), "{closed:?}");
                    self.model.close(of, &id, outcome);
                }
            }
            Turn::FailItem(of, back) => {
                if let Some(id) = self.model.unclosed(of, back) {
                    self.created += 1;
                    let error = ItemError { fatal: true, ..error(&self.created.to_string(), self.now) };
                    let key = key_in(WORKFLOWS[of], &id);
                    self.engine
                        .one(Command::Report { key, error: Box::new(error), policies: policies.clone() })
                        .await;
                    self.model.fail(of, &id);
                }
            }
            Turn::Retry(of, back) => {
                if let Some(id) = self.model.unclosed(of, back) {
                    let (key, retry) = (key_in(WORKFLOWS[of], &id), Default::default());
                    self.engine.one(Command::Retry { key, retry, policies, now }).await;
                    self.model.retry(of, &id);
                }
            }
            Turn::Count(of, back, count) => {
                if let Some(id) = self.model.unclosed(of, back) {
                    let counts = Some(Merge::Change([("read".into(), count)].into()));
                    let patch = ItemPatch { counts, ..ItemPatch::default() };
                    let key = key_in(WORKFLOWS[of], &id);
                    let command = Command::Patch { key, patch, if_version: None, policies, now: self.now };
                    let counted = self.engine.one(command).await;
                    assert!(matches!(counted, Outcome::Changed(_)), "{counted:?}");
                    self.model.count(of, &id, count);
                }
            }
            Turn::Hold(of) => {
                let hold = Box::new(Hold { since: self.now, by: Some("ada".into()), comment: None });
                self.engine.one(Command::Hold { workflow: name(of), hold }).await;
                self.model.hold(of);
            }
            Turn::Release(of, release_as) => {
                let command = Command::Release { workflow: name(of), release_as, policies, now };
                assert_eq!(self.engine.one(command).await, Outcome::Done);
                self.model.release(of, release_as, self.now);
            }
            Turn::OpenWaiting(of) => {
                let open = || Command::OpenWaiting { workflow: name(of), policies: policies.clone(), now };
                while self.engine.one(open()).await == Outcome::Partly {}
                self.model.open_waiting(of, self.now);
            }
            Turn::NoteOverdue(of, back) => {
                if let Some(id) = self.model.unclosed(of, back) {
                    let item = self.engine.get(key_in(WORKFLOWS[of], &id)).await.unwrap().unwrap();
                    let deadline = steady(item.deadline);
                    let is_open = self.model.standings()[&id].0 == RunStatus::Open;
                    let is_due = is_open && deadline <= self.now;
                    let command = Command::NoteOverdue { number: item.number, policies, now };
                    let due = is_due.then_some((id, deadline.as_millis()));
                    self.told.note_overdue(&self.engine, command, due).await;
                    let after = self.engine.get(item.key()).await.unwrap().unwrap();
                    assert_eq!(after.version, item.version, "clients see no other item");
                }
            }
            Turn::Deliver => self.told.deliver(&self.engine).await,
            Turn::Wait(millis) => self.now = self.now.moved(millis),
            Turn::Sweep(of, kept) => {
                for id in self.model.forget_closed(of) {
                    let item = self.engine.get(key_in(WORKFLOWS[of], &id)).await.unwrap();
                    if let Some(item) = item {
                        self.engine.one(Command::Forget(item.number)).await;
                    }
                }
                for number in self.model.sweep(of, kept) {
                    self.engine.one(Command::Remove(DocumentId::Run(name(of), number))).await;
                }
            }
            Turn::Restart => self.engine = self.engine.restarted(),
        }
        self
    }

    async fn end(&mut self, of: usize, kind: RunEndKind) {
        let expected = self.model.current(of);
        let outcome = match &kind {
            RunEndKind::Close(outcome) => Some(*outcome),
            RunEndKind::Fail(_) => None,
        };
        let command = Command::EndRun {
            workflow: workflow(WORKFLOWS[of]),
            end: Box::new(RunEnd { kind, at: None, counts: Counts::new() }),
            policies: Arc::new(Configured),
            now: self.now,
        };
        match (self.engine.one(command).await, expected) {
            (Outcome::NoRunOpen, None) => {}
            (Outcome::Closed(item) | Outcome::Changed(item), Some(id)) => {
                assert_eq!(&*item.id, id);
                match outcome {
                    Some(outcome) => self.model.close(of, &id, outcome),
                    None => self.model.fail(of, &id),
                }
            }
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }

    async fn compare(&self) {
        for (of, name) in WORKFLOWS.iter().enumerate() {
            let found = self.engine.document(DocumentId::RunHistory(workflow(name))).await.unwrap();
            let history: RunHistory = found.map(|found| found.try_into().unwrap()).unwrap_or_default();
            self.model.compare_history(of, &history);
            let set = DocumentSet::RunsOf(workflow(name));
            let documents: Vec<Document> = self.engine.documents(ListDocuments::all(set)).await.unwrap();
            let entries: Vec<RunEntry> = of_kind(documents);
            self.model.compare_ledger(of, &entries);
        }
    }
}
