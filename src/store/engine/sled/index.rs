//! The in-memory index: which items and documents the generations hold, where the latest version of each is,
//! and the hashes of the items' names.
//!
//! It is rebuilt from the journal at every start. It is updated after the data was written, and for a whole
//! batch at once. Old versions stay in place, so that a location read a moment ago is still valid.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::generation::Generation;
use super::generations::{Generations, Held};
use super::journal::{self, Entry, Piece, Place, Written};
use super::locations::Locations;
use super::manifest::Extent;
use super::names::{Name, NameHash, NameHasher, Names};
use super::read_ahead::read_ahead;
use super::read_error::ReadError;
use super::verification::Verification;
use crate::model::{ItemNumber, WorkflowName};
use crate::store::holdings::Holdings;
use crate::store::record;

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) generations: Generations,
    pub(super) locations: Locations,
    pub(super) names: Names,
    pub(super) hasher: NameHasher,
    pub(super) documents: BTreeMap<Vec<u8>, Document>,
}

/// Where a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// The chunk of its first piece; the other pieces follow.
    pub(super) chunk: u64,
    /// The bytes that its entries count as live.
    pub(super) size: u64,
}

/// Joins the pieces of documents while the journal is read in order.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// The key, the first chunk, the index of the next piece, and the size so far.
    open: Option<(Vec<u8>, u64, u16, u64)>,
}

impl Pieces {
    /// Adds a piece. Returns the document once all of its pieces were seen.
    pub(super) fn take(&mut self, key: &[u8], at: u64, piece: &Piece<'_>) -> Option<Document> {
        let size = document_size(key, piece.bytes.len());
        let (chunk, total) = match self.open.take() {
            Some((open, chunk, next, total)) if open == key && next == piece.index => (chunk, total + size),
            _ if piece.index == 0 => (at, size),
            _ => return None,
        };
        if piece.index + 1 >= piece.count {
            return Some(Document { chunk, size: total });
        }
        self.open = Some((key.to_vec(), chunk, piece.index + 1, total));
        None
    }
}

/// The bytes that a document's entry counts as written and live.
pub(super) fn document_size(key: &[u8], bytes: usize) -> u64 {
    (key.len() + bytes + 16) as u64
}

/// The result of reading the generations.
pub(super) struct Recovered {
    pub(super) index: Index,
    /// The items of each workflow. The other counts are not in the journal in this form.
    pub(super) holdings: Holdings,
    /// Damage found, by generation.
    pub(super) damage: Vec<(u32, String)>,
}

/// Reads the journal twice: first to find the latest entry of each item and document, then the latest entries
/// of items. The generations come with their extents from the manifest, the newest last.
pub(super) fn recover(generations: Vec<(Arc<Generation>, Extent)>) -> Result<Recovered, ReadError> {
    let mut reading = Reading::default();
    for (generation, extent) in generations {
        reading.read(generation, extent)?;
    }
    let Reading { mut index, later, damage, .. } = reading;
    let mut later = later;
    later.sort_unstable();
    let latest = later.chunk_by(|left, right| left.0 == right.0).filter_map(|words| words.last());
    index.locations.amend(latest.map(|(number, chunk, is_written)| (*number, is_written.then_some(*chunk))));
    drop(later);
    let mut holdings = Holdings::default();
    let Index { generations, locations, names, hasher, documents } = &mut index;
    names.reserve(locations.len());
    for document in documents.values() {
        generations.count_entry(document.chunk, document.size, true);
    }
    let all: Vec<_> = generations.all().iter().map(|held| held.generation.clone()).collect();
    // What cannot be read was reported in the first pass.
    let chunks = all.into_iter().flat_map(|generation| {
        let chunks = generation.chunks(0).map_while(Result::ok);
        chunks.chain(std::iter::once_with(move || generation.evict()).filter_map(|()| None))
    });
    let live_entries = chunks.map(|(at, chunk)| live_entries(&chunk, at, locations, hasher));
    read_ahead(live_entries, |read| {
        for chunk in read.flatten() {
            let LiveEntries { at, items, workflows } = chunk?;
            workflows.iter().for_each(|(workflow, count)| holdings.add_items(workflow, *count));
            for LiveItem { number, size, parts, hashes } in items {
                hashes.into_iter().flatten().for_each(|hash| names.insert(hash, number));
                generations.count_entry(at, size, true);
                parts.into_iter().flatten().for_each(|place| generations.count_part(place, true));
            }
        }
        Ok::<_, ReadError>(())
    })?;
    generations.settle();
    Ok(Recovered { index, holdings, damage })
}

/// The state of the first pass.
#[derive(Default)]
struct Reading {
    index: Index,
    /// Most entries are the first of their items, in ascending order, and go into the index at once. All
    /// others are collected in `later`. They supersede what is in the index, since no number is reused after
    /// its item was forgotten.
    next_number: ItemNumber,
    later: Vec<(ItemNumber, u64, bool)>,
    pieces: Pieces,
    /// The generation being read.
    held: Option<Held>,
    damage: Vec<(u32, String)>,
}

impl Reading {
    /// Reads a generation and verifies it against its extent.
    fn read(&mut self, generation: Arc<Generation>, extent: Extent) -> Result<(), ReadError> {
        let mut verification = Verification::of(extent);
        self.held = Some(Held::new(generation.clone(), extent));
        for chunk in generation.chunks(0) {
            let (at, chunk) = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.tell(&generation, format!("cannot be read: {error}"));
                    break;
                }
            };
            let entries = self.take(&generation, at, &chunk);
            if let Some(missing) = verification.take(at, &chunk, entries) {
                self.tell(&generation, missing);
            }
        }
        let (found, wrong) = verification.close(generation.next(super::layout::BUNDLE)?);
        wrong.into_iter().for_each(|problem| self.tell(&generation, problem));
        if generation.needs_reading {
            self.look_for_bundles(&generation, &found)?;
        }
        generation.evict();
        if let Some(held) = self.held.take() {
            self.index.generations.push(Held { extent: found, ..held });
        }
        Ok(())
    }

    /// Checks that no bundle is missing.
    fn look_for_bundles(&mut self, generation: &Generation, extent: &Extent) -> Result<(), ReadError> {
        let mut next = extent.bundles.first;
        for bundle in generation.bundles(0) {
            match bundle {
                Ok((number, _)) if number == next => next += 1,
                Ok(_) => break,
                Err(error) => {
                    self.tell(generation, format!("cannot be read: {error}"));
                    return Ok(());
                }
            }
        }
        if next < extent.bundles.next {
            self.tell(generation, format!("lacks bundle {next} of its payloads"));
        }
        Ok(())
    }

    fn tell(&mut self, generation: &Generation, problem: String) {
        self.damage.push((generation.number, format!("{} {problem}", generation.path().display())));
    }

    /// Adds a chunk's entries to the index. Returns how many there were.
    fn take(&mut self, generation: &Generation, at: u64, chunk: &[u8]) -> u64 {
        let mut count = 0;
        for entry in journal::entries(chunk) {
            count += 1;
            match entry {
                Ok(Entry::Item { number, written }) => self.item(number, at, written.is_some()),
                Ok(Entry::Document { key, piece: None }) => {
                    self.held.iter_mut().for_each(|held| held.add_key_tombstone(key));
                    self.index.documents.remove(key);
                }
                Ok(Entry::Document { key, piece: Some(piece) }) => {
                    self.held.iter_mut().for_each(|held| held.written.add_key(key));
                    if let Some(document) = self.pieces.take(key, at, &piece) {
                        self.index.documents.insert(key.to_vec(), document);
                    }
                }
                Err(error) => self.tell(generation, format!("has a chunk {at} that cannot be read: {error}")),
            }
        }
        count
    }

    fn item(&mut self, number: ItemNumber, at: u64, is_written: bool) {
        if let Some(held) = &mut self.held {
            if is_written { held.written.add_item(number) } else { held.add_item_tombstone(number) }
        }
        if number >= self.next_number && is_written {
            self.index.locations.put(number, at);
            self.next_number = ItemNumber(number.0.saturating_add(1));
        } else {
            self.later.push((number, at, is_written));
        }
    }
}

/// A live entry of an item.
struct LiveItem {
    number: ItemNumber,
    size: u64,
    parts: [Option<Place>; 2],
    hashes: [Option<NameHash>; 2],
}

/// The live entries of a chunk.
struct LiveEntries {
    at: u64,
    items: Vec<LiveItem>,
    /// The number of items of each workflow, run-length encoded.
    workflows: Vec<(WorkflowName, u64)>,
}

fn live_entries(
    chunk: &[u8],
    at: u64,
    locations: &Locations,
    hasher: &NameHasher,
) -> Result<LiveEntries, ReadError> {
    let mut live = LiveEntries { at, items: Vec::new(), workflows: Vec::new() };
    for entry in journal::entries(chunk) {
        // What cannot be read was reported in the first pass.
        let Ok(Entry::Item { number, written: Some(written) }) = entry else { continue };
        if locations.get(number) != Some(at) {
            continue;
        }
        let size = written.size();
        let Written { payload, detail, record } = written;
        let names = record::decode_names(record)?;
        match live.workflows.last_mut() {
            Some((workflow, count)) if &**workflow == names.workflow => *count += 1,
            _ => {
                let workflow = WorkflowName::new(names.workflow);
                live.workflows.push((workflow.map_err(|_| ReadError::Key("an item's workflow"))?, 1));
            }
        }
        let mut names = Name::all(names.workflow, names.id, names.idempotency_key.as_ref());
        let hashes = std::array::from_fn(|_| names.next().map(|name| hasher.hash(name)));
        live.items.push(LiveItem { number, size, parts: [payload, detail], hashes });
    }
    Ok(live)
}
