//! Documents: everything that is stored beside items.
//!
//! A document is written and removed as a whole, under an id that says of which kind it is. Some belong to
//! another one and are removed together with it: deliveries to their incident, chunks to their replay.
//!
//! The ids are in the order in which a feed tells the documents of a store that was opened: workflows before what
//! is judged by their policies, incidents before their deliveries.

use crate::model::{
    ClockAnchor, Delivery, DeliveryId, Incident, IncidentId, Progress, Replay, ReplayChunk, ReplayId,
    Silence, SilenceId, Timestamp, Workflow, WorkflowName,
};

/// A document. Those that are not told to observers are the ones for which [`Document::is_told`] is false.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A workflow that was made on first use. It is written by the create that makes it.
    Workflow(Box<Workflow>),
    /// What was observed of a workflow whose items are expected.
    Progress(WorkflowName, Box<Progress>),
    Silence(Box<Silence>),
    Incident(Box<Incident>),
    Delivery(Box<Delivery>),
    Replay(Box<Replay>),
    /// A part of a replay's selection. It may be written before its replay.
    ReplayChunk(ReplayId, Box<ReplayChunk>),
    /// What ties steady time to the wall clock.
    Clock(Box<ClockAnchor>),
    /// A health-check write, which shows that commits go through.
    HealthCheck(Timestamp),
}

/// Identifies a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentId {
    Workflow(WorkflowName),
    Progress(WorkflowName),
    Silence(SilenceId),
    Incident(IncidentId),
    Delivery(IncidentId, DeliveryId),
    Replay(ReplayId),
    ReplayChunk(ReplayId, u32),
    Clock,
    HealthCheck,
}

impl Document {
    pub fn id(&self) -> DocumentId {
        match self {
            Self::Workflow(workflow) => DocumentId::Workflow(workflow.name.clone()),
            Self::Progress(workflow, _) => DocumentId::Progress(workflow.clone()),
            Self::Silence(silence) => DocumentId::Silence(silence.id.clone()),
            Self::Incident(incident) => DocumentId::Incident(incident.id.clone()),
            Self::Delivery(delivery) => DocumentId::Delivery(delivery.incident.clone(), delivery.id.clone()),
            Self::Replay(replay) => DocumentId::Replay(replay.id.clone()),
            Self::ReplayChunk(replay, chunk) => DocumentId::ReplayChunk(replay.clone(), chunk.index),
            Self::Clock(_) => DocumentId::Clock,
            Self::HealthCheck(_) => DocumentId::HealthCheck,
        }
    }

    /// Whether observers are told of it. Nobody derives anything from the others, which are many or change often.
    pub fn is_told(&self) -> bool {
        !matches!(self, Self::ReplayChunk(..) | Self::Clock(_) | Self::HealthCheck(_))
    }
}

impl DocumentId {
    /// As [`Document::is_told`].
    pub fn is_told(&self) -> bool {
        !matches!(self, Self::ReplayChunk(..) | Self::Clock | Self::HealthCheck)
    }
}

/// Which documents a read is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentSet {
    Workflows,
    Progress,
    Silences,
    Incidents,
    /// Of all incidents.
    Deliveries,
    /// Of one incident.
    DeliveriesOf(IncidentId),
    Replays,
    /// The chunks of all replays.
    Chunks,
    /// The chunks of one replay.
    ChunksOf(ReplayId),
}

impl DocumentSet {
    /// What a feed tells of a store that was opened, in this order.
    pub const TOLD: [Self; 6] =
        [Self::Workflows, Self::Progress, Self::Silences, Self::Incidents, Self::Deliveries, Self::Replays];

    /// What belongs to a document, if anything can.
    pub fn parts_of(id: &DocumentId) -> Option<Self> {
        match id {
            DocumentId::Incident(incident) => Some(Self::DeliveriesOf(incident.clone())),
            DocumentId::Replay(replay) => Some(Self::ChunksOf(replay.clone())),
            _ => None,
        }
    }

    /// Whether a document with this id is among them.
    pub fn contains(&self, id: &DocumentId) -> bool {
        match (self, id) {
            (Self::Workflows, DocumentId::Workflow(_))
            | (Self::Progress, DocumentId::Progress(_))
            | (Self::Silences, DocumentId::Silence(_))
            | (Self::Incidents, DocumentId::Incident(_))
            | (Self::Deliveries, DocumentId::Delivery(..))
            | (Self::Replays, DocumentId::Replay(_))
            | (Self::Chunks, DocumentId::ReplayChunk(..)) => true,
            (Self::DeliveriesOf(incident), DocumentId::Delivery(of, _)) => incident == of,
            (Self::ChunksOf(replay), DocumentId::ReplayChunk(of, _)) => replay == of,
            _ => false,
        }
    }
}

/// A read of several documents.
#[derive(Clone, Debug)]
pub struct ListDocuments {
    pub of: DocumentSet,
    pub order: DocumentOrder,
    /// How many at most.
    pub limit: usize,
}

impl ListDocuments {
    /// All documents of a set, by their ids.
    pub fn all(of: DocumentSet) -> Self {
        Self { of, order: DocumentOrder::Ascending, limit: usize::MAX }
    }
}

/// In which order documents are read.
#[derive(Clone, Debug)]
pub enum DocumentOrder {
    /// By their ids.
    Ascending,
    /// From the greatest id on, or from the greatest one below this.
    Descending { below: Option<DocumentId> },
}

/// The documents of one kind.
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

                /// A document of another kind is handed back.
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
    ClockAnchor in Clock
);

impl TryFrom<Document> for ReplayChunk {
    type Error = Document;

    /// A document of another kind is handed back.
    fn try_from(document: Document) -> Result<Self, Document> {
        match document {
            Document::ReplayChunk(_, chunk) => Ok(*chunk),
            other => Err(other),
        }
    }
}

/// The parts of a command that writes chunks of one replay.
pub(super) fn chunks(replay: &ReplayId, chunks: Vec<ReplayChunk>) -> impl Iterator<Item = Document> {
    let replay = replay.clone();
    chunks.into_iter().map(move |chunk| Document::ReplayChunk(replay.clone(), Box::new(chunk)))
}
