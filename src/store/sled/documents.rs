//! Reading documents: workflows, incidents, deliveries, silences, replays and the rest.
//!
//! In this order as well: the tables, then the generations. Keys are found in the tables and in the index.

use std::sync::PoisonError;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::layout;
use super::reader::{ReadError, Reader};
use crate::model::{
    ClockAnchor, Delivery, DeliveryId, Incident, IncidentId, Progress, ReplayChunk, ReplayId, Workflow,
    WorkflowName,
};
use crate::store::record;
use crate::store::{DeliveryPage, ListDeliveries, listing};

/// How many keys are looked up at once.
const KEYS_AT_ONCE: usize = 256;

impl Reader {
    /// A document.
    pub(super) fn document<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, ReadError> {
        let bytes = self.document_bytes(key)?;
        Ok(bytes.map(|bytes| record::decode_document(&bytes)).transpose()?)
    }

    /// The bytes of a document.
    pub(super) fn document_bytes(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        if let Some(recent) = self.tables().document(key) {
            return Ok(recent);
        }
        let (document, generation) = {
            let index = self.index();
            let Some(document) = index.documents.get(key).copied() else { return Ok(None) };
            (document, index.generations.of_chunk(document.chunk).ok_or(ReadError::Lost)?)
        };
        generation.document(key, document)?.ok_or(ReadError::Lost).map(Some)
    }

    /// The keys of the documents in a range, in their order. Some may be gone by now.
    pub(super) fn keys(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
        // The tables first: what leaves them is in the index by then.
        let recent = self.tables().keys(from, to);
        merged(recent.into_iter(), self.settled_keys(from, to, false), |left, right| left < right)
    }

    /// The same, from the other end.
    fn keys_backwards(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
        let recent = self.tables().keys(from, to);
        merged(recent.into_iter().rev(), self.settled_keys(from, to, true), |left, right| left > right)
    }

    /// Those that the generations have, a page at a time, so that the index is not held for long.
    fn settled_keys(&self, from: &[u8], to: &[u8], backwards: bool) -> impl Iterator<Item = Vec<u8>> + use<> {
        let index = self.index.clone();
        let mut left = Some((from.to_vec(), to.to_vec()));
        let pages = std::iter::from_fn(move || {
            let (from, to) = left.take().filter(|(from, to)| from < to)?;
            let index = index.read().unwrap_or_else(PoisonError::into_inner);
            let range = index.documents.range(from.clone()..to.clone()).map(|(key, _)| key.clone());
            let page: Vec<Vec<u8>> = if backwards {
                range.rev().take(KEYS_AT_ONCE).collect()
            } else {
                range.take(KEYS_AT_ONCE).collect()
            };
            left = page.last().map(|last| {
                // The key right behind the last one is the same with a zero.
                if backwards { (from, last.clone()) } else { ([last, &[0][..]].concat(), to) }
            });
            Some(page)
        });
        pages.flatten()
    }

    /// The documents to which these keys belong, in their order.
    fn documents<T: DeserializeOwned>(
        &self,
        keys: impl Iterator<Item = Vec<u8>>,
    ) -> impl Iterator<Item = Result<T, ReadError>> {
        keys.filter_map(|key| self.document(&key).transpose())
    }

    /// The workflows that are noted.
    pub(super) fn workflows(&self) -> impl Iterator<Item = Result<Workflow, ReadError>> {
        let (from, to) = layout::range(&[layout::WORKFLOW]);
        self.documents(self.keys(&from, &to))
    }

    pub(super) fn clock(&self) -> Result<Option<ClockAnchor>, ReadError> {
        self.document(layout::CLOCK)
    }

    pub(super) fn progresses(&self) -> Result<Vec<(WorkflowName, Progress)>, ReadError> {
        let (from, to) = layout::range(&[layout::PROGRESS]);
        let mut progresses = Vec::new();
        for key in self.keys(&from, &to) {
            let name = std::str::from_utf8(&key[1..]).ok().and_then(|name| WorkflowName::new(name).ok());
            let name = name.ok_or(ReadError::Key("a workflow's progress"))?;
            if let Some(progress) = self.document(&key)? {
                progresses.push((name, progress));
            }
        }
        Ok(progresses)
    }

    pub(super) fn replay_chunk(
        &self,
        replay: &ReplayId,
        index: u32,
    ) -> Result<Option<ReplayChunk>, ReadError> {
        let value = self.document_bytes(&layout::replay_chunk(replay, index))?;
        Ok(value.map(|value| record::decode_replay_chunk(index, &value)).transpose()?)
    }

    pub(super) fn unmade_replays(&self) -> Result<Vec<ReplayId>, ReadError> {
        let (mut from, to) = layout::range(&[layout::REPLAY_CHUNK]);
        let mut unmade = Vec::new();
        loop {
            // Those that are gone since tell nothing.
            let there = self.keys(&from, &to).find_map(|key| match self.document_bytes(&key) {
                Ok(value) => value.map(|_| Ok(key)),
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

    /// The keys of all deliveries.
    fn delivery_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        let (from, to) = layout::range(&[layout::DELIVERY]);
        self.keys(&from, &to)
    }

    pub(super) fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, ReadError> {
        for key in self.delivery_keys() {
            if layout::delivery_id(&key) == Some(&*id.0) {
                return self.document(&key);
            }
        }
        Ok(None)
    }

    pub(super) fn list_deliveries(&self, question: &ListDeliveries) -> Result<DeliveryPage, ReadError> {
        let mut found = Vec::new();
        for key in self.delivery_keys() {
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

/// Both in one, in their common order and each key once.
fn merged(
    recent: impl Iterator<Item = Vec<u8>>,
    settled: impl Iterator<Item = Vec<u8>>,
    is_before: fn(&[u8], &[u8]) -> bool,
) -> impl Iterator<Item = Vec<u8>> {
    let (mut recent, mut settled) = (recent.peekable(), settled.peekable());
    std::iter::from_fn(move || {
        let (Some(first), Some(second)) = (recent.peek(), settled.peek()) else {
            return settled.next().or_else(|| recent.next());
        };
        if is_before(second, first) {
            return settled.next();
        }
        if first == second {
            settled.next();
        }
        recent.next()
    })
}
