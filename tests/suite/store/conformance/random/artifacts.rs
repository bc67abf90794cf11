//! Artifacts in the simple model. One artifact is changed after the other, in whatever order is possible.

use std::collections::{BTreeMap, BTreeSet};

use warden::model::artifact::{ArtifactChange, ArtifactStatus, NewArtifact, Status};
use warden::model::{Artifact, ArtifactId, ArtifactRefusal, ItemKey, ItemNumber, Timestamp, WorkflowName};
use warden::store::{ArtifactClaim, ArtifactCommand, Document, Outcome, Registration};

/// The artifacts of a model. None has a number, which the model cannot know.
#[derive(Clone, Default)]
pub struct Artifacts(BTreeMap<ArtifactId, Artifact>);

/// Without its number.
pub fn unnumbered(artifact: Artifact) -> Artifact {
    Artifact { number: ItemNumber(0), ..artifact }
}

/// The document, without a number if it is an artifact.
pub fn unnumbered_document(document: Document) -> Document {
    match document {
        Document::Artifact(artifact) => unnumbered(*artifact).into(),
        other => other,
    }
}

/// The outcome without the numbers of artifacts, and without the reason of a refusal, of which there may be
/// several.
pub fn unnumbered_outcome(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Registered(found) => Outcome::Registered(
            found.into_iter().map(|(artifact, is_new)| (unnumbered(artifact), is_new)).collect(),
        ),
        Outcome::Artifacts(found) => Outcome::Artifacts(found.into_iter().map(unnumbered).collect()),
        Outcome::ArtifactsRefused(_) => Outcome::ArtifactsRefused(ArtifactRefusal::TooMany),
        other => other,
    }
}

fn refused() -> Outcome {
    Outcome::ArtifactsRefused(ArtifactRefusal::TooMany)
}

fn passes(status: &Status) -> bool {
    matches!(status.as_str(), "loaded" | "archived" | "deleted")
}

impl Artifacts {
    /// By id.
    pub fn all(&self) -> impl Iterator<Item = &Artifact> {
        self.0.values()
    }

    pub fn has_any_of(&self, workflow: &WorkflowName) -> bool {
        self.0.values().any(|artifact| artifact.workflow == *workflow)
    }

    pub fn remove(&mut self, id: &ArtifactId) {
        self.0.remove(id);
    }

    pub fn remove_of_run(&mut self, run: &ItemKey) {
        self.0.retain(|_, artifact| artifact.removed_with() != Some(run));
    }

    /// `has_item` says whether there is an item.
    pub fn apply(&mut self, command: &ArtifactCommand, has_item: impl Fn(&ItemKey) -> bool) -> Outcome {
        match command {
            ArtifactCommand::Register(registration) => self.register(registration, has_item),
            ArtifactCommand::Change { changes, now, .. } => {
                match self.changed(changes.clone(), *now) {
                    Ok(after) => self.0 = after,
                    Err(outcome) => return outcome,
                }
                Outcome::Artifacts(changes.iter().map(|(id, _)| self.0[id].clone()).collect())
            }
            ArtifactCommand::Claim(claim) => self.claim(claim),
            ArtifactCommand::Forget(outlived) => {
                for (id, since) in outlived {
                    let is_outlived =
                        |artifact: &&Artifact| passes(&artifact.status) && artifact.status_at == *since;
                    if self.0.get(id).filter(is_outlived).is_some_and(|found| found.removed_with().is_none())
                    {
                        self.0.remove(id);
                    }
                }
                Outcome::Done
            }
        }
    }

    fn register(&mut self, registration: &Registration, has_item: impl Fn(&ItemKey) -> bool) -> Outcome {
        let mut after = self.0.clone();
        let mut found: Vec<(ArtifactId, bool)> = Vec::new();
        for (new, _) in &registration.artifacts {
            let id = ArtifactId::of(&new.workflow, &new.location, &new.name);
            if !after.contains_key(&id) {
                // It gets its status after all others are there.
                let status = Status::Known(ArtifactStatus::Initializing);
                let made = Artifact::new(new.clone(), ItemNumber(0), registration.now);
                if made.removed_with().is_some_and(|run| !has_item(run)) {
                    return refused();
                }
                after.insert(id.clone(), Artifact { status, ..made });
            }
            let is_first = !self.0.contains_key(&id) && found.iter().all(|(other, _)| *other != id);
            found.push((id, is_first));
        }
        let is_new = |id: &ArtifactId| !self.0.contains_key(id);
        if after.len() > registration.artifacts_max && after.len() > self.0.len() {
            return refused();
        }
        if !after.values().filter(|made| is_new(&made.id)).all(|made| leads_nowhere(made, &[], &after)) {
            return refused();
        }
        let mut wanted: BTreeMap<ArtifactId, Status> = BTreeMap::new();
        for (NewArtifact { workflow, location, name, status, .. }, _) in &registration.artifacts {
            let id = ArtifactId::of(workflow, location, name);
            if is_new(&id) {
                wanted.entry(id).or_insert_with(|| status.clone());
            }
        }
        if !can_be_moved(&after, &wanted) {
            return refused();
        }
        for (id, status) in wanted {
            after.get_mut(&id).unwrap().status = status;
        }
        self.0 = after;
        Outcome::Registered(found.into_iter().map(|(id, is_new)| (self.0[&id].clone(), is_new)).collect())
    }

    fn changed(
        &self,
        changes: Vec<(ArtifactId, ArtifactChange)>,
        now: Timestamp,
    ) -> Result<BTreeMap<ArtifactId, Artifact>, Outcome> {
        let mut directed = self.0.clone();
        for (id, change) in &changes {
            let artifact = directed.get_mut(id).ok_or_else(refused)?;
            if change.if_version.is_some_and(|version| version != artifact.version) {
                return Err(Outcome::VersionMismatch(artifact.version));
            }
            if change.status.as_ref().is_some_and(|status| !artifact.admits(status)) {
                return Err(refused());
            }
            if let Some(depends_on) = &change.depends_on {
                artifact.depends_on.clone_from(depends_on);
            }
        }
        let redirected = |id: &ArtifactId| directed[id].depends_on != self.0[id].depends_on;
        let mut redirected = changes.iter().filter(|(id, _)| redirected(id));
        if !redirected.all(|(id, _)| leads_nowhere(&directed[id], &self.0[id].depends_on, &directed)) {
            return Err(refused());
        }
        let wanted = changes.iter().filter_map(|(id, change)| Some((id.clone(), change.status.clone()?)));
        if !can_be_moved(&directed, &wanted.collect()) {
            return Err(refused());
        }
        let mut after = self.0.clone();
        for (id, change) in changes {
            after.get_mut(&id).ok_or_else(refused)?.change(change, now);
        }
        Ok(after)
    }

    fn claim(&mut self, claim: &ArtifactClaim) -> Outcome {
        let mut claimed: Vec<ArtifactId> = Vec::new();
        for id in &claim.candidates {
            let Some(artifact) = self.0.get(id).filter(|artifact| artifact.status == claim.status) else {
                continue;
            };
            let is_met = |id: &ArtifactId| {
                claimed.contains(id) || self.0.get(id).is_none_or(|needed| passes(&needed.status))
            };
            let loads = claim.to == ArtifactStatus::Loading && claim.status != claim.to;
            let may = artifact.admits(&claim.to) && (!loads || artifact.depends_on.iter().all(is_met));
            if may && claimed.len() < claim.max {
                let (status, run) = (Some(claim.to.clone()), claim.run.clone());
                let change = ArtifactChange { status, run, ..ArtifactChange::default() };
                // What is as it would be is not claimed.
                if self.0.get_mut(id).unwrap().change(change, claim.now) {
                    claimed.push(id.clone());
                }
            }
        }
        Outcome::Artifacts(claimed.iter().map(|id| self.0[id].clone()).collect())
    }
}

/// Whether everything that it depends on exists, unless it did so `before`, and no way leads back to it.
fn leads_nowhere(artifact: &Artifact, before: &[ArtifactId], all: &BTreeMap<ArtifactId, Artifact>) -> bool {
    let mut reached: BTreeSet<&ArtifactId> = artifact.depends_on.iter().collect();
    if !reached.iter().all(|id| all.contains_key(*id) || before.contains(id)) {
        return false;
    }
    loop {
        let next = reached.iter().filter_map(|id| all.get(*id)).flat_map(|artifact| &artifact.depends_on);
        let more: BTreeSet<&ArtifactId> = reached.iter().copied().chain(next).collect();
        if more.len() == reached.len() {
            return !reached.contains(&artifact.id);
        }
        reached = more;
    }
}

/// Whether the artifacts can get these statuses one after the other, in some order.
fn can_be_moved(all: &BTreeMap<ArtifactId, Artifact>, wanted: &BTreeMap<ArtifactId, Status>) -> bool {
    let loading = Status::Known(ArtifactStatus::Loading);
    let after = |id: &ArtifactId| wanted.get(id).or_else(|| Some(&all.get(id)?.status));
    let begins = |id: &&ArtifactId| wanted[*id] == loading && all[*id].status != loading;
    let (mut left, mut done): (Vec<&ArtifactId>, Vec<&ArtifactId>) = wanted.keys().partition(begins);
    loop {
        let is_met = |id: &ArtifactId| {
            let status = after(id);
            status.is_none_or(|status| passes(status) || (*status == loading && done.contains(&id)))
        };
        let can = |id: &&&ArtifactId| all[**id].depends_on.iter().all(is_met);
        let Some(place) = left.iter().position(|id| can(&id)) else { return left.is_empty() };
        done.push(left.remove(place));
    }
}
