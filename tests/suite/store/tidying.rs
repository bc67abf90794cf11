//! What is outdated on the disk is cleared away, and nothing else with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use warden::model::ItemNumber;
use warden::model::item::{Closing, ItemPatch};
use warden::store::sled::SledStore;
use warden::store::{Command, Store};

use super::engine::{Notes, database, open};
use super::sample::{at, closing, create, created, everything, key, patch, payload};

fn close(id: &str) -> Command {
    let closing = Closing { keep_payload: Duration::ZERO, ..closing(at(1)) };
    Command::Close { key: key(id), closing }
}

/// Waits until nothing is left to be moved or cleared away.
async fn idle(store: &SledStore) {
    while !store.status().settled {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many values are kept under keys that begin like this, and their bytes.
fn kept(path: &Path, letter: &str) -> (usize, usize) {
    let database = database(path);
    let values = database.scan_prefix(letter).values();
    values.fold((0, 0), |(count, bytes), value| (count + 1, bytes + value.unwrap().len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_bundles_comes_together_in_new_ones() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let ids: Vec<String> = (0..4000).map(|index| format!("item-{index}")).collect();
    for ids in ids.chunks(500) {
        store.apply(ids.iter().map(|id| create(id, payload(500))).collect()).await.unwrap();
    }
    // One of ten stays, in every bundle.
    let stays = |index: &usize| index.is_multiple_of(10);
    let go: Vec<usize> = (0..ids.len()).filter(|index| !stays(index)).collect();
    for indexes in go.chunks(500) {
        store.apply(indexes.iter().map(|index| close(&ids[*index])).collect()).await.unwrap();
    }
    idle(&store).await;
    drop(store);
    let ((_, left), bytes) = (kept(directory.path(), "p"), 400 * 500);
    assert!(left >= bytes && left < 2 * bytes, "{left} bytes for {bytes}");
    let store = open(directory.path()).unwrap();
    for index in (0..ids.len()).filter(stays) {
        let item = store.get(key(&ids[index])).await.unwrap().unwrap();
        assert!(store.payload(item.number, 0, usize::MAX).await.unwrap().unwrap() == payload(500), "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_close_among_many_tiny_payloads_moves_none_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let ids: Vec<String> = (0..3000).map(|index| format!("item-{index}")).collect();
    store.apply(ids.iter().map(|id| create(id, "{}")).collect()).await.unwrap();
    idle(&store).await;
    drop(store);
    let (_, before) = kept(directory.path(), "j");
    for _ in 0..2 {
        let store = open(directory.path()).unwrap();
        for id in ids.iter().step_by(100) {
            store.apply(vec![close(id)]).await.unwrap();
        }
        idle(&store).await;
    }
    let (_, after) = kept(directory.path(), "j");
    assert!(after < before + 30 * 300, "{before} bytes before, {after} bytes after thirty closes");
    let store = open(directory.path()).unwrap();
    let open_items = store.list(everything(4000)).await.unwrap().data;
    for item in open_items.iter().filter(|item| item.closed.is_none()) {
        assert_eq!(store.payload(item.number, 0, 9).await.unwrap().unwrap(), "{}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_behind_items_that_are_forgotten_while_it_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let ids: Vec<String> = (0..8000).map(|index| format!("item-{index}")).collect();
    let mut numbers = Vec::new();
    for ids in ids.chunks(1000) {
        let outcomes = store.apply(ids.iter().map(|id| create(id, "x")).collect()).await.unwrap();
        numbers.extend(outcomes.into_iter().map(|outcome| created(outcome).number));
        store.apply(ids.iter().map(|id| close(id)).collect()).await.unwrap();
    }
    let last = created(store.apply(vec![create("last", "x")]).await.unwrap().remove(0));
    let forgetting = async {
        for numbers in numbers.chunks(64) {
            store.apply(numbers.iter().map(|number| Command::Forget(*number)).collect()).await.unwrap();
        }
    };
    let listing = async {
        loop {
            let listed = store.list(everything(9000)).await.unwrap().data;
            assert_eq!(listed.last(), Some(&last), "of {} items", listed.len());
            if listed.len() == 1 {
                return;
            }
        }
    };
    tokio::join!(forgetting, listing);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_of_an_item_that_changes_for_ever_stays_short() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let lasting = created(store.apply(vec![create("lasting", "x")]).await.unwrap().remove(0));
    store.apply(vec![create("changing", "y")]).await.unwrap();
    for round in 0..200 {
        let patches = (0..50).map(|index| patch("changing", at(round * 50 + index), ItemPatch::default()));
        store.apply(patches.collect()).await.unwrap();
        // Each request is a commit, and changes of the same item in one commit make one entry.
        for index in 0..20 {
            store.apply(vec![patch("changing", at(round * 50 + index), ItemPatch::default())]).await.unwrap();
        }
    }
    let changed = store.get(key("changing")).await.unwrap().unwrap();
    assert_eq!(changed.version, 1 + 200 * 70);
    drop(store);
    let (chunks, _) = kept(directory.path(), "j");
    assert!(chunks < 600, "{chunks} chunks for two items");
    let store = open(directory.path()).unwrap();
    assert_eq!(store.list(everything(9)).await.unwrap().data, [lasting, changed]);
}

/// Whatever has become of the items by the last commit.
type Model = BTreeMap<ItemNumber, (String, Option<Bytes>)>;

/// The store holds what the model holds, and has told the observer so.
async fn agrees(store: &SledStore, notes: &Notes, model: &Model) {
    let listed = store.list(everything(model.len() + 1)).await.unwrap().data;
    assert!(listed.iter().map(|item| item.number).eq(model.keys().copied()));
    assert!(notes.standings().iter().map(|standing| standing.number).eq(model.keys().copied()));
    for (item, (number, (id, bytes))) in listed.iter().zip(model) {
        let found = store.get(key(id)).await.unwrap().unwrap();
        assert_eq!((found.number, &found), (*number, item));
        assert!(store.payload(*number, 0, usize::MAX).await.unwrap() == *bytes, "the payload of {id}");
    }
}

/// Items of all sizes that come and go in every order, while there are so many that bundles and chunks are moved all the
/// time.
#[tokio::test(flavor = "multi_thread")]
async fn however_items_come_and_go_nothing_is_lost_in_tidying() {
    let mut dice = StdRng::seed_from_u64(7);
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::new();
    let mut made = 0;
    for life in 0..6 {
        let store = open(directory.path()).unwrap();
        let notes = std::sync::Arc::new(Notes::default());
        store.attach(notes.clone()).unwrap();
        agrees(&store, &notes, &model).await;
        // By turns there are ever more of them and ever fewer.
        for _ in 0..60 {
            let mut commands = Vec::new();
            let mut coming = Vec::new();
            for _ in 0..dice.random_range(1..80) {
                let id = format!("item-{made}");
                let size = match dice.random_range(0..20) {
                    0 => 0,
                    1 => dice.random_range(4000..9000),
                    2 if dice.random_bool(0.1) => dice.random_range(100_000..900_000),
                    _ => dice.random_range(1..1500),
                };
                made += 1;
                let bytes = payload(size);
                commands.push(create(&id, bytes.clone()));
                coming.push((id, bytes));
            }
            let goes = if life % 2 == 0 { 0.01 } else { 0.05 };
            let mut gone = Vec::new();
            for (number, (id, bytes)) in &mut model {
                match dice.random::<f64>() / goes {
                    chance if chance < 0.6 && bytes.is_some() => {
                        commands.push(close(id));
                        *bytes = None;
                    }
                    chance if chance < 0.8 && bytes.is_some() => {
                        commands.push(patch(id, at(2), ItemPatch::default()));
                    }
                    chance if chance < 0.9 && bytes.is_none() => {
                        commands.push(Command::Forget(*number));
                        gone.push(*number);
                    }
                    _ => {}
                }
            }
            model.retain(|number, _| !gone.contains(number));
            let outcomes = store.apply(commands).await.unwrap();
            for ((id, bytes), outcome) in coming.into_iter().zip(outcomes) {
                model.insert(created(outcome).number, (id, Some(bytes)));
            }
        }
        if life % 3 == 1 {
            idle(&store).await;
        }
        agrees(&store, &notes, &model).await;
    }
    let wanted: usize = model.values().filter_map(|(_, bytes)| Some(bytes.as_ref()?.len())).sum();
    let store = open(directory.path()).unwrap();
    idle(&store).await;
    drop(store);
    let (_, bytes) = kept(directory.path(), "p");
    assert!(bytes >= wanted && bytes < 2 * wanted + 100_000, "{bytes} bytes for {wanted}");
}
