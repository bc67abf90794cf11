//! Failures of the default engine: all waiting requests fail, and nothing more is acknowledged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use warden::model::item::ItemPatch;
use warden::store::{Change, Command, Feed as _, Health as _, Observer, Reads as _, StoreError, Writes as _};

use super::engine::{database, open};
use super::sample::{at, create, created, key, patch, report};

/// An observer with a fault, which shows after so many calls.
struct Faulty {
    left: AtomicUsize,
}

impl Observer for Faulty {
    fn committed(&self, _: &[Change]) {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        assert_ne!(left, 0, "the observer has a fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_committing_thread_has_failed_everybody_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    store.attach(Arc::new(Faulty { left: AtomicUsize::new(20) })).unwrap();
    let clients = (0..64).map(|client| {
        let store = &store;
        async move {
            for round in 0..10_000 {
                match store.apply(vec![create(&format!("{client}-{round}"), "x")]).await {
                    Ok(_) => tokio::task::yield_now().await,
                    Err(StoreError::Fatal(_)) => return,
                    Err(other) => panic!("{other}"),
                }
            }
            panic!("it never failed");
        }
    });
    join_all(clients).await;
    let fatal = store.status().fatal.unwrap();
    assert!(fatal.contains("the observer has a fault"), "{fatal}");
    let refused = store.apply(vec![create("late", "x")]).await;
    assert!(matches!(refused, Err(StoreError::Fatal(reason)) if reason == fatal));
    assert_eq!(store.get(key("late")).await.unwrap(), None);
}

/// Changes the stored values under these keys behind the store's back.
fn damage(directory: &Path, letter: u8, value: &[u8]) {
    let database = database(directory);
    for key in database.scan_prefix([letter]).keys() {
        database.insert(key.unwrap(), value).unwrap();
    }
    database.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_wrote_is_refused_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    created(store.apply(vec![create("a", "x")]).await.unwrap().remove(0));
    drop(store);
    // A chunk of the journal, and one of today that holds the record of an item, 1, without a payload.
    for (value, format) in [(vec![7, 1, 2, 3], 7), (vec![2, 0, 1, 1, 0, 0, 4, 9, 1, 2, 3], 9)] {
        damage(directory.path(), b'j', &value);
        let error = open(directory.path()).err().unwrap().to_string();
        assert!(error.contains(&format!("format {format}")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_detail_is_refused_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let error = super::sample::error("1", at(1));
    store.apply(vec![create("a", "x"), report("a", error)]).await.unwrap();
    drop(store);
    damage(directory.path(), b'p', &[1; 4000]);

    let store = open(directory.path()).unwrap();
    let error = store.get(key("a")).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    let error = store.apply(vec![patch("a", at(2), ItemPatch::default())]).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_store_commits_what_waits_and_takes_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()).unwrap());
    let applying: Vec<_> = (0..50)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move { store.apply(vec![create(&index.to_string(), "x")]).await })
        })
        .collect();
    store.close();
    let refused = store.apply(vec![create("late", "x")]).await;
    assert!(matches!(refused, Err(StoreError::Closing)), "{refused:?}");
    let mut acknowledged = Vec::new();
    for (index, applying) in applying.into_iter().enumerate() {
        match applying.await.unwrap() {
            Ok(_) => acknowledged.push(index.to_string()),
            Err(error) => assert!(matches!(error, StoreError::Closing)),
        }
    }
    drop(store);
    let store = open(directory.path()).unwrap();
    for id in acknowledged {
        assert!(store.get(key(&id)).await.unwrap().is_some(), "{id} was acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_the_queue_is_refused_unless_it_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let settings = warden::store::engine::sled::SledSettings {
        path: directory.path().to_owned(),
        cache: 1 << 20,
        reserve: 0,
        size_max: None,
        payload_max: 1 << 20,
        recent: 16 << 20,
        checkpoint: std::time::Duration::from_millis(20),
        on_damage: Default::default(),
        queue_max: 10,
        queue_bytes_max: 1 << 30,
    };
    let clock = Arc::new(warden::model::ManualClock::new(at(0)));
    let store = warden::store::engine::sled::SledStore::open(&settings, clock).unwrap();
    let many = |name: &str| -> Vec<Command> {
        (0..2000).map(|index| create(&format!("{name}-{index}"), "x")).collect()
    };
    let lists = ["a", "b", "c", "d", "e"].map(|name| store.apply(many(name)));
    let results = join_all(lists).await;
    assert!(results[0].is_ok(), "a list longer than the queue passes when nothing else waits");
    let refused = results.iter().filter(|result| matches!(result, Err(StoreError::Overloaded))).count();
    assert!(refused >= 1 && results.iter().filter(|result| result.is_ok()).count() + refused == 5);
    for (name, result) in ["a", "b", "c", "d", "e"].iter().zip(&results) {
        let found = store.get(key(&format!("{name}-0"))).await.unwrap();
        assert_eq!(found.is_some(), result.is_ok(), "of what is refused nothing is written");
    }
}
