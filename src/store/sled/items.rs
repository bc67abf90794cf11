//! Items as a draft has them: what was written of them since the last batch.

use bytes::Bytes;
use hashbrown::HashMap;

use super::draft::{
    Draft, DraftError, KEYS_OF_AN_END, KEYS_OF_AN_ITEM, PIECES_AT_ONCE, PIECES_REMOVED_AT_ONCE, detail_prefix,
};
use super::journal::Place;
use super::layout::{self, PIECE_SIZE};
use super::names::{Name, NameHash, NameHasher, Names};
use super::occupancy::Left;
use super::reader::{self, Stored};
use crate::model::item::ItemDetail;
use crate::model::{Item, ItemNumber};
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
    /// Whether nothing of it was in the database before.
    is_new: bool,
    /// What it is called from this batch on or, when it is forgotten, no longer.
    pub(super) names: [Option<NameHash>; 2],
}

/// The items of which something was written since the last batch.
#[derive(Debug)]
pub(super) struct Items {
    drafted: HashMap<ItemNumber, Drafted>,
    /// In this order.
    order: Vec<ItemNumber>,
    /// What the new ones among them are called.
    names: Names,
    hasher: NameHasher,
    /// What they take, their payloads included, in bytes.
    bytes: usize,
    /// The item that was looked at last, which is the one that is looked at next.
    at_hand: Option<Stored>,
}

impl Items {
    pub(super) fn new(hasher: NameHasher) -> Self {
        Self {
            drafted: HashMap::new(),
            order: Vec::new(),
            names: Names::default(),
            hasher,
            bytes: 0,
            at_hand: None,
        }
    }

    /// What they take, their payloads included, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes them all, but for those that came and went, of which nobody needs to know.
    pub(super) fn take(&mut self) -> Vec<(ItemNumber, Drafted)> {
        self.names.clear();
        self.bytes = 0;
        self.at_hand = None;
        let drafted = self.order.drain(..).filter_map(|number| {
            let drafted = self.drafted.remove(&number)?;
            (drafted.record.is_some() || !drafted.is_new).then_some((number, drafted))
        });
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
        self.insert(
            number,
            Drafted { record: Some(record.to_vec()), payload, is_new: false, names: [None; 2] },
        );
    }

    fn hashes(&self, item: &Item) -> [Option<NameHash>; 2] {
        let mut names = Name::all(&item.workflow, &item.id, item.idempotency_key.as_ref());
        [names.next(), names.next()].map(|name| name.map(|name| self.hasher.hash(name)))
    }
}

impl Draft {
    /// The item by its number, without its detail, and where its payload is.
    fn stored(&mut self, number: ItemNumber) -> Result<Option<&Stored>, DraftError> {
        let is_at_hand = self.items.at_hand.as_ref().is_some_and(|stored| stored.item.number == number);
        if !is_at_hand {
            self.items.at_hand = match self.items.drafted.get(&number) {
                Some(Drafted { record: None, .. }) => None,
                Some(Drafted { record: Some(record), payload, .. }) => {
                    let place = if let Payload::At(place) = payload { Some(*place) } else { None };
                    Some(Stored { item: record::decode_item(number, record)?, place })
                }
                None => reader::stored(&self.tree, &self.index(), number)?,
            };
        }
        Ok(self.items.at_hand.as_ref())
    }

    /// The item by its number.
    pub(super) fn read_item(&mut self, number: ItemNumber) -> Result<Option<Item>, DraftError> {
        let Some(mut item) = self.stored(number)?.map(|stored| stored.item.clone()) else { return Ok(None) };
        if item.detail.is_some() {
            item.detail = Some(Box::new(self.read_detail(number)?));
        }
        Ok(Some(item))
    }

    fn read_detail(&self, number: ItemNumber) -> Result<ItemDetail, DraftError> {
        let prefix = detail_prefix(number);
        let mut bytes = Vec::new();
        for piece in 0.. {
            match self.get(&layout::piece(&prefix, piece))? {
                Some(value) => bytes.extend_from_slice(&value),
                None => break,
            }
        }
        Ok(record::decode_document(&bytes)?)
    }

    /// The item that is called so.
    pub(super) fn named(&mut self, name: Name<'_>) -> Result<Option<ItemNumber>, DraftError> {
        let hash = self.items.hasher.hash(name);
        let mut holders: Vec<ItemNumber> = self.items.names.holders(hash).collect();
        holders.extend(self.index().names.holders(hash));
        for number in holders {
            if self.stored(number)?.is_some_and(|stored| name.is_of(&stored.item)) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// The item as it is drafted, beginning with what is in the database.
    fn drafted(&mut self, number: ItemNumber) -> Result<&mut Drafted, DraftError> {
        if !self.items.drafted.contains_key(&number) {
            let Some(stored) = self.stored(number)? else { return Err(DraftError::Lost) };
            let drafted = Drafted {
                record: Some(record::encode_item(&stored.item)),
                payload: stored.place.into(),
                is_new: false,
                names: [None; 2],
            };
            return Ok(self.items.insert(number, drafted));
        }
        self.items.drafted.get_mut(&number).ok_or(DraftError::Lost)
    }

    /// Adds an item that nobody knows yet.
    pub(super) fn add_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), DraftError> {
        let payload = match payload {
            None => Payload::None,
            Some(bytes) if bytes.is_empty() => Payload::None,
            Some(bytes) if bytes.len() <= PIECE_SIZE => Payload::New(bytes),
            Some(bytes) => Payload::At(self.lay_down(&bytes)?),
        };
        let names = self.items.hashes(item);
        for hash in names.into_iter().flatten() {
            self.items.names.insert(hash, item.number);
        }
        let record = Some(record::encode_item(item));
        self.items.insert(item.number, Drafted { record, payload, is_new: true, names });
        Ok(())
    }

    /// Writes an item's record over the old one.
    pub(super) fn write_item(&mut self, item: &Item) -> Result<(), DraftError> {
        let record = record::encode_item(item);
        self.items.bytes += record.len();
        self.drafted(item.number)?.record = Some(record);
        self.items.at_hand = None;
        Ok(())
    }

    /// Forgets an item and what it is called.
    pub(super) fn forget_item(&mut self, item: &Item) -> Result<(), DraftError> {
        self.make_room_for_end(item.number)?;
        let names = self.items.hashes(item);
        let drafted = self.drafted(item.number)?;
        drafted.record = None;
        drafted.names = names;
        if drafted.is_new {
            for hash in names.into_iter().flatten() {
                self.items.names.remove(hash, item.number);
            }
        }
        self.items.at_hand = None;
        Ok(())
    }

    /// Makes room for what the end of an item or of its payload takes, unless it has begun. It is the first that a command
    /// does, or stands by itself: an item whose time has run out is forgotten by whoever meets it, a create as well.
    fn make_room_for_end(&mut self, number: ItemNumber) -> Result<(), DraftError> {
        if self.items.drafted.contains_key(&number) { Ok(()) } else { self.make_room_for(KEYS_OF_AN_END, 0) }
    }

    /// Lets go of an item's payload, if it has one.
    pub(super) fn release_payload(&mut self, number: ItemNumber) -> Result<(), DraftError> {
        self.make_room_for_end(number)?;
        let payload = std::mem::replace(&mut self.drafted(number)?.payload, Payload::None);
        self.items.at_hand = None;
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
        let first = self.take_numbers(u64::from(pieces));
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
