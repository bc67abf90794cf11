//! Random commands on the artifacts of a submitter, many of them at once: a crash leaves all or none.

use std::collections::BTreeSet;

use warden::model::ArtifactId;
use warden::model::artifact::{
    ArtifactChange, ArtifactStatus, ArtifactUse, Bound, Facts, NewArtifact, RunName, Status,
};
use warden::store::{ArtifactClaim, ArtifactCommand, Command, DocumentId, Registration};

use crate::dice::Dice;
use crate::requests::any_key;
use crate::story::Story;
use crate::support::sample::workflow;

/// A submitter has at most so many artifacts.
const NAMES: usize = 120;

fn flow(story: &Story) -> String {
    format!("flow-{}-0", story.submitter)
}

fn id(story: &Story, name: usize) -> ArtifactId {
    ArtifactId::of(&flow(story), "/in", &name.to_string())
}

fn status(dice: &mut Dice) -> Status {
    let mut statuses: Vec<Status> = ArtifactStatus::ALL.map(Status::from).to_vec();
    statuses.push(Status::Other("checked".into()));
    dice.pick(&statuses)
}

/// Some names, each once.
fn names(dice: &mut Dice) -> BTreeSet<usize> {
    let count = dice.pick(&[1, 2, 5, 60]);
    (0..count).map(|_| dice.index(NAMES)).collect()
}

pub fn next(story: &Story, dice: &mut Dice) -> Command {
    let now = Story::time(story.submitted);
    let command = match dice.below(10) {
        0..4 => {
            let artifacts = names(dice).into_iter().map(|name| (new(story, name, dice), Some(1000)));
            ArtifactCommand::Register(Registration {
                artifacts: artifacts.collect(),
                artifacts_max: 1_000_000,
                visible: Vec::new(),
                now,
            })
        }
        4..8 => {
            // Mostly artifacts that are there, as one stranger among many refuses all.
            let known: Vec<ArtifactId> = story.model.artifacts().into_iter().map(|known| known.id).collect();
            let chosen = names(dice).into_iter().map(|name| match known.get(name) {
                Some(known) => known.clone(),
                None => known.first().cloned().unwrap_or_else(|| id(story, name)),
            });
            let chosen: BTreeSet<ArtifactId> = chosen.collect();
            let (status, value) = (status(dice), dice.below(1000) as i64);
            let facts = Facts { high: Some(Bound::Number(value.into())), ..Facts::default() };
            let change = ArtifactChange { status: Some(status), facts, ..ArtifactChange::default() };
            ArtifactCommand::Change {
                changes: chosen.into_iter().map(|id| (id, change.clone())).collect(),
                visible: Vec::new(),
                now,
            }
        }
        8 => {
            let candidates = names(dice).into_iter().map(|name| id(story, name)).collect();
            let run = RunName { workflow: None, id: any_key(story, dice).id };
            let (status, to) = (ArtifactStatus::Ready.into(), ArtifactStatus::Loading.into());
            ArtifactCommand::Claim(ArtifactClaim { candidates, status, to, max: 10, run: Some(run), now })
        }
        _ => return Command::Remove(DocumentId::Artifact(id(story, dice.index(NAMES)))),
    };
    Command::Artifacts(Box::new(command))
}

fn new(story: &Story, name: usize, dice: &mut Dice) -> NewArtifact {
    let run = any_key(story, dice);
    let key = RunName { workflow: Some(run.workflow.clone()), id: run.id.clone() };
    // Of an item that may be forgotten, together with it.
    let of_run = dice.percent(30) && story.model.entry(&run).is_some();
    let depends_on = if dice.percent(10) { vec![id(story, dice.index(NAMES))] } else { Vec::new() };
    NewArtifact {
        workflow: workflow(&flow(story)),
        location: "/in".into(),
        name: name.to_string().into(),
        reuse: if of_run { ArtifactUse::Run } else { dice.pick(&[ArtifactUse::Many, ArtifactUse::Once]) },
        run: of_run.then_some(key),
        status: dice
            .pick(&[ArtifactStatus::Initializing, ArtifactStatus::Ready, ArtifactStatus::Loaded])
            .into(),
        facts: Facts { alias: Some("a".repeat(dice.index(64)).into()), ..Facts::default() },
        // Of those that are there, nearly always; otherwise all are refused.
        depends_on: depends_on
            .into_iter()
            .filter(|id| story.model.artifacts().iter().any(|known| known.id == *id))
            .collect(),
    }
}
