//! Artifacts: registered, found, changed and claimed.
//!
//! All are stored, and what is needed to find them is held in memory ([`known`]). The store judges every
//! change; a claim names candidates to it, so two claimants never get the same one.
//!
//! An artifact outlives its run, unless its use is `run`: then it is removed together with the item, in the
//! same commit. Finished ones (loaded, archived, deleted) are forgotten after their retention, or when a
//! workflow has too many; others are never forgotten. A workflow that was created on first use stays while it
//! has artifacts. It can be deleted once they are finished, and takes them with it.
//!
//! Deliberately absent: a removal by clients, who give an artifact the status `deleted` instead.

mod checks;
mod glob;
mod known;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use wildmatch::WildMatch;

use self::checks::{check_count, check_dependencies, check_facts, check_globs, check_new};
pub use self::glob::Glob;
pub use self::known::{ArtifactFilter, KnownArtifacts, UsedArtifact};
use super::checks::check_glob;
use super::context::Context;
use super::{WardenError, Workflows};
use crate::model::artifact::{ArtifactChange, ArtifactStatus, NewArtifact, RunName, Status, Word};
use crate::model::{Artifact, ArtifactId, Clock, ItemKey, WorkflowName, quote};
use crate::store::{
    ArtifactClaim, ArtifactCommand, Command, Outcome, Registration, Store, StoreError, Visible,
};

/// The artifacts that are looked at for one page, so that a rare match among a million does not take long.
const SCAN_MAX: usize = 200_000;
/// The most candidates of one command of a claim.
const CANDIDATES_AT_ONCE: usize = 1_000;
/// The most candidates of a claim that the store judges. Few are refused: the index leaves out those that
/// have to wait for others.
const CANDIDATES_MAX: usize = 50_000;
/// The most artifacts that are named with an item.
const OF_ITEM_MAX: usize = 100;

#[derive(Clone, Debug)]
pub struct ArtifactSettings {
    /// Statuses beside those of the list.
    pub statuses: Vec<String>,
    /// Of those that are loaded, archived or deleted.
    pub retention: Duration,
    /// The most of those for each workflow.
    pub retention_max: usize,
    /// The most that are stored.
    pub most: usize,
}

pub struct Artifacts {
    store: Arc<dyn Store>,
    known: Arc<KnownArtifacts>,
    workflows: Arc<Workflows>,
    clock: Arc<dyn Clock>,
    settings: ArtifactSettings,
}

/// A page of artifacts.
pub struct ArtifactPage {
    pub data: Vec<Artifact>,
    /// The number after which the next page begins.
    pub next: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct ClaimArtifacts {
    /// A glob; all by default.
    pub workflow: Option<Arc<str>>,
    /// With one status, that which they have.
    pub filter: ArtifactFilter,
    pub status: Status,
    pub to: Status,
    pub max: usize,
    pub run: Option<RunName>,
}

impl Artifacts {
    pub(super) fn new(context: &Context, known: Arc<KnownArtifacts>, settings: ArtifactSettings) -> Self {
        let Context { store, workflows, clock, .. } = context.clone();
        Self { store, known, workflows, clock, settings }
    }

    /// Parses a status that an artifact can get.
    pub fn status(&self, text: &str) -> Result<Status, WardenError> {
        let configured = || self.settings.statuses.iter().find(|known| *known == text);
        let known = text.parse().ok().map(Word::Known);
        known.or_else(|| Some(Word::Other(configured()?.clone()))).ok_or_else(|| {
            let known = ArtifactStatus::WORDS.iter().copied();
            let known: Vec<&str> = known.chain(self.settings.statuses.iter().map(String::as_str)).collect();
            WardenError::ArtifactStatusUnknown { status: quote(&text).to_string(), known: known.join(", ") }
        })
    }

    /// Parses a status to look for. An artifact may have one that is not configured any more.
    pub fn status_to_find(&self, text: &str) -> Result<Status, WardenError> {
        let other = Word::Other(text.to_owned());
        if self.known.has_status(&other) { Ok(other) } else { self.status(text) }
    }

    /// Registers artifacts: all or none. The result has each in the order of the request, with whether it is
    /// new; those that are known are not changed.
    pub async fn register(
        &self,
        artifacts: Vec<NewArtifact>,
        visible: Visible,
    ) -> Result<Vec<(Artifact, bool)>, WardenError> {
        check_count(artifacts.len())?;
        let with_room = |new: NewArtifact| {
            check_new(&new)?;
            let room = self.workflows.room_for(&new.workflow)?;
            Ok((new, room))
        };
        let artifacts = artifacts.into_iter().map(with_room).collect::<Result<_, WardenError>>()?;
        let (artifacts_max, now) = (self.settings.most, self.clock.now());
        let registration = Registration { artifacts, artifacts_max, visible, now };
        match self.apply(ArtifactCommand::Register(registration)).await? {
            Outcome::Registered(found) => Ok(found),
            other => Err(self.refusal(other)),
        }
    }

    pub async fn get(&self, id: &ArtifactId) -> Result<Artifact, WardenError> {
        let found = self.store.artifacts(vec![id.clone()]).await?.pop();
        found.ok_or(WardenError::ArtifactNotFound(None))
    }

    /// The workflow of an artifact, if it exists.
    pub fn workflow_of(&self, id: &ArtifactId) -> Option<WorkflowName> {
        self.known.workflow_of(id)
    }

    /// Those that a run used, as far as its item names them.
    pub fn of_run(&self, run: &ItemKey, is_seen: impl Fn(&str) -> bool) -> Vec<UsedArtifact> {
        self.known.of_run(run, OF_ITEM_MAX, is_seen)
    }

    /// The number of artifacts of each status.
    pub fn counts(&self) -> impl Iterator<Item = (Status, usize)> {
        self.known.counts().into_iter()
    }

    /// A page in the order of registration. It may be shorter than the limit, even empty, although others
    /// follow.
    pub async fn find(
        &self,
        filter: &ArtifactFilter,
        after: u64,
        limit: usize,
    ) -> Result<ArtifactPage, WardenError> {
        check_globs(filter)?;
        let (found, next) = self.candidates(filter, after, limit).await;
        let mut data = self.store.artifacts(found.into_iter().map(|(_, id)| id).collect()).await?;
        // One may have got another status since.
        data.retain(|artifact| filter.still_admits(artifact));
        Ok(ArtifactPage { data, next })
    }

    /// At most `limit` artifacts after a number, and after which number others may follow.
    async fn candidates(
        &self,
        filter: &ArtifactFilter,
        mut after: u64,
        limit: usize,
    ) -> (Vec<(u64, ArtifactId)>, Option<u64>) {
        let (mut all, mut looked_at) = (Vec::new(), 0);
        loop {
            let found = self.known.find(filter, after, limit - all.len());
            let is_full = all.len() + found.artifacts.len() >= limit;
            all.extend(found.artifacts);
            looked_at += found.looked_at;
            match found.next {
                Some(next) if !is_full && looked_at < SCAN_MAX => after = next,
                next => return (all, next),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Changes artifacts: all or none. Each is named once.
    pub async fn change(
        &self,
        changes: Vec<(ArtifactId, ArtifactChange)>,
        visible: Visible,
    ) -> Result<Vec<Artifact>, WardenError> {
        check_count(changes.len())?;
        for (_, change) in &changes {
            check_facts(&change.facts)?;
            check_dependencies(change.depends_on.as_deref().unwrap_or_default())?;
        }
        let mut named = BTreeSet::new();
        if let Some((id, _)) = changes.iter().find(|(id, _)| !named.insert(id)) {
            return Err(WardenError::Invalid(format!("the artifact {} is named twice", quote(&id.0))));
        }
        match self.apply(ArtifactCommand::Change { changes, visible, now: self.clock.now() }).await? {
            Outcome::Artifacts(artifacts) => Ok(artifacts),
            other => Err(self.refusal(other)),
        }
    }

    /// Gives the oldest artifacts that the filter admits another status. Those that may not be loaded yet, or
    /// any more, are passed over.
    pub async fn claim(&self, claim: ClaimArtifacts) -> Result<Vec<Artifact>, WardenError> {
        let ClaimArtifacts { workflow, mut filter, status, to, max, run } = claim;
        check_globs(&filter)?;
        filter.loadable = to == ArtifactStatus::Loading;
        if let Some(glob) = workflow {
            check_glob(&glob)?;
            filter.workflows = vec![WildMatch::new(&glob)];
        }
        let (mut claimed, mut after, mut judged) = (Vec::new(), 0, 0);
        loop {
            let left = max - claimed.len();
            let wanted = (2 * left.max(judged)).clamp(64, CANDIDATES_AT_ONCE);
            let (candidates, next) = self.candidates(&filter, after, wanted).await;
            judged += candidates.len();
            if !candidates.is_empty() {
                let command = ArtifactCommand::Claim(ArtifactClaim {
                    candidates: candidates.into_iter().map(|(_, id)| id).collect(),
                    status: status.clone(),
                    to: to.clone(),
                    max: left,
                    run: run.clone(),
                    now: self.clock.now(),
                });
                match self.apply(command).await {
                    Ok(Outcome::Artifacts(artifacts)) => claimed.extend(artifacts),
                    Ok(other) if claimed.is_empty() => return Err(self.refusal(other)),
                    Err(error) if claimed.is_empty() => return Err(error.into()),
                    // What was claimed before has to be told.
                    Ok(_) | Err(_) => return Ok(claimed),
                }
            }
            match next {
                Some(next) if claimed.len() < max && judged < CANDIDATES_MAX => after = next,
                _ => return Ok(claimed),
            }
        }
    }

    /// Forgets the finished artifacts that have outlived their retention. Returns whether there were any.
    pub(super) async fn sweep(&self, limit: usize) -> Result<bool, StoreError> {
        let ArtifactSettings { retention, retention_max, .. } = self.settings;
        let outlived = self.known.outlived(self.clock.now(), retention, retention_max, limit);
        if outlived.is_empty() {
            return Ok(false);
        }
        self.apply(ArtifactCommand::Forget(outlived)).await?;
        Ok(true)
    }

    /// The number of artifacts of a workflow that are not finished, without those that are removed with their
    /// run.
    pub(super) fn to_be_loaded_of(&self, workflow: &WorkflowName) -> usize {
        self.known.to_be_loaded_of(workflow)
    }

    pub(super) fn has_any_of(&self, workflow: &WorkflowName) -> bool {
        self.known.has_any_of(workflow)
    }

    /// Forgets some of the finished artifacts of a workflow. Returns whether there were any.
    pub(super) async fn forget_finished_of(
        &self,
        workflow: &WorkflowName,
        limit: usize,
    ) -> Result<bool, StoreError> {
        let finished = self.known.finished_of(workflow, limit);
        if finished.is_empty() {
            return Ok(false);
        }
        self.apply(ArtifactCommand::Forget(finished)).await?;
        Ok(true)
    }

    async fn apply(&self, command: ArtifactCommand) -> Result<Outcome, StoreError> {
        self.store.apply_one(Command::Artifacts(Box::new(command))).await
    }

    fn refusal(&self, outcome: Outcome) -> WardenError {
        match outcome {
            Outcome::ArtifactsRefused(refusal) => WardenError::of_artifacts(refusal, self.settings.most),
            Outcome::VersionMismatch(version) => WardenError::VersionMismatch(version),
            Outcome::TooManyWorkflows(name) => self.workflows.no_room_for(name),
            _ => WardenError::StorageFull,
        }
    }
}
