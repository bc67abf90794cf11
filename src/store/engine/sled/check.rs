//! The check of a whole data directory (`warden data check`). Changes nothing in it.
//!
//! sled writes when it opens a database. So each generation is copied, opened in the copy and removed again,
//! one at a time ([`copied`]). They are read from the newest to the oldest: the first entry of an item or
//! document is its latest, and its payload is in the same generation or an older one, so that each is copied
//! once ([`reading`]). The log is read in place ([`log`]).
//!
//! The directory's lock is held meanwhile, if it has one: a copy need not.

mod copied;
mod documents;
mod format;
mod items;
mod log;
mod reading;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hashbrown::HashSet;

use self::copied::{Copied, NotCopied, Scratch};
use self::items::Expected;
use super::directory;
use super::generation::name;
use super::manifest::{Extent, Manifest};
use super::naming::{FOREIGN, Named, list_entries};
use super::open_error::unusable;
use super::read_error::ReadError;
use crate::model::ItemNumber;
use crate::store::{CheckError, Finding, Report};

/// See [`crate::store::engine::check`].
pub fn check(path: &Path, scratch: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Report, CheckError> {
    if !path.is_dir() {
        let problem = if path.exists() { "is no directory" } else { "does not exist" }.to_owned();
        return Err(CheckError::NoData { path: path.to_owned(), problem });
    }
    let _lock = lock(path)?;
    let mut check = Check {
        path,
        scratch: Scratch::make(scratch)?,
        go_on,
        bytes: 0,
        report: Report::default(),
        items: HashSet::new(),
        documents: HashSet::new(),
        elsewhere: BTreeMap::new(),
    };
    check.format()?;
    if path.join(directory::GENERATIONS).is_dir() {
        check.generations()?;
    } else {
        check.tell(directory::GENERATIONS, "is missing");
    }
    check.report.generations.reverse();
    Ok(check.report)
}

/// Locks the directory. Without a lock file no daemon can be running there.
fn lock(path: &Path) -> Result<Option<directory::Lock>, CheckError> {
    let file = path.join(directory::LOCK);
    let lock = match File::open(&file) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&file)(error).into()),
    };
    directory::Lock::try_take(lock).map(Some).map_err(|error| match error {
        TryLockError::WouldBlock => CheckError::Locked(path.to_owned()),
        TryLockError::Error(error) => unusable(&file)(error).into(),
    })
}

struct Check<'a> {
    path: &'a Path,
    scratch: Scratch,
    go_on: &'a mut dyn FnMut(u64) -> bool,
    /// Read so far.
    bytes: u64,
    report: Report,
    /// The items and documents whose latest entry was seen.
    items: HashSet<ItemNumber>,
    documents: HashSet<Vec<u8>>,
    /// Payloads and details to be verified in generations that are yet to be read.
    elsewhere: BTreeMap<u32, Vec<Expected>>,
}

impl Check<'_> {
    fn tell(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.report.findings.push(Finding { place: place.into(), item: None, problem: problem.into() });
    }

    fn note(&mut self, note: String) {
        self.report.notes.push(note);
    }

    /// Fails if the check was stopped.
    fn go_on(&mut self) -> Result<(), CheckError> {
        if (self.go_on)(self.bytes) { Ok(()) } else { Err(CheckError::Stopped) }
    }

    /// Reads all generations, and the log after them.
    fn generations(&mut self) -> Result<(), CheckError> {
        let directory = self.path.join(directory::GENERATIONS);
        let mut numbers = Vec::new();
        for (path, named) in list_entries(&directory).map_err(unusable(&directory))? {
            let place =
                format!("{}/{}", directory::GENERATIONS, path.file_name().unwrap_or_default().display());
            match named {
                Named::Generation(number) => numbers.push(number),
                Named::Unfinished => {
                    self.note(format!(
                        "{place} was left by an interrupted creation or removal; the next start removes it"
                    ));
                }
                Named::Damaged => {
                    self.note(format!("{place} was renamed earlier because it is damaged, and was not read"));
                }
                Named::Foreign => self.tell(place, FOREIGN),
            }
        }
        numbers.sort_unstable();
        let mut manifest: Option<Manifest> = None;
        for number in numbers.iter().rev().copied() {
            let extent = manifest.as_ref().map(|manifest| extent_of(manifest, number));
            match extent {
                Some(None)
                    if manifest.as_ref().is_some_and(|manifest| manifest.removed.contains(&number)) =>
                {
                    let place = place_of(number);
                    self.note(format!("{place} holds no live data; the next start removes it"));
                    continue;
                }
                Some(None) => {
                    self.tell(place_of(number), "is not listed in the manifest");
                    continue;
                }
                _ => {}
            }
            let Some(copied) = self.copy(number, extent.flatten())? else { continue };
            if manifest.is_none() {
                manifest = self.manifest_of(number, &copied);
            }
            if let Some(manifest) = &manifest
                && let Some(extent) = extent_of(manifest, number)
            {
                self.read(number, &copied, extent, manifest)?;
            }
        }
        let Some(manifest) = manifest else {
            self.tell(directory::GENERATIONS, "holds no generation that can be read");
            return Ok(());
        };
        for extent in manifest.sealed.iter().filter(|extent| !numbers.contains(&extent.generation)) {
            self.tell(place_of(extent.generation), format!("is missing; it held {} entries", extent.entries));
        }
        self.tell_of_unreachable();
        if numbers.last() == Some(&manifest.newest.generation) {
            self.log(&manifest.log)
        } else {
            let log = directory::LOG;
            self.note(format!("{log} was not read: only the newest generation tells where it continues"));
            Ok(())
        }
    }

    /// Copies a generation and opens the copy. Returns `None` after reporting why that failed.
    fn copy(&mut self, number: u32, extent: Option<Extent>) -> Result<Option<Copied>, CheckError> {
        self.go_on()?;
        let from = self.path.join(directory::GENERATIONS).join(name(number));
        match Copied::open(&from, number, &self.scratch) {
            Ok(copied) => {
                self.bytes += copied.bytes;
                Ok(Some(copied))
            }
            Err(NotCopied::Damaged { file, problem }) => {
                let place = place_of(number);
                let place = file.map_or(place.clone(), |file| format!("{place}/{file}"));
                let held =
                    extent.map_or(String::new(), |extent| format!("; it held {} entries", extent.entries));
                self.tell(place, plain(&problem) + &held);
                Ok(None)
            }
            Err(NotCopied::Failed(error)) => Err(error),
        }
    }

    /// The manifest of the newest generation. Returns `None` after reporting why it cannot be read.
    fn manifest_of(&mut self, number: u32, copied: &Copied) -> Option<Manifest> {
        match attempt(|| copied.generation().manifest()) {
            Ok(Some(manifest)) if manifest.newest.generation == number => return Some(manifest),
            Ok(_) => self.tell(place_of(number), "has no manifest"),
            Err(problem) => {
                self.tell(place_of(number), format!("has a manifest that cannot be read: {problem}"));
            }
        }
        None
    }
}

fn extent_of(manifest: &Manifest, number: u32) -> Option<Extent> {
    manifest.sealed.iter().chain([&manifest.newest]).find(|extent| extent.generation == number).copied()
}

fn place_of(number: u32) -> String {
    format!("{}/{}", directory::GENERATIONS, name(number))
}

/// Whether an I/O error means that something is missing or unreadable, rather than forbidden.
fn is_damage(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::PermissionDenied
}

/// Reads from sled, which panics on some kinds of damage.
fn attempt<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| match error {
            ReadError::Database(error) => plain(&error.to_string()),
            error => error.to_string(),
        }),
        Err(_) => Err("sled panicked".into()),
    }
}

/// Removes the debug formatting from an error text of sled.
fn plain(text: &str) -> String {
    let text = text.strip_suffix(" backtrace ()").unwrap_or(text);
    text.replace("Some(Inline(", "").replace("))", "").replace(" at file offset None", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_says_is_put_in_plain_words() {
        let text = |at| sled::Error::Corruption { at, bt: () }.to_string();
        assert_eq!(plain(&text(None)), "Read corrupted data");
        let at = "Read corrupted data at file offset Some(Inline(5105685)) backtrace ()";
        assert_eq!(plain(at), "Read corrupted data at file offset 5105685");
    }
}
