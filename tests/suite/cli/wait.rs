//! `warden wait`: longer than a request, and over restarts of the daemon.

use std::path::Path;
use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{command, run, warden};
use crate::support::daemon::expect;
use crate::support::{DaemonProcess, TestDaemon, process, within_patience};

fn start_at(directory: &Path, address: &str) -> DaemonProcess {
    let mut command = process::serve(directory);
    command.env("WARDEN_SERVER__LISTEN", address);
    DaemonProcess::start(command, &DaemonProcess::log(directory)).unwrap_or_else(|said| panic!("{said}"))
}

async fn post(daemon: &DaemonProcess, path: &str, status: StatusCode) {
    let path = format!("/v1/workflows/nightly/{path}");
    let _: Value = expect(daemon.request(Method::POST, &path), status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_on_when_the_daemon_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = DaemonProcess::on(directory.path());
    let (address, url) = (daemon.address().to_owned(), daemon.url(""));
    post(&daemon, "runs", StatusCode::CREATED).await;
    let mut waiting = command(&url, &["wait", "nightly", "--since", "today", "--timeout", "60s"]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run");
    // Until its request waits there.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    daemon.kill();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let daemon = start_at(directory.path(), &address);
    post(&daemon, "runs/current/close", StatusCode::OK).await;
    let ended = tokio::task::spawn_blocking(move || waiting.wait_with_output().expect("its output"));
    let output = within_patience("the wait to end", ended).await.expect("no panic");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.starts_with("run 1 of nightly succeeded"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_at_its_own_timeout() {
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = DaemonProcess::on(directory.path());
    post(&daemon, "runs", StatusCode::CREATED).await;
    let waited = run(command(&daemon.url(""), &["wait", "nightly", "--timeout", "1200ms"])).await;
    let notes = waited.failed(85);
    assert_eq!(notes, "warden: they have not succeeded within 1s 200ms\n");
}

#[tokio::test]
async fn a_run_that_fails_ends_a_wait_only_if_that_was_asked_for() {
    let daemon = TestDaemon::builder().start().await;
    for (path, status) in [("runs", 201), ("runs/current/fail", 200)] {
        let path = format!("/v1/workflows/nightly/{path}");
        daemon.ask(Method::POST, &path).await.json(status);
    }
    warden(&daemon, &["wait", "nightly", "--timeout", "0s"]).await.failed(85);
    warden(&daemon, &["wait", "nightly", "--timeout", "0s", "--fail-fast"]).await.failed(84);
}
