//! Closing items, and how long their records are kept.

use std::time::Duration;

use warden::model::item::{Closed, Closing};
use warden::model::{CloseOutcome, Item, ItemNumber};
use warden::store::{Command, Creation, Outcome};

use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    IntoCommand, at, changed, close, closed, closing, create, created, creation, error, everything, key,
    report,
};

on_every_engine! {
    a_closed_item_keeps_its_record_and_loses_its_payload,
    how_an_item_ended_is_kept,
    a_failed_item_can_be_closed,
    a_second_close_finds_the_first,
    a_close_after_the_retention_finds_nothing,
    closing_what_nobody_created_leaves_a_tombstone,
    a_tombstone_keeps_its_id_from_being_created_late,
    a_tombstone_is_gone_once_its_retention_has_run_out,
    a_tombstone_is_never_listed,
    a_kept_payload_stays_until_it_is_dropped,
    a_record_stays_at_least_as_long_as_its_payload,
    dropping_a_payload_twice_is_as_good_as_once,
    only_closed_items_are_forgotten,
    only_closed_items_have_their_payload_dropped,
    forgetting_an_item_frees_its_id_and_takes_its_kept_payload,
}

async fn a_closed_item_keeps_its_record_and_loses_its_payload(engine: Engine) {
    let open = created(engine.one(create("a", "x")).await);
    let expected = Item {
        closed: Some(Closed {
            at: at(10),
            outcome: CloseOutcome::Success,
            payload_until: at(10),
            record_until: at(1010),
        }),
        version: 2,
        ..open
    };
    assert_eq!(closed(engine.one(close("a", at(10))).await), expected);
    assert_eq!(engine.item("a").await, Some(expected.clone()));
    assert_eq!(engine.whole_payload(&expected).await, None);
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(expected.clone()));
    assert_eq!(engine.whole_payload(&expected).await, None);
}

async fn how_an_item_ended_is_kept(engine: Engine) {
    for (id, outcome) in
        [("a", CloseOutcome::Success), ("b", CloseOutcome::Discarded), ("c", CloseOutcome::Failed)]
    {
        engine.one(create(id, "x")).await;
        let closing = Closing { outcome, ..closing(at(10)) };
        engine.one(Command::Close { key: key(id), closing }).await;
        assert_eq!(engine.item(id).await.unwrap().closed.unwrap().outcome, outcome);
    }
}

async fn a_failed_item_can_be_closed(engine: Engine) {
    engine.one(create("a", "x")).await;
    let fatal = warden::model::ItemError { fatal: true, ..error("1", at(5)) };
    changed(engine.one(report("a", fatal)).await);
    let item = closed(engine.one(close("a", at(10))).await);
    assert_eq!(item.failed_at, Some(at(5)));
    assert_eq!(item.detail().errors.len(), 1, "history keeps its errors");
    assert_eq!(engine.item("a").await, Some(item));
}

async fn a_second_close_finds_the_first(engine: Engine) {
    engine.one(create("a", "x")).await;
    let first = closed(engine.one(close("a", at(10))).await);
    let second = Closing { outcome: CloseOutcome::Failed, ..closing(at(1009)) };
    let outcome = engine.one(Command::Close { key: key("a"), closing: second }).await;
    assert_eq!(outcome, Outcome::AlreadyClosed(Box::new(first.clone())));
    assert_eq!(engine.item("a").await, Some(first));
}

async fn a_close_after_the_retention_finds_nothing(engine: Engine) {
    let item = created(engine.one(create("a", "x")).await);
    engine.one(close("a", at(10))).await;
    assert_eq!(engine.one(close("a", at(1010))).await, Outcome::Unknown);
    assert_eq!(engine.items(vec![item.number]).await.unwrap(), []);
    assert_eq!(engine.item("a").await.unwrap().payload, None, "a tombstone has taken its place");
}

async fn closing_what_nobody_created_leaves_a_tombstone(engine: Engine) {
    assert_eq!(engine.one(close("a", at(10))).await, Outcome::Unknown);
    let tombstone = engine.item("a").await.unwrap();
    assert_eq!((tombstone.payload.as_ref(), tombstone.closed.unwrap().at), (None, at(10)));
    assert_eq!(engine.one(close("a", at(500))).await, Outcome::Unknown, "however often it is repeated");
    assert_eq!(engine.item("a").await, Some(tombstone.clone()), "a repetition does not prolong it");
    assert_eq!(engine.whole_payload(&tombstone).await, None);
    let engine = engine.restarted();
    assert_eq!(engine.item("a").await, Some(tombstone));
}

async fn a_tombstone_keeps_its_id_from_being_created_late(engine: Engine) {
    engine.one(close("a", at(10))).await;
    let tombstone = engine.item("a").await.unwrap();
    let engine = engine.restarted();
    let late = Creation { created_at: at(1009), ..creation("a", "x") };
    assert_eq!(engine.one(late.into_command()).await, Outcome::AlreadyClosed(Box::new(tombstone)));
}

async fn a_tombstone_is_gone_once_its_retention_has_run_out(engine: Engine) {
    engine.one(close("a", at(10))).await;
    let tombstone = engine.item("a").await.unwrap();
    let anew = Creation { created_at: at(1010), ..creation("a", "x") };
    let item = created(engine.one(anew.into_command()).await);
    assert_eq!(engine.items(vec![tombstone.number, item.number]).await.unwrap(), [item]);
}

async fn a_tombstone_is_never_listed(engine: Engine) {
    engine.one(close("a", at(10))).await;
    engine.one(create("b", "x")).await;
    let listed = engine.list(everything(10)).await.unwrap();
    assert_eq!(listed.data.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["b"]);
}

fn keeping(id: &str, keep_payload: Duration) -> Command {
    Command::Close { key: key(id), closing: Closing { keep_payload, ..closing(at(10)) } }
}

async fn a_kept_payload_stays_until_it_is_dropped(engine: Engine) {
    engine.one(create("a", "x")).await;
    let item = closed(engine.one(keeping("a", Duration::from_millis(500))).await);
    assert_eq!(item.closed.unwrap().payload_until, at(510));
    assert!(item.kept_payload(at(509)).is_some() && item.kept_payload(at(510)).is_none());
    assert_eq!(engine.whole_payload(&item).await.unwrap(), "x");
    let engine = engine.restarted();
    assert_eq!(engine.whole_payload(&item).await.unwrap(), "x");

    assert_eq!(engine.one(Command::DropPayload(item.number)).await, Outcome::Done);
    assert_eq!(engine.whole_payload(&item).await, None);
    let dropped = engine.item("a").await.unwrap();
    let expected = Closed { payload_until: at(10), ..item.closed.unwrap() };
    assert_eq!(dropped, Item { closed: Some(expected), ..item }, "nothing else changed");
}

async fn a_record_stays_at_least_as_long_as_its_payload(engine: Engine) {
    engine.one(create("a", "x")).await;
    let item = closed(engine.one(keeping("a", Duration::from_secs(60))).await);
    assert_eq!(item.closed.unwrap().record_until, at(60_010));
    let late = Creation { created_at: at(60_009), ..creation("a", "x") };
    assert_eq!(engine.one(late.into_command()).await, Outcome::AlreadyClosed(Box::new(item)));
}

async fn dropping_a_payload_twice_is_as_good_as_once(engine: Engine) {
    let sizes = [1, 1 << 20];
    for (size, id) in sizes.into_iter().zip(["small", "large"]) {
        engine.one(create(id, crate::store::sample::payload(size))).await;
        let item = closed(engine.one(keeping(id, Duration::from_secs(60))).await);
        for _ in 0..2 {
            assert_eq!(engine.one(Command::DropPayload(item.number)).await, Outcome::Done);
            assert_eq!(engine.whole_payload(&item).await, None);
        }
    }
    engine.one(close("nobody", at(10))).await;
    let tombstone = engine.item("nobody").await.unwrap();
    assert_eq!(engine.one(Command::DropPayload(tombstone.number)).await, Outcome::Done);
    assert_eq!(engine.item("nobody").await, Some(tombstone));
}

async fn only_closed_items_are_forgotten(engine: Engine) {
    let open = created(engine.one(create("a", "x")).await);
    assert_eq!(engine.one(Command::Forget(open.number)).await, Outcome::Done);
    assert_eq!(engine.item("a").await, Some(open.clone()));
    assert_eq!(engine.whole_payload(&open).await.unwrap(), "x");
    assert_eq!(engine.one(Command::Forget(ItemNumber(u64::MAX))).await, Outcome::Done);

    engine.one(close("a", at(10))).await;
    assert_eq!(engine.one(Command::Forget(open.number)).await, Outcome::Done);
    assert_eq!(engine.item("a").await, None);
    assert_eq!(engine.restarted().item("a").await, None);
}

async fn only_closed_items_have_their_payload_dropped(engine: Engine) {
    let open = created(engine.one(create("a", "x")).await);
    assert_eq!(engine.one(Command::DropPayload(open.number)).await, Outcome::Done);
    assert_eq!(engine.one(Command::DropPayload(ItemNumber(u64::MAX))).await, Outcome::Done);
    assert_eq!(engine.item("a").await, Some(open.clone()));
    assert_eq!(engine.whole_payload(&open).await.unwrap(), "x");
}

async fn forgetting_an_item_frees_its_id_and_takes_its_kept_payload(engine: Engine) {
    engine.one(create("a", "x")).await;
    let item = closed(engine.one(keeping("a", Duration::from_secs(60))).await);
    engine.one(Command::Forget(item.number)).await;
    assert_eq!(engine.whole_payload(&item).await, None);
    let again = Creation { created_at: at(11), ..creation("a", "y") };
    assert!(created(engine.one(again.into_command()).await).number > item.number);
}
