//! Items in every state move to another daemon with their history, by the real binary.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::{exported, text};
use crate::cli::{run, warden};
use crate::support::{TestDaemon, ask};

/// Items in every state: as new, late, claimed and failed once, failed for good, at a later step, closed in
/// each way, and closed before anybody created it.
async fn lived(config: &str) -> TestDaemon {
    let daemon = TestDaemon::builder().config(config).on_sled().start().await;
    for (id, query) in [
        ("new", "?deadline=2h&label=region:eu"),
        ("late", "?deadline=2025-12-31T23:00:00Z"),
        ("tried", "?deadline=2025-12-31T22:00:00Z"),
        ("failed", "?deadline=3h&step=backup"),
        ("moved", "?deadline=2025-12-31T21:00:00Z"),
        ("done", ""),
        ("discarded", ""),
    ] {
        let put = daemon.request(Method::PUT, &format!("/v1/workflows/uploads/items/{id}{query}"));
        ask(put.header("content-encoding", "gzip").body(format!("payload of {id}"))).await.json(201);
    }
    let item = |id: &str| format!("/v1/workflows/uploads/items/{id}");
    daemon.advance(std::time::Duration::from_secs(5));
    let progress = json!({"progress": {"files": [1, 2.5, "three"]}});
    daemon.send_json(Method::PATCH, &item("failed"), progress).await.json(200);
    let errors = format!("{}/errors", item("failed"));
    for fatal in [false, true] {
        let error =
            json!({"type": "Broken", "message": "no\u{1}disk", "fatal": fatal, "data": {"host": "b-1"}});
        daemon.send_json(Method::POST, &errors, error).await.json(201);
    }
    let leases = daemon.send_json(Method::POST, "/v1/leases", json!({"max": 2})).await.json(200);
    for lease in leases["leases"].as_array().unwrap() {
        let path = format!("/v1/leases/{}", lease["id"].as_str().unwrap());
        if lease["item"]["id"] == "moved" {
            let complete = json!({"progress": {"copied": true}});
            daemon.send_json(Method::POST, &format!("{path}/complete"), complete).await.json(200);
        } else {
            let error = json!({"error": {"type": "Busy", "retryable": true}, "retry_after": "10m"});
            daemon.send_json(Method::POST, &format!("{path}/fail"), error).await.json(200);
        }
    }
    daemon.close("uploads", "done").await;
    let discard = daemon.ask(Method::DELETE, &format!("{}?outcome=discarded", item("discarded"))).await;
    assert_eq!(discard.status, 204);
    assert_eq!(daemon.ask(Method::DELETE, &item("nobody")).await.status, 404);
    daemon
}

/// All items of a daemon by id, but for what does not go along.
async fn items(daemon: &TestDaemon) -> BTreeMap<String, Value> {
    let page = daemon.get("/v1/items?limit=100").await;
    let strip = |item: &Value| {
        let mut item = item.clone();
        for field in ["version", "lease", "incident"] {
            item.as_object_mut().unwrap().remove(field);
        }
        (item["id"].as_str().unwrap().to_owned(), item)
    };
    page["data"].as_array().unwrap().iter().map(strip).collect()
}

async fn payload(daemon: &TestDaemon, id: &str) -> Vec<u8> {
    daemon.ask(Method::GET, &format!("/v1/workflows/uploads/items/{id}/payload")).await.body.to_vec()
}

const CONFIG: &str =
    "[workflows.uploads]\nsteps = [\"copy\", \"backup\"]\nretry = { max = 3 }\ndeadline = \"1h\"\n";

#[tokio::test]
async fn items_in_every_state_are_the_same_on_the_other_side() {
    let from = lived(CONFIG).await;
    let directory = tempfile::tempdir().unwrap();
    let (file, lines) = exported(&from, &directory, "all.ndjson", &["--closed"]).await;
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 9, "eight items and an end");
    let mut to = TestDaemon::builder().config(CONFIG).on_sled().start().await;
    to.advance(std::time::Duration::from_secs(5));

    let import = warden(&to, &["import", "--file", text(&file)]).await;
    let (said, notes) = import.ended(0);
    assert_eq!(said, "created 8 (3 closed, 1 failed, 3 overdue), already there 0, closed 0, refused 0\n");
    assert!(notes.contains("no leases, incidents"), "{notes}");
    let originals = items(&from).await;
    assert_eq!(originals.len(), 7);
    assert_eq!(originals["failed"]["errors"].as_array().unwrap().len(), 2);
    assert_eq!(originals["moved"]["steps"].as_array().unwrap().len(), 1);
    for restarted in [false, true] {
        if restarted {
            to.restart().await;
        }
        assert_eq!(items(&to).await, originals);
        for id in ["new", "late", "tried", "failed", "moved"] {
            assert_eq!(payload(&to, id).await, format!("payload of {id}").into_bytes());
        }
    }
    // People hear of what is in trouble there, and late duplicates raise nothing.
    let incidents = to.open_incidents(2).await;
    let counts: BTreeMap<&str, &Value> =
        incidents.iter().map(|it| (it["kind"].as_str().unwrap(), &it["count"])).collect();
    assert_eq!(counts, BTreeMap::from([("failed", &json!(1)), ("overdue", &json!(3))]));
    for id in ["done", "discarded", "nobody"] {
        let late = to.send(Method::PUT, &format!("/v1/workflows/uploads/items/{id}"), "late").await;
        late.refused(409, "item-closed");
    }
    // The same file again changes nothing, and the export of the copy is that of the original.
    let again = warden(&to, &["import", "--output", "json", "--file", text(&file)]).await.json();
    assert_eq!((&again["created"], &again["existed"], &again["refused"]), (&json!(0), &json!(8), &json!(0)));
    assert_eq!(again["existed_by_state"], json!({"closed": 3, "failed": 1, "open": 1, "overdue": 3}));
    let (_, copied) = exported(&to, &directory, "copy.ndjson", &["--closed"]).await;
    assert_eq!(without_cursors(&copied), without_cursors(&lines));
}

fn without_cursors(lines: &[u8]) -> Vec<Value> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    lines.retain(|line| line["op"] != "end");
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("cursor");
    }
    lines
}

#[tokio::test]
async fn an_export_without_history_makes_new_items_and_closed_ones_are_left_out_unless_asked_for() {
    let from = lived(CONFIG).await;
    let directory = tempfile::tempdir().unwrap();
    let (file, lines) = exported(&from, &directory, "new.ndjson", &["--no-history"]).await;
    let plain = without_cursors(&lines);
    assert_eq!(plain.len(), 5);
    assert!(plain.iter().all(|line| line.get("state").is_none() && line.get("created_at").is_none()));
    let to = TestDaemon::builder().config(CONFIG).start().await;
    let import = warden(&to, &["import", "--file", text(&file)]).await;
    assert_eq!(
        import.done(),
        "created 5 (3 overdue), already there 0, closed 0, refused 0\n",
        "what had failed is as new"
    );
    let (_, lines) = exported(&from, &directory, "some.ndjson", &["--state", "failed,closed"]).await;
    let states: Vec<Value> = without_cursors(&lines).iter().map(|line| line["state"].clone()).collect();
    assert_eq!(states, ["failed", "closed", "closed", "closed"]);
    let both = crate::cli::command(&from.url(""), &["export", "--closed", "--no-history"]);
    assert!(run(both).await.failed(64).contains("--no-history"));
    let help = warden(&from, &["export", "--help"]).await.done();
    assert!(help.contains("leases, versions, incidents"), "{help}");
}
