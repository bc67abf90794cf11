//! The in-memory index: which items the database has, where their records stand, and what they are called.
//!
//! It is derived from the journal and read anew at every start. It changes only together with the database: the thread of
//! the checkpoints holds it for itself while it applies a batch, and whoever reads holds it as well, so that a read is never put
//! together from before and after a change.

use super::ahead::read_ahead;
use super::journal::{self, Entry, Place, Written};
use super::layout;
use super::names::{Name, NameHash, NameHasher, Names};
use super::occupancy::Occupancy;
use super::reader::ReadError;
use super::roster::Roster;
use crate::model::{ItemNumber, WorkflowName};
use crate::store::holdings::Holdings;
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
    /// Of each workflow its items; nothing else is in the journal.
    pub(super) holdings: Holdings,
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
    let mut index = Index::default();
    // Most entries are the first of their items, in the order of their numbers; what is said out of turn is gathered. That comes
    // later than what was said in turn, since no number is used again once its item is forgotten.
    let mut next_number = ItemNumber(0);
    let mut later: Vec<(ItemNumber, u64, bool)> = Vec::new();
    for chunk in chunks(tree) {
        let (number, chunk) = chunk?;
        if extent.entries == 0 {
            extent.first = number;
        }
        extent.next = number + 1;
        for entry in journal::entries(&chunk) {
            let entry = entry?;
            extent.entries += 1;
            if entry.number >= next_number && entry.written.is_some() {
                index.roster.put(entry.number, number);
                next_number = ItemNumber(entry.number.0.saturating_add(1));
            } else {
                later.push((entry.number, number, entry.written.is_some()));
            }
        }
    }
    later.sort_unstable();
    let latest = later.chunk_by(|left, right| left.0 == right.0).filter_map(|words| words.last());
    index.roster.amend(latest.map(|(number, chunk, is_written)| (*number, is_written.then_some(*chunk))));
    drop(later);
    let (mut occupancy, mut holdings) = (Occupancy::default(), Holdings::default());
    let Index { roster, names, hasher } = &mut index;
    names.reserve(roster.len());
    let holding = chunks(tree).map(|chunk| {
        let (at, chunk) = chunk?;
        holding(&chunk, at, roster, hasher)
    });
    read_ahead(holding, |read| {
        for chunk in read.flatten() {
            let Held { items, workflows } = chunk?;
            workflows.iter().for_each(|(workflow, count)| holdings.add_items(workflow, *count));
            for Holding { number, place, hashes } in items {
                hashes.into_iter().flatten().for_each(|hash| names.insert(hash, number));
                place.into_iter().for_each(|place| occupancy.add(place));
            }
        }
        Ok::<_, ReadError>(())
    })?;
    occupancy.suspect();
    Ok(Recovered { index, extent, occupancy, holdings })
}

/// What an entry says that holds.
struct Holding {
    number: ItemNumber,
    place: Option<Place>,
    hashes: [Option<NameHash>; 2],
}

/// What still holds in a chunk.
#[derive(Default)]
struct Held {
    items: Vec<Holding>,
    /// How many of them belong to which workflow, a run of the same one at a time.
    workflows: Vec<(WorkflowName, u64)>,
}

fn holding(chunk: &[u8], at: u64, roster: &Roster, hasher: &NameHasher) -> Result<Held, ReadError> {
    let mut held = Held::default();
    for entry in journal::entries(chunk) {
        let Entry { number, written: Some(Written { place, record }) } = entry? else { continue };
        if roster.get(number) != Some(at) {
            continue;
        }
        let names = record::decode_names(record)?;
        match held.workflows.last_mut() {
            Some((workflow, count)) if &**workflow == names.workflow => *count += 1,
            _ => {
                let workflow = WorkflowName::new(names.workflow);
                held.workflows.push((workflow.map_err(|_| ReadError::Key("an item's workflow"))?, 1));
            }
        }
        let mut names = Name::all(names.workflow, names.id, names.idempotency_key.as_ref());
        let hashes = std::array::from_fn(|_| names.next().map(|name| hasher.hash(name)));
        held.items.push(Holding { number, place, hashes });
    }
    Ok(held)
}
