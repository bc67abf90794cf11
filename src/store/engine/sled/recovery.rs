//! Log replay at start: writes what the generations lack into them.

use bytes::Bytes;

use super::checkpoint;
use super::draft::{Draft, DraftError};
use super::entry;
use super::manifest::LogPosition;
use super::read_error::ReadError;
use super::table::Table;
use crate::model::{ItemNumber, WorkflowName};
use crate::store::holdings::Holdings;
use crate::store::record;

pub(super) struct Recovery<'a> {
    draft: &'a mut Draft,
    holdings: &'a mut Holdings,
    /// The next item number that is free after the records so far.
    next_number: u64,
    table: Table,
    /// The size at which the table is written, in bytes.
    limit: usize,
    records: usize,
}

impl<'a> Recovery<'a> {
    /// `holdings` are those of the generations, and are updated along.
    pub(super) fn new(
        draft: &'a mut Draft,
        holdings: &'a mut Holdings,
        next_number: u64,
        limit: usize,
    ) -> Self {
        Self { draft, holdings, next_number, table: Table::default(), limit, records: 0 }
    }

    /// The log position in the manifest.
    pub(super) fn log_position(&self) -> LogPosition {
        self.draft.manifest().log.clone()
    }

    /// Replays the next record.
    pub(super) fn take(&mut self, record: &[u8]) -> Result<(), DraftError> {
        // A confirmation record; see [`crate::store::log::recovery`].
        if record.is_empty() {
            return Ok(());
        }
        let hasher = self.draft.index().hasher.clone();
        let (group, next_number) = entry::decode(&Bytes::copy_from_slice(record), &hasher)?;
        for (number, row) in group.rows() {
            let before = self.record(*number)?;
            match (before, &row.record) {
                (None, Some(record)) => self.holdings.add_items(&workflow(record)?, 1),
                (Some(before), None) => self.holdings.remove_item(&workflow(&before)?),
                _ => {}
            }
        }
        self.table.merge(group);
        self.next_number = self.next_number.max(next_number);
        self.records += 1;
        if self.table.bytes() > self.limit { self.write() } else { Ok(()) }
    }

    /// Writes the rest. Returns the number of records, and the next free item number.
    pub(super) fn finish(mut self) -> Result<(usize, u64), DraftError> {
        self.write()?;
        Ok((self.records, self.next_number))
    }

    fn write(&mut self) -> Result<(), DraftError> {
        let table = std::mem::take(&mut self.table);
        checkpoint::write(self.draft, &table, None)
    }

    /// The record of an item before the next log record.
    fn record(&self, number: ItemNumber) -> Result<Option<Bytes>, DraftError> {
        if let Some(row) = self.table.row(number) {
            return Ok(row.record.clone());
        }
        Ok(self.draft.settled(number)?.and_then(|drafted| drafted.record))
    }
}

fn workflow(record: &[u8]) -> Result<WorkflowName, DraftError> {
    let names = record::decode_names(record)?;
    WorkflowName::new(names.workflow).map_err(|_| ReadError::Key("a workflow's name").into())
}
