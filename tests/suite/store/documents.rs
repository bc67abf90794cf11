//! Reads of whole sets of documents, which the daemon takes from the feed instead.

use warden::model::{Artifact, Delivery, DeliveryStatus, Progress, Replay, Silence, Workflow, WorkflowName};
use warden::store::{Document, DocumentSet, ListDocuments, Store, StoreError, of_kind};

pub trait ReadDocuments: Store {
    async fn all(&self, of: DocumentSet) -> Result<Vec<Document>, StoreError> {
        self.documents(ListDocuments::all(of)).await
    }

    /// By name.
    async fn workflows(&self) -> Result<Vec<Workflow>, StoreError> {
        Ok(of_kind(self.all(DocumentSet::Workflows).await?))
    }

    /// By workflow.
    async fn progresses(&self) -> Result<Vec<(WorkflowName, Progress)>, StoreError> {
        let progress = |document| match document {
            Document::Progress(workflow, progress) => Some((workflow, *progress)),
            _ => None,
        };
        Ok(self.all(DocumentSet::Progress).await?.into_iter().filter_map(progress).collect())
    }

    /// By id.
    async fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        Ok(of_kind(self.all(DocumentSet::Silences).await?))
    }

    /// By id.
    async fn replays(&self) -> Result<Vec<Replay>, StoreError> {
        Ok(of_kind(self.all(DocumentSet::Replays).await?))
    }

    /// By id.
    async fn all_artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        Ok(of_kind(self.all(DocumentSet::Artifacts).await?))
    }

    /// The pending deliveries of all incidents, by id.
    async fn outbox(&self) -> Result<Vec<Delivery>, StoreError> {
        let mut deliveries: Vec<Delivery> = of_kind(self.all(DocumentSet::Deliveries).await?);
        deliveries.retain(|delivery| delivery.status == DeliveryStatus::Pending);
        deliveries.sort_by(|left, right| left.id.cmp(&right.id));
        Ok(deliveries)
    }
}

impl<S: Store + ?Sized> ReadDocuments for S {}
