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

mod document;
mod item;

pub use self::document::{
    decode, decode_document, decode_replay_chunk, encode, encode_document, encode_replay_chunk,
};
pub use self::item::{RecordedNames, decode_item, decode_names, encode_item};

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
