//! Random commands on a few artifacts, so that they interact.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use warden::model::artifact::{
    ArtifactChange, ArtifactStatus, ArtifactUse, Bound, Facts, NewArtifact, RunName, Status,
};
use warden::model::{ArtifactId, ItemId, Timestamp};
use warden::store::{ArtifactClaim, ArtifactCommand, Command, DocumentId, Registration};

use crate::store::sample::workflow;

const FLOWS: [&str; 2] = ["uploads", "exports"];
/// How many artifacts each workflow may have.
const NAMES: usize = 4;

/// Its workflow, and its name.
type Name = (&'static str, usize);

#[derive(Clone, Debug)]
pub enum ArtifactAction {
    Register {
        names: Vec<(Name, Status, bool, Vec<Name>)>,
        artifacts_max: usize,
    },
    Change(Vec<(Name, Change)>),
    Claim {
        names: Vec<Name>,
        status: Status,
        to: Status,
        max: usize,
        run: bool,
    },
    Forget(Name),
    /// Those that have had their status for so many milliseconds.
    Outlived(Vec<Name>, i64),
}

#[derive(Clone, Debug)]
pub struct Change {
    if_version: Option<u64>,
    status: Option<Status>,
    run: Option<u8>,
    value: Option<i64>,
    depends_on: Option<Vec<Name>>,
}

fn id((flow, name): Name) -> ArtifactId {
    ArtifactId::of(flow, "/in", &name.to_string())
}

fn run(id: u8) -> RunName {
    RunName { workflow: None, id: ItemId::new(id.to_string()).unwrap() }
}

impl ArtifactAction {
    pub fn command(&self, now: Timestamp) -> Command {
        let command = match self.clone() {
            Self::Forget(name) => return Command::Remove(DocumentId::Artifact(id(name))),
            Self::Outlived(names, since) => {
                let since = Timestamp::from_millis(now.as_millis() - since);
                ArtifactCommand::Forget(names.into_iter().map(|name| (id(name), since)).collect())
            }
            Self::Register { names, artifacts_max } => {
                let new =
                    |((flow, name), status, is_once, on): (Name, Status, bool, Vec<Name>)| NewArtifact {
                        workflow: workflow(flow),
                        location: "/in".into(),
                        name: name.to_string().into(),
                        reuse: if is_once { ArtifactUse::Once } else { ArtifactUse::Many },
                        run: is_once.then(|| run(0)),
                        status,
                        facts: Facts::default(),
                        depends_on: on.into_iter().map(id).collect(),
                    };
                // Of the workflows it is known elsewhere how many there may be.
                let artifacts = names.into_iter().map(|name| (new(name), Some(100))).collect();
                ArtifactCommand::Register(Registration { artifacts, artifacts_max, visible: Vec::new(), now })
            }
            Self::Change(changes) => {
                let change = |change: Change| ArtifactChange {
                    if_version: change.if_version,
                    status: change.status,
                    run: change.run.map(run),
                    facts: Facts {
                        low: change.value.map(|value| Bound::Number(value.into())),
                        high: change.value.map(|value| Bound::Text(value.to_string().into())),
                        ..Facts::default()
                    },
                    depends_on: change.depends_on.map(|names| names.into_iter().map(id).collect()),
                };
                let changes = changes.into_iter().map(|(name, by)| (id(name), change(by))).collect();
                ArtifactCommand::Change { changes, visible: Vec::new(), now }
            }
            Self::Claim { names, status, to, max, run: by } => ArtifactCommand::Claim(ArtifactClaim {
                candidates: names.into_iter().map(id).collect(),
                status,
                to,
                max,
                run: by.then(|| run(7)),
                now,
            }),
        };
        Command::Artifacts(Box::new(command))
    }
}

pub fn actions() -> impl Strategy<Value = ArtifactAction> {
    let name = || (select(&FLOWS[..]), 0..NAMES);
    let mut often: Vec<Status> = [ArtifactStatus::Ready, ArtifactStatus::Loading, ArtifactStatus::Loaded]
        .into_iter()
        .flat_map(|status| [status.into(), status.into(), status.into()])
        .collect();
    often.extend(ArtifactStatus::ALL.map(Status::from));
    often.push(Status::Other("checked".into()));
    let status = move || select(often.clone());
    let new = (name(), status(), any::<bool>(), vec(name(), 0..3));
    let change = (
        option::weighted(0.1, 1_u64..4),
        option::weighted(0.8, status()),
        option::of(0_u8..40),
        option::weighted(0.3, -20_i64..20),
        option::weighted(0.3, vec(name(), 0..3)),
    )
        .prop_map(|(if_version, status, run, value, depends_on)| Change {
            if_version,
            status,
            run,
            value,
            depends_on,
        });
    let claim = (vec(name(), 0..6), status(), status(), 1_usize..4, any::<bool>());
    prop_oneof![
        3 => (vec(new, 1..4), 2_usize..12)
            .prop_map(|(names, artifacts_max)| ArtifactAction::Register { names, artifacts_max }),
        5 => btree_map(name(), change, 1..4)
            .prop_map(|changes| ArtifactAction::Change(changes.into_iter().collect())),
        2 => claim.prop_map(|(names, status, to, max, run)| {
            ArtifactAction::Claim { names, status, to, max, run }
        }),
        1 => name().prop_map(ArtifactAction::Forget),
        1 => (vec(name(), 1..5), select(vec![0, 0, 0, 5])).prop_map(|(names, since)| {
            ArtifactAction::Outlived(names, since)
        }),
    ]
}
