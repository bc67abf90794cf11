//! Adding items to a draft.

use bytes::Bytes;

use super::batch::{Before, Content, Drafted};
use super::draft::{Draft, DraftError};
use super::journal::{Place, Written};
use super::layout::PIECE_SIZE;
use super::names::{Name, NameHash};
use super::read_error::ReadError;
use super::table::{Part, Row};
use crate::model::ItemNumber;
use crate::store::record;

impl Draft {
    /// Drafts the latest version of an item, or its tombstone. May repeat what the generations hold.
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
                // A payload never changes, so one that is already there is the same.
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

    /// An item as the generations hold it.
    pub(super) fn settled(&self, number: ItemNumber) -> Result<Option<Drafted>, DraftError> {
        let (chunk, generation) = {
            let index = self.index();
            let Some(chunk) = index.locations.get(number) else { return Ok(None) };
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

    /// Prepares a part for the batch. One too large for a bundle is written as pieces at once.
    pub(super) fn content(&mut self, number: ItemNumber, part: &Part) -> Result<Content, DraftError> {
        match part {
            Part::New(bytes) if bytes.len() > PIECE_SIZE => {
                Ok(Content::At(self.write_pieces(number, bytes)?))
            }
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

    /// Reads a part from its generation.
    pub(super) fn part(&self, place: Place) -> Result<Bytes, ReadError> {
        let generation = self.index().generations.of_bundle(place.bundle()).ok_or(ReadError::Lost)?;
        generation.part(place, 0..usize::MAX)?.ok_or(ReadError::Lost)
    }
}
