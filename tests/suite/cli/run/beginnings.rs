//! Whether the command is started, and what it is told.

use reqwest::Method;
use serde_json::json;

use super::{Scene, item, ledger, ran, spooled};
use crate::cli::warden;
use crate::support::TestDaemon;

const JOBS: &str = "[workflows.nightly.params]\nenv = \"it's prod\"\nlist = [1, 2]\n\
    [workflows.nightly.jobs.orders]\ninitial_from = \"2025-12-31T00:00:00Z\"\n\
    [workflows.nightly.jobs.\"b.c\"]\nparams = { table = \"two\\nlines\" }\n";

#[tokio::test]
async fn a_command_is_told_what_params_prints_for_a_shell() {
    let (daemon, scene) = (TestDaemon::builder().config(JOBS).start().await, Scene::new());
    // What the shell has of the run, and what it has of the assignments alone, in the same order.
    let listed = "env -0 | grep -zE '^WARDEN_(RUN|SHARED|JOB)_' | sort -z";
    let script = format!(
        "{listed} > told; \"$0\" params nightly --format env > params; \
         env -i PATH=\"$PATH\" sh -c 'set -a; . ./params; {}' > expected; \
         echo \"$WARDEN_WORKFLOW\" > workflow",
        listed.replace('\'', "'\\''")
    );
    let script = script.replace("\"$0\"", env!("CARGO_BIN_EXE_warden"));
    ran(&daemon, &scene, "--id run-1 --label region:eu --source crm --actor cron", &script).await.done();
    let told = std::fs::read_to_string(scene.path("told")).unwrap();
    assert_eq!(told, std::fs::read_to_string(scene.path("expected")).unwrap());
    assert!(
        told.contains("WARDEN_JOB_B_C_TABLE=two\nlines") && told.contains("WARDEN_RUN_NUMBER=1"),
        "{told}"
    );
    assert_eq!(scene.lines("workflow"), ["nightly"]);
    let run = &ledger(&daemon).await[0];
    assert_eq!((&run["status"], &run["lineage"]["actor"]), (&json!("success"), &json!("cron")));
    assert_eq!(item(&daemon, "run-1").await["labels"], json!({"region": "eu"}));
}

#[tokio::test]
async fn an_outer_run_is_hidden_from_an_inner_one() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    let mut line =
        super::line(&daemon.url(""), &scene, "--id inner", "echo $WARDEN_JOB_ORDERS_FROM $WARDEN_RUN_ID");
    line.env("WARDEN_JOB_ORDERS_FROM", "2025-12-31T00:00:00Z").env("WARDEN_RUN_ID", "outer");
    assert_eq!(super::run(line).await.done(), "inner\n");
}

#[tokio::test]
async fn a_run_that_is_held_or_refused_starts_no_command() {
    let config = "[workflows.nightly]\nsingle = \"refuse\"\n\
        [workflows.load]\nsingle = \"refuse\"\n\
        [workflows.report]\nrequires = [{ workflow = \"load\", within = \"1d\" }]\n";
    let (daemon, scene) = (TestDaemon::builder().config(config).start().await, Scene::new());
    let script = "echo >> ran";
    daemon.ask(Method::POST, "/v1/workflows/nightly/runs").await.json(201);
    let notes = ran(&daemon, &scene, "", script).await.failed(81);
    assert!(notes.starts_with("warden: run 1 of the workflow nightly is open"), "{notes}");
    ran(&daemon, &scene, "--workflow report", script).await.failed(64);
    let words = ["run", "--workflow", "report", "--", "sh", "-c", script];
    warden(&daemon, &words).await.failed(83);
    warden(&daemon, &["close-run", "nightly"]).await.done();
    warden(&daemon, &["hold", "nightly"]).await.done();
    ran(&daemon, &scene, "", script).await.failed(80);
    ran(&daemon, &scene, "", script).await.failed(82);
    ran(&daemon, &scene, "--label ä:b", script).await.failed(64);
    assert!(scene.lines("ran").is_empty() && spooled(&scene).is_empty());
}

#[tokio::test]
async fn a_run_whose_id_has_ended_is_not_run_again() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    ran(&daemon, &scene, "--id monday", "echo >> ran").await.done();
    let notes = ran(&daemon, &scene, "--id monday", "echo >> ran").await.failed(1);
    assert!(notes.contains("closed"), "{notes}");
    assert_eq!(scene.lines("ran").len(), 1);
}

#[tokio::test]
async fn a_held_run_is_taken_up_by_its_id_once_it_is_released() {
    let (daemon, scene) = (TestDaemon::start().await, Scene::new());
    daemon.ask(Method::POST, "/v1/workflows/nightly/runs").await.json(201);
    warden(&daemon, &["close-run", "nightly"]).await.done();
    warden(&daemon, &["hold", "nightly"]).await.done();
    ran(&daemon, &scene, "--id monday", "echo >> ran").await.failed(80);
    warden(&daemon, &["release", "nightly"]).await.done();
    ran(&daemon, &scene, "--id monday", "echo >> ran").await.done();
    assert_eq!(ledger(&daemon).await[0]["status"], "success");
}
