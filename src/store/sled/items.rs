//! Items as a draft has them: what was written of them since the last batch.

use bytes::Bytes;
use hashbrown::HashMap;

use super::draft::{Draft, DraftError};
use super::journal::{Place, Written};
use super::layout::PIECE_SIZE;
use super::names::{Name, NameHash};
use super::reader::ReadError;
use super::table::{Part, Row};
use crate::model::ItemNumber;
use crate::store::record;

/// A payload or a detail of a drafted item.
#[derive(Debug)]
pub(super) enum Content {
    /// There is none, or none any more, or it is empty, which the record tells.
    None,
    /// It is in a generation.
    At(Place),
    /// It goes into a bundle with the next batch; a byte at least and [`PIECE_SIZE`] at most.
    New(Bytes),
}

impl Content {
    /// Where it is, or is put if it is in no generation yet.
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

/// What the generations have of an item before the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) chunk: u64,
    /// What its entry counts for, in bytes.
    pub(super) size: u64,
    pub(super) payload: Option<Place>,
    pub(super) detail: Option<Place>,
}

/// An item of which something was written.
#[derive(Debug)]
pub(super) struct Drafted {
    /// Its record; nothing once it is forgotten.
    pub(super) record: Option<Bytes>,
    pub(super) payload: Content,
    pub(super) detail: Content,
    /// What it is called from this batch on or, when it is forgotten, no longer.
    pub(super) names: [Option<NameHash>; 2],
    pub(super) before: Option<Before>,
}

/// The items of which something was written since the last batch.
#[derive(Debug, Default)]
pub(super) struct Items {
    drafted: HashMap<ItemNumber, Drafted>,
    /// In this order.
    order: Vec<ItemNumber>,
    /// What they take, in bytes.
    bytes: usize,
}

impl Items {
    /// What they take, in bytes.
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

    pub(super) fn contains(&self, number: ItemNumber) -> bool {
        self.drafted.contains_key(&number)
    }

    /// Takes what was written of an item, to be put back.
    fn take_one(&mut self, number: ItemNumber) -> Option<Drafted> {
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

impl Draft {
    /// Writes the latest word on an item. It may be what the generations have already.
    pub(super) fn write_row(&mut self, number: ItemNumber, row: &Row) -> Result<(), DraftError> {
        let before = match self.items.take_one(number) {
            Some(drafted) => Some(drafted),
            None => self.settled(number)?,
        };
        let drafted = match (&row.record, before) {
            (None, None) => return Ok(()),
            (None, Some(before)) => Drafted {
                record: None,
                payload: Content::None,
                detail: Content::None,
                names: before.record.map_or(Ok([None; 2]), |record| self.hashes(&record))?,
                before: before.before,
            },
            (Some(record), None) => Drafted {
                record: Some(record.clone()),
                names: self.hashes(record)?,
                payload: self.content(number, &row.payload)?,
                detail: self.content(number, &row.detail)?,
                before: None,
            },
            (Some(record), Some(before)) => Drafted {
                record: Some(record.clone()),
                // A payload never changes, so that one which is there is this one.
                payload: match (&row.payload, before.payload) {
                    (Part::Same, payload) | (Part::New(_), payload @ (Content::At(_) | Content::New(_))) => {
                        payload
                    }
                    (part, Content::None) | (part @ Part::None, _) => self.content(number, part)?,
                },
                detail: match (&row.detail, before.detail) {
                    (Part::Same, detail) => detail,
                    (part, _) => self.content(number, part)?,
                },
                ..before
            },
        };
        self.items.put(number, drafted);
        self.make_room()
    }

    /// The item as the generations have it.
    pub(super) fn settled(&self, number: ItemNumber) -> Result<Option<Drafted>, DraftError> {
        let (chunk, generation) = {
            let index = self.index();
            let Some(chunk) = index.roster.get(number) else { return Ok(None) };
            (chunk, index.generations.of_chunk(chunk).ok_or(ReadError::Lost)?)
        };
        let value = generation.chunk(chunk)?.ok_or(ReadError::Lost)?;
        let written = super::journal::written(&value, number)?.ok_or(ReadError::Lost)?;
        let size = written.size();
        let Written { payload, detail, record } = written;
        Ok(Some(Drafted {
            record: Some(Bytes::copy_from_slice(record)),
            payload: payload.into(),
            detail: detail.into(),
            names: [None; 2],
            before: Some(Before { chunk, size, payload, detail }),
        }))
    }

    /// A part as it goes into a generation; one too large for a bundle is laid down at once.
    pub(super) fn content(&mut self, number: ItemNumber, part: &Part) -> Result<Content, DraftError> {
        match part {
            Part::New(bytes) if bytes.len() > PIECE_SIZE => Ok(Content::At(self.lay_down(number, bytes)?)),
            Part::New(bytes) if !bytes.is_empty() => Ok(Content::New(bytes.clone())),
            Part::New(_) | Part::None | Part::Same => Ok(Content::None),
        }
    }

    fn hashes(&self, record: &[u8]) -> Result<[Option<NameHash>; 2], DraftError> {
        let names = record::decode_names(record)?;
        let mut names = Name::all(names.workflow, names.id, names.idempotency_key.as_ref());
        let index = self.index();
        Ok([names.next(), names.next()].map(|name| name.map(|name| index.hasher.hash(name))))
    }

    /// The bytes of a part that is in a generation.
    pub(super) fn part(&self, place: Place) -> Result<Bytes, ReadError> {
        let generation = self.index().generations.of_bundle(place.bundle()).ok_or(ReadError::Lost)?;
        generation.part(place, 0..usize::MAX)?.ok_or(ReadError::Lost)
    }
}
