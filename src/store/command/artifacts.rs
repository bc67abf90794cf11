//! Settles commands on artifacts.
//!
//! A command reads what it needs, judges everything, and then writes: so it is done as a whole or not at all,
//! whatever the order in which it names artifacts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use wildmatch::WildMatch;

use super::{Outcome, Rows, documents};
use crate::model::artifact::{ArtifactChange, NewArtifact, OF_RUN_MAX, RunName, Status, dependencies};
use crate::model::{Artifact, ArtifactId, ArtifactRefusal, ItemKey, ItemNumber, Timestamp, Workflow};
use crate::store::{Change, Document, DocumentId};

/// An upper estimate of the bytes of an artifact's record without its texts, and of those of a change.
const RECORD_SIZE: usize = 512;
/// An upper estimate of the bytes of a changed artifact, with all that it depends on and is used by.
const CHANGED_SIZE: usize = 24 * 1024;

/// What can be done with artifacts. Each is atomic.
#[derive(Clone, Debug)]
pub enum ArtifactCommand {
    /// Registers artifacts. Those that exist are not changed. A workflow is created only with its first item
    /// or artifact. Outcomes: `Registered`, `ArtifactsRefused`, `TooManyWorkflows`, `StorageFull`.
    Register(Registration),
    /// Changes artifacts: all or none. Each is named once. Outcomes: `Artifacts`, `ArtifactsRefused`,
    /// `VersionMismatch`, `StorageFull`.
    Change { changes: Vec<(ArtifactId, ArtifactChange)>, visible: Visible, now: Timestamp },
    /// Gives the first `max` of the candidates that have one status another one. Those that have another
    /// status by now, or may not get this one, are passed over. Outcomes: `Artifacts`, `StorageFull`.
    Claim(ArtifactClaim),
    /// Removes those that are finished, have had their status since this instant, and are not removed with
    /// the item of a run. Outcome: `Done`.
    Forget(Vec<(ArtifactId, Timestamp)>),
}

#[derive(Clone, Debug)]
pub struct Registration {
    /// Each with the most workflows created on first use that may exist for it; `None` if its workflow is
    /// configured.
    pub artifacts: Vec<(NewArtifact, Option<usize>)>,
    /// The most that may be stored.
    pub artifacts_max: usize,
    pub visible: Visible,
    pub now: Timestamp,
}

/// The workflows whose artifacts the client may know of; all if empty. To it, those of others do not exist.
pub type Visible = Vec<WildMatch>;

#[derive(Clone, Debug)]
pub struct ArtifactClaim {
    pub candidates: Vec<ArtifactId>,
    pub status: Status,
    pub to: Status,
    pub max: usize,
    pub run: Option<RunName>,
    pub now: Timestamp,
}

impl ArtifactCommand {
    /// An upper estimate of the bytes that it adds.
    pub fn size(&self) -> usize {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        match self {
            Self::Register(registration) => {
                let size = |new: &NewArtifact| {
                    let facts = &new.facts;
                    let words = text(&facts.alias) + text(&facts.format) + text(&facts.compression);
                    let ids = new.depends_on.iter().map(|id| id.0.len()).sum::<usize>();
                    let run = new.run.as_ref().map_or(0, |run| 2 * run.id.len());
                    RECORD_SIZE * 2 + new.location.len() + new.name.len() + words + ids + run
                };
                registration.artifacts.iter().map(|(new, _)| size(new)).sum()
            }
            Self::Change { changes, .. } => changes.len() * CHANGED_SIZE,
            Self::Claim(claim) => claim.candidates.len().min(claim.max) * CHANGED_SIZE,
            Self::Forget(_) => 0,
        }
    }
}

pub(super) fn settle<R: Rows>(
    command: ArtifactCommand,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<Outcome, R::Error> {
    let mut shelf = Shelf { rows, read: BTreeMap::new() };
    match command {
        ArtifactCommand::Register(registration) => shelf.register(registration, changes),
        ArtifactCommand::Change { changes: wanted, visible, now } => {
            shelf.change(wanted, &visible, now, changes)
        }
        ArtifactCommand::Claim(claim) => shelf.claim(claim, changes),
        ArtifactCommand::Forget(outlived) => {
            for (id, since) in outlived {
                let is_outlived = |artifact: &Artifact| {
                    let is_kept = artifact.removed_with().is_some();
                    artifact.is_finished() && artifact.status_at == since && !is_kept
                };
                if shelf.get(&id)?.is_some_and(is_outlived) {
                    remove(id, shelf.rows, changes)?;
                }
            }
            Ok(Outcome::Done)
        }
    }
}

/// Removes an artifact, if it exists.
pub(super) fn remove<R: Rows>(
    id: ArtifactId,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    if let Some(Document::Artifact(artifact)) = rows.document(&DocumentId::Artifact(id.clone()))? {
        rows.remove(&DocumentId::Artifact(id.clone()))?;
        rows.holdings().remove_artifact(&artifact);
        changes.push(Change::Removed(DocumentId::Artifact(id)));
    }
    Ok(())
}

/// Removes the artifacts that are removed with this item.
pub(super) fn remove_of_run<R: Rows>(
    run: &ItemKey,
    rows: &mut R,
    changes: &mut Vec<Change>,
) -> Result<(), R::Error> {
    for id in rows.holdings().artifacts_of_run(run) {
        remove(id, rows, changes)?;
    }
    Ok(())
}

/// The artifacts that a command has read.
struct Shelf<'a, R> {
    rows: &'a mut R,
    read: BTreeMap<ArtifactId, Option<Artifact>>,
}

impl<R: Rows> Shelf<'_, R> {
    fn get(&mut self, id: &ArtifactId) -> Result<Option<&Artifact>, R::Error> {
        match self.read.entry(id.clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut().as_ref()),
            Entry::Vacant(entry) => {
                let artifact = match self.rows.document(&DocumentId::Artifact(id.clone()))? {
                    Some(Document::Artifact(artifact)) => Some(*artifact),
                    _ => None,
                };
                Ok(entry.insert(artifact).as_ref())
            }
        }
    }

    fn register(&mut self, request: Registration, changes: &mut Vec<Change>) -> Result<Outcome, R::Error> {
        let Registration { artifacts, artifacts_max, visible, now } = request;
        let mut ids = Vec::with_capacity(artifacts.len());
        let mut made: BTreeMap<ArtifactId, (NewArtifact, Option<usize>)> = BTreeMap::new();
        let mut order = Vec::new();
        for (new, workflows_max) in artifacts {
            let id = ArtifactId::of(&new.workflow, &new.location, &new.name);
            ids.push(id.clone());
            if self.get(&id)?.is_none() && !made.contains_key(&id) {
                order.push(id.clone());
                made.insert(id, (new, workflows_max));
            }
        }
        if made.is_empty() {
            return self.registered(ids, &BTreeSet::new());
        }
        if self.rows.holdings().artifact_count() + made.len() > artifacts_max {
            return Ok(Outcome::ArtifactsRefused(ArtifactRefusal::TooMany));
        }
        let mut workflows = BTreeSet::new();
        for (new, workflows_max) in made.values() {
            let Some(most) = *workflows_max else { continue };
            if !self.rows.holdings().has_workflow(&new.workflow) && workflows.insert(new.workflow.clone()) {
                let count = self.rows.holdings().workflow_count() + workflows.len();
                if count > most {
                    return Ok(Outcome::TooManyWorkflows(new.workflow.clone()));
                }
            }
        }
        let (mut drafts, mut of_runs) = (BTreeMap::new(), BTreeMap::new());
        for (id, (new, _)) in made {
            let draft = Artifact::new(new, ItemNumber(0), now);
            if let Some(run) = draft.removed_with() {
                *of_runs.entry(run.clone()).or_insert(0) += 1;
            }
            drafts.insert(id, draft);
        }
        for (run, count) in of_runs {
            let known = self.rows.holdings().artifacts_of_run(&run).len();
            let refusal = match self.rows.number(&run)? {
                None => ArtifactRefusal::RunUnknown(run),
                Some(_) if known + count > OF_RUN_MAX => ArtifactRefusal::TooManyOfRun(run),
                Some(_) => continue,
            };
            return Ok(Outcome::ArtifactsRefused(refusal));
        }
        let changed: BTreeSet<ArtifactId> = drafts.keys().cloned().collect();
        if let Err(refusal) = self.judge(&drafts, &changed, &changed, &visible)? {
            return Ok(Outcome::ArtifactsRefused(refusal));
        }
        for name in workflows {
            documents::put(Workflow { name, created_at: now, definition: None }.into(), self.rows, changes)?;
        }
        // Numbered in the order of the request.
        for id in &order {
            let number = self.rows.next_number()?;
            let Some(draft) = drafts.remove(id) else { continue };
            self.write(Artifact { number, ..draft }, changes)?;
        }
        self.registered(ids, &changed)
    }

    fn registered(&mut self, ids: Vec<ArtifactId>, made: &BTreeSet<ArtifactId>) -> Result<Outcome, R::Error> {
        let mut found = Vec::with_capacity(ids.len());
        let mut made = made.clone();
        for id in ids {
            // One that the request names twice is new once.
            found.extend(self.get(&id)?.map(|artifact| (artifact.clone(), made.remove(&id))));
        }
        Ok(Outcome::Registered(found))
    }

    fn change(
        &mut self,
        wanted: Vec<(ArtifactId, ArtifactChange)>,
        visible: &Visible,
        now: Timestamp,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, R::Error> {
        let mut drafts = BTreeMap::new();
        let (mut moved, mut redirected) = (BTreeSet::new(), BTreeSet::new());
        let ids: Vec<ArtifactId> = wanted.iter().map(|(id, _)| id.clone()).collect();
        for (id, change) in wanted {
            let Some(mut draft) = self.get(&id)?.cloned() else {
                return Ok(Outcome::ArtifactsRefused(ArtifactRefusal::Unknown(id)));
            };
            if change.if_version.is_some_and(|version| version != draft.version) {
                return Ok(Outcome::VersionMismatch(draft.version));
            }
            if let Some(status) = &change.status {
                if !draft.admits(status) {
                    return Ok(Outcome::ArtifactsRefused(ArtifactRefusal::LoadedOnce(id)));
                }
                moved.insert(id.clone());
            }
            if change.depends_on.as_ref().is_some_and(|depends_on| *depends_on != draft.depends_on) {
                redirected.insert(id.clone());
            }
            draft.change(change, now);
            drafts.insert(id, draft);
        }
        if let Err(refusal) = self.judge(&drafts, &moved, &redirected, visible)? {
            return Ok(Outcome::ArtifactsRefused(refusal));
        }
        for (id, draft) in drafts {
            if self.get(&id)?.is_some_and(|before| before.version != draft.version) {
                self.write(draft, changes)?;
            }
        }
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.get(&id)?.cloned());
        }
        Ok(Outcome::Artifacts(found))
    }

    /// Judges drafts of new and changed artifacts. `moved` are those that get a status from the request,
    /// `redirected` those with other dependencies than before.
    fn judge(
        &mut self,
        drafts: &BTreeMap<ArtifactId, Artifact>,
        moved: &BTreeSet<ArtifactId>,
        redirected: &BTreeSet<ArtifactId>,
        visible: &Visible,
    ) -> Result<Result<(), ArtifactRefusal>, R::Error> {
        let is_visible = |artifact: &Artifact| {
            visible.is_empty() || visible.iter().any(|glob| glob.matches(&artifact.workflow))
        };
        for id in redirected {
            let Some(draft) = drafts.get(id) else { continue };
            let before = self.get(id)?.map(|before| before.depends_on.clone()).unwrap_or_default();
            // One that was there before may be hidden, or forgotten since.
            for dependency in draft.depends_on.iter().filter(|id| !before.contains(id)) {
                if !drafts.contains_key(dependency) && !self.get(dependency)?.is_some_and(is_visible) {
                    let (artifact, dependency) = (id.clone(), dependency.clone());
                    return Ok(Err(ArtifactRefusal::DependencyUnknown { artifact, dependency }));
                }
            }
        }
        let searched =
            dependencies::check_cycles(redirected, dependencies::SEARCH_MAX, |id| match drafts.get(id) {
                Some(draft) => Ok(draft.depends_on.clone()),
                None => Ok(self.get(id)?.map(|artifact| artifact.depends_on.clone()).unwrap_or_default()),
            })?;
        if searched.is_err() {
            return Ok(searched);
        }
        let mut beginning = Vec::new();
        for draft in drafts.values() {
            let before = self.get(&draft.id)?.map(|before| &before.status);
            if dependencies::begins_loading(before, &draft.status) {
                beginning.push(draft);
                for dependency in &draft.depends_on {
                    self.get(dependency)?;
                }
            }
        }
        let moved = drafts.values().filter(|draft| moved.contains(&draft.id));
        let moved = moved.map(|draft| (&draft.id, &draft.status)).collect();
        let status = |id: &ArtifactId| {
            let draft = drafts.get(id);
            draft.or_else(|| self.read.get(id)?.as_ref()).map(|artifact| &artifact.status)
        };
        Ok(dependencies::check(beginning, &moved, status))
    }

    fn claim(&mut self, claim: ArtifactClaim, changes: &mut Vec<Change>) -> Result<Outcome, R::Error> {
        let ArtifactClaim { candidates, status, to, max, run, now } = claim;
        let mut claimed: Vec<Artifact> = Vec::new();
        for id in candidates {
            if claimed.len() >= max {
                break;
            }
            let Some(mut draft) = self.get(&id)?.cloned() else { continue };
            let change =
                ArtifactChange { status: Some(to.clone()), run: run.clone(), ..ArtifactChange::default() };
            if draft.status != status {
                continue;
            }
            if !draft.admits(&to) || !draft.change(change, now) {
                continue;
            }
            // What this claim took before counts as loaded along with it.
            let mut drafts: BTreeMap<ArtifactId, Artifact> = BTreeMap::from([(id.clone(), draft.clone())]);
            let mut moved = BTreeSet::from([id]);
            for taken in claimed.iter().filter(|taken| draft.depends_on.contains(&taken.id)) {
                drafts.insert(taken.id.clone(), taken.clone());
                moved.insert(taken.id.clone());
            }
            if self.judge(&drafts, &moved, &BTreeSet::new(), &Visible::new())?.is_ok() {
                self.write(draft.clone(), changes)?;
                claimed.push(draft);
            }
        }
        Ok(Outcome::Artifacts(claimed))
    }

    fn write(&mut self, artifact: Artifact, changes: &mut Vec<Change>) -> Result<(), R::Error> {
        let is_new = self.get(&artifact.id)?.is_none();
        let document = Document::Artifact(Box::new(artifact.clone()));
        self.rows.put(&document)?;
        if is_new {
            self.rows.holdings().put(&document);
        }
        changes.push(Change::Put(document));
        self.read.insert(artifact.id.clone(), Some(artifact));
        Ok(())
    }
}
