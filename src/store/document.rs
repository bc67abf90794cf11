//! Documents: everything stored apart from items.
//!
//! A document is written and removed as a whole, under an id that includes its kind. Some are parts of
//! another one and are removed with it: deliveries of an incident, chunks of a replay, the ledger of runs of
//! their history.
//!
//! Ids are ordered as a feed tells the documents of an opened store: workflows before what depends on their
//! policies, the progress of expectations before the runs that it counts, incidents before their deliveries.

use crate::model::{
    Artifact, ArtifactId, ClockAnchor, Delivery, DeliveryId, Incident, IncidentId, ItemEvent, Progress,
    Replay, ReplayChunk, ReplayId, RunEntry, RunHistory, Silence, SilenceId, Timestamp, Topic, Workflow,
    WorkflowName,
};

/// Observers are told only of those for which [`Document::is_told`] is true.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A workflow created on first use, together with its first item.
    Workflow(Box<Workflow>),
    /// The state of a workflow's expectation.
    Progress(WorkflowName, Box<Progress>),
    Silence(Box<Silence>),
    Incident(Box<Incident>),
    Delivery(Box<Delivery>),
    Replay(Box<Replay>),
    /// A run of a workflow, in its ledger.
    Run(WorkflowName, Box<RunEntry>),
    /// What a workflow's runs have come to.
    RunHistory(WorkflowName, Box<RunHistory>),
    /// A part of a replay's selection. It may be written before its replay.
    ReplayChunk(ReplayId, Box<ReplayChunk>),
    /// Ties steady time to the wall clock.
    Clock(Box<ClockAnchor>),
    /// A health-check write, which shows that commits work.
    HealthCheck(Timestamp),
    Artifact(Box<Artifact>),
    /// An event of an item that has no deliveries yet.
    Event(Box<ItemEvent>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentId {
    Workflow(WorkflowName),
    Progress(WorkflowName),
    RunHistory(WorkflowName),
    /// With its number.
    Run(WorkflowName, u64),
    Silence(SilenceId),
    Incident(IncidentId),
    Delivery(Topic, DeliveryId),
    Replay(ReplayId),
    ReplayChunk(ReplayId, u32),
    Clock,
    HealthCheck,
    Artifact(ArtifactId),
    /// With its number.
    Event(u64),
}

impl Document {
    pub fn id(&self) -> DocumentId {
        match self {
            Self::Workflow(workflow) => DocumentId::Workflow(workflow.name.clone()),
            Self::Progress(workflow, _) => DocumentId::Progress(workflow.clone()),
            Self::Silence(silence) => DocumentId::Silence(silence.id.clone()),
            Self::Incident(incident) => DocumentId::Incident(incident.id.clone()),
            Self::Delivery(delivery) => DocumentId::Delivery(delivery.topic.clone(), delivery.id.clone()),
            Self::Replay(replay) => DocumentId::Replay(replay.id.clone()),
            Self::Run(workflow, entry) => DocumentId::Run(workflow.clone(), entry.number),
            Self::RunHistory(workflow, _) => DocumentId::RunHistory(workflow.clone()),
            Self::ReplayChunk(replay, chunk) => DocumentId::ReplayChunk(replay.clone(), chunk.index),
            Self::Clock(_) => DocumentId::Clock,
            Self::HealthCheck(_) => DocumentId::HealthCheck,
            Self::Artifact(artifact) => DocumentId::Artifact(artifact.id.clone()),
            Self::Event(event) => DocumentId::Event(event.number),
        }
    }

    /// Whether observers are told of it. Nothing is derived from the others, which are many or change often.
    pub fn is_told(&self) -> bool {
        !matches!(self, Self::Run(..) | Self::ReplayChunk(..) | Self::Clock(_) | Self::HealthCheck(_))
    }
}

impl DocumentId {
    /// As [`Document::is_told`].
    pub fn is_told(&self) -> bool {
        !matches!(self, Self::Run(..) | Self::ReplayChunk(..) | Self::Clock | Self::HealthCheck)
    }
}

/// A set of documents to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentSet {
    Workflows,
    RunHistories,
    Runs,
    RunsOf(WorkflowName),
    Progress,
    Silences,
    Incidents,
    Deliveries,
    DeliveriesOf(Topic),
    Replays,
    Chunks,
    ChunksOf(ReplayId),
    Artifacts,
    Events,
}

impl DocumentSet {
    /// What a feed tells of an opened store, in this order.
    pub const TOLD: [Self; 9] = [
        Self::Workflows,
        Self::Progress,
        Self::RunHistories,
        Self::Silences,
        Self::Incidents,
        Self::Deliveries,
        Self::Replays,
        Self::Artifacts,
        Self::Events,
    ];

    /// The parts of a document, if it can have any.
    pub fn parts_of(id: &DocumentId) -> Option<Self> {
        match id {
            DocumentId::Incident(incident) => Some(Self::DeliveriesOf(incident.clone().into())),
            DocumentId::Replay(replay) => Some(Self::ChunksOf(replay.clone())),
            DocumentId::RunHistory(workflow) => Some(Self::RunsOf(workflow.clone())),
            _ => None,
        }
    }

    pub fn contains(&self, id: &DocumentId) -> bool {
        match (self, id) {
            (Self::Workflows, DocumentId::Workflow(_))
            | (Self::RunHistories, DocumentId::RunHistory(_))
            | (Self::Runs, DocumentId::Run(..))
            | (Self::Progress, DocumentId::Progress(_))
            | (Self::Silences, DocumentId::Silence(_))
            | (Self::Incidents, DocumentId::Incident(_))
            | (Self::Deliveries, DocumentId::Delivery(..))
            | (Self::Replays, DocumentId::Replay(_))
            | (Self::Chunks, DocumentId::ReplayChunk(..))
            | (Self::Artifacts, DocumentId::Artifact(_))
            | (Self::Events, DocumentId::Event(_)) => true,
            (Self::DeliveriesOf(topic), DocumentId::Delivery(of, _)) => topic == of,
            (Self::ChunksOf(replay), DocumentId::ReplayChunk(of, _)) => replay == of,
            (Self::RunsOf(workflow), DocumentId::Run(of, _)) => workflow == of,
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
pub struct ListDocuments {
    pub of: DocumentSet,
    pub order: DocumentOrder,
    pub limit: usize,
}

impl ListDocuments {
    /// All documents of a set, in the order of their ids.
    pub fn all(of: DocumentSet) -> Self {
        Self { of, order: DocumentOrder::Ascending, limit: usize::MAX }
    }
}

#[derive(Clone, Debug)]
pub enum DocumentOrder {
    Ascending,
    /// From the greatest id, or from the greatest below this one.
    Descending {
        below: Option<DocumentId>,
    },
}

/// Those of one kind; the others are dropped.
pub fn of_kind<T: TryFrom<Document>>(documents: Vec<Document>) -> Vec<T> {
    documents.into_iter().filter_map(|document| document.try_into().ok()).collect()
}

macro_rules! is_a_document {
    ($($kind:ident in $variant:ident),*) => {
        $(
            impl From<$kind> for Document {
                fn from(document: $kind) -> Self {
                    Self::$variant(document.into())
                }
            }

            impl TryFrom<Document> for $kind {
                type Error = Document;

                /// Fails with a document of another kind.
                fn try_from(document: Document) -> Result<Self, Document> {
                    match document {
                        Document::$variant(document) => Ok(*document),
                        other => Err(other),
                    }
                }
            }
        )*
    };
}

is_a_document!(
    Workflow in Workflow,
    Silence in Silence,
    Incident in Incident,
    Delivery in Delivery,
    Replay in Replay,
    ClockAnchor in Clock,
    Artifact in Artifact,
    ItemEvent in Event
);

impl TryFrom<Document> for RunEntry {
    type Error = Document;

    /// Fails with a document of another kind.
    fn try_from(document: Document) -> Result<Self, Document> {
        match document {
            Document::Run(_, entry) => Ok(*entry),
            other => Err(other),
        }
    }
}

impl TryFrom<Document> for RunHistory {
    type Error = Document;

    /// Fails with a document of another kind.
    fn try_from(document: Document) -> Result<Self, Document> {
        match document {
            Document::RunHistory(_, history) => Ok(*history),
            other => Err(other),
        }
    }
}

impl TryFrom<Document> for ReplayChunk {
    type Error = Document;

    /// Fails with a document of another kind.
    fn try_from(document: Document) -> Result<Self, Document> {
        match document {
            Document::ReplayChunk(_, chunk) => Ok(*chunk),
            other => Err(other),
        }
    }
}

/// The documents of a command that writes chunks of one replay.
pub(super) fn chunks(replay: &ReplayId, chunks: Vec<ReplayChunk>) -> impl Iterator<Item = Document> {
    let replay = replay.clone();
    chunks.into_iter().map(move |chunk| Document::ReplayChunk(replay.clone(), Box::new(chunk)))
}
