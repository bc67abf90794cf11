//! The check of items: record, payload and detail are verified against each other. One payload is in memory
//! at a time.

use sha2::{Digest, Sha256};

use super::super::generation::Generation;
use super::super::journal::{Place, Written};
use super::super::manifest::Manifest;
use super::super::table::{Part, Row};
use super::{Check, attempt, place_of};
use crate::model::item::ItemDetail;
use crate::model::{Item, ItemId, ItemKey, ItemNumber, PayloadInfo, WorkflowName};
use crate::store::Finding;
use crate::store::record;

/// A payload or detail that must exist.
pub(super) struct Expected {
    item: ItemKey,
    content: Content,
    place: Place,
}

impl Expected {
    pub(super) fn bundle(&self) -> u64 {
        self.place.bundle()
    }
}

enum Content {
    Payload { size: u64, sha256: [u8; 32] },
    Detail,
}

impl Content {
    fn name(&self) -> &'static str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Detail => "detail",
        }
    }

    /// The problem with these bytes, if any.
    fn wrong(&self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Payload { size, .. } if *size != bytes.len() as u64 => {
                Some(format!("its payload had {size} bytes, of which {} were found", bytes.len()))
            }
            Self::Payload { sha256, .. } if Sha256::digest(bytes)[..] != sha256[..] => {
                Some("its payload differs from what was stored: its SHA-256 does not match".into())
            }
            Self::Payload { .. } => None,
            Self::Detail => {
                let error = record::decode_document::<ItemDetail>(bytes).err()?;
                Some(format!("its detail cannot be read: {error}"))
            }
        }
    }
}

fn payload(info: &PayloadInfo) -> Content {
    Content::Payload { size: info.size, sha256: info.sha256 }
}

impl Check<'_> {
    /// Checks an item in a generation.
    pub(super) fn item(
        &mut self,
        generation: &Generation,
        manifest: &Manifest,
        number: ItemNumber,
        written: &Written<'_>,
    ) {
        let Some(item) = self.record(&place_of(generation.number), number, written.record) else { return };
        let expected = [
            (item.stored_payload().filter(|info| info.size > 0).map(payload), written.payload),
            (item.detail.as_ref().map(|_| Content::Detail), written.detail),
        ];
        let key = ItemKey { workflow: item.workflow, id: item.id };
        for (content, place) in expected {
            let Some(content) = content else { continue };
            let Some(place) = place else {
                let problem = format!("its {} has no location", content.name());
                self.tell_of_item(&place_of(generation.number), &key, problem);
                continue;
            };
            let expected = Expected { item: key.clone(), content, place };
            match holder(manifest, place.bundle()) {
                Some(holder) if holder < generation.number => {
                    self.elsewhere.entry(holder).or_default().push(expected);
                }
                _ => self.look_for(generation, &expected),
            }
        }
    }

    /// Verifies a payload or detail in the generation that must hold it.
    pub(super) fn look_for(&mut self, generation: &Generation, expected: &Expected) {
        let Expected { item, content, place } = expected;
        let problem = match attempt(|| generation.part(*place, 0..usize::MAX)) {
            Ok(Some(bytes)) => content.wrong(&bytes),
            Ok(None) => Some(format!("its {} is missing", content.name())),
            Err(problem) => Some(format!("its {} cannot be read: {problem}", content.name())),
        };
        if let Some(problem) = problem {
            self.tell_of_item(&place_of(generation.number), item, problem);
        }
    }

    /// Reports the parts that are in generations which could not be read.
    pub(super) fn tell_of_unreachable(&mut self) {
        for (number, expected) in std::mem::take(&mut self.elsewhere) {
            for Expected { item, content, .. } in expected {
                let problem = format!("its {} was there, and cannot be read", content.name());
                self.tell_of_item(&place_of(number), &item, problem);
            }
        }
    }

    /// Checks a row of the log. It may lack parts that earlier records hold.
    pub(super) fn row(&mut self, place: &str, number: ItemNumber, row: &Row) {
        let Some(record) = &row.record else { return };
        let Some(item) = self.record(place, number, record) else { return };
        let parts = [
            (item.stored_payload().map(payload), &row.payload),
            (item.detail.as_ref().map(|_| Content::Detail), &row.detail),
        ];
        let mut wrong = Vec::new();
        for (content, part) in parts {
            if let (Some(content), Part::New(bytes)) = (content, part) {
                wrong.extend(content.wrong(bytes));
            }
        }
        let key = ItemKey { workflow: item.workflow, id: item.id };
        wrong.into_iter().for_each(|problem| self.tell_of_item(place, &key, problem));
    }

    /// Decodes an item without its detail. Returns `None` after reporting why that failed.
    fn record(&mut self, place: &str, number: ItemNumber, record: &[u8]) -> Option<Item> {
        let error = match record::decode_item(number, record) {
            Ok(item) => return Some(item),
            Err(error) => error,
        };
        let names = record::decode_names(record).ok();
        let item = names.and_then(|names| {
            let (workflow, id) = (WorkflowName::new(names.workflow).ok()?, ItemId::new(names.id).ok()?);
            Some(ItemKey { workflow, id })
        });
        let problem = match &item {
            Some(_) => format!("its record cannot be read: {error}"),
            None => format!("has a record of item number {}, which cannot be read: {error}", number.0),
        };
        self.report.findings.push(Finding { place: place.into(), item, problem });
        None
    }

    fn tell_of_item(&mut self, place: &str, item: &ItemKey, problem: String) {
        self.report.findings.push(Finding { place: place.into(), item: Some(item.clone()), problem });
    }
}

/// The generation that holds a bundle, by the manifest.
fn holder(manifest: &Manifest, bundle: u64) -> Option<u32> {
    let holders = manifest.sealed.iter().chain([&manifest.newest]);
    holders.take_while(|extent| extent.bundles.first <= bundle).last().map(|extent| extent.generation)
}
