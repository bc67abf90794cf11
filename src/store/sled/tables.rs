//! The tables, one over the other: the newest, which the committing thread adds to, and those before it, which change no
//! more and go into the database one after the other, the oldest first.
//!
//! Invariants: a table leaves only once the database holds what it says, synced. So whoever looks here first and then there
//! misses nothing.
//!
//! A table is left alone for a whole tick after it was frozen, unless memory becomes short: what is closed meanwhile need not
//! go into the database with its payload.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::names::NameHash;
use super::table::{Part, Row, Table};
use crate::model::ItemNumber;

/// A table that changes no more.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) table: Table,
    /// The last record of the log that it has anything of.
    pub(super) last: u64,
    /// The number that no item had by then.
    pub(super) next_number: u64,
    /// The tick from which on it has been left alone.
    tick: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Tables {
    newest: Table,
    /// The last record of the log, and the number that no item had by then.
    last: u64,
    next_number: u64,
    /// The last record of the log that the database holds.
    settled: u64,
    /// The oldest first.
    frozen: VecDeque<Arc<Frozen>>,
    /// How large the newest becomes before another begins, in bytes.
    table_max: usize,
    /// How many ticks there were.
    ticks: u64,
}

impl Tables {
    /// None yet, over a database that holds the log up to that record.
    pub(super) fn new(last: u64, next_number: u64, table_max: usize) -> Self {
        let newest = Table::default();
        Self { newest, last, next_number, settled: last, frozen: VecDeque::new(), table_max, ticks: 0 }
    }

    /// The newest first.
    fn all(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.newest).chain(self.frozen.iter().rev().map(|frozen| &frozen.table))
    }

    /// What they take in memory; an estimate in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.all().map(Table::bytes).sum()
    }

    pub(super) fn is_newest_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// Adds what a group has changed, which is durable as that record of the log.
    pub(super) fn add(&mut self, group: Table, last: u64, next_number: u64) {
        (self.last, self.next_number) = (last, next_number);
        self.newest.merge(group);
        if self.newest.bytes() >= self.table_max {
            self.freeze(self.ticks + 1);
        }
    }

    /// Time goes by: a new table begins.
    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        self.freeze(self.ticks);
    }

    /// Begins a new table, unless nothing is in the newest and the log holds nothing that is in none.
    fn freeze(&mut self, tick: u64) {
        let held = self.frozen.back().map_or(self.settled, |frozen| frozen.last);
        if self.newest.is_empty() && held == self.last {
            return;
        }
        let table = std::mem::take(&mut self.newest);
        let (last, next_number) = (self.last, self.next_number);
        self.frozen.push_back(Arc::new(Frozen { table, last, next_number, tick }));
    }

    /// The table that goes into the database next: one that was left alone for long enough, or any if it is urgent.
    pub(super) fn next(&self, is_urgent: bool) -> Option<Arc<Frozen>> {
        self.frozen.front().filter(|oldest| is_urgent || oldest.tick < self.ticks).cloned()
    }

    /// The database holds it.
    pub(super) fn remove_oldest(&mut self) {
        self.settled = self.frozen.pop_front().map_or(self.settled, |frozen| frozen.last);
    }

    /// What is said of an item, in the newest table that says anything.
    pub(super) fn row(&self, number: ItemNumber) -> Option<&Row> {
        self.all().find_map(|table| table.row(number))
    }

    /// What tables after the oldest say of an item, if that is all that there is to know.
    pub(super) fn superseding(&self, number: ItemNumber) -> Option<&Row> {
        let later = self.all().take(self.frozen.len());
        let row = later.filter_map(|table| table.row(number)).next();
        row.filter(|row| row.stands_alone())
    }

    /// Whether tables after the oldest tell of a document.
    pub(super) fn is_document_superseded(&self, key: &[u8]) -> bool {
        self.all().take(self.frozen.len()).any(|table| table.document(key).is_some())
    }

    /// Whether the database holds all that the log does.
    pub(super) fn is_settled(&self) -> bool {
        self.frozen.is_empty() && self.newest.is_empty()
    }

    /// A part of an item: what the newest table says that knows more than that it is the same.
    pub(super) fn part(&self, number: ItemNumber, part: impl Fn(&Row) -> &Part) -> Part {
        let rows = self.all().filter_map(|table| table.row(number));
        rows.map(part).find(|part| **part != Part::Same).cloned().unwrap_or(Part::Same)
    }

    /// The items that may be called so.
    pub(super) fn holders(&self, hash: NameHash) -> impl Iterator<Item = ItemNumber> + '_ {
        self.all().flat_map(move |table| table.holders(hash))
    }

    /// At most so many items from that one on, in their order.
    pub(super) fn numbers_from(&self, from: ItemNumber, limit: usize) -> BTreeSet<ItemNumber> {
        let mut numbers: BTreeSet<ItemNumber> =
            self.all().flat_map(|table| table.numbers_from(from).take(limit)).collect();
        if let Some(beyond) = numbers.iter().nth(limit).copied() {
            numbers.split_off(&beyond);
        }
        numbers
    }

    /// What is said of a document: its bytes, or that it is gone.
    pub(super) fn document(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.all().find_map(|table| table.document(key)).cloned()
    }

    /// The keys of documents in a range of which anything is said.
    pub(super) fn keys(&self, from: &[u8], to: &[u8]) -> BTreeSet<Vec<u8>> {
        self.all().flat_map(|table| table.keys(from, to).cloned()).collect()
    }
}
