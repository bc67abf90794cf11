//! Records of documents. The id of a document is in its key.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::artifact::{decode_artifact, encode_artifact};
use super::{RecordError, damaged, expect_version};
use crate::model::replay::ItemProgress;
use crate::model::{Delivery, ItemNumber, ReplayChunk, Timestamp};
use crate::store::{Document, DocumentId};

const DOCUMENT_V1: u8 = 1;
/// Of a delivery that is about an item, which has no incident.
const DELIVERY_V2: u8 = 2;
const REPLAY_CHUNK_V1: u8 = 1;

pub fn encode(document: &Document) -> Vec<u8> {
    match document {
        Document::Workflow(workflow) => encode_document(workflow),
        Document::Progress(_, progress) => encode_document(progress),
        Document::Silence(silence) => encode_document(silence),
        Document::Incident(incident) => encode_document(incident),
        Document::Delivery(delivery) => encode_delivery(delivery),
        Document::Replay(replay) => encode_document(replay),
        Document::Run(_, entry) => encode_document(entry),
        Document::RunHistory(_, history) => encode_document(history),
        Document::ReplayChunk(_, chunk) => encode_replay_chunk(chunk),
        Document::Clock(anchor) => encode_document(anchor),
        Document::HealthCheck(at) => at.as_millis().to_be_bytes().to_vec(),
        Document::Artifact(artifact) => encode_artifact(artifact),
        Document::Event(event) => encode_document(event),
    }
}

/// Decodes the document with this id. Fails for a kind or format that this version does not know.
pub fn decode(id: &DocumentId, bytes: &[u8]) -> Result<Document, RecordError> {
    Ok(match id {
        DocumentId::Workflow(_) => Document::Workflow(decode_document(bytes)?),
        DocumentId::Progress(workflow) => Document::Progress(workflow.clone(), decode_document(bytes)?),
        DocumentId::Silence(_) => Document::Silence(decode_document(bytes)?),
        DocumentId::Incident(_) => Document::Incident(decode_document(bytes)?),
        DocumentId::Delivery(..) => Document::Delivery(Box::new(decode_delivery(bytes)?)),
        DocumentId::Replay(_) => Document::Replay(decode_document(bytes)?),
        DocumentId::Run(workflow, _) => Document::Run(workflow.clone(), decode_document(bytes)?),
        DocumentId::RunHistory(workflow) => Document::RunHistory(workflow.clone(), decode_document(bytes)?),
        DocumentId::ReplayChunk(replay, index) => {
            Document::ReplayChunk(replay.clone(), Box::new(decode_replay_chunk(*index, bytes)?))
        }
        DocumentId::Clock => Document::Clock(decode_document(bytes)?),
        DocumentId::HealthCheck => {
            let millis = bytes.try_into().map_err(|_| RecordError::Damaged("it is no instant".into()))?;
            Document::HealthCheck(Timestamp::from_millis(i64::from_be_bytes(millis)))
        }
        DocumentId::Event(_) => Document::Event(decode_document(bytes)?),
        DocumentId::Artifact(id) => Document::Artifact(Box::new(decode_artifact(id, bytes)?)),
    })
}

/// Version 1 of a chunk. Its index is in the key.
#[derive(Serialize, Deserialize)]
struct ReplayChunkRecordV1 {
    items: Vec<(ItemNumber, ItemProgress)>,
}

/// A full chunk takes less than 3 KiB.
pub fn encode_replay_chunk(chunk: &ReplayChunk) -> Vec<u8> {
    let record = ReplayChunkRecordV1 { items: chunk.items.clone() };
    postcard::to_extend(&record, vec![REPLAY_CHUNK_V1])
        .expect("writing plain data into a growing buffer cannot fail")
}

pub fn decode_replay_chunk(index: u32, bytes: &[u8]) -> Result<ReplayChunk, RecordError> {
    let body = expect_version(bytes, REPLAY_CHUNK_V1)?;
    let record: ReplayChunkRecordV1 = postcard::from_bytes(body).map_err(damaged)?;
    Ok(ReplayChunk { index, items: record.items })
}

/// In version 1 if it is about an incident, so that earlier versions can read it.
pub fn encode_delivery(delivery: &Delivery) -> Vec<u8> {
    let mut bytes = encode_document(delivery);
    if delivery.incident().is_none() {
        bytes[0] = DELIVERY_V2;
    }
    bytes
}

pub fn decode_delivery(bytes: &[u8]) -> Result<Delivery, RecordError> {
    match bytes.split_first() {
        Some((&DELIVERY_V2, body)) => serde_json::from_slice(body).map_err(damaged),
        _ => decode_document(bytes),
    }
}

pub fn encode_document<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes = vec![DOCUMENT_V1];
    serde_json::to_writer(&mut bytes, document)
        .expect("our own documents have text keys and no failing parts");
    bytes
}

pub fn decode_document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(expect_version(bytes, DOCUMENT_V1)?).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::ItemDetail;

    #[test]
    fn a_number_in_a_document_is_the_same_however_often_it_is_written_and_read() {
        for text in ["123456789012345678901224", "1e-7", "5e-324", "0.1", "-0.0", "18446744073709551615"] {
            let detail: ItemDetail =
                serde_json::from_str(&format!("{{\"progress\":{{\"a\":{text}}},\"errors\":[]}}"))
                    .unwrap_or_else(|error| panic!("{error}: {text}"));
            let expected = detail.progress["a"].as_f64();
            assert_eq!(expected, text.parse().ok(), "{text}");
            let again: ItemDetail = decode_document(&encode_document(&detail)).unwrap();
            assert_eq!(again.progress["a"].as_f64(), expected, "{text}");
        }
    }
}
