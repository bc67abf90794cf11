//! The committing thread's view of the data: what the current group has written, over what is stored.
//!
//! The group's writes are a [`Table`] of their own, which nobody else sees until it is in the log.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::entry;
use super::names::{Name, NameHash};
use super::read_error::ReadError;
use super::reader::Reader;
use super::table::{Part, Row, Table};
use super::{keys, layout};
use crate::model::{Item, ItemKey, ItemNumber, WorkflowName};
use crate::store::command::{Detail, Rows};
use crate::store::holdings::Holdings;
use crate::store::record::{self, RecordError};
use crate::store::{Document, DocumentId, DocumentSet};

/// Errors of settling commands. All of them are fatal.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransactionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a document of {0} bytes exceeds the maximum size of its kind")]
    Document(usize),
}

pub(super) struct Transaction {
    reader: Reader,
    group: Table,
    next_number: u64,
    holdings: Holdings,
    /// The item that was read last: settling reads the same one several times.
    cached: Option<Item>,
}

impl Transaction {
    pub(super) fn new(reader: Reader, next_number: u64, holdings: Holdings) -> Self {
        Self { reader, group: Table::default(), next_number, holdings, cached: None }
    }

    /// Takes the group's writes, and the next free item number.
    pub(super) fn take_group(&mut self) -> (Table, u64) {
        self.cached = None;
        (std::mem::take(&mut self.group), self.next_number)
    }

    /// The size of the group's writes, in bytes.
    pub(super) fn group_bytes(&self) -> usize {
        self.group.bytes()
    }

    /// Reads an item without its detail.
    fn look_up(&mut self, number: ItemNumber) -> Result<Option<&Item>, TransactionError> {
        if self.cached.as_ref().is_none_or(|item| item.number != number) {
            self.cached = match self.group.row(number) {
                Some(Row { record, .. }) => {
                    record.as_ref().map(|record| record::decode_item(number, record)).transpose()?
                }
                None => self.reader.stored(number)?.map(|stored| stored.item),
            };
        }
        Ok(self.cached.as_ref())
    }

    fn named(&mut self, name: Name<'_>) -> Result<Option<ItemNumber>, TransactionError> {
        let hash = self.reader.hash(name);
        let mut holders: Vec<ItemNumber> = self.group.holders(hash).collect();
        holders.extend(self.reader.holders(hash));
        for number in holders {
            if self.look_up(number)?.is_some_and(|item| name.is_of(item)) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn hashes(&self, item: &Item) -> [Option<NameHash>; 2] {
        let mut names = Name::all(&item.workflow, &item.id, item.idempotency_key.as_ref());
        [names.next(), names.next()].map(|name| name.map(|name| self.reader.hash(name)))
    }

    fn put(&mut self, item: &Item, payload: Part, detail: Part) {
        let record = Some(record::encode_item(item).into());
        self.group.put(item.number, Row { record, payload, detail });
        self.cached = None;
    }
}

impl Rows for Transaction {
    type Error = TransactionError;

    fn next_number(&mut self) -> Result<ItemNumber, TransactionError> {
        self.next_number += 1;
        Ok(ItemNumber(self.next_number - 1))
    }

    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, TransactionError> {
        let Some(mut item) = self.look_up(number)?.cloned() else { return Ok(None) };
        if item.detail.is_some() {
            let bytes = match self.group.row(number).map(|row| &row.detail) {
                Some(Part::New(bytes)) => bytes.clone(),
                _ => match self.reader.detail(number).and_then(|bytes| bytes.ok_or(ReadError::Lost)) {
                    // Possible after damage was accepted. The item can still be closed.
                    Err(ReadError::Lost) => {
                        tracing::error!(
                            workflow = &*item.workflow,
                            item = &*item.id,
                            "progress, errors and steps of an item are lost: its detail is damaged"
                        );
                        item.detail = None;
                        return Ok(Some(item));
                    }
                    bytes => bytes?,
                },
            };
            item.detail = Some(Box::new(record::decode_document(&bytes)?));
        }
        Ok(Some(item))
    }

    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, TransactionError> {
        self.named(Name::of_key(key))
    }

    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, TransactionError> {
        self.named(Name::IdempotencyKey(workflow, digest))
    }

    fn insert_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), TransactionError> {
        let payload = payload.filter(|bytes| !bytes.is_empty()).map_or(Part::None, Part::New);
        self.group.name(item.number, self.hashes(item));
        self.put(item, payload, entry::detail_of(item));
        Ok(())
    }

    fn update_item(&mut self, item: &Item, detail: Detail) -> Result<(), TransactionError> {
        let detail = if detail == Detail::Changed { entry::detail_of(item) } else { Part::Same };
        self.put(item, Part::Same, detail);
        Ok(())
    }

    fn remove_payload(&mut self, item: &Item) -> Result<(), TransactionError> {
        self.put(item, Part::None, Part::Same);
        Ok(())
    }

    fn remove_item(&mut self, item: &Item) -> Result<(), TransactionError> {
        if self.group.names_of(item.number).is_some() {
            self.group.discard(item.number);
        } else {
            self.group.put(item.number, Row::default());
        }
        self.cached = None;
        Ok(())
    }

    fn holdings(&mut self) -> &mut Holdings {
        &mut self.holdings
    }

    fn put(&mut self, document: &Document) -> Result<(), TransactionError> {
        let bytes = record::encode(document);
        if bytes.len() > keys::size_max(document) {
            return Err(TransactionError::Document(bytes.len()));
        }
        self.group.put_document(keys::key(&document.id()), Some(bytes.into()));
        Ok(())
    }

    fn remove(&mut self, id: &DocumentId) -> Result<bool, TransactionError> {
        let key = keys::key(id);
        let is_there = match self.group.document(&key) {
            Some(changed) => changed.is_some(),
            None => self.reader.has_document(&key),
        };
        if is_there {
            self.group.put_document(key, None);
        }
        Ok(is_there)
    }

    fn document(&mut self, id: &DocumentId) -> Result<Option<Document>, TransactionError> {
        match self.group.document(&keys::key(id)) {
            Some(changed) => Ok(changed.as_ref().map(|bytes| record::decode(id, bytes)).transpose()?),
            None => Ok(self.reader.document(id)?),
        }
    }

    fn ids(&mut self, set: &DocumentSet, limit: usize) -> Result<Vec<DocumentId>, TransactionError> {
        let (from, to) = layout::range(&keys::prefix(set));
        let mut keys: BTreeSet<Vec<u8>> = self.group.keys(&from, &to).cloned().collect();
        let unseen = |key: &Vec<u8>| self.group.document(key).is_none();
        keys.extend(self.reader.keys(&from, &to).filter(unseen).take(limit));
        keys.retain(|key| self.group.document(key) != Some(&None));
        let id = |key: Vec<u8>| keys::id(&key).ok_or(ReadError::Key("a document's key").into());
        keys.into_iter().take(limit).map(id).collect()
    }
}
