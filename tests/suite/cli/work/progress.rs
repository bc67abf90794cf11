//! Progress of commands, in files.

use std::time::Duration;

use serde_json::json;

use super::{Scene, etl, item, run, start, work, worked};
use crate::support::eventually;

#[tokio::test]
async fn progress_survives_a_worker_that_is_killed() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let script = "cat $WARDEN_PROGRESS_FILE >> log; test -e second || { echo '{\"row\": 7}' > \
                  $WARDEN_PROGRESS_FILE; while test ! -e second; do sleep 0.02; done; }";
    let mut running = start(&daemon, &scene, "--lease-ttl 1s", &[("extract", script)]);
    let saved = || async {
        let progress = daemon.get("/v1/workflows/etl/items/a/steps/extract/progress").await;
        (progress == json!({"row": 7})).then_some(())
    };
    eventually("saved progress", saved).await;
    running.kill();
    std::fs::write(scene.path("second"), "").unwrap();
    daemon.advance(Duration::from_secs(2));
    worked(&daemon, &scene, "", &[("extract", script)]).await.done();
    assert_eq!(scene.lines("log"), ["{}", "{\"row\":7}"]);
    let item = item(&daemon, "a").await;
    assert_eq!((&item["step"], &item["steps"][0]["attempts"]), (&json!("clean"), &json!(2)));
}

#[tokio::test]
async fn progress_is_saved_at_the_end_and_what_is_shared_is_passed_on() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let extract = "echo '{\"rows\": 3}' > $WARDEN_SHARED_PROGRESS_FILE; echo '{\"of\": 1}' > \
                   $WARDEN_PROGRESS_FILE; exit 75";
    run(work(&daemon, &scene, "--max 1", &[("extract", extract)])).await.ended(1);
    assert_eq!(item(&daemon, "a").await["progress"], json!({"rows": 3}));
    daemon.advance(Duration::from_secs(3_600));
    let show = "cat $WARDEN_PROGRESS_FILE $WARDEN_SHARED_PROGRESS_FILE >> log";
    let steps = [("extract", show), ("clean", show), ("load", "rm $WARDEN_PROGRESS_FILE")];
    let on_close = "--on-close=cat${IFS}$WARDEN_SHARED_PROGRESS_FILE>closed";
    worked(&daemon, &scene, on_close, &steps).await.done();
    assert_eq!(scene.lines("log"), ["{\"of\":1}", "{\"rows\":3}", "{}", "{\"rows\":3}"]);
    assert_eq!(scene.lines("closed"), ["{\"rows\":3}"]);
}

#[tokio::test]
async fn what_is_no_document_at_the_end_fails_the_item() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let script = "echo 7 rows > $WARDEN_PROGRESS_FILE; echo '{\"rows\": 3}' > $WARDEN_SHARED_PROGRESS_FILE";
    let (_, notes) = worked(&daemon, &scene, "", &[("extract", script)]).await.ended(1);
    assert!(notes.contains("the file in WARDEN_PROGRESS_FILE cannot be saved as progress"), "{notes}");
    let item = item(&daemon, "a").await;
    assert_eq!((&item["state"], &item["errors"][0]["type"]), (&json!("failed"), &json!("progress")));
    assert_eq!(item["progress"], json!({"rows": 3}), "the other document is saved");
}

#[tokio::test]
async fn an_item_does_not_fail_because_its_progress_cannot_be_written_to_a_file() {
    let (daemon, scene) = (etl().await, Scene::new());
    daemon.create("etl", "a", "", "x").await;
    let mut command = work(&daemon, &scene, "--until-empty", &[("extract", "echo run >> log")]);
    command.env("TMPDIR", scene.path("gone"));
    let (_, notes) = run(command).await.ended(1);
    assert!(notes.contains("released: its progress cannot be written to a file"), "{notes}");
    let item = item(&daemon, "a").await;
    assert_eq!((&item["state"], &item["step_attempts"]), (&json!("open"), &json!(0)));
    assert_eq!(scene.lines("log").len(), 0);
}
