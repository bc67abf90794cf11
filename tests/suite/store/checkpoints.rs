//! Reads while items move from the in-memory tables into the database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use warden::model::item::Closing;
use warden::store::{Command, Reads as _, Writes as _};

use super::engine::open_with;
use super::sample::{at, closing, create, error, everything, key, payload, report};

/// What was acknowledged of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Created,
    Reported,
    Closed,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_seen_at_every_instant_by_name_by_number_and_in_lists() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(
        open_with(directory.path(), |settings| {
            (settings.checkpoint, settings.recent) = (Duration::from_millis(1), 1 << 20);
        })
        .unwrap(),
    );
    let known: Arc<Mutex<BTreeMap<String, Known>>> = Arc::default();
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicUsize::new(0));
    let mut readers = Vec::new();
    for reader in 0..3 {
        let (store, known, over, seen) = (store.clone(), known.clone(), over.clone(), seen.clone());
        readers.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let before: Vec<(String, Known)> = {
                    let known = known.lock().unwrap();
                    known
                        .iter()
                        .rev()
                        .skip(reader)
                        .step_by(3)
                        .take(40)
                        .map(|(id, at)| (id.clone(), *at))
                        .collect()
                };
                for (id, at_least) in &before {
                    let item = store.get(key(id)).await.unwrap();
                    let item = item.unwrap_or_else(|| panic!("{id} is not found, and was {at_least:?}"));
                    let is_closed = item.closed.is_some() || *at_least < Known::Closed;
                    let is_reported = !item.detail().errors.is_empty() || *at_least != Known::Reported;
                    assert!(is_closed && is_reported, "{id} was {at_least:?}, and is {item:?}");
                    if item.closed.is_none() {
                        let found = store.payload(item.number, 0, usize::MAX).await.unwrap();
                        // It may have been closed since.
                        assert!(found.is_none_or(|found| found == payload(900)), "the payload of {id}");
                    }
                    seen.fetch_add(1, Ordering::Relaxed);
                }
                let listed = store.list(everything(100_000)).await.unwrap().data;
                let listed: BTreeMap<&str, bool> =
                    listed.iter().map(|item| (item.id.as_str(), item.closed.is_some())).collect();
                for (id, at_least) in &before {
                    let closed = listed.get(id.as_str());
                    assert!(
                        closed.is_some_and(|closed| *closed || *at_least < Known::Closed),
                        "{id} in a list"
                    );
                }
            }
        }));
    }
    let mut writers = Vec::new();
    for writer in 0..3 {
        let (store, known) = (store.clone(), known.clone());
        writers.push(tokio::spawn(async move {
            for index in 0..400 {
                let id = format!("{index:04}-{writer}");
                let note = |at| {
                    known.lock().unwrap().insert(id.clone(), at);
                };
                store.apply(vec![create(&id, payload(900))]).await.unwrap();
                note(Known::Created);
                if index % 3 > 0 {
                    tokio::time::sleep(Duration::from_millis(index % 4)).await;
                    store.apply(vec![report(&id, error("1", at(2)))]).await.unwrap();
                    note(Known::Reported);
                }
                if index % 4 > 0 {
                    tokio::time::sleep(Duration::from_millis(index % 5)).await;
                    let closing = Closing { keep_payload: Duration::ZERO, ..closing(at(3)) };
                    store.apply(vec![Command::Close { key: key(&id), closing }]).await.unwrap();
                    note(Known::Closed);
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(seen.load(Ordering::Relaxed) > 1000, "{seen:?} were looked at");
}
