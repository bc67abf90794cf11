//! What is outdated on the disk goes back to the file system, and nothing else with it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use warden::model::ItemNumber;
use warden::model::item::{Closing, ItemPatch};
use warden::store::engine::sled::SledStore;
use warden::store::{Command, Feed as _, Health as _, Reads as _, Writes as _};

use super::engine::{Notes, idle, open};
use super::sample::{at, closing, create, created, everything, key, patch, payload};

fn close(id: &str) -> Command {
    let closing = Closing { keep_payload: Duration::ZERO, ..closing(at(1)) };
    Command::Close { key: key(id), closing }
}

/// What is left when hardly anything is: the log, and a generation that has just begun.
const LITTLE: u64 = 24 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_generation_is_moved_and_its_room_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let ids: Vec<String> = (0..10_000).map(|index| format!("item-{index}")).collect();
    // Some payloads share bundles, some have pieces of their own.
    let size = |index: usize| if index.is_multiple_of(7) { 20_000 } else { 3000 };
    for (round, ids) in ids.chunks(500).enumerate() {
        let creates = ids.iter().enumerate().map(|(at, id)| create(id, payload(size(round * 500 + at))));
        store.apply(creates.collect()).await.unwrap();
    }
    idle(&store).await;
    let before = store.disk_use().used;
    // One of ten stays, in every generation.
    let stays = |index: &usize| index.is_multiple_of(10);
    let go: Vec<usize> = (0..ids.len()).filter(|index| !stays(index)).collect();
    for indexes in go.chunks(500) {
        store.apply(indexes.iter().map(|index| close(&ids[*index])).collect()).await.unwrap();
    }
    idle(&store).await;
    let after = store.disk_use().used;
    assert!(
        before > 80 << 20 && after < before / 5 + LITTLE,
        "{} and then {} MiB",
        before >> 20,
        after >> 20
    );
    drop(store);
    for life in 0..2 {
        let store = open(directory.path()).unwrap();
        for index in (0..ids.len()).filter(stays) {
            let item = store.get(key(&ids[index])).await.unwrap().unwrap();
            let found = store.payload(item.number, 0, usize::MAX).await.unwrap().unwrap();
            assert!(found == payload(size(index)), "{index} in life {life}");
        }
        for index in [1, 9999] {
            let item = store.get(key(&ids[index])).await.unwrap().unwrap();
            assert!(item.closed.is_some(), "{index} in life {life}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_stays_forgotten_when_generations_go_in_another_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut numbers = Vec::new();
    {
        let store = open(directory.path()).unwrap();
        // The first generation keeps nearly all that it has; of one that comes later nothing holds but that
        // some are gone.
        for round in 0..40 {
            let creates = (0..100).map(|index| create(&format!("{round}-{index}"), payload(3000)));
            let outcomes = store.apply(creates.collect()).await.unwrap();
            numbers.extend(outcomes.into_iter().map(|outcome| created(outcome).number));
            idle(&store).await;
        }
        let gone: Vec<Command> = numbers[..50].iter().map(|number| Command::Forget(*number)).collect();
        store.apply((0..50).map(|index| close(&format!("0-{index}"))).collect()).await.unwrap();
        store.apply(gone).await.unwrap();
        idle(&store).await;
        for round in 0..60 {
            let name = |index: usize| format!("later-{round}-{index}");
            let outcomes =
                store.apply((0..100).map(|index| create(&name(index), payload(3000))).collect()).await;
            idle(&store).await;
            store.apply((0..100).map(|index| close(&name(index))).collect()).await.unwrap();
            let gone = outcomes.unwrap().into_iter().map(|outcome| Command::Forget(created(outcome).number));
            store.apply(gone.collect()).await.unwrap();
        }
        idle(&store).await;
    }
    let store = open(directory.path()).unwrap();
    let listed = store.list(everything(10_000)).await.unwrap().data;
    assert!(
        listed.iter().map(|item| item.number).eq(numbers[50..].iter().copied()),
        "{} items",
        listed.len()
    );
    for index in 0..50 {
        assert!(store.get(key(&format!("0-{index}"))).await.unwrap().is_none(), "{index}");
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
async fn an_item_that_changes_for_ever_takes_no_more_room() {
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
    idle(&store).await;
    let used = store.disk_use().used;
    assert!(used < LITTLE, "{used} bytes for two items");
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!(store.list(everything(9)).await.unwrap().data, [lasting, changed]);
}

/// Whatever has become of the items by the last commit.
type Model = BTreeMap<ItemNumber, (String, Option<Bytes>)>;

/// The store holds what the model holds, and has told the observer so.
async fn agrees(store: &SledStore, notes: &Notes, model: &Model) {
    let listed = store.list(everything(model.len() + 1)).await.unwrap().data;
    assert!(listed.iter().map(|item| item.number).eq(model.keys().copied()));
    assert!(notes.indexed_items().iter().map(|indexed| indexed.number).eq(model.keys().copied()));
    for (item, (number, (id, bytes))) in listed.iter().zip(model) {
        let found = store.get(key(id)).await.unwrap().unwrap();
        assert_eq!((found.number, &found), (*number, item));
        assert!(store.payload(*number, 0, usize::MAX).await.unwrap() == *bytes, "the payload of {id}");
    }
}

/// Items of all sizes that come and go in every order.
#[tokio::test(flavor = "multi_thread")]
async fn however_items_come_and_go_nothing_is_lost_in_moving() {
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
    let used = store.disk_use().used as usize;
    assert!(used < 3 * wanted + LITTLE as usize, "{used} bytes for {wanted}");
}
