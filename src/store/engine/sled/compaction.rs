//! Compaction: rewrites the live data of a sealed generation into the newest one, and removes the generation.
//!
//! One pass reads the whole generation, in steps between which checkpoints can run: first the journal, then
//! the bundles, which hold parts of items whose records are elsewhere. Changes in the meantime go to the
//! newest generation, so that nothing new refers to what was already read.
//!
//! A damaged generation is not compacted and stays, so that what can be read in it is served. The location of
//! a lost part is kept, so that reading it reports the loss.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::batch::{Content, Drafted};
use super::draft::{Draft, DraftError};
use super::generation::Generation;
use super::generations::Span;
use super::journal::{self, Bundle, Entry, Place};
use super::manifest::Extent;
use super::queue::panic_message;
use super::read_error::ReadError;
use super::table::Part;
use crate::model::ItemNumber;

/// The bytes read in one step.
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

/// The state of a compaction.
#[derive(Debug)]
pub(super) struct Compaction {
    generation: Arc<Generation>,
    extent: Extent,
    /// The next chunk and the next bundle to read.
    chunk: u64,
    bundle: u64,
    /// Whether something in the generation is lost.
    is_damaged: bool,
}

impl Compaction {
    /// The location, if it is in the generation.
    fn holds(&self, place: Option<Place>) -> Option<Place> {
        place.filter(|place| (self.extent.bundles.first..self.extent.bundles.next).contains(&place.bundle()))
    }
}

impl Draft {
    /// Begins to compact the sealed generation with the largest outdated share, if that is at least
    /// `percent`. Returns whether a compaction is under way.
    pub(super) fn begin_compaction(&mut self, percent: u64) -> bool {
        if self.compaction.is_none() {
            let index = self.index();
            let compaction =
                index.generations.most_outdated(percent, &self.damaged_generations).map(|held| Compaction {
                    generation: held.generation.clone(),
                    extent: held.extent,
                    chunk: held.extent.chunks.first,
                    bundle: held.extent.bundles.first,
                    is_damaged: false,
                });
            drop(index);
            self.compaction = compaction;
        }
        self.compaction.is_some()
    }

    /// Does one step, and removes the generation after the last.
    pub(super) fn compact_some(&mut self) -> Result<(), DraftError> {
        // The batch being built may refer to what is about to be moved.
        self.apply()?;
        let Some(mut compaction) = self.compaction.take() else { return Ok(()) };
        let generation = compaction.generation.clone();
        let read = readable(|| {
            let chunks = some(generation.chunks(compaction.chunk), BYTES_AT_ONCE)?;
            let left = BYTES_AT_ONCE.saturating_sub(size(&chunks));
            Ok((chunks, some(generation.bundles(compaction.bundle), left)?))
        });
        let (chunks, bundles) = match read {
            Ok(read) => read,
            Err(Unreadable::System(error)) => return Err(sled::Error::Io(error).into()),
            Err(Unreadable::Damaged(problem)) => {
                let path = generation.path().display();
                tracing::error!("{path} is damaged and stays as it is: {problem}");
                self.damaged_generations.insert(generation.number);
                return Ok(());
            }
        };
        let is_all = size(&chunks) + size(&bundles) < BYTES_AT_ONCE;
        for (at, chunk) in chunks {
            self.move_out_of_chunk(&mut compaction, at, &chunk)?;
            compaction.chunk = at + 1;
        }
        for (at, bundle) in bundles {
            self.move_out_of_bundle(&mut compaction, at, &bundle)?;
            compaction.bundle = at + 1;
        }
        self.apply()?;
        self.sync()?;
        if is_all && compaction.is_damaged {
            // What is lost may still be recovered from its files by hand.
            self.damaged_generations.insert(generation.number);
            Ok(())
        } else if is_all {
            self.remove(&generation)
        } else {
            self.compaction = Some(compaction);
            Ok(())
        }
    }

    fn move_out_of_chunk(
        &mut self,
        compaction: &mut Compaction,
        at: u64,
        chunk: &[u8],
    ) -> Result<(), DraftError> {
        for entry in journal::entries(chunk) {
            // The damage was reported at the start.
            let Ok(entry) = entry else {
                compaction.is_damaged = true;
                break;
            };
            match entry {
                Entry::Item { number, written: Some(_) } => {
                    if self.index().locations.get(number) == Some(at) {
                        self.move_item(compaction, number)?;
                    }
                }
                Entry::Item { number, written: None } => {
                    let is_known =
                        self.items.contains(number) || self.index().locations.get(number).is_some();
                    if !is_known && self.older(compaction, |written| written.may_have_item(number)) {
                        let forgotten = Drafted {
                            record: None,
                            payload: Content::None,
                            detail: Content::None,
                            names: [None; 2],
                            before: None,
                        };
                        self.items.put(number, forgotten);
                    }
                }
                Entry::Document { key, piece } => {
                    let known = self.index().documents.get(key).copied();
                    let is_drafted = self.is_document_drafted(key);
                    match (known, piece) {
                        (Some(document), Some(piece))
                            if document.chunk == at && piece.index == 0 && !is_drafted =>
                        {
                            let bytes =
                                compaction.generation.document(key, document)?.ok_or(ReadError::Lost)?;
                            self.write_document(key, Some(&bytes))?;
                        }
                        (None, None)
                            if !is_drafted && self.older(compaction, |written| written.may_have_key(key)) =>
                        {
                            self.write_tombstone(key);
                        }
                        _ => {}
                    }
                }
            }
            self.make_room()?;
        }
        Ok(())
    }

    /// Whether an older generation may hold what this one has a tombstone for.
    fn older(&self, compaction: &Compaction, may_have: impl Fn(&Span) -> bool) -> bool {
        self.index().generations.before(compaction.generation.number).any(|older| may_have(&older.written))
    }

    /// Moves the parts of items in a bundle that are still live.
    fn move_out_of_bundle(
        &mut self,
        compaction: &mut Compaction,
        at: u64,
        bundle: &[u8],
    ) -> Result<(), DraftError> {
        let numbers = match journal::bundle(bundle) {
            Ok(Bundle::Piece(number)) => vec![number],
            Ok(Bundle::Shared(parts)) => parts.into_iter().map(|(number, _)| number).collect(),
            Err(error) => {
                tracing::error!(
                    "bundle {at} of {} is damaged: {error}",
                    compaction.generation.path().display()
                );
                compaction.is_damaged = true;
                return Ok(());
            }
        };
        for number in numbers {
            if self.items.contains(number) {
                // It was moved with both of its parts.
                continue;
            }
            let Some(drafted) = self.settled(number)? else { continue };
            let is_here = |content: &Content| matches!(content, Content::At(place) if place.bundle() == at);
            if is_here(&drafted.payload) || is_here(&drafted.detail) {
                self.move_drafted(compaction, number, drafted)?;
            }
        }
        Ok(())
    }

    /// Moves an item whose live record is in the generation.
    fn move_item(&mut self, compaction: &mut Compaction, number: ItemNumber) -> Result<(), DraftError> {
        match self.settled(number)? {
            Some(drafted) if !self.items.contains(number) => self.move_drafted(compaction, number, drafted),
            _ => Ok(()),
        }
    }

    fn move_drafted(
        &mut self,
        compaction: &mut Compaction,
        number: ItemNumber,
        mut drafted: Drafted,
    ) -> Result<(), DraftError> {
        let before = drafted.before;
        if let Some(place) = compaction.holds(before.and_then(|before| before.payload)) {
            drafted.payload = self.moved(compaction, number, place)?;
        }
        if let Some(place) = compaction.holds(before.and_then(|before| before.detail)) {
            drafted.detail = self.moved(compaction, number, place)?;
        }
        self.items.put(number, drafted);
        self.make_room()
    }

    fn moved(
        &mut self,
        compaction: &mut Compaction,
        number: ItemNumber,
        place: Place,
    ) -> Result<Content, DraftError> {
        match readable(|| self.part(place)) {
            Ok(bytes) => self.content(number, &Part::New(bytes)),
            Err(Unreadable::System(error)) => Err(sled::Error::Io(error).into()),
            Err(Unreadable::Damaged(problem)) => {
                tracing::error!(item = number.0, "a payload or detail of an item is lost: {problem}");
                compaction.is_damaged = true;
                Ok(Content::At(place))
            }
        }
    }
}

enum Unreadable {
    /// An I/O error, which may be temporary.
    System(std::io::Error),
    /// It differs from what was written.
    Damaged(String),
}

/// Reads from sled, which panics on some kinds of damage.
fn readable<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, Unreadable> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(ReadError::Database(sled::Error::Io(error)))) => Err(Unreadable::System(error)),
        Ok(Err(error)) => Err(Unreadable::Damaged(error.to_string())),
        Err(panic) => Err(Unreadable::Damaged(format!("sled panicked: {}", panic_message(&*panic)))),
    }
}

type Values = Vec<(u64, sled::IVec)>;

/// The first values, up to the first that reaches this many bytes.
fn some(
    values: impl Iterator<Item = Result<(u64, sled::IVec), ReadError>>,
    bytes: usize,
) -> Result<Values, ReadError> {
    let mut taken = Values::new();
    let mut left = bytes;
    for value in values {
        if left == 0 {
            break;
        }
        let (at, value) = value?;
        left = left.saturating_sub(value.len());
        taken.push((at, value));
    }
    Ok(taken)
}

fn size(values: &Values) -> usize {
    values.iter().map(|(_, value)| value.len()).sum()
}
