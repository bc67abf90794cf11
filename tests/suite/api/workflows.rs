//! Workflows: listing, policies, and their maximum number.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestDaemon;

fn names(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().expect("a page");
    data.iter().map(|workflow| workflow["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn an_unknown_workflow_is_made_on_first_use_and_stays() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    daemon.ask(Method::GET, "/v1/workflows/uploads").await.refused(404, "workflow-not-found");
    daemon.ask(Method::GET, "/v1/workflows/uploads/stats").await.refused(404, "workflow-not-found");
    daemon.create("uploads", "file-1", "", "hello").await;
    let made = daemon.ask(Method::GET, "/v1/workflows/uploads").await.json(200);
    assert_eq!(made["source"], "first_use");
    assert_eq!(made["created_at"], "2026-01-01T00:00:00.000Z");
    assert_eq!(made["deadline"], "1h");
    daemon.restart().await;
    assert_eq!(daemon.get("/v1/workflows/uploads").await, made);
}

#[tokio::test]
async fn unknown_workflows_are_refused_when_the_configuration_says_so() {
    let config = "[workflow_defaults]\ncreate_on_first_use = false\n[workflows.uploads]\ndeadline = \"15m\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    let path = "/v1/workflows/reports/items/file-1";
    daemon.send(Method::PUT, path, "hello").await.refused(404, "workflow-not-found");
    daemon
        .send(Method::POST, "/v1/workflows/reports/items", "hello")
        .await
        .refused(404, "workflow-not-found");
    daemon.ask(Method::DELETE, path).await.refused(404, "workflow-not-found");
    let line = json!({"op": "create", "workflow": "reports", "id": "file-1", "payload": 1}).to_string();
    let answers = daemon.send(Method::POST, "/v1/batch", line).await.lines(200);
    assert_eq!(answers[0]["type"], "/problems/workflow-not-found");
    let page = daemon.ask(Method::GET, "/v1/workflows").await.json(200);
    assert_eq!(names(&page), ["uploads"]);
    assert_eq!(page["data"][0]["source"], "config");
    assert_eq!(page["data"][0]["deadline"], "15m");
}

#[tokio::test]
async fn there_are_never_more_workflows_than_allowed() {
    let config = "[limits]\nworkflows_max = 3\n[workflows.configured]\ndeadline = \"15m\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let create =
        |number: usize| json!({"op": "create", "workflow": format!("w{number}"), "id": "a", "payload": 1});
    let lines: String = (0..4).map(|number| format!("{}\n", create(number))).collect();
    let answers = daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    let statuses: Vec<_> = answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 422, 422]);
    assert_eq!(answers[2]["type"], "/problems/too-many-workflows");
    let refused = daemon.send(Method::PUT, "/v1/workflows/w9/items/a", "hello").await;
    assert!(refused.refused(422, "too-many-workflows").contains("limits.workflows_max"));
    daemon.create("w0", "b", "", "hello").await;
    daemon.create("configured", "b", "", "hello").await;
    assert_eq!(names(&daemon.get("/v1/workflows").await), ["configured", "w0", "w1"]);
}

#[tokio::test]
async fn many_first_uses_at_once_make_no_more_workflows_than_allowed() {
    let daemon = TestDaemon::builder().on_sled().config("[limits]\nworkflows_max = 3").start().await;
    let creates = (0..12).map(|number| {
        let path = format!("/v1/workflows/w{}/items/{number}", number % 6);
        let daemon = &daemon;
        async move { daemon.send(Method::PUT, &path, "hello").await.status }
    });
    let statuses = join_all(creates).await;
    assert!(statuses.iter().all(|status| [201, 422].contains(status)), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 6, "{statuses:?}");
    assert_eq!(names(&daemon.get("/v1/workflows").await).len(), 3);
}

#[tokio::test]
async fn a_refused_create_makes_no_workflow() {
    let daemon = TestDaemon::start().await;
    let many: Vec<String> = (0..33).map(|number| format!("label=l{number}:x")).collect();
    let path = format!("/v1/workflows/mistyped/items/a?{}", many.join("&"));
    daemon.send(Method::PUT, &path, "hello").await.refused(400, "invalid-request");
    let line = r#"{"op":"create","workflow":"mistyped","id":"a","payload":1,"labels":{"":"x"}}"#;
    assert_eq!(daemon.send(Method::POST, "/v1/batch", line).await.lines(200)[0]["status"], 400);
    assert_eq!(daemon.get("/v1/workflows").await["data"], json!([]));
}

#[tokio::test]
async fn the_figures_of_a_workflow_follow_its_items() {
    let daemon = TestDaemon::start().await;
    for (id, deadline) in [("a", "1h"), ("b", "1h"), ("c", "5m"), ("d", "1h")] {
        daemon.create("uploads", id, &format!("?deadline={deadline}"), "hello").await;
    }
    daemon.close("uploads", "b").await;
    let fatal = json!({"type": "io", "fatal": true});
    daemon.send_json(Method::POST, "/v1/workflows/uploads/items/d/errors", fatal).await.json(201);
    daemon.advance(Duration::from_secs(300));
    daemon.open_incidents(2).await;
    let stats = daemon.ask(Method::GET, "/v1/workflows/uploads/stats").await.json(200);
    for (figure, count) in [
        ("open", 1),
        ("overdue", 1),
        ("failed", 1),
        ("held", 0),
        ("closed", 1),
        ("created_total", 4),
        ("closed_total", 1),
    ] {
        assert_eq!(stats[figure], count, "{figure} of {stats}");
    }
}

#[tokio::test]
async fn the_items_of_a_workflow_that_left_the_configuration_can_still_be_closed() {
    let configured =
        "[workflow_defaults]\ncreate_on_first_use = false\n[workflows.uploads]\ndeadline = \"15m\"";
    let mut daemon = TestDaemon::builder().config(configured).start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon.restart_with("[workflow_defaults]\ncreate_on_first_use = false").await;
    let path = "/v1/workflows/uploads/items/file-2";
    daemon.send(Method::PUT, path, "hello").await.refused(404, "workflow-not-found");
    daemon.close("uploads", "file-1").await;
}

#[tokio::test]
async fn a_list_of_workflows_is_given_page_by_page() {
    let daemon = TestDaemon::start().await;
    for name in ["c", "a", "b", "d", "e"] {
        daemon.create(name, "file-1", "", "hello").await;
    }
    let mut found: Vec<String> = Vec::new();
    let mut path = "/v1/workflows?limit=2".to_owned();
    loop {
        let page = daemon.get(&path).await;
        found.extend(names(&page).into_iter().map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/workflows?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(found, ["a", "b", "c", "d", "e"]);
}
