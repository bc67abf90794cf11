//! The encoding of journal chunks and bundles: the database values, each of which holds many entries.
//!
//! A *chunk* of the journal is a list of entries, each the latest version of one item or document at the time
//! of writing. A *bundle* is a list of parts of items (payloads and details), or one piece of a large part.
//! Both begin with a format byte and change under the rules of [`crate::store::record`].

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::layout::{BUNDLE_MAX, CHUNK_MAX, PIECE_SIZE};
use crate::model::ItemNumber;
use crate::store::record::RecordError;

const CHUNK_V2: u8 = 2;
const BUNDLE_V1: u8 = 1;
const PIECE_V1: u8 = 2;
/// The bytes of a piece before its content: the format, and the item's number.
const PIECE_HEAD: usize = 9;
/// The most that an entry takes beside its bytes: variable-length numbers of up to ten bytes, and tags.
const ENTRY_OVERHEAD: usize = 90;

const _: () = assert!(PIECE_SIZE + PIECE_HEAD <= BUNDLE_MAX);

/// Where a payload or a detail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// In a bundle shared with other parts.
    Shared {
        bundle: u64,
        /// The position in the bundle's value, in bytes.
        offset: u16,
        /// In bytes.
        length: u16,
    },
    /// In consecutive pieces of its own, each in a bundle value.
    Own { first: u64, pieces: u16 },
}

impl Place {
    /// The bundle that holds it or its first piece.
    pub(super) fn bundle(self) -> u64 {
        match self {
            Self::Shared { bundle, .. } => bundle,
            Self::Own { first, .. } => first,
        }
    }

    /// The bytes that it counts as written and live; for pieces rounded up.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Shared { length, .. } => u64::from(length),
            Self::Own { pieces, .. } => u64::from(pieces) * PIECE_SIZE as u64,
        }
    }
}

/// The latest version of an item or a document, or its tombstone.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry<'a> {
    Item {
        number: ItemNumber,
        /// `None` is a tombstone: the item was forgotten.
        #[serde(borrow)]
        written: Option<Written<'a>>,
    },
    Document {
        key: &'a [u8],
        /// `None` is a tombstone: the document was removed. The pieces of a document are consecutive entries.
        #[serde(borrow)]
        piece: Option<Piece<'a>>,
    },
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written<'a> {
    pub(super) payload: Option<Place>,
    pub(super) detail: Option<Place>,
    pub(super) record: &'a [u8],
}

impl Written<'_> {
    /// The bytes that the entry counts as written and live.
    pub(super) fn size(&self) -> u64 {
        self.record.len() as u64 + 16
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece<'a> {
    /// From 0.
    pub(super) index: u16,
    /// The number of pieces.
    pub(super) count: u16,
    pub(super) bytes: &'a [u8],
}

/// The header of a part in a bundle.
#[derive(Serialize, Deserialize)]
struct Label {
    number: ItemNumber,
    length: u16,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bundle {
    /// Parts with their items, and their ranges in the value.
    Shared(Vec<(ItemNumber, Range<usize>)>),
    /// A piece of a large part of this item.
    Piece(ItemNumber),
}

/// The entries of a chunk, up to and including the first that cannot be decoded.
pub(super) fn entries(chunk: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, RecordError>> {
    let mut rest = open(chunk, CHUNK_V2);
    std::iter::from_fn(move || {
        let bytes = match rest {
            Ok([]) => return None,
            Ok(bytes) => bytes,
            Err(ref error) => {
                let error = error.clone();
                rest = Ok(&[]);
                return Some(Err(error));
            }
        };
        match postcard::take_from_bytes(bytes) {
            Ok((entry, after)) => {
                rest = Ok(after);
                Some(Ok(entry))
            }
            Err(error) => {
                rest = Ok(&[]);
                Some(Err(RecordError::Damaged(format!("a chunk of the journal: {error}"))))
            }
        }
    })
}

/// An item's entry in a chunk. There is at most one, since a batch holds an item once and begins a new chunk.
pub(super) fn written(chunk: &[u8], item: ItemNumber) -> Result<Option<Written<'_>>, RecordError> {
    for entry in entries(chunk) {
        match entry? {
            Entry::Item { number, written } if number == item => return Ok(written),
            _ => {}
        }
    }
    Ok(None)
}

pub(super) fn bundle(value: &[u8]) -> Result<Bundle, RecordError> {
    if value.first() == Some(&PIECE_V1) {
        let number = value.get(1..PIECE_HEAD).and_then(|bytes| bytes.try_into().ok());
        let number = number.ok_or_else(|| RecordError::Damaged("a piece is cut short".into()))?;
        return Ok(Bundle::Piece(ItemNumber(u64::from_be_bytes(number))));
    }
    let mut rest = open(value, BUNDLE_V1)?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (label, after): (Label, &[u8]) = postcard::take_from_bytes(rest)
            .map_err(|error| RecordError::Damaged(format!("a bundle: {error}")))?;
        let start = value.len() - after.len();
        let length = usize::from(label.length);
        rest = after.get(length..).ok_or_else(|| RecordError::Damaged("a bundle is cut short".into()))?;
        found.push((label.number, start..start + length));
    }
    Ok(Bundle::Shared(found))
}

/// A piece of a large part of an item, as a bundle value of its own.
pub(super) fn piece(number: ItemNumber, bytes: &[u8]) -> Vec<u8> {
    [&[PIECE_V1][..], &number.0.to_be_bytes(), bytes].concat()
}

/// The content of a bundle value that is a piece; `None` for a shared bundle.
pub(super) fn piece_bytes(value: &[u8]) -> Option<&[u8]> {
    if value.first() == Some(&PIECE_V1) { value.get(PIECE_HEAD..) } else { None }
}

fn open(value: &[u8], format: u8) -> Result<&[u8], RecordError> {
    match value.split_first() {
        Some((&found, rest)) if found == format => Ok(rest),
        Some((&found, _)) => Err(RecordError::Format(found)),
        None => Err(RecordError::Damaged("it is empty".into())),
    }
}

/// A builder of consecutive values: chunks or bundles.
#[derive(Debug)]
struct Filling {
    format: u8,
    /// The most bytes of a value.
    max: usize,
    /// The number of the value being filled.
    number: u64,
    value: Vec<u8>,
    full: Vec<(u64, Vec<u8>)>,
}

impl Filling {
    fn new(format: u8, max: usize, first: u64) -> Self {
        Self { format, max, number: first, value: vec![format], full: Vec::new() }
    }

    /// Begins the next value unless `length` more bytes fit into this one.
    fn make_room(&mut self, length: usize) {
        if self.value.len() > 1 && self.value.len() + length > self.max {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let mut value = Vec::with_capacity(self.max);
        value.push(self.format);
        self.full.push((self.number, std::mem::replace(&mut self.value, value)));
        self.number += 1;
    }

    fn finish(mut self) -> Vec<(u64, Vec<u8>)> {
        if self.value.len() > 1 {
            self.turn();
        }
        self.full
    }
}

#[derive(Debug)]
pub(super) struct Chunks(Filling);

impl Chunks {
    /// The first chunk gets this number.
    pub(super) fn from(first: u64) -> Self {
        Self(Filling::new(CHUNK_V2, CHUNK_MAX, first))
    }

    /// Adds an entry and returns its chunk.
    pub(super) fn add(&mut self, entry: &Entry<'_>) -> u64 {
        let bytes = match entry {
            Entry::Item { written, .. } => written.as_ref().map_or(0, |written| written.record.len()),
            Entry::Document { key, piece } => key.len() + piece.as_ref().map_or(0, |piece| piece.bytes.len()),
        };
        self.0.make_room(bytes + ENTRY_OVERHEAD);
        let value = std::mem::take(&mut self.0.value);
        self.0.value =
            postcard::to_extend(entry, value).expect("writing plain data into a growing buffer cannot fail");
        self.0.number
    }

    /// The values with their numbers.
    pub(super) fn finish(self) -> Vec<(u64, Vec<u8>)> {
        self.0.finish()
    }
}

#[derive(Debug)]
pub(super) struct Bundles(Filling);

impl Bundles {
    /// The first bundle gets this number.
    pub(super) fn from(first: u64) -> Self {
        Self(Filling::new(BUNDLE_V1, BUNDLE_MAX, first))
    }

    /// Adds a part of at most [`PIECE_SIZE`] bytes.
    pub(super) fn add(&mut self, number: ItemNumber, part: &[u8]) -> Place {
        self.0.make_room(part.len() + 13);
        let length = part.len() as u16;
        let value = std::mem::take(&mut self.0.value);
        let mut value = postcard::to_extend(&Label { number, length }, value)
            .expect("writing plain data into a growing buffer cannot fail");
        let offset = value.len() as u16;
        value.extend_from_slice(part);
        self.0.value = value;
        Place::Shared { bundle: self.0.number, offset, length }
    }

    /// The values with their numbers.
    pub(super) fn finish(self) -> Vec<(u64, Vec<u8>)> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn entries_are_found_in_the_chunks_that_were_told() {
        let mut chunks = Chunks::from(7);
        let records: Vec<Vec<u8>> = (0..300_usize).map(|index| vec![index as u8; index * 10]).collect();
        let place = |number: u64| match number % 3 {
            0 => None,
            1 => Some(Place::Shared { bundle: number, offset: 4000, length: 4096 }),
            _ => Some(Place::Own { first: u64::MAX, pieces: u16::MAX }),
        };
        let written = |number: u64| {
            Some(Written {
                payload: place(number),
                detail: place(number + 1),
                record: &records[number as usize],
            })
        };
        let placed: Vec<u64> = (0..300)
            .map(|number| chunks.add(&Entry::Item { number: ItemNumber(number), written: written(number) }))
            .collect();
        let forgotten = chunks.add(&Entry::Item { number: ItemNumber(u64::MAX), written: None });
        let piece = Some(Piece { index: 0, count: 1, bytes: b"{}" });
        let document = chunks.add(&Entry::Document { key: b"w1", piece });
        let chunks: BTreeMap<_, _> = chunks.finish().into_iter().collect();
        assert!(chunks.keys().copied().eq(7..7 + chunks.len() as u64));
        assert!(chunks.values().all(|chunk| chunk.len() <= CHUNK_MAX));
        for (number, chunk) in (0..).zip(placed) {
            let found = super::written(&chunks[&chunk], ItemNumber(number)).unwrap();
            assert_eq!(found, written(number), "{number}");
        }
        let is_forgotten = |entry| matches!(entry, Ok(Entry::Item { written: None, .. }));
        assert!(entries(&chunks[&forgotten]).any(is_forgotten));
        assert!(
            entries(&chunks[&document]).any(|entry| matches!(entry, Ok(Entry::Document { key: b"w1", .. })))
        );
        let count: usize = chunks.values().map(|chunk| entries(chunk).count()).sum();
        assert_eq!(count, 302);
    }

    #[test]
    fn parts_are_found_in_the_bundles_that_were_told() {
        let mut bundles = Bundles::from(1);
        let sizes = [0, 1, 100, 4096, 0, 4095, 2000, 2000, 60, 4096];
        let places: Vec<Place> = (0..)
            .zip(sizes)
            .map(|(number, size)| bundles.add(ItemNumber(u64::MAX - number), &vec![number as u8; size]))
            .collect();
        let bundles: BTreeMap<_, _> = bundles.finish().into_iter().collect();
        assert!(bundles.values().all(|bundle| bundle.len() <= BUNDLE_MAX));
        for ((number, size), place) in (0..).zip(sizes).zip(places) {
            let Place::Shared { bundle, offset, length } = place else { panic!("{place:?}") };
            let range = usize::from(offset)..usize::from(offset) + usize::from(length);
            assert_eq!(bundles[&bundle][range.clone()], vec![number as u8; size]);
            let Bundle::Shared(parts) = super::bundle(&bundles[&bundle]).unwrap() else { panic!("a piece") };
            assert!(parts.contains(&(ItemNumber(u64::MAX - number), range)));
        }
    }

    #[test]
    fn a_piece_says_whose_it_is() {
        let value = piece(ItemNumber(77), b"abc");
        assert_eq!(bundle(&value), Ok(Bundle::Piece(ItemNumber(77))));
        assert_eq!(piece_bytes(&value), Some(&b"abc"[..]));
        assert_eq!(piece_bytes(&[BUNDLE_V1]), None);
        assert!(matches!(bundle(&value[..5]), Err(RecordError::Damaged(_))));
    }

    #[test]
    fn what_is_damaged_or_of_a_later_format_is_refused() {
        assert_eq!(entries(&[9, 1, 0]).next().unwrap(), Err(RecordError::Format(9)));
        assert_eq!(bundle(&[9]).unwrap_err(), RecordError::Format(9));
        assert!(matches!(entries(&[]).next().unwrap(), Err(RecordError::Damaged(_))));
        let cut = [CHUNK_V2, 0, 1, 1, 0, 0, 200, 1];
        assert!(matches!(entries(&cut).next().unwrap(), Err(RecordError::Damaged(_))));
        assert_eq!(entries(&cut).count(), 1, "nothing comes after it");
        assert!(matches!(bundle(&[BUNDLE_V1, 1, 5, 0]), Err(RecordError::Damaged(_))));
    }
}
