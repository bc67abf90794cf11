//! Taking over a data directory of format 1, also after a kill at any point of it.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use warden::model::{Item, ItemNumber};
use warden::store::record::encode_item;
use warden::store::{Creation, Outcome, Store};

use super::engine::{database, open};
use super::sample::{IntoCommand, create, created, creation, everything, key, payload};

const SIZES: [usize; 9] = [0, 1, 100, 4095, 4096, 4097, 10_000, 400_000, 1 << 20];

/// Items as format 1 kept them, under a number each, beginning with 1; those of every size were made with an
/// `Idempotency-Key`.
async fn write_format_1(path: &Path, count: usize) -> Vec<(Item, Bytes)> {
    let template = {
        let scratch = tempfile::tempdir().unwrap();
        let store = open(scratch.path()).unwrap();
        created(store.apply(vec![create("template", "")]).await.unwrap().remove(0))
    };
    let config = sled::Config::default().path(path.join("sled")).segment_size(512 * 1024);
    let database = config.open().unwrap();
    let mut items = Vec::new();
    for index in 0..count {
        let bytes = payload(SIZES.get(index).copied().unwrap_or(300));
        let creation = creation(&format!("item-{index}"), bytes.clone());
        let item = Item {
            number: ItemNumber(index as u64 + 1),
            id: creation.key.id.clone(),
            workflow: creation.key.workflow.clone(),
            payload: Some(creation.info.clone()),
            idempotency_key: (index < SIZES.len()).then_some([index as u8; 32]),
            ..template.clone()
        };
        let number = item.number.0.to_be_bytes();
        let name = format!("i{}\0{}", item.workflow, item.id);
        database.insert(name.as_bytes(), &number).unwrap();
        database.insert([b"r".as_slice(), &number].concat(), encode_item(&item)).unwrap();
        let pieces: Vec<&[u8]> = if bytes.is_empty() { vec![&[]] } else { bytes.chunks(4096).collect() };
        for (piece, chunk) in (0_u16..).zip(pieces) {
            let key = [b"p".as_slice(), &number, &piece.to_be_bytes()].concat();
            database.insert(key, chunk).unwrap();
        }
        items.push((item, bytes));
    }
    database.insert("mnext", &(count as u64 + 1).to_be_bytes()).unwrap();
    database.flush().unwrap();
    drop(database);
    fs::write(path.join("FORMAT"), "process-warden data, format 1\n").unwrap();
    items
}

async fn holds(path: &Path, items: &[(Item, Bytes)]) {
    let store = open(path).unwrap();
    let format = fs::read_to_string(path.join("FORMAT")).unwrap();
    assert!(format.starts_with("process-warden data, format 2\n"), "{format}");
    assert!(!path.join("UNFINISHED").exists());
    assert!(!path.join("sled").exists());
    let listed = store.list(everything(items.len() + 1)).await.unwrap().data;
    assert!(listed.iter().eq(items.iter().map(|(item, _)| item)));
    for (item, bytes) in items {
        assert_eq!(store.get(item.key()).await.unwrap().as_ref(), Some(item));
        let payload = store.payload(item.number, 0, usize::MAX).await.unwrap();
        assert!(payload.as_ref() == Some(bytes), "the payload of {}", item.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_afterwards_and_work_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let items = write_format_1(directory.path(), 2000).await;
    holds(directory.path(), &items).await;
    holds(directory.path(), &items).await;
    let store = open(directory.path()).unwrap();
    let repeated = Creation { idempotency_key: Some([3; 32]), ..creation("another", payload(4095)) };
    let outcome = store.apply(vec![repeated.into_command()]).await.unwrap().remove(0);
    assert!(matches!(outcome, Outcome::Exists(item) if item.number == items[3].0.number));
    let new = created(store.apply(vec![create("new", "x")]).await.unwrap().remove(0));
    assert!(items.iter().all(|(item, _)| item.number < new.number));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_it_has_it_begin_anew() {
    let directory = tempfile::tempdir().unwrap();
    let items = write_format_1(directory.path(), 100).await;
    // A part of it, and nothing that says so.
    let database = database(directory.path());
    database.insert("mnext", &9_u64.to_be_bytes()).unwrap();
    database.insert("j00000000", "half a chu").unwrap();
    drop(database);
    fs::write(directory.path().join("UNFINISHED"), "").unwrap();
    holds(directory.path(), &items).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_old_database_was_removed_has_it_removed_then() {
    let directory = tempfile::tempdir().unwrap();
    let items = write_format_1(directory.path(), 100).await;
    let copy = tempfile::tempdir().unwrap();
    let kept = copy.path().join("sled");
    fs::create_dir(&kept).unwrap();
    fs::copy(directory.path().join("sled/db"), kept.join("db")).unwrap();
    holds(directory.path(), &items).await;
    let store = open(directory.path()).unwrap();
    store.apply(vec![create("since", "x")]).await.unwrap();
    drop(store);
    fs::create_dir(directory.path().join("sled")).unwrap();
    fs::copy(kept.join("db"), directory.path().join("sled/db")).unwrap();
    // Without the mark of an upgrade that was not finished it is somebody's copy.
    let store = open(directory.path()).unwrap();
    assert!(store.get(key("since")).await.unwrap().is_some());
    drop(store);
    assert!(directory.path().join("sled/db").exists());
    fs::write(directory.path().join("UNFINISHED"), "").unwrap();
    let store = open(directory.path()).unwrap();
    assert!(store.get(key("since")).await.unwrap().is_some());
    assert!(!directory.path().join("sled").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_format_1_that_is_put_over_a_later_one_is_refused_and_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let items = write_format_1(path, 100).await;
    let before = fs::read(path.join("sled/db")).unwrap();
    holds(path, &items).await;
    let store = open(path).unwrap();
    store.apply(vec![create("since", "x")]).await.unwrap();
    drop(store);
    let format = fs::read(path.join("FORMAT")).unwrap();
    let database = fs::read(path.join("items/db")).unwrap();
    fs::create_dir(path.join("sled")).unwrap();
    fs::write(path.join("sled/db"), &before).unwrap();
    fs::write(path.join("FORMAT"), "process-warden data, format 1\n").unwrap();
    let said = open(path).err().unwrap().to_string();
    for words in ["is of format 1, but holds items as well", "Restore the FORMAT", "move items"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(fs::read(path.join("items/db")).unwrap() == database);
    fs::write(path.join("FORMAT"), format).unwrap();
    let store = open(path).unwrap();
    assert!(store.get(key("since")).await.unwrap().is_some());
}
