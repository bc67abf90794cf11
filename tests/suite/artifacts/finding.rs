//! Finding.

use serde_json::{Value, json};

use super::{found, get, names, patch, ready};
use crate::support::TestDaemon;

/// ProcessTracker 6.
#[tokio::test]
async fn finding_changes_nothing_and_gives_the_oldest_first() {
    let mut daemon = TestDaemon::builder().on_sled().start().await;
    let ids = ready(&daemon, &["2/my_file.csv", "other.csv", "1/my_file.csv", "my_file"]).await;
    patch(&daemon, &ids[3], json!({"status": "loading"})).await.json(200);
    let expected = ["2/my_file.csv", "1/my_file.csv"];
    for _ in 0..2 {
        assert_eq!(found(&daemon, "name=*my_file*&status=ready").await, expected);
    }
    daemon.restart().await;
    assert_eq!(found(&daemon, "name=*my_file*&status=ready&order=registered").await, expected);
    assert_eq!(get(&daemon, &ids[0]).await["version"], 1);
}

fn new(workflow: &str, location: &str, name: &str, status: &str) -> Value {
    json!({"workflow": workflow, "location": location, "name": name, "status": status})
}

#[tokio::test]
async fn artifacts_are_found_by_location_name_status_and_workflow() {
    let daemon = TestDaemon::start().await;
    let list = json!([
        new("etl", "/in", "a.csv", "ready"),
        new("etl", "/in/deep", "a.csv", "loaded"),
        new("reports", "/in", "b.csv", "ready"),
        new("reports", "/out", "ab.txt", "error"),
    ]);
    daemon.send_json(reqwest::Method::POST, "/v1/artifacts", list).await.json(201);
    for (query, expected) in [
        ("", vec!["a.csv", "a.csv", "b.csv", "ab.txt"]),
        ("location=/in", vec!["a.csv", "b.csv"]),
        ("location=/in*", vec!["a.csv", "a.csv", "b.csv"]),
        ("location=/in&workflow=reports", vec!["b.csv"]),
        ("name=a*", vec!["a.csv", "a.csv", "ab.txt"]),
        ("name=a.csv&status=loaded", vec!["a.csv"]),
        ("name=a", vec![]),
        ("name=?.csv&workflow=e*", vec!["a.csv", "a.csv"]),
        ("status=ready&status=error", vec!["a.csv", "b.csv", "ab.txt"]),
        ("workflow=etl&workflow=reports&location=*t", vec!["ab.txt"]),
        ("workflow=a%20b", vec![]),
    ] {
        assert_eq!(found(&daemon, query).await, expected, "{query}");
    }
    let refused = daemon.ask(reqwest::Method::GET, "/v1/artifacts?status=done").await;
    refused.refused(422, "artifact-status-unknown");
    let many = "&workflow=*a".repeat(33);
    let long = format!("workflow={}", "a".repeat(1_025));
    for query in ["order=name", &long, &many] {
        let refused = daemon.ask(reqwest::Method::GET, &format!("/v1/artifacts?{query}")).await;
        refused.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let daemon = TestDaemon::start().await;
    let all: Vec<String> = (0..25).map(|number| format!("{number:02}")).collect();
    ready(&daemon, &all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("/v1/artifacts?limit=10{cursor}")).await;
        seen.extend(names(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, all);
    let refused = daemon.ask(reqwest::Method::GET, "/v1/artifacts?cursor=MDc").await;
    assert!(refused.refused(400, "invalid-request").contains("cursor"), "07 is not as it is written");
}
