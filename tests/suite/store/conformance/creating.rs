//! Creating items: once, again, too late, and after retention.

use std::time::Duration;

use warden::model::item::{Closing, Course};
use warden::model::{Item, Work};
use warden::store::{Command, Creation, Outcome};

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand, at, close, closing, create, created, creation, info, item_of, key, key_in, labels, step,
    workflow,
};

on_every_engine! {
    a_new_item_is_stored_as_it_was_handed_in,
    the_same_payload_again_finds_the_item_and_changes_nothing,
    another_payload_under_the_same_id_is_a_conflict,
    another_content_type_is_a_conflict_too,
    another_content_encoding_is_a_conflict_too_and_comes_back_after_a_restart,
    one_id_in_two_workflows_names_two_items,
    an_item_closed_within_its_retention_is_not_created_again,
    an_id_is_free_again_once_its_retention_has_run_out,
    an_idempotency_key_finds_its_item_under_any_id,
    an_idempotency_key_finds_its_item_after_the_close,
    an_idempotency_key_counts_within_its_workflow,
    an_idempotency_key_is_free_again_once_its_item_is_forgotten,
    a_stale_idempotency_key_does_not_hide_the_item_that_has_the_id,
    ids_that_begin_alike_name_different_items,
    the_items_of_several_numbers_come_in_their_order_without_those_that_are_gone,
}

async fn a_new_item_is_stored_as_it_was_handed_in(engine: Engine) {
    let creation = Creation {
        labels: labels(&[("region", "eu"), ("tenant", "ä")]),
        step: Some(step("copy")),
        idempotency_key: Some([7; 32]),
        ..creation("file-1", "hello")
    };
    let item = created(engine.one(creation.into_command()).await);
    let expected = Item {
        work: Work::default(),
        course: Course::default(),
        number: item.number,
        workflow: workflow("uploads"),
        id: key("file-1").id,
        created_at: at(0),
        deadline: at(60_000).into(),
        failed_at: None,
        closed: None,
        labels: labels(&[("region", "eu"), ("tenant", "ä")]),
        step: Some(step("copy")),
        step_entered_at: at(0),
        payload: Some(info("text/plain", b"hello")),
        idempotency_key: Some([7; 32]),
        version: 1,
        run: None,
        trace: None,
        detail: None,
    };
    assert_eq!(item, expected);
    assert_eq!(engine.item("file-1").await, Some(expected.clone()));
    let engine = engine.restarted();
    assert_eq!(engine.item("file-1").await, Some(expected.clone()));
    assert_eq!(engine.whole_payload(&expected).await.unwrap(), "hello");
}

async fn the_same_payload_again_finds_the_item_and_changes_nothing(engine: Engine) {
    let item = created(engine.one(create("a", "x")).await);
    let again = Creation {
        created_at: at(5),
        deadline: at(9).into(),
        labels: labels(&[("late", "yes")]),
        ..creation("a", "x")
    };
    assert_eq!(engine.one(again.into_command()).await, Outcome::Exists(Box::new(item.clone())));
    assert_eq!(engine.item("a").await, Some(item));
}

async fn another_payload_under_the_same_id_is_a_conflict(engine: Engine) {
    let item = created(engine.one(create("a", "x")).await);
    assert_eq!(engine.one(create("a", "y")).await, Outcome::Conflict(Box::new(item.clone())));
    assert_eq!(engine.item("a").await, Some(item.clone()));
    assert_eq!(engine.whole_payload(&item).await.unwrap(), "x");
}

async fn another_content_type_is_a_conflict_too(engine: Engine) {
    let item = created(engine.one(create("a", "x")).await);
    let other = Creation { info: info("application/json", b"x"), ..creation("a", "x") }.into_command();
    assert_eq!(engine.one(other).await, Outcome::Conflict(Box::new(item)));
}

async fn another_content_encoding_is_a_conflict_too_and_comes_back_after_a_restart(engine: Engine) {
    let info = |encoding: Option<&str>| warden::model::PayloadInfo {
        content_encoding: encoding.map(Into::into),
        ..info("text/plain", b"x")
    };
    let encoded = |encoding| Creation { info: info(encoding), ..creation("a", "x") }.into_command();
    let item = created(engine.one(encoded(Some("br, gzip"))).await);
    assert_eq!(item.payload, Some(info(Some("br, gzip"))));
    for other in [None, Some("gzip"), Some("br,gzip")] {
        assert_eq!(engine.one(encoded(other)).await, Outcome::Conflict(Box::new(item.clone())), "{other:?}");
    }
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(item.clone()));
    assert_eq!(engine.one(encoded(Some("br, gzip"))).await, Outcome::Exists(Box::new(item)));
}

async fn one_id_in_two_workflows_names_two_items(engine: Engine) {
    let here = created(engine.one(create("a", "here")).await);
    let there = Creation { key: key_in("exports", "a"), ..creation("a", "there") }.into_command();
    let there = created(engine.one(there).await);
    assert_ne!(here.number, there.number);
    assert_eq!(engine.get(key_in("exports", "a")).await.unwrap(), Some(there.clone()));
    assert_eq!(engine.whole_payload(&here).await.unwrap(), "here");
    assert_eq!(engine.whole_payload(&there).await.unwrap(), "there");
}

async fn an_item_closed_within_its_retention_is_not_created_again(engine: Engine) {
    engine.one(create("a", "x")).await;
    let closed = item_of(engine.one(close("a", at(10))).await);
    for payload in ["x", "y"] {
        let late = Creation { created_at: at(1009), ..creation("a", payload) }.into_command();
        assert_eq!(engine.one(late).await, Outcome::AlreadyClosed(Box::new(closed.clone())));
    }
}

async fn an_id_is_free_again_once_its_retention_has_run_out(engine: Engine) {
    let first = created(engine.one(create("a", "x")).await);
    engine.one(close("a", at(10))).await;
    let anew = Creation { created_at: at(1010), ..creation("a", "y") }.into_command();
    let second = created(engine.one(anew).await);
    assert!(second.number > first.number, "a new item gets a new number");
    assert_eq!(engine.item("a").await, Some(second.clone()));
    assert_eq!(engine.whole_payload(&second).await.unwrap(), "y");
    assert_eq!(engine.items(vec![first.number]).await.unwrap(), []);
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(second));
}

fn with_idempotency_key(id: &str, payload: &'static str, byte: u8) -> Creation {
    Creation { idempotency_key: Some([byte; 32]), ..creation(id, payload) }
}

async fn an_idempotency_key_finds_its_item_under_any_id(engine: Engine) {
    let item = created(engine.one(with_idempotency_key("a", "x", 1).into_command()).await);
    let again = engine.one(with_idempotency_key("b", "x", 1).into_command()).await;
    assert_eq!(again, Outcome::Exists(Box::new(item.clone())));
    let other = engine.one(with_idempotency_key("b", "y", 1).into_command()).await;
    assert_eq!(other, Outcome::Conflict(Box::new(item)));
    assert_eq!(engine.item("b").await, None);
    created(engine.one(with_idempotency_key("b", "x", 2).into_command()).await);
}

async fn an_idempotency_key_finds_its_item_after_the_close(engine: Engine) {
    engine.one(with_idempotency_key("a", "x", 1).into_command()).await;
    let closed = item_of(engine.one(close("a", at(10))).await);
    let engine = engine.restarted();
    let again = engine.one(with_idempotency_key("b", "x", 1).into_command()).await;
    assert_eq!(again, Outcome::AlreadyClosed(Box::new(closed)));
}

async fn an_idempotency_key_counts_within_its_workflow(engine: Engine) {
    created(engine.one(with_idempotency_key("a", "x", 1).into_command()).await);
    let elsewhere = Creation { key: key_in("exports", "b"), ..with_idempotency_key("b", "x", 1) };
    created(engine.one(elsewhere.into_command()).await);
}

async fn an_idempotency_key_is_free_again_once_its_item_is_forgotten(engine: Engine) {
    let first = created(engine.one(with_idempotency_key("a", "x", 1).into_command()).await);
    engine.one(close("a", at(10))).await;
    let late = Creation { created_at: at(1010), ..with_idempotency_key("b", "x", 1) };
    let second = created(engine.one(late.into_command()).await);
    assert_eq!(engine.item("a").await, None, "the old item went with its retention");
    assert_eq!(engine.items(vec![first.number, second.number]).await.unwrap(), [second]);

    engine.one(close("b", at(1010))).await;
    let number = engine.item("b").await.unwrap().number;
    engine.one(Command::Forget(number)).await;
    created(engine.one(with_idempotency_key("c", "x", 1).into_command()).await);
}

async fn a_stale_idempotency_key_does_not_hide_the_item_that_has_the_id(engine: Engine) {
    engine.one(with_idempotency_key("a", "x", 1).into_command()).await;
    let brief = Closing { retention: Duration::ZERO, ..closing(at(10)) };
    engine.one(Command::Close { key: key("a"), closing: brief }).await;
    let open = created(engine.one(create("b", "y")).await);
    let late = Creation { created_at: at(20), ..with_idempotency_key("b", "z", 1) };
    assert_eq!(engine.one(late.into_command()).await, Outcome::Conflict(Box::new(open.clone())));
    assert_eq!(engine.item("b").await, Some(open));
}

async fn ids_that_begin_alike_name_different_items(engine: Engine) {
    for id in ["a", "ab", "a/b", "a b", "ä"] {
        created(engine.one(create(id, id.to_owned())).await);
    }
    let elsewhere = Creation { key: key_in("uploads2", "a"), ..creation("a", "elsewhere") };
    created(engine.one(elsewhere.into_command()).await);
    for id in ["a", "ab", "a/b", "a b", "ä"] {
        let item = engine.item(id).await.unwrap();
        assert_eq!(engine.whole_payload(&item).await.unwrap(), id);
    }
}

async fn the_items_of_several_numbers_come_in_their_order_without_those_that_are_gone(engine: Engine) {
    let mut numbers = Vec::new();
    for id in ["a", "b", "c"] {
        numbers.push(created(engine.one(create(id, "x")).await).number);
    }
    engine.one(close("b", at(10))).await;
    engine.one(Command::Forget(numbers[1])).await;
    numbers.reverse();
    let found = engine.items(numbers).await.unwrap();
    assert_eq!(found.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["c", "a"]);
}
