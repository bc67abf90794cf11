//! Random commands from a small set of keys, so that they interact.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::{prop_oneof, sample::select};
use serde_json::{Map, Value, json};
use warden::model::item::{
    AfterFailure, Closing, ItemPatch, Merge, ProgressChange, ProgressOf, ProgressValue, Repeat, Retry,
    StepOutcome, StepStatus,
};
use warden::model::{
    ClockTime, CloseOutcome, Delivery, DeliveryStatus, EventSet, IncidentId, IncidentStatus, ItemError,
    ItemFilter, ItemKey, ItemNumber, ItemState, LeaseCommand, LeaseId, ReplayChunk, ReplayId, Timestamp,
};
use warden::store::{Claim, Command, Creation, Document, DocumentId, StepReport};

use super::artifact_story::{self, ArtifactAction};
use super::model::Model;
use crate::store::sample::{
    anchor, delivery, error, incident, incident_id, info, key_in, labels, object, payload, policies,
    progress, replay, replay_chunk, replay_id, silence, step, trace, workflow,
};

/// A thing that happens.
#[derive(Clone, Debug)]
pub enum Turn {
    Apply(Vec<Action>),
    Wait(Duration),
    Restart,
}

pub type Key = (&'static str, &'static str);

/// All the keys of this world; the last one is only ever closed, patched and reported.
pub const KEYS: [Key; 6] = [
    ("uploads", "a"),
    ("uploads", "ab"),
    ("uploads", "b"),
    ("exports", "a"),
    ("exports", "c"),
    ("uploads", "x"),
];

const INCIDENTS: [&str; 3] = ["1", "10", "2"];

pub fn key((workflow, id): &Key) -> ItemKey {
    key_in(workflow, id)
}

pub fn incident_ids() -> impl Iterator<Item = IncidentId> {
    INCIDENTS.into_iter().map(incident_id)
}

/// The replays of this world have the same ids, and so many chunks at most.
pub const CHUNKS: u32 = 3;

pub fn replay_ids() -> impl Iterator<Item = ReplayId> {
    INCIDENTS.into_iter().map(replay_id)
}

/// A command before it is known when and about which number it is given.
#[derive(Clone, Debug)]
pub enum Action {
    Create {
        key: Key,
        size: usize,
        json: bool,
        idempotency_key: Option<u8>,
        label: bool,
        deadline: i64,
        /// How many workflows there may be with its own, if that is noted.
        workflows_max: Option<usize>,
    },
    Close {
        key: Key,
        outcome: CloseOutcome,
        retention: u64,
        keep_payload: u64,
    },
    Patch {
        key: Key,
        deadline: Option<i64>,
        label: Option<Label>,
        progress: Option<Value>,
        if_version: Option<u64>,
    },
    Report {
        key: Key,
        id: u8,
        fatal: bool,
        data: Value,
    },
    /// For so long, provided that it is overdue where that is asked.
    Claim(Key, u64, bool),
    Act(Key, Holder),
    /// The end of a run of a step, said by somebody without a lease.
    ReportStep(Key, &'static str, End),
    /// At a step, and for some milliseconds not before.
    Retry(Key, Option<&'static str>, Option<u64>),
    Forget(Key),
    DropPayload(Key),
    ForgetWorkflow(&'static str),
    CommitIncident {
        id: &'static str,
        count: u64,
        is_open: bool,
        deliveries: Vec<Sent>,
    },
    RecordDelivery(&'static str, Sent),
    ForgetIncident(&'static str),
    PutProgress(&'static str, u64),
    ForgetProgress(&'static str),
    /// With this wall offset.
    PutClock(i64),
    /// With a comment of this length.
    PutSilence(&'static str, usize),
    ForgetSilence(&'static str),
    PutReplayChunks(&'static str, Vec<Chunk>),
    /// With a reason of this length.
    PutReplay(&'static str, usize, Vec<Chunk>),
    ForgetReplay(&'static str),
    Artifact(ArtifactAction),
}

/// Its index, and how many items it holds.
type Chunk = (u32, u64);

/// What the holder of a lease says.
#[derive(Clone, Copy, Debug)]
pub enum Holder {
    Beats(u64),
    Ends(End),
    Closes { keep_payload: u64 },
    FailsForNow(u64),
    Fails { retryable: bool, ignorable: bool },
    Releases { counts: bool },
}

/// How a run of a step ends, and whether the step is repeated: after how many milliseconds, and how often.
#[derive(Clone, Copy, Debug)]
pub struct End {
    status: StepStatus,
    repeat: Option<(u64, Option<u32>)>,
}

impl End {
    fn outcome(self, now: Timestamp) -> StepOutcome {
        let repeat = self
            .repeat
            .map(|(after, runs_max)| Repeat { due: now.after(Duration::from_millis(after)), runs_max });
        StepOutcome { message: Some("said so".into()), repeat, ..StepOutcome::plain(self.status) }
    }
}

type Label = (&'static str, Option<&'static str>);
type Sent = (&'static str, DeliveryStatus, usize);

impl Action {
    pub fn command(&self, model: &Model, now: Timestamp) -> Command {
        let later = |millis: i64| Timestamp::from_millis(now.as_millis() + millis);
        let due = |millis: i64| match millis % 2 {
            0 => later(millis).into(),
            _ => ClockTime::on_wall(later(millis)),
        };
        match self {
            Self::Create { key: name, size, json, idempotency_key, label, deadline, workflows_max } => {
                let payload = payload(*size);
                Command::Create(Box::new(Creation {
                    key: key(name),
                    idempotency_key: idempotency_key.map(|byte| [byte; 32]),
                    created_at: now,
                    deadline: due(*deadline),
                    labels: if *label { labels(&[("region", "eu")]) } else { labels(&[]) },
                    step: label.then(|| step("copy")),
                    steps: None,
                    progress: Map::new(),
                    not_before: (size % 3 == 1).then(|| later(10)),
                    trace: (size % 4 == 1).then(|| Box::new(trace())),
                    deadline_max: label.then(|| due(*deadline)),
                    info: info(if *json { "application/json" } else { "text/plain" }, &payload),
                    payload,
                    restored: None,
                    run: None,
                    workflows_max: *workflows_max,
                }))
            }
            Self::Close { key: name, outcome, retention, keep_payload } => Command::Close {
                key: key(name),
                closing: Closing {
                    outcome: *outcome,
                    at: now,
                    retention: Duration::from_millis(*retention),
                    keep_payload: Duration::from_millis(*keep_payload),
                    ended_at: None,
                    events: EventSet::NONE,
                },
            },
            Self::Patch { key: name, deadline, label, progress, if_version } => Command::Patch {
                key: key(name),
                patch: ItemPatch {
                    deadline: deadline.map(due),
                    labels: label
                        .map(|(name, value)| Merge::Change([(name.into(), value.map(Into::into))].into())),
                    progress: progress.clone().map(merge).map(ProgressChange::merge),
                    counts: None,
                },
                if_version: *if_version,
                policies: policies(0),
                now,
            },
            Self::Report { key: name, id, fatal, data } => {
                let error = ItemError { fatal: *fatal, data: data.clone(), ..error(&id.to_string(), now) };
                Command::Report { key: key(name), error: Box::new(error), policies: policies(0) }
            }
            Self::Claim(name, time, overdue) => Command::Claim(Box::new(Claim {
                number: number(model, name),
                filter: Arc::new(ItemFilter {
                    states: if *overdue { vec![ItemState::Overdue] } else { Vec::new() },
                    ..ItemFilter::default()
                }),
                worker: "worker".into(),
                expires_at: later(*time as i64),
                ignores_wait: time % 3 == 0,
                policies: policies(0),
                now: now.into(),
            })),
            Self::Act(name, holder) => {
                let lease = model.entry(&key(name)).and_then(|entry| entry.item.work.lease.clone());
                let token = lease.map_or(0, |lease| lease.token);
                let lease = LeaseId { item: number(model, name), token };
                let policies =
                    policies(if let Holder::Closes { keep_payload } = holder { *keep_payload } else { 0 });
                Command::ActOnLease { lease, act: holder.act(now), policies, now: now.into() }
            }
            Self::ReportStep(name, at, end) => Command::ReportStep(Box::new(StepReport {
                key: key(name),
                step: step(at),
                outcome: end.outcome(now),
                progress: end.repeat.map(|_| ProgressChange {
                    of: ProgressOf::CurrentStep,
                    to: ProgressValue::Assign(object(json!({"seen": at}))),
                }),
                policies: policies(0),
                now: now.into(),
            })),
            Self::Retry(name, from, wait) => Command::Retry {
                key: key(name),
                retry: Retry { from: from.map(step), at: wait.map(|wait| later(wait as i64)) },
                policies: policies(0),
                now: now.into(),
            },
            Self::Forget(key) => Command::Forget(number(model, key)),
            Self::DropPayload(key) => Command::DropPayload(number(model, key)),
            Self::ForgetWorkflow(name) => Command::Remove(DocumentId::Workflow(workflow(name))),
            Self::CommitIncident { id, count, is_open, deliveries } => Command::put_incident(
                warden::model::Incident {
                    count: *count,
                    status: if *is_open { IncidentStatus::Open } else { IncidentStatus::Resolved },
                    ..incident(id)
                },
                deliveries.iter().map(|sent| self::sent(id, *sent)).collect(),
            ),
            Self::RecordDelivery(id, sent) => Command::put(self::sent(id, *sent)),
            Self::ForgetIncident(id) => Command::Remove(DocumentId::Incident(incident_id(id))),
            Self::PutProgress(name, items) => {
                Command::put(Document::Progress(workflow(name), Box::new(progress(*items))))
            }
            Self::ForgetProgress(name) => Command::Remove(DocumentId::Progress(workflow(name))),
            Self::PutClock(wall_offset) => Command::put(anchor(*wall_offset)),
            Self::PutSilence(id, length) => {
                let comment = "c".repeat(*length).into();
                Command::put(warden::model::Silence { comment, ..silence(id) })
            }
            Self::ForgetSilence(id) => Command::Remove(DocumentId::Silence(silence(id).id)),
            Self::PutReplayChunks(id, chunks) => {
                Command::put_replay_chunks(&replay_id(id), self::chunks(chunks))
            }
            Self::PutReplay(id, length, chunks) => {
                let reason = Some("r".repeat(*length).into());
                let replay = warden::model::Replay { reason, ..replay(id) };
                Command::put_replay(replay, self::chunks(chunks))
            }
            Self::ForgetReplay(id) => Command::Remove(DocumentId::Replay(replay_id(id))),
            Self::Artifact(action) => action.command(now),
        }
    }
}

impl Holder {
    fn act(self, now: Timestamp) -> LeaseCommand {
        let later = |millis: u64| now.after(Duration::from_millis(millis));
        let error = Box::new(error("lease", now));
        match self {
            Self::Beats(time) => LeaseCommand::Heartbeat {
                expires_at: later(time),
                may_shorten: time % 2 == 0,
                progress: None,
            },
            Self::Ends(end) => LeaseCommand::Complete {
                outcome: end.outcome(now),
                closes: false,
                progress: Some(ProgressChange::merge(merge(json!({"done": true})))),
            },
            Self::Closes { .. } => LeaseCommand::Complete {
                outcome: StepOutcome::plain(StepStatus::Done),
                closes: true,
                progress: None,
            },
            Self::FailsForNow(wait) => {
                LeaseCommand::Fail { error, then: AfterFailure::RetryAt(later(wait)), progress: None }
            }
            Self::Fails { retryable, ignorable } => LeaseCommand::Fail {
                error: Box::new(ItemError { retryable, ..*error }),
                then: AfterFailure::ByPolicy { ignorable, wait: None, random: 0.5 },
                progress: None,
            },
            Self::Releases { counts } => LeaseCommand::Release { retry_at: None, counts, progress: None },
        }
    }
}

/// The number that the key stood for before this list of commands.
fn number(model: &Model, name: &Key) -> ItemNumber {
    model.entry(&key(name)).map_or(ItemNumber(u64::MAX), |entry| entry.item.number)
}

fn chunks(chunks: &[Chunk]) -> Vec<ReplayChunk> {
    chunks.iter().map(|(index, items)| replay_chunk(*index, *items)).collect()
}

fn sent(incident: &str, (id, status, size): Sent) -> Delivery {
    // An id belongs to one incident only.
    Delivery { status, body: "b".repeat(size).into(), ..delivery(incident, &format!("{id}-{incident}")) }
}

pub fn stories() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        8 => vec(actions(), 1..6).prop_map(Turn::Apply),
        3 => (1_u64..60).prop_map(|millis| Turn::Wait(Duration::from_millis(millis))),
        1 => Just(Turn::Restart),
    ];
    vec(turn, 1..40)
}

fn actions() -> impl Strategy<Value = Action> {
    let creatable = || select(&KEYS[..5]);
    let any_key = || select(&KEYS[..]);
    let sizes = prop_oneof![
        12 => select(vec![0, 1, 30, 4096, 5000]),
        2 => Just(300_000),
        1 => Just(1_200_000),
    ];
    let outcome = select(vec![CloseOutcome::Success, CloseOutcome::Discarded, CloseOutcome::Failed]);
    let (repetition, first_use) = (option::weighted(0.3, 1_u8..4), option::weighted(0.6, 1_usize..3));
    let create = (creatable(), sizes, any::<bool>(), repetition, any::<bool>(), -20_i64..100, first_use)
        .prop_map(|(key, size, json, idempotency_key, label, deadline, workflows_max)| Action::Create {
            // Most creations of a key agree, so that repetitions happen.
            json: json && size == 30,
            key,
            size,
            idempotency_key,
            label,
            deadline,
            workflows_max,
        });
    let close = (any_key(), outcome, select(vec![0, 10, 50, 200]), select(vec![0, 0, 5, 100])).prop_map(
        |(key, outcome, retention, keep_payload)| Action::Close { key, outcome, retention, keep_payload },
    );
    let label = (select(vec!["region", "tenant", "bad name"]), option::of(select(vec!["eu", "us"])));
    let patch = (
        any_key(),
        option::of(-20_i64..100),
        option::of(label),
        option::of(prop_oneof![5 => documents(), 1 => Just(Value::Null)]),
        option::weighted(0.3, 1_u64..4),
    )
        .prop_map(|(key, deadline, label, progress, if_version)| Action::Patch {
            key,
            deadline,
            label,
            progress,
            if_version,
        });
    // Few ids, so that some are reported again.
    let report = (any_key(), 0..5_u8, any::<bool>(), documents())
        .prop_map(|(key, id, fatal, data)| Action::Report { key, id, fatal, data });
    let incident = || select(&INCIDENTS[..]);
    let status = select(vec![DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Dead]);
    let sent = (select(vec!["a", "b", "c"]), status, select(vec![1_usize, 5000, 19_000])).boxed();
    let chunks = || vec((0..CHUNKS, select(vec![0_u64, 1, 256])), 0..3);
    let replay_action = prop_oneof![
        2 => (incident(), chunks()).prop_map(|(id, chunks)| Action::PutReplayChunks(id, chunks)),
        3 => (incident(), select(vec![0_usize, 5000]), chunks())
            .prop_map(|(id, length, chunks)| Action::PutReplay(id, length, chunks)),
        2 => incident().prop_map(Action::ForgetReplay),
    ];
    prop_oneof![
        8 => create,
        6 => close,
        4 => patch,
        3 => report,
        4 => (creatable(), 1_u64..100, any::<bool>())
            .prop_map(|(key, time, overdue)| Action::Claim(key, time, overdue)),
        5 => (creatable(), holders()).prop_map(|(key, holder)| Action::Act(key, holder)),
        3 => (any_key(), select(vec!["copy", "copy", "backup", "none"]), ends())
            .prop_map(|(key, step, end)| Action::ReportStep(key, step, end)),
        2 => (any_key(), starts(), option::weighted(0.3, 0_u64..60))
            .prop_map(|(key, from, wait)| Action::Retry(key, from, wait)),
        2 => creatable().prop_map(Action::Forget),
        2 => creatable().prop_map(Action::DropPayload),
        3 => select(vec!["uploads", "exports", "exports", "imports"]).prop_map(Action::ForgetWorkflow),
        2 => (incident(), 0_u64..100, any::<bool>(), vec(sent.clone(), 0..4)).prop_map(
            |(id, count, is_open, deliveries)| Action::CommitIncident { id, count, is_open, deliveries }
        ),
        2 => (incident(), sent).prop_map(|(id, sent)| Action::RecordDelivery(id, sent)),
        1 => incident().prop_map(Action::ForgetIncident),
        1 => (select(vec!["uploads", "exports"]), 0_u64..9)
            .prop_map(|(name, items)| Action::PutProgress(name, items)),
        1 => select(vec!["uploads", "exports"]).prop_map(Action::ForgetProgress),
        1 => any::<i64>().prop_map(Action::PutClock),
        1 => (incident(), select(vec![0_usize, 5000])).prop_map(|(id, size)| Action::PutSilence(id, size)),
        1 => incident().prop_map(Action::ForgetSilence),
        2 => replay_action,
        5 => artifact_story::actions().prop_map(Action::Artifact),
    ]
}

fn holders() -> impl Strategy<Value = Holder> {
    prop_oneof![
        (1_u64..100).prop_map(Holder::Beats),
        ends().prop_map(Holder::Ends),
        select(vec![0, 50]).prop_map(|keep_payload| Holder::Closes { keep_payload }),
        (0_u64..50).prop_map(Holder::FailsForNow),
        (any::<bool>(), any::<bool>())
            .prop_map(|(retryable, ignorable)| Holder::Fails { retryable, ignorable }),
        any::<bool>().prop_map(|counts| Holder::Releases { counts }),
    ]
}

/// The step from which an item is retried, if one is named.
fn starts() -> impl Strategy<Value = Option<&'static str>> {
    option::weighted(0.3, select(vec!["copy", "backup", "none"]))
}

fn ends() -> impl Strategy<Value = End> {
    let repeat = option::weighted(0.4, (0_u64..60, option::of(1_u32..4)));
    (select(StepStatus::ALL.to_vec()), repeat).prop_map(|(status, repeat)| End { status, repeat })
}

/// A patch of the progress, which is emptied by null.
fn merge(document: Value) -> Merge<Map<String, Value>> {
    if document.is_null() { Merge::Clear } else { Merge::Change(object(document)) }
}

/// Small objects of few names, so that merges meet.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        Just(json!(["a", null])),
        Just(Value::from("t".repeat(3000))),
    ];
    let names = || select(vec!["done".to_owned(), "file".to_owned(), "part".to_owned()]);
    let inner = proptest::collection::btree_map(names(), leaf.clone(), 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    let value = prop_oneof![2 => leaf, 1 => inner];
    proptest::collection::btree_map(names(), value, 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}
