//! Migration from the formats 2 and 3 of the layout: one database, whose records were removed when they were
//! outdated.
//!
//! The old database stays unchanged until the generations hold all of it, synced; then `FORMAT` is replaced
//! and the old database removed. A kill before that leaves the old format valid, and the next start migrates
//! again.
//!
//! ```text
//! j chunk        -> entries          the journal: records of items, and the locations of their payloads
//! p bundle       -> payloads         of several items, or a piece of a large one
//! g bundle       -> count            unreferenced pieces
//! e number piece -> document piece   the detail of an item
//! n, d, s, y ... piece -> document piece   documents in pieces
//! w, x, z ...    -> document         documents that are one value
//! m "log"        -> position         of format 3: log id, segment size, last record in the database
//! m "next"       -> number           the next free number of items and leases
//! m "clock", m "probe" -> document
//! ```

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::draft::{Draft, DraftError};
use super::generation::Generation;
use super::journal::Place;
use super::manifest::LogPosition;
use super::read_error::ReadError;
use super::table::{Part, Row};
use super::{keys, layout};
use crate::model::{ItemNumber, WorkflowName};
use crate::store::holdings::Holdings;
use crate::store::record::{self, RecordError};
use crate::store::{DocumentId, DocumentSet};

const CHUNK_V1: u8 = 1;
const DETAIL: u8 = b'e';
const NEXT_NUMBER: &[u8] = b"mnext";
const LOG: &[u8] = b"mlog";
/// sled's segment size, in bytes.
const SEGMENT_SIZE: usize = 4 * 1024 * 1024;
/// sled's page cache, in bytes: the database is read once, sequentially.
const CACHE: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    number: ItemNumber,
    #[serde(borrow)]
    written: Option<Written<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    place: Option<Place>,
    record: &'a [u8],
}

pub(super) struct Before(Generation);

impl Before {
    pub(super) fn open(path: &Path) -> Result<Self, DraftError> {
        Ok(Self(Generation::open_at(path, 0, SEGMENT_SIZE, CACHE)?))
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, ReadError> {
        Ok(self.0.tree.get(key)?)
    }

    /// The log that continues the database, if there is one.
    pub(super) fn log(&self) -> Result<Option<LogPosition>, ReadError> {
        let Some(bytes) = self.get(LOG)? else { return Ok(None) };
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u64::from_be_bytes).ok_or(ReadError::Key("the position of the log"))
        };
        let id = bytes
            .get(..16)
            .and_then(|id| id.try_into().ok())
            .ok_or(ReadError::Key("the position of the log"))?;
        Ok(Some(LogPosition { id, segment_size: number(16)?, covered: number(24)? }))
    }

    /// The next free item number.
    pub(super) fn next_number(&self) -> Result<u64, ReadError> {
        let number = self.get(NEXT_NUMBER)?.ok_or(ReadError::Lost)?;
        Ok(u64::from_be_bytes(number.as_ref().try_into().map_err(|_| ReadError::Key("the next number"))?))
    }

    /// Writes everything into a draft and syncs.
    pub(super) fn copy_into(&self, draft: &mut Draft, holdings: &mut Holdings) -> Result<(), DraftError> {
        let items = self.copy_items(draft, holdings)?;
        self.copy_documents(draft)?;
        draft.apply()?;
        draft.sync()?;
        tracing::info!(items, "migrated the data from an earlier format");
        Ok(())
    }

    fn copy_items(&self, draft: &mut Draft, holdings: &mut Holdings) -> Result<usize, DraftError> {
        let mut latest = HashMap::new();
        for chunk in self.0.chunks(0) {
            let (at, chunk) = chunk?;
            for entry in entries(&chunk) {
                let Entry { number, written } = entry?;
                match written {
                    Some(_) => latest.insert(number, at),
                    None => latest.remove(&number),
                };
            }
        }
        for chunk in self.0.chunks(0) {
            let (at, chunk) = chunk?;
            for entry in entries(&chunk) {
                let Entry { number, written: Some(Written { place, record }) } = entry? else { continue };
                if latest.get(&number) != Some(&at) {
                    continue;
                }
                let workflow = record::decode_names(record)?.workflow;
                let workflow =
                    WorkflowName::new(workflow).map_err(|_| ReadError::Key("an item's workflow"))?;
                holdings.add_items(&workflow, 1);
                let detail = self.pieces(&layout::numbered(DETAIL, number.0))?;
                let row = Row {
                    record: Some(Bytes::copy_from_slice(record)),
                    payload: place.map_or(Ok(Part::None), |place| self.payload(place).map(Part::New))?,
                    detail: detail.map_or(Part::None, Part::New),
                };
                draft.write_row(number, &row)?;
                draft.seal_if_due(false)?;
            }
        }
        Ok(latest.len())
    }

    fn payload(&self, place: Place) -> Result<Bytes, ReadError> {
        match place {
            Place::Shared { bundle, offset, length } => {
                let value = self.0.bundle(bundle)?.ok_or(ReadError::Lost)?;
                let offset = usize::from(offset);
                let part = value.get(offset..offset + usize::from(length)).ok_or(ReadError::Lost)?;
                Ok(Bytes::copy_from_slice(part))
            }
            Place::Own { first, pieces } => {
                let mut bytes = Vec::new();
                for piece in first..first + u64::from(pieces) {
                    bytes.extend_from_slice(&self.0.bundle(piece)?.ok_or(ReadError::Lost)?);
                }
                Ok(bytes.into())
            }
        }
    }

    fn pieces(&self, prefix: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let mut bytes = Vec::new();
        for piece in 0_u16.. {
            match self.get(&[prefix, &piece.to_be_bytes()].concat())? {
                Some(value) => bytes.extend_from_slice(&value),
                None => break,
            }
        }
        Ok((!bytes.is_empty()).then(|| bytes.into()))
    }

    fn copy_documents(&self, draft: &mut Draft) -> Result<(), DraftError> {
        for set in
            [DocumentSet::Incidents, DocumentSet::Deliveries, DocumentSet::Silences, DocumentSet::Replays]
        {
            for entry in self.0.tree.scan_prefix(keys::prefix(&set)) {
                let (key, _) = entry?;
                if let Some(prefix) = key.strip_suffix(&[0, 0]) {
                    let bytes = self.pieces(prefix)?.ok_or(ReadError::Lost)?;
                    draft.write_document(prefix, Some(&bytes))?;
                }
            }
        }
        for set in [DocumentSet::Workflows, DocumentSet::Progress, DocumentSet::Chunks] {
            for entry in self.0.tree.scan_prefix(keys::prefix(&set)) {
                let (key, value) = entry?;
                draft.write_document(&key, Some(&value))?;
            }
        }
        for id in [DocumentId::Clock, DocumentId::HealthCheck] {
            let key = keys::key(&id);
            if let Some(value) = self.get(&key)? {
                draft.write_document(&key, Some(&value))?;
            }
        }
        Ok(())
    }
}

fn entries(chunk: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, RecordError>> {
    let mut rest = chunk.strip_prefix(&[CHUNK_V1]).unwrap_or(chunk);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match postcard::take_from_bytes(rest) {
            Ok((entry, after)) => {
                rest = after;
                Some(Ok(entry))
            }
            Err(error) => {
                rest = &[];
                Some(Err(RecordError::Damaged(format!("a chunk of the journal: {error}"))))
            }
        }
    })
}
