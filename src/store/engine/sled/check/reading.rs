//! The check of one generation.
//!
//! After a read error, the remaining values are read one by one, so that every loss is reported.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::super::generation::Generation;
use super::super::index::{Document, Pieces};
use super::super::journal::{self, Entry};
use super::super::layout;
use super::super::manifest::{Extent, Manifest, Numbers};
use super::super::read_error::ReadError;
use super::super::verification::Verification;
use super::copied::Copied;
use super::{Check, attempt, documents, place_of};
use crate::model::ItemNumber;
use crate::store::{CheckError, GenerationHeld};

/// The latest entries of a generation, of items and documents that no newer one has.
#[derive(Default)]
struct Words {
    /// The chunk of each; `None` is a tombstone.
    items: HashMap<ItemNumber, Option<u64>>,
    documents: HashMap<Vec<u8>, Option<Document>>,
    pieces: Pieces,
}

/// Values that cannot be read, as runs: the first and the last number, and the problem.
#[derive(Default)]
struct Unreadable(Vec<(u64, u64, String)>);

impl Unreadable {
    fn add(&mut self, number: u64, problem: String) {
        match self.0.last_mut() {
            Some((_, last, _)) if *last + 1 == number => *last = number,
            _ => self.0.push((number, number, problem)),
        }
    }

    /// The problems, as words to follow the generation's name.
    fn told(self, one: &str, of: &str) -> impl Iterator<Item = String> {
        self.0.into_iter().map(move |(first, last, problem)| {
            let numbers =
                if first == last { format!("{one} {first}") } else { format!("{one}s {first} to {last}") };
            format!("{numbers} of its {of} cannot be read: {problem}")
        })
    }
}

impl Check<'_> {
    /// Checks a generation, and the parts in it that newer ones refer to.
    pub(super) fn read(
        &mut self,
        number: u32,
        copied: &Copied,
        extent: Extent,
        manifest: &Manifest,
    ) -> Result<(), CheckError> {
        let generation = copied.generation();
        let words = self.journal(generation, extent)?;
        let items = self.items_of(generation, manifest, &words)?;
        let documents = self.documents_of(generation, &words)?;
        self.items.extend(words.items.into_keys());
        self.documents.extend(words.documents.into_keys());
        let mut expected = self.elsewhere.remove(&number).unwrap_or_default();
        // In the order in which they are stored.
        expected.sort_by_key(super::items::Expected::bundle);
        for expected in expected {
            self.go_on()?;
            self.look_for(generation, &expected);
        }
        let place = place_of(number);
        self.report.generations.push(GenerationHeld { place, items, documents, bytes: copied.bytes });
        Ok(())
    }

    /// Reads the journal and the bundles, and verifies both against the manifest.
    fn journal(&mut self, generation: &Generation, extent: Extent) -> Result<Words, CheckError> {
        let place = place_of(generation.number);
        let (mut verification, mut words) = (Verification::of(extent), Words::default());
        let (mut unreadable, mut problems) = (Unreadable::default(), Vec::new());
        let chunks = generation.chunks(0);
        each(extent.chunks, chunks, |number| generation.chunk(number), &mut |at, chunk| {
            self.go_on()?;
            match chunk {
                Ok(chunk) => {
                    let entries = self.words(&mut words, at, &chunk, &mut problems);
                    let missing = verification.take(at, &chunk, entries);
                    // What cannot be read is not reported as missing as well.
                    problems.extend(
                        missing.filter(|_| unreadable.0.last().is_none_or(|(_, last, _)| last + 1 != at)),
                    );
                }
                Err(problem) => unreadable.add(at, problem),
            }
            Ok(())
        })?;
        problems.extend(unreadable.told("chunk", "journal"));
        let next = attempt(|| generation.next(layout::BUNDLE));
        let next = next.unwrap_or_else(|problem| {
            problems.push(format!("its last bundle cannot be read: {problem}"));
            Some(extent.bundles.next)
        });
        let (found, wrong) = verification.close(next);
        problems.extend(wrong);
        self.bundles(generation, found.bundles, &mut problems)?;
        problems.into_iter().for_each(|problem| self.tell(place.clone(), problem));
        Ok(words)
    }

    /// Collects the entries of a chunk. Returns how many there were.
    fn words(&self, words: &mut Words, at: u64, chunk: &[u8], problems: &mut Vec<String>) -> u64 {
        let mut count = 0;
        for entry in journal::entries(chunk) {
            count += 1;
            match entry {
                Ok(Entry::Item { number, written }) => {
                    if !self.items.contains(&number) {
                        words.items.insert(number, written.map(|_| at));
                    }
                }
                Ok(Entry::Document { key, piece }) => {
                    let document = match &piece {
                        Some(piece) => words.pieces.take(key, at, piece),
                        None => None,
                    };
                    let is_said = piece.is_none() || document.is_some();
                    if is_said && !self.documents.contains(key) {
                        words.documents.insert(key.to_vec(), document);
                    }
                }
                Err(error) => problems.push(format!("has a chunk {at} that cannot be read: {error}")),
            }
        }
        count
    }

    /// Checks that each bundle exists and can be decoded.
    fn bundles(
        &mut self,
        generation: &Generation,
        numbers: Numbers,
        problems: &mut Vec<String>,
    ) -> Result<(), CheckError> {
        let (mut next, mut unreadable, mut missing) =
            (numbers.first, Unreadable::default(), Unreadable::default());
        each(numbers, generation.bundles(0), |number| generation.bundle(number), &mut |at, bundle| {
            self.go_on()?;
            (next..at).for_each(|number| missing.add(number, "it is missing".into()));
            next = at + 1;
            match bundle.map(|bundle| journal::bundle(&bundle)) {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => unreadable.add(at, error.to_string()),
                Err(problem) => unreadable.add(at, problem),
            }
            Ok(())
        })?;
        (next..numbers.next).for_each(|number| missing.add(number, "it is missing".into()));
        problems.extend(missing.told("bundle", "payloads"));
        problems.extend(unreadable.told("bundle", "payloads"));
        Ok(())
    }

    /// Checks each item whose latest entry is in this generation. Returns how many there are.
    fn items_of(
        &mut self,
        generation: &Generation,
        manifest: &Manifest,
        words: &Words,
    ) -> Result<u64, CheckError> {
        let mut count = 0;
        let chunks: BTreeSet<u64> = words.items.values().copied().flatten().collect();
        for at in chunks {
            // What cannot be read was reported by `journal`.
            let Ok(Some(chunk)) = attempt(|| generation.chunk(at)) else { continue };
            for entry in journal::entries(&chunk) {
                if let Ok(Entry::Item { number, written: Some(written) }) = entry
                    && words.items.get(&number) == Some(&Some(at))
                {
                    self.go_on()?;
                    count += 1;
                    self.item(generation, manifest, number, &written);
                }
            }
        }
        Ok(count)
    }

    /// The same for documents.
    fn documents_of(&mut self, generation: &Generation, words: &Words) -> Result<u64, CheckError> {
        let there = words.documents.iter().filter_map(|(key, document)| Some((key, (*document)?)));
        let mut there: Vec<_> = there.collect();
        there.sort_by_key(|(key, _)| *key);
        for (key, document) in &there {
            self.go_on()?;
            let problem = match attempt(|| generation.document(key, *document)) {
                Ok(Some(bytes)) => documents::decode(key, &bytes).err().map(|error| error.to_string()),
                Ok(None) => Some("it is incomplete".into()),
                Err(problem) => Some(problem),
            };
            if let Some(problem) = problem {
                let name = documents::name(key);
                self.tell(
                    place_of(generation.number),
                    format!("holds {name}, which cannot be read: {problem}"),
                );
            }
        }
        Ok(there.len() as u64)
    }
}

type Value = Result<Option<sled::IVec>, ReadError>;

/// Calls `visit` with each value, and with the error of each value in `numbers` that exists and cannot be
/// read.
fn each(
    numbers: Numbers,
    mut values: impl Iterator<Item = Result<(u64, sled::IVec), ReadError>>,
    get: impl Fn(u64) -> Value,
    visit: &mut dyn FnMut(u64, Result<sled::IVec, String>) -> Result<(), CheckError>,
) -> Result<(), CheckError> {
    let mut next = numbers.first;
    let problem = loop {
        match attempt(|| values.next().transpose()) {
            Ok(Some((at, value))) => {
                next = at + 1;
                visit(at, Ok(value))?;
            }
            Ok(None) => return Ok(()),
            Err(problem) => break problem,
        }
    };
    if next >= numbers.next {
        return visit(next, Err(problem));
    }
    for number in next..numbers.next {
        match attempt(|| get(number)) {
            Ok(Some(value)) => visit(number, Ok(value))?,
            Ok(None) => {}
            Err(problem) => visit(number, Err(problem))?,
        }
    }
    Ok(())
}
