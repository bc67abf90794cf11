//! `warden progress`: by the item, and in a command by its lease.

use reqwest::Method;
use serde_json::{Value, json};

use super::recover::Scene;
use super::{command, run, warden};
use crate::support::{TestDaemon, process};

const ETL: &str = "[workflows.etl]\nsteps = [\"extract\", \"load\"]";

async fn etl() -> TestDaemon {
    let daemon = TestDaemon::builder().config(ETL).start().await;
    daemon.create("etl", "run 7", "", "x").await;
    daemon
}

fn words<'a>(action: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["progress", action, "--workflow", "etl", "run 7"], rest].concat()
}

#[tokio::test]
async fn the_documents_of_a_named_item_are_read_and_changed() {
    let daemon = etl().await;
    let document = async |rest: &[&str]| warden(&daemon, &words("get", rest)).await.json();
    assert_eq!(document(&[]).await, json!({}));
    for (action, value) in [
        ("set", r#"{"a": {"b": 1, "c": 2}, "d": 3}"#),
        ("assign", r#"{"a": {"e": 5}, "f": null}"#),
        ("merge", r#"{"a": {"g": 7}, "d": null}"#),
    ] {
        assert_eq!(warden(&daemon, &words(action, &[value])).await.done(), "");
    }
    assert_eq!(document(&[]).await, json!({"a": {"e": 5, "g": 7}, "f": null}));
    let changed =
        warden(&daemon, &words("set", &["--step=load", r#"{"rows": 1}"#, "--output", "json"])).await;
    assert_eq!(changed.json(), json!({"rows": 1}));
    assert_eq!(document(&["--step=load"]).await, json!({"rows": 1}));
    assert_eq!(document(&["--step=extract"]).await, json!({}));
}

#[tokio::test]
async fn a_change_may_be_for_one_version_alone() {
    let daemon = etl().await;
    let version = daemon.get("/v1/workflows/etl/items/run%207").await["version"].to_string();
    warden(&daemon, &words("set", &["--if-version", &version, "{}"])).await.done();
    let notes = warden(&daemon, &words("set", &["--if-version", &version, "{}"])).await.failed(1);
    assert!(notes.contains("version"), "{notes}");
}

#[tokio::test]
async fn what_names_no_item_or_is_no_document_is_a_wrong_command_line() {
    let daemon = etl().await;
    for (line, said) in [
        (&["progress", "get"][..], "name the item: --workflow NAME ID; only in a command of"),
        (&["progress", "get", "--workflow", "etl"], "name the item: --workflow NAME ID"),
        (&["progress", "get", "--workflow", "etl", "a", "--step"], "name the step: --step=STEP"),
        (&["progress", "set", "--workflow", "etl", "a", "7"], "progress is a JSON object"),
        (&["progress", "set", "{}", "{}"], "name the item"),
    ] {
        let notes = warden(&daemon, line).await.failed(64);
        assert!(notes.contains(said), "{notes}");
    }
    let notes = warden(&daemon, &words("get", &["--step=clean"])).await.failed(1);
    assert!(notes.contains("clean"), "{notes}");
}

/// `warden work` for the step `extract` with a script, in which `warden` is the binary.
fn work(daemon: &TestDaemon, scene: &Scene, script: &str) -> std::process::Command {
    let binary = process::binary().get_program().to_str().unwrap().to_owned();
    let step = format!("--step=extract=warden() {{ {binary} \"$@\"; }}; {script}");
    let mut command = command(&daemon.url(""), &["work", "--workflow", "etl", "--max", "1", &step]);
    command.current_dir(scene.path("")).env_remove("WARDEN_URL").args(["--url", &daemon.url("")]);
    command
}

#[tokio::test]
async fn a_command_knows_its_item_and_changes_it_with_its_lease() {
    let (daemon, scene) = (etl().await, Scene::new());
    let script = "set -e; warden progress set --step '{\"rows\": 1}'
        echo '{\"rows\": 2, \"of\": null}' | warden progress assign --step -
        warden progress merge '{\"all\": {\"n\": 3}}'
        warden progress get --step >> log; warden progress get >> log
        warden progress set --step=load '{}' 2>> log || echo $? >> log";
    run(work(&daemon, &scene, script)).await.done();
    let lines = scene.lines("log");
    let documents: Vec<Value> = lines[..2].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents, [json!({"rows": 2, "of": null}), json!({"all": {"n": 3}})]);
    assert!(lines[2].contains("the lease is for another step than load"), "{lines:?}");
    assert_eq!(lines[3], "64");
    let item = daemon.get("/v1/workflows/etl/items/run%207").await;
    assert_eq!((&item["step"], &item["steps"][0]["progress"]["rows"]), (&json!("load"), &json!(2)));
}

#[tokio::test]
async fn a_command_of_a_recovery_knows_its_item_as_well() {
    let (daemon, scene) = (TestDaemon::builder().config(ETL).start().await, Scene::new());
    daemon.create("etl", "late", "?deadline=0s", "x").await;
    let binary = process::binary().get_program().to_str().unwrap().to_owned();
    let script = format!("{binary} progress set --step '{{\"rows\": 1}}'");
    let flags = format!("--workflow etl --url {}", daemon.url(""));
    let mut recover = scene.recover("", &flags, &script);
    recover.env_remove("WARDEN_URL");
    run(recover).await.done();
    let item = daemon.get("/v1/workflows/etl/items/late").await;
    assert_eq!((&item["step"], &item["steps"][0]["progress"]), (&json!("load"), &json!({"rows": 1})));
}

#[tokio::test]
async fn a_command_that_lost_its_lease_changes_nothing() {
    let (daemon, scene) = (etl().await, Scene::new());
    let script = "echo begun >> log; until test -e go; do sleep 0.02; done
        warden progress set '{\"late\": 1}' 2>> log; echo $? >> log";
    let mut running = scene.spawn(work(&daemon, &scene, script));
    scene.lines_when("log", 1).await;
    let cancelled = daemon.response(Method::POST, "/v1/workflows/etl/items/run%207/cancel").await;
    assert_eq!(cancelled.status(), 204);
    std::fs::write(scene.path("go"), "").unwrap();
    let lines = scene.lines_when("log", 3).await;
    assert!(lines[1].starts_with("warden: the lease is lost: "), "{lines:?}");
    assert_eq!(lines[2], "1");
    assert_eq!(daemon.get("/v1/workflows/etl/items/run%207").await["progress"], json!({}));
    assert_eq!(running.ended().await, 1);
    assert!(running.notes().contains("etl/run 7 at extract lost: "), "{}", running.notes());
}
