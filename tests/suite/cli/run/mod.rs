//! `warden run`: the real binary runs real shell commands as runs of a workflow.

mod beginnings;
mod endings;
mod living;
mod spool;

use std::process::Command;

use reqwest::StatusCode;
use serde_json::Value;

use super::recover::Scene;
use super::{Said, command, run};
use crate::support::TestDaemon;
use crate::support::daemon::expect;

/// A daemon that nobody is at.
const NOBODY: &str = "http://127.0.0.1:1";

/// `warden run` of this script for the warden at this address, with its spool in the scene.
fn line(url: &str, scene: &Scene, flags: &str, script: &str) -> Command {
    let mut words = vec!["run", "--workflow", "nightly"];
    if !flags.contains("--patience") {
        // A daemon that is there may be slow to answer on a busy machine.
        words.extend(["--patience", if url == NOBODY { "200ms" } else { "20s" }]);
    }
    words.extend(flags.split_whitespace());
    words.extend(["--", "sh", "-c", script]);
    let mut command = command(url, &words);
    command.current_dir(scene.path("")).env("WARDEN_SPOOL", scene.path("spool"));
    command
}

/// Runs it to its end.
async fn ran(daemon: &TestDaemon, scene: &Scene, flags: &str, script: &str) -> Said {
    run(line(&daemon.url(""), scene, flags, script)).await
}

/// The runs in the ledger, newest first.
async fn ledger(daemon: &TestDaemon) -> Vec<Value> {
    let page = daemon.get("/v1/workflows/nightly/runs").await;
    page["data"].as_array().expect("a page").clone()
}

/// The item of a run.
async fn item(daemon: &TestDaemon, id: &str) -> Value {
    let request = daemon.request(reqwest::Method::GET, &format!("/v1/workflows/nightly/items/{id}"));
    expect(request, StatusCode::OK).await
}

/// The files in the spool.
fn spooled(scene: &Scene) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(scene.path("spool")) else { return Vec::new() };
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.collect()
}
