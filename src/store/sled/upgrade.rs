//! Taking over what format 1 of the layout held.
//!
//! Format 1 kept an item under keys of its own: its record, its payload in pieces, and what it is called. Everything else is
//! as it was. The old database stays as it is until all of it stands in the new one and on the disk; then the mark of the
//! directory's format changes, and the old one is removed. A kill before that mark leaves the old one in force, and the next
//! start begins anew.
//!
//! ```text
//! i workflow 0 id            -> number           what clients call an item by
//! k workflow 0 digest        -> number           the Idempotency-Key it was made with
//! r number                   -> item record
//! p number piece             -> bytes            the payload, cut into pieces
//! g number                   -> count            payload pieces that belong to nobody any more
//! ```

use std::path::Path;

use bytes::Bytes;

use super::draft::{Draft, DraftError, damaged, read_u64, room_for_payload};
use super::layout::{self, PIECE_SIZE};
use super::reader::ReadError;
use super::{DatabaseError, open_database};
use crate::model::{Item, ItemNumber};
use crate::store::record;

/// What the `FORMAT` file held.
pub(super) const FORMAT: &str = "process-warden data, format 1\n";
/// Where the database was.
pub(super) const DATABASE: &str = "sled";
/// Its segment size in bytes.
pub(super) const SEGMENT_SIZE: usize = 512 * 1024;
/// The most of the database that is held in memory, in bytes: it is read once, from one end to the other.
const CACHE: u64 = 64 * 1024 * 1024;

/// A database of format 1.
pub(super) struct Old(sled::Db);

impl Old {
    /// Opens it.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        open_database(path, CACHE, SEGMENT_SIZE).map(Self)
    }

    /// The number from which on none was ever used.
    pub(super) fn next_number(&self) -> Result<u64, DraftError> {
        read_u64(&self.0.get(layout::NEXT_NUMBER)?.ok_or(DraftError::Lost)?)
    }

    /// Writes all that it holds into a draft on an empty database, and has it on the disk; how many items that were.
    pub(super) fn copy_into(&self, draft: &mut Draft) -> Result<usize, DraftError> {
        let mut items = 0;
        for entry in self.0.iter() {
            let (key, value) = entry?;
            match key.first() {
                Some(b'r') => {
                    let number = layout::number_of(&key).ok_or(ReadError::Key("an item"))?;
                    let item = record::decode_item(ItemNumber(number), &value)?;
                    let payload = self.payload(&item)?;
                    let (keys, bytes) = room_for_payload(payload.as_ref().map_or(0, Bytes::len));
                    draft.make_room_for(keys, bytes)?;
                    draft.add_item(&item, payload)?;
                    items += 1;
                }
                // Names are in the records, and the next number was read first.
                Some(b'i' | b'k' | b'p' | b'g') => {}
                _ if key == layout::NEXT_NUMBER => {}
                _ => {
                    draft.make_room_for(1, 0)?;
                    draft.put(&key, value);
                }
            }
        }
        draft.apply()?;
        draft.sync()?;
        Ok(items)
    }

    fn payload(&self, item: &Item) -> Result<Option<Bytes>, DraftError> {
        let Some(info) = item.stored_payload() else { return Ok(None) };
        let mut bytes = Vec::with_capacity(info.size as usize);
        for piece in 0..info.size.div_ceil(PIECE_SIZE as u64) {
            let piece = (piece as u16).to_be_bytes();
            let key = [b"p".as_slice(), &item.number.0.to_be_bytes(), &piece].concat();
            bytes.extend_from_slice(&self.0.get(key)?.ok_or_else(|| damaged("a payload"))?);
        }
        Ok(Some(bytes.into()))
    }
}
