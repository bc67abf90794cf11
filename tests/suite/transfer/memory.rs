//! The memory of an export and an import does not depend on their size.

use std::process::{Child, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{PATIENCE, text};
use crate::support::{DaemonProcess, process};

const COUNT: usize = 8_000;
const PAYLOAD: usize = 24_000;
/// Two thirds of what all payloads take together.
const GROWTH_MAX: u64 = 128_000_000;

/// Makes what a process takes now the most that it has taken so far.
fn forget_peak(id: u32) {
    std::fs::write(format!("/proc/{id}/clear_refs"), "5").expect("one's own child may be told so");
}

/// The most memory that a process has taken so far, in bytes; nothing when it has ended.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    Some(kib * 1024)
}

/// Waits for a process to end, and gives the most memory that it took.
async fn watched(mut child: Child) -> u64 {
    let mut most = 0;
    let ended = async {
        loop {
            most = peak(child.id()).unwrap_or(most);
            match child.try_wait().expect("it can be waited for") {
                Some(status) => return status,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    assert!(status.success(), "{status}");
    most
}

#[tokio::test]
async fn memory_is_bounded_on_both_sides() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = process::serve(directory.path());
    command.env("WARDEN_STORAGE__CACHE", "16MiB");
    // What was handed in is to have moved to the database before the export begins: that takes memory of its
    // own.
    command.env("WARDEN_STORAGE__CHECKPOINT", "100ms");
    let daemon = DaemonProcess::start(command, &DaemonProcess::log(directory.path())).expect("it starts");
    for first in (0..COUNT).step_by(1_000) {
        let line = |number: usize| {
            let id = format!("{number:08}");
            let payload = id.repeat(PAYLOAD / id.len());
            format!(
                "{}\n",
                json!({"op": "create", "workflow": "uploads", "id": id, "deadline": "2h", "payload": payload})
            )
        };
        let lines: String = (first..first + 1_000).map(line).collect();
        let response = daemon.request(Method::POST, "/v1/batch").body(lines).send().await.expect("an answer");
        assert!(response.status().is_success());
        response.bytes().await.expect("the answers");
    }
    let file = directory.path().join("export.zst");
    forget_peak(daemon.id());
    let before = peak(daemon.id()).expect("it runs");
    let run = async |arguments: &[&str]| {
        let url = daemon.url("");
        let mut command = crate::cli::command(&url, &[arguments, &["--file", text(&file)]].concat());
        watched(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary can be run"))
            .await
    };
    let exporter = run(&["export", "--compress", "zstd"]).await;
    let grown = peak(daemon.id()).expect("it runs") - before;
    let importer = run(&["import"]).await;
    assert!(grown < GROWTH_MAX, "the daemon grew by {grown} bytes");
    assert!(exporter < GROWTH_MAX, "the exporter took {exporter} bytes");
    assert!(importer < GROWTH_MAX, "the importer took {importer} bytes");
}
