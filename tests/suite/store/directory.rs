//! The data directory of the default engine: ownership, leftovers, and unexpected files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use warden::model::Labels;
use warden::model::item::{Closing, LABELS_MAX};
use warden::store::engine::sled::OpenError;
use warden::store::{Command, Creation, Health as _, Reads as _, Writes as _};

use super::engine::{idle, open};
use super::sample::{IntoCommand, at, closing, create, created, creation, everything, key, payload};

#[track_caller]
fn refused(path: &Path) -> OpenError {
    match open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

/// The message names the directory and says these things.
#[track_caller]
fn says(error: &OpenError, path: &Path, words: &[&str]) {
    let message = error.to_string();
    let path = path.display().to_string();
    for word in words.iter().chain([&path.as_str()]) {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

async fn fill(path: &Path, items: usize) {
    fill_with(path, items, 500).await;
}

async fn fill_with(path: &Path, items: usize, size: usize) {
    let store = open(path).unwrap();
    for start in (0..items).step_by(100) {
        let commands = (start..start + 100).map(|index| create(&format!("item-{index}"), payload(size)));
        store.apply(commands.collect()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_made_with_all_those_above_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/data");
    fill(&path, 100).await;
    let format = fs::read_to_string(path.join("FORMAT")).unwrap();
    assert!(format.starts_with("process-warden data, format 4\n"), "{format}");
    assert!(open(&path).unwrap().get(key("item-0")).await.unwrap().is_some());
}

#[test]
fn a_second_store_on_one_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, OpenError::Locked(_)));
    says(&error, directory.path(), &["another warden is running", "storage.path"]);
    drop(first);
    open(directory.path()).unwrap();
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, OpenError::NotOurs { .. }));
    says(&error, directory.path(), &["thesis.txt", "is not empty", "storage.path"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_fresh_file_system_and_what_a_killed_first_start_left_are_not_something_else() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("lost+found")).unwrap();
    fs::create_dir_all(directory.path().join("generations/00000001/blobs")).unwrap();
    fs::write(directory.path().join("generations/00000001/db"), "half a dat").unwrap();
    for name in ["LOCK", "FORMAT.new", "ballast", "UNFINISHED"] {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    open(directory.path()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_format_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), 100).await;
    let before = fs::read(directory.path().join("generations/00000001/db")).unwrap();
    for format in ["process-warden data, format 5\n", "process-warden data, format 22\n{}\n", "\0\0"] {
        fs::write(directory.path().join("FORMAT"), format).unwrap();
        let error = refused(directory.path());
        assert!(matches!(error, OpenError::Format { .. }));
        let found = format.lines().next().unwrap().escape_debug().to_string();
        says(&error, directory.path(), &[&found, "process-warden data, format 4", "export"]);
    }
    fs::write(directory.path().join("FORMAT"), "").unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, OpenError::Incomplete { .. }), "{error}");
    says(&error, directory.path(), &["FORMAT", "Restore", "\"process-warden data, format 4\""]);
    assert!(fs::read(directory.path().join("generations/00000001/db")).unwrap() == before);
}

#[test]
fn a_directory_that_cannot_be_made_or_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    // Not by permissions, which do not hold for root: nothing can be made below a file or in the kernel's own
    // files.
    for path in [file.join("data"), "/proc/warden-data".into()] {
        let error = refused(&path);
        assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
        says(&error, &path, &["cannot use the data directory", "storage.path"]);
    }
    let path = directory.path().join("data");
    fs::create_dir_all(path.join("LOCK")).unwrap();
    fs::write(path.join("UNFINISHED"), "").unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    says(&error, &path.join("LOCK"), &["cannot use the data directory"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_opening_does_not_prevent_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), 100).await;
    let left_over = directory.path().join("generations/00000001/snap.0000000000001234.generating");
    fs::write(&left_over, "ten bytes.").unwrap();
    let store = open(directory.path()).unwrap();
    assert!(store.get(key("item-99")).await.unwrap().is_some());
    assert!(!left_over.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_the_directory_was_complete_lets_it_start_afresh() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), 100).await;
    fs::remove_file(directory.path().join("FORMAT")).unwrap();
    fs::write(directory.path().join("UNFINISHED"), "").unwrap();
    let store = open(directory.path()).unwrap();
    assert!(store.list(everything(1)).await.unwrap().data.is_empty());
    store.apply(vec![create("a", "x")]).await.unwrap();
    drop(store);
    assert!(!directory.path().join("UNFINISHED").exists());
    assert!(open(directory.path()).unwrap().get(key("a")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_mark_is_missing_is_refused_and_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path, 100).await;
    let format = fs::read(path.join("FORMAT")).unwrap();
    fs::remove_file(path.join("FORMAT")).unwrap();
    let error = refused(path);
    assert!(matches!(error, OpenError::Incomplete { .. }), "{error}");
    says(&error, path, &["FORMAT is missing", "Nothing was changed", "Restore FORMAT"]);
    fs::write(path.join("FORMAT"), format).unwrap();
    assert_eq!(open(path).unwrap().list(everything(1000)).await.unwrap().data.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_fails_before_the_database_is_there_may_be_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // Nothing can be made where the database is to be.
    fs::write(path.join("UNFINISHED"), "").unwrap();
    fs::write(path.join("generations"), "").unwrap();
    let error = refused(path);
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    fs::remove_file(path.join("generations")).unwrap();
    open(path).unwrap();
}

#[test]
fn a_fresh_directory_that_never_held_an_item_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        open(directory.path()).unwrap();
    }
}

/// An item with as many labels as it may have, and as large.
fn burdened(id: &str, size: usize) -> Creation {
    let labels = (0..LABELS_MAX).map(|index| (format!("label-{index:02}"), "v".repeat(56)));
    let labels = Labels::new(labels.collect());
    Creation { labels, ..creation(&format!("{id}-{}", "i".repeat(200)), payload(size)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_ever_outgrows_the_file_that_is_synced() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let sizes = [0, 100, 3000, 4096, 4097, 12_000, 60_000, 250_000, 1 << 20];
    for round in 0..12 {
        for (index, size) in sizes.into_iter().enumerate() {
            let names = (0..8).map(|copy| format!("{round}-{index}-{copy}"));
            let creations = names.map(|name| burdened(&name, size + round));
            let ids: Vec<_> = creations.clone().map(|creation| creation.key).collect();
            store.apply(creations.map(IntoCommand::into_command).collect()).await.unwrap();
            // Some go at once, some stay.
            let closes = ids.into_iter().skip(round % 8);
            let closes = closes.map(|key| Command::Close { key, closing: closing(at(1)) });
            store.apply(closes.collect()).await.unwrap();
        }
    }
    let blobs = || {
        let generations = fs::read_dir(directory.path().join("generations")).unwrap();
        // A generation may be removed meanwhile.
        let blobs =
            generations.filter_map(|generation| fs::read_dir(generation.unwrap().path().join("blobs")).ok());
        blobs.map(Iterator::count).sum::<usize>()
    };
    assert_eq!((store.disk_use().alarms, blobs()), (Vec::<String>::new(), 0));
    drop(store);
    let store = open(directory.path()).unwrap();
    assert_eq!((store.disk_use().alarms, blobs()), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_that_come_and_go_without_a_pause_do_not_pile_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let payload: Bytes = payload(1 << 20);
    let sample = creation("sample", payload.clone());
    let creations = |round: usize| {
        (0..16)
            .map(move |index| key(&format!("{round}-{index}")))
            .map(|key| Creation { key, ..sample.clone() })
    };
    let rounds = 20;
    for round in 0..rounds {
        let mut commands: Vec<Command> = creations(round).map(IntoCommand::into_command).collect();
        if round > 0 {
            let close = |key| Command::Close { key, closing: closing(at(1)) };
            commands.extend(creations(round - 1).map(|creation| close(creation.key)));
        }
        store.apply(commands).await.unwrap();
    }
    idle(&store).await;
    let used = store.disk_use().used;
    assert!(used < 120 << 20, "{} MiB are left of 16 live ones", used >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_large_and_goes_at_once_is_gone_for_readers_before_it_is_reclaimed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let sample = creation("sample", payload(3 << 20));
    let keys: Vec<_> = (0..8).map(|index| key(&index.to_string())).collect();
    let creations = keys.iter().map(|key| Creation { key: key.clone(), ..sample.clone() }.into_command());
    let numbers: Vec<_> =
        store.apply(creations.collect()).await.unwrap().into_iter().map(|o| created(o).number).collect();
    let close = |key: &warden::model::ItemKey| Command::Close {
        key: key.clone(),
        closing: Closing { keep_payload: Duration::ZERO, ..closing(at(1)) },
    };
    store.apply(keys.iter().map(close).collect()).await.unwrap();
    for number in numbers {
        assert_eq!(store.payload(number, 0, 1).await.unwrap(), None);
        assert_eq!(store.payload(number, 3 << 19, usize::MAX).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_tells_how_much_disk_there_is() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), 1000).await;
    let store = open(directory.path()).unwrap();
    let (status, used) = (store.status(), store.disk_use().used);
    assert!(used > 500_000, "{used}");
    assert!(status.disk_free > 1 << 20, "{}", status.disk_free);
}
