//! Fuzz checks of the decoders of journal chunks, bundles, log records and manifests. See [`crate::fuzzing`].

use bytes::Bytes;

use super::entry;
use super::journal::{self, Bundle, Bundles, Chunks, Entry};
use super::manifest::Manifest;
use super::names::NameHasher;
use super::table::Table;
use crate::store::record::RecordError;

/// Journal chunks and bundles: what decodes survives a round trip.
pub fn chunks(bytes: &[u8]) {
    let (read, broken) = read(bytes);
    let mut chunks = Chunks::from(0);
    for entry in &read {
        chunks.add(entry);
    }
    let chunks = chunks.finish();
    let read_again = chunks.iter().flat_map(|(_, chunk)| journal::entries(chunk));
    let read_again: Vec<Entry<'_>> = read_again.collect::<Result<_, _>>().expect("what we write can be read");
    assert_eq!(read_again, read, "entries are read as what was written");
    says_what_is_wrong(bytes, broken);

    match journal::bundle(bytes) {
        Ok(Bundle::Shared(parts)) => {
            let mut bundles = Bundles::from(0);
            for (number, range) in &parts {
                bundles.add(*number, &bytes[range.clone()]);
            }
            let bundles = bundles.finish();
            let read_again = bundles.iter().flat_map(|(_, value)| {
                let Ok(Bundle::Shared(parts)) = journal::bundle(value) else {
                    panic!("what we write can be read")
                };
                parts.into_iter().map(|(number, range)| (number, &value[range]))
            });
            let read = parts.iter().map(|(number, range)| (*number, &bytes[range.clone()]));
            assert!(read_again.eq(read), "parts are read as what was written");
        }
        Ok(Bundle::Piece(number)) => {
            let piece = journal::piece_bytes(bytes).expect("it is a piece");
            assert_eq!(journal::piece(number, piece), bytes, "a piece is read as what was written");
        }
        Err(error) => says_what_is_wrong(bytes, Some(error)),
    }
}

/// Log records: what decodes survives a round trip.
pub fn entries(bytes: &[u8]) {
    let hasher = NameHasher::default();
    let write = |(group, next_number): &(Table, u64)| {
        let mut written = Vec::new();
        entry::encode(group, *next_number, &mut written);
        Bytes::from(written)
    };
    match entry::decode(&Bytes::copy_from_slice(bytes), &hasher) {
        Ok(read) => {
            // An item or a document may occur twice in the input; only its last version is encoded.
            let written = write(&read);
            let read_again = entry::decode(&written, &hasher).expect("what we write can be read");
            assert_eq!(write(&read_again), written, "a group is read as what was written");
        }
        Err(error) => says_what_is_wrong(bytes, Some(error)),
    }
}

/// Manifests: what decodes survives a round trip.
pub fn manifests(bytes: &[u8]) {
    match Manifest::decode(bytes) {
        Ok(read) => {
            assert_eq!(Manifest::decode(&read.encode()), Ok(read), "a manifest is read as what was written")
        }
        Err(error) => says_what_is_wrong(bytes, Some(error)),
    }
}

/// The entries up to the first that cannot be decoded, and its error.
fn read(chunk: &[u8]) -> (Vec<Entry<'_>>, Option<RecordError>) {
    let (mut read, mut broken) = (Vec::new(), None);
    for entry in journal::entries(chunk) {
        assert!(broken.is_none(), "nothing comes after what cannot be read");
        match entry {
            Ok(entry) => read.push(entry),
            Err(error) => broken = Some(error),
        }
    }
    (read, broken)
}

fn says_what_is_wrong(bytes: &[u8], error: Option<RecordError>) {
    match error {
        Some(RecordError::Format(format)) => assert_eq!(bytes.first(), Some(&format)),
        Some(RecordError::Damaged(what)) => assert!(!what.is_empty(), "it says what is damaged"),
        None => {}
    }
}
