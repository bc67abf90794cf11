//! Data directories in which some files are missing, or older than the others.
//!
//! Each opens with all that was acknowledged, or is refused with a file's name and a remedy; no file is
//! removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use warden::model::item::Closing;
use warden::store::engine::sled::{OpenError, SledStore};
use warden::store::{Command, OnDamage, Reads as _, Writes as _};

use super::engine::{open_keeping, open_on_damage};
use super::sample::{at, closing, create, everything, key, payload};

const DATABASE: &str = "generations/00000001/db";
const RESERVE: u64 = 64 * 1024;

/// All files of a directory, and directories without any, by their paths in it.
type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

fn read(directory: &Path) -> Files {
    fn add(files: &mut Files, root: &Path, directory: &Path) {
        let entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        if entries.is_empty() {
            files.insert(directory.strip_prefix(root).unwrap().to_owned(), None);
        }
        for path in entries {
            if path.is_dir() {
                add(files, root, &path);
            } else {
                files.insert(path.strip_prefix(root).unwrap().to_owned(), Some(fs::read(&path).unwrap()));
            }
        }
    }
    let mut files = Files::new();
    add(&mut files, directory, directory);
    files
}

fn write(directory: &Path, files: &Files) {
    fs::create_dir_all(directory).unwrap();
    for (path, content) in files {
        let path = directory.join(path);
        match content {
            None => fs::create_dir_all(&path).unwrap(),
            Some(content) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
    }
}

/// What a store holds: each item that is open.
async fn held(store: &SledStore) -> BTreeSet<String> {
    let page = store.list(everything(10_000)).await.unwrap();
    assert!(page.next.is_none());
    page.data.iter().filter(|item| item.closed.is_none()).map(|item| item.id.to_string()).collect()
}

/// A copy of a directory, and what was acknowledged when it was made.
struct Copied {
    files: Files,
    acknowledged: BTreeSet<String>,
    end: End,
}

/// How a run ends of which a copy is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stop,
    Kill,
}

/// Lives of one directory, and a copy of it at the end of each. Items come and go in each life.
async fn copies(ends: &[End]) -> Vec<Copied> {
    let directory = tempfile::tempdir().unwrap();
    let mut copies = Vec::new();
    for (life, end) in ends.iter().enumerate() {
        let store = open_keeping(directory.path(), RESERVE).unwrap();
        let name = |index: usize| format!("{life}-{index}");
        for start in (0..100).step_by(10) {
            let creates = (start..start + 10).map(|index| create(&name(index), payload(700)));
            store.apply(creates.collect()).await.unwrap();
        }
        let close = |index| Command::Close {
            key: key(&name(index)),
            closing: Closing { keep_payload: std::time::Duration::ZERO, ..closing(at(1)) },
        };
        store.apply((0..60).map(close).collect()).await.unwrap();
        let acknowledged = held(&store).await;
        // The kernel has all that was written, so this is what a kill leaves.
        let killed = read(directory.path());
        drop(store);
        let files = if *end == End::Kill { killed } else { read(directory.path()) };
        if *end == End::Kill {
            // What it wrote as it stopped never was.
            fs::remove_dir_all(directory.path()).unwrap();
            write(directory.path(), &files);
        }
        copies.push(Copied { files, acknowledged, end: *end });
    }
    copies
}

/// Which of its versions a file has in a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Missing,
    New,
    Old(usize),
}

fn is_snapshot(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."))
}

/// All mixtures of these copies, the last of which is the newest: for each file of any of them, its versions
/// that differ.
fn mixtures(copies: &[Copied], files: &[&str]) -> Vec<Vec<(PathBuf, Version)>> {
    let newest = copies.len() - 1;
    let mut paths: BTreeSet<PathBuf> = copies[newest].files.keys().cloned().collect();
    paths.extend(copies.iter().flat_map(|copy| copy.files.keys().filter(|path| is_snapshot(path)).cloned()));
    let mut mixtures = vec![Vec::new()];
    for path in paths {
        let varies =
            files.is_empty() || is_snapshot(&path) || files.iter().any(|file| Path::new(file) == path);
        let of = |copy: &Copied| copy.files.get(&path).cloned();
        let mut versions = Vec::new();
        let mut seen = Vec::new();
        let all = std::iter::once((Version::New, of(&copies[newest])))
            .chain(copies[..newest].iter().enumerate().map(|(index, copy)| (Version::Old(index), of(copy))));
        for (version, content) in all {
            if let Some(content) = content
                && !seen.contains(&content)
            {
                versions.push(version);
                seen.push(content);
            }
        }
        let is_new = versions.contains(&Version::New);
        if varies || !is_new {
            versions.push(Version::Missing);
        } else {
            versions.truncate(1);
        }
        mixtures = mixtures
            .into_iter()
            .flat_map(|mixture: Vec<(PathBuf, Version)>| {
                let path = path.clone();
                versions.iter().map(move |version| [&mixture[..], &[(path.clone(), *version)]].concat())
            })
            .collect();
    }
    mixtures
}

fn version_of(mixture: &[(PathBuf, Version)], name: &str) -> Version {
    let found = mixture.iter().find(|(path, _)| path == Path::new(name));
    found.map_or(Version::Missing, |(_, version)| *version)
}

fn mixed(copies: &[Copied], mixture: &[(PathBuf, Version)]) -> Files {
    let newest = copies.len() - 1;
    let content = |(path, version): &(PathBuf, Version)| match version {
        Version::Missing => None,
        Version::New => Some((path.clone(), copies[newest].files[path].clone())),
        Version::Old(index) => Some((path.clone(), copies[*index].files[path].clone())),
    };
    mixture.iter().filter_map(content).collect()
}

/// What a refusal must say: where, which file, and what to do.
#[track_caller]
fn is_told(error: &OpenError, directory: &Path) {
    let said = error.to_string();
    let names = ["FORMAT", "generations", "log"];
    assert!(said.contains(&directory.display().to_string()), "{said}");
    assert!(names.iter().any(|name| said.contains(name)), "{said}");
    assert!(said.to_lowercase().contains("restore"), "{said}");
    assert!(
        matches!(error, OpenError::Incomplete { .. } | OpenError::Damaged { .. } | OpenError::Log { .. }),
        "it is known what is wrong, but it says: {said}"
    );
}

/// How many mixtures opened, and how many were refused.
#[derive(Debug, Default)]
struct Counts {
    opened: usize,
    refused: usize,
}

async fn hold_all_mixtures_to_it(copies: &[Copied], files: &[&str]) -> Counts {
    let newest = copies.len() - 1;
    let mut counts = Counts::default();
    for mixture in mixtures(copies, files) {
        let before = mixed(copies, &mixture);
        if before.is_empty() {
            continue;
        }
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        write(path, &before);
        let (format, database) = (version_of(&mixture, "FORMAT"), version_of(&mixture, DATABASE));
        // All that these lives write goes into the first segment.
        let log = version_of(&mixture, "log/segment-0000");
        match open_keeping(path, RESERVE) {
            Ok(store) => {
                counts.opened += 1;
                // A whole older copy is nothing that could be told from within. Behind an older database the
                // log may have all that came since, and FORMAT says the same for ever.
                let copy = match (database, log) {
                    (Version::New, Version::New) => newest,
                    (Version::Old(_), Version::New) => newest,
                    (Version::New | Version::Old(_), Version::Old(log)) => log,
                    _ => panic!("{mixture:?} was opened"),
                };
                assert!(held(&store).await == copies[copy].acknowledged, "{mixture:?} lost something");
            }
            Err(error) => {
                counts.refused += 1;
                is_told(&error, path);
                let after = read(path);
                let is_left = |(path, content): (&PathBuf, &Option<Vec<u8>>)| match after.get(path) {
                    // Only once it is open does the database show what it holds, and by then it may be
                    // written to.
                    Some(_) if matches!(&error, OpenError::Log { .. } | OpenError::Damaged { .. }) => true,
                    Some(found) => found == content,
                    None => content.is_none() || is_snapshot(path),
                };
                assert!(before.iter().all(is_left), "{mixture:?}: something is not as it was");
            }
        }
        if database == Version::New && format != Version::Missing {
            // The way out that is always there for whoever knows that the database is the latest.
            for path in snapshots(path) {
                fs::remove_file(path).unwrap();
            }
            let on_damage = if log == Version::New { OnDamage::Refuse } else { OnDamage::Accept };
            let store = open_on_damage(path, RESERVE, on_damage);
            let held = held(&store.unwrap_or_else(|error| panic!("{mixture:?}: {error}"))).await;
            // What the log alone had is lost with it.
            let is_whole = held == copies[newest].acknowledged;
            assert!(
                is_whole || (log != Version::New && copies[newest].end == End::Kill),
                "{mixture:?} lost something"
            );
        }
    }
    counts
}

fn snapshots(directory: &Path) -> Vec<PathBuf> {
    let files =
        fs::read_dir(directory.join("generations/00000001")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| is_snapshot(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_files_that_are_missing_or_older_than_the_others_are_told_and_never_cost_anything() {
    let copies = copies(&[End::Stop, End::Stop]).await;
    let files = ["FORMAT", "LOCK", DATABASE, "generations/00000001/conf", "log/segment-0000"];
    let counts = hold_all_mixtures_to_it(&copies, &files).await;
    println!("{counts:?}");
    assert!(counts.opened > 4 && counts.refused > 10, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_are_they_after_kills_and_over_several_lives() {
    for ends in [
        [End::Stop, End::Kill, End::Kill],
        [End::Kill, End::Stop, End::Kill],
        [End::Kill, End::Kill, End::Stop],
    ] {
        let copies = copies(&ends).await;
        let counts = hold_all_mixtures_to_it(&copies, &["FORMAT", DATABASE, "log/segment-0000"]).await;
        println!("{ends:?}: {counts:?}");
        assert!(counts.opened > 4 && counts.refused > 4, "{ends:?}: {counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_used_for_long_is_whole_without_its_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // Three lives in which most of what comes goes again, so that room in the file is used several times.
    for life in 0..3 {
        let store = open_keeping(path, 0).unwrap();
        for round in 0..8 {
            let name = |index: usize| format!("{life}-{round}-{index}");
            store.apply((0..400).map(|index| create(&name(index), payload(3000))).collect()).await.unwrap();
            let close = |index| Command::Close {
                key: key(&name(index)),
                closing: Closing { keep_payload: std::time::Duration::ZERO, ..closing(at(1)) },
            };
            store.apply((0..360).map(close).collect()).await.unwrap();
        }
    }
    let store = open_keeping(path, 0).unwrap();
    let before = held(&store).await;
    assert_eq!(before.len(), 3 * 8 * 40);
    drop(store);
    for generation in fs::read_dir(path.join("generations")).unwrap() {
        for file in fs::read_dir(generation.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            if is_snapshot(&file) {
                fs::remove_file(file).unwrap();
            }
        }
    }
    let store = open_keeping(path, 0).unwrap();
    assert!(held(&store).await == before);
    for id in before {
        let item = store.get(key(&id)).await.unwrap().unwrap();
        let found = store.payload(item.number, 0, usize::MAX).await.unwrap();
        assert!(found == Some(payload(3000)), "the payload of {id}");
    }
}
