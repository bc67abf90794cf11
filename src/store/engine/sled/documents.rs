//! Reads of documents: workflows, incidents, deliveries, silences, replays and the rest.
//!
//! The in-memory tables are read first, then the index and the generations, as for items.

use std::sync::PoisonError;

use bytes::Bytes;

use super::read_error::ReadError;
use super::reader::Reader;
use super::{keys, layout};
use crate::model::{Delivery, DeliveryId, ReplayId};
use crate::store::record;
use crate::store::{
    DeliveryPage, Document, DocumentId, DocumentOrder, DocumentSet, ListDeliveries, ListDocuments, listing,
};

/// Keys that are read from the index under one lock.
const KEYS_AT_ONCE: usize = 256;

impl Reader {
    pub(super) fn document(&self, id: &DocumentId) -> Result<Option<Document>, ReadError> {
        self.document_at(&keys::key(id), id)
    }

    fn document_at(&self, key: &[u8], id: &DocumentId) -> Result<Option<Document>, ReadError> {
        let bytes = self.document_bytes(key)?;
        Ok(bytes.map(|bytes| record::decode(id, &bytes)).transpose()?)
    }

    pub(super) fn has_document(&self, key: &[u8]) -> bool {
        match self.tables().document(key) {
            Some(recent) => recent.is_some(),
            None => self.index().documents.contains_key(key),
        }
    }

    fn document_bytes(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
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

    /// The keys of the documents in a range, in order. Some may be removed by now.
    pub(super) fn keys(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
        // The tables first: what leaves them is in the index by then.
        let recent = self.tables().keys(from, to);
        merged(recent.into_iter(), self.settled_keys(from, to, false), |left, right| left < right)
    }

    /// The same in descending order.
    fn keys_backwards(&self, from: &[u8], to: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
        let recent = self.tables().keys(from, to);
        merged(recent.into_iter().rev(), self.settled_keys(from, to, true), |left, right| left > right)
    }

    /// The keys in the index, a page at a time, so that its lock is not held for long.
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
                // The smallest key after the last one is that with a zero byte appended.
                if backwards { (from, last.clone()) } else { ([last, &[0][..]].concat(), to) }
            });
            Some(page)
        });
        pages.flatten()
    }

    /// Reads the documents with these keys. Those removed since are left out.
    fn documents_at(
        &self,
        keys: impl Iterator<Item = Vec<u8>>,
    ) -> impl Iterator<Item = Result<Document, ReadError>> {
        keys.filter_map(|key| match keys::id(&key) {
            Some(id) => self.document_at(&key, &id).transpose(),
            None => Some(Err(ReadError::Key("a document's key"))),
        })
    }

    /// All documents of a set, sorted by id.
    pub(super) fn stream(&self, set: &DocumentSet) -> impl Iterator<Item = Result<Document, ReadError>> {
        let (from, to) = layout::range(&keys::prefix(set));
        self.documents_at(self.keys(&from, &to))
    }

    pub(super) fn documents(&self, question: &ListDocuments) -> Result<Vec<Document>, ReadError> {
        let (from, to) = layout::range(&keys::prefix(&question.of));
        match &question.order {
            DocumentOrder::Ascending => {
                self.documents_at(self.keys(&from, &to)).take(question.limit).collect()
            }
            DocumentOrder::Descending { below } => {
                let to = below.as_ref().map_or(to, keys::key);
                self.documents_at(self.keys_backwards(&from, &to)).take(question.limit).collect()
            }
        }
    }

    pub(super) fn unmade_replays(&self) -> Result<Vec<ReplayId>, ReadError> {
        let (mut from, to) = layout::range(&keys::prefix(&DocumentSet::Chunks));
        let mut unmade = Vec::new();
        loop {
            // Chunks that were removed since do not count.
            let Some(key) = self.keys(&from, &to).find(|key| self.has_document(key)) else {
                return Ok(unmade);
            };
            let Some(DocumentId::ReplayChunk(id, _)) = keys::id(&key) else {
                return Err(ReadError::Key("a replay's chunk"));
            };
            if !self.has_document(&keys::key(&DocumentId::Replay(id.clone()))) {
                unmade.push(id.clone());
            }
            // Skips the rest of this replay's chunks.
            from = layout::range(&keys::prefix(&DocumentSet::ChunksOf(id))).1;
        }
    }

    fn delivery_keys(&self) -> impl Iterator<Item = Vec<u8>> {
        let (from, to) = layout::range(&keys::prefix(&DocumentSet::Deliveries));
        self.keys(&from, &to)
    }

    pub(super) fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, ReadError> {
        match self.delivery_keys().find(|key| keys::delivery_id(key) == Some(&*id.0)) {
            Some(key) => self.delivery_at(&key),
            None => Ok(None),
        }
    }

    fn delivery_at(&self, key: &[u8]) -> Result<Option<Delivery>, ReadError> {
        let bytes = self.document_bytes(key)?;
        Ok(bytes.map(|bytes| record::decode_delivery(&bytes)).transpose()?)
    }

    pub(super) fn list_deliveries(&self, question: &ListDeliveries) -> Result<DeliveryPage, ReadError> {
        let mut found = Vec::new();
        for key in self.delivery_keys() {
            if let Some(id) = keys::delivery_id(&key)
                && listing::is_in_range(question, id)
            {
                found.push((DeliveryId(id.into()), key));
            }
        }
        found.sort_by(|left, right| right.0.cmp(&left.0));
        let read = |(id, key): (DeliveryId, Vec<u8>)| (id, self.delivery_at(&key));
        listing::page_of_deliveries(question, found.into_iter().map(read))
    }
}

/// Merges two sorted sequences, without duplicates.
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
