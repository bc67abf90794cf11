//! The items of the batch that a draft is building, before they are written.

use bytes::Bytes;
use hashbrown::HashMap;

use super::journal::Place;
use super::names::NameHash;
use crate::model::ItemNumber;

#[derive(Debug)]
pub(super) enum Content {
    /// Absent, removed or empty; the record tells which.
    None,
    /// In a generation.
    At(Place),
    /// To be written into a bundle with the next batch; 1 to [`super::layout::PIECE_SIZE`] bytes.
    New(Bytes),
}

impl Content {
    /// Its location; `put` writes it if it is in no generation yet.
    pub(super) fn place(&self, put: impl FnOnce(&[u8]) -> Place) -> Option<Place> {
        match self {
            Self::None => None,
            Self::At(place) => Some(*place),
            Self::New(bytes) => Some(put(bytes)),
        }
    }

    fn size(&self) -> usize {
        if let Self::New(bytes) = self { bytes.len() + 16 } else { 0 }
    }
}

impl From<Option<Place>> for Content {
    fn from(place: Option<Place>) -> Self {
        place.map_or(Self::None, Self::At)
    }
}

/// An item as the generations held it before the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) chunk: u64,
    /// The size of its entry, in bytes.
    pub(super) size: u64,
    pub(super) payload: Option<Place>,
    pub(super) detail: Option<Place>,
}

#[derive(Debug)]
pub(super) struct Drafted {
    /// `None` is a tombstone.
    pub(super) record: Option<Bytes>,
    pub(super) payload: Content,
    pub(super) detail: Content,
    /// The names to add to the index or, for a tombstone, to remove from it.
    pub(super) names: [Option<NameHash>; 2],
    pub(super) before: Option<Before>,
}

#[derive(Debug, Default)]
pub(super) struct Items {
    drafted: HashMap<ItemNumber, Drafted>,
    /// The order of the entries in the batch.
    order: Vec<ItemNumber>,
    bytes: usize,
}

impl Items {
    /// The estimated size of the batch, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn take(&mut self) -> Vec<(ItemNumber, Drafted)> {
        self.bytes = 0;
        let drafted = self.order.drain(..).filter_map(|number| Some((number, self.drafted.remove(&number)?)));
        drafted.collect()
    }

    pub(super) fn contains(&self, number: ItemNumber) -> bool {
        self.drafted.contains_key(&number)
    }

    /// Removes an item from the batch, to be put back changed.
    pub(super) fn take_one(&mut self, number: ItemNumber) -> Option<Drafted> {
        let drafted = self.drafted.remove(&number)?;
        self.order.retain(|other| *other != number);
        Some(drafted)
    }

    pub(super) fn put(&mut self, number: ItemNumber, drafted: Drafted) {
        self.bytes += drafted.record.as_ref().map_or(0, Bytes::len) + 32;
        self.bytes += drafted.payload.size() + drafted.detail.size();
        self.drafted.insert(number, drafted);
        self.order.push(number);
    }
}
