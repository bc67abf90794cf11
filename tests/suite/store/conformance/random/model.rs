//! A simple model of a store.
//!
//! It shares the types of the store and none of its rules, except those by which a lease changes an item.
//! What an engine removes later is removed here at once; both must look the same to readers.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use warden::model::item::{Closed, Closing, Course, LeaseRefusal, StepError, StepRefusal};
use warden::model::{
    Artifact, ClockAnchor, Delivery, DeliveryId, DeliveryStatus, Incident, IncidentId, IncidentStatus, Item,
    ItemKey, ItemNumber, Labels, LeaseLost, Progress, Replay, ReplayChunk, ReplayId, Silence, SilenceId,
    Timestamp, Topic, Work, Workflow, WorkflowName,
};
use warden::store::{ArtifactCommand, Claim, Command, Creation, Document, DocumentId, Outcome, StepReport};

use super::artifacts::Artifacts;
use super::changes::{add_error, change_by_patch};
pub use super::comparing::{is_remembered, without_unknown_numbers};

/// The number of an item before the engine has told it.
pub const UNKNOWN: ItemNumber = ItemNumber(0);
/// The token of a lease before the engine has told it: larger than any that it has told.
pub const UNKNOWN_TOKEN: u64 = u64::MAX;

#[derive(Clone, Debug)]
pub struct Entry {
    pub item: Item,
    pub payload: Option<Bytes>,
}

impl Entry {
    fn drop_payload_if_closed(&mut self) {
        if self.item.closed.is_some_and(|closed| closed.payload_until <= closed.at) {
            self.payload = None;
        }
    }
}

#[derive(Clone, Default)]
pub struct Model {
    entries: HashMap<ItemKey, Entry>,
    idempotency_keys: HashMap<(WorkflowName, [u8; 32]), ItemKey>,
    numbers: HashSet<ItemNumber>,
    workflows: BTreeMap<WorkflowName, Workflow>,
    /// Workflows of which items ran out. An engine may have them still.
    outlived: HashSet<WorkflowName>,
    incidents: BTreeMap<IncidentId, Incident>,
    deliveries: BTreeMap<(Topic, DeliveryId), Delivery>,
    progresses: BTreeMap<WorkflowName, Progress>,
    clock: Option<ClockAnchor>,
    silences: BTreeMap<SilenceId, Silence>,
    replays: BTreeMap<ReplayId, Replay>,
    replay_chunks: BTreeMap<(ReplayId, u32), ReplayChunk>,
    artifacts: Artifacts,
}

impl Model {
    pub fn entry(&self, key: &ItemKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.entries.values().map(|entry| &entry.item)
    }

    pub fn incidents(&self) -> Vec<Incident> {
        self.incidents.values().rev().cloned().collect()
    }

    pub fn deliveries(&self, incident: &IncidentId) -> Vec<Delivery> {
        self.deliveries.values().filter(|delivery| delivery.incident() == Some(incident)).cloned().collect()
    }

    pub fn outbox(&self) -> Vec<Delivery> {
        let pending = |delivery: &&Delivery| delivery.status == DeliveryStatus::Pending;
        let mut outbox: Vec<Delivery> = self.deliveries.values().filter(pending).cloned().collect();
        outbox.sort_by_key(|delivery| delivery.id.clone());
        outbox
    }

    pub fn progresses(&self) -> Vec<(WorkflowName, Progress)> {
        self.progresses.clone().into_iter().collect()
    }

    pub fn clock(&self) -> Option<ClockAnchor> {
        self.clock.clone()
    }

    pub fn silences(&self) -> Vec<Silence> {
        self.silences.values().cloned().collect()
    }

    pub fn replays(&self) -> Vec<Replay> {
        self.replays.values().cloned().collect()
    }

    pub fn replay_chunk(&self, replay: &ReplayId, index: u32) -> Option<ReplayChunk> {
        self.replay_chunks.get(&(replay.clone(), index)).cloned()
    }

    pub fn unmade_replays(&self) -> Vec<ReplayId> {
        let ids: std::collections::BTreeSet<&ReplayId> =
            self.replay_chunks.keys().map(|(id, _)| id).collect();
        ids.into_iter().filter(|id| !self.replays.contains_key(id)).cloned().collect()
    }

    /// By id.
    pub fn artifacts(&self) -> Vec<Artifact> {
        self.artifacts.all().cloned().collect()
    }

    pub fn workflows(&self) -> Vec<Workflow> {
        self.workflows.values().cloned().collect()
    }

    /// Takes note of the number that the engine gave; no number is ever given twice.
    pub fn learn(&mut self, key: &ItemKey, number: ItemNumber) {
        assert!(number != UNKNOWN && self.numbers.insert(number), "{number:?} was given before");
        self.entries.get_mut(key).unwrap().item.number = number;
    }

    /// Takes note of the token that the engine gave; it was neither that of a lease nor the number of an item
    /// before.
    pub fn learn_token(&mut self, key: &ItemKey, token: u64) {
        assert!(
            token != UNKNOWN_TOKEN && self.numbers.insert(ItemNumber(token)),
            "the token {token} was given before"
        );
        let lease = &mut self.entries.get_mut(key).unwrap().item.work.lease;
        lease.as_mut().unwrap().token = token;
    }

    pub fn forget_what_ran_out(&mut self, now: Timestamp) {
        let gone: Vec<ItemKey> =
            self.items().filter(|item| !is_remembered(item, now)).map(Item::key).collect();
        for key in gone {
            self.forget(&key);
            self.outlived.insert(key.workflow);
        }
    }

    fn is_in_use(&self, workflow: &WorkflowName) -> bool {
        let is_open = |incident: &Incident| incident.status == IncidentStatus::Open;
        let mut open = self.incidents.values().filter(|incident| is_open(incident));
        self.items().any(|item| item.workflow == *workflow)
            || self.artifacts.has_any_of(workflow)
            || open.any(|incident| incident.key.workflow == *workflow)
    }

    /// Where it depends on what the engine has in its own time forgotten whether a workflow is, takes what
    /// that says. Whether it is so.
    pub fn takes_what_is_said_of_a_workflow(&mut self, command: &Command, outcome: &Outcome) -> bool {
        let Command::Remove(DocumentId::Workflow(name)) = command else { return false };
        if !self.outlived.contains(name) || self.is_in_use(name) {
            return false;
        }
        match outcome {
            Outcome::Done => drop(self.workflows.remove(name)),
            outcome => assert_eq!(*outcome, Outcome::WorkflowInUse),
        }
        true
    }

    fn forget(&mut self, key: &ItemKey) {
        self.entries.remove(key);
        self.idempotency_keys.retain(|_, named| named != key);
        self.artifacts.remove_of_run(key);
    }

    pub fn apply(&mut self, command: &Command, now: Timestamp) -> Outcome {
        let outcome = match command {
            Command::Create(creation) => self.create(creation),
            Command::Close { key, closing } => self.close(key, *closing),
            Command::Patch { key, patch, if_version, .. } => self.change(key, |item| match if_version {
                Some(version) if *version != item.version => Err(Outcome::VersionMismatch(item.version)),
                _ => change_by_patch(item, patch),
            }),
            Command::Report { key, error, .. } => self.change(key, |item| {
                if item.detail().errors.iter().any(|known| known.id == error.id) {
                    return Err(Outcome::Changed(Box::new(item.clone())));
                }
                add_error(item, error);
                Ok(())
            }),
            Command::Claim(claim) => self.claim(claim),
            Command::ActOnLease { lease, act, policies, now } => {
                let Some(key) = self.by_number(lease.item) else {
                    return Outcome::LeaseLost(LeaseLost::Forgotten);
                };
                let entry = self.entries.get_mut(&key).unwrap();
                let policy = policies.policy_of(&key.workflow);
                match entry.item.act(lease.token, act.clone(), &policy, *now) {
                    Err(LeaseRefusal::Lost(lost)) => return Outcome::LeaseLost(lost),
                    Err(LeaseRefusal::Item(refusal)) => return Outcome::Refused(refusal),
                    Ok(()) | Err(LeaseRefusal::Repeated) => {}
                }
                entry.drop_payload_if_closed();
                Outcome::Changed(Box::new(entry.item.clone()))
            }
            Command::IfMatching { number, filter, command, now: moment } => {
                let key = self.by_number(*number);
                let fits = key.is_some_and(|key| filter.admits(&self.entries[&key].item, *moment));
                return if fits { self.apply(command, now) } else { Outcome::NotMatching };
            }
            Command::ReportStep(report) => self.report_step(report),
            Command::Retry { key, retry, policies, now } => self.change(key, |item| {
                match item.retry(retry, &policies.policy_of(&key.workflow), *now) {
                    Ok(true) => {}
                    Ok(false) => return Err(Outcome::Changed(Box::new(item.clone()))),
                    Err(refusal) => return Err(Outcome::StepRefused(refusal)),
                }
                // A change is counted where it is made.
                item.version -= 1;
                Ok(())
            }),
            Command::EndRun { .. }
            | Command::Hold { .. }
            | Command::Release { .. }
            | Command::OpenWaiting { .. }
            | Command::NoteOverdue { .. }
            | Command::TellEvent { .. } => unreachable!("these stories have no runs"),
            Command::Forget(number) => {
                if let Some(key) = self.closed_by_number(*number) {
                    self.forget(&key);
                }
                Outcome::Done
            }
            Command::DropPayload(number) => {
                if let Some(key) = self.closed_by_number(*number) {
                    let entry = self.entries.get_mut(&key).unwrap();
                    if entry.payload.take().is_none() {
                        return Outcome::Done;
                    }
                    let closed = entry.item.closed.as_mut().unwrap();
                    closed.payload_until = closed.at;
                }
                Outcome::Done
            }
            Command::Put(documents) => {
                documents.iter().for_each(|document| self.put(document));
                Outcome::Done
            }
            Command::Artifacts(command) => self.apply_to_artifacts(command),
            Command::Remove(DocumentId::Workflow(name)) if self.is_in_use(name) => Outcome::WorkflowInUse,
            Command::Remove(id) => {
                self.remove(id);
                Outcome::Done
            }
        };
        self.forget_what_ran_out(now);
        outcome
    }

    fn put(&mut self, document: &Document) {
        match document.clone() {
            Document::Workflow(workflow) => drop(self.workflows.insert(workflow.name.clone(), *workflow)),
            Document::Progress(workflow, progress) => drop(self.progresses.insert(workflow, *progress)),
            Document::Silence(silence) => drop(self.silences.insert(silence.id.clone(), *silence)),
            Document::Incident(incident) => drop(self.incidents.insert(incident.id.clone(), *incident)),
            Document::Delivery(delivery) => {
                self.deliveries.insert((delivery.topic.clone(), delivery.id.clone()), *delivery);
            }
            Document::Replay(replay) => drop(self.replays.insert(replay.id.clone(), *replay)),
            Document::ReplayChunk(replay, chunk) => {
                self.replay_chunks.insert((replay, chunk.index), *chunk);
            }
            Document::Clock(anchor) => self.clock = Some(*anchor),
            Document::HealthCheck(_) => {}
            Document::Run(..) | Document::RunHistory(..) => unreachable!("these stories have no runs"),
            Document::Artifact(_) => panic!("artifacts have commands of their own"),
            Document::Event(_) => unreachable!("nobody asks for events in these stories"),
        }
    }

    fn apply_to_artifacts(&mut self, command: &ArtifactCommand) -> Outcome {
        let outcome = self.artifacts.apply(command, |run| self.entries.contains_key(run));
        if let (ArtifactCommand::Register(registration), Outcome::Registered(found)) = (command, &outcome) {
            for (artifact, _) in found.iter().filter(|(_, is_new)| *is_new) {
                let name = artifact.workflow.clone();
                let workflow =
                    Workflow { name: name.clone(), created_at: registration.now, definition: None };
                self.workflows.entry(name).or_insert(workflow);
            }
        }
        outcome
    }

    fn remove(&mut self, id: &DocumentId) {
        match id {
            DocumentId::Workflow(name) => drop(self.workflows.remove(name)),
            DocumentId::Progress(workflow) => drop(self.progresses.remove(workflow)),
            DocumentId::Silence(id) => drop(self.silences.remove(id)),
            DocumentId::Incident(id) => {
                self.incidents.remove(id);
                self.deliveries.retain(|(topic, _), _| *topic != Topic::from(id.clone()));
            }
            DocumentId::Replay(id) => {
                self.replays.remove(id);
                self.replay_chunks.retain(|(replay, _), _| replay != id);
            }
            DocumentId::Artifact(id) => self.artifacts.remove(id),
            id => panic!("{id:?} is never removed by itself"),
        }
    }

    /// What a feed has told of by now, by id.
    pub fn told(&self) -> Vec<Document> {
        let workflows = self.workflows.values().cloned().map(Document::from);
        let progress = self.progresses.clone().into_iter();
        let progress = progress.map(|(workflow, progress)| Document::Progress(workflow, progress.into()));
        let silences = self.silences.values().cloned().map(Document::from);
        let incidents = self.incidents.values().cloned().map(Document::from);
        let deliveries = self.deliveries.values().cloned().map(Document::from);
        let replays = self.replays.values().cloned().map(Document::from);
        let artifacts = self.artifacts().into_iter().map(Document::from);
        let alerts = silences.chain(incidents).chain(deliveries);
        workflows.chain(progress).chain(alerts).chain(replays).chain(artifacts).collect()
    }

    fn by_number(&self, number: ItemNumber) -> Option<ItemKey> {
        self.items().find(|item| item.number == number).map(Item::key)
    }

    fn claim(&mut self, claim: &Claim) -> Outcome {
        let Some(key) = self.by_number(claim.number) else { return Outcome::NotClaimable };
        let item = &mut self.entries.get_mut(&key).unwrap().item;
        let held =
            item.work.lease.as_ref().is_some_and(|it| it.ended.is_none() && it.expires_at > claim.now.now);
        let until = item.course.interruption.map(|it| it.until.unwrap_or(Timestamp::MAX));
        let waits = [item.work.retry_at, item.course.not_before, until];
        let waits = waits.into_iter().flatten().any(|at| at > claim.now.now) && !claim.ignores_wait;
        if item.closed.is_some() || held || waits || !claim.filter.admits(item, claim.now) {
            return Outcome::NotClaimable;
        }
        if item.fail_if_lost(&claim.policies.policy_of(&item.workflow), claim.now) {
            return Outcome::Exhausted(Box::new(item.clone()));
        }
        item.claim(UNKNOWN_TOKEN, claim.worker.clone(), claim.expires_at);
        Outcome::Changed(Box::new(item.clone()))
    }

    fn report_step(&mut self, report: &StepReport) -> Outcome {
        let StepReport { key, step, outcome, progress, policies, now } = report.clone();
        let policy = policies.policy_of(&key.workflow);
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.item.payload.is_some()) else {
            return Outcome::Unknown;
        };
        let item = Box::new(entry.item.clone());
        if item.closed.is_some() {
            let is_repeated =
                item.check_step(&step, &outcome, &policy, now.now) == Err(StepRefusal::Repeated);
            return if is_repeated { Outcome::Changed(item) } else { Outcome::AlreadyClosed(item) };
        }
        match entry.item.report_step(&step, outcome, progress, &policy, now) {
            Ok(()) => entry.drop_payload_if_closed(),
            Err(StepError::Step(StepRefusal::Repeated)) => {}
            Err(StepError::Step(refusal)) => return Outcome::StepRefused(refusal),
            Err(StepError::Item(refusal)) => return Outcome::Refused(refusal),
        }
        Outcome::Changed(Box::new(entry.item.clone()))
    }

    fn closed_by_number(&self, number: ItemNumber) -> Option<ItemKey> {
        let mut items = self.items();
        items.find(|item| item.number == number && item.closed.is_some()).map(Item::key)
    }

    fn create(&mut self, creation: &Creation) -> Outcome {
        let by_idempotency_key = creation
            .idempotency_key
            .and_then(|digest| self.idempotency_keys.get(&(creation.key.workflow.clone(), digest)));
        let key = by_idempotency_key.unwrap_or(&creation.key).clone();
        if let Some(Entry { item, .. }) = self.entries.get(&key) {
            let item = Box::new(item.clone());
            let same = item.payload.as_ref() == Some(&creation.info);
            return match (item.closed, same) {
                (Some(_), _) => Outcome::AlreadyClosed(item),
                (None, true) => Outcome::Exists(item),
                (None, false) => Outcome::Conflict(item),
            };
        }
        if let Some(most) = creation.workflows_max
            && !self.workflows.contains_key(&key.workflow)
        {
            if self.workflows.len() >= most {
                return Outcome::TooManyWorkflows(key.workflow);
            }
            let workflow =
                Workflow { name: key.workflow.clone(), created_at: creation.created_at, definition: None };
            self.workflows.insert(key.workflow.clone(), workflow);
        }
        let item = Item {
            number: UNKNOWN,
            workflow: key.workflow.clone(),
            id: key.id.clone(),
            created_at: creation.created_at,
            deadline: creation.deadline,
            failed_at: None,
            closed: None,
            labels: creation.labels.clone(),
            step: creation.step.clone(),
            step_entered_at: creation.created_at,
            payload: Some(creation.info.clone()),
            idempotency_key: creation.idempotency_key,
            version: 1,
            work: Work::default(),
            course: Course {
                not_before: creation.not_before,
                deadline_max: creation.deadline_max,
                ..Course::default()
            },
            run: None,
            trace: creation.trace.clone(),
            detail: None,
        };
        if let Some(digest) = creation.idempotency_key {
            self.idempotency_keys.insert((key.workflow.clone(), digest), key.clone());
        }
        self.entries.insert(key, Entry { item: item.clone(), payload: Some(creation.payload.clone()) });
        Outcome::Created(Box::new(item))
    }

    fn close(&mut self, key: &ItemKey, closing: Closing) -> Outcome {
        let payload_until = closing.at.as_millis() + closing.keep_payload.as_millis() as i64;
        let record_until = closing.at.as_millis() + closing.retention.as_millis() as i64;
        let closed = Closed {
            at: closing.at,
            outcome: closing.outcome,
            payload_until: Timestamp::from_millis(payload_until),
            record_until: Timestamp::from_millis(record_until.max(payload_until)),
        };
        match self.entries.get_mut(key) {
            None => {
                let tombstone = Item {
                    number: UNKNOWN,
                    workflow: key.workflow.clone(),
                    id: key.id.clone(),
                    created_at: closing.at,
                    deadline: closing.at.into(),
                    failed_at: None,
                    closed: Some(closed),
                    labels: Labels::default(),
                    step: None,
                    step_entered_at: closing.at,
                    payload: None,
                    idempotency_key: None,
                    version: 1,
                    work: Work::default(),
                    course: Course::default(),
                    run: None,
                    trace: None,
                    detail: None,
                };
                self.entries.insert(key.clone(), Entry { item: tombstone, payload: None });
                Outcome::Unknown
            }
            Some(entry) if entry.item.payload.is_none() => Outcome::Unknown,
            Some(entry) if entry.item.closed.is_some() => {
                Outcome::AlreadyClosed(Box::new(entry.item.clone()))
            }
            Some(entry) => {
                entry.item.closed = Some(closed);
                entry.item.version += 1;
                if closing.keep_payload.is_zero() {
                    entry.payload = None;
                }
                Outcome::Closed(Box::new(entry.item.clone()))
            }
        }
    }

    fn change(&mut self, key: &ItemKey, change: impl FnOnce(&mut Item) -> Result<(), Outcome>) -> Outcome {
        match self.entries.get_mut(key) {
            Some(entry) if entry.item.payload.is_some() => {
                if entry.item.closed.is_some() {
                    return Outcome::AlreadyClosed(Box::new(entry.item.clone()));
                }
                if let Err(outcome) = change(&mut entry.item) {
                    return outcome;
                }
                entry.item.version += 1;
                Outcome::Changed(Box::new(entry.item.clone()))
            }
            _ => Outcome::Unknown,
        }
    }
}
