//! The warden is away: the command runs, and its report arrives later, once.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{NOBODY, Scene, line, ran, run, spooled};
use crate::cli::command;
use crate::support::daemon::expect;
use crate::support::{Address, DaemonProcess, TestDaemon, eventually};

fn spool(scene: &Scene, url: &str, words: &[&str]) -> Command {
    let words = [&["spool"], words].concat();
    let mut command = command(url, &words);
    command.env("WARDEN_SPOOL", scene.path("spool"));
    command
}

/// Makes reports that were for nobody reports for this daemon.
fn readdress(scene: &Scene, daemon: &TestDaemon) {
    for name in spooled(scene) {
        let path = scene.path(&format!("spool/{name}"));
        let report = std::fs::read_to_string(&path).unwrap().replace(NOBODY, &daemon.url(""));
        std::fs::write(&path, report).unwrap();
    }
}

async fn ledger(daemon: &DaemonProcess) -> Vec<Value> {
    let page: Value = expect(daemon.request(Method::GET, "/v1/workflows/nightly/runs"), StatusCode::OK).await;
    page["data"].as_array().expect("a page").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_while_the_warden_was_away_is_told_afterwards_and_once() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let address = Address::reserve();
    let url = address.url();
    let flags = "--id good --label a:b --patience 200ms";
    let (out, notes) = run(line(&url, &scene, flags, "echo out; sleep 0.3")).await.ended(0);
    assert_eq!(out, "out\n");
    assert!(notes.starts_with("warden: the command runs without its warden: cannot reach"), "{notes}");
    assert!(notes.contains("warden: the report is kept in "), "{notes}");
    run(line(&url, &scene, "--id bad --patience 200ms", "echo no host; exit 3")).await.ended(3);
    let files = spooled(&scene);
    assert_eq!(files.len(), 2, "{files:?}");
    let mode = |name: &str| scene.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("spool"), mode(&format!("spool/{}", files[0]))), (0o700, 0o600));
    let listed = run(spool(&scene, NOBODY, &["list"])).await.done();
    assert!(listed.contains("good") && listed.contains("exit 3"), "{listed}");
    // A copy, to deliver them twice.
    let status = Command::new("cp").args(["-r", "spool", "copy"]).current_dir(scene.path("")).status();
    assert!(status.unwrap().success());
    run(spool(&scene, &url, &["flush"])).await.ended(69);
    assert_eq!(spooled(&scene).len(), 2);
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    assert_eq!(run(spool(&scene, &url, &["flush"])).await.done(), "delivered 2 reports\n");
    assert!(spooled(&scene).is_empty());
    let runs = ledger(&daemon).await;
    let of = |id: &str| runs.iter().find(|run| run["id"] == id).expect("the run");
    assert_eq!(of("good")["status"], "success");
    assert!(of("good")["duration"].as_f64().unwrap() >= 0.3, "{}", of("good"));
    let bad = of("bad");
    assert_eq!(json!([bad["status"], bad["error"]["type"]]), json!(["failed", "exit 3"]));
    let at = |name: &str| bad[name].as_str().expect("an instant");
    assert!(at("ended_at") < at("created_at"), "{bad}");
    std::fs::remove_dir(scene.path("spool")).unwrap();
    std::fs::rename(scene.path("copy"), scene.path("spool")).unwrap();
    assert_eq!(run(spool(&scene, &url, &["flush"])).await.done(), "delivered 2 reports\n");
    assert_eq!(ledger(&daemon).await, runs);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_delivers_what_earlier_ones_left() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let address = Address::reserve();
    let url = address.url();
    run(line(&url, &scene, "--id early --patience 200ms", "true")).await.ended(0);
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    let (_, notes) = run(line(&url, &scene, "--id late", "true")).await.ended(0);
    assert_eq!(notes, "warden: delivered 1 report of earlier runs\n");
    let mut ids: Vec<String> = ledger(&daemon).await.iter().map(|run| run["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["\"early\"", "\"late\""]);
    assert!(spooled(&scene).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warden_that_goes_while_the_command_runs_is_told_later() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let address = Address::reserve();
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    let url = address.url();
    let script = "echo >> ready; until [ -e go ]; do sleep 0.02; done; exit 9";
    // Enough for the beginning, and spent in vain at the end.
    let mut running = scene.spawn(line(&url, &scene, "--id run-1 --patience 5s", script));
    scene.lines_when("ready", 1).await;
    assert!(spooled(&scene).is_empty(), "the warden knows of the run");
    daemon.kill();
    std::fs::write(scene.path("go"), "").unwrap();
    assert_eq!(running.ended().await, 9);
    assert_eq!(spooled(&scene).len(), 1, "{}", running.notes());
    let daemon = DaemonProcess::at(directory.path(), address.as_str());
    run(spool(&scene, &url, &["flush"])).await.done();
    let run = ledger(&daemon).await.remove(0);
    assert_eq!(json!([run["number"], run["status"], run["error"]["type"]]), json!([1, "failed", "exit 9"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_outlives_a_kill_from_the_moment_at_which_the_command_has_ended() {
    let (directory, scene) = (tempfile::tempdir().expect("a directory"), Scene::new());
    let daemon = DaemonProcess::on(directory.path());
    let script = "echo >> ready; until [ -e go ]; do sleep 0.02; done; exit 9";
    let flags = "--id run-1 --patience 60s";
    let mut running = scene.spawn(line(&daemon.url(""), &scene, flags, script));
    scene.lines_when("ready", 1).await;
    daemon.signal(Signal::STOP);
    std::fs::write(scene.path("go"), "").unwrap();
    let stored = || async { spooled(&scene).iter().any(|name| name.ends_with(".json")).then_some(()) };
    eventually("the report to be stored", stored).await;
    running.kill();
    daemon.signal(Signal::CONT);
    run(spool(&scene, &daemon.url(""), &["flush"])).await.done();
    let run = ledger(&daemon).await.remove(0);
    assert_eq!(json!([run["number"], run["status"], run["error"]["type"]]), json!([1, "failed", "exit 9"]));
}

#[tokio::test]
async fn the_report_of_a_command_that_runs_is_left_alone_and_that_of_a_killed_one_is_delivered() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let mut running = scene.spawn(line(NOBODY, &scene, "--id lost", "echo >> ready; exec sleep 60"));
    scene.lines_when("ready", 1).await;
    let listed = run(spool(&scene, NOBODY, &["list", "--output", "json"])).await.json();
    assert_eq!(listed["ending"], "running");
    let (_, notes) = run(spool(&scene, NOBODY, &["flush"])).await.ended(0);
    assert_eq!(notes, "1 report of a command that is running\n");
    running.kill();
    let (_, notes) = run(spool(&scene, &daemon.url(""), &["flush"])).await.ended(0);
    assert_eq!(notes, "1 report for another warden\n");
    readdress(&scene, &daemon);
    run(spool(&scene, &daemon.url(""), &["flush"])).await.done();
    let found = super::ledger(&daemon).await.remove(0);
    assert_eq!(
        json!([found["id"], found["status"], found["error"]["type"]]),
        json!(["lost", "failed", "run_lost"])
    );
}

#[tokio::test]
async fn a_command_runs_although_its_report_cannot_be_stored() {
    let scene = Scene::new();
    std::fs::write(scene.path("file"), "").unwrap();
    std::fs::create_dir(scene.path("full")).unwrap();
    for number in 0..1_000 {
        std::fs::write(scene.path(&format!("full/{number:04}.json")), "{}").unwrap();
    }
    for (place, reason) in
        [("file/spool", "Not a directory"), ("full", "it has 1000 reports, which is the limit")]
    {
        let mut line = line(NOBODY, &scene, "", "echo out; exit 5");
        line.env("WARDEN_SPOOL", scene.path(place));
        let (out, notes) = run(line).await.ended(5);
        assert_eq!(out, "out\n");
        assert!(notes.contains(reason) && notes.contains("the report of the run is lost"), "{notes}");
    }
    let mut line = line(NOBODY, &scene, "", "exit 5");
    line.env_remove("WARDEN_SPOOL").env_remove("HOME").env_remove("XDG_STATE_HOME");
    let notes = run(line).await.failed(5);
    assert!(notes.contains("its report cannot be stored: set --spool"), "{notes}");
}

#[tokio::test]
async fn a_token_that_is_refused_stops_no_command() {
    let config = "[[tokens]]\nname = \"cron\"\n\
        sha256 = \"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\"\n\
        scopes = [\"ingest\", \"read\"]\n";
    let (daemon, scene) = (TestDaemon::builder().config(config).start().await, Scene::new());
    let (out, notes) = ran(&daemon, &scene, "--token wrong", "echo out").await.ended(0);
    assert_eq!(out, "out\n");
    assert!(notes.contains("is unknown to this warden"), "{notes}");
    run(spool(&scene, &daemon.url(""), &["flush", "--token", "wrong"])).await.ended(77);
    run(spool(&scene, &daemon.url(""), &["flush", "--token", "foo"])).await.done();
    assert!(spooled(&scene).is_empty());
}

#[tokio::test]
async fn reports_that_are_damaged_or_refused_stay_until_they_are_dropped() {
    let config = "[limits]\nworkflows_max = 1\n[workflows.other]";
    let (daemon, scene) = (TestDaemon::builder().config(config).start().await, Scene::new());
    run(line(NOBODY, &scene, "", "true")).await.ended(0);
    readdress(&scene, &daemon);
    std::fs::write(scene.path("spool/damaged.json"), "{").unwrap();
    let (_, notes) = run(spool(&scene, &daemon.url(""), &["flush"])).await.ended(1);
    assert!(notes.contains("damaged.json: EOF") && notes.contains("limits.workflows_max"), "{notes}");
    assert!(notes.contains("--drop-refused removes them"), "{notes}");
    assert_eq!(spooled(&scene).len(), 2);
    let (_, notes) = run(spool(&scene, &daemon.url(""), &["flush", "--drop-refused"])).await.ended(0);
    assert_eq!(notes.lines().filter(|line| line.starts_with("removed ")).count(), 2, "{notes}");
    assert!(spooled(&scene).is_empty());
}
