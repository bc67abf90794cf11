//! `warden wait`: longer than a request, and over restarts of the daemon.

use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{command, run, warden};
use crate::support::daemon::expect;
use crate::support::{Address, DaemonProcess, TestDaemon, eventually, within_patience};

async fn post(daemon: &DaemonProcess, path: &str, status: StatusCode) {
    let path = format!("/v1/workflows/nightly/{path}");
    let _: Value = expect(daemon.request(Method::POST, &path), status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_on_when_the_daemon_restarts() {
    let (directory, address) = (tempfile::tempdir().expect("a directory"), Address::reserve());
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    post(&daemon, "runs", StatusCode::CREATED).await;
    let mut waiting = command(&address.url(), &["wait", "nightly", "--since", "today", "--timeout", "60s"]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run");
    let answered = r#"warden_http_requests_total{method="GET",route="/v1/wait",status="204"} "#;
    eventually("its first request", || async {
        let figures = daemon.request(Method::GET, "/metrics").send().await.expect("an answer");
        figures.text().await.expect("a body").contains(answered).then_some(())
    })
    .await;
    // A daemon that stops in good order still sends that answer.
    assert!(daemon.terminate().success());
    // It asks again while no daemon is there.
    let instead = TcpListener::bind(address.as_str()).await.expect("nobody else has the address");
    within_patience("another request", instead.accept()).await.expect("a connection");
    drop(instead);
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
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
    assert_eq!(notes, "warden: nightly has not succeeded within 1s 200ms\n");
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
