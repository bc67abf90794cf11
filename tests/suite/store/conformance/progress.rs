//! The progress of expectations.

use warden::store::{Command, Document, DocumentId, Outcome};

use crate::store::documents::ReadDocuments as _;
use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{create, created, progress, workflow};

on_every_engine! {
    progress_is_kept_for_each_workflow_by_its_name,
    progress_is_written_over_what_it_was,
    forgetting_progress_takes_that_of_one_workflow_only,
}

async fn put(engine: &Engine, name: &str, items: u64) {
    let command = Command::put(Document::Progress(workflow(name), Box::new(progress(items))));
    assert_eq!(engine.one(command).await, Outcome::Done);
}

async fn progress_is_kept_for_each_workflow_by_its_name(engine: Engine) {
    assert_eq!(engine.progresses().await.unwrap(), []);
    for (name, items) in [("uploads", 3), ("exports", 0), ("uploads.eu", 7)] {
        put(&engine, name, items).await;
    }
    created(engine.one(create("a", "x")).await);
    let engine = engine.restarted();
    let expected = [("exports", 0), ("uploads", 3), ("uploads.eu", 7)];
    let expected = expected.map(|(name, items)| (workflow(name), progress(items)));
    assert_eq!(engine.progresses().await.unwrap(), expected);
    assert_eq!(engine.workflows().await.unwrap(), [], "to expect something of a workflow is not to use it");
}

async fn progress_is_written_over_what_it_was(engine: Engine) {
    for items in [90, 3, 40] {
        put(&engine, "uploads", items).await;
        assert_eq!(engine.progresses().await.unwrap(), [(workflow("uploads"), progress(items))]);
    }
    let engine = engine.restarted();
    assert_eq!(engine.progresses().await.unwrap(), [(workflow("uploads"), progress(40))]);
}

async fn forgetting_progress_takes_that_of_one_workflow_only(engine: Engine) {
    for name in ["uploads", "uploads.eu", "exports"] {
        put(&engine, name, 1).await;
    }
    for _ in 0..2 {
        let forgotten = engine.one(Command::Remove(DocumentId::Progress(workflow("uploads")))).await;
        assert_eq!(forgotten, Outcome::Done, "also when it is gone");
    }
    let engine = engine.restarted();
    let left: Vec<_> = engine.progresses().await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, [workflow("exports"), workflow("uploads.eu")]);
}
