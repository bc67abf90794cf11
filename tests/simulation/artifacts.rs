//! Artifacts: what clients did with a few of them and were told, and what must follow.
//!
//! Every request is made by a run of its own, which the artifacts note: so it can be seen of each of them
//! whether the request was carried out.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use warden::model::artifact::{
    ArtifactChange, ArtifactStatus, ArtifactUse, Facts, NewArtifact, RunName, Status, USES_KEPT,
};
use warden::model::{Artifact, ArtifactId, ItemId, ItemKey, WorkflowName};
use warden::store::engine::memory::MemoryStore;
use warden::warden::Warden;
use warden::warden::artifacts::{ArtifactFilter, ClaimArtifacts};

use crate::clients::{Client, refusal};
use crate::documents::ReadDocuments as _;
use crate::items::{Fate, Moment};
use crate::world::WORKFLOWS;

/// How many artifacts there are that outlive their runs. The second depends on the first, and so on.
const NAMES: usize = 6;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Register,
    /// Gives all of them this status, or none.
    Move(BTreeSet<ArtifactId>, Status),
    /// Takes ready ones, which are loading then.
    Claim,
}

#[derive(Clone, Debug)]
struct Operation {
    asked: Asked,
    run: ItemKey,
    began: Moment,
    ended: Option<Moment>,
    fate: Fate,
}

/// An artifact that somebody claimed.
#[derive(Clone, Debug)]
struct Taken {
    id: ArtifactId,
    began: Moment,
    ended: Moment,
}

/// What was seen of artifacts.
#[derive(Default)]
pub struct Artifacts {
    operations: Vec<Operation>,
    taken: Vec<Taken>,
    /// The latest version of each that was acknowledged, and its status.
    acknowledged: BTreeMap<ArtifactId, (u64, Status)>,
}

impl Artifacts {
    fn begin(&mut self, asked: Asked, run: ItemKey, began: Moment) -> usize {
        self.operations.push(Operation { asked, run, began, ended: None, fate: Fate::Unknown });
        self.operations.len() - 1
    }

    /// What is under way by then never happens any more.
    pub fn life_ended(&mut self, moment: Moment) {
        for operation in &mut self.operations {
            operation.ended.get_or_insert(moment);
        }
    }

    fn end(&mut self, index: usize, fate: Fate, answer: &[Artifact], ended: Moment) -> Result<(), String> {
        let operation = &mut self.operations[index];
        (operation.ended, operation.fate) = (Some(ended), fate);
        let (began, is_claim) = (operation.began, operation.asked == Asked::Claim);
        for artifact in answer {
            let seen = (artifact.version, artifact.status.clone());
            match self.acknowledged.get_mut(&artifact.id) {
                Some(known) if known.0 == seen.0 && known.1 != seen.1 => {
                    return Err(format!("{} has two statuses at one version", artifact.name));
                }
                Some(known) if known.0 >= seen.0 => {}
                _ => drop(self.acknowledged.insert(artifact.id.clone(), seen)),
            }
            if is_claim {
                let taken = Taken { id: artifact.id.clone(), began, ended };
                self.check_taken(&taken, &artifact.name)?;
                self.taken.push(taken);
            }
        }
        Ok(())
    }

    /// Whoever claims an artifact that was claimed before has somebody to thank, who made it ready again.
    fn check_taken(&self, taken: &Taken, name: &str) -> Result<(), String> {
        for other in self.taken.iter().filter(|other| other.id == taken.id) {
            let (first, second) = if other.began < taken.began { (other, taken) } else { (taken, other) };
            let made_ready = |operation: &Operation| {
                let asked_for_it = match &operation.asked {
                    Asked::Move(ids, status) => ids.contains(&taken.id) && *status == ArtifactStatus::Ready,
                    Asked::Register | Asked::Claim => false,
                };
                asked_for_it
                    && operation.fate != Fate::Refused
                    && operation.began.order < second.ended.order
                    && operation.ended.is_none_or(|ended| ended.order > first.began.order)
            };
            if !self.operations.iter().any(made_ready) {
                return Err(format!("two claimants got the artifact {name}"));
            }
        }
        Ok(())
    }

    /// Holds what is stored against all that was acknowledged.
    pub fn check(&self, store: &MemoryStore) -> Result<(), String> {
        let stored = stored(store);
        let by_id: BTreeMap<&ArtifactId, &Artifact> =
            stored.iter().map(|artifact| (&artifact.id, artifact)).collect();
        for (id, (version, status)) in &self.acknowledged {
            let Some(artifact) = by_id.get(id) else {
                return Err(format!("the artifact {} was acknowledged, and is gone", id.0));
            };
            let is_older = artifact.version < *version;
            if is_older || (artifact.version == *version && artifact.status != *status) {
                let Artifact { name, status: found, version: at, .. } = artifact;
                return Err(format!(
                    "an acknowledged change of the artifact {name} is lost: it is {found} at version {at}, \
                     and was {status} at {version}"
                ));
            }
        }
        for Operation { asked, run, fate, .. } in &self.operations {
            let Asked::Move(ids, _) = asked else { continue };
            let artifacts: Vec<&&Artifact> = ids.iter().filter_map(|id| by_id.get(id)).collect();
            // Later runs may have taken the place of this one.
            let is_certain = artifacts.iter().all(|artifact| artifact.uses.len() < USES_KEPT);
            let noted = |artifact: &&&&Artifact| artifact.uses.iter().any(|usage| usage.run == *run);
            let count = artifacts.iter().filter(noted).count();
            if is_certain && count > 0 && (count < ids.len() || *fate == Fate::Refused) {
                let (total, run) = (ids.len(), &run.id);
                return Err(format!("of the artifacts of {run} {count} of {total} were changed"));
            }
        }
        // What is for a run alone is there only as long as its item.
        for artifact in &stored {
            let Some(run) = artifact.removed_with() else { continue };
            let item = warden::store::Reads::get(store, run.clone()).now_or_never();
            if item.expect("memory never waits").expect("memory never fails").is_none() {
                return Err(format!("the artifact {} has outlived its run", artifact.name));
            }
        }
        Ok(())
    }
}

/// All that are stored.
fn stored(store: &MemoryStore) -> Vec<Artifact> {
    store.all_artifacts().now_or_never().expect("memory never waits").expect("memory never fails")
}

/// Holds what the daemon finds against what is stored.
pub async fn check_found(store: &MemoryStore, warden: &Warden) -> Result<(), String> {
    let mut expected = stored(store);
    expected.sort_by_key(|artifact| artifact.number);
    let found = warden.artifacts.find(&ArtifactFilter::default(), 0, 1000).await;
    let found = found.map_err(|error| format!("artifacts cannot be read: {error}"))?.data;
    if found != expected {
        return Err(format!("{} artifacts are found, and {} are stored", found.len(), expected.len()));
    }
    Ok(())
}

fn workflow() -> WorkflowName {
    WorkflowName::new(WORKFLOWS[0]).expect("a name")
}

fn id(name: usize) -> ArtifactId {
    ArtifactId::of(WORKFLOWS[0], "/in", &name.to_string())
}

impl Client {
    /// Registers, changes or claims artifacts.
    pub async fn handle_artifacts(&self) {
        match self.dice.below(10) {
            0..3 => self.register().await,
            3..7 => self.change_status().await,
            _ => self.claim_artifacts().await,
        }
    }

    /// A run that nobody else is.
    fn own_run(&self, began: Moment) -> (RunName, ItemKey) {
        let id = ItemId::new(format!("run-{}", began.order)).expect("an id");
        (RunName { workflow: None, id: id.clone() }, ItemKey { workflow: workflow(), id })
    }

    fn names(&self) -> BTreeSet<usize> {
        (0..1 + self.dice.below(3)).map(|_| self.dice.below(NAMES as u64) as usize).collect()
    }

    async fn register(&self) {
        let names = self.names();
        let new = |name: &usize| NewArtifact {
            workflow: workflow(),
            location: "/in".into(),
            name: name.to_string().into(),
            reuse: ArtifactUse::Many,
            run: None,
            status: ArtifactStatus::Ready.into(),
            facts: Facts::default(),
            depends_on: Vec::new(),
        };
        let mut all: Vec<NewArtifact> = names.iter().map(new).collect();
        let lasting: BTreeSet<ArtifactId> = names.iter().map(|name| id(*name)).collect();
        if self.dice.chance(300) {
            // For a run alone, which may not be there.
            let name = format!("temporary-{}", self.dice.below(4));
            let item = ItemId::new(format!("item-{}", self.dice.below(4))).expect("an id");
            let run = Some(RunName { workflow: None, id: item });
            all.push(NewArtifact { reuse: ArtifactUse::Run, run, name: name.into(), ..new(&0) });
        }
        let began = self.history.moment();
        let (_, run) = self.own_run(began);
        let index = self.history.lock().artifacts.begin(Asked::Register, run, began);
        let result = self.warden.artifacts.register(all, Vec::new()).await;
        self.history.tell(|| format!("registration of artifacts {names:?}: {}", result.is_ok()));
        let result = result.map(|found| found.into_iter().map(|(artifact, _)| artifact).collect());
        self.answered(index, result, |artifact| lasting.contains(&artifact.id));
    }

    async fn change_status(&self) {
        let statuses = [ArtifactStatus::Ready, ArtifactStatus::Loaded, ArtifactStatus::Error];
        let (names, status) = (self.names(), Status::from(*self.dice.pick(&statuses)));
        let began = self.history.moment();
        let (by, run) = self.own_run(began);
        let asked = Asked::Move(names.iter().map(|name| id(*name)).collect(), status.clone());
        let index = self.history.lock().artifacts.begin(asked, run, began);
        let change =
            ArtifactChange { status: Some(status.clone()), run: Some(by), ..ArtifactChange::default() };
        let changes = names.iter().map(|name| (id(*name), change.clone())).collect();
        let result = self.warden.artifacts.change(changes, Vec::new()).await;
        self.history.tell(|| format!("artifacts {names:?} to {status}: {}", result.is_ok()));
        self.answered(index, result, |_| true);
    }

    async fn claim_artifacts(&self) {
        let began = self.history.moment();
        let (by, run) = self.own_run(began);
        let index = self.history.lock().artifacts.begin(Asked::Claim, run, began);
        let (status, to) = (ArtifactStatus::Ready.into(), ArtifactStatus::Loading.into());
        let filter = ArtifactFilter { statuses: vec![Status::clone(&status)], ..ArtifactFilter::default() };
        let max = 1 + self.dice.below(3) as usize;
        let claim = ClaimArtifacts { workflow: None, filter, status, to, max, run: Some(by) };
        let result = self.warden.artifacts.claim(claim).await;
        self.history.tell(|| format!("claim of artifacts: {}", result.as_ref().map_or(0, Vec::len)));
        // What is for a run alone goes with it, and may come again.
        self.answered(index, result, |artifact| artifact.removed_with().is_none());
    }

    fn answered(
        &self,
        index: usize,
        result: Result<Vec<Artifact>, warden::warden::WardenError>,
        is_lasting: impl Fn(&Artifact) -> bool,
    ) {
        let ended = self.history.moment();
        let fate = result.as_ref().map_or_else(refusal, |_| Fate::Done);
        let answer: Vec<Artifact> = result.unwrap_or_default().into_iter().filter(is_lasting).collect();
        let check = self.history.lock().artifacts.end(index, fate, &answer, ended);
        self.history.note(check);
    }
}
