//! The memory table: what the log holds and the database does not yet.
//!
//! A table has the latest word on each item and document that changed while it was the newest. What it says nothing of, older
//! tables and the database say; see [`super::tables`]. So a part of an item that did not change is not repeated.

use std::collections::{BTreeMap, btree_map};

use bytes::Bytes;
use hashbrown::HashMap;

use super::names::{NameHash, Names};
use crate::model::ItemNumber;

/// A part of an item that may be large.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Part {
    /// There is none, or none any more.
    #[default]
    None,
    /// It is as it was before, in an older table or in the database.
    Same,
    /// It is this.
    New(Bytes),
}

impl Part {
    fn size(&self) -> usize {
        if let Self::New(bytes) = self { bytes.len() } else { 0 }
    }

    /// This, said after `before`.
    fn over(self, before: Self) -> Self {
        if self == Self::Same { before } else { self }
    }
}

/// The latest word on an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Its record, without its detail; nothing once it is forgotten.
    pub(super) record: Option<Bytes>,
    pub(super) payload: Part,
    /// Its progress, errors and steps, as a document.
    pub(super) detail: Part,
}

/// What a row takes beside its bytes, with its place in the table and its names; an estimate in bytes.
const ROW_SIZE: usize = 192;

impl Row {
    /// Whether nothing older is needed to know the item.
    pub(super) fn stands_alone(&self) -> bool {
        self.record.is_none() || (self.payload != Part::Same && self.detail != Part::Same)
    }

    /// What it takes in memory; an estimate in bytes.
    pub(super) fn size(&self) -> usize {
        ROW_SIZE + self.record.as_ref().map_or(0, Bytes::len) + self.payload.size() + self.detail.size()
    }
}

/// What has changed. See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<ItemNumber, Row>,
    /// Values, or that there is none any more, by what their keys begin with; see [`super::layout`].
    documents: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// What the items are called that were added while this was the newest.
    names: Names,
    named: HashMap<ItemNumber, [Option<NameHash>; 2]>,
    bytes: usize,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.documents.is_empty()
    }

    /// What it takes in memory, payloads included; an estimate in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn row(&self, number: ItemNumber) -> Option<&Row> {
        self.rows.get(&number)
    }

    pub(super) fn rows(&self) -> btree_map::Iter<'_, ItemNumber, Row> {
        self.rows.iter()
    }

    /// The items from that one on, in their order.
    pub(super) fn numbers_from(&self, from: ItemNumber) -> impl Iterator<Item = ItemNumber> + '_ {
        self.rows.range(from..).map(|(number, _)| *number)
    }

    pub(super) fn documents(&self) -> btree_map::Iter<'_, Vec<u8>, Option<Bytes>> {
        self.documents.iter()
    }

    /// What it says of a document: its bytes, or that it is gone.
    pub(super) fn document(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.documents.get(key)
    }

    /// The keys of documents in a range, in their order.
    pub(super) fn keys<'a>(&'a self, from: &[u8], to: &'a [u8]) -> impl Iterator<Item = &'a Vec<u8>> {
        self.documents.range(from.to_vec()..).map(|(key, _)| key).take_while(move |key| key.as_slice() < to)
    }

    pub(super) fn holders(&self, hash: NameHash) -> impl Iterator<Item = ItemNumber> + '_ {
        self.names.holders(hash)
    }

    /// The names that an item was added with, if that was here.
    pub(super) fn names_of(&self, number: ItemNumber) -> Option<[Option<NameHash>; 2]> {
        self.named.get(&number).copied()
    }

    /// Notes what a new item is called.
    pub(super) fn name(&mut self, number: ItemNumber, hashes: [Option<NameHash>; 2]) {
        hashes.into_iter().flatten().for_each(|hash| self.names.insert(hash, number));
        self.named.insert(number, hashes);
    }

    /// Writes the next word on an item over the one before.
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

    /// Takes back all that was said of an item which nothing older knows.
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

    /// Adds what a later one says.
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
