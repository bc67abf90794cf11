//! Ctrl-C, and lost leases.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Scene, in_state, item, lose, lose_many, runs};
use crate::support::{TestDaemon, eventually, within_patience};

#[tokio::test]
async fn after_ctrl_c_what_runs_may_finish_and_all_else_can_be_claimed_at_once() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 9).await;
    let script = "echo $WARDEN_ITEM_ID >> ran; until [ -e go ]; do sleep 0.01; done";
    let mut running = scene.start(&daemon.url(""), "--concurrency 2", script);
    scene.lines_when("ran", 2).await;
    running.signal(Signal::INT);
    running.said("claiming no more items; 2 running may finish, signal again to end them").await;
    std::fs::write(scene.path("go"), "").unwrap();
    assert_eq!(running.ended().await, 130);
    let notes = running.notes();
    assert!(notes.contains("done 2, failed 0, to be retried 0, lost 0, skipped 0"), "{notes}");
    assert!(notes.ends_with("warden: interrupted\n"), "{notes}");
    assert_eq!(in_state(&daemon, "closed").await, ids[..2]);
    let claimed = daemon.send_json(Method::POST, "/v1/leases", json!({"max": 100})).await.json(200);
    assert_eq!(claimed["leases"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_second_ctrl_c_ends_what_runs_and_gives_it_back_unharmed() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 3).await;
    let mut running =
        scene.start(&daemon.url(""), "--concurrency 2", "echo $$ >> ran; echo up >&2; sleep 60; exit 0");
    let processes = scene.lines_when("ran", 2).await;
    running.signal(Signal::INT);
    running.said("claiming no more items").await;
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await, 130);
    let notes = running.notes();
    assert!(notes.contains("done 0, failed 0, to be retried 0, lost 0, skipped 2"), "{notes}");
    assert!(!processes.iter().any(|process| runs(process)));
    for id in &ids {
        let item = item(&daemon, id).await;
        assert_eq!((&item["lease"], &item["errors"]), (&Value::Null, &json!([])), "{item}");
    }
    let claimed = daemon.send_json(Method::POST, "/v1/leases", json!({"max": 100})).await.json(200);
    assert_eq!(claimed["leases"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_third_ctrl_c_leaves_at_once_whoever_does_not_listen() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a"]).await;
    let script = "trap '' TERM; echo $$ >> ran; while :; do sleep 1; done";
    let mut running = scene.start(&daemon.url(""), "", script);
    let processes = scene.lines_when("ran", 1).await;
    running.signal(Signal::INT);
    running.said("claiming no more items").await;
    running.signal(Signal::INT);
    running.said("ending 1 running").await;
    running.signal(Signal::INT);
    assert_eq!(running.ended().await, 130);
    assert!(!runs(&processes[0]));
}

#[tokio::test]
async fn the_terminal_s_ctrl_c_does_not_reach_the_commands() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a"]).await;
    scene.recovered(&daemon, "", "ps -o pgid= -p $$ > group; echo $$ > own").await.done();
    assert_eq!(scene.lines("group")[0].trim(), scene.lines("own")[0]);
}

#[tokio::test]
async fn a_command_whose_item_is_closed_meanwhile_is_killed() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a", "b"]).await;
    let script = "echo $$ >> ran; [ $WARDEN_ITEM_ID = b ] || { trap '' TERM; sleep 60; echo late >> ran; }";
    let mut running = scene.start(&daemon.url(""), "--lease-ttl 1s", script);
    let processes = scene.lines_when("ran", 1).await;
    daemon.close("uploads", "a").await;
    assert_eq!(running.ended().await, 1);
    let notes = running.notes();
    assert!(notes.contains("uploads/a lost: ") && notes.contains("closed"), "{notes}");
    assert!(notes.contains("done 1, failed 0, to be retried 0, lost 1, skipped 0"), "{notes}");
    assert!(!runs(&processes[0]));
    assert_eq!(scene.lines("ran").len(), 2);
}

#[tokio::test]
async fn a_command_whose_lease_has_gone_to_another_is_killed_and_does_nothing_to_the_item() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    lose(&daemon, &["a"]).await;
    let mut running = scene.start(&daemon.url(""), "--lease-ttl 3s", "echo $$ >> ran; sleep 60");
    scene.lines_when("ran", 1).await;
    // To the daemon the lease has run out before the first heartbeat.
    daemon.advance(Duration::from_secs(4));
    let claimed = daemon.send_json(Method::POST, "/v1/leases", json!({"worker": "other"})).await.json(200);
    assert_eq!(claimed["leases"].as_array().unwrap().len(), 1);
    assert_eq!(running.ended().await, 1);
    let notes = running.notes();
    assert!(notes.contains("uploads/a lost: "), "{notes}");
    assert_eq!(item(&daemon, "a").await["lease"]["worker"], "other");
}

#[tokio::test]
async fn two_recoveries_at_once_never_run_an_item_twice() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 80).await;
    let script = "echo $WARDEN_ITEM_ID >> ran";
    let both = tokio::join!(
        scene.recovered(&daemon, "--concurrency 3", script),
        scene.recovered(&daemon, "--concurrency 3", script),
    );
    both.0.done();
    both.1.done();
    assert_eq!(scene.sorted("ran"), ids);
    assert_eq!(in_state(&daemon, "closed").await, ids);
}

#[tokio::test]
async fn whoever_does_not_read_what_is_told_does_not_cost_a_lease() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let ids = lose_many(&daemon, 80).await;
    // Far more is told than a pipe holds, and then the last command wants its lease for long.
    let script = "echo $WARDEN_ITEM_ID >> ran; \
        [ $WARDEN_ITEM_ID = file-079 ] || { head -c 1500 /dev/zero | tr '\\0' x >&2; exit 1; }; \
        until [ -e go ]; do sleep 0.01; done";
    let mut command = scene.recover(&daemon.url(""), "--concurrency 8 --lease-ttl 1s", script);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let notes = child.stderr.take().unwrap();
    eventually("the last command", || async { scene.lines("ran").contains(&ids[79]).then_some(()) }).await;
    let lease = item(&daemon, "file-079").await["lease"]["expires_at"].clone();
    daemon.advance(Duration::from_millis(500));
    eventually("a heartbeat", || async {
        (item(&daemon, "file-079").await["lease"]["expires_at"] != lease).then_some(())
    })
    .await;
    std::fs::write(scene.path("go"), "").unwrap();
    eventually("the last item to be closed", || async {
        (item(&daemon, "file-079").await["state"] == "closed").then_some(())
    })
    .await;
    assert!(child.try_wait().unwrap().is_none(), "it still waits for somebody to read");
    let read = tokio::task::spawn_blocking(move || std::io::read_to_string(notes).unwrap());
    let notes = within_patience("all to be read", read).await.unwrap();
    assert!(notes.contains("done 1, failed 79, to be retried 0, lost 0, skipped 0"), "{notes}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
