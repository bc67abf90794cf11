//! Patching items and reporting errors about them.

use std::sync::Arc;

use serde_json::json;
use warden::model::item::{
    Course, DEPTH_MAX, ERRORS_KEPT, ItemPatch, ItemRefusal, LABELS_MAX, Merge, PROGRESS_SIZE_MAX,
    ProgressChange, ProgressOf, ProgressValue, StepRefusal,
};
use warden::model::{Item, ItemError, ItemFilter, ItemState};
use warden::store::{Command, Creation, Outcome};

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand, at, changed, close, create, created, creation, error, key, labels, object, patch, policies,
    report, step,
};

on_every_engine! {
    a_patch_changes_what_it_names_and_nothing_else,
    a_patch_sets_and_removes_labels,
    a_patch_may_empty_labels_and_progress,
    a_patch_merges_progress_and_null_removes,
    a_patch_for_another_version_is_refused,
    a_patch_of_the_progress_of_a_step_needs_the_step,
    a_command_for_what_matches_leaves_everything_else_as_it_is,
    labels_beyond_a_limit_refuse_the_whole_patch,
    progress_beyond_its_limit_refuses_the_whole_patch,
    progress_may_grow_to_its_limit_and_shrink_again,
    json_as_deep_as_can_be_read_is_kept_and_deeper_is_refused,
    an_empty_patch_still_makes_a_new_version,
    a_reported_error_is_kept_with_all_its_parts,
    an_item_keeps_its_latest_errors,
    an_error_reported_again_is_one_error,
    an_item_fails_at_its_first_fatal_error,
    a_closed_item_takes_neither_patch_nor_error,
    what_nobody_created_takes_neither_patch_nor_error,
    an_item_whose_retention_has_run_out_takes_neither_patch_nor_error,
}

async fn a_patch_changes_what_it_names_and_nothing_else(engine: Engine) {
    let before =
        Creation { labels: labels(&[("region", "eu")]), step: Some(step("copy")), ..creation("a", "x") };
    let before = created(engine.one(before.into_command()).await);
    let change = ItemPatch { deadline: Some(at(90_000).into()), ..ItemPatch::default() };
    let after = changed(engine.one(patch("a", at(5), change)).await);
    let course = Course { deadline_max: Some(at(90_000).into()), ..Course::default() };
    assert_eq!(after, Item { deadline: at(90_000).into(), course, version: 2, ..before });
    assert_eq!(engine.item("a").await, Some(after.clone()));
    assert_eq!(engine.whole_payload(&after).await.unwrap(), "x");
    assert_eq!(engine.restarted().item("a").await, Some(after));
}

async fn a_patch_sets_and_removes_labels(engine: Engine) {
    let before = Creation { labels: labels(&[("a", "1"), ("b", "2"), ("c", "3")]), ..creation("a", "x") };
    engine.one(before.into_command()).await;
    let changes = [
        ("a".to_owned(), None),
        ("b".to_owned(), Some("zwei".to_owned())),
        ("d".to_owned(), Some("4".to_owned())),
        ("never there".to_owned(), None),
    ];
    let change = ItemPatch { labels: Some(Merge::Change(changes.into())), ..ItemPatch::default() };
    let after = changed(engine.one(patch("a", at(5), change)).await);
    assert_eq!(after.labels, labels(&[("b", "zwei"), ("c", "3"), ("d", "4")]));
    assert_eq!(engine.item("a").await, Some(after));
}

async fn a_patch_may_empty_labels_and_progress(engine: Engine) {
    let before = Creation { labels: labels(&[("a", "1")]), ..creation("a", "x") };
    engine.one(before.into_command()).await;
    changed(engine.one(patch("a", at(5), progress(json!({"done": "x".repeat(10_000)})))).await);
    let change = ItemPatch {
        labels: Some(Merge::Clear),
        progress: Some(ProgressChange::merge(Merge::Clear)),
        ..ItemPatch::default()
    };
    let after = changed(engine.one(patch("a", at(6), change)).await);
    assert!(after.labels.is_empty() && after.detail().progress.is_empty());
    assert_eq!(after.version, 3);
    assert_eq!(engine.restarted().item("a").await, Some(after));
}

fn progress(value: serde_json::Value) -> ItemPatch {
    ItemPatch { progress: Some(ProgressChange::merge(Merge::Change(object(value)))), ..ItemPatch::default() }
}

async fn a_patch_merges_progress_and_null_removes(engine: Engine) {
    engine.one(create("a", "x")).await;
    let steps = [
        (
            json!({"done": 1, "file": {"name": "x", "part": 2}}),
            json!({"done": 1, "file": {"name": "x", "part": 2}}),
        ),
        (
            json!({"file": {"part": 3}, "tags": ["a"]}),
            json!({"done": 1, "file": {"name": "x", "part": 3}, "tags": ["a"]}),
        ),
        (
            json!({"file": {"name": null}, "tags": ["b"]}),
            json!({"done": 1, "file": {"part": 3}, "tags": ["b"]}),
        ),
        (json!({"file": null, "gone": null}), json!({"done": 1, "tags": ["b"]})),
        (json!({"tags": {"b": null, "c": 1}}), json!({"done": 1, "tags": {"c": 1}})),
    ];
    for (change, expected) in steps {
        let after = changed(engine.one(patch("a", at(5), progress(change))).await);
        assert_eq!(after.detail().progress, object(expected));
        assert_eq!(engine.item("a").await, Some(after));
    }
}

async fn a_patch_for_another_version_is_refused(engine: Engine) {
    let before = created(engine.one(create("a", "x")).await);
    let conditional = |version| Command::Patch {
        key: key("a"),
        patch: ItemPatch { deadline: Some(at(90_000).into()), ..ItemPatch::default() },
        if_version: Some(version),
        policies: policies(0),
        now: at(5),
    };
    for version in [0, 2] {
        assert_eq!(engine.one(conditional(version)).await, Outcome::VersionMismatch(1));
    }
    assert_eq!(engine.item("a").await, Some(before));
    assert_eq!(changed(engine.one(conditional(1)).await).version, 2);
    assert_eq!(engine.one(conditional(1)).await, Outcome::VersionMismatch(2));
}

async fn a_patch_of_the_progress_of_a_step_needs_the_step(engine: Engine) {
    let before = created(engine.one(create("a", "x")).await);
    let of_step = |name: &str| {
        let to = ProgressValue::Set(object(json!({"page": 1})));
        let progress = Some(ProgressChange { of: ProgressOf::Step(step(name)), to });
        patch("a", at(5), ItemPatch { progress, ..ItemPatch::default() })
    };
    let outcome = engine.one(of_step("upload")).await;
    assert!(matches!(outcome, Outcome::StepRefused(StepRefusal::Unknown { .. })), "{outcome:?}");
    assert_eq!(engine.item("a").await, Some(before));
    let after = changed(engine.one(of_step("backup")).await);
    assert_eq!(after.detail().step_progress[&step("backup")], object(json!({"page": 1})));
    assert_eq!(engine.item("a").await, Some(after));
}

async fn a_command_for_what_matches_leaves_everything_else_as_it_is(engine: Engine) {
    let before = created(engine.one(create("a", "x")).await);
    let if_overdue = |now: i64, command: Command| Command::IfMatching {
        number: before.number,
        filter: Arc::new(ItemFilter { states: vec![ItemState::Overdue], ..ItemFilter::default() }),
        command: Box::new(command),
        now: at(now).into(),
    };
    let later = ItemPatch { deadline: Some(at(90_000).into()), ..ItemPatch::default() };
    let outcome = engine.one(if_overdue(10, patch("a", at(10), later.clone()))).await;
    assert_eq!((outcome, engine.item("a").await), (Outcome::NotMatching, Some(before.clone())));
    let extended = changed(engine.one(if_overdue(60_000, patch("a", at(60_000), later))).await);
    assert_eq!(extended.deadline, at(90_000).into());
    // It was extended meanwhile.
    assert_eq!(engine.one(if_overdue(60_001, close("a", at(60_001)))).await, Outcome::NotMatching);
    assert!(matches!(engine.one(if_overdue(95_000, close("a", at(95_000)))).await, Outcome::Closed(_)));
    assert_eq!(engine.one(if_overdue(95_001, close("a", at(95_001)))).await, Outcome::NotMatching);
}

async fn labels_beyond_a_limit_refuse_the_whole_patch(engine: Engine) {
    let before = created(engine.one(create("a", "x")).await);
    let too_many = (0..=LABELS_MAX).map(|index| (format!("label{index}"), Some(String::new())));
    let too_large = (0..9).map(|index| (format!("label{index}"), Some("v".repeat(250))));
    let misnamed = [("no name".to_owned(), Some("v".to_owned()))];
    for labels in [too_many.collect(), too_large.collect(), misnamed.into()] {
        let change = ItemPatch {
            deadline: Some(at(90_000).into()),
            labels: Some(Merge::Change(labels)),
            progress: Some(ProgressChange::merge(Merge::Change(object(json!({"done": 1}))))),
            counts: None,
        };
        let outcome = engine.one(patch("a", at(5), change)).await;
        assert!(matches!(outcome, Outcome::Refused(ItemRefusal::Labels(_))), "{outcome:?}");
    }
    assert_eq!(engine.item("a").await, Some(before));
}

async fn progress_beyond_its_limit_refuses_the_whole_patch(engine: Engine) {
    let before = created(engine.one(create("a", "x")).await);
    let text = "p".repeat(PROGRESS_SIZE_MAX);
    let change = ItemPatch { deadline: Some(at(90_000).into()), ..progress(json!({"text": text})) };
    let outcome = engine.one(patch("a", at(5), change)).await;
    assert_eq!(outcome, Outcome::Refused(ItemRefusal::Progress(PROGRESS_SIZE_MAX + 11)));
    assert_eq!(engine.item("a").await, Some(before));
}

async fn progress_may_grow_to_its_limit_and_shrink_again(engine: Engine) {
    engine.one(create("a", "x")).await;
    let mut engine = engine;
    for size in [1, PROGRESS_SIZE_MAX - 11, 5000, 0, 4096, 9000] {
        let change = progress(json!({"text": "p".repeat(size)}));
        let after = changed(engine.one(patch("a", at(5), change)).await);
        assert_eq!(after.detail().progress["text"].as_str().unwrap().len(), size);
        assert_eq!(engine.item("a").await, Some(after.clone()));
        engine = engine.restarted();
        assert_eq!(engine.item("a").await, Some(after));
    }
}

async fn json_as_deep_as_can_be_read_is_kept_and_deeper_is_refused(engine: Engine) {
    let nested = |levels: usize| {
        let text = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let deep_error = |levels| report("a", ItemError { data: nested(levels), ..error("1", at(5)) });
    engine.one(create("a", "x")).await;
    for levels in [DEPTH_MAX + 1, 127] {
        let refused = Outcome::Refused(ItemRefusal::Depth);
        assert_eq!(engine.one(patch("a", at(5), progress(nested(levels)))).await, refused);
        assert_eq!(engine.one(deep_error(levels)).await, refused);
    }
    assert_eq!(engine.item("a").await.unwrap().version, 1);
    changed(engine.one(patch("a", at(5), progress(nested(DEPTH_MAX)))).await);
    let after = changed(engine.one(deep_error(DEPTH_MAX)).await);
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(after));
    changed(engine.one(report("a", error("2", at(6)))).await);
}

async fn an_empty_patch_still_makes_a_new_version(engine: Engine) {
    let before = created(engine.one(create("a", "x")).await);
    let after = changed(engine.one(patch("a", at(5), ItemPatch::default())).await);
    assert_eq!(after, Item { version: 2, ..before });
}

async fn a_reported_error_is_kept_with_all_its_parts(engine: Engine) {
    let before = Creation { step: Some(step("backup")), ..creation("a", "x") };
    let before = created(engine.one(before.into_command()).await);
    let reported = ItemError {
        step: Some(step("backup")),
        data: json!({"host": "b-1", "tries": [1, 2.5, null]}),
        ..error("1", at(5))
    };
    let after = changed(engine.one(report("a", reported.clone())).await);
    assert_eq!(after.detail().errors, [reported]);
    assert_eq!((after.version, after.failed_at), (2, None));
    assert_eq!(Item { detail: None, version: 1, ..after.clone() }, before);
    assert_eq!(engine.item("a").await, Some(after.clone()));
    assert_eq!(engine.restarted().item("a").await, Some(after));
}

async fn an_item_keeps_its_latest_errors(engine: Engine) {
    engine.one(create("a", "x")).await;
    let mut reported = Vec::new();
    for index in 0..ERRORS_KEPT + 5 {
        let error = error(&index.to_string(), at(index as i64));
        reported.push(error.clone());
        changed(engine.one(report("a", error)).await);
    }
    let item = engine.item("a").await.unwrap();
    assert_eq!(item.detail().errors, reported[5..]);
    assert_eq!(item.version, 1 + reported.len() as u64);
}

async fn an_error_reported_again_is_one_error(engine: Engine) {
    engine.one(create("a", "x")).await;
    let first = changed(engine.one(report("a", error("1", at(5)))).await);
    let notes = engine.observed();
    let told = notes.changes();
    let again = ItemError { fatal: true, ..error("1", at(6)) };
    assert_eq!(changed(engine.one(report("a", again.clone())).await), first);
    assert_eq!(notes.changes(), told);
    assert_eq!(changed(engine.restarted().one(report("a", again)).await), first);
}

async fn an_item_fails_at_its_first_fatal_error(engine: Engine) {
    engine.one(create("a", "x")).await;
    let notes = engine.observed();
    for (id, fatal, failed_at) in
        [("1", false, None), ("2", true, Some(at(2))), ("3", true, Some(at(2))), ("4", false, Some(at(2)))]
    {
        let instant = at(id.parse().unwrap());
        let after = changed(engine.one(report("a", ItemError { fatal, ..error(id, instant) })).await);
        assert_eq!(after.failed_at, failed_at);
    }
    assert_eq!(notes.indexed_items()[0].status, warden::model::item::Status::Failed);
}

async fn a_closed_item_takes_neither_patch_nor_error(engine: Engine) {
    engine.one(create("a", "x")).await;
    engine.one(close("a", at(10))).await;
    let closed = engine.item("a").await.unwrap();
    let change = ItemPatch { deadline: Some(at(90_000).into()), ..ItemPatch::default() };
    for command in [patch("a", at(11), change), report("a", error("1", at(11)))] {
        assert_eq!(engine.one(command).await, Outcome::AlreadyClosed(Box::new(closed.clone())));
    }
    assert_eq!(engine.item("a").await, Some(closed));
}

async fn what_nobody_created_takes_neither_patch_nor_error(engine: Engine) {
    let commands = || [patch("a", at(11), ItemPatch::default()), report("a", error("1", at(11)))];
    for command in commands() {
        assert_eq!(engine.one(command).await, Outcome::Unknown);
        assert_eq!(engine.item("a").await, None, "only a close leaves a tombstone");
    }
    engine.one(close("a", at(10))).await;
    for command in commands() {
        assert_eq!(engine.one(command).await, Outcome::Unknown);
    }
}

async fn an_item_whose_retention_has_run_out_takes_neither_patch_nor_error(engine: Engine) {
    for id in ["a", "b"] {
        engine.one(create(id, "x")).await;
        engine.one(close(id, at(10))).await;
    }
    assert_eq!(engine.one(patch("a", at(1010), ItemPatch::default())).await, Outcome::Unknown);
    assert_eq!(engine.one(report("b", error("1", at(1010)))).await, Outcome::Unknown);
    assert_eq!((engine.item("a").await, engine.item("b").await), (None, None));
}
