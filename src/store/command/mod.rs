//! Commands: what a store can be asked to do, and the effect of each on its data.
//!
//! The only place where preconditions are judged. Engines that decide by themselves implement [`Rows`] and
//! use these rules, so that they cannot differ. An engine whose server decides (SQL) would not use them; the
//! conformance suite holds it to the same outcomes.

mod artifacts;
mod documents;
mod events;
mod items;
mod leases;
mod runs;

use std::sync::Arc;

use bytes::Bytes;

pub use self::artifacts::{ArtifactClaim, ArtifactCommand, Registration, Visible};
pub use self::events::EVENTS_MAX;
use self::events::Telling;
pub use self::items::{Creation, StepReport};
pub use self::leases::Claim;
pub use self::runs::RunCreation;
use super::holdings::Holdings;
use super::{Change, Document, DocumentId, DocumentSet, document};
use crate::model::item::{
    Closing, Item, ItemPatch, ItemRefusal, Retry, RunEnd, RunEndKind, StepError, StepRefusal,
};
use crate::model::run::{Hold, ReleaseAs, RunRefusal};
use crate::model::{
    Artifact, ArtifactRefusal, Delivery, Incident, ItemError, ItemFilter, ItemKey, ItemNumber, LeaseCommand,
    LeaseId, LeaseLost, Moment, Policies, Replay, ReplayChunk, ReplayId, Timestamp, WorkflowName,
};

/// An atomic change.
#[derive(Clone, Debug)]
pub enum Command {
    /// Creates an item, unless it exists or was closed within its retention. An imported item that is closed
    /// exists if a closed one has the same payload, and conflicts with an open one; after its retention
    /// nothing is stored. A workflow is created only with its first item. Outcomes: `Created`, `Exists`,
    /// `Conflict`, `AlreadyClosed`, `Done`, `TooManyWorkflows`, `RunRefused`, `StorageFull`.
    Create(Box<Creation>),
    /// Closes an item. For one that was never created it leaves a tombstone, which creates no workflow.
    /// Outcomes: `Closed`, `AlreadyClosed`, `Unknown`.
    Close { key: ItemKey, closing: Closing },
    /// Changes an open item, if `if_version` is absent or its version. Outcomes: `Changed`, `AlreadyClosed`,
    /// `Unknown`, `VersionMismatch`, `StepRefused`, `Refused`, `StorageFull`.
    Patch {
        key: ItemKey,
        patch: ItemPatch,
        if_version: Option<u64>,
        policies: Arc<dyn Policies>,
        now: Timestamp,
    },
    /// Adds an error to an open item; one with the same id changes nothing. Outcomes: `Changed`,
    /// `AlreadyClosed`, `Unknown`, `Refused`, `StorageFull`.
    Report { key: ItemKey, error: Box<ItemError>, policies: Arc<dyn Policies> },
    /// Leases an item that matches the filter, is not leased, and does not wait for a retry. The token of the
    /// lease is larger than any before. If more leases ran out at its step than the policy allows, the item
    /// fails instead. Outcomes: `Changed`, `NotClaimable`, `Exhausted`.
    Claim(Box<Claim>),
    /// Executes a request of the holder of a lease, if that is valid. Repeating the request that ended it
    /// changes nothing. Outcomes: `Changed`, `LeaseLost`, `Refused`; and `StorageFull` for what adds errors
    /// or progress.
    ActOnLease { lease: LeaseId, act: LeaseCommand, policies: Arc<dyn Policies>, now: Moment },
    /// Ends a run of an item's step without a lease. A repetition changes nothing. Outcomes: `Changed`,
    /// `AlreadyClosed`, `Unknown`, `StepRefused`, `Refused`, `StorageFull`.
    ReportStep(Box<StepReport>),
    /// Sends an item on that has failed, is interrupted or waits; or any item, if the retry names a step or
    /// an instant. Others are not changed. Outcomes: `Changed`, `AlreadyClosed`, `Unknown`, `StepRefused`.
    Retry { key: ItemKey, retry: Retry, policies: Arc<dyn Policies>, now: Moment },
    /// Executes the command, which is about this item, if the item matches the filter. Outcomes: those of the
    /// command, and `NotMatching`.
    IfMatching { number: ItemNumber, filter: Arc<ItemFilter>, command: Box<Command>, now: Moment },
    /// Ends the newest open run of a workflow. Outcomes: `Closed`, `Changed` if it failed, `NoRunOpen`,
    /// `Refused`; and `StorageFull` for a failure.
    EndRun { workflow: WorkflowName, end: Box<RunEnd>, policies: Arc<dyn Policies>, now: Timestamp },
    /// Puts a workflow on hold, over an earlier hold. Outcome: `Done`.
    Hold { workflow: WorkflowName, hold: Box<Hold> },
    /// Ends a hold, and opens or closes the run that is held. Nothing is changed without a hold and failed
    /// runs. Outcome: `Done`.
    Release { workflow: WorkflowName, release_as: ReleaseAs, policies: Arc<dyn Policies>, now: Moment },
    /// Opens the runs that wait for others and may begin. Outcomes: `Done`; `Partly` if the command must be
    /// repeated.
    OpenWaiting { workflow: WorkflowName, policies: Arc<dyn Policies>, now: Moment },
    /// Takes note that a run is overdue by `now`, once for each deadline, if a receiver asks to be told of
    /// it. Outcomes: `Done`, `StorageFull`.
    NoteOverdue { number: ItemNumber, policies: Arc<dyn Policies>, now: Moment },
    /// Replaces an event of an item by its deliveries, at most [`DELIVERIES_MAX`]; if the event is gone,
    /// nothing is written. Outcomes: `Done`, `StorageFull`.
    TellEvent { number: u64, deliveries: Vec<Delivery> },
    /// Removes the record of a closed item, if it is one. Outcome: `Done`.
    Forget(ItemNumber),
    /// Removes the payload of a closed item, if it is one. Outcome: `Done`.
    DropPayload(ItemNumber),
    /// Writes documents atomically, each possibly over another one with its id. Outcomes: `Done`; and
    /// `StorageFull` if all of them are chunks of a replay, or definitions of workflows.
    Put(Vec<Document>),
    /// Removes a document with its parts, if it exists. Outcomes: `Done`; `Partly` if so many parts remain
    /// that the command must be repeated; `WorkflowInUse` for a workflow that has an item, even a closed one,
    /// or an artifact, or an open incident, and for the history of runs of which some have not ended.
    Remove(DocumentId),
    /// Registers, changes, claims or forgets artifacts.
    Artifacts(Box<ArtifactCommand>),
}

/// The most deliveries in the commit of an incident or event, which bounds the size of a command.
pub const DELIVERIES_MAX: usize = 32;
/// The same for chunks of a replay.
pub const REPLAY_CHUNKS_MAX: usize = 288;

impl Command {
    pub fn put(document: impl Into<Document>) -> Self {
        Self::Put(vec![document.into()])
    }

    /// Writes an incident together with its deliveries; at most [`DELIVERIES_MAX`].
    pub fn put_incident(incident: Incident, deliveries: Vec<Delivery>) -> Self {
        let deliveries = deliveries.into_iter().map(Document::from);
        Self::Put([incident.into()].into_iter().chain(deliveries).collect())
    }

    /// Writes a replay together with changed chunks; at most [`REPLAY_CHUNKS_MAX`].
    pub fn put_replay(replay: Replay, chunks: Vec<ReplayChunk>) -> Self {
        let id = replay.id.clone();
        Self::Put([replay.into()].into_iter().chain(document::chunks(&id, chunks)).collect())
    }

    /// Writes chunks of a replay that is being created; at most [`REPLAY_CHUNKS_MAX`]. The replay exists once
    /// its own document does.
    pub fn put_replay_chunks(replay: &ReplayId, chunks: Vec<ReplayChunk>) -> Self {
        Self::Put(document::chunks(replay, chunks).collect())
    }

    /// The documents that it writes.
    pub fn documents(&self) -> &[Document] {
        match self {
            Self::Put(documents) => documents,
            _ => &[],
        }
    }

    pub fn growth(&self) -> Growth {
        match self {
            Self::Create(_) => Growth::Items,
            Self::IfMatching { command, .. } => command.growth(),
            Self::Put(documents) if documents.iter().all(is_of_client) => Growth::Items,
            Self::TellEvent { deliveries, .. } if deliveries.is_empty() => Growth::None,
            Self::Report { .. } | Self::NoteOverdue { .. } | Self::TellEvent { .. } => Growth::Detail,
            Self::Patch { patch: ItemPatch { labels, progress, counts, .. }, .. }
                if labels.is_some() || progress.is_some() || counts.is_some() =>
            {
                Growth::Detail
            }
            Self::ActOnLease { act, .. } if act.grows() => Growth::Detail,
            Self::EndRun { end, .. } if matches!(end.kind, RunEndKind::Fail(_)) => Growth::Detail,
            Self::ReportStep(report) if report.progress.is_some() => Growth::Detail,
            Self::Artifacts(command) => match **command {
                ArtifactCommand::Register(_) => Growth::Items,
                ArtifactCommand::Change { .. } | ArtifactCommand::Claim(_) => Growth::Detail,
                ArtifactCommand::Forget(_) => Growth::None,
            },
            _ => Growth::None,
        }
    }
}

/// Whether it is as large as a client makes it.
fn is_of_client(document: &Document) -> bool {
    matches!(document, Document::ReplayChunk(..) | Document::Workflow(_))
}

/// How much more space a command may need than it frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Hardly any: changes of an item, of its run and of the history of that, and one or two events. These
    /// commands work while the disk is full.
    None,
    /// Progress, labels or an error of an existing item, changes of artifacts, and deliveries of events.
    /// Refused when the reserve is nearly used up.
    Detail,
    /// New items and artifacts, definitions of workflows, and selections of replays. Refused first.
    Items,
}

/// The result of a command. Unless it says that something was written, nothing was changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Created(Box<Item>),
    /// The item exists with the same payload.
    Exists(Box<Item>),
    /// The item exists with another payload.
    Conflict(Box<Item>),
    Closed(Box<Item>),
    /// The item is closed, within its retention.
    AlreadyClosed(Box<Item>),
    Changed(Box<Item>),
    /// There is no such item. After a close, a tombstone keeps its id from being created.
    Unknown,
    /// The item has this version instead.
    VersionMismatch(u64),
    /// A limit would be exceeded.
    Refused(ItemRefusal),
    /// The item is gone, leased, waits for a retry, or does not match.
    NotClaimable,
    /// The item is gone, or does not match the filter.
    NotMatching,
    LeaseLost(LeaseLost),
    /// The item has failed, because too many of its leases ran out.
    Exhausted(Box<Item>),
    StepRefused(StepRefusal),
    RunRefused(WorkflowName, Box<RunRefusal>),
    /// The workflow has no open run.
    NoRunOpen,
    /// The item would create this workflow, but there are too many.
    TooManyWorkflows(WorkflowName),
    WorkflowInUse,
    /// There is not enough space for what the command may add.
    StorageFull,
    Done,
    /// A part is done; repeat the command for the next part.
    Partly,
    /// The artifacts in the order of the command, each with whether it is new.
    Registered(Vec<(Artifact, bool)>),
    /// The artifacts of a change in its order, or those that were claimed.
    Artifacts(Vec<Artifact>),
    ArtifactsRefused(ArtifactRefusal),
}

impl From<StepError> for Outcome {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Step(refusal) => Self::StepRefused(refusal),
            StepError::Item(refusal) => Self::Refused(refusal),
        }
    }
}

/// Whether progress, errors or steps of an item have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Changed,
    Same,
}

/// The data of an engine. Reads see earlier writes.
pub(super) trait Rows {
    type Error;

    /// A number that was never used.
    fn next_number(&mut self) -> Result<ItemNumber, Self::Error>;
    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, Self::Error>;
    /// The number of the item with this key.
    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, Self::Error>;
    /// The number of the item created with this `Idempotency-Key`.
    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, Self::Error>;
    /// Adds an item with its index entries, and its payload if it has one.
    fn insert_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), Self::Error>;
    /// Writes a changed item; its detail, which may be large, only if that has changed.
    fn update_item(&mut self, item: &Item, detail: Detail) -> Result<(), Self::Error>;
    /// Removes an item's payload, if there is one.
    fn remove_payload(&mut self, item: &Item) -> Result<(), Self::Error>;
    /// Removes an item with its index entries; its payload is removed already.
    fn remove_item(&mut self, item: &Item) -> Result<(), Self::Error>;
    /// Counts for each workflow, which are kept up to date here.
    fn holdings(&mut self) -> &mut Holdings;
    /// Writes a document, possibly over another one with its id.
    fn put(&mut self, document: &Document) -> Result<(), Self::Error>;
    fn document(&mut self, id: &DocumentId) -> Result<Option<Document>, Self::Error>;
    /// Removes a document. Returns whether it existed.
    fn remove(&mut self, id: &DocumentId) -> Result<bool, Self::Error>;
    /// The first `limit` ids of a set.
    fn ids(&mut self, set: &DocumentSet, limit: usize) -> Result<Vec<DocumentId>, Self::Error>;
}

/// Executes one command on the rows, and adds what changed to `changes`.
pub(super) fn settle<R: Rows>(
    command: Command,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    match command {
        Command::Create(creation) => items::create(*creation, rows, changes),
        Command::Close { key, closing } => items::close(key, closing, rows, changes),
        Command::Patch { key, patch, if_version, policies, now } => {
            let policy = policies.policy_of(&key.workflow);
            let telling = Telling { wanted: policy.events.wanted(), now };
            items::change(&key, telling, rows, changes, |item| {
                if if_version.is_some_and(|version| version != item.version) {
                    return Err(Outcome::VersionMismatch(item.version));
                }
                item.patch(&patch, &policy)?;
                if patch.deadline.is_some() {
                    item.count_deadline_from_beginning(now);
                }
                Ok(())
            })
        }
        Command::Report { key, error, policies } => {
            let wanted = policies.policy_of(&key.workflow).events.wanted();
            items::change(&key, Telling { wanted, now: error.at }, rows, changes, |item| {
                if item.has_error(&error.id) {
                    return Err(Outcome::Changed(Box::new(item.clone())));
                }
                item.report(*error).map_err(Outcome::Refused)
            })
        }
        Command::ReportStep(report) => items::report_step(*report, rows, changes),
        Command::Retry { key, retry, policies, now } => {
            let policy = policies.policy_of(&key.workflow);
            let telling = Telling { wanted: policy.events.wanted(), now: now.now };
            items::change(&key, telling, rows, changes, |item| match item.retry(&retry, &policy, now) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Outcome::Changed(Box::new(item.clone()))),
                Err(refusal) => Err(Outcome::StepRefused(refusal)),
            })
        }
        Command::IfMatching { number, filter, command, now } => match rows.item(number)? {
            Some(item) if filter.admits(&item, now) => settle(*command, rows, changes),
            _ => Ok(Outcome::NotMatching),
        },
        Command::EndRun { workflow, end, policies, now } => {
            runs::end(&workflow, &end, &policies.policy_of(&workflow), now, rows, changes)
        }
        Command::Hold { workflow, hold } => runs::hold(&workflow, *hold, rows, changes),
        Command::Release { workflow, release_as, policies, now } => {
            runs::release(&workflow, release_as, &policies.policy_of(&workflow), now, rows, changes)
        }
        Command::OpenWaiting { workflow, policies, now } => {
            runs::open_waiting(&workflow, &policies.policy_of(&workflow), now, rows, changes)
        }
        Command::NoteOverdue { number, policies, now } => {
            events::note_overdue(number, &*policies, now, rows, changes)
        }
        Command::TellEvent { number, deliveries } => events::deliver(number, deliveries, rows, changes),
        Command::Forget(number) => items::forget_closed(number, rows, changes),
        Command::DropPayload(number) => items::drop_payload(number, rows, changes),
        Command::Claim(claim) => leases::claim(*claim, rows, changes),
        Command::ActOnLease { lease, act, policies, now } => {
            leases::act(lease, act, &*policies, now, rows, changes)
        }
        Command::Put(documents) => {
            documents.into_iter().try_for_each(|document| documents::put(document, rows, changes))?;
            Ok(Outcome::Done)
        }
        Command::Remove(id) => documents::remove(id, rows, changes),
        Command::Artifacts(command) => artifacts::settle(*command, rows, changes),
    }
}
