//! Reads of what is stored, on any thread.
//!
//! The in-memory tables are asked first, then the generations: what leaves a table is in a generation by
//! then, so that this order misses nothing. The content of a generation never changes, only the index does; a
//! location read a moment ago stays readable through the generation's handle. Only if that generation was
//! removed in between is the index read again.
//!
//! Documents are read in [`super::documents`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use super::generation::Generation;
use super::index::Index;
use super::journal::{self, Entry, Place, Written};
use super::names::{Name, NameHash, NameHasher};
use super::read_error::ReadError;
use super::table::Part;
use super::tables::Tables;
use crate::model::{Item, ItemKey, ItemNumber, Page};
use crate::store::record::{self, RecordError};
use crate::store::{ListItems, listing};

/// The most items that a scan looks up at once. It begins with fewer, since one page may be all that is
/// wanted.
const SCAN_PAGE: usize = 256;
/// How often a part that compaction moved is looked up again. No generation can be compacted that often
/// meanwhile.
const TRIES: usize = 8;

#[derive(Clone)]
pub(super) struct Reader {
    pub(super) tables: Arc<RwLock<Tables>>,
    pub(super) index: Arc<RwLock<Index>>,
    pub(super) hasher: NameHasher,
}

/// An item without its detail.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) item: Item,
    /// Set if the record was read from a generation.
    pub(super) payload: Option<Place>,
    pub(super) detail: Option<Place>,
}

fn read(number: ItemNumber, written: &Written<'_>) -> Result<Stored, ReadError> {
    let Written { payload, detail, record } = *written;
    Ok(Stored { item: record::decode_item(number, record)?, payload, detail })
}

impl Reader {
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hash(&self, name: Name<'_>) -> NameHash {
        self.hasher.hash(name)
    }

    /// The items that may have the name with this hash.
    pub(super) fn holders(&self, hash: NameHash) -> Vec<ItemNumber> {
        // The tables first: what leaves them is in the index by then.
        let mut holders: Vec<ItemNumber> = self.tables().holders(hash).collect();
        holders.extend(self.index().names.holders(hash));
        holders
    }

    /// What the tables hold of an item: nothing, a tombstone (`Some(None)`), or its record.
    fn recent(&self, number: ItemNumber) -> Option<Option<Bytes>> {
        self.tables().row(number).map(|row| row.record.clone())
    }

    /// An item without its detail.
    pub(super) fn stored(&self, number: ItemNumber) -> Result<Option<Stored>, ReadError> {
        match self.recent(number) {
            Some(Some(record)) => {
                let item = record::decode_item(number, &record)?;
                Ok(Some(Stored { item, payload: None, detail: None }))
            }
            Some(None) => Ok(None),
            None => self.settled(number),
        }
    }

    /// An item as the generations hold it.
    fn settled(&self, number: ItemNumber) -> Result<Option<Stored>, ReadError> {
        let (chunk, generation) = {
            let index = self.index();
            let Some(chunk) = index.locations.get(number) else { return Ok(None) };
            (chunk, index.generations.of_chunk(chunk).ok_or(ReadError::Lost)?)
        };
        let value = generation.chunk(chunk)?.ok_or(ReadError::Lost)?;
        let written = journal::written(&value, number)?.ok_or(ReadError::Lost)?;
        read(number, &written).map(Some)
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

    /// Adds the detail that belongs to this very version of the item.
    fn with_detail(&self, item: Item) -> Result<Option<Item>, ReadError> {
        let mut item = item;
        loop {
            if item.detail.is_none() {
                return Ok(Some(item));
            }
            let detail = self.detail(item.number)?;
            // If the detail changed in between, the record changed with it.
            let Some(Stored { item: after, .. }) = self.stored(item.number)? else { return Ok(None) };
            if after == item {
                let detail = detail.ok_or(ReadError::Lost)?;
                item.detail = Some(Box::new(record::decode_document(&detail)?));
                return Ok(Some(item));
            }
            item = after;
        }
    }

    /// The encoded detail of an item, if it has one.
    pub(super) fn detail(&self, number: ItemNumber) -> Result<Option<Bytes>, ReadError> {
        let part = self.tables().part(number, |row| &row.detail);
        match part {
            Part::New(bytes) => Ok(Some(bytes)),
            Part::None => Ok(None),
            Part::Same => self.settled_part(number, |stored| stored.detail, 0..usize::MAX),
        }
    }

    /// A payload or detail that is in the generations.
    fn settled_part(
        &self,
        number: ItemNumber,
        part: impl Fn(&Stored) -> Option<Place>,
        range: Range<usize>,
    ) -> Result<Option<Bytes>, ReadError> {
        let mut place_before = None;
        for _ in 0..TRIES {
            let Some(place) = self.settled(number)?.and_then(|stored| part(&stored)) else { return Ok(None) };
            if place_before == Some(place) {
                break;
            }
            let generation = self.index().generations.of_bundle(place.bundle());
            if let Some(bytes) =
                generation.map_or(Ok(None), |generation| generation.part(place, range.clone()))?
            {
                return Ok(Some(bytes));
            }
            // Compaction moved it and removed its generation after the location was read; or it is lost.
            place_before = Some(place);
        }
        Err(ReadError::Lost)
    }

    /// Items by ascending number, without their details.
    pub(super) fn items(&self, from: ItemNumber) -> impl Iterator<Item = Result<Item, ReadError>> + '_ {
        let (mut next, mut limit) = (Some(from), 32);
        let pages = std::iter::from_fn(move || {
            let from = next?;
            // The tables first: what leaves them is in the index by then, possibly at a new location.
            let recent = self.tables().numbers_from(from, limit);
            let mut slots: BTreeMap<ItemNumber, Option<Slot>> = {
                let index = self.index();
                let page = index.locations.page(from, limit).into_iter();
                page.map(|(number, chunk)| (number, Some((chunk, index.generations.of_chunk(chunk)))))
                    .collect()
            };
            slots.extend(recent.into_iter().map(|number| (number, None)));
            let slots: Vec<_> = slots.into_iter().take(limit).collect();
            limit = (limit * 2).min(SCAN_PAGE);
            // From the numbers that were looked up, and not from the items found: all of those may be
            // forgotten by now.
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

    /// Reads the items of a page without their details. Those with a slot are read from the generations,
    /// chunk by chunk.
    fn page(&self, slots: &[(ItemNumber, Option<Slot>)]) -> Result<Vec<Item>, ReadError> {
        let mut items = Vec::with_capacity(slots.len());
        let chunk_of = |slot: &Option<Slot>| slot.as_ref().map(|(chunk, _)| *chunk);
        // Neighbours were often written to one chunk, in order.
        for together in slots.chunk_by(|left, right| chunk_of(&left.1) == chunk_of(&right.1)) {
            let Some((chunk, generation)) = &together[0].1 else {
                for (number, _) in together {
                    items.extend(self.stored(*number)?.map(|stored| stored.item));
                }
                continue;
            };
            let chunk = generation.as_ref().ok_or(ReadError::Lost)?.chunk(*chunk)?.ok_or(ReadError::Lost)?;
            let mut entries = journal::entries(&chunk);
            for (number, _) in together {
                let is_it = |entry: &Result<Entry<'_>, RecordError>| match entry {
                    Ok(Entry::Item { number: found, .. }) => found == number,
                    _ => false,
                };
                let written = match entries.find(is_it).transpose()? {
                    Some(Entry::Item { written, .. }) => written,
                    _ => journal::written(&chunk, *number)?,
                };
                items.push(read(*number, &written.ok_or(ReadError::Lost)?)?.item);
            }
        }
        Ok(items)
    }

    pub(super) fn list(&self, question: &ListItems) -> Result<Page<Item>, ReadError> {
        let mut page = listing::page(question, self.items(listing::scan_from(question)))?;
        // The record may have changed after the page was read, so the item is read again with its own detail.
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

    pub(super) fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        let Some(Stored { item, .. }) = self.stored(number)? else { return Ok(None) };
        let Some(payload) = item.stored_payload() else { return Ok(None) };
        if payload.size == 0 {
            return Ok(Some(Bytes::new()));
        }
        let start = offset.min(payload.size) as usize;
        let end = (start as u64).saturating_add(length as u64).min(payload.size) as usize;
        let recent = self.tables().part(number, |row| &row.payload);
        if let Part::New(bytes) = recent {
            let end = end.min(bytes.len());
            return Ok(Some(bytes.slice(start.min(end)..end)));
        }
        self.settled_part(number, |stored| stored.payload, start..end)
    }
}

/// A chunk, and the generation that holds it.
type Slot = (u64, Option<Arc<Generation>>);
