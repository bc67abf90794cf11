//! Everything as the committing thread sees and changes it: what the group under way has changed so far, over what is stored.
//!
//! A group is a [`Table`] of its own until it is in the log. Nobody else sees it before that.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::entry;
use super::layout;
use super::names::{Name, NameHash};
use super::reader::{ReadError, Reader};
use super::table::{Part, Row, Table};
use crate::model::{
    ClockAnchor, Delivery, Incident, IncidentId, Item, ItemKey, ItemNumber, Progress, Replay, ReplayChunk,
    ReplayId, Silence, SilenceId, Timestamp, Workflow, WorkflowName,
};
use crate::store::holdings::Holdings;
use crate::store::record::{self, RecordError};
use crate::store::settle::{Detail, Rows};

/// How many deliveries of a forgotten incident are removed by one command, and how many chunks of a forgotten replay.
const REMOVED_AT_ONCE: usize = 200;

/// What goes wrong in carrying commands out. All of it is fatal.
#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a document of {0} bytes is longer than any may be")]
    Document(usize),
}

/// See the module's documentation.
pub(super) struct Ledger {
    reader: Reader,
    group: Table,
    next_number: u64,
    holdings: Holdings,
    /// The item that was looked at last, which is the one that is looked at next.
    at_hand: Option<Item>,
}

impl Ledger {
    pub(super) fn new(reader: Reader, next_number: u64, holdings: Holdings) -> Self {
        Self { reader, group: Table::default(), next_number, holdings, at_hand: None }
    }

    /// What the group has changed, and the number that no item has by now.
    pub(super) fn take_group(&mut self) -> (Table, u64) {
        self.at_hand = None;
        (std::mem::take(&mut self.group), self.next_number)
    }

    /// How much that is, in bytes.
    pub(super) fn group_bytes(&self) -> usize {
        self.group.bytes()
    }

    /// The item without its detail.
    fn look_up(&mut self, number: ItemNumber) -> Result<Option<&Item>, LedgerError> {
        if self.at_hand.as_ref().is_none_or(|item| item.number != number) {
            self.at_hand = match self.group.row(number) {
                Some(Row { record, .. }) => {
                    record.as_ref().map(|record| record::decode_item(number, record)).transpose()?
                }
                None => self.reader.stored(number)?.map(|stored| stored.item),
            };
        }
        Ok(self.at_hand.as_ref())
    }

    fn named(&mut self, name: Name<'_>) -> Result<Option<ItemNumber>, LedgerError> {
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
        self.at_hand = None;
    }

    fn put_document(&mut self, key: Vec<u8>, bytes: Vec<u8>, size_max: usize) -> Result<(), LedgerError> {
        if bytes.len() > size_max {
            return Err(LedgerError::Document(bytes.len()));
        }
        self.group.put_document(key, Some(bytes.into()));
        Ok(())
    }

    /// Removes at most [`REMOVED_AT_ONCE`] documents whose keys begin like this; whether that were all.
    fn remove_documents(&mut self, prefix: &[u8]) -> Result<bool, LedgerError> {
        let (from, to) = layout::range(prefix);
        let mut keys: BTreeSet<Vec<u8>> = self.group.keys(&from, &to).cloned().collect();
        let unseen = |key: &Vec<u8>| self.group.document(key).is_none();
        keys.extend(self.reader.keys(&from, &to).filter(unseen).take(REMOVED_AT_ONCE + 1));
        keys.retain(|key| self.group.document(key) != Some(&None));
        for key in keys.iter().take(REMOVED_AT_ONCE) {
            self.group.put_document(key.clone(), None);
        }
        Ok(keys.len() <= REMOVED_AT_ONCE)
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.group.put_document(key, None);
    }
}

impl Rows for Ledger {
    type Error = LedgerError;

    fn next_number(&mut self) -> Result<ItemNumber, LedgerError> {
        self.next_number += 1;
        Ok(ItemNumber(self.next_number - 1))
    }

    fn item(&mut self, number: ItemNumber) -> Result<Option<Item>, LedgerError> {
        let Some(mut item) = self.look_up(number)?.cloned() else { return Ok(None) };
        if item.detail.is_some() {
            let bytes = match self.group.row(number).map(|row| &row.detail) {
                Some(Part::New(bytes)) => bytes.clone(),
                _ => match self.reader.detail(number).and_then(|bytes| bytes.ok_or(ReadError::Lost)) {
                    // With data that were accepted although they are damaged. The item can be closed all the same.
                    Err(ReadError::Lost) => {
                        tracing::error!(
                            workflow = &*item.workflow,
                            item = &*item.id,
                            "its progress, errors and steps are lost"
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

    fn number(&mut self, key: &ItemKey) -> Result<Option<ItemNumber>, LedgerError> {
        self.named(Name::of_key(key))
    }

    fn number_by_idempotency_key(
        &mut self,
        workflow: &WorkflowName,
        digest: &[u8; 32],
    ) -> Result<Option<ItemNumber>, LedgerError> {
        self.named(Name::IdempotencyKey(workflow, digest))
    }

    fn insert_item(&mut self, item: &Item, payload: Option<Bytes>) -> Result<(), LedgerError> {
        let payload = payload.filter(|bytes| !bytes.is_empty()).map_or(Part::None, Part::New);
        self.group.name(item.number, self.hashes(item));
        self.put(item, payload, entry::detail_of(item));
        Ok(())
    }

    fn update_item(&mut self, item: &Item, detail: Detail) -> Result<(), LedgerError> {
        let detail = if detail == Detail::Changed { entry::detail_of(item) } else { Part::Same };
        self.put(item, Part::Same, detail);
        Ok(())
    }

    fn remove_payload(&mut self, item: &Item) -> Result<(), LedgerError> {
        self.put(item, Part::None, Part::Same);
        Ok(())
    }

    fn remove_item(&mut self, item: &Item) -> Result<(), LedgerError> {
        if self.group.names_of(item.number).is_some() {
            self.group.discard(item.number);
        } else {
            self.group.put(item.number, Row::default());
        }
        self.at_hand = None;
        Ok(())
    }

    fn holdings(&mut self) -> &mut Holdings {
        &mut self.holdings
    }

    fn put_workflow(&mut self, workflow: &Workflow) -> Result<(), LedgerError> {
        self.put_document(
            layout::workflow(&workflow.name),
            record::encode_document(workflow),
            layout::DOCUMENT_MAX,
        )
    }

    fn remove_workflow(&mut self, name: &WorkflowName) -> Result<(), LedgerError> {
        self.remove(layout::workflow(name));
        Ok(())
    }

    fn put_incident(&mut self, incident: &Incident) -> Result<(), LedgerError> {
        let bytes = record::encode_document(incident);
        self.put_document(layout::incident(&incident.id), bytes, layout::INCIDENT_MAX)
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> Result<(), LedgerError> {
        let key = layout::delivery(&delivery.incident, &delivery.id);
        self.put_document(key, record::encode_document(delivery), layout::DELIVERY_MAX)
    }

    fn put_silence(&mut self, silence: &Silence) -> Result<(), LedgerError> {
        let bytes = record::encode_document(silence);
        self.put_document(layout::silence(&silence.id), bytes, layout::INCIDENT_MAX)
    }

    fn remove_silence(&mut self, id: &SilenceId) -> Result<(), LedgerError> {
        self.remove(layout::silence(id));
        Ok(())
    }

    fn put_probe(&mut self, at: Timestamp) -> Result<(), LedgerError> {
        self.put_document(layout::PROBE.to_vec(), at.as_millis().to_be_bytes().to_vec(), layout::DOCUMENT_MAX)
    }

    fn put_clock(&mut self, anchor: &ClockAnchor) -> Result<(), LedgerError> {
        self.put_document(layout::CLOCK.to_vec(), record::encode_document(anchor), layout::DOCUMENT_MAX)
    }

    fn remove_incident(&mut self, id: &IncidentId) -> Result<bool, LedgerError> {
        if !self.remove_documents(&layout::deliveries(id))? {
            return Ok(false);
        }
        self.remove(layout::incident(id));
        Ok(true)
    }

    fn put_progress(&mut self, workflow: &WorkflowName, progress: &Progress) -> Result<(), LedgerError> {
        self.put_document(layout::progress(workflow), record::encode_document(progress), layout::DOCUMENT_MAX)
    }

    fn remove_progress(&mut self, workflow: &WorkflowName) -> Result<(), LedgerError> {
        self.remove(layout::progress(workflow));
        Ok(())
    }

    fn put_replay(&mut self, replay: &Replay) -> Result<(), LedgerError> {
        let bytes = record::encode_document(replay);
        self.put_document(layout::replay(&replay.id), bytes, layout::REPLAY_MAX)
    }

    fn put_replay_chunk(&mut self, replay: &ReplayId, chunk: &ReplayChunk) -> Result<(), LedgerError> {
        let key = layout::replay_chunk(replay, chunk.index);
        self.put_document(key, record::encode_replay_chunk(chunk), layout::DOCUMENT_MAX)
    }

    fn remove_replay(&mut self, id: &ReplayId) -> Result<bool, LedgerError> {
        if !self.remove_documents(&layout::replay_chunks(id))? {
            return Ok(false);
        }
        self.remove(layout::replay(id));
        Ok(true)
    }
}
