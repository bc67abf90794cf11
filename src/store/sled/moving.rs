//! Moving what still holds of a sealed generation to the newest, so that it can be removed.
//!
//! Everything in the generation is looked at once: its journal first, and then its bundles, which hold parts of items whose
//! records stand elsewhere. It is done bit by bit, so that checkpoints need not wait. What changes meanwhile is written into
//! the newest generation, and so never refers to what was looked at already.
//!
//! A generation that turns out to be damaged is not moved, and stays: what can be read in it is served. A part of an item that is
//! lost is left named where it was, so that whoever asks for it is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::draft::{Draft, DraftError};
use super::generation::Generation;
use super::generations::Span;
use super::items::{Content, Drafted};
use super::journal::{self, Bundle, Entry, Place};
use super::mark::Extent;
use super::queue::panic_message;
use super::reader::ReadError;
use super::table::Part;
use crate::model::ItemNumber;

/// How many bytes are looked at in one go.
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

/// How far a generation was looked at.
#[derive(Debug)]
pub(super) struct Moving {
    generation: Arc<Generation>,
    extent: Extent,
    /// The first chunk and the first bundle that were not looked at.
    chunk: u64,
    bundle: u64,
    /// Whether something in it is lost.
    is_damaged: bool,
}

impl Moving {
    /// A part that is in the generation.
    fn holds(&self, place: Option<Place>) -> Option<Place> {
        place.filter(|place| (self.extent.bundles.first..self.extent.bundles.next).contains(&place.bundle()))
    }
}

impl Draft {
    /// Begins to move what holds of the sealed generation that is the most outdated, if so many percent of it are; whether
    /// something is being moved now.
    pub(super) fn begin_moving(&mut self, percent: u64) -> bool {
        if self.moving.is_none() {
            let index = self.index();
            let moving = index.generations.most_outdated(percent, &self.unmovable).map(|held| Moving {
                generation: held.generation.clone(),
                extent: held.extent,
                chunk: held.extent.chunks.first,
                bundle: held.extent.bundles.first,
                is_damaged: false,
            });
            drop(index);
            self.moving = moving;
        }
        self.moving.is_some()
    }

    /// Moves some of it, and removes the generation once all of it was looked at.
    pub(super) fn move_some(&mut self) -> Result<(), DraftError> {
        // What has gathered may refer to what is about to be moved.
        self.apply()?;
        let Some(mut moving) = self.moving.take() else { return Ok(()) };
        let generation = moving.generation.clone();
        let read = readable(|| {
            let chunks = some(generation.chunks(moving.chunk), BYTES_AT_ONCE)?;
            let left = BYTES_AT_ONCE.saturating_sub(size(&chunks));
            Ok((chunks, some(generation.bundles(moving.bundle), left)?))
        });
        let (chunks, bundles) = match read {
            Ok(read) => read,
            Err(Unreadable::System(error)) => return Err(sled::Error::Io(error).into()),
            Err(Unreadable::Damaged(problem)) => {
                let path = generation.path().display();
                tracing::error!("{path} is damaged, and is kept as it is: {problem}");
                self.unmovable.insert(generation.number);
                return Ok(());
            }
        };
        let is_all = size(&chunks) + size(&bundles) < BYTES_AT_ONCE;
        for (at, chunk) in chunks {
            self.move_out_of_chunk(&mut moving, at, &chunk)?;
            moving.chunk = at + 1;
        }
        for (at, bundle) in bundles {
            self.move_out_of_bundle(&mut moving, at, &bundle)?;
            moving.bundle = at + 1;
        }
        self.apply()?;
        self.sync()?;
        if is_all && moving.is_damaged {
            // What is lost of it may be there for somebody who looks by hand.
            self.unmovable.insert(generation.number);
            Ok(())
        } else if is_all {
            self.remove(&generation)
        } else {
            self.moving = Some(moving);
            Ok(())
        }
    }

    fn move_out_of_chunk(&mut self, moving: &mut Moving, at: u64, chunk: &[u8]) -> Result<(), DraftError> {
        for entry in journal::entries(chunk) {
            // What cannot be read was told at the start.
            let Ok(entry) = entry else {
                moving.is_damaged = true;
                break;
            };
            match entry {
                Entry::Item { number, written: Some(_) } => {
                    if self.index().roster.get(number) == Some(at) {
                        self.move_item(moving, number)?;
                    }
                }
                Entry::Item { number, written: None } => {
                    let is_known = self.items.contains(number) || self.index().roster.get(number).is_some();
                    if !is_known && self.older(moving, |written| written.may_have_item(number)) {
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
                            let bytes = moving.generation.document(key, document)?.ok_or(ReadError::Lost)?;
                            self.write_document(key, Some(&bytes))?;
                        }
                        (None, None)
                            if !is_drafted && self.older(moving, |written| written.may_have_key(key)) =>
                        {
                            self.write_gone(key);
                        }
                        _ => {}
                    }
                }
            }
            self.make_room()?;
        }
        Ok(())
    }

    /// Whether what is said in the generation to be gone may be in an older one, by what is written there.
    fn older(&self, moving: &Moving, may_have: impl Fn(&Span) -> bool) -> bool {
        self.index().generations.before(moving.generation.number).any(|older| may_have(&older.written))
    }

    /// Moves the parts of which a bundle says that they are in it, if they still are.
    fn move_out_of_bundle(&mut self, moving: &mut Moving, at: u64, bundle: &[u8]) -> Result<(), DraftError> {
        let numbers = match journal::bundle(bundle) {
            Ok(Bundle::Piece(number)) => vec![number],
            Ok(Bundle::Shared(parts)) => parts.into_iter().map(|(number, _)| number).collect(),
            Err(error) => {
                tracing::error!("bundle {at} of {} is damaged: {error}", moving.generation.path().display());
                moving.is_damaged = true;
                return Ok(());
            }
        };
        for number in numbers {
            if self.items.contains(number) {
                // It was met before, and moved with both of its parts.
                continue;
            }
            let Some(drafted) = self.settled(number)? else { continue };
            let is_here = |content: &Content| matches!(content, Content::At(place) if place.bundle() == at);
            if is_here(&drafted.payload) || is_here(&drafted.detail) {
                self.move_drafted(moving, number, drafted)?;
            }
        }
        Ok(())
    }

    /// Writes an item again, whose record is in the generation.
    fn move_item(&mut self, moving: &mut Moving, number: ItemNumber) -> Result<(), DraftError> {
        match self.settled(number)? {
            Some(drafted) if !self.items.contains(number) => self.move_drafted(moving, number, drafted),
            _ => Ok(()),
        }
    }

    fn move_drafted(
        &mut self,
        moving: &mut Moving,
        number: ItemNumber,
        mut drafted: Drafted,
    ) -> Result<(), DraftError> {
        let before = drafted.before;
        if let Some(place) = moving.holds(before.and_then(|before| before.payload)) {
            drafted.payload = self.moved(moving, number, place)?;
        }
        if let Some(place) = moving.holds(before.and_then(|before| before.detail)) {
            drafted.detail = self.moved(moving, number, place)?;
        }
        self.items.put(number, drafted);
        self.make_room()
    }

    fn moved(
        &mut self,
        moving: &mut Moving,
        number: ItemNumber,
        place: Place,
    ) -> Result<Content, DraftError> {
        match readable(|| self.part(place)) {
            Ok(bytes) => self.content(number, &Part::New(bytes)),
            Err(Unreadable::System(error)) => Err(sled::Error::Io(error).into()),
            Err(Unreadable::Damaged(problem)) => {
                tracing::error!(item = number.0, "a payload or detail is lost: {problem}");
                moving.is_damaged = true;
                Ok(Content::At(place))
            }
        }
    }
}

/// Why something cannot be read.
enum Unreadable {
    /// The system says so, which may pass.
    System(std::io::Error),
    /// It is not as it was written.
    Damaged(String),
}

/// Reads from a database, which panics over some of what is damaged.
fn readable<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, Unreadable> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(ReadError::Database(sled::Error::Io(error)))) => Err(Unreadable::System(error)),
        Ok(Err(error)) => Err(Unreadable::Damaged(error.to_string())),
        Err(panic) => Err(Unreadable::Damaged(format!("the database panicked: {}", panic_message(&*panic)))),
    }
}

type Values = Vec<(u64, sled::IVec)>;

/// The first of these values, until they are so many bytes.
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
