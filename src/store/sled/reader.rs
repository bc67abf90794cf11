//! Reading from the database, on any thread.
//!
//! The tables are asked first and the database for what they say nothing of: what leaves a table is in the database by then,
//! so whoever asks in this order misses nothing.
//!
//! What takes several keys of the database that change is read under the guard of [`Reader::between_batches`], so that it is
//! never put together from before and after a change. A guard keeps the checkpoints waiting, so that what never changes is
//! read without one: chunks of the journal, bundles and pieces of payloads are written once and at last removed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::index::Index;
use super::journal::{self, Place, Written};
use super::layout::{self, PIECE_SIZE};
use super::names::{Name, NameHash, NameHasher};
use super::table::Part;
use super::tables::Tables;
use crate::model::{
    ClockAnchor, Delivery, DeliveryId, Incident, IncidentId, Item, ItemKey, ItemNumber, Page, Progress,
    ReplayChunk, ReplayId, Workflow, WorkflowName,
};
use crate::store::record::{self, RecordError};
use crate::store::{DeliveryPage, ListDeliveries, ListItems, listing};

/// How many items a scan looks up at once at most. It begins with fewer, since a page may be all that is wanted.
const SCAN_PAGE: usize = 256;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the database could not be read: {0}")]
    Database(#[from] sled::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a record is damaged: the key of {0} has a wrong form")]
    Key(&'static str),
    #[error("a record is damaged: the index tells of an item that its chunk does not hold")]
    Lost,
}

/// What is stored, as those see it who read.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) tables: Arc<RwLock<Tables>>,
    pub(super) tree: sled::Tree,
    pub(super) index: Arc<RwLock<Index>>,
    pub(super) hasher: NameHasher,
}

/// An item as it is stored, without its detail.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) item: Item,
    /// Where the database has its payload, if that is where the record was read.
    pub(super) place: Option<Place>,
}

/// The item in a chunk.
fn in_chunk(chunk: &[u8], number: ItemNumber) -> Result<Stored, ReadError> {
    let Written { place, record } = journal::entry(chunk, number)?.ok_or(ReadError::Lost)?;
    Ok(Stored { item: record::decode_item(number, record)?, place })
}

/// The item, as the index has it while nothing changes.
pub(super) fn stored(
    tree: &sled::Tree,
    index: &Index,
    number: ItemNumber,
) -> Result<Option<Stored>, ReadError> {
    let Some(chunk) = index.roster.get(number) else { return Ok(None) };
    let chunk = tree.get(layout::numbered(layout::JOURNAL, chunk))?.ok_or(ReadError::Lost)?;
    in_chunk(&chunk, number).map(Some)
}

impl Reader {
    /// Keeps the database from being changed for as long as the guard lives.
    fn between_batches(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hash by which a name is looked for.
    pub(super) fn hash(&self, name: Name<'_>) -> NameHash {
        self.hasher.hash(name)
    }

    /// The items that may be called so.
    pub(super) fn holders(&self, hash: NameHash) -> Vec<ItemNumber> {
        // The tables first: what leaves them is in the database by then.
        let mut holders: Vec<ItemNumber> = self.tables().holders(hash).collect();
        holders.extend(self.between_batches().names.holders(hash));
        holders
    }

    /// What the tables say of an item: nothing, that it is forgotten, or its record.
    fn recent(&self, number: ItemNumber) -> Option<Option<Bytes>> {
        self.tables().row(number).map(|row| row.record.clone())
    }

    /// The item without its detail.
    pub(super) fn stored(&self, number: ItemNumber) -> Result<Option<Stored>, ReadError> {
        match self.recent(number) {
            Some(Some(record)) => {
                Ok(Some(Stored { item: record::decode_item(number, &record)?, place: None }))
            }
            Some(None) => Ok(None),
            None => self.settled(number),
        }
    }

    /// The item as the database has it. A chunk never changes, so it is read without the guard, unless it was removed since
    /// the index was asked.
    fn settled(&self, number: ItemNumber) -> Result<Option<Stored>, ReadError> {
        let Some(chunk) = self.between_batches().roster.get(number) else { return Ok(None) };
        match self.tree.get(layout::numbered(layout::JOURNAL, chunk))? {
            Some(chunk) => in_chunk(&chunk, number).map(Some),
            None => stored(&self.tree, &self.between_batches(), number),
        }
    }

    pub(super) fn find(&self, key: &ItemKey) -> Result<Option<Item>, ReadError> {
        let name = Name::of_key(key);
        for number in self.holders(self.hash(name)) {
            if let Some(stored) = self.stored(number)?
                && name.is_of(&stored.item)
            {
                return self.with_detail(stored.item);
            }
        }
        Ok(None)
    }

    pub(super) fn item(&self, number: ItemNumber) -> Result<Option<Item>, ReadError> {
        self.stored(number)?.map_or(Ok(None), |stored| self.with_detail(stored.item))
    }

    /// The item with its detail, which belongs to the record that it is read with.
    fn with_detail(&self, item: Item) -> Result<Option<Item>, ReadError> {
        let mut item = item;
        loop {
            if item.detail.is_none() {
                return Ok(Some(item));
            }
            let detail = self.detail(item.number)?;
            // Whatever changed meanwhile changed the record as well.
            let Some(Stored { item: after, .. }) = self.stored(item.number)? else { return Ok(None) };
            if after == item {
                let detail = detail.ok_or(ReadError::Lost)?;
                item.detail = Some(Box::new(record::decode_document(&detail)?));
                return Ok(Some(item));
            }
            item = after;
        }
    }

    /// The bytes of an item's detail, if it has one.
    pub(super) fn detail(&self, number: ItemNumber) -> Result<Option<Bytes>, ReadError> {
        let part = self.tables().part(number, |row| &row.detail);
        match part {
            Part::New(bytes) => Ok(Some(bytes)),
            Part::None => Ok(None),
            Part::Same => {
                let _guard = self.between_batches();
                self.pieces(&layout::numbered(layout::DETAIL, number.0))
            }
        }
    }

    /// Items by ascending number, without their details.
    pub(super) fn items(&self, from: ItemNumber) -> impl Iterator<Item = Result<Item, ReadError>> + '_ {
        let (mut next, mut limit) = (Some(from), 32);
        let pages = std::iter::from_fn(move || {
            let from = next?;
            // The tables first: what leaves them is in the index by then, and may stand elsewhere than before.
            let recent = self.tables().numbers_from(from, limit);
            let settled = self.between_batches().roster.page(from, limit);
            let mut slots: BTreeMap<ItemNumber, Option<u64>> =
                settled.into_iter().map(|(number, chunk)| (number, Some(chunk))).collect();
            slots.extend(recent.into_iter().map(|number| (number, None)));
            let slots: Vec<_> = slots.into_iter().take(limit).collect();
            limit = (limit * 2).min(SCAN_PAGE);
            // By what was looked up, not by what is left of it when it is read: all of that may be forgotten meanwhile.
            next = Some(ItemNumber(slots.last()?.0.0.checked_add(1)?));
            match self.page(&slots) {
                Ok(items) => Some(items.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => {
                    next = None;
                    Some(vec![Err(error)])
                }
            }
        });
        pages.flatten()
    }

    /// What is left of these items without their details, by the chunks in which the database has them, if it is to be asked.
    fn page(&self, slots: &[(ItemNumber, Option<u64>)]) -> Result<Vec<Item>, ReadError> {
        let mut items = Vec::with_capacity(slots.len());
        // Neighbours were often written together, one after the other.
        for together in slots.chunk_by(|left, right| left.1 == right.1) {
            let chunk = match together[0].1 {
                Some(chunk) => self.tree.get(layout::numbered(layout::JOURNAL, chunk))?,
                None => None,
            };
            let Some(chunk) = chunk else {
                // The tables had it, or what still holds of the chunk was moved since the index was asked.
                for (number, _) in together {
                    items.extend(self.stored(*number)?.map(|stored| stored.item));
                }
                continue;
            };
            let mut entries = journal::entries(&chunk);
            for (number, _) in together {
                let next = entries.find(|entry| entry.as_ref().is_ok_and(|entry| entry.number == *number));
                let written = match next {
                    Some(entry) => entry?.written,
                    None => journal::entry(&chunk, *number)?,
                };
                let Written { record, .. } = written.ok_or(ReadError::Lost)?;
                items.push(record::decode_item(*number, record)?);
            }
        }
        Ok(items)
    }

    pub(super) fn list(&self, question: &ListItems) -> Result<Page<Item>, ReadError> {
        let mut page = listing::page(question, self.items(listing::scan_from(question)))?;
        // A detail belongs to the record it is read with; meanwhile there may be another, or none.
        let whole = |item: Item| match item.detail {
            None => Some(Ok(item)),
            Some(_) => {
                let admits = |item: &Item| question.filter.admits(item, question.now);
                self.item(item.number).map(|item| item.filter(admits)).transpose()
            }
        };
        page.data = page.data.into_iter().filter_map(whole).collect::<Result<_, _>>()?;
        Ok(page)
    }

    /// A part of a payload in a bundle.
    fn shared(
        &self,
        number: ItemNumber,
        place: Place,
        part: Range<usize>,
    ) -> Result<Option<Bytes>, ReadError> {
        let cut = |place: Place| -> Result<Option<Bytes>, ReadError> {
            let Place::Shared { bundle, offset, .. } = place else { return Ok(None) };
            let Some(bundle) = self.tree.get(layout::numbered(layout::PAYLOAD, bundle))? else {
                return Ok(None);
            };
            let range = usize::from(offset) + part.start..usize::from(offset) + part.end;
            let bytes = bundle.get(range).ok_or(ReadError::Lost)?;
            Ok(Some(Bytes::copy_from_slice(bytes)))
        };
        if let Some(bytes) = cut(place)? {
            return Ok(Some(bytes));
        }
        // It was moved or has gone since its place was read.
        let index = self.between_batches();
        let place = stored(&self.tree, &index, number)?.and_then(|stored| stored.place);
        place.map_or(Ok(None), cut)
    }

    pub(super) fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        let Some(Stored { item, place }) = self.stored(number)? else { return Ok(None) };
        let Some(payload) = item.stored_payload() else { return Ok(None) };
        if payload.size == 0 {
            return Ok(Some(Bytes::new()));
        }
        let start = offset.min(payload.size);
        let end = start.saturating_add(length as u64).min(payload.size);
        let recent = self.tables().part(number, |row| &row.payload);
        let place = match (recent, place) {
            (Part::New(bytes), _) => {
                let (start, end) = (start as usize, (end as usize).min(bytes.len()));
                return Ok(Some(bytes.slice(start.min(end)..end)));
            }
            (_, Some(place)) => place,
            (_, None) => match self.settled(number)?.and_then(|stored| stored.place) {
                Some(place) => place,
                None => return Ok(None),
            },
        };
        let first = match place {
            Place::Own { first, .. } => first,
            Place::Shared { .. } => return self.shared(number, place, start as usize..end as usize),
        };
        let mut bytes = Vec::with_capacity((end - start) as usize);
        let mut skip = (start % PIECE_SIZE as u64) as usize;
        for piece in start / PIECE_SIZE as u64..end.div_ceil(PIECE_SIZE as u64) {
            // The item may have been closed since its record was read.
            let Some(value) = self.tree.get(layout::numbered(layout::PAYLOAD, first + piece))? else {
                return Ok(None);
            };
            bytes.extend_from_slice(value.get(skip..).unwrap_or_default());
            skip = 0;
        }
        bytes.truncate((end - start) as usize);
        Ok(Some(bytes.into()))
    }

    /// A document of which the database has pieces.
    pub(super) fn document<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, ReadError> {
        let bytes = self.document_bytes(key)?;
        Ok(bytes.map(|bytes| record::decode_document(&bytes)).transpose()?)
    }

    fn document_bytes(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        if let Some(recent) = self.recent_document(key) {
            return Ok(recent);
        }
        let _guard = self.between_batches();
        self.pieces(key)
    }

    fn recent_document(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.tables().document(key)
    }

    /// A document that is one value.
    pub(super) fn value(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        match self.recent_document(key) {
            Some(recent) => Ok(recent),
            None => Ok(self.tree.get(key)?.map(|value| Bytes::copy_from_slice(&value))),
        }
    }

    /// To be called under the guard.
    fn pieces(&self, prefix: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let mut bytes = Vec::new();
        for piece in 0.. {
            match self.tree.get(layout::piece(prefix, piece))? {
                Some(value) => bytes.extend_from_slice(&value),
                None => break,
            }
        }
        Ok(if bytes.is_empty() { None } else { Some(bytes.into()) })
    }

    /// The keys of the documents in a range, in their order. Some may be gone by now.
    pub(super) fn keys(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<Vec<u8>, ReadError>> + use<> {
        // The tables first: what leaves them is in the database by then.
        let recent = self.tables().keys(from, to);
        let settled = self.tree.range(from.to_vec()..to.to_vec()).keys().filter_map(document_key);
        merged(recent.into_iter(), settled, |left, right| left < right)
    }

    /// The same, from the other end.
    fn keys_backwards(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<Vec<u8>, ReadError>> + use<> {
        let recent = self.tables().keys(from, to);
        let settled = self.tree.range(from.to_vec()..to.to_vec()).keys().rev().filter_map(document_key);
        merged(recent.into_iter().rev(), settled, |left, right| left > right)
    }

    /// The documents to which these keys belong, in their order.
    fn documents<T: DeserializeOwned>(
        &self,
        keys: impl Iterator<Item = Result<Vec<u8>, ReadError>>,
    ) -> impl Iterator<Item = Result<T, ReadError>> {
        keys.filter_map(|key| match key {
            Ok(key) => self.document(&key).transpose(),
            Err(error) => Some(Err(error)),
        })
    }

    /// The workflows that are noted.
    pub(super) fn workflows(&self) -> impl Iterator<Item = Result<Workflow, ReadError>> {
        let (from, to) = layout::range(&[layout::WORKFLOW]);
        self.keys(&from, &to).filter_map(|key| match key.and_then(|key| self.value(&key)) {
            Ok(value) => value.map(|value| Ok(record::decode_document(&value)?)),
            Err(error) => Some(Err(error)),
        })
    }

    pub(super) fn clock(&self) -> Result<Option<ClockAnchor>, ReadError> {
        Ok(self.value(layout::CLOCK)?.map(|value| record::decode_document(&value)).transpose()?)
    }

    pub(super) fn progresses(&self) -> Result<Vec<(WorkflowName, Progress)>, ReadError> {
        let (from, to) = layout::range(&[layout::PROGRESS]);
        let mut progresses = Vec::new();
        for key in self.keys(&from, &to) {
            let key = key?;
            let name = std::str::from_utf8(&key[1..]).ok().and_then(|name| WorkflowName::new(name).ok());
            let name = name.ok_or(ReadError::Key("a workflow's progress"))?;
            if let Some(value) = self.value(&key)? {
                progresses.push((name, record::decode_document(&value)?));
            }
        }
        Ok(progresses)
    }

    pub(super) fn replay_chunk(
        &self,
        replay: &ReplayId,
        index: u32,
    ) -> Result<Option<ReplayChunk>, ReadError> {
        let value = self.value(&layout::replay_chunk(replay, index))?;
        Ok(value.map(|value| record::decode_replay_chunk(index, &value)).transpose()?)
    }

    pub(super) fn unmade_replays(&self) -> Result<Vec<ReplayId>, ReadError> {
        let (mut from, to) = layout::range(&[layout::REPLAY_CHUNK]);
        let mut unmade = Vec::new();
        loop {
            // Those that are gone since tell nothing.
            let there = self.keys(&from, &to).find_map(|key| match key {
                Ok(key) => match self.value(&key) {
                    Ok(value) => value.map(|_| Ok(key)),
                    Err(error) => Some(Err(error)),
                },
                Err(error) => Some(Err(error)),
            });
            let Some(key) = there.transpose()? else { return Ok(unmade) };
            let id = layout::replay_of_chunk(&key).ok_or(ReadError::Key("a replay's chunk"))?;
            if self.document_bytes(&layout::replay(&id))?.is_none() {
                unmade.push(id.clone());
            }
            // On behind all chunks of this one, however many they are.
            from = layout::range(&layout::replay_chunks(&id)).1;
        }
    }

    pub(super) fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, ReadError> {
        let (from, to) = layout::range(&[layout::INCIDENT]);
        let to = before.map_or(to, |id| layout::incident(&id));
        self.documents(self.keys_backwards(&from, &to)).take(limit).collect()
    }

    /// All documents whose keys begin like this, in the order of their keys.
    pub(super) fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, ReadError> {
        self.stream(prefix).collect()
    }

    /// The same, one after the other.
    pub(super) fn stream<T: DeserializeOwned>(
        &self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<T, ReadError>> {
        let (from, to) = layout::range(prefix);
        self.documents(self.keys(&from, &to))
    }

    /// What the keys of each delivery begin with. The keys alone are looked at, of which a delivery has a few.
    fn delivery_keys(&self) -> impl Iterator<Item = Result<Vec<u8>, ReadError>> {
        let (from, to) = layout::range(&[layout::DELIVERY]);
        self.keys(&from, &to)
    }

    pub(super) fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, ReadError> {
        for key in self.delivery_keys() {
            let key = key?;
            if layout::delivery_id(&key) == Some(&*id.0) {
                return self.document(&key);
            }
        }
        Ok(None)
    }

    pub(super) fn list_deliveries(&self, question: &ListDeliveries) -> Result<DeliveryPage, ReadError> {
        let mut found = Vec::new();
        for key in self.delivery_keys() {
            let key = key?;
            if let Some(id) = layout::delivery_id(&key)
                && listing::is_in_range(question, id)
            {
                found.push((DeliveryId(id.into()), key));
            }
        }
        found.sort_by(|left, right| right.0.cmp(&left.0));
        let read = |(id, key): (DeliveryId, Vec<u8>)| (id, self.document(&key));
        listing::page_of_deliveries(question, found.into_iter().map(read))
    }
}

/// The key of the document that a key of the database belongs to, if it is met by this one: a document is met by its pieces,
/// and the first of them stands for it.
fn document_key(key: sled::Result<sled::IVec>) -> Option<Result<Vec<u8>, ReadError>> {
    match key {
        Ok(key) if key.first().is_some_and(|letter| layout::has_pieces(*letter)) => {
            key.strip_suffix(&[0, 0]).map(|prefix| Ok(prefix.to_vec()))
        }
        Ok(key) => Some(Ok(key.to_vec())),
        Err(error) => Some(Err(error.into())),
    }
}

/// Both in one, in their common order and each key once.
fn merged(
    recent: impl Iterator<Item = Vec<u8>>,
    settled: impl Iterator<Item = Result<Vec<u8>, ReadError>>,
    is_before: fn(&[u8], &[u8]) -> bool,
) -> impl Iterator<Item = Result<Vec<u8>, ReadError>> {
    let (mut recent, mut settled) = (recent.peekable(), settled.fuse().peekable());
    std::iter::from_fn(move || {
        let (Some(first), Some(Ok(second))) = (recent.peek(), settled.peek()) else {
            // One is at its end, or the database has failed.
            return settled.next().or_else(|| recent.next().map(Ok));
        };
        if is_before(second, first) {
            return settled.next();
        }
        if first == second {
            settled.next();
        }
        recent.next().map(Ok)
    })
}
