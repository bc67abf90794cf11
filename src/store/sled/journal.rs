//! The form of the journal and of bundles: what stands in the values that hold many items.
//!
//! A *chunk* of the journal is a list of entries, each the latest word on one item as of when it was written: its record and
//! where its payload is, or that it is forgotten. A *bundle* is a list of payloads. Both begin with a byte that names their
//! format; the rules for changing one are those of [`crate::store::record`].

use serde::{Deserialize, Serialize};

use super::layout::{BUNDLE_MAX, CHUNK_MAX};
use crate::model::ItemNumber;
use crate::store::record::RecordError;

const CHUNK_V1: u8 = 1;
const BUNDLE_V1: u8 = 1;

/// Where a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// In a bundle, with others.
    Shared {
        /// The bundle.
        bundle: u64,
        /// Where in its value it begins.
        offset: u16,
        /// How long it is.
        length: u16,
    },
    /// In pieces of its own, one after the other.
    Own {
        /// The first of them.
        first: u64,
        /// How many there are.
        pieces: u16,
    },
}

/// One word on an item.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    /// Which item.
    pub(super) number: ItemNumber,
    /// What it is; nothing once it is forgotten.
    #[serde(borrow)]
    pub(super) written: Option<Written<'a>>,
}

/// What is written of an item.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written<'a> {
    /// Where its payload is, if it has one.
    pub(super) place: Option<Place>,
    /// Its record.
    pub(super) record: &'a [u8],
}

/// What lies before a payload in a bundle.
#[derive(Serialize, Deserialize)]
struct Label {
    number: ItemNumber,
    length: u16,
}

/// The entries of a chunk. It ends at the first that cannot be read.
pub(super) fn entries(chunk: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, RecordError>> {
    let mut rest = open(chunk, CHUNK_V1);
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

/// The entry of an item in a chunk.
pub(super) fn entry(chunk: &[u8], number: ItemNumber) -> Result<Option<Written<'_>>, RecordError> {
    for entry in entries(chunk) {
        let entry = entry?;
        if entry.number == number {
            return Ok(entry.written);
        }
    }
    Ok(None)
}

/// The payloads of a bundle: whose they are, and where in it.
pub(super) fn payloads(bundle: &[u8]) -> Result<Vec<(ItemNumber, std::ops::Range<usize>)>, RecordError> {
    let mut rest = open(bundle, BUNDLE_V1)?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (label, after): (Label, &[u8]) = postcard::take_from_bytes(rest)
            .map_err(|error| RecordError::Damaged(format!("a bundle of payloads: {error}")))?;
        let start = bundle.len() - after.len();
        let length = usize::from(label.length);
        rest = after.get(length..).ok_or_else(|| RecordError::Damaged("a bundle is cut short".into()))?;
        found.push((label.number, start..start + length));
    }
    Ok(found)
}

fn open(value: &[u8], format: u8) -> Result<&[u8], RecordError> {
    match value.split_first() {
        Some((&found, rest)) if found == format => Ok(rest),
        Some((&found, _)) => Err(RecordError::Format(found)),
        None => Err(RecordError::Damaged("it is empty".into())),
    }
}

/// Values of one kind that are being filled, one after the other.
#[derive(Debug)]
struct Filling {
    format: u8,
    /// How long a value may become.
    max: usize,
    /// The number of the value that is being filled.
    number: u64,
    value: Vec<u8>,
    full: Vec<(u64, Vec<u8>)>,
}

impl Filling {
    fn new(format: u8, max: usize, first: u64) -> Self {
        Self { format, max, number: first, value: vec![format], full: Vec::new() }
    }

    /// Begins the next value unless so many bytes still fit into this one.
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

/// Chunks that are being filled with entries.
#[derive(Debug)]
pub(super) struct Chunks(Filling);

impl Chunks {
    /// Begins with this chunk.
    pub(super) fn from(first: u64) -> Self {
        Self(Filling::new(CHUNK_V1, CHUNK_MAX, first))
    }

    /// Adds an entry; which chunk it stands in.
    pub(super) fn add(&mut self, entry: &Entry<'_>) -> u64 {
        // Numbers take at most ten bytes each, of which there are five.
        self.0.make_room(entry.written.as_ref().map_or(0, |written| written.record.len()) + 50);
        let value = std::mem::take(&mut self.0.value);
        self.0.value =
            postcard::to_extend(entry, value).expect("writing plain data into a growing buffer cannot fail");
        self.0.number
    }

    /// The chunks with their numbers.
    pub(super) fn finish(self) -> Vec<(u64, Vec<u8>)> {
        self.0.finish()
    }
}

/// Bundles that are being filled with payloads.
#[derive(Debug)]
pub(super) struct Bundles(Filling);

impl Bundles {
    /// Begins with this bundle.
    pub(super) fn from(first: u64) -> Self {
        Self(Filling::new(BUNDLE_V1, BUNDLE_MAX, first))
    }

    /// Adds a payload of at most [`super::layout::PIECE_SIZE`] bytes; where it stands.
    pub(super) fn add(&mut self, number: ItemNumber, payload: &[u8]) -> Place {
        self.0.make_room(payload.len() + 13);
        let length = payload.len() as u16;
        let value = std::mem::take(&mut self.0.value);
        let mut value = postcard::to_extend(&Label { number, length }, value)
            .expect("writing plain data into a growing buffer cannot fail");
        let offset = value.len() as u16;
        value.extend_from_slice(payload);
        self.0.value = value;
        Place::Shared { bundle: self.0.number, offset, length }
    }

    /// The bundles with their numbers.
    pub(super) fn finish(self) -> Vec<(u64, Vec<u8>)> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::PIECE_SIZE;
    use super::*;

    #[test]
    fn entries_are_found_in_the_chunks_that_were_told() {
        let mut chunks = Chunks::from(7);
        let records: Vec<Vec<u8>> = (0..300_usize).map(|index| vec![index as u8; index * 10]).collect();
        let placed: Vec<(u64, Option<Place>)> = (0..)
            .zip(&records)
            .map(|(number, record)| {
                let place = match number % 3 {
                    0 => None,
                    1 => Some(Place::Shared { bundle: number, offset: 4000, length: 4096 }),
                    _ => Some(Place::Own { first: u64::MAX, pieces: u16::MAX }),
                };
                let written = Some(Written { place, record });
                (chunks.add(&Entry { number: ItemNumber(number), written }), place)
            })
            .collect();
        let forgotten = chunks.add(&Entry { number: ItemNumber(u64::MAX), written: None });
        let chunks: std::collections::BTreeMap<_, _> = chunks.finish().into_iter().collect();
        assert!(chunks.keys().copied().eq(7..7 + chunks.len() as u64));
        assert!(chunks.values().all(|chunk| chunk.len() <= CHUNK_MAX));
        for ((number, record), (chunk, place)) in (0..).zip(&records).zip(placed) {
            let found = entry(&chunks[&chunk], ItemNumber(number)).unwrap();
            assert_eq!(found, Some(Written { place, record }), "{number}");
        }
        assert!(entries(&chunks[&forgotten]).any(|entry| entry.unwrap().written.is_none()));
        let count: usize = chunks.values().map(|chunk| entries(chunk).count()).sum();
        assert_eq!(count, 301);
    }

    #[test]
    fn payloads_are_found_in_the_bundles_that_were_told() {
        let mut bundles = Bundles::from(1);
        let sizes = [0, 1, 100, 4096, 0, 4095, 2000, 2000, 60, 4096];
        let places: Vec<Place> = (0..)
            .zip(sizes)
            .map(|(number, size)| bundles.add(ItemNumber(u64::MAX - number), &vec![number as u8; size]))
            .collect();
        let bundles: std::collections::BTreeMap<_, _> = bundles.finish().into_iter().collect();
        assert!(bundles.values().all(|bundle| bundle.len() <= BUNDLE_MAX));
        for ((number, size), place) in (0..).zip(sizes).zip(places) {
            let Place::Shared { bundle, offset, length } = place else { panic!("{place:?}") };
            let range = usize::from(offset)..usize::from(offset) + usize::from(length);
            assert_eq!(bundles[&bundle][range.clone()], vec![number as u8; size]);
            assert!(payloads(&bundles[&bundle]).unwrap().contains(&(ItemNumber(u64::MAX - number), range)));
        }
        const { assert!(BUNDLE_MAX >= PIECE_SIZE + 14) };
    }

    #[test]
    fn what_is_damaged_or_of_a_later_format_is_refused() {
        assert_eq!(entries(&[9, 1, 0]).next().unwrap(), Err(RecordError::Format(9)));
        assert_eq!(payloads(&[9]).unwrap_err(), RecordError::Format(9));
        assert!(matches!(entries(&[]).next().unwrap(), Err(RecordError::Damaged(_))));
        let cut = [CHUNK_V1, 1, 1, 0, 200, 1];
        assert!(matches!(entries(&cut).next().unwrap(), Err(RecordError::Damaged(_))));
        assert_eq!(entries(&cut).count(), 1, "nothing comes after it");
        assert!(matches!(payloads(&[BUNDLE_V1, 1, 5, 0]), Err(RecordError::Damaged(_))));
    }
}
