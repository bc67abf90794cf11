//! Opens the generations and verifies them against the manifest.
//!
//! The newest generation's manifest lists all generations and what each holds. One that is missing, extra, or
//! differs from what was written is damage: it is reported and ends the start, unless damage is accepted.
//! Then a generation that does not open is renamed, and the daemon runs with what can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::generation::{self, Generation, GenerationError, GenerationOptions};
use super::index::{self, Index, Recovered};
use super::manifest::{Extent, LogPosition, Manifest};
use super::open_error::OpenError;
use super::read_error::ReadError;
use crate::store::OnDamage;
use crate::store::holdings::Holdings;

/// The suffix of a damaged generation that was renamed out of the way.
pub(super) const DAMAGED: &str = ".damaged";

/// Item numbers to skip when lost data may have held newer ones, so that no number is given out twice.
pub(super) const NUMBERS_SKIPPED: u64 = 1 << 32;

pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) holdings: Holdings,
    pub(super) manifest: Manifest,
}

/// Opens all generations; there is at least one. If none can be read and damage is accepted, a new one is
/// created, in front of what is left of the log.
pub(super) fn open(
    path: &Path,
    options: &GenerationOptions,
    on_damage: OnDamage,
    log_left: impl Fn() -> Result<LogPosition, OpenError>,
) -> Result<Opened, OpenError> {
    let mut highest = 0;
    let mut damage = Vec::new();
    let mut found = BTreeMap::new();
    for number in generation::list(&options.directory).map_err(|error| refuse(path, error))? {
        highest = number;
        match open_one(options, number, on_damage, &mut damage) {
            Ok(generation) => {
                found.insert(number, Arc::new(generation));
            }
            Err(GenerationError::Damaged { path: at, problem }) => {
                damage.push(format!("{} {problem}", at.display()));
                if on_damage == OnDamage::Accept {
                    rename_damaged(options, number)
                        .map_err(|error| OpenError::Unusable { path: at, error })?;
                }
            }
            Err(error) => return Err(refuse(path, error)),
        }
    }
    let damaged = |problems| OpenError::Damaged { path: path.to_owned(), problems };
    let manifest = loop {
        let Some((number, newest)) = found.last_key_value() else {
            damage.push(format!("{} holds no generation that can be read", options.directory.display()));
            if on_damage == OnDamage::Refuse {
                return Err(damaged(damage));
            }
            let newest = Extent::after(&Extent { generation: highest, ..Extent::default() });
            let manifest = Manifest { newest, next_number: NUMBERS_SKIPPED, ..Manifest::new(log_left()?) };
            let generation = Generation::create(options, &manifest).map_err(|error| refuse(path, error))?;
            found.insert(generation.number, Arc::new(generation));
            break manifest;
        };
        match newest.manifest() {
            Ok(Some(manifest)) if manifest.newest.generation == *number => break manifest,
            Ok(_) => damage.push(format!("{} has no manifest", newest.path().display())),
            Err(ReadError::Database(sled::Error::Io(error))) => {
                return Err(OpenError::Unusable { path: newest.path().to_owned(), error });
            }
            Err(error) => damage
                .push(format!("{} has a manifest that cannot be read: {error}", newest.path().display())),
        }
        if on_damage == OnDamage::Refuse {
            return Err(damaged(damage));
        }
        let number = *number;
        found.remove(&number);
        rename_damaged(options, number)
            .map_err(|error| OpenError::Unusable { path: options.directory.clone(), error })?;
    };
    let mut manifest = manifest;
    if manifest.newest.generation < highest {
        // The newest manifest is lost, and with it the log position. Replaying all of the log that is left is
        // harmless.
        let left = log_left()?;
        if left.id == manifest.log.id {
            manifest.log = left;
        }
    }
    let mut generations: Vec<(Arc<Generation>, Extent)> = Vec::new();
    for extent in manifest.sealed.iter().chain([&manifest.newest]) {
        match found.remove(&extent.generation) {
            Some(generation) => generations.push((generation, *extent)),
            None => {
                damage.push(format!("{} lacks generation {}", options.directory.display(), extent.generation))
            }
        }
    }
    for (number, generation) in found {
        if manifest.removed.contains(&number) {
            generation.remove().map_err(|error| refuse(path, error))?;
        } else {
            damage.push(format!("{} is not listed in the manifest", generation.path().display()));
        }
    }
    let accepted: BTreeSet<u32> = {
        let extents = generations.iter().map(|(_, extent)| extent);
        extents.filter(|extent| extent.is_accepted).map(|extent| extent.generation).collect()
    };
    let mut newly_damaged = BTreeSet::new();
    let recovered = catch_unwind(AssertUnwindSafe(|| index::recover(generations)));
    let Recovered { index, holdings, damage: more } = match recovered {
        Ok(Ok(recovered)) => recovered,
        Ok(Err(ReadError::Database(sled::Error::Io(error)))) => {
            return Err(OpenError::Unusable { path: options.directory.clone(), error });
        }
        Ok(Err(error)) => {
            damage.push(error.to_string());
            return Err(damaged(damage));
        }
        Err(_) => {
            damage.push(format!("{} cannot be read: sled panicked", options.directory.display()));
            return Err(damaged(damage));
        }
    };
    for (generation, problem) in more {
        if accepted.contains(&generation) {
            tracing::warn!("{problem}; this damage was accepted at an earlier start");
        } else {
            newly_damaged.insert(generation);
            damage.push(problem);
        }
    }
    if damage.is_empty() {
        return Ok(Opened { index, holdings, manifest });
    }
    if on_damage == OnDamage::Refuse {
        return Err(damaged(damage));
    }
    for problem in &damage {
        tracing::error!("{problem}; accepted, continuing with what can be read");
    }
    // The manifest is brought in line with what could be read, so that the next start verifies against that.
    let accept = |extent: &Extent| Extent {
        is_accepted: extent.is_accepted || newly_damaged.contains(&extent.generation),
        ..*extent
    };
    let mut index = index;
    index.generations.accept(accept);
    let sealed = index.generations.sealed().iter().map(|held| held.extent).collect();
    let newest = index.generations.newest().map_or(manifest.newest, |held| held.extent);
    let manifest = Manifest { sealed, newest, ..manifest };
    Ok(Opened { index, holdings, manifest })
}

/// Opens a generation. If damage is accepted and only the files that sled derives from its log are damaged,
/// they are removed and it is opened without them.
fn open_one(
    options: &GenerationOptions,
    number: u32,
    on_damage: OnDamage,
    damage: &mut Vec<String>,
) -> Result<Generation, GenerationError> {
    match Generation::open(options, number) {
        Err(GenerationError::Damaged { path, problem }) if on_damage == OnDamage::Accept && path.exists() => {
            damage.push(format!("{} {problem}", path.display()));
            let removed = generation::remove_derived(options, number);
            removed.map_err(|error| GenerationError::System { path, error })?;
            Generation::open(options, number)
        }
        opened => opened,
    }
}

fn rename_damaged(options: &GenerationOptions, number: u32) -> std::io::Result<()> {
    let name = generation::name(number);
    // A generation with this number may have been renamed before.
    let free = (0..).map(|times| options.directory.join(format!("{name}{}{DAMAGED}", "+".repeat(times))));
    let to = free.into_iter().find(|path| !path.exists()).unwrap_or_default();
    fs::rename(options.directory.join(name), to)
}

pub(super) fn refuse(path: &Path, error: GenerationError) -> OpenError {
    match error {
        GenerationError::System { path, error } => OpenError::Unusable { path, error },
        GenerationError::Unreadable { path, error } => OpenError::Unreadable { path, error },
        GenerationError::Locked { .. } => OpenError::Locked(path.to_owned()),
        GenerationError::Damaged { path: at, problem } => OpenError::Damaged {
            path: path.to_owned(),
            problems: vec![format!("{} {problem}", at.display())],
        },
    }
}
