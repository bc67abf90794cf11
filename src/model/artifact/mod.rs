//! Artifacts: files that runs write or read.
//!
//! Invariants:
//!
//! * The id follows from workflow, location and name, so a repeated registration finds the first one.
//! * Any status may follow any other, with two exceptions: [`dependencies`] of an artifact are loaded before
//!   it is, and one whose use is `once` is loaded once and no more.
//! * A change that changes nothing leaves the version as it is.
//! * The size of a record is bounded by the limits of [`warden_api::limit`].
//!
//! Deliberately absent: the files themselves, which the warden neither reads nor deletes.

pub mod bound;
pub mod dependencies;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
pub use warden_api::limit::{DEPENDENCIES_MAX, USES_KEPT};
pub use warden_api::word::{ArtifactStatus, ArtifactUse, Word};

pub use self::bound::Bound;
use super::random::repeatable_id;
use super::{ItemId, ItemKey, ItemNumber, Timestamp, WorkflowName};

/// The most artifacts that are removed with the item of a run, which bounds the size of a command.
pub const OF_RUN_MAX: usize = 1_000;

/// A word of the list, or one that the configuration adds.
pub type Status = Word<ArtifactStatus>;

/// `art_` and a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArtifactId(pub Arc<str>);

impl ArtifactId {
    pub fn of(workflow: &str, location: &str, name: &str) -> Self {
        Self(repeatable_id("art", &[workflow, location, name]))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    pub id: ArtifactId,
    /// The order of registrations.
    pub number: ItemNumber,
    pub workflow: WorkflowName,
    pub location: Arc<str>,
    pub name: Arc<str>,
    pub reuse: ArtifactUse,
    /// The run that registered it.
    pub run: Option<ItemKey>,
    pub status: Status,
    pub status_at: Timestamp,
    pub registered_at: Timestamp,
    /// When it was loaded for the first time.
    pub loaded_at: Option<Timestamp>,
    pub facts: Facts,
    /// At most [`DEPENDENCIES_MAX`].
    pub depends_on: Vec<ArtifactId>,
    /// One for each run, the latest last; at most [`USES_KEPT`].
    pub uses: Vec<Usage>,
    pub version: u64,
}

/// What clients report of an artifact's contents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub alias: Option<Arc<str>>,
    /// In bytes.
    pub size: Option<u64>,
    pub records_written: Option<u64>,
    pub records_read: Option<u64>,
    /// The least of all reported.
    pub low: Option<Bound>,
    /// The greatest of all reported.
    pub high: Option<Bound>,
    pub format: Option<Arc<str>>,
    pub compression: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub run: ItemKey,
    pub status: Status,
    pub at: Timestamp,
}

/// A run, as clients name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName {
    /// `None` for the workflow of the artifact.
    pub workflow: Option<WorkflowName>,
    pub id: ItemId,
}

impl RunName {
    /// The run, seen from an artifact of this workflow.
    pub fn key(&self, workflow: &WorkflowName) -> ItemKey {
        ItemKey { workflow: self.workflow.as_ref().unwrap_or(workflow).clone(), id: self.id.clone() }
    }
}

/// An artifact to register.
#[derive(Clone, Debug)]
pub struct NewArtifact {
    pub workflow: WorkflowName,
    pub location: Arc<str>,
    pub name: Arc<str>,
    pub reuse: ArtifactUse,
    pub run: Option<RunName>,
    pub status: Status,
    pub facts: Facts,
    pub depends_on: Vec<ArtifactId>,
}

/// A change of an artifact. What is absent is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArtifactChange {
    /// The version that it must have.
    pub if_version: Option<u64>,
    pub status: Option<Status>,
    /// The run that changes it.
    pub run: Option<RunName>,
    /// Replace those before, except for the bounds, which are widened.
    pub facts: Facts,
    pub depends_on: Option<Vec<ArtifactId>>,
}

/// Why a command on artifacts was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactRefusal {
    /// There is no such artifact.
    Unknown(ArtifactId),
    /// What has to be loaded first.
    DependencyNotMet { artifact: ArtifactId, dependencies: Vec<ArtifactId> },
    /// It was loaded, and may be loaded once.
    LoadedOnce(ArtifactId),
    /// It would depend on an artifact that does not exist.
    DependencyUnknown { artifact: ArtifactId, dependency: ArtifactId },
    /// It would depend on itself, directly or over others.
    Cycle(ArtifactId),
    /// It depends, directly and over others, on more than can be searched for a cycle.
    TooDeep(ArtifactId),
    /// There is no item of the run, with which the artifact would be removed.
    RunUnknown(ItemKey),
    /// With the item of the run more than [`OF_RUN_MAX`] would be removed.
    TooManyOfRun(ItemKey),
    /// More would be stored than are allowed.
    TooMany,
}

impl Artifact {
    pub fn new(new: NewArtifact, number: ItemNumber, now: Timestamp) -> Self {
        let NewArtifact { workflow, location, name, reuse, run, status, facts, depends_on } = new;
        let run = run.map(|run| run.key(&workflow));
        let mut artifact = Self {
            id: ArtifactId::of(&workflow, &location, &name),
            number,
            workflow,
            location,
            name,
            reuse,
            loaded_at: (status == ArtifactStatus::Loaded).then_some(now),
            status,
            status_at: now,
            registered_at: now,
            facts,
            depends_on,
            uses: Vec::new(),
            version: 1,
            run: None,
        };
        if let Some(run) = run {
            artifact.note_use(run.clone(), now);
            artifact.run = Some(run);
        }
        artifact
    }

    /// Whether it is done with: it may be forgotten after its retention, and what depends on it may be
    /// loaded.
    pub fn is_finished(&self) -> bool {
        is_finished(&self.status)
    }

    /// The run with whose item it is removed.
    pub fn removed_with(&self) -> Option<&ItemKey> {
        self.run.as_ref().filter(|_| self.reuse == ArtifactUse::Run)
    }

    /// Whether the artifact may get this status, regardless of what it depends on.
    pub fn admits(&self, status: &Status) -> bool {
        use ArtifactStatus::{Initializing, Loaded, Loading, Ready};
        let is_spent = self.reuse == ArtifactUse::Once && self.loaded_at.is_some();
        !is_spent
            || self.status == *status
            || !matches!(status.known(), Some(Initializing | Ready | Loading | Loaded))
    }

    /// Changes it, to a status that it [admits](Self::admits). Returns whether anything differs.
    pub fn change(&mut self, change: ArtifactChange, now: Timestamp) -> bool {
        let before = self.clone();
        let ArtifactChange { status, run, facts, depends_on, if_version: _ } = change;
        if let Some(status) = status.filter(|status| *status != self.status) {
            if status == ArtifactStatus::Loaded && self.loaded_at.is_none() {
                self.loaded_at = Some(now);
            }
            self.status = status;
            self.status_at = now;
        }
        if let Some(run) = run {
            self.note_use(run.key(&self.workflow), now);
        }
        self.facts.update(facts);
        if let Some(depends_on) = depends_on {
            self.depends_on = depends_on;
        }
        let is_changed = *self != before;
        self.version += u64::from(is_changed);
        is_changed
    }

    /// Notes that a run used it, and left it with its status. The same status again is no news.
    fn note_use(&mut self, run: ItemKey, now: Timestamp) {
        if self.uses.iter().any(|usage| usage.run == run && usage.status == self.status) {
            return;
        }
        self.uses.retain(|usage| usage.run != run);
        let surplus = (self.uses.len() + 1).saturating_sub(USES_KEPT);
        self.uses.drain(..surplus);
        self.uses.push(Usage { run, status: self.status.clone(), at: now });
    }
}

impl Facts {
    fn update(&mut self, reported: Self) {
        let Self { alias, size, records_written, records_read, low, high, format, compression } = reported;
        replace(&mut self.alias, alias);
        replace(&mut self.size, size);
        replace(&mut self.records_written, records_written);
        replace(&mut self.records_read, records_read);
        replace(&mut self.format, format);
        replace(&mut self.compression, compression);
        let before = self.low.take();
        self.low =
            before.into_iter().chain(low).reduce(|before, low| if low < before { low } else { before });
        let before = self.high.take();
        let greater = |before, high| if high > before { high } else { before };
        self.high = before.into_iter().chain(high).reduce(greater);
    }
}

fn replace<T>(value: &mut Option<T>, by: Option<T>) {
    if by.is_some() {
        *value = by;
    }
}

/// Whether an artifact of this status is done with.
pub fn is_finished(status: &Status) -> bool {
    use ArtifactStatus::{Archived, Deleted, Loaded};
    matches!(status.known(), Some(Loaded | Archived | Deleted))
}
