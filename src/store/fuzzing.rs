//! Requirements for stored bytes. See [`crate::fuzzing`].

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{self, RecordError};
use crate::model::item::ItemDetail;
use crate::model::{
    ArtifactId, Delivery, Incident, ItemNumber, Progress, Replay, RunEntry, RunHistory, Silence, Workflow,
};

/// Records of items and artifacts, and chunks of replays: what can be decoded is encoded in the current
/// format, and decoded as the same.
pub fn records(bytes: &[u8]) {
    let number = ItemNumber(7);
    again(bytes, |bytes| record::decode_item(number, bytes), record::encode_item);
    again(bytes, |bytes| record::decode_replay_chunk(3, bytes), record::encode_replay_chunk);
    let id = ArtifactId::of("uploads", "/in", "1");
    again(bytes, |bytes| record::decode_artifact(&id, bytes), record::encode_artifact);
}

/// Documents in JSON: what can be decoded is encoded and decoded as the same.
pub fn documents(bytes: &[u8]) {
    document::<ItemDetail>(bytes);
    document::<Incident>(bytes);
    document::<Delivery>(bytes);
    document::<Workflow>(bytes);
    document::<Progress>(bytes);
    document::<Silence>(bytes);
    document::<Replay>(bytes);
    document::<RunEntry>(bytes);
    document::<RunHistory>(bytes);
}

fn document<T: PartialEq + Debug + Serialize + DeserializeOwned>(bytes: &[u8]) {
    again(bytes, record::decode_document::<T>, record::encode_document);
}

fn again<T: PartialEq + Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, RecordError>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    match read(bytes) {
        Ok(found) => {
            let written = write(&found);
            let found_again = read(&written).expect("what we write can be read");
            assert_eq!(found_again, found, "it is read as what was written");
            assert_eq!(write(&found_again), written, "and written the same");
        }
        Err(RecordError::Format(format)) => {
            assert_eq!(bytes.first(), Some(&format), "a format is what the first byte says");
        }
        Err(RecordError::Damaged(what)) => assert!(!what.is_empty(), "it says what is damaged"),
    }
}
