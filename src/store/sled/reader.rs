//! Reading from the database, on any thread.
//!
//! What takes several keys that change is read under the guard of [`Reader::between_batches`], so that it is never put
//! together from before and after a change. A guard keeps everybody's writes waiting, so that what never changes is read
//! without one: chunks of the journal, bundles and pieces of payloads are written once and at last removed.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::index::Index;
use super::journal::{self, Place, Written};
use super::layout::{self, PIECE_SIZE};
use super::names::Name;
use crate::model::{
    Delivery, DeliveryId, Incident, IncidentId, Item, ItemKey, ItemNumber, Page, Progress, ReplayChunk,
    ReplayId, Workflow, WorkflowName,
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

/// The database as those see it who read.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) tree: sled::Tree,
    pub(super) index: Arc<RwLock<Index>>,
}

/// An item as it is stored, without its detail.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) item: Item,
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
    /// Keeps the committing thread from applying a batch for as long as the guard lives.
    fn between_batches(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The item without its detail. A chunk never changes, so it is read without the guard, unless it was removed since the
    /// index was asked.
    fn stored(&self, number: ItemNumber) -> Result<Option<Stored>, ReadError> {
        let Some(chunk) = self.between_batches().roster.get(number) else { return Ok(None) };
        match self.tree.get(layout::numbered(layout::JOURNAL, chunk))? {
            Some(chunk) => in_chunk(&chunk, number).map(Some),
            None => stored(&self.tree, &self.between_batches(), number),
        }
    }

    pub(super) fn find(&self, key: &ItemKey) -> Result<Option<Item>, ReadError> {
        let name = Name::of_key(key);
        let holders: Vec<ItemNumber> = {
            let index = self.between_batches();
            index.names.holders(index.hasher.hash(name)).collect()
        };
        for number in holders {
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
        if item.detail.is_none() {
            return Ok(Some(item));
        }
        let index = self.between_batches();
        let Some(Stored { mut item, .. }) = stored(&self.tree, &index, item.number)? else { return Ok(None) };
        if item.detail.is_some() {
            item.detail = self.pieces(&layout::numbered(layout::DETAIL, item.number.0))?.map(Box::new);
        }
        Ok(Some(item))
    }

    /// Items by ascending number, without their details.
    pub(super) fn items(&self, from: ItemNumber) -> impl Iterator<Item = Result<Item, ReadError>> + '_ {
        let (mut next, mut limit) = (Some(from), 32);
        let pages = std::iter::from_fn(move || {
            let slots = self.between_batches().roster.page(next?, limit);
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

    /// What is left of these items, as the roster has them, without their details.
    fn page(&self, slots: &[(ItemNumber, u64)]) -> Result<Vec<Item>, ReadError> {
        let mut items = Vec::with_capacity(slots.len());
        // Neighbours were often written together, one after the other.
        for together in slots.chunk_by(|left, right| left.1 == right.1) {
            let chunk = layout::numbered(layout::JOURNAL, together[0].1);
            let Some(chunk) = self.tree.get(chunk)? else {
                // What still holds of it was moved since the index was asked.
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
        let Some(place) = place else { return Ok(None) };
        let start = offset.min(payload.size);
        let end = start.saturating_add(length as u64).min(payload.size);
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

    pub(super) fn document<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Option<T>, ReadError> {
        let _guard = self.between_batches();
        self.pieces(prefix)
    }

    /// To be called under the guard.
    fn pieces<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Option<T>, ReadError> {
        let mut bytes = Vec::new();
        for piece in 0.. {
            match self.tree.get(layout::piece(prefix, piece))? {
                Some(value) => bytes.extend_from_slice(&value),
                None => break,
            }
        }
        if bytes.is_empty() { Ok(None) } else { Ok(Some(record::decode_document(&bytes)?)) }
    }

    /// The documents to which these keys belong, in their order.
    fn documents<T: DeserializeOwned>(
        &self,
        keys: impl Iterator<Item = sled::Result<sled::IVec>>,
    ) -> impl Iterator<Item = Result<T, ReadError>> {
        keys.filter_map(|key| match key {
            // Each document is met by its pieces; the first of them stands for it.
            Ok(key) => key.strip_suffix(&[0, 0]).and_then(|prefix| self.document(prefix).transpose()),
            Err(error) => Some(Err(error.into())),
        })
    }

    /// The workflows that are noted.
    pub(super) fn workflows(&self) -> impl Iterator<Item = Result<Workflow, ReadError>> + use<> {
        self.tree.scan_prefix([layout::WORKFLOW]).map(|entry| Ok(record::decode_document(&entry?.1)?))
    }

    pub(super) fn progresses(&self) -> Result<Vec<(WorkflowName, Progress)>, ReadError> {
        let progress = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = entry?;
            let name = std::str::from_utf8(&key[1..]).ok().and_then(|name| WorkflowName::new(name).ok());
            let name = name.ok_or(ReadError::Key("a workflow's progress"))?;
            Ok((name, record::decode_document(&value)?))
        };
        self.tree.scan_prefix([layout::PROGRESS]).map(progress).collect()
    }

    pub(super) fn replay_chunk(
        &self,
        replay: &ReplayId,
        index: u32,
    ) -> Result<Option<ReplayChunk>, ReadError> {
        let value = self.tree.get(layout::replay_chunk(replay, index))?;
        Ok(value.map(|value| record::decode_replay_chunk(index, &value)).transpose()?)
    }

    pub(super) fn unmade_replays(&self) -> Result<Vec<ReplayId>, ReadError> {
        let mut unmade = Vec::new();
        let mut from = vec![layout::REPLAY_CHUNK];
        while let Some(entry) = self.tree.range(from..vec![layout::REPLAY_CHUNK + 1]).keys().next() {
            let id = layout::replay_of_chunk(&entry?).ok_or(ReadError::Key("a replay's chunk"))?;
            if !self.tree.contains_key(layout::piece(&layout::replay(&id), 0))? {
                unmade.push(id.clone());
            }
            // On behind all chunks of this one, however many they are.
            from = layout::replay_chunks(&id);
            from.extend([u8::MAX; 5]);
        }
        Ok(unmade)
    }

    pub(super) fn incidents(
        &self,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Incident>, ReadError> {
        let end = before.map_or_else(|| vec![layout::INCIDENT + 1], |id| layout::incident(&id));
        let newest_first = self.tree.range([layout::INCIDENT].to_vec()..end).keys().rev();
        self.documents(newest_first).take(limit).collect()
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
        self.documents(self.tree.scan_prefix(prefix).keys())
    }

    /// What the keys of each delivery begin with. The keys alone are looked at, of which a delivery has a few.
    fn delivery_prefixes(&self) -> impl Iterator<Item = Result<sled::IVec, ReadError>> {
        let keys = self.tree.scan_prefix([layout::DELIVERY]).keys();
        keys.filter_map(|key| match key {
            Ok(key) => key.strip_suffix(&[0, 0]).map(|prefix| Ok(prefix.into())),
            Err(error) => Some(Err(error.into())),
        })
    }

    pub(super) fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, ReadError> {
        for prefix in self.delivery_prefixes() {
            let prefix = prefix?;
            if layout::delivery_id(&prefix) == Some(&*id.0) {
                return self.document(&prefix);
            }
        }
        Ok(None)
    }

    pub(super) fn list_deliveries(&self, question: &ListDeliveries) -> Result<DeliveryPage, ReadError> {
        let mut found = Vec::new();
        for prefix in self.delivery_prefixes() {
            let prefix = prefix?;
            if let Some(id) = layout::delivery_id(&prefix)
                && listing::is_in_range(question, id)
            {
                found.push((DeliveryId(id.into()), prefix));
            }
        }
        found.sort_by(|left, right| right.0.cmp(&left.0));
        let read = |(id, prefix): (DeliveryId, sled::IVec)| (id, self.document(&prefix));
        listing::page_of_deliveries(question, found.into_iter().map(read))
    }
}
