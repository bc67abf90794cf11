//! Records: the stored form of items, incidents, deliveries, workflows, progress and replays, separate from
//! the types of the program.
//!
//! Every record begins with a byte for its format. Items, artifacts and chunks of replays are compact
//! binary (postcard), since they are many, and every start reads all but the chunks; the others are few, and
//! JSON.
//!
//! To change a format: add a new struct with the next version byte and write that one; keep reading the old
//! ones; add a fixture of the new one beside the old in `tests/fixtures`. Fields of a postcard struct are
//! never added, removed or moved in place. A JSON document may gain a field with a default, so that old ones
//! can be read; its fixture is kept, and one more is added.
//!
//! Public for these fixtures, which tests decode with the same code as the engines.

mod artifact;
mod document;
mod item;

pub use self::artifact::{decode_artifact, encode_artifact};
pub use self::document::{
    decode, decode_delivery, decode_document, decode_replay_chunk, encode, encode_delivery, encode_document,
    encode_replay_chunk,
};
pub use self::item::{RecordedNames, decode_item, decode_names, encode_item};

/// A stored record that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version.
    #[error(
        "a record has format {0}, which this version of warden does not know: was it written by a newer one?"
    )]
    Format(u8),
    /// Not a record of its format.
    #[error("a record is damaged: {0}")]
    Damaged(String),
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
