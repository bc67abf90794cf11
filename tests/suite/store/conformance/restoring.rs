//! Imported items with history.

use serde_json::{Value, json};
use warden::model::item::{Closed, Course, ItemDetail, StepRecord, StepStatus};
use warden::model::{CloseOutcome, Item, ItemError, PayloadInfo, Restored, Work};
use warden::store::{Command, Creation, Outcome};

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand, at, close, closed, create, created, creation, error, everything, item_of, key, object,
    payload, report, step,
};

on_every_engine! {
    an_item_is_taken_over_as_it_was,
    the_largest_past_and_payload_go_into_one_command,
    a_large_past_fits_where_an_item_of_the_same_name_had_to_be_forgotten_first,
    one_that_is_taken_over_closed_is_remembered_without_its_payload,
    a_payload_that_outlives_the_close_is_kept,
    the_tombstone_of_what_nobody_created_is_taken_over,
    what_is_there_is_left_alone,
    what_would_be_forgotten_already_is_not_kept,
}

fn restored() -> Restored {
    Restored {
        created_at: Some(at(-5000)),
        step_entered_at: at(-4000),
        failed_at: Some(at(-3000)),
        closed: None,
        attempts: 4,
        retry_at: Some(at(90_000)),
        course: Course::default(),
        detail: Some(Box::new(ItemDetail {
            progress: object(json!({"done": 3})),
            errors: vec![error("1", at(-3500)), ItemError { fatal: true, ..error("2", at(-3000)) }],
            steps: vec![StepRecord::ended(step("copy"), StepStatus::Done, at(-4000))],
            ..ItemDetail::default()
        })),
        detail_size: 0,
    }
}

fn closed_at(millis: i64, record_until: i64) -> Closed {
    Closed {
        at: at(millis),
        outcome: CloseOutcome::Discarded,
        payload_until: at(millis),
        record_until: at(record_until),
    }
}

/// What is known of a closed item.
fn past(closed: Closed) -> Restored {
    Restored { closed: Some(closed), retry_at: None, ..restored() }
}

fn taken_over(id: &str, bytes: bytes::Bytes, restored: Restored) -> Command {
    let step = Some(step("backup"));
    Creation { restored: Some(Box::new(restored)), step, ..creation(id, bytes) }.into_command()
}

async fn an_item_is_taken_over_as_it_was(engine: Engine) {
    let notes = engine.observed();
    let item = created(engine.one(taken_over("a", "hello".into(), restored())).await);
    let expected = Restored { detail_size: 7, ..restored() };
    let Item { created_at, step_entered_at, failed_at, closed, version, .. } = item.clone();
    assert_eq!(
        (Some(created_at), step_entered_at, failed_at, closed),
        (expected.created_at, expected.step_entered_at, expected.failed_at, None)
    );
    assert_eq!(version, 1);
    assert_eq!(item.work, Work { attempts: 4, retry_at: Some(at(90_000)), ..Work::default() });
    assert_eq!(item.detail, expected.detail);
    assert_eq!(notes.indexed_items(), [item.indexed()], "and is told as what it is");
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(item.clone()));
    assert_eq!(engine.whole_payload(&item).await.unwrap(), "hello");

    // And it goes on from there.
    let again = item_of(engine.one(report("a", error("3", at(10)))).await);
    assert_eq!((again.detail().errors.len(), again.version), (3, 2));
    closed_is(&engine, "a").await;
}

async fn closed_is(engine: &Engine, id: &str) {
    closed(engine.one(close(id, at(20))).await);
}

/// As many errors as an item keeps, each as large as it may be, and a progress document as large as that.
fn largest() -> Restored {
    let message = "\u{1}".repeat(2048);
    let data: Value = json!({"x": "y".repeat(4000)});
    let large = |number: u32| {
        let (message, data) = (message.clone(), data.clone());
        ItemError { message, data, ..error(&number.to_string(), at(-3000)) }
    };
    let steps = (0..64).map(|number| {
        StepRecord::ended(step(&format!("{number}-{}", "s".repeat(120))), StepStatus::Skipped, at(-4000))
    });
    let detail = ItemDetail {
        progress: object(json!({"noted": "z".repeat(32 * 1024 - 20)})),
        errors: (0..20).map(large).collect(),
        steps: steps.collect(),
        ..ItemDetail::default()
    };
    Restored { detail: Some(Box::new(detail)), ..restored() }
}

async fn the_largest_past_and_payload_go_into_one_command(engine: Engine) {
    let sizes = [0, 1, 4096, 100_000, 393_216, 2 << 20];
    let commands = sizes.map(|size| taken_over(&size.to_string(), payload(size), largest()));
    let items: Vec<Item> = engine.all(commands.to_vec()).await.into_iter().map(created).collect();
    let engine = engine.restarted();
    for (item, size) in items.into_iter().zip(sizes) {
        assert_eq!(engine.item(&item.id).await.as_ref(), Some(&item));
        assert_eq!(item.detail, largest().detail);
        assert!(engine.whole_payload(&item).await.unwrap() == payload(size), "{size}");
    }
}

async fn a_large_past_fits_where_an_item_of_the_same_name_had_to_be_forgotten_first(engine: Engine) {
    for size in [0, 40_000, 300_000] {
        let id = size.to_string();
        engine.one(taken_over(&id, payload(200_000), largest())).await;
        engine.one(close(&id, at(10))).await;
    }
    let again = |size: usize| {
        let restored = Some(Box::new(largest()));
        let late = at(1_000_000);
        Creation { created_at: late, restored, ..creation(&size.to_string(), payload(size)) }.into_command()
    };
    let items: Vec<Item> =
        engine.all(vec![again(0), again(40_000), again(300_000)]).await.into_iter().map(created).collect();
    let engine = engine.restarted();
    for (item, size) in items.into_iter().zip([0, 40_000, 300_000]) {
        assert_eq!(engine.item(&item.id).await.as_ref(), Some(&item));
        assert!(engine.whole_payload(&item).await.unwrap() == payload(size), "{size}");
    }
}

async fn one_that_is_taken_over_closed_is_remembered_without_its_payload(engine: Engine) {
    let info = PayloadInfo { size: 1234, content_encoding: Some("gzip".into()), ..creation("a", "").info };
    let restored = Some(Box::new(past(closed_at(-1000, 5000))));
    let taken = Creation { info: info.clone(), restored, ..creation("a", "") };
    let item = created(engine.one(taken.clone().into_command()).await);
    assert_eq!((item.closed, &item.payload), (Some(closed_at(-1000, 5000)), &Some(info)));
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(item.clone()));
    assert_eq!(engine.whole_payload(&item).await, None);
    // A late duplicate is known, and so is the same line again.
    assert_eq!(engine.one(create("a", "x")).await, Outcome::AlreadyClosed(Box::new(item.clone())));
    assert_eq!(engine.one(taken.into_command()).await, Outcome::Exists(Box::new(item)));
    let anew = Creation { created_at: at(5000), ..creation("a", "x") };
    created(engine.one(anew.into_command()).await);
}

async fn a_payload_that_outlives_the_close_is_kept(engine: Engine) {
    let kept = Closed { payload_until: at(5000), ..closed_at(-1000, 6000) };
    let item = created(engine.one(taken_over("a", payload(5000), past(kept))).await);
    assert!(engine.whole_payload(&item).await.unwrap() == payload(5000));
    assert_eq!(engine.one(Command::DropPayload(item.number)).await, Outcome::Done);
    assert_eq!(engine.whole_payload(&item).await, None);
}

async fn the_tombstone_of_what_nobody_created_is_taken_over(engine: Engine) {
    let never = || Restored {
        created_at: None,
        failed_at: None,
        attempts: 0,
        detail: None,
        ..past(closed_at(-1000, 5000))
    };
    let command = || {
        let restored = Some(Box::new(never()));
        Creation { restored, ..creation("a", "") }.into_command()
    };
    let item = created(engine.one(command()).await);
    assert_eq!((item.payload.clone(), item.created_at), (None, at(-1000)));
    assert_eq!(engine.one(command()).await, Outcome::Exists(Box::new(item.clone())));
    assert_eq!(engine.list(everything(10)).await.unwrap().data, [], "clients do not see it");
    assert_eq!(engine.one(create("a", "x")).await, Outcome::AlreadyClosed(Box::new(item.clone())));
    let mut question = everything(10);
    question.filter.unseen = true;
    assert_eq!(engine.list(question).await.unwrap().data, [item]);
}

async fn what_is_there_is_left_alone(engine: Engine) {
    let open = created(engine.one(create("open", "x")).await);
    let shut = item_of({
        engine.one(create("shut", "x")).await;
        engine.one(close("shut", at(10))).await
    });
    let (open, shut) = (Box::new(open), Box::new(shut));
    let now = closed_at(-1000, 5000);
    let success = Closed { outcome: CloseOutcome::Success, ..now };
    for (id, bytes, restored, expected) in [
        ("open", "x", restored(), Outcome::Exists(open.clone())),
        ("open", "y", restored(), Outcome::Conflict(open.clone())),
        ("open", "x", past(now), Outcome::Conflict(open.clone())),
        ("shut", "x", restored(), Outcome::AlreadyClosed(shut.clone())),
        ("shut", "x", past(success), Outcome::Exists(shut.clone())),
        ("shut", "x", past(now), Outcome::AlreadyClosed(shut.clone())),
        ("shut", "y", past(success), Outcome::AlreadyClosed(shut.clone())),
    ] {
        assert_eq!(engine.one(taken_over(id, bytes.into(), restored)).await, expected, "{id} {bytes}");
    }
    assert_eq!(engine.get(key("open")).await.unwrap(), Some(*open));
    assert_eq!(engine.get(key("shut")).await.unwrap(), Some(*shut));
}

async fn what_would_be_forgotten_already_is_not_kept(engine: Engine) {
    let long_ago = past(closed_at(-5000, 0));
    assert_eq!(engine.one(taken_over("a", "x".into(), long_ago)).await, Outcome::Done);
    assert_eq!(engine.item("a").await, None);
}
