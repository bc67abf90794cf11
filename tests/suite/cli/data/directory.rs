//! A data directory with some of everything, as a kill leaves it, and ways to damage its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::OnceCell;
use warden::model::item::{ItemPatch, Merge, ProgressChange};
use warden::store::engine::sled::{SledSettings, SledStore};
use warden::store::{Command, Document, Writes as _};

use crate::store::engine::{idle, open_with};
use crate::store::sample::{
    anchor, at, close, create, delivery, incident, object, patch, payload, progress, replay, replay_chunk,
    replay_id, silence, workflow,
};

/// Items with a payload of their own, a large one for every second.
const PAYLOADS: usize = 120;
/// Items of which the databases have something, be they closed.
pub const ITEMS: usize = PAYLOADS + LAST + 2;
/// Those of which the newest generation has the payloads.
pub const LAST: usize = 60;
/// Items that the log alone has.
pub const LATE: [&str; 3] = ["late-0", "late-1", "late-2"];

/// The files of a directory.
pub struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    /// The names of its generations, the oldest first.
    pub fn generations(&self) -> Vec<String> {
        let paths = self.0.keys().filter_map(|path| path.strip_prefix("generations").ok()?.parent());
        let mut names: Vec<String> = paths.map(|path| path.display().to_string()).collect();
        names.dedup();
        names
    }
}

/// What an item is called.
pub fn id(index: usize) -> String {
    format!("item-{index}")
}

/// The same for one of those in the newest generation.
pub fn last(index: usize) -> String {
    format!("last-{index}")
}

/// What its payload begins with, which nothing else has.
pub fn place_of(id: &str) -> Vec<u8> {
    format!("<the payload of {id} begins here>").into_bytes()
}

fn payload_of(id: &str, size: usize) -> Bytes {
    [&place_of(id)[..], &payload(size)].concat().into()
}

fn small(settings: &mut SledSettings) {
    (settings.size_max, settings.payload_max, settings.recent) = (Some(128 << 20), 1 << 20, 4 << 20);
}

/// A directory that a daemon has filled, and from which it was torn away.
pub async fn filled() -> &'static Files {
    static FILLED: OnceCell<Files> = OnceCell::const_new();
    FILLED.get_or_init(fill).await
}

async fn fill() -> Files {
    let directory = tempfile::tempdir().unwrap();
    let store = open_with(directory.path(), small).unwrap();
    for start in (0..PAYLOADS).step_by(10) {
        let size = |index: usize| if index.is_multiple_of(2) { 200_000 } else { 300 };
        let creates =
            (start..start + 10).map(|index| create(&id(index), payload_of(&id(index), size(index))));
        store.apply(creates.collect()).await.unwrap();
        idle(&store).await;
    }
    let detail = ItemPatch {
        progress: Some(ProgressChange::merge(Merge::Change(object(json!({"done": 7}))))),
        ..ItemPatch::default()
    };
    let others = vec![
        patch(&id(0), at(1), detail.clone()),
        patch(&id(1), at(1), detail),
        create("empty", ""),
        create("closed", "payload"),
        close("closed", at(1)),
    ];
    store.apply(others).await.unwrap();
    store.apply(documents()).await.unwrap();
    let last = |index| create(&last(index), payload_of(&last(index), 3_000));
    store.apply((0..LAST).map(last).collect()).await.unwrap();
    idle(&store).await;
    drop(store);
    // From now on nothing goes from the log into the databases.
    let late = |settings: &mut SledSettings| {
        small(settings);
        settings.checkpoint = Duration::from_secs(3600);
    };
    let store: SledStore = open_with(directory.path(), late).unwrap();
    for id in LATE {
        store.apply(vec![create(id, payload_of(id, 5_000))]).await.unwrap();
    }
    // The kernel has all that was written, so this is what a kill leaves.
    read(directory.path())
}

fn documents() -> Vec<Command> {
    vec![
        Command::put_incident(incident("inc_1"), vec![delivery("inc_1", "dlv_1")]),
        Command::put(silence("sil_1")),
        Command::put(anchor(5)),
        Command::put(Document::HealthCheck(at(1))),
        Command::put(Document::Progress(workflow("uploads"), Box::new(progress(3)))),
        Command::put_replay_chunks(&replay_id("rep_1"), vec![replay_chunk(0, 200)]),
        Command::put(replay("rep_1")),
    ]
}

fn each(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        visit(&path);
        if path.is_dir() {
            each(&path, visit);
        }
    }
}

fn read(directory: &Path) -> Files {
    let mut files = BTreeMap::new();
    each(directory, &mut |path| {
        if path.is_file() {
            files.insert(path.strip_prefix(directory).unwrap().to_owned(), fs::read(path).unwrap());
        }
    });
    Files(files)
}

/// Writes them into a directory.
pub fn write(directory: &Path, files: &Files) {
    for (path, content) in &files.0 {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// All that can be seen of a directory: its files, directories, what is in them, their permissions, and when
/// they were changed.
pub fn look(directory: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, fs::Permissions, SystemTime)> {
    let mut seen = BTreeMap::new();
    let mut see = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        let content = path.is_file().then(|| fs::read(path).unwrap());
        seen.insert(path.to_owned(), (content, metadata.permissions(), metadata.modified().unwrap()));
    };
    see(directory);
    each(directory, &mut see);
    seen
}

/// The file in this part of a data directory that has these bytes.
pub fn file_with(data: &Path, part: &str, pattern: &[u8]) -> PathBuf {
    let mut found = None;
    each(&data.join(part), &mut |path| {
        if path.is_file() && places(&fs::read(path).unwrap(), pattern).next().is_some() {
            found = Some(path.to_owned());
        }
    });
    found.unwrap_or_else(|| panic!("{} is nowhere in {part}", String::from_utf8_lossy(pattern)))
}

/// Turns over a bit of these bytes, wherever they are in a file: the database writes some of it more than
/// once.
pub fn turn_over(file: &Path, pattern: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let places: Vec<usize> = places(&bytes, pattern).collect();
    assert!(!places.is_empty(), "{} is not in {}", String::from_utf8_lossy(pattern), file.display());
    for place in places {
        bytes[place + 5] ^= 4;
    }
    fs::write(file, bytes).unwrap();
}

/// Leaves nothing but zeros behind these bytes.
pub fn cut_behind(file: &Path, pattern: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let place = places(&bytes, pattern).last().unwrap();
    bytes[place + pattern.len()..].fill(0);
    fs::write(file, bytes).unwrap();
}

fn places<'a>(bytes: &'a [u8], pattern: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(bytes, pattern)
}
