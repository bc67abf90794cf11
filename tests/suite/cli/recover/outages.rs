//! The daemon stops in the middle of a recovery, and starts again.

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Scene, numbered};
use crate::support::daemon::expect;
use crate::support::{Address, DaemonProcess};

/// Creates so many overdue items.
async fn lose_many(daemon: &DaemonProcess, count: usize) -> Vec<String> {
    let ids = numbered(count);
    let line = |id: &String| {
        json!({"op": "create", "workflow": "uploads", "id": id, "payload": id, "deadline": "0s"}).to_string()
    };
    let lines = ids.iter().map(line).collect::<Vec<_>>().join("\n");
    let response = daemon.request(Method::POST, "/v1/batch").body(lines).send().await.expect("an answer");
    let text = response.text().await.expect("a body");
    assert_eq!(text.matches("\"status\":201").count(), count, "{text}");
    ids
}

async fn closed(daemon: &DaemonProcess) -> usize {
    let request = daemon.request(Method::GET, "/v1/items?state=closed&limit=1000");
    let page: Value = expect(request, StatusCode::OK).await;
    page["data"].as_array().expect("a list").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_in_the_middle_is_waited_for_and_every_item_is_run_once() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let address = Address::reserve();
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    let ids = lose_many(&daemon, 120).await;
    let flags = "--concurrency 4 --lease-ttl 15s --patience 60s";
    let script = "echo $WARDEN_ITEM_ID >> ran; until [ -e go ]; do sleep 0.01; done; echo >> ended";
    let mut running = scene.start(&address.url(), flags, script);
    scene.lines_when("ran", 4).await;
    daemon.kill();
    // Those that run now end while nobody is there to be told.
    std::fs::write(scene.path("go"), "").unwrap();
    scene.lines_when("ended", 4).await;
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    scene.lines_when("ended", 40).await;
    // Amid claims and settlements.
    daemon.kill();
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    let code = running.ended().await;
    assert_eq!(code, 0, "{}", running.notes());
    assert_eq!(scene.sorted("ran"), ids, "{}", running.notes());
    assert_eq!(closed(&daemon).await, ids.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_come_back_is_given_up() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let address = Address::reserve();
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    lose_many(&daemon, 20).await;
    let flags = "--lease-ttl 1s --patience 1s";
    let mut running = scene.start(&address.url(), flags, "echo $WARDEN_ITEM_ID >> ran; sleep 0.05");
    scene.lines_when("ran", 3).await;
    daemon.kill();
    assert_eq!(running.ended().await, 69);
    let notes = running.notes();
    assert!(
        notes.contains("waiting at most 1s for the daemon") || notes.contains("its answer is lost"),
        "{notes}"
    );
    assert!(notes.contains("cannot reach a warden at"), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_is_killed_leaves_nothing_that_another_cannot_take_up() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let daemon = DaemonProcess::on(directory.path());
    let ids = lose_many(&daemon, 40).await;
    let script = "echo $WARDEN_ITEM_ID >> ran; sleep 0.02";
    let mut killed = scene.start(&daemon.url(""), "--concurrency 4 --lease-ttl 1s", script);
    scene.lines_when("ran", 10).await;
    killed.signal(Signal::KILL);
    let _ = killed.child.wait();
    crate::support::eventually("everything to be recovered", || async {
        super::run(scene.recover(&daemon.url(""), "--concurrency 4", script)).await.done();
        (closed(&daemon).await == ids.len()).then_some(())
    })
    .await;
    let mut ran = scene.sorted("ran");
    let runs = ran.len();
    ran.dedup();
    assert_eq!(ran, ids);
    assert!(runs <= ids.len() + 4, "only what was running when it died ran twice: {runs}");
}
