//! Reading the values of a generation: manifest, chunks and bundles, and what is in them.

use std::ops::Range;

use bytes::Bytes;

use super::generation::Generation;
use super::index::Document;
use super::journal::{self, Entry, Place};
use super::layout::{self, PIECE_SIZE};
use super::manifest::Manifest;
use super::read_error::ReadError;

impl Generation {
    /// The manifest; `None` if it was never written.
    pub(super) fn manifest(&self) -> Result<Option<Manifest>, ReadError> {
        Ok(self.tree.get(layout::MANIFEST)?.map(|bytes| Manifest::decode(&bytes)).transpose()?)
    }

    /// The journal chunks from this one on, in order.
    pub(super) fn chunks(
        &self,
        from: u64,
    ) -> impl Iterator<Item = Result<(u64, sled::IVec), ReadError>> + use<> {
        self.values(layout::JOURNAL, from)
    }

    /// The bundles from this one on, in order.
    pub(super) fn bundles(
        &self,
        from: u64,
    ) -> impl Iterator<Item = Result<(u64, sled::IVec), ReadError>> + use<> {
        self.values(layout::BUNDLE, from)
    }

    fn values(
        &self,
        letter: u8,
        from: u64,
    ) -> impl Iterator<Item = Result<(u64, sled::IVec), ReadError>> + use<> {
        let range = layout::numbered(letter, from)..=layout::numbered(letter, u64::MAX);
        self.tree.range(range).map(|entry| {
            let (key, value) = entry?;
            Ok((layout::number_of(&key).ok_or(ReadError::Key("a chunk or bundle"))?, value))
        })
    }

    /// The number after the last chunk or bundle; `None` if there is none.
    pub(super) fn next(&self, letter: u8) -> Result<Option<u64>, ReadError> {
        let range = layout::numbered(letter, 0)..=layout::numbered(letter, u64::MAX);
        let Some(last) = self.tree.range(range).next_back() else { return Ok(None) };
        let number = layout::number_of(&last?.0).ok_or(ReadError::Key("a chunk or bundle"))?;
        Ok(Some(number + 1))
    }

    pub(super) fn chunk(&self, number: u64) -> Result<Option<sled::IVec>, ReadError> {
        self.note_read(layout::JOURNAL, number);
        Ok(self.tree.get(layout::numbered(layout::JOURNAL, number))?)
    }

    pub(super) fn bundle(&self, number: u64) -> Result<Option<sled::IVec>, ReadError> {
        self.note_read(layout::BUNDLE, number);
        Ok(self.tree.get(layout::numbered(layout::BUNDLE, number))?)
    }

    /// A range of a payload or detail, cut to its length; `None` if the generation does not hold it.
    pub(super) fn part(&self, place: Place, range: Range<usize>) -> Result<Option<Bytes>, ReadError> {
        let (first, pieces) = match place {
            Place::Own { first, pieces } => (first, u64::from(pieces)),
            Place::Shared { bundle, offset, length } => {
                let Some(value) = self.bundle(bundle)? else { return Ok(None) };
                let offset = usize::from(offset);
                let part = value.get(offset..offset + usize::from(length)).ok_or(ReadError::Lost)?;
                let end = range.end.min(part.len());
                return Ok(Some(Bytes::copy_from_slice(&part[range.start.min(end)..end])));
            }
        };
        let mut bytes = Vec::new();
        let wanted = range.len();
        let mut skip = range.start % PIECE_SIZE;
        let last = (range.end.div_ceil(PIECE_SIZE) as u64).min(pieces);
        for piece in (range.start / PIECE_SIZE) as u64..last {
            let Some(value) = self.bundle(first + piece)? else { return Ok(None) };
            let value = journal::piece_bytes(&value).ok_or(ReadError::Lost)?;
            bytes.extend_from_slice(value.get(skip..).unwrap_or_default());
            skip = 0;
        }
        bytes.truncate(wanted);
        Ok(Some(bytes.into()))
    }

    /// A document; `None` if the generation does not hold it.
    pub(super) fn document(&self, key: &[u8], document: Document) -> Result<Option<Bytes>, ReadError> {
        let mut bytes = Vec::new();
        for chunk in document.chunk.. {
            let Some(chunk) = self.chunk(chunk)? else { return Ok(None) };
            for entry in journal::entries(&chunk) {
                if let Entry::Document { key: found, piece: Some(piece) } = entry?
                    && found == key
                {
                    bytes.extend_from_slice(piece.bytes);
                    if piece.index + 1 >= piece.count {
                        return Ok(Some(bytes.into()));
                    }
                }
            }
        }
        Ok(None)
    }
}
