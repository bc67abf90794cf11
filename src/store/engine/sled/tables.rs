//! The in-memory tables: the newest, which the committing thread adds to, over frozen ones, which checkpoints
//! write to the database, the oldest first.
//!
//! Invariant: a table is dropped only once the database holds its content, synced. So reading here first and
//! in the database second misses nothing.
//!
//! A frozen table is kept for a whole tick unless memory is short: an item that is closed meanwhile is
//! written without its payload.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::names::NameHash;
use super::table::{Part, Row, Table};
use crate::model::ItemNumber;

/// A table that does not change any more.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) table: Table,
    /// The last log record that it contains changes of.
    pub(super) last: u64,
    /// The next item number that was free then.
    pub(super) next_number: u64,
    /// The tick that it was frozen in.
    tick: u64,
}

#[derive(Debug)]
pub(super) struct Tables {
    newest: Table,
    /// The last log record, and the next item number that was free then.
    last: u64,
    next_number: u64,
    /// The last log record that the database holds.
    settled: u64,
    /// The oldest first.
    frozen: VecDeque<Arc<Frozen>>,
    /// The size at which the newest is frozen, in bytes.
    table_max: usize,
    ticks: u64,
}

impl Tables {
    /// No tables, over a database that holds the log up to the record `last`.
    pub(super) fn new(last: u64, next_number: u64, table_max: usize) -> Self {
        let newest = Table::default();
        Self { newest, last, next_number, settled: last, frozen: VecDeque::new(), table_max, ticks: 0 }
    }

    /// From the newest to the oldest.
    fn all(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.newest).chain(self.frozen.iter().rev().map(|frozen| &frozen.table))
    }

    /// The estimated memory use, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.all().map(Table::bytes).sum()
    }

    pub(super) fn is_newest_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// Adds a group's changes, which are durable as the log record `last`.
    pub(super) fn add(&mut self, group: Table, last: u64, next_number: u64) {
        (self.last, self.next_number) = (last, next_number);
        self.newest.merge(group);
        if self.newest.bytes() >= self.table_max {
            self.freeze(self.ticks + 1);
        }
    }

    /// Begins the next tick and freezes the newest table.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        self.freeze(self.ticks);
    }

    /// Freezes the newest table, also an empty one if the log has records after the frozen tables.
    fn freeze(&mut self, tick: u64) {
        let held = self.frozen.back().map_or(self.settled, |frozen| frozen.last);
        if self.newest.is_empty() && held == self.last {
            return;
        }
        let table = std::mem::take(&mut self.newest);
        let (last, next_number) = (self.last, self.next_number);
        self.frozen.push_back(Arc::new(Frozen { table, last, next_number, tick }));
    }

    /// The table to be written next: one that was kept for a whole tick, or any if it is urgent.
    pub(super) fn next(&self, is_urgent: bool) -> Option<Arc<Frozen>> {
        self.frozen.front().filter(|oldest| is_urgent || oldest.tick < self.ticks).cloned()
    }

    /// Drops the oldest table, which the database holds now.
    pub(super) fn remove_oldest(&mut self) {
        self.settled = self.frozen.pop_front().map_or(self.settled, |frozen| frozen.last);
    }

    /// The latest row of an item.
    pub(super) fn row(&self, number: ItemNumber) -> Option<&Row> {
        self.all().find_map(|table| table.row(number))
    }

    /// The latest row of an item in tables after the oldest, if it is complete without older rows.
    pub(super) fn superseding(&self, number: ItemNumber) -> Option<&Row> {
        let later = self.all().take(self.frozen.len());
        let row = later.filter_map(|table| table.row(number)).next();
        row.filter(|row| row.stands_alone())
    }

    /// Whether tables after the oldest have a document or its tombstone.
    pub(super) fn is_document_superseded(&self, key: &[u8]) -> bool {
        self.all().take(self.frozen.len()).any(|table| table.document(key).is_some())
    }

    /// Whether the database holds everything.
    pub(super) fn is_settled(&self) -> bool {
        self.frozen.is_empty() && self.newest.is_empty()
    }

    /// The latest version of a part of an item: [`Part::Same`] if it is in the database, or nowhere.
    pub(super) fn part(&self, number: ItemNumber, part: impl Fn(&Row) -> &Part) -> Part {
        let rows = self.all().filter_map(|table| table.row(number));
        rows.map(part).find(|part| **part != Part::Same).cloned().unwrap_or(Part::Same)
    }

    /// The items that may have the name with this hash.
    pub(super) fn holders(&self, hash: NameHash) -> impl Iterator<Item = ItemNumber> + '_ {
        self.all().flat_map(move |table| table.holders(hash))
    }

    /// At most `limit` items from this number on, in order.
    pub(super) fn numbers_from(&self, from: ItemNumber, limit: usize) -> BTreeSet<ItemNumber> {
        let mut numbers: BTreeSet<ItemNumber> =
            self.all().flat_map(|table| table.numbers_from(from).take(limit)).collect();
        if let Some(beyond) = numbers.iter().nth(limit).copied() {
            numbers.split_off(&beyond);
        }
        numbers
    }

    /// A document, or its tombstone (`Some(None)`).
    pub(super) fn document(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.all().find_map(|table| table.document(key)).cloned()
    }

    /// The keys of documents and of tombstones in a range.
    pub(super) fn keys(&self, from: &[u8], to: &[u8]) -> BTreeSet<Vec<u8>> {
        self.all().flat_map(|table| table.keys(from, to).cloned()).collect()
    }
}
