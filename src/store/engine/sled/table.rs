//! The in-memory table: what the log holds and the database does not yet.
//!
//! A table holds the latest version of each item and document that changed while it was the newest. For
//! everything else older tables and the database are read; see [`super::tables`]. A part of an item that did
//! not change is not repeated.

use std::collections::{BTreeMap, btree_map};

use bytes::Bytes;
use hashbrown::HashMap;

use super::names::{NameHash, Names};
use crate::model::ItemNumber;

/// A payload or detail of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Part {
    /// Absent or removed.
    #[default]
    None,
    /// Unchanged since an older table or the database.
    Same,
    New(Bytes),
}

impl Part {
    fn size(&self) -> usize {
        if let Self::New(bytes) = self { bytes.len() } else { 0 }
    }

    /// This part, written after `before`.
    fn over(self, before: Self) -> Self {
        if self == Self::Same { before } else { self }
    }
}

/// The latest version of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Without the detail. `None` is a tombstone: the item was forgotten.
    pub(super) record: Option<Bytes>,
    pub(super) payload: Part,
    /// Progress, errors and steps, as an encoded document.
    pub(super) detail: Part,
}

/// The estimated memory that a row takes beside its bytes, with its place in the table and its names, in
/// bytes.
const ROW_SIZE: usize = 192;

impl Row {
    /// Whether the item is known without older tables and the database.
    pub(super) fn stands_alone(&self) -> bool {
        self.record.is_none() || (self.payload != Part::Same && self.detail != Part::Same)
    }

    /// The estimated memory use, in bytes.
    pub(super) fn size(&self) -> usize {
        ROW_SIZE + self.record.as_ref().map_or(0, Bytes::len) + self.payload.size() + self.detail.size()
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<ItemNumber, Row>,
    /// By key, see [`super::layout`]; `None` is a tombstone.
    documents: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// The names of the items that were created while this table was the newest.
    names: Names,
    named: HashMap<ItemNumber, [Option<NameHash>; 2]>,
    bytes: usize,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.documents.is_empty()
    }

    /// The estimated memory use, payloads included, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn row(&self, number: ItemNumber) -> Option<&Row> {
        self.rows.get(&number)
    }

    pub(super) fn rows(&self) -> btree_map::Iter<'_, ItemNumber, Row> {
        self.rows.iter()
    }

    /// The items from this number on, in order.
    pub(super) fn numbers_from(&self, from: ItemNumber) -> impl Iterator<Item = ItemNumber> + '_ {
        self.rows.range(from..).map(|(number, _)| *number)
    }

    pub(super) fn documents(&self) -> btree_map::Iter<'_, Vec<u8>, Option<Bytes>> {
        self.documents.iter()
    }

    /// A document, or its tombstone (`Some(None)`).
    pub(super) fn document(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.documents.get(key)
    }

    /// The keys of documents in a range, in order.
    pub(super) fn keys<'a>(&'a self, from: &[u8], to: &'a [u8]) -> impl Iterator<Item = &'a Vec<u8>> {
        self.documents.range(from.to_vec()..).map(|(key, _)| key).take_while(move |key| key.as_slice() < to)
    }

    pub(super) fn holders(&self, hash: NameHash) -> impl Iterator<Item = ItemNumber> + '_ {
        self.names.holders(hash)
    }

    /// The names of an item, if it was created in this table.
    pub(super) fn names_of(&self, number: ItemNumber) -> Option<[Option<NameHash>; 2]> {
        self.named.get(&number).copied()
    }

    /// Adds the names of a new item.
    pub(super) fn name(&mut self, number: ItemNumber, hashes: [Option<NameHash>; 2]) {
        hashes.into_iter().flatten().for_each(|hash| self.names.insert(hash, number));
        self.named.insert(number, hashes);
    }

    /// Writes the next version of an item over the one before.
    pub(super) fn put(&mut self, number: ItemNumber, row: Row) {
        let before = self.rows.remove(&number);
        self.bytes -= before.as_ref().map_or(0, Row::size);
        let row = match before {
            Some(before) if row.record.is_some() => Row {
                payload: row.payload.over(before.payload),
                detail: row.detail.over(before.detail),
                ..row
            },
            _ => row,
        };
        self.bytes += row.size();
        self.rows.insert(number, row);
    }

    /// Removes an item that was created in this table and exists nowhere else.
    pub(super) fn discard(&mut self, number: ItemNumber) {
        self.bytes -= self.rows.remove(&number).as_ref().map_or(0, Row::size);
        for hash in self.named.remove(&number).into_iter().flatten().flatten() {
            self.names.remove(hash, number);
        }
    }

    pub(super) fn put_document(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        let size = |key: &[u8], value: &Option<Bytes>| {
            ROW_SIZE / 2 + key.len() + value.as_ref().map_or(0, Bytes::len)
        };
        self.bytes += size(&key, &value);
        if let Some(before) = self.documents.get(&key) {
            self.bytes -= size(&key, before);
        }
        self.documents.insert(key, value);
    }

    /// Applies a later table.
    pub(super) fn merge(&mut self, later: Self) {
        for (number, hashes) in later.named {
            self.name(number, hashes);
        }
        for (number, row) in later.rows {
            self.put(number, row);
        }
        for (key, value) in later.documents {
            self.put_document(key, value);
        }
    }
}
