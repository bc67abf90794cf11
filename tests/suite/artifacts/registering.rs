//! Registering and changing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{get, names, patch, ready};
use crate::support::{TestDaemon, ask};

#[tokio::test]
async fn what_is_registered_again_is_answered_as_it_is() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    let new = json!({
        "workflow": "etl", "location": "s3://in/2026", "name": "a/b.csv", "alias": "yesterday's",
        "use": "once", "size": 12, "records": {"written": 3}, "low": "2026-01-01", "high": "2026-01-31",
        "format": "csv", "compression": "gzip",
    });
    let made = daemon.send_json(Method::POST, "/v1/artifacts", new.clone()).await.json(201);
    assert!(made["id"].as_str().unwrap().starts_with("art_"));
    let expected = json!({
        "id": made["id"], "workflow": "etl", "location": "s3://in/2026", "name": "a/b.csv",
        "alias": "yesterday's", "status": "initializing", "status_at": "2026-01-01T00:00:00.000Z",
        "registered_at": "2026-01-01T00:00:00.000Z", "loaded_at": null, "use": "once", "run": null,
        "size": 12, "records": {"written": 3, "read": null}, "low": "2026-01-01", "high": "2026-01-31",
        "format": "csv", "compression": "gzip", "depends_on": [], "uses": [], "version": 1,
    });
    assert_eq!(made, expected);
    let moved = patch(&daemon, made["id"].as_str().unwrap(), json!({"status": "loaded"})).await.json(200);
    daemon.restart().await;
    daemon.advance(Duration::from_secs(60));
    let again = daemon.send_json(Method::POST, "/v1/artifacts", new).await.json(200);
    assert_eq!(again, moved);
    assert_eq!((&again["status"], &again["version"]), (&json!("loaded"), &json!(2)));
}

#[tokio::test]
async fn an_artifact_is_changed_only_if_it_has_the_version_that_the_client_knows() {
    let daemon = TestDaemon::start().await;
    let id = ready(&daemon, &["a"]).await.remove(0);
    let path = format!("/v1/artifacts/{id}");
    let change = async |tag: &str, status: &str| {
        let request = daemon.request(Method::PATCH, &path).header("if-match", tag);
        ask(request.json(&json!({"status": status}))).await
    };
    let got = daemon.ask(Method::GET, &path).await;
    assert_eq!(got.headers["etag"], "\"1\"");
    let changed = change("\"1\"", "loaded").await;
    assert_eq!(changed.headers["etag"], "\"2\"");
    for tag in ["\"1\"", "\"3\"", "2", "W/\"2\""] {
        change(tag, "archived").await.refused(412, "precondition-failed");
    }
    assert_eq!(get(&daemon, &id).await["status"], "loaded");
    for tag in ["*", "\"2\""] {
        assert_eq!(change(tag, "loaded").await.json(200)["version"], 2);
    }
}

#[tokio::test]
async fn an_artifact_that_a_request_names_twice_is_registered_once() {
    let daemon = TestDaemon::start().await;
    let new = |name: &str| json!({"workflow": "etl", "location": "/in", "name": name});
    let list = json!([new("a"), new("b"), new("a")]);
    let made = daemon.send_json(Method::POST, "/v1/artifacts", list).await.json(201);
    assert_eq!((&made["registered"], names(&made)), (&json!(2), ["a", "b", "a"].map(str::to_owned).to_vec()));
    assert_eq!(made["data"][0], made["data"][2]);
}

/// ProcessTracker 9.
#[tokio::test]
async fn a_directory_that_is_registered_again_leaves_what_is_loaded_alone() {
    let daemon = TestDaemon::start().await;
    let ids = ready(&daemon, &["a.csv", "b.csv"]).await;
    patch(&daemon, &ids[0], json!({"status": "loaded"})).await.json(200);
    let new = |name: &str| json!({"workflow": "etl", "location": "/in", "name": name, "status": "ready"});
    let list = json!(["a.csv", "b.csv", "c.csv"].map(new));
    let again = daemon.send_json(Method::POST, "/v1/artifacts", list.clone()).await.json(201);
    let statuses: Vec<&Value> =
        again["data"].as_array().unwrap().iter().map(|artifact| &artifact["status"]).collect();
    assert_eq!((&again["registered"], json!(statuses)), (&json!(1), json!(["loaded", "ready", "ready"])));
    let again = daemon.send_json(Method::POST, "/v1/artifacts", list).await.json(200);
    assert_eq!((again["registered"].as_u64(), names(&again).len()), (Some(0), 3));
}

/// ProcessTracker 8.
#[tokio::test]
async fn low_and_high_are_the_least_and_the_greatest_of_all_reports() {
    let daemon = TestDaemon::start().await;
    let id = ready(&daemon, &["a.csv"]).await.remove(0);
    for (low, high, expected) in [
        (json!(10), json!(12), [json!(10), json!(12)]),
        (json!(9), json!(11), [json!(9), json!(12)]),
        (json!("8"), json!("12.5"), [json!("8"), json!("12.5")]),
        (json!("2026-02-01"), json!("2026-02-01"), [json!("8"), json!("2026-02-01")]),
        (json!(null), json!("2026-01-31"), [json!("8"), json!("2026-02-01")]),
    ] {
        let changed = patch(&daemon, &id, json!({"low": low, "high": high})).await.json(200);
        assert_eq!([changed["low"].clone(), changed["high"].clone()], expected);
    }
    let counts = json!({"records": {"written": 7}, "size": 5});
    let changed = patch(&daemon, &id, counts).await.json(200);
    let changed_again = patch(&daemon, &id, json!({"records": {"written": 2, "read": 1}})).await.json(200);
    assert_eq!(changed["records"], json!({"written": 7, "read": null}));
    assert_eq!(changed_again["records"], json!({"written": 2, "read": 1}), "counts replace those before");
    assert_eq!(changed_again["size"], 5);
}

#[tokio::test]
async fn an_artifact_says_which_runs_used_it_and_an_item_which_artifacts_it_used() {
    let daemon = TestDaemon::start().await;
    daemon.create("etl", "run-1", "", "x").await;
    let ids = ready(&daemon, &["a.csv", "b.csv"]).await;
    for id in &ids {
        patch(&daemon, id, json!({"status": "loading", "run": "run-1"})).await.json(200);
    }
    daemon.advance(Duration::from_secs(5));
    let by = json!({"status": "loaded", "run": {"workflow": "etl", "id": "run-1"}});
    patch(&daemon, &ids[0], by).await.json(200);
    let by = json!({"status": "error", "run": {"workflow": "reports", "id": "nightly"}});
    let changed = patch(&daemon, &ids[0], by).await.json(200);
    let at = "2026-01-01T00:00:05.000Z";
    assert_eq!(
        changed["uses"],
        json!([
            {"run": {"workflow": "etl", "id": "run-1"}, "status": "loaded", "at": at},
            {"run": {"workflow": "reports", "id": "nightly"}, "status": "error", "at": at},
        ])
    );
    let item = daemon.get("/v1/workflows/etl/items/run-1").await;
    assert_eq!(
        item["artifacts"],
        json!([
            {"id": ids[0], "location": "/in", "name": "a.csv", "status": "error"},
            {"id": ids[1], "location": "/in", "name": "b.csv", "status": "loading"},
        ])
    );
}

#[tokio::test]
async fn a_status_is_one_of_the_seven_or_configured() {
    let daemon = TestDaemon::builder().config("[artifacts]\nstatuses = [\"checked\"]").start().await;
    let id = ready(&daemon, &["a.csv"]).await.remove(0);
    let every = ["initializing", "loading", "loaded", "archived", "deleted", "error", "ready", "checked"];
    for status in every {
        assert_eq!(patch(&daemon, &id, json!({"status": status})).await.json(200)["status"], status);
    }
    let refused = patch(&daemon, &id, json!({"status": "done"})).await;
    let detail = refused.refused(422, "artifact-status-unknown");
    for status in every {
        assert!(detail.contains(status), "{detail}");
    }
    let new = json!({"workflow": "etl", "location": "/in", "name": "b", "status": "Ready"});
    daemon.send_json(Method::POST, "/v1/artifacts", new).await.refused(422, "artifact-status-unknown");
    assert_eq!(get(&daemon, &id).await["status"], "checked");
}

#[tokio::test]
async fn a_registration_that_is_not_right_is_refused_as_a_whole() {
    let daemon = TestDaemon::builder().config("[limits]\nartifacts_max = 3").start().await;
    ready(&daemon, &["a"]).await;
    let good = || json!({"workflow": "etl", "location": "/in", "name": "good"});
    let with = |name: &str, value: Value| {
        let mut new = good();
        new[name] = value;
        new
    };
    for (new, says) in [
        (with("name", json!("")), "name must be 1 to 1024 bytes"),
        (with("name", json!("x".repeat(1025))), "name must be 1 to 1024 bytes"),
        (with("location", json!("a\nb")), "without control characters"),
        (with("format", json!("x".repeat(65))), "format must be 1 to 64 bytes"),
        (with("low", json!([1])), "low must be a number or a text"),
        (with("high", json!("x".repeat(257))), "high must be 1 to 256 bytes"),
        (with("use", json!("run")), "needs a run"),
        (with("use", json!("never")), "unknown variant"),
        (with("run", json!("x".repeat(257))), "an item id is 1 to 256 bytes"),
        (with("depends_on", json!(["a", "a"])), "twice"),
        (with("depends_on", json!((0..65).map(|n| n.to_string()).collect::<Vec<_>>())), "at most 64"),
        (with("workflow", json!("no name")), "is no valid workflow name"),
        (with("nmae", json!("x")), "unknown field"),
        (json!({"location": "/in", "name": "x"}), "needs the workflow"),
        (json!(["x"]), "must be a JSON object"),
        (json!([]), "1 to 1000 artifacts"),
        (json!("x"), "must be a JSON object"),
    ] {
        let single = daemon.send_json(Method::POST, "/v1/artifacts", new.clone()).await;
        let detail = single.refused(400, "invalid-request");
        assert!(detail.contains(says), "{new}: {detail}");
        if new.is_object() {
            let listed = daemon.send_json(Method::POST, "/v1/artifacts", json!([good(), new])).await;
            listed.refused(400, "invalid-request");
        }
    }
    let many: Vec<Value> = (0..3).map(|number| with("name", json!(number.to_string()))).collect();
    let refused = daemon.send_json(Method::POST, "/v1/artifacts", json!(many)).await;
    assert!(refused.refused(422, "too-many-artifacts").contains("limits.artifacts_max"));
    let run = json!([good(), with("run", json!("nobody")), {
        "workflow": "etl", "location": "/in", "name": "of a run", "use": "run", "run": "nobody"}]);
    daemon.send_json(Method::POST, "/v1/artifacts", run).await.refused(404, "item-not-found");
    assert_eq!(super::found(&daemon, "").await, ["a"]);
}
