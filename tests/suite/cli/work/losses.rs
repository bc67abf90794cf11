//! What ends a command from outside: a lost lease, and the stop of the worker.

use reqwest::Method;
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;

use super::{Scene, etl, item, start};
use crate::support::{Address, eventually};

#[tokio::test]
async fn a_lost_lease_stops_the_command_and_the_worker_goes_on() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let script = "echo $$ >> pids; test $WARDEN_ITEM_ID = b || { trap '' TERM; while :; do sleep 1; done; }";
    let mut running = start(&daemon, &scene, "--lease-ttl 1s", &[("extract", script)]);
    let pid: i32 = scene.lines_when("pids", 1).await[0].parse().unwrap();
    let cancelled = daemon.response(Method::POST, "/v1/workflows/etl/items/a/cancel").await;
    assert_eq!(cancelled.status(), 204);
    let pid = Pid::from_raw(pid).unwrap();
    eventually("the end of the command", || async { test_kill_process(pid).is_err().then_some(()) }).await;
    running.said("etl/a at extract lost: ").await;
    daemon.create("etl", "b", "", "x").await;
    let moved = || async { (item(&daemon, "b").await["step"] == "clean").then_some(()) };
    eventually("the next item", moved).await;
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await, 0);
}

#[tokio::test]
async fn sigterm_lets_a_command_finish_and_begins_no_other() {
    let (daemon, scene) = (etl().await, Scene::new());
    for id in ["a", "b"] {
        daemon.create("etl", id, "", "x").await;
    }
    let script = "echo $WARDEN_ITEM_ID >> begun; until test -e go; do sleep 0.02; done";
    let mut running = start(&daemon, &scene, "", &[("extract", script)]);
    scene.lines_when("begun", 1).await;
    running.signal(Signal::TERM);
    running.said("claiming no more items; what runs may finish within 30s").await;
    std::fs::write(scene.path("go"), "").unwrap();
    assert_eq!(running.ended().await, 0);
    assert_eq!(scene.lines("begun"), ["a"]);
    let (first, second) = (item(&daemon, "a").await, item(&daemon, "b").await);
    assert_eq!((&first["step"], &second["step"]), (&json!("clean"), &json!("extract")));
    assert!(running.notes().contains("steps: 1 done, in "), "{}", running.notes());
}

#[tokio::test]
async fn what_does_not_finish_within_the_grace_is_ended_and_released() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let script = "trap 'echo told >> log; exit 0' TERM; echo begun >> log; while :; do sleep 0.02; done";
    let mut running = start(&daemon, &scene, "--grace 100ms --until-empty", &[("extract", script)]);
    scene.lines_when("log", 1).await;
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await, 130);
    assert_eq!(scene.lines("log"), ["begun", "told"]);
    let item = item(&daemon, "a").await;
    assert_eq!(
        (&item["step"], &item["lease"], &item["step_attempts"]),
        (&json!("extract"), &json!(null), &json!(0))
    );
}

#[tokio::test]
async fn a_second_signal_ends_a_command_at_once() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let script = "echo begun >> log; while :; do sleep 0.02; done";
    let mut running = start(&daemon, &scene, "--grace 1h", &[("extract", script)]);
    scene.lines_when("log", 1).await;
    running.signal(Signal::INT);
    running.said("signal again").await;
    running.signal(Signal::INT);
    assert_eq!(running.ended().await, 0);
    assert!(running.notes().contains("etl/a at extract released: interrupted"), "{}", running.notes());
}

#[tokio::test]
async fn a_worker_waits_for_a_daemon_that_is_away() {
    let (daemon, scene, address) = (etl().await, Scene::new(), Address::reserve());
    let mut command = super::work(&daemon, &scene, "", &[("extract", "true")]);
    command.env("WARDEN_URL", address.url());
    let mut running = scene.spawn(command);
    running.said("waiting for the daemon: cannot reach a warden").await;
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await, 0);
}
