//! How long artifacts are kept.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{found, move_all, patch, ready};
use crate::support::{TestDaemon, eventually};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn finished_artifacts_are_forgotten_by_age_and_others_never() {
    let daemon = TestDaemon::builder().config("[artifacts]\nretention = \"1h\"").start().await;
    let ids = ready(&daemon, &["waits", "loaded", "again"]).await;
    move_all(&daemon, &[&ids[1], &ids[2]], "loaded").await.json(200);
    daemon.advance(HOUR / 2);
    move_all(&daemon, &[&ids[2]], "archived").await.json(200);
    daemon.advance(HOUR / 2);
    eventually("the first one is forgotten", || async {
        (found(&daemon, "").await == ["waits", "again"]).then_some(())
    })
    .await;
    daemon.advance(24 * HOUR);
    eventually("the other one is forgotten", || async {
        (found(&daemon, "").await == ["waits"]).then_some(())
    })
    .await;
    daemon.ask(Method::GET, &format!("/v1/artifacts/{}", ids[1])).await.refused(404, "artifact-not-found");
}

#[tokio::test]
async fn dependencies_can_be_added_beside_one_that_was_forgotten() {
    let daemon = TestDaemon::builder().config("[artifacts]\nretention = \"1h\"").start().await;
    let ids = ready(&daemon, &["loaded", "after", "another"]).await;
    patch(&daemon, &ids[1], json!({"depends_on": [ids[0]]})).await.json(200);
    patch(&daemon, &ids[0], json!({"status": "loaded"})).await.json(200);
    daemon.advance(2 * HOUR);
    eventually("what was loaded is forgotten", || async {
        (found(&daemon, "").await == ["after", "another"]).then_some(())
    })
    .await;
    let both = json!({"depends_on": [ids[0], ids[2]]});
    let extended = patch(&daemon, &ids[1], both.clone()).await.json(200);
    assert_eq!(extended["depends_on"], both["depends_on"]);
    let refused = patch(&daemon, &ids[2], json!({"depends_on": [ids[0]]})).await;
    refused.refused(422, "dependency-refused");
}

#[tokio::test]
async fn a_workflow_keeps_its_latest_finished_artifacts() {
    let config = "[artifacts]\nretention_max = 2\nretention = \"1d\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let ids = ready(&daemon, &["a", "b", "c", "d", "e"]).await;
    for id in [&ids[3], &ids[0], &ids[2], &ids[1]] {
        daemon.advance(Duration::from_millis(10));
        move_all(&daemon, &[id], "deleted").await.json(200);
    }
    daemon.advance(Duration::from_secs(2));
    eventually("the two oldest are forgotten", || async {
        (found(&daemon, "").await == ["b", "c", "e"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_artifact_outlives_its_run_unless_it_is_for_the_run_alone() {
    let config = "[workflow_defaults]\nretention = \"0s\"\n[workflows.etl]\nretention = \"1h\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    daemon.create("etl", "run-1", "", "x").await;
    let new = |name: &str, reuse: &str| {
        let run = json!({"workflow": "etl", "id": "run-1"});
        json!({"location": "/tmp", "name": name, "status": "loaded", "use": reuse, "run": run})
    };
    let list = json!([new("kept", "many"), new("temporary", "run")]);
    daemon.send_json(Method::POST, "/v1/artifacts", list).await.json(201);
    assert_eq!(daemon.ask(Method::DELETE, "/v1/workflows/etl/items/run-1").await.status, 204);
    daemon.advance(HOUR / 2);
    daemon.swept().await;
    assert_eq!(found(&daemon, "").await, ["kept", "temporary"], "the run is remembered");
    daemon.advance(HOUR);
    eventually("the run is forgotten, and what is its own", || async {
        (found(&daemon, "").await == ["kept"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_workflow_stays_while_it_has_artifacts_and_takes_finished_ones_with_it() {
    let config = "[workflow_defaults]\nretention = \"0s\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let ids = ready(&daemon, &["a", "b"]).await;
    daemon.advance(2 * HOUR);
    daemon.swept().await;
    assert_eq!(daemon.get("/v1/workflows/etl").await["name"], "etl");
    let refused = daemon.ask(Method::DELETE, "/v1/workflows/etl").await;
    assert!(refused.refused(409, "workflow-in-use").contains("2 of its artifacts are not loaded"));
    patch(&daemon, &ids[0], json!({"status": "loaded"})).await.json(200);
    let refused = daemon.ask(Method::DELETE, "/v1/workflows/etl").await;
    assert!(refused.refused(409, "workflow-in-use").contains("1 of its artifacts is not loaded"));
    patch(&daemon, &ids[1], json!({"status": "deleted"})).await.json(200);
    assert_eq!(daemon.ask(Method::DELETE, "/v1/workflows/etl").await.status, 204);
    assert_eq!(found(&daemon, "").await, [""; 0]);
    daemon.ask(Method::GET, "/v1/workflows/etl").await.refused(404, "workflow-not-found");
}
