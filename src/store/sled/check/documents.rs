//! Documents as the check reads them: each as what its key says it is.

use serde::de::DeserializeOwned;

use super::super::layout;
use crate::model::{ClockAnchor, Delivery, Incident, Progress, Replay, Silence, Workflow};
use crate::store::record::{self, RecordError};

/// What people call a document with this key.
pub(super) fn name(key: &[u8]) -> String {
    let Some((letter, rest)) = key.split_first() else { return "a document without a key".into() };
    let parts: Vec<_> = rest.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let first = parts.first().cloned().unwrap_or_default();
    match *letter {
        layout::WORKFLOW => format!("the workflow {first}"),
        layout::PROGRESS => format!("the progress of the workflow {first}"),
        layout::INCIDENT => format!("the incident {first}"),
        layout::DELIVERY => {
            format!("the delivery {} of the incident {first}", layout::delivery_id(key).unwrap_or_default())
        }
        layout::SILENCE => format!("the silence {first}"),
        layout::REPLAY => format!("the replay {first}"),
        layout::REPLAY_CHUNK => format!("a part of the selection of the replay {first}"),
        _ if key == layout::CLOCK => "what is known of the clock".into(),
        _ => format!("the document {:?}", String::from_utf8_lossy(key)),
    }
}

/// Whether it can be read.
pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<(), RecordError> {
    fn is<T: DeserializeOwned>(bytes: &[u8]) -> Result<(), RecordError> {
        record::decode_document::<T>(bytes).map(drop)
    }
    match key.first() {
        Some(&layout::WORKFLOW) => is::<Workflow>(bytes),
        Some(&layout::PROGRESS) => is::<Progress>(bytes),
        Some(&layout::INCIDENT) => is::<Incident>(bytes),
        Some(&layout::DELIVERY) => is::<Delivery>(bytes),
        Some(&layout::SILENCE) => is::<Silence>(bytes),
        Some(&layout::REPLAY) => is::<Replay>(bytes),
        Some(&layout::REPLAY_CHUNK) => record::decode_replay_chunk(0, bytes).map(drop),
        _ if key == layout::CLOCK => is::<ClockAnchor>(bytes),
        // Of what it may be nothing is known here.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeliveryId, IncidentId, WorkflowName};

    #[test]
    fn a_document_is_called_by_what_it_is_about() {
        let incident = IncidentId("inc_1".into());
        for (key, words) in [
            (layout::workflow(&WorkflowName::new("uploads").unwrap()), "the workflow uploads"),
            (layout::incident(&incident), "the incident inc_1"),
            (
                layout::delivery(&incident, &DeliveryId("dlv_1".into())),
                "the delivery dlv_1 of the incident inc_1",
            ),
            (layout::CLOCK.to_vec(), "what is known of the clock"),
            (Vec::new(), "a document without a key"),
        ] {
            assert_eq!(name(&key), words);
        }
    }

    #[test]
    fn what_is_no_document_of_its_kind_is_told() {
        let key = layout::workflow(&WorkflowName::new("uploads").unwrap());
        assert!(decode(&key, b"\x01{\"na").is_err());
        assert!(decode(&key, b"").is_err());
        assert!(decode(layout::PROBE, b"anything").is_ok());
    }
}
