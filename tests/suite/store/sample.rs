//! Sample values.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use warden::model::artifact::{ArtifactChange, ArtifactId, ArtifactStatus, ArtifactUse, Facts, NewArtifact};
use warden::model::item::{Closing, ItemPatch};
use warden::model::replay::{
    ItemProgress, OnSuccess, Pace, ReplayFailure, ReplayFilter, ReplayStatus, ReplayTarget,
};
use warden::model::step::OnIgnorable;
use warden::model::time::BootId;
use warden::model::{
    Action, ActionKind, Attempt, ClockAnchor, CloseOutcome, Continuation, Delivery, DeliveryId,
    DeliveryStatus, Event, EventSet, Expectation, Incident, IncidentId, IncidentKey, IncidentKind,
    IncidentStatus, Item, ItemError, ItemFilter, ItemId, ItemKey, ItemNumber, ItemState, Labels, Order,
    OutcomeCounts, PayloadInfo, Progress, Replay, ReplayChunk, ReplayId, Schedule, Severity, Silence,
    SilenceId, StepName, Timestamp, TraceContext, Workflow, WorkflowName,
};
use warden::model::{Policies, Policy, RetryPolicy, Step};
use warden::store::{ArtifactClaim, ArtifactCommand, Command, Creation, ListItems, Outcome, Registration};

/// The instant that many milliseconds after the start of every test's story.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

pub fn workflow(name: &str) -> WorkflowName {
    WorkflowName::new(name).unwrap()
}

pub fn step(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

pub fn key_in(workflow_name: &str, id: &str) -> ItemKey {
    ItemKey { workflow: workflow(workflow_name), id: ItemId::new(id).unwrap() }
}

/// A key in the sample workflow.
pub fn key(id: &str) -> ItemKey {
    key_in("uploads", id)
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Labels::new(pairs.collect())
}

pub fn info(content_type: &str, payload: &[u8]) -> PayloadInfo {
    PayloadInfo {
        size: payload.len() as u64,
        content_type: content_type.into(),
        content_encoding: None,
        sha256: Sha256::digest(payload).into(),
    }
}

/// Bytes that repeat neither within a piece nor from one to the next.
pub fn payload(size: usize) -> Bytes {
    let mut state = size as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

/// Creates an item at the start of the story; it is due a minute later.
pub fn creation(id: &str, payload: impl Into<Bytes>) -> Creation {
    let payload = payload.into();
    Creation {
        key: key(id),
        idempotency_key: None,
        created_at: at(0),
        deadline: at(60_000).into(),
        labels: Labels::default(),
        step: None,
        steps: None,
        progress: Map::new(),
        not_before: None,
        trace: None,
        deadline_max: None,
        info: info("text/plain", &payload),
        payload,
        restored: None,
        run: None,
        workflows_max: None,
    }
}

pub fn create(id: &str, payload: impl Into<Bytes>) -> Command {
    creation(id, payload).into_command()
}

/// Makes a command of a creation.
pub trait IntoCommand {
    fn into_command(self) -> Command;
}

impl IntoCommand for Creation {
    fn into_command(self) -> Command {
        Command::Create(Box::new(self))
    }
}

/// Two steps, copy and backup; two retries, a few lost leases; what is closed is kept for 100 ms, and its
/// payload as long as is said. An error at the backup that can be ignored ends the item.
pub fn policies(keep_payload: u64) -> Arc<dyn Policies> {
    Arc::new(policy(keep_payload))
}

pub fn policy(keep_payload: u64) -> Policy {
    let millis = Duration::from_millis;
    let copy = Step { deadline: Some(millis(50)), ..Step::named(step("copy")) };
    let backup = Step { losses_max: Some(1), on_ignorable: OnIgnorable::End, ..Step::named(step("backup")) };
    Policy {
        steps: vec![copy, backup],
        retry: RetryPolicy { max: 2, backoff: "10ms..20ms".parse().unwrap(), jitter: 0.5 },
        losses_max: Some(2),
        keep_payload: millis(keep_payload),
        ..Policy::bare(millis(100), millis(100))
    }
}

/// A close at that instant: the payload goes at once, the record stays for a second.
pub fn closing(at: Timestamp) -> Closing {
    Closing {
        outcome: CloseOutcome::Success,
        at,
        retention: Duration::from_secs(1),
        keep_payload: Duration::ZERO,
        ended_at: None,
        events: EventSet::NONE,
    }
}

pub fn close(id: &str, at: Timestamp) -> Command {
    Command::Close { key: key(id), closing: closing(at) }
}

pub fn patch(id: &str, now: Timestamp, patch: ItemPatch) -> Command {
    Command::Patch { key: key(id), patch, if_version: None, policies: policies(0), now }
}

pub fn error(id: &str, at: Timestamp) -> ItemError {
    ItemError {
        id: format!("err_{id}").into(),
        kind: "Timeout".into(),
        message: "the backup service did not answer".into(),
        retryable: true,
        fatal: false,
        step: None,
        at,
        data: Value::Null,
        stack: None,
    }
}

pub fn report(id: &str, error: ItemError) -> Command {
    Command::Report { key: key(id), error: Box::new(error), policies: policies(0) }
}

/// An object, out of what `json!` makes.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub fn incident_id(id: &str) -> IncidentId {
    IncidentId(format!("inc_{id}").into())
}

pub fn incident(id: &str) -> Incident {
    Incident {
        id: incident_id(id),
        key: IncidentKey {
            workflow: workflow("uploads"),
            kind: IncidentKind::Overdue,
            group: [("region".into(), "eu".into())].into(),
        },
        status: IncidentStatus::Open,
        severity: Severity::Critical,
        opened_at: at(0),
        reopened_at: Some(at(2)),
        reopenings: vec![at(1), at(2)],
        resolved_at: None,
        ending_since: Some(at(4)),
        outcomes: Some(OutcomeCounts { closed: 3, failed: 1, moved: 2, ..OutcomeCounts::default() }),
        counted_at: Some(at(5)),
        continued_in: Some(Continuation { incident: incident_id("0"), kind: IncidentKind::Failed }),
        count: 2,
        peak: 3,
        oldest_deadline: Some(at(-5)),
        by_step: [("".into(), 1), ("backup".into(), 1)].into(),
        missed: None,
        notified_at: None,
        first_notified_at: None,
        notified_count: 0,
        notified_steps: ["backup".into()].into(),
        told: ["oncall".into()].into(),
        escalations: 1,
        muted: true,
        notifications: 2,
        acknowledged: true,
        snoozed_until: Some(at(90)),
        actions: vec![Action {
            kind: ActionKind::Snooze { until: at(90) },
            by: "kim".into(),
            at: at(3),
            comment: Some("lunch".into()),
        }],
    }
}

pub fn silence(id: &str) -> Silence {
    Silence {
        id: SilenceId(format!("sil_{id}").into()),
        workflow: "uploads*".into(),
        kind: Some(IncidentKind::Overdue),
        labels: [("region".into(), "eu".into())].into(),
        starts_at: at(10).into(),
        ends_at: at(20).into(),
        author: "kim".into(),
        comment: "maintenance".into(),
        created_at: at(0),
    }
}

pub fn replay_id(id: &str) -> ReplayId {
    ReplayId(format!("rpl_{id}").into())
}

/// One that waits for somebody, after a failure.
pub fn replay(id: &str) -> Replay {
    Replay {
        id: replay_id(id),
        name: "monday".into(),
        filter: ReplayFilter {
            workflows: vec!["uploads*".into()],
            states: vec![ItemState::Overdue, ItemState::Failed],
            labels: [("region".to_owned(), "eu".to_owned())].into(),
            step: Some(step("backup")),
            step_retries_min: None,
            created_after: Some(at(-90)),
            created_before: Some(at(-80)),
            deadline_after: None,
            deadline_before: Some(at(-5)),
        },
        target: ReplayTarget {
            url: "http://target.internal/in?key=sesame".into(),
            secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        },
        pace: Pace {
            max_per_second: 0.5,
            concurrency: 8,
            canary: 2,
            ramp_up: Duration::from_secs(60),
            pause_after_failures: 20,
        },
        on_success: OnSuccess::Close,
        timeout: Duration::from_millis(2500),
        status: ReplayStatus::Paused,
        reason: Some("the canary failed".into()),
        created_at: at(0),
        started_at: Some(at(1)),
        ended_at: None,
        total: 300,
        succeeded: 1,
        failed: 1,
        skipped: 2,
        canary_passed: 1,
        failures_in_a_row: 1,
        chunks_done: 0,
        failures: vec![ReplayFailure {
            workflow: workflow("uploads"),
            id: ItemId::new("file-1").unwrap(),
            reason: "HTTP 502: bad gateway".into(),
            status: Some(502),
            at: at(2),
        }],
        failure_reasons: [("HTTP 502".into(), 1)].into(),
    }
}

/// A chunk of so many items, of which every fourth has ended in each way.
pub fn replay_chunk(index: u32, items: u64) -> ReplayChunk {
    use ItemProgress::{Failed, Pending, Skipped, Succeeded};
    let progress = |number: u64| [Pending, Succeeded, Failed, Skipped][(number % 4) as usize];
    let first = u64::from(index) << 8;
    let items = (0..items).map(|number| (ItemNumber(first + number), progress(number)));
    ReplayChunk { index, items: items.collect() }
}

pub fn delivery(incident: &str, id: &str) -> Delivery {
    Delivery {
        id: DeliveryId(format!("dlv_{id}").into()),
        topic: incident_id(incident).into(),
        item: None,
        receiver: "oncall".into(),
        event: Event::Opened,
        after: Some(incident_id("2")),
        sequence: 1,
        body: r#"{"type":"incident.opened"}"#.into(),
        created_at: at(0),
        resent_at: None,
        status: DeliveryStatus::Pending,
        attempts_made: 1,
        next_attempt_at: at(5_000),
        attempts: vec![Attempt {
            at: at(1),
            status: Some(503),
            latency_ms: 12,
            error: None,
            answer: Some("busy".into()),
        }],
    }
}

/// What is known of a hundred items that are expected each hour, after so many of them; two hours later it is
/// missed.
pub fn progress(items: u64) -> Progress {
    let schedule = Schedule::Every(Duration::from_secs(3600));
    let expectation = Expectation { schedule, grace: Duration::ZERO, min_items: 100, of_success: false };
    let mut progress = Progress::begin(&expectation, at(0), 0);
    for number in 1..=items {
        progress.created(&expectation, ItemNumber(number), at(0), 0);
    }
    progress.advance(&expectation, at(7_200_000), 0);
    progress
}

/// What ties steady time to a wall clock that is so many milliseconds ahead of it.
pub fn anchor(wall_offset: i64) -> ClockAnchor {
    ClockAnchor { boot: BootId("0e6a2b9c".into()), base: at(-5_000).as_millis(), wall_offset, seen: at(7) }
}

pub fn noted_workflow(name: &str) -> Workflow {
    Workflow { name: workflow(name), created_at: at(7), definition: None }
}

/// Everything visible, in order of creation, at the start of the story.
pub fn everything(limit: usize) -> ListItems {
    ListItems { filter: ItemFilter::default(), order: Order::Created, after: None, limit, now: at(0).into() }
}

/// The item that an outcome carries.
pub fn item_of(outcome: Outcome) -> Item {
    match outcome {
        Outcome::Created(item)
        | Outcome::Exists(item)
        | Outcome::Conflict(item)
        | Outcome::Closed(item)
        | Outcome::AlreadyClosed(item)
        | Outcome::Changed(item) => *item,
        other => panic!("{other:?} carries no item"),
    }
}

/// The item that a command created.
#[track_caller]
pub fn created(outcome: Outcome) -> Item {
    match outcome {
        Outcome::Created(item) => *item,
        other => panic!("not created: {other:?}"),
    }
}

/// The item that a command closed.
#[track_caller]
pub fn closed(outcome: Outcome) -> Item {
    match outcome {
        Outcome::Closed(item) => *item,
        other => panic!("not closed: {other:?}"),
    }
}

/// The item that a command changed.
#[track_caller]
pub fn changed(outcome: Outcome) -> Item {
    match outcome {
        Outcome::Changed(item) => *item,
        other => panic!("not changed: {other:?}"),
    }
}

pub fn trace() -> TraceContext {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    TraceContext::read(parent, Some("congo=t61rcWkgMzE")).expect("it is well formed")
}

/// An artifact of the sample workflow, ready to be loaded.
pub fn new_artifact(name: &str) -> NewArtifact {
    NewArtifact {
        workflow: workflow("uploads"),
        location: "/in".into(),
        name: name.into(),
        reuse: ArtifactUse::Many,
        run: None,
        status: ArtifactStatus::Ready.into(),
        facts: Facts::default(),
        depends_on: Vec::new(),
    }
}

pub fn artifact_id(name: &str) -> ArtifactId {
    ArtifactId::of("uploads", "/in", name)
}

pub fn register(artifacts: impl IntoIterator<Item = NewArtifact>, now: Timestamp) -> Command {
    let artifacts = artifacts.into_iter().map(|new| (new, Some(10))).collect();
    let registration = Registration { artifacts, artifacts_max: 10_000, visible: Vec::new(), now };
    Command::Artifacts(Box::new(ArtifactCommand::Register(registration)))
}

/// Gives artifacts of the sample workflow a status.
pub fn move_artifacts(names: &[&str], status: ArtifactStatus, now: Timestamp) -> Command {
    let change = |name: &&str| {
        (artifact_id(name), ArtifactChange { status: Some(status.into()), ..ArtifactChange::default() })
    };
    change_artifacts(names.iter().map(change).collect(), now)
}

pub fn change_artifacts(changes: Vec<(ArtifactId, ArtifactChange)>, now: Timestamp) -> Command {
    Command::Artifacts(Box::new(ArtifactCommand::Change { changes, visible: Vec::new(), now }))
}

pub fn claim_artifacts(names: &[&str], max: usize, now: Timestamp) -> Command {
    Command::Artifacts(Box::new(ArtifactCommand::Claim(ArtifactClaim {
        candidates: names.iter().map(|name| artifact_id(name)).collect(),
        status: ArtifactStatus::Ready.into(),
        to: ArtifactStatus::Loading.into(),
        max,
        run: None,
        now,
    })))
}
