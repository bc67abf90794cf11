//! Items as a draft has them: what was written of them since the last batch.

use bytes::Bytes;
use hashbrown::HashMap;

use super::draft::{
    Draft, DraftError, KEYS_OF_AN_END, KEYS_OF_AN_ITEM, PIECES_AT_ONCE, PIECES_REMOVED_AT_ONCE,
    detail_prefix, room_for_payload,
};
use super::journal::{self, Place, Written};
use super::layout::{self, PIECE_SIZE};
use super::names::{Name, NameHash};
use super::occupancy::Left;
use super::reader::ReadError;
use super::table::{Part, Row};
use crate::model::ItemNumber;
use crate::store::record;

/// The payload of a drafted item.
#[derive(Debug)]
pub(super) enum Payload {
    /// There is none, or none any more, or it is empty, which the record tells.
    None,
    /// It is in the database.
    At(Place),
    /// It goes into a bundle with the next batch; a byte at least and [`PIECE_SIZE`] at most.
    New(Bytes),
}

impl Payload {
    /// Where it is, or is put if it is not in the database yet.
    pub(super) fn place(&self, put: impl FnOnce(&[u8]) -> Place) -> Option<Place> {
        match self {
            Self::None => None,
            Self::At(place) => Some(*place),
            Self::New(bytes) => Some(put(bytes)),
        }
    }
}

impl From<Option<Place>> for Payload {
    fn from(place: Option<Place>) -> Self {
        place.map_or(Self::None, Self::At)
    }
}

/// An item of which something was written.
#[derive(Debug)]
pub(super) struct Drafted {
    /// Its record; nothing once it is forgotten.
    pub(super) record: Option<Vec<u8>>,
    pub(super) payload: Payload,
    /// What it is called from this batch on or, when it is forgotten, no longer.
    pub(super) names: [Option<NameHash>; 2],
}

/// The items of which something was written since the last batch.
#[derive(Debug, Default)]
pub(super) struct Items {
    drafted: HashMap<ItemNumber, Drafted>,
    /// In this order.
    order: Vec<ItemNumber>,
    /// What they take, their payloads included, in bytes.
    bytes: usize,
}

impl Items {
    /// What they take, their payloads included, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes them all.
    pub(super) fn take(&mut self) -> Vec<(ItemNumber, Drafted)> {
        self.bytes = 0;
        let drafted = self.order.drain(..).filter_map(|number| Some((number, self.drafted.remove(&number)?)));
        drafted.collect()
    }

    pub(super) fn get_mut(&mut self, number: ItemNumber) -> Option<&mut Drafted> {
        self.drafted.get_mut(&number)
    }

    fn insert(&mut self, number: ItemNumber, drafted: Drafted) -> &mut Drafted {
        self.bytes += drafted.record.as_ref().map_or(0, Vec::len) + 16;
        if let Payload::New(bytes) = &drafted.payload {
            self.bytes += bytes.len() + 16;
        }
        self.order.push(number);
        self.drafted.entry(number).insert(drafted).into_mut()
    }

    /// Writes what is in the database anew, of an item of which nothing was written since the last batch.
    pub(super) fn write_again(&mut self, number: ItemNumber, record: &[u8], payload: Payload) {
        self.insert(number, Drafted { record: Some(record.to_vec()), payload, names: [None; 2] });
    }
}

impl Draft {
    /// Writes the latest word on an item. It may be what the database has already.
    pub(super) fn write_row(&mut self, number: ItemNumber, row: &Row) -> Result<(), DraftError> {
        let is_known = self.items.drafted.contains_key(&number) || self.index().roster.get(number).is_some();
        match &row.record {
            None if is_known => self.forget_item(number),
            None => Ok(()),
            Some(record) if is_known => self.write_over(number, record, row),
            Some(record) => self.add_item(number, record, row),
        }
    }

    /// Adds an item that the database does not know.
    fn add_item(&mut self, number: ItemNumber, record: &[u8], row: &Row) -> Result<(), DraftError> {
        self.make_room_for_row(row)?;
        let payload = self.place(&row.payload)?;
        let names = self.hashes(record)?;
        self.items.insert(number, Drafted { record: Some(record.to_vec()), payload, names });
        self.write_detail(number, &row.detail)
    }

    /// Writes over what the database has of an item. A payload never changes, so that one which is there is this one.
    fn write_over(&mut self, number: ItemNumber, record: &[u8], row: &Row) -> Result<(), DraftError> {
        self.make_room_for_row(row)?;
        if row.payload == Part::None {
            self.release_payload(number)?;
        } else if matches!(self.drafted(number)?.payload, Payload::None) {
            let payload = self.place(&row.payload)?;
            self.drafted(number)?.payload = payload;
        }
        self.items.bytes += record.len();
        self.drafted(number)?.record = Some(record.to_vec());
        self.write_detail(number, &row.detail)
    }

    /// Makes room for an item, so that what there is of it goes into one batch.
    fn make_room_for_row(&mut self, row: &Row) -> Result<(), DraftError> {
        let size = |part: &Part| if let Part::New(bytes) = part { bytes.len() } else { 0 };
        let (keys, bytes) = room_for_payload(size(&row.payload));
        let detail = usize::from(layout::pieces(size(&row.detail)));
        self.make_room_for(keys + detail.max(KEYS_OF_AN_END), bytes)
    }

    fn write_detail(&mut self, number: ItemNumber, detail: &Part) -> Result<(), DraftError> {
        match detail {
            Part::Same => Ok(()),
            Part::New(bytes) => self.put_pieces(&detail_prefix(number), bytes),
            Part::None => self.remove_pieces(&detail_prefix(number), 0),
        }
    }

    /// The payload as it goes into the database; one too large for a bundle is laid down at once.
    fn place(&mut self, payload: &Part) -> Result<Payload, DraftError> {
        match payload {
            Part::New(bytes) if bytes.len() > PIECE_SIZE => Ok(Payload::At(self.lay_down(bytes)?)),
            Part::New(bytes) => Ok(Payload::New(bytes.clone())),
            Part::None | Part::Same => Ok(Payload::None),
        }
    }

    fn hashes(&self, record: &[u8]) -> Result<[Option<NameHash>; 2], DraftError> {
        let names = record::decode_names(record)?;
        let mut names = Name::all(names.workflow, names.id, names.idempotency_key.as_ref());
        let index = self.index();
        Ok([names.next(), names.next()].map(|name| name.map(|name| index.hasher.hash(name))))
    }

    /// The item as it is drafted, beginning with what is in the database.
    fn drafted(&mut self, number: ItemNumber) -> Result<&mut Drafted, DraftError> {
        if !self.items.drafted.contains_key(&number) {
            let chunk = self.index().roster.get(number).ok_or(DraftError::Lost)?;
            let chunk = self.chunk(chunk)?;
            let Written { place, record } = journal::entry(&chunk, number)?.ok_or(ReadError::Lost)?;
            self.items.write_again(number, record, place.into());
        }
        self.items.drafted.get_mut(&number).ok_or(DraftError::Lost)
    }

    /// Forgets an item and what it is called.
    fn forget_item(&mut self, number: ItemNumber) -> Result<(), DraftError> {
        self.release_payload(number)?;
        let record = self.drafted(number)?.record.take().ok_or(DraftError::Lost)?;
        let names = self.hashes(&record)?;
        self.drafted(number)?.names = names;
        self.remove_pieces(&detail_prefix(number), 0)
    }

    /// Makes room for what the end of an item or of its payload takes, unless it has begun.
    fn make_room_for_end(&mut self, number: ItemNumber) -> Result<(), DraftError> {
        if self.items.drafted.contains_key(&number) { Ok(()) } else { self.make_room_for(KEYS_OF_AN_END, 0) }
    }

    /// Lets go of an item's payload, if it has one.
    pub(super) fn release_payload(&mut self, number: ItemNumber) -> Result<(), DraftError> {
        self.make_room_for_end(number)?;
        let payload = std::mem::replace(&mut self.drafted(number)?.payload, Payload::None);
        let Payload::At(place) = payload else { return Ok(()) };
        match place {
            Place::Shared { bundle, length, .. } => {
                if self.occupancy.remove(bundle, length) == Left::Nothing {
                    self.remove(&layout::numbered(layout::PAYLOAD, bundle));
                }
            }
            Place::Own { first, pieces } if pieces > PIECES_REMOVED_AT_ONCE => {
                let mark = layout::numbered(layout::GARBAGE, first);
                self.put(&mark, u64::from(pieces).to_be_bytes().as_slice());
                self.garbage.push((first, pieces));
            }
            Place::Own { first, pieces } => {
                for piece in first..first + u64::from(pieces) {
                    self.remove(&layout::numbered(layout::PAYLOAD, piece));
                }
            }
        }
        Ok(())
    }

    /// Lays a payload down in pieces of its own. If they are too many for one batch, they are garbage until the batch that
    /// names the item.
    fn lay_down(&mut self, payload: &Bytes) -> Result<Place, DraftError> {
        let pieces = layout::pieces(payload.len());
        self.make_room_for(usize::from(pieces.min(PIECES_AT_ONCE)) + KEYS_OF_AN_ITEM, 0)?;
        let first = self.take_bundles(u64::from(pieces));
        self.written.payload_bytes += payload.len();
        if pieces <= PIECES_AT_ONCE {
            self.put_payload(payload, first);
            return Ok(Place::Own { first, pieces });
        }
        let mark = layout::numbered(layout::GARBAGE, first);
        self.apply()?;
        self.put(&mark, u64::from(pieces).to_be_bytes().as_slice());
        self.apply()?;
        let mut next = first;
        for run in payload.chunks(PIECE_SIZE * usize::from(PIECES_AT_ONCE)) {
            self.put_payload(run, next);
            next += u64::from(PIECES_AT_ONCE);
            self.apply()?;
        }
        self.remove(&mark);
        Ok(Place::Own { first, pieces })
    }

    fn put_payload(&mut self, bytes: &[u8], first: u64) {
        for (piece, chunk) in (first..).zip(bytes.chunks(PIECE_SIZE)) {
            self.put(&layout::numbered(layout::PAYLOAD, piece), chunk);
        }
    }
}
