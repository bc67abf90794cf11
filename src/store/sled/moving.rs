//! Moving what still holds of a sealed generation to the newest, so that it can be removed.
//!
//! Everything in the generation is looked at once: its journal first, and then its bundles, which hold parts of items whose
//! records stand elsewhere. It is done bit by bit, so that checkpoints need not wait. What changes meanwhile is written into
//! the newest generation, and so never refers to what was looked at already.

use std::sync::Arc;

use bytes::Bytes;

use super::draft::{Draft, DraftError};
use super::generation::Generation;
use super::items::{Content, Drafted};
use super::journal::{self, Bundle, Entry, Place};
use super::mark::Extent;
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
            let moving = index.generations.most_outdated(percent).map(|held| Moving {
                generation: held.generation.clone(),
                extent: held.extent,
                chunk: held.extent.chunks.first,
                bundle: held.extent.bundles.first,
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
        let mut left = BYTES_AT_ONCE;
        let chunks = moving.generation.chunks(moving.chunk);
        for chunk in chunks {
            let (at, chunk) = chunk?;
            self.move_out_of_chunk(&moving, at, &chunk)?;
            moving.chunk = at + 1;
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            for bundle in moving.generation.bundles(moving.bundle) {
                let (at, bundle) = bundle?;
                self.move_out_of_bundle(&moving, at, &bundle)?;
                moving.bundle = at + 1;
                left = left.saturating_sub(bundle.len());
                if left == 0 {
                    break;
                }
            }
        }
        self.apply()?;
        self.sync()?;
        if left > 0 {
            self.remove(&moving.generation)
        } else {
            self.moving = Some(moving);
            Ok(())
        }
    }

    fn move_out_of_chunk(&mut self, moving: &Moving, at: u64, chunk: &[u8]) -> Result<(), DraftError> {
        for entry in journal::entries(chunk) {
            match entry? {
                Entry::Item { number, written: Some(_) } => {
                    if self.index().roster.get(number) == Some(at) {
                        self.move_item(moving, number)?;
                    }
                }
                Entry::Item { number, written: None } => {
                    let is_known = self.items.contains(number) || self.index().roster.get(number).is_some();
                    if !is_known && self.is_outdating(moving) {
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
                        (None, None) if !is_drafted && self.is_outdating(moving) => self.write_gone(key),
                        _ => {}
                    }
                }
            }
            self.make_room()?;
        }
        Ok(())
    }

    /// Whether what is said in the generation to be gone may be there in an older one.
    fn is_outdating(&self, moving: &Moving) -> bool {
        !self.index().generations.is_oldest(moving.generation.number)
    }

    /// Moves the parts of which a bundle says that they are in it, if they still are.
    fn move_out_of_bundle(&mut self, moving: &Moving, at: u64, bundle: &[u8]) -> Result<(), DraftError> {
        let numbers = match journal::bundle(bundle)? {
            Bundle::Piece(number) => vec![number],
            Bundle::Shared(parts) => parts.into_iter().map(|(number, _)| number).collect(),
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
    fn move_item(&mut self, moving: &Moving, number: ItemNumber) -> Result<(), DraftError> {
        match self.settled(number)? {
            Some(drafted) if !self.items.contains(number) => self.move_drafted(moving, number, drafted),
            _ => Ok(()),
        }
    }

    fn move_drafted(
        &mut self,
        moving: &Moving,
        number: ItemNumber,
        mut drafted: Drafted,
    ) -> Result<(), DraftError> {
        let before = drafted.before;
        if let Some(place) = moving.holds(before.and_then(|before| before.payload)) {
            drafted.payload = self.moved(number, place)?;
        }
        if let Some(place) = moving.holds(before.and_then(|before| before.detail)) {
            drafted.detail = self.moved(number, place)?;
        }
        self.items.put(number, drafted);
        self.make_room()
    }

    fn moved(&mut self, number: ItemNumber, place: Place) -> Result<Content, DraftError> {
        let bytes: Bytes = self.part(place)?;
        self.content(number, &Part::New(bytes))
    }
}
