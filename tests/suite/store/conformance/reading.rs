//! Concurrent reads: a reader sees the state before a change or after it, and nothing between.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join;
use serde_json::json;
use warden::model::item::{ItemPatch, Merge, ProgressChange};
use warden::model::{Attempt, Delivery, DeliveryStatus};
use warden::store::{Command, ListItems};

use crate::store::documents::ReadDocuments as _;
use crate::store::engine::{Engine, on_every_engine};
use crate::store::sample::{
    at, changed, close, create, created, delivery, everything, incident, incident_id, object, patch, payload,
};

on_every_engine! {
    an_item_is_read_whole_while_it_changes,
    deliveries_are_read_whole_while_they_change,
    an_incident_is_read_whole_while_it_changes,
    a_payload_is_read_whole_or_not_at_all_while_its_item_is_closed,
}

/// Runs the reads over and over until the writes are done, and once more after that.
async fn beside<R: Future<Output = ()>>(writes: impl Future<Output = ()>, read: impl Fn() -> R) {
    let written = AtomicBool::new(false);
    let writes = async {
        writes.await;
        written.store(true, Ordering::SeqCst);
    };
    let reads = async {
        loop {
            let last = written.load(Ordering::SeqCst);
            read().await;
            if last {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    join(writes, reads).await;
}

async fn an_item_is_read_whole_while_it_changes(engine: Engine) {
    // Progress that takes one piece, many, and one again.
    let text = |version: u64| if version.is_multiple_of(2) { "e".repeat(30_000) } else { "o".repeat(10) };
    created(engine.one(create("a", "x")).await);
    let writes = async {
        for version in 2..300 {
            let progress =
                Some(ProgressChange::merge(Merge::Change(object(json!({ "text": text(version) })))));
            let change = ItemPatch { progress, ..ItemPatch::default() };
            assert_eq!(changed(engine.one(patch("a", at(1), change)).await).version, version);
        }
    };
    let read = || async {
        let listed = engine.list(ListItems { ..everything(1) }).await.unwrap().data.remove(0);
        for item in [engine.item("a").await.unwrap(), listed] {
            if item.version > 1 {
                assert!(item.detail().progress["text"] == text(item.version), "in version {}", item.version);
            }
        }
    };
    beside(writes, read).await;
}

async fn deliveries_are_read_whole_while_they_change(engine: Engine) {
    let first = Delivery { body: "b".repeat(4000).into(), ..delivery("1", "1") };
    let commit = Command::put_incident(incident("1"), vec![first.clone()]);
    engine.one(commit).await;
    let writes = async {
        let mut delivery = first;
        for round in 0..300 {
            // Sometimes in one piece, sometimes in two.
            let error = Some("e".repeat(round % 7 * 100));
            let attempt = Attempt { at: at(1), status: None, latency_ms: 1, error, answer: None };
            delivery.record(attempt, DeliveryStatus::Pending, at(2));
            delivery.attempts.drain(..delivery.attempts.len() - 1);
            engine.one(Command::put(delivery.clone())).await;
        }
    };
    let read = || async {
        assert_eq!(engine.outbox().await.unwrap().len(), 1);
        assert_eq!(engine.deliveries(incident_id("1")).await.unwrap().len(), 1);
    };
    beside(writes, read).await;
}

async fn an_incident_is_read_whole_while_it_changes(engine: Engine) {
    let grown = |count: u64| warden::model::Incident {
        by_step: (0..count).map(|index| (format!("step-{index}").into(), index)).collect(),
        count,
        ..incident("1")
    };
    let commit = |count| Command::put(grown(count));
    engine.one(commit(0)).await;
    let writes = async {
        for round in 0..300 {
            engine.one(commit(round % 5 * 180)).await;
        }
    };
    let read = || async {
        let one = engine.incident(incident_id("1")).await.unwrap().unwrap();
        let listed = engine.incidents(None, 10).await.unwrap().remove(0);
        for incident in [one, listed] {
            assert_eq!(incident, grown(incident.count));
        }
    };
    beside(writes, read).await;
}

async fn a_payload_is_read_whole_or_not_at_all_while_its_item_is_closed(engine: Engine) {
    // A close removes the small ones itself; the large ones go bit by bit after it.
    for size in [40_000, 3 << 20] {
        let whole = payload(size);
        let id = |round: usize| format!("{size}-{round}");
        for round in 0..10 {
            let item = created(engine.one(create(&id(round), whole.clone())).await);
            let writes = async {
                engine.one(close(&id(round), at(1))).await;
            };
            let read = || async {
                let found = engine.whole_payload(&item).await;
                assert!(found.as_ref().is_none_or(|found| *found == whole), "a part of {size} bytes");
            };
            beside(writes, read).await;
            assert_eq!(engine.whole_payload(&item).await, None);
        }
    }
}
