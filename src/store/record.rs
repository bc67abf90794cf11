//! Records: the persistent part of items, incidents, deliveries, workflows, progress and replays, apart from the types
//! that the program works with.
//!
//! Every record begins with a byte that names its format. Item records and the chunks of replays are compact binary
//! (postcard), since every start reads all of the ones and there are many of the others; the rest, which is little, is
//! JSON.
//!
//! To change a format: add a new struct with the next version byte and write that one; keep reading the old
//! ones for good; seal a fixture of the new one beside the old in `tests/fixtures`. A field of a postcard struct
//! is never added, removed or moved in place. A document may gain a field that has a default, so that the old ones can be
//! read; then its fixture is kept, and one more is sealed of what is written from then on.
//!
//! It is public for the sake of those fixtures: the tests read them with what the engines read with.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::item::{Closed, ItemDetail};
use crate::model::lease::LeaseEnd;
use crate::model::replay::ItemProgress;
use crate::model::{
    ClockTime, Item, ItemId, ItemNumber, Labels, Lease, PayloadInfo, ReplayChunk, StepName, Timestamp, Work,
    WorkflowName,
};

const ITEM_V1: u8 = 1;
const ITEM_V2: u8 = 2;
const ITEM_V3: u8 = 3;
const DOCUMENT_V1: u8 = 1;
const REPLAY_CHUNK_V1: u8 = 1;

/// A stored record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It was written by a later version of the program.
    #[error(
        "a record has format {0}, which this version of warden does not know: was it written by a newer one?"
    )]
    Format(u8),
    /// It is no record of its format.
    #[error("a record is damaged: {0}")]
    Damaged(String),
}

/// Version 1 of an item's record. The number is in the key; the detail is stored apart.
#[derive(Serialize, Deserialize)]
struct ItemRecordV1<'a> {
    workflow: &'a str,
    id: &'a str,
    created_at: Timestamp,
    deadline: Timestamp,
    failed_at: Option<Timestamp>,
    closed: Option<Closed>,
    labels: BTreeMap<&'a str, &'a str>,
    step: Option<&'a str>,
    step_entered_at: Timestamp,
    payload: Option<PayloadRecordV1<'a>>,
    idempotency_key: Option<[u8; 32]>,
    version: u64,
    has_detail: bool,
}

#[derive(Serialize, Deserialize)]
struct PayloadRecordV1<'a> {
    size: u64,
    content_type: &'a str,
    sha256: [u8; 32],
}

/// Version 2 of an item's record: the first, and how the work on it stands, unless nobody ever claimed it.
#[derive(Deserialize)]
struct ItemRecordV2<'a> {
    #[serde(borrow)]
    item: ItemRecordV1<'a>,
    work: Option<WorkRecordV2<'a>>,
}

/// Version 3 of an item's record: the second, and what came to it.
#[derive(Serialize, Deserialize)]
struct ItemRecordV3<'a> {
    #[serde(borrow)]
    item: ItemRecordV1<'a>,
    work: Option<WorkRecordV2<'a>>,
    content_encoding: Option<&'a str>,
    /// Whether `deadline` is what the wall clock shows then; it is steady time otherwise.
    deadline_on_wall: bool,
}

#[derive(Serialize, Deserialize)]
struct WorkRecordV2<'a> {
    #[serde(borrow)]
    lease: Option<LeaseRecordV2<'a>>,
    ended_before: Option<(u64, LeaseEnd)>,
    attempts: u32,
    retry_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecordV2<'a> {
    token: u64,
    worker: &'a str,
    expires_at: Timestamp,
    ended: Option<LeaseEnd>,
}

/// Writes an item's record, without its detail.
pub fn encode_item(item: &Item) -> Vec<u8> {
    let (deadline, deadline_on_wall) = match item.deadline {
        ClockTime::Steady(steady) => (steady, false),
        ClockTime::Wall { wall } => (wall, true),
    };
    let first = ItemRecordV1 {
        workflow: &item.workflow,
        id: &item.id,
        created_at: item.created_at,
        deadline,
        failed_at: item.failed_at,
        closed: item.closed,
        labels: item.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        step: item.step.as_deref(),
        step_entered_at: item.step_entered_at,
        payload: item.payload.as_ref().map(|payload| PayloadRecordV1 {
            size: payload.size,
            content_type: &payload.content_type,
            sha256: payload.sha256,
        }),
        idempotency_key: item.idempotency_key,
        version: item.version,
        has_detail: item.detail.is_some(),
    };
    let work = (item.work != Work::default()).then(|| WorkRecordV2 {
        lease: item.work.lease.as_ref().map(|lease| LeaseRecordV2 {
            token: lease.token,
            worker: &lease.worker,
            expires_at: lease.expires_at,
            ended: lease.ended,
        }),
        ended_before: item.work.ended_before,
        attempts: item.work.attempts,
        retry_at: item.work.retry_at,
    });
    let content_encoding = item.payload.as_ref().and_then(|payload| payload.content_encoding.as_deref());
    let record = ItemRecordV3 { item: first, work, content_encoding, deadline_on_wall };
    let mut bytes = Vec::with_capacity(192);
    bytes.push(ITEM_V3);
    postcard::to_extend(&record, bytes).expect("writing plain data into a growing buffer cannot fail")
}

/// Reads an item's record. Where the item has a detail, an empty one is put in its place: the caller reads it from
/// where it is kept if it needs it.
///
/// # Errors
/// When the bytes are no record that this version knows.
pub fn decode_item(number: ItemNumber, bytes: &[u8]) -> Result<Item, RecordError> {
    let earlier = |item, work| ItemRecordV3 { item, work, content_encoding: None, deadline_on_wall: false };
    let ItemRecordV3 { item: record, work, content_encoding, deadline_on_wall } = match bytes.split_first() {
        Some((&ITEM_V1, body)) => earlier(postcard::from_bytes(body).map_err(damaged)?, None),
        Some((&ITEM_V2, body)) => {
            let ItemRecordV2 { item, work } = postcard::from_bytes(body).map_err(damaged)?;
            earlier(item, work)
        }
        _ => postcard::from_bytes(expect_version(bytes, ITEM_V3)?).map_err(damaged)?,
    };
    Ok(Item {
        number,
        workflow: WorkflowName::new(record.workflow).map_err(damaged)?,
        id: ItemId::new(record.id).map_err(damaged)?,
        created_at: record.created_at,
        deadline: if deadline_on_wall {
            ClockTime::on_wall(record.deadline)
        } else {
            ClockTime::Steady(record.deadline)
        },
        failed_at: record.failed_at,
        closed: record.closed,
        labels: Labels::new(
            record.labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ),
        step: record.step.map(StepName::new).transpose().map_err(damaged)?,
        step_entered_at: record.step_entered_at,
        payload: record.payload.map(|payload| PayloadInfo {
            size: payload.size,
            content_type: Arc::from(payload.content_type),
            content_encoding: content_encoding.map(Arc::from),
            sha256: payload.sha256,
        }),
        idempotency_key: record.idempotency_key,
        version: record.version,
        work: work.map(decode_work).unwrap_or_default(),
        detail: record.has_detail.then(Box::<ItemDetail>::default),
    })
}

/// What an item can be found by, as its record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedNames<'a> {
    /// Its workflow.
    pub workflow: &'a str,
    /// What clients call it by.
    pub id: &'a str,
    /// The digest of the `Idempotency-Key` it was made with.
    pub idempotency_key: Option<[u8; 32]>,
}

/// Reads what an item can be found by out of its record, without taking anything over from it.
///
/// # Errors
/// When the bytes are no record that this version knows.
pub fn decode_names(bytes: &[u8]) -> Result<RecordedNames<'_>, RecordError> {
    // Later versions begin with the whole of version 1.
    let body = match bytes.split_first() {
        Some((&(ITEM_V1 | ITEM_V2), body)) => body,
        _ => expect_version(bytes, ITEM_V3)?,
    };
    let (record, _): (ItemRecordV1<'_>, _) = postcard::take_from_bytes(body).map_err(damaged)?;
    Ok(RecordedNames { workflow: record.workflow, id: record.id, idempotency_key: record.idempotency_key })
}

fn decode_work(record: WorkRecordV2<'_>) -> Work {
    Work {
        lease: record.lease.map(|lease| Lease {
            token: lease.token,
            worker: lease.worker.into(),
            expires_at: lease.expires_at,
            ended: lease.ended,
        }),
        ended_before: record.ended_before,
        attempts: record.attempts,
        retry_at: record.retry_at,
    }
}

/// Version 1 of a chunk of a replay's selection. Its index is in the key.
#[derive(Serialize, Deserialize)]
struct ReplayChunkRecordV1 {
    items: Vec<(ItemNumber, ItemProgress)>,
}

/// Writes a chunk of a replay's selection. With as many items as one holds it takes less than 3 KiB.
pub fn encode_replay_chunk(chunk: &ReplayChunk) -> Vec<u8> {
    let record = ReplayChunkRecordV1 { items: chunk.items.clone() };
    postcard::to_extend(&record, vec![REPLAY_CHUNK_V1])
        .expect("writing plain data into a growing buffer cannot fail")
}

/// Reads a chunk of a replay's selection.
///
/// # Errors
/// When the bytes are no chunk that this version knows.
pub fn decode_replay_chunk(index: u32, bytes: &[u8]) -> Result<ReplayChunk, RecordError> {
    let body = expect_version(bytes, REPLAY_CHUNK_V1)?;
    let record: ReplayChunkRecordV1 = postcard::from_bytes(body).map_err(damaged)?;
    Ok(ReplayChunk { index, items: record.items })
}

/// Writes a document.
pub fn encode_document<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes = vec![DOCUMENT_V1];
    serde_json::to_writer(&mut bytes, document)
        .expect("our own documents have text keys and no failing parts");
    bytes
}

/// Reads a document.
///
/// # Errors
/// When the bytes are no document that this version knows.
pub fn decode_document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(expect_version(bytes, DOCUMENT_V1)?).map_err(damaged)
}

fn expect_version(bytes: &[u8], version: u8) -> Result<&[u8], RecordError> {
    match bytes.split_first() {
        Some((&found, body)) if found == version => Ok(body),
        Some((&found, _)) => Err(RecordError::Format(found)),
        None => Err(RecordError::Damaged("it is empty".into())),
    }
}

fn damaged(error: impl std::fmt::Display) -> RecordError {
    RecordError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

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
