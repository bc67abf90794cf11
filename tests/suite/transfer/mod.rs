//! Exports and imports of any size, by the real binary: whole, interrupted, damaged.

mod damage;
mod interruptions;
mod memory;
mod moving;
mod privacy;
mod resuming;
mod states;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::warden;
use crate::support::TestDaemon;

/// How long a command may take that moves a lot.
const PATIENCE: Duration = Duration::from_secs(180);

/// A daemon with so many items, each with a payload of so many bytes that hardly compress, and a directory
/// for files.
async fn with_items(count: usize, size: usize) -> (TestDaemon, TempDir) {
    let daemon = TestDaemon::start().await;
    let payload = |number: usize| {
        let mut state = number as u64 + 1;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 33) as u8 % 26)
        };
        std::iter::repeat_with(&mut letter).take(size).collect::<String>()
    };
    let line = |number: usize| {
        let item = json!({"op": "create", "workflow": "uploads", "id": format!("{number:05}"),
            "deadline": "2h",
            "payload": payload(number), "labels": {"number": number.to_string()}});
        format!("{item}\n")
    };
    let lines: String = (0..count).map(line).collect();
    let answers = daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    assert!(answers.iter().all(|answer| answer["status"] == 201));
    (daemon, tempfile::tempdir().expect("a directory"))
}

/// Exports everything into a file of that name, and gives its path and bytes.
async fn exported(
    daemon: &TestDaemon,
    directory: &TempDir,
    name: &str,
    flags: &[&str],
) -> (PathBuf, Vec<u8>) {
    let path = directory.path().join(name);
    warden(daemon, &[&["export", "--file", text(&path)], flags].concat()).await.done();
    let bytes = std::fs::read(&path).expect("the export");
    (path, bytes)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::File::create(path).and_then(|mut file| file.write_all(bytes)).expect("a file");
}

/// What zstd made of this.
fn decompressed(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).expect("whole frames")
}

/// How many items a daemon has.
async fn count(daemon: &TestDaemon) -> Value {
    daemon.get("/v1/items/summary").await["count"].clone()
}
