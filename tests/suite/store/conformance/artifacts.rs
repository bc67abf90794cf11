//! Artifacts: registered, changed and claimed, all or none.

use std::time::Duration;

use warden::model::artifact::{
    ArtifactChange, ArtifactStatus, ArtifactUse, Bound, DEPENDENCIES_MAX, Facts, NewArtifact, OF_RUN_MAX,
    RunName, USES_KEPT,
};
use warden::model::item::Closing;
use warden::model::{Artifact, ArtifactId, ArtifactRefusal, ItemId, Timestamp};
use warden::store::{ArtifactCommand, Change, Command, DocumentId, Outcome, Registration};

use crate::store::documents::ReadDocuments as _;
use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand as _, artifact_id, at, change_artifacts, claim_artifacts, closing, create, creation, key,
    move_artifacts, new_artifact, noted_workflow, register, workflow,
};

on_every_engine! {
    a_registered_artifact_is_kept_and_found_again,
    artifacts_are_numbered_in_the_order_of_their_registration,
    a_registration_of_many_is_all_or_nothing,
    an_artifact_creates_its_workflow_which_stays_while_it_has_artifacts,
    a_change_of_many_is_all_or_nothing,
    what_has_to_be_loaded_first_counts_in_any_order_of_a_request,
    what_is_depended_on_exists_and_never_leads_back,
    an_artifact_that_is_gone_blocks_nothing,
    a_claimed_artifact_is_not_claimed_again,
    a_claim_passes_over_what_may_not_be_loaded,
    an_artifact_of_a_run_goes_with_the_item_of_the_run,
    the_feed_tells_of_artifacts_what_a_restart_reads,
    the_largest_artifacts_there_can_be_are_kept,
}

fn with_run(name: &str, run: &str) -> NewArtifact {
    let run = RunName { workflow: None, id: ItemId::new(run).unwrap() };
    NewArtifact { reuse: ArtifactUse::Run, run: Some(run), ..new_artifact(name) }
}

fn depending(name: &str, on: &[&str]) -> NewArtifact {
    NewArtifact { depends_on: on.iter().map(|name| artifact_id(name)).collect(), ..new_artifact(name) }
}

fn registered(outcome: Outcome) -> Vec<(Artifact, bool)> {
    match outcome {
        Outcome::Registered(artifacts) => artifacts,
        other => panic!("{other:?}"),
    }
}

fn artifacts(outcome: Outcome) -> Vec<Artifact> {
    match outcome {
        Outcome::Artifacts(artifacts) => artifacts,
        other => panic!("{other:?}"),
    }
}

fn names(artifacts: &[Artifact]) -> Vec<&str> {
    artifacts.iter().map(|artifact| &*artifact.name).collect()
}

fn not_met(artifact: &str, dependencies: &[&str]) -> Outcome {
    Outcome::ArtifactsRefused(ArtifactRefusal::DependencyNotMet {
        artifact: artifact_id(artifact),
        dependencies: dependencies.iter().map(|name| artifact_id(name)).collect(),
    })
}

/// The status of each, by name.
async fn statuses(engine: &Engine) -> Vec<(String, String)> {
    let mut found: Vec<_> = engine.all_artifacts().await.unwrap();
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found.into_iter().map(|artifact| (artifact.name.to_string(), artifact.status.to_string())).collect()
}

async fn a_registered_artifact_is_kept_and_found_again(engine: Engine) {
    let new = NewArtifact {
        facts: Facts {
            size: Some(7),
            low: Some(Bound::Text("2026-01-01".into())),
            high: Some(Bound::Number(serde_json::Number::from_f64(0.5).unwrap())),
            ..Facts::default()
        },
        ..new_artifact("a")
    };
    let made = registered(engine.one(register([new.clone()], at(0))).await);
    let (first, is_new) = made[0].clone();
    assert!(is_new);
    assert_eq!((first.id.clone(), first.registered_at, first.version), (artifact_id("a"), at(0), 1));
    let moved = artifacts(engine.one(move_artifacts(&["a"], ArtifactStatus::Loaded, at(1))).await);
    let engine = engine.restarted();
    let again = registered(engine.one(register([new_artifact("a")], at(9))).await);
    assert_eq!(again, [(moved[0].clone(), false)], "it is as it was left, whatever is registered");
    assert_eq!((again[0].0.loaded_at, again[0].0.version), (Some(at(1)), 2));
    assert_eq!(engine.all_artifacts().await.unwrap(), moved);
}

async fn artifacts_are_numbered_in_the_order_of_their_registration(engine: Engine) {
    let first = registered(engine.one(register(["b", "a", "b", "c"].map(new_artifact), at(0))).await);
    let order: Vec<_> = first.iter().map(|(artifact, is_new)| (&*artifact.name, *is_new)).collect();
    assert_eq!(order, [("b", true), ("a", true), ("b", false), ("c", true)]);
    let engine = engine.restarted();
    engine.one(register(["0"].map(new_artifact), at(0))).await;
    let mut found = engine.all_artifacts().await.unwrap();
    found.sort_by_key(|artifact| artifact.number);
    assert_eq!(names(&found), ["b", "a", "c", "0"]);
}

async fn a_registration_of_many_is_all_or_nothing(engine: Engine) {
    engine.one(register([new_artifact("a")], at(7))).await;
    let few = |artifacts: Vec<NewArtifact>, artifacts_max| {
        let artifacts = artifacts.into_iter().map(|new| (new, Some(10))).collect();
        Command::Artifacts(Box::new(ArtifactCommand::Register(Registration {
            artifacts,
            artifacts_max,
            visible: Vec::new(),
            now: at(1),
        })))
    };
    let three = || ["a", "b", "c"].map(new_artifact).to_vec();
    let refused = engine.one(few(three(), 2)).await;
    assert_eq!(refused, Outcome::ArtifactsRefused(ArtifactRefusal::TooMany));
    let mut faulty = three();
    faulty.push(with_run("d", "nobody"));
    let refused = engine.one(register(faulty, at(1))).await;
    assert_eq!(refused, Outcome::ArtifactsRefused(ArtifactRefusal::RunUnknown(key("nobody"))));
    let elsewhere = NewArtifact { workflow: workflow("another"), ..new_artifact("d") };
    let command = ArtifactCommand::Register(Registration {
        artifacts: vec![(new_artifact("b"), Some(1)), (elsewhere, Some(1))],
        artifacts_max: 10,
        visible: Vec::new(),
        now: at(1),
    });
    let refused = engine.one(Command::Artifacts(Box::new(command))).await;
    assert_eq!(refused, Outcome::TooManyWorkflows(workflow("another")));
    let loading = NewArtifact { status: ArtifactStatus::Loading.into(), ..depending("d", &["a"]) };
    assert_eq!(engine.one(register([new_artifact("b"), loading], at(1))).await, not_met("d", &["a"]));
    let engine = engine.restarted();
    assert_eq!(statuses(&engine).await, [("a".into(), "ready".into())]);
    assert_eq!(engine.workflows().await.unwrap(), [noted_workflow("uploads")]);
    assert_eq!(registered(engine.one(few(three(), 3)).await).len(), 3, "known ones need no room");
}

async fn an_artifact_creates_its_workflow_which_stays_while_it_has_artifacts(engine: Engine) {
    engine.one(register(["a", "b"].map(new_artifact), at(7))).await;
    let forget = |name| Command::Remove(DocumentId::Artifact(artifact_id(name)));
    let forget_workflow = || Command::Remove(DocumentId::Workflow(workflow("uploads")));
    let engine = engine.restarted();
    assert_eq!(engine.workflows().await.unwrap(), [noted_workflow("uploads")]);
    for name in ["a", "b"] {
        assert_eq!(engine.one(forget_workflow()).await, Outcome::WorkflowInUse);
        assert_eq!(engine.one(forget(name)).await, Outcome::Done);
    }
    assert_eq!(engine.one(forget("b")).await, Outcome::Done, "twice");
    let engine = engine.restarted();
    assert_eq!(engine.one(forget_workflow()).await, Outcome::Done);
    assert_eq!(engine.workflows().await.unwrap(), []);
    assert_eq!(engine.all_artifacts().await.unwrap(), []);
}

async fn a_change_of_many_is_all_or_nothing(engine: Engine) {
    let many: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    engine.one(register(names.iter().map(|name| new_artifact(name)), at(0))).await;
    let with_stranger: Vec<&str> = names.iter().copied().chain(["stranger"]).collect();
    let refused = engine.one(move_artifacts(&with_stranger, ArtifactStatus::Loaded, at(1))).await;
    assert_eq!(refused, Outcome::ArtifactsRefused(ArtifactRefusal::Unknown(artifact_id("stranger"))));
    assert!(statuses(&engine).await.iter().all(|(_, status)| status == "ready"));
    let moved = artifacts(engine.one(move_artifacts(&names, ArtifactStatus::Loaded, at(2))).await);
    assert_eq!(self::names(&moved), names, "in the order of the command");
    let engine = engine.restarted();
    let mut kept = engine.all_artifacts().await.unwrap();
    kept.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(kept == moved);
}

async fn what_has_to_be_loaded_first_counts_in_any_order_of_a_request(engine: Engine) {
    use ArtifactStatus::{Archived, Error, Loaded, Loading, Ready};
    engine.one(register([new_artifact("a"), depending("b", &["a"]), depending("c", &["b"])], at(0))).await;
    assert_eq!(engine.one(move_artifacts(&["b"], Loading, at(1))).await, not_met("b", &["a"]));
    assert_eq!(engine.one(move_artifacts(&["c", "b"], Loading, at(1))).await, not_met("b", &["a"]));
    assert!(statuses(&engine).await.iter().all(|(_, status)| status == "ready"), "nothing has changed");
    artifacts(engine.one(move_artifacts(&["b", "a"], Loading, at(2))).await);
    artifacts(engine.one(move_artifacts(&["b"], Ready, at(3))).await);
    assert_eq!(engine.one(move_artifacts(&["b"], Loading, at(4))).await, not_met("b", &["a"]));
    artifacts(engine.one(move_artifacts(&["a"], Error, at(5))).await);
    assert_eq!(engine.one(move_artifacts(&["b"], Loading, at(6))).await, not_met("b", &["a"]));
    for status in [Loaded, Archived] {
        artifacts(engine.one(move_artifacts(&["a"], status, at(7))).await);
        artifacts(engine.one(move_artifacts(&["c", "b"], Loading, at(8))).await);
        artifacts(engine.one(move_artifacts(&["c", "b"], Ready, at(9))).await);
    }
    // Of a request that loads one and spoils the other.
    let change = |name, status| {
        let status = Some(status);
        (artifact_id(name), ArtifactChange { status, ..ArtifactChange::default() })
    };
    let both = vec![change("b", Loading.into()), change("a", Error.into())];
    assert_eq!(engine.one(change_artifacts(both, at(10))).await, not_met("b", &["a"]));
    let to_configured = vec![change("a", warden_api::Word::Other("checked".to_owned()))];
    artifacts(engine.one(change_artifacts(to_configured, at(11))).await);
    assert_eq!(engine.one(move_artifacts(&["b"], Loading, at(12))).await, not_met("b", &["a"]));
}

async fn what_is_depended_on_exists_and_never_leads_back(engine: Engine) {
    let refused = engine.one(register([depending("a", &["b"])], at(0))).await;
    let unknown = |artifact, dependency| {
        let (artifact, dependency) = (artifact_id(artifact), artifact_id(dependency));
        Outcome::ArtifactsRefused(ArtifactRefusal::DependencyUnknown { artifact, dependency })
    };
    let cycle = |name| Outcome::ArtifactsRefused(ArtifactRefusal::Cycle(artifact_id(name)));
    assert_eq!(refused, unknown("a", "b"));
    assert_eq!(engine.one(register([depending("a", &["a"])], at(0))).await, cycle("a"));
    let both = [depending("a", &["b"]), depending("b", &["a"])];
    assert!(matches!(
        engine.one(register(both, at(0))).await,
        Outcome::ArtifactsRefused(ArtifactRefusal::Cycle(_))
    ));
    let chain = [depending("c", &["b"]), depending("b", &["a"]), new_artifact("a")];
    assert_eq!(registered(engine.one(register(chain, at(0))).await).len(), 3, "in any order");
    let depend = |on: &[&str]| {
        let depends_on = Some(on.iter().map(|name| artifact_id(name)).collect());
        let change = ArtifactChange { depends_on, ..ArtifactChange::default() };
        change_artifacts(vec![(artifact_id("a"), change)], at(1))
    };
    assert_eq!(engine.one(depend(&["c"])).await, cycle("a"));
    assert_eq!(engine.one(depend(&["x"])).await, unknown("a", "x"));
    let found = engine.all_artifacts().await.unwrap();
    assert!(found.iter().all(|artifact| artifact.version == 1), "{found:?}");
}

async fn an_artifact_that_is_gone_blocks_nothing(engine: Engine) {
    engine.one(register([new_artifact("a"), depending("b", &["a"])], at(0))).await;
    engine.one(Command::Remove(DocumentId::Artifact(artifact_id("a")))).await;
    artifacts(engine.one(move_artifacts(&["b"], ArtifactStatus::Loading, at(1))).await);
    // It comes back, and would close a cycle.
    let refused = engine.one(register([depending("a", &["b"])], at(2))).await;
    assert_eq!(refused, Outcome::ArtifactsRefused(ArtifactRefusal::Cycle(artifact_id("a"))));
}

async fn a_claimed_artifact_is_not_claimed_again(engine: Engine) {
    engine.one(register(["a", "b", "c"].map(new_artifact), at(0))).await;
    let all = ["a", "b", "c", "stranger"];
    let outcomes = engine.all(vec![claim_artifacts(&all, 2, at(1)), claim_artifacts(&all, 2, at(1))]).await;
    let claimed: Vec<Vec<Artifact>> = outcomes.into_iter().map(artifacts).collect();
    assert_eq!(claimed.iter().map(|claimed| names(claimed)).collect::<Vec<_>>(), [vec!["a", "b"], vec!["c"]]);
    let engine = engine.restarted();
    assert_eq!(artifacts(engine.one(claim_artifacts(&all, 2, at(2))).await), []);
}

async fn a_claim_passes_over_what_may_not_be_loaded(engine: Engine) {
    let once = NewArtifact { reuse: ArtifactUse::Once, ..new_artifact("once") };
    engine.one(register([depending("b", &["a"]), new_artifact("a"), once], at(0))).await;
    let claimed = artifacts(engine.one(claim_artifacts(&["once", "b"], 5, at(1))).await);
    assert_eq!(names(&claimed), ["once"]);
    let claimed = artifacts(engine.one(claim_artifacts(&["a", "b"], 5, at(2))).await);
    assert_eq!(names(&claimed), ["a", "b"], "taken together");
    engine.one(move_artifacts(&["once"], ArtifactStatus::Loaded, at(3))).await;
    for back in [ArtifactStatus::Ready, ArtifactStatus::Loading] {
        let refused = engine.one(move_artifacts(&["a", "once"], back, at(4))).await;
        assert_eq!(refused, Outcome::ArtifactsRefused(ArtifactRefusal::LoadedOnce(artifact_id("once"))));
    }
}

async fn an_artifact_of_a_run_goes_with_the_item_of_the_run(engine: Engine) {
    let gone_at = |id: &str, now: Timestamp| {
        let closing = Closing { retention: Duration::from_millis(10), ..closing(now) };
        Command::Close { key: key(id), closing }
    };
    engine.all(vec![create("1", "x"), create("2", "x")]).await;
    let all = [with_run("a", "1"), with_run("b", "1"), with_run("c", "2"), new_artifact("d")];
    assert_eq!(registered(engine.one(register(all, at(0))).await).len(), 4);
    let engine = engine.restarted();
    engine.all(vec![gone_at("1", at(1)), gone_at("2", at(1))]).await;
    assert_eq!(engine.all_artifacts().await.unwrap().len(), 4, "a closed run has its artifacts");
    engine.one(Command::Forget(engine.item("1").await.unwrap().number)).await;
    let names = |statuses: Vec<(String, String)>| -> Vec<String> {
        statuses.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(statuses(&engine).await), ["c", "d"]);
    // An item of the same id forgets the one before.
    let again = warden::store::Creation { created_at: at(100), ..creation("2", "y") };
    engine.one(again.into_command()).await;
    let engine = engine.restarted();
    assert_eq!(names(statuses(&engine).await), ["d"]);
    let too_many = (0..=OF_RUN_MAX).map(|number| with_run(&number.to_string(), "2"));
    let refused = engine.one(register(too_many, at(101))).await;
    assert_eq!(refused, Outcome::ArtifactsRefused(ArtifactRefusal::TooManyOfRun(key("2"))));
}

async fn the_feed_tells_of_artifacts_what_a_restart_reads(engine: Engine) {
    let notes = engine.observed();
    engine.one(create("1", "x")).await;
    engine.one(register([new_artifact("a"), with_run("b", "1"), new_artifact("c")], at(0))).await;
    engine.one(move_artifacts(&["a"], ArtifactStatus::Loaded, at(1))).await;
    let told = notes.changes().len();
    engine.one(move_artifacts(&["a"], ArtifactStatus::Loaded, at(2))).await;
    assert_eq!(notes.changes().len(), told, "what changes nothing is not told");
    engine.one(claim_artifacts(&["a", "c"], 2, at(3))).await;
    let closing = Closing { retention: Duration::ZERO, ..closing(at(4)) };
    engine.one(Command::Close { key: key("1"), closing }).await;
    engine.one(Command::Forget(engine.item("1").await.unwrap().number)).await;
    let removed = Change::Removed(DocumentId::Artifact(artifact_id("b")));
    assert_eq!(notes.changes().last(), Some(&removed));
    let engine = engine.restarted();
    assert_eq!(notes.documents(), engine.observed().documents());
}

async fn the_largest_artifacts_there_can_be_are_kept(engine: Engine) {
    let long = |length: usize| -> std::sync::Arc<str> { "\"".repeat(length).into() };
    engine.one(register((0..DEPENDENCIES_MAX).map(|number| new_artifact(&number.to_string())), at(0))).await;
    let largest = NewArtifact {
        location: long(1024),
        facts: Facts {
            alias: Some(long(64)),
            size: Some(u64::MAX),
            records_written: Some(u64::MAX),
            records_read: Some(u64::MAX),
            low: Some(Bound::Text(long(256))),
            high: Some(Bound::Text(long(256))),
            format: Some(long(64)),
            compression: Some(long(64)),
        },
        depends_on: (0..DEPENDENCIES_MAX).map(|number| artifact_id(&number.to_string())).collect(),
        ..new_artifact(&long(1024))
    };
    let id = ArtifactId::of("uploads", &long(1024), &long(1024));
    engine.one(register([largest], at(0))).await;
    for number in 0..USES_KEPT {
        let id_of_run = format!("{number:02}{}", long(254));
        let change = ArtifactChange {
            status: Some(warden_api::Word::Other("s".repeat(64))),
            run: Some(RunName {
                workflow: Some(workflow(&"w".repeat(128))),
                id: ItemId::new(id_of_run).unwrap(),
            }),
            ..ArtifactChange::default()
        };
        artifacts(engine.one(change_artifacts(vec![(id.clone(), change)], at(1))).await);
    }
    let engine = engine.restarted();
    let found = engine.all_artifacts().await.unwrap();
    let largest = found.iter().find(|artifact| artifact.id == id).unwrap();
    assert_eq!((largest.uses.len(), largest.depends_on.len()), (USES_KEPT, DEPENDENCIES_MAX));
}
