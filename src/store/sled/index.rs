//! What the engine knows by heart: which items there are, where their records stand, and what they are called.
//!
//! It is derived from the journal and read anew at every start. It changes only together with the database: the committing
//! thread holds it for itself while it applies a batch, and whoever reads holds it as well, so that a read is never put
//! together from before and after a change.

use super::journal::{self, Entry, Written};
use super::layout;
use super::names::{Name, NameHasher, Names};
use super::occupancy::Occupancy;
use super::reader::ReadError;
use super::roster::Roster;
use crate::model::ItemNumber;
use crate::store::record;

/// Items by number and by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) roster: Roster,
    pub(super) names: Names,
    pub(super) hasher: NameHasher,
}

/// The journal as it stands: chunks from `first` up to but without `next`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) next: u64,
    /// Entries in it, those that are outdated included.
    pub(super) entries: usize,
}

/// What was read of the journal.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) extent: Extent,
    pub(super) occupancy: Occupancy,
}

/// The chunks of the journal, the oldest first.
pub(super) fn chunks(
    tree: &sled::Tree,
) -> impl Iterator<Item = Result<(u64, sled::IVec), ReadError>> + use<> {
    tree.scan_prefix([layout::JOURNAL]).map(|entry| {
        let (key, value) = entry?;
        Ok((layout::number_of(&key).ok_or(ReadError::Key("a chunk of the journal"))?, value))
    })
}

/// Reads the journal twice: first to see which entry is the latest of each item, then those.
pub(super) fn recover(tree: &sled::Tree) -> Result<Recovered, ReadError> {
    let mut extent = Extent::default();
    let mut words: Vec<(ItemNumber, u64, bool)> = Vec::new();
    for chunk in chunks(tree) {
        let (number, chunk) = chunk?;
        if extent.entries == 0 {
            extent.first = number;
        }
        extent.next = number + 1;
        for entry in journal::entries(&chunk) {
            let entry = entry?;
            extent.entries += 1;
            words.push((entry.number, number, entry.written.is_some()));
        }
    }
    words.sort_unstable();
    let mut index = Index::default();
    for (at, (number, chunk, is_written)) in words.iter().enumerate() {
        let is_latest = words.get(at + 1).is_none_or(|(next, _, _)| next != number);
        if is_latest && *is_written {
            index.roster.put(*number, *chunk);
        }
    }
    drop(words);
    let mut occupancy = Occupancy::default();
    index.names.reserve(index.roster.len());
    for chunk in chunks(tree) {
        let (at, chunk) = chunk?;
        for entry in journal::entries(&chunk) {
            let Entry { number, written: Some(Written { place, record }) } = entry? else { continue };
            if index.roster.get(number) != Some(at) {
                continue;
            }
            let names = record::decode_names(record)?;
            for name in Name::all(names.workflow, names.id, names.idempotency_key.as_ref()) {
                index.names.insert(index.hasher.hash(name), number);
            }
            if let Some(place) = place {
                occupancy.add(place);
            }
        }
    }
    occupancy.suspect();
    Ok(Recovered { index, extent, occupancy })
}
