//! Workflows created on first use: stored with their first item, and removed when nothing is left of them.

use warden::model::item::Closing;
use warden::model::{Incident, IncidentStatus, Workflow};
use warden::store::{Change, Command, Creation, DocumentId, Outcome};

use crate::store::documents::ReadDocuments as _;
use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand, at, closing, create, created, creation, incident, incident_id, item_of, key, key_in,
    payload, workflow,
};

on_every_engine! {
    a_workflow_is_noted_by_the_item_that_makes_it,
    a_create_that_makes_no_item_notes_no_workflow,
    a_close_of_what_nobody_created_notes_no_workflow,
    there_are_never_more_than_the_create_allows,
    a_workflow_is_forgotten_only_when_nothing_is_left_of_it,
    an_open_incident_keeps_its_workflow,
    what_is_left_of_a_workflow_is_known_after_a_restart,
    a_workflow_that_was_forgotten_is_made_again_by_its_next_item,
    the_observer_is_told_of_workflows_in_the_order_of_the_changes,
    attaching_shows_the_workflows_before_the_items,
    however_large_its_first_item_a_workflow_is_noted_with_it,
    many_workflows_are_noted_and_forgotten_by_one_list,
    a_definition_is_kept_and_counts_as_a_workflow,
}

/// Creates an item that may make one more than so many workflows.
fn first_use(name: &str, id: &str, most: usize) -> Command {
    Creation { key: key_in(name, id), workflows_max: Some(most), ..creation(id, "x") }.into_command()
}

fn close_in(name: &str, id: &str) -> Command {
    Command::Close { key: key_in(name, id), closing: closing(at(1)) }
}

fn noted(name: &str) -> Workflow {
    Workflow { name: workflow(name), created_at: at(0), definition: None }
}

async fn names(engine: &Engine) -> Vec<String> {
    engine.workflows().await.unwrap().into_iter().map(|workflow| workflow.name.to_string()).collect()
}

async fn forget(engine: &Engine, name: &str) -> Outcome {
    engine.one(Command::Remove(DocumentId::Workflow(workflow(name)))).await
}

async fn forget_item(engine: &Engine, name: &str, id: &str) {
    let item = engine.get(key_in(name, id)).await.unwrap().unwrap();
    assert_eq!(engine.one(Command::Forget(item.number)).await, Outcome::Done);
}

async fn a_workflow_is_noted_by_the_item_that_makes_it(engine: Engine) {
    assert_eq!(engine.workflows().await.unwrap(), []);
    for (name, id) in [("uploads", "a"), ("exports", "a"), ("uploads", "b")] {
        created(engine.one(first_use(name, id, 10)).await);
    }
    created(engine.one(create("c", "x")).await);
    let engine = engine.restarted();
    assert_eq!(engine.workflows().await.unwrap(), [noted("exports"), noted("uploads")]);
}

async fn a_create_that_makes_no_item_notes_no_workflow(engine: Engine) {
    engine.one(create("open", "x")).await;
    engine.one(close_in("uploads", "nobody")).await;
    assert!(matches!(engine.one(first_use("uploads", "open", 10)).await, Outcome::Exists(_)));
    let other = Creation { workflows_max: Some(10), ..creation("open", "y") };
    assert!(matches!(engine.one(other.into_command()).await, Outcome::Conflict(_)));
    assert!(matches!(engine.one(first_use("uploads", "nobody", 10)).await, Outcome::AlreadyClosed(_)));
    assert_eq!(engine.restarted().workflows().await.unwrap(), []);
}

async fn a_close_of_what_nobody_created_notes_no_workflow(engine: Engine) {
    assert_eq!(engine.one(close_in("uploads", "nobody")).await, Outcome::Unknown);
    let engine = engine.restarted();
    assert_eq!(engine.workflows().await.unwrap(), []);
    let late = engine.one(first_use("uploads", "nobody", 0)).await;
    assert!(
        matches!(late, Outcome::AlreadyClosed(_)),
        "the id tells more than that there is no room: {late:?}"
    );
}

async fn there_are_never_more_than_the_create_allows(engine: Engine) {
    let outcomes = engine
        .all(vec![
            first_use("a", "1", 2),
            first_use("b", "1", 2),
            first_use("c", "1", 2),
            first_use("b", "2", 2),
            create("not noted", "x"),
        ])
        .await;
    assert_eq!(outcomes[2], Outcome::TooManyWorkflows(workflow("c")));
    assert!([0, 1, 3, 4].iter().all(|index| matches!(outcomes[*index], Outcome::Created(_))), "{outcomes:?}");
    assert_eq!(engine.get(key_in("c", "1")).await.unwrap(), None);
    let engine = engine.restarted();
    assert_eq!(names(&engine).await, ["a", "b"]);
    assert_eq!(engine.one(first_use("c", "1", 2)).await, Outcome::TooManyWorkflows(workflow("c")));
    created(engine.one(first_use("c", "1", 3)).await);
}

async fn a_workflow_is_forgotten_only_when_nothing_is_left_of_it(engine: Engine) {
    engine.all(vec![first_use("uploads", "a", 10), first_use("uploads", "b", 10)]).await;
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse, "two items are open");
    engine.one(close_in("uploads", "a")).await;
    forget_item(&engine, "uploads", "a").await;
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse, "one is open");
    engine.one(close_in("uploads", "b")).await;
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse, "it is remembered");
    engine.one(close_in("uploads", "nobody")).await;
    forget_item(&engine, "uploads", "b").await;
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse, "a tombstone is");
    assert_eq!(names(&engine).await, ["uploads"]);
    forget_item(&engine, "uploads", "nobody").await;
    for _ in 0..2 {
        assert_eq!(forget(&engine, "uploads").await, Outcome::Done, "also when it is gone");
    }
    assert_eq!(names(&engine.restarted()).await, [""; 0]);
}

async fn an_open_incident_keeps_its_workflow(engine: Engine) {
    let commit = |id: &str, status| {
        let incident = Incident { status, ..incident(id) };
        Command::put(incident)
    };
    let no_time = Closing { retention: std::time::Duration::ZERO, ..closing(at(1)) };
    engine
        .all(vec![
            first_use("uploads", "a", 10),
            commit("1", IncidentStatus::Open),
            commit("1", IncidentStatus::Open),
            commit("2", IncidentStatus::Open),
            Command::Close { key: key("a"), closing: no_time },
        ])
        .await;
    forget_item(&engine, "uploads", "a").await;
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse, "two are open");
    engine.one(commit("1", IncidentStatus::Resolved)).await;
    let engine = engine.restarted();
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse, "one is open");
    engine.one(commit("1", IncidentStatus::Open)).await;
    engine.one(Command::Remove(DocumentId::Incident(incident_id("2")))).await;
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse, "the other is open again");
    engine.one(commit("1", IncidentStatus::Resolved)).await;
    assert_eq!(forget(&engine, "uploads").await, Outcome::Done, "what is resolved is history");
    assert_eq!(names(&engine).await, [""; 0]);
}

async fn what_is_left_of_a_workflow_is_known_after_a_restart(engine: Engine) {
    let mut commands: Vec<Command> = ["a", "b", "c"].iter().map(|name| first_use(name, "1", 10)).collect();
    // More than one chunk of the journal holds, and some of it is said again later.
    commands.extend((0..500).map(|number| first_use(["a", "b"][number % 2], &format!("more-{number}"), 10)));
    commands.extend((0..500).map(|number| close_in(["a", "b"][number % 2], &format!("more-{number}"))));
    commands.push(close_in("c", "1"));
    engine.all(commands).await;
    let mut engine = engine;
    for name in ["b", "c"] {
        for number in (0..500).filter(|number| name == "b" && number % 2 == 1) {
            forget_item(&engine, "b", &format!("more-{number}")).await;
        }
        if name == "b" {
            engine.one(close_in("b", "1")).await;
        }
        engine = engine.restarted();
        assert_eq!(forget(&engine, name).await, Outcome::WorkflowInUse);
        forget_item(&engine, name, "1").await;
        engine = engine.restarted();
        assert_eq!(forget(&engine, name).await, Outcome::Done);
    }
    let engine = engine.restarted();
    assert_eq!(forget(&engine, "a").await, Outcome::WorkflowInUse);
    assert_eq!(names(&engine).await, ["a"]);
}

async fn a_workflow_that_was_forgotten_is_made_again_by_its_next_item(engine: Engine) {
    let first = created(engine.one(first_use("uploads", "a", 1)).await);
    let outcomes = engine
        .all(vec![
            close_in("uploads", "a"),
            Command::Forget(first.number),
            Command::Remove(DocumentId::Workflow(workflow("uploads"))),
            first_use("exports", "a", 1),
            first_use("uploads", "a", 1),
            first_use("uploads", "a", 2),
        ])
        .await;
    assert_eq!(outcomes[2], Outcome::Done);
    assert!(matches!(outcomes[3], Outcome::Created(_)), "it has left its place");
    assert_eq!(outcomes[4], Outcome::TooManyWorkflows(workflow("uploads")));
    assert!(item_of(outcomes[5].clone()).number > first.number);
    assert_eq!(names(&engine.restarted()).await, ["exports", "uploads"]);
}

async fn the_observer_is_told_of_workflows_in_the_order_of_the_changes(engine: Engine) {
    let notes = engine.observed();
    let item = created(engine.one(first_use("uploads", "a", 10)).await);
    let closed = item_of(engine.one(close_in("uploads", "a")).await);
    forget(&engine, "uploads").await;
    engine
        .all(vec![Command::Forget(item.number), Command::Remove(DocumentId::Workflow(workflow("uploads")))])
        .await;
    forget(&engine, "uploads").await;
    let told = |before: Option<&warden::model::Item>, after: Option<&warden::model::Item>| Change::Item {
        before: before.map(warden::model::Item::indexed),
        after: after.map(warden::model::Item::indexed),
    };
    let expected = [
        Change::Put(noted("uploads").into()),
        told(None, Some(&item)),
        told(Some(&item), Some(&closed)),
        told(Some(&closed), None),
        Change::Removed(DocumentId::Workflow(workflow("uploads"))),
    ];
    assert_eq!(notes.changes(), expected);
}

async fn attaching_shows_the_workflows_before_the_items(engine: Engine) {
    let item = created(engine.one(first_use("uploads", "a", 10)).await);
    let other = created(engine.one(first_use("exports", "a", 10)).await);
    let notes = engine.restarted().observed();
    let items = [item, other].map(|item| Change::Item { before: None, after: Some(item.indexed()) });
    let mut expected = vec![Change::Put(noted("exports").into()), Change::Put(noted("uploads").into())];
    expected.extend(items);
    assert_eq!(notes.changes(), expected);
}

async fn however_large_its_first_item_a_workflow_is_noted_with_it(engine: Engine) {
    for (number, size) in [0, 1, 4096, 4097, 300_000, 1_200_000, 5_000_000].into_iter().enumerate() {
        let (name, bytes) = (format!("w{number}"), payload(size));
        let first = Creation {
            key: key_in(&name, "a"),
            workflows_max: Some(100),
            info: crate::store::sample::info("text/plain", &bytes),
            ..creation("a", bytes)
        };
        created(engine.one(first.into_command()).await);
    }
    assert_eq!(names(&engine.restarted()).await, ["w0", "w1", "w2", "w3", "w4", "w5", "w6"]);
}

async fn many_workflows_are_noted_and_forgotten_by_one_list(engine: Engine) {
    const COUNT: usize = 3000;
    let name = |number: usize| format!("w{number:04}");
    let outcomes = engine.all((0..COUNT).map(|number| first_use(&name(number), "a", COUNT)).collect()).await;
    let numbers: Vec<_> = outcomes.into_iter().map(|outcome| created(outcome).number).collect();
    let engine = engine.restarted();
    assert_eq!(names(&engine).await.len(), COUNT);
    let mut commands: Vec<Command> = (0..COUNT).map(|number| close_in(&name(number), "a")).collect();
    commands.extend(numbers.into_iter().map(Command::Forget));
    commands.extend((0..COUNT).map(|number| Command::Remove(DocumentId::Workflow(workflow(&name(number))))));
    let outcomes = engine.all(commands).await;
    assert!(outcomes[COUNT..].iter().all(|outcome| *outcome == Outcome::Done));
    assert_eq!(names(&engine.restarted()).await, [""; 0]);
}

async fn a_definition_is_kept_and_counts_as_a_workflow(engine: Engine) {
    let text = r#"{"deadline": "5m", "retry": {"max": 3, "jitter": 0.25}, "steps": ["copy", {"name": "b"}]}"#;
    let definition = Some(std::sync::Arc::new(serde_json::from_str(text).unwrap()));
    let defined = Workflow { definition, ..noted("uploads") };
    assert_eq!(engine.one(Command::put(defined.clone())).await, Outcome::Done);
    created(engine.one(first_use("uploads", "a", 0)).await);
    let outcome = engine.one(first_use("exports", "a", 1)).await;
    assert_eq!(outcome, Outcome::TooManyWorkflows(workflow("exports")));
    let engine = engine.restarted();
    assert_eq!(engine.workflows().await.unwrap(), [defined], "an item does not take its place");
    let outcome = engine.one(first_use("exports", "a", 1)).await;
    assert_eq!(outcome, Outcome::TooManyWorkflows(workflow("exports")));
    assert_eq!(forget(&engine, "uploads").await, Outcome::WorkflowInUse);
}
