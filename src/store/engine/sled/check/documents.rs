//! The check of documents: each is decoded as the type that its key names.

use super::super::keys;
use crate::model::Topic;
use crate::store::DocumentId;
use crate::store::record::{self, RecordError};

/// What a report calls the document with this key.
pub(super) fn name(key: &[u8]) -> String {
    match keys::id(key) {
        Some(DocumentId::Workflow(name)) => format!("the workflow {name}"),
        Some(DocumentId::Progress(name)) => format!("the progress of the workflow {name}"),
        Some(DocumentId::Incident(id)) => format!("the incident {}", id.0),
        Some(DocumentId::Delivery(Topic::Incident(incident), id)) => {
            format!("the delivery {} of the incident {}", id.0, incident.0)
        }
        Some(DocumentId::Delivery(Topic::Item(item), id)) => {
            format!("the delivery {} of the item with the number {}", id.0, item.0)
        }
        Some(DocumentId::Silence(id)) => format!("the silence {}", id.0),
        Some(DocumentId::Replay(id)) => format!("the replay {}", id.0),
        Some(DocumentId::ReplayChunk(id, _)) => format!("a part of the selection of the replay {}", id.0),
        Some(DocumentId::Run(workflow, number)) => format!("the run {number} of the workflow {workflow}"),
        Some(DocumentId::RunHistory(name)) => format!("the history of the runs of the workflow {name}"),
        Some(DocumentId::Clock) => "the clock anchor".into(),
        Some(DocumentId::Artifact(id)) => format!("the artifact {}", id.0),
        Some(DocumentId::Event(number)) => format!("the event {number}"),
        Some(DocumentId::HealthCheck) => "the last health-check write".into(),
        None => format!("the document {:?}", String::from_utf8_lossy(key)),
    }
}

/// Decodes a document, to see whether that works. One with an unknown key passes.
pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<(), RecordError> {
    match keys::id(key) {
        Some(id) => record::decode(&id, bytes).map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeliveryId, IncidentId, WorkflowName};

    #[test]
    fn a_document_is_called_by_what_it_is_about() {
        let incident = IncidentId("inc_1".into());
        for (id, words) in [
            (DocumentId::Workflow(WorkflowName::new("uploads").unwrap()), "the workflow uploads"),
            (DocumentId::Incident(incident.clone()), "the incident inc_1"),
            (
                DocumentId::Delivery(incident.into(), DeliveryId("dlv_1".into())),
                "the delivery dlv_1 of the incident inc_1",
            ),
            (DocumentId::Clock, "the clock anchor"),
        ] {
            assert_eq!(name(&keys::key(&id)), words);
        }
        assert_eq!(name(b""), "the document \"\"");
    }

    #[test]
    fn what_is_no_document_of_its_kind_is_told() {
        let key = keys::key(&DocumentId::Workflow(WorkflowName::new("uploads").unwrap()));
        assert!(decode(&key, b"\x01{\"na").is_err());
        assert!(decode(&key, b"").is_err());
        assert!(decode(&keys::key(&DocumentId::HealthCheck), b"12345678").is_ok());
        assert!(decode(&keys::key(&DocumentId::HealthCheck), b"no instant").is_err());
        assert!(decode(b"?", b"anything").is_ok());
    }
}
