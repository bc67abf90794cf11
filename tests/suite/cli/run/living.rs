//! While the command lives: signals and heartbeats.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use warden::model::Timestamp;

use super::{Scene, ledger, line};
use crate::support::daemon::expect;
use crate::support::{DaemonProcess, TestDaemon, eventually};

#[tokio::test]
async fn signals_are_passed_on_to_the_command() {
    let daemon = TestDaemon::start().await;
    for (name, signal) in [
        ("INT", Signal::INT),
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
    ] {
        let scene = Scene::new();
        let script =
            format!("trap 'echo {name} >> got; exit 7' {name}; echo >> ready; while :; do sleep 0.02; done");
        // A group of its own, which no terminal sends its signals to.
        let mut running = scene.spawn(line(&daemon.url(""), &scene, "", &script));
        scene.lines_when("ready", 1).await;
        running.signal(signal);
        assert_eq!(running.ended().await, 7, "{name}: {}", running.notes());
        assert_eq!(scene.lines("got"), [name], "once");
        assert_eq!(ledger(&daemon).await[0]["error"]["type"], "exit 7");
    }
}

#[tokio::test]
async fn a_command_that_a_signal_ends_is_told_from_one_that_fails() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let mut running = scene.spawn(line(&daemon.url(""), &scene, "", "echo >> ready; exec sleep 60"));
    scene.lines_when("ready", 1).await;
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await, 143);
    assert_eq!(ledger(&daemon).await[0]["error"]["type"], "signal 15");
}

async fn item(daemon: &DaemonProcess) -> Value {
    expect(daemon.request(Method::GET, "/v1/workflows/nightly/items/run-1"), StatusCode::OK).await
}

/// How long after its beginning a run is due.
fn due_after(item: &Value) -> Duration {
    let at = |name: &str| Timestamp::parse(item[name].as_str().expect("an instant")).expect("an instant");
    at("deadline").since(at("started_at"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_process_is_killed_is_overdue_soon() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let daemon = DaemonProcess::on(directory.path());
    let script = "echo >> ready; exec sleep 60";
    let flags = "--id run-1 --deadline 2h --heartbeat-ttl 3s";
    let mut running = scene.spawn(line(&daemon.url(""), &scene, flags, script));
    scene.lines_when("ready", 1).await;
    let (near, own) = (Duration::from_secs(3), Duration::from_secs(2 * 3600));
    eventually("it to live for longer than its deadline is away", || async {
        let item = item(&daemon).await;
        (item["state"] == "open" && (2 * near..own).contains(&due_after(&item))).then_some(())
    })
    .await;
    running.kill();
    eventually("the run to be overdue", || async {
        (item(&daemon).await["state"] == "overdue").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_is_overdue_at_the_deadline_of_its_run() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let daemon = DaemonProcess::on(directory.path());
    let flags = "--id run-1 --deadline 3s --heartbeat-ttl 1500ms";
    let script = "until [ -e go ]; do sleep 0.05; done";
    let mut running = scene.spawn(line(&daemon.url(""), &scene, flags, script));
    eventually("the run to be overdue at its own deadline", || async {
        let request = daemon.request(Method::GET, "/v1/items?state=overdue");
        let page: Value = expect(request, StatusCode::OK).await;
        let [run] = &page["data"].as_array()?[..] else { return None };
        (due_after(run) == Duration::from_secs(3)).then_some(())
    })
    .await;
    std::fs::write(scene.path("go"), "").unwrap();
    assert_eq!(running.ended().await, 0, "{}", running.notes());
    assert_eq!(item(&daemon).await["outcome"], json!("success"));
}
