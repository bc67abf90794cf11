//! Clearing away what is outdated, a little with every commit and the rest while nothing else is to do.
//!
//! Three things pile up: pieces of large payloads that belong to nobody any more, bundles of which more than half has gone,
//! and entries of the journal that a later one has outdated. None of it stands in anybody's way but for the room that it takes, and
//! each is cleared faster than it can come, so that none grows without bound while commits never pause.
//!
//! Moving what is left of something takes room before it makes some. When the disk has hardly any, only what can be removed
//! as it is goes: pieces, and chunks of which nothing holds any more.

use std::ops::Range;

use bytes::Bytes;

use super::draft::{Draft, DraftError, PIECES_AT_ONCE};
use super::items::Payload;
use super::journal::{self, Entry, Place, Written};
use super::layout::{self, CHUNK_MAX, PIECE_SIZE};
use super::reader::ReadError;

/// How many bytes of payloads are cleared away by a commit beyond twice what it wrote.
const BYTES_BESIDES: usize = 128 * 1024;
/// What a look at a bundle that is left alone counts for, in bytes.
const LOOK_SIZE: usize = 256;
/// How many entries of the journal are cleared away by a commit beyond four times what it wrote.
const ENTRIES_BESIDES: usize = 256;
/// So many outdated entries are worth nobody's while, unless nothing but them is left.
const OUTDATED_ALWAYS: usize = 512;

impl Draft {
    /// Whether there is something to clear away, by moving as well or by nothing but removing.
    pub(super) fn is_untidy(&self, may_move: bool) -> bool {
        !self.garbage.is_empty() || (may_move && (self.occupancy.has_sparse() || self.is_outdated()))
    }

    /// Whether more than a third of the journal is outdated.
    fn is_outdated(&self) -> bool {
        let tolerated = match self.index().roster.len() {
            0 => 0,
            items => items + (items / 2).max(OUTDATED_ALWAYS),
        };
        self.extent.entries > tolerated
    }

    /// Clears some of it away.
    pub(super) fn tidy(&mut self, may_move: bool) -> Result<(), DraftError> {
        let written = std::mem::take(&mut self.written);
        let mut bytes = 2 * written.payload_bytes + BYTES_BESIDES;
        while bytes > 0
            && let Some((first, pieces)) = self.garbage.pop()
        {
            let removed = self.remove_garbage(first, pieces)?;
            bytes = bytes.saturating_sub(usize::from(removed) * PIECE_SIZE);
        }
        while may_move
            && bytes > 0
            && let Some(bundle) = self.occupancy.take_sparse()
        {
            bytes = bytes.saturating_sub(self.move_out_of_bundle(bundle)?);
        }
        let mut entries = 4 * written.entries + ENTRIES_BESIDES;
        while entries > 0 && self.is_outdated() && self.extent.first < self.extent.next {
            match self.clear_first_chunk(may_move)? {
                0 => break,
                cleared => entries = entries.saturating_sub(cleared),
            }
        }
        // What moved is nothing that calls for more.
        self.apply()?;
        self.written = Default::default();
        Ok(())
    }

    /// Removes the last of these pieces; how many.
    fn remove_garbage(&mut self, first: u64, pieces: u16) -> Result<u16, DraftError> {
        self.apply()?;
        let left = pieces.saturating_sub(PIECES_AT_ONCE);
        for piece in left..pieces {
            self.remove(&layout::numbered(layout::PAYLOAD, first + u64::from(piece)));
        }
        let mark = layout::numbered(layout::GARBAGE, first);
        if left == 0 {
            self.remove(&mark);
        } else {
            self.put(&mark, u64::from(left).to_be_bytes().as_slice());
            self.garbage.push((first, left));
        }
        self.apply()?;
        Ok(pieces - left)
    }

    /// Writes what is left of a bundle into a new one, if half of it has gone; how many bytes that took. Each payload takes
    /// its item's record along. They may come to several batches, the last of which removes the bundle.
    fn move_out_of_bundle(&mut self, bundle: u64) -> Result<usize, DraftError> {
        let key = layout::numbered(layout::PAYLOAD, bundle);
        let Some(value) = self.get(&key)? else { return Ok(0) };
        let payloads = journal::payloads(&value)?;
        if !self.occupancy.is_half_gone(bundle, payloads.iter().map(|(_, range)| range.len())) {
            return Ok(LOOK_SIZE);
        }
        let mut bytes = value.len();
        for (number, range) in payloads {
            self.make_room_for(2, 0)?;
            let is_here = |place: Option<Place>| is_at(place, bundle, &range);
            let payload = || Payload::New(Bytes::copy_from_slice(&value[range.clone()]));
            if let Some(drafted) = self.items.get_mut(number) {
                if matches!(drafted.payload, Payload::At(place) if is_here(Some(place))) {
                    drafted.payload = payload();
                }
                continue;
            }
            let Some(chunk) = self.index().roster.get(number) else { continue };
            let chunk = self.chunk(chunk)?;
            let Written { place, record } = journal::entry(&chunk, number)?.ok_or(ReadError::Lost)?;
            if is_here(place) {
                bytes += range.len() + record.len();
                self.items.write_again(number, record, payload());
            }
        }
        self.remove(&key);
        self.occupancy.forget(bundle);
        Ok(bytes)
    }

    /// Removes the oldest chunk of the journal and writes what still holds of it at the other end; how many entries it had.
    /// If something holds and may not be moved, it stays.
    fn clear_first_chunk(&mut self, may_move: bool) -> Result<usize, DraftError> {
        self.make_room_for(1, 2 * CHUNK_MAX)?;
        let first = self.extent.first;
        let chunk = self.chunk(first)?;
        let mut count = 0;
        for entry in journal::entries(&chunk) {
            let Entry { number, written } = entry?;
            count += 1;
            let Some(Written { place, record }) = written else { continue };
            let holds =
                self.items.get_mut(number).is_none() && self.index().roster.get(number) == Some(first);
            if holds && !may_move {
                return Ok(0);
            }
            if holds {
                self.items.write_again(number, record, place.into());
            }
        }
        self.remove(&layout::numbered(layout::JOURNAL, first));
        self.extent.first += 1;
        self.extent.entries = self.extent.entries.saturating_sub(count);
        Ok(count)
    }

    pub(super) fn chunk(&self, number: u64) -> Result<sled::IVec, DraftError> {
        Ok(self.tree.get(layout::numbered(layout::JOURNAL, number))?.ok_or(ReadError::Lost)?)
    }
}

fn is_at(place: Option<Place>, here: u64, range: &Range<usize>) -> bool {
    matches!(place, Some(Place::Shared { bundle, offset, .. }) if bundle == here && usize::from(offset) == range.start)
}
