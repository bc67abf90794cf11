//! Lists at the command line: pages become one list.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::warden;
use crate::alerts::lose;
use crate::support::TestDaemon;

/// Creates so many items, `file-0` and so on, and gives their ids.
pub async fn create(daemon: &TestDaemon, count: usize) -> BTreeSet<String> {
    let ids: BTreeSet<String> = (0..count).map(|number| format!("file-{number}")).collect();
    let line = |id| json!({"op": "create", "workflow": "uploads", "id": id, "payload": ""}).to_string();
    let lines = ids.iter().map(line).collect::<Vec<_>>().join("\n");
    let answers = daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    assert!(answers.iter().all(|answer| answer["status"] == 201));
    ids
}

#[tokio::test]
async fn a_list_of_several_pages_is_one_list() {
    let daemon = TestDaemon::start().await;
    let ids = create(&daemon, 501).await;
    let all = warden(&daemon, &["items", "--all", "--output", "json"]).await.json();
    let listed = all["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
    assert_eq!(listed.collect::<BTreeSet<_>>(), ids);
    assert_eq!((all["data"].as_array().unwrap().len(), &all["next_cursor"]), (501, &json!(null)));
    let few = warden(&daemon, &["items", "--limit", "2"]).await;
    assert_eq!(few.notes, "There may be more: --limit N shows N of them, --all shows all.\n");
    assert_eq!(few.done().lines().count(), 3);
    let none = warden(&daemon, &["items", "--state", "closed"]).await;
    assert_eq!((&*none.out, &*none.notes), ("", "No item is like that.\n"));
}

#[tokio::test]
async fn incidents_are_listed_by_where_they_stand_and_by_workflow() {
    let daemon = TestDaemon::start().await;
    for workflow in ["uploads", "updates", "downloads"] {
        lose(&daemon, workflow, "file-1").await;
    }
    daemon.open_incidents(3).await;
    daemon.close("uploads", "file-1").await;
    daemon.open_incidents(2).await;
    let listed = async |flags: &str| {
        let arguments: Vec<&str> =
            "incidents --output json".split(' ').chain(flags.split_whitespace()).collect();
        let list = warden(&daemon, &arguments).await.json();
        let workflows =
            list["data"].as_array().unwrap().iter().map(|incident| incident["workflow"].to_string());
        let mut workflows: Vec<String> = workflows.collect();
        workflows.sort();
        workflows.join(" ").replace('"', "")
    };
    assert_eq!(listed("").await, "downloads updates");
    assert_eq!(listed("--status resolved").await, "uploads");
    assert_eq!(listed("--status any --workflow up* --workflow x*").await, "updates uploads");
    assert_eq!(listed("--status any --all").await, "downloads updates uploads");
    let one = warden(&daemon, &["incidents", "--limit", "1"]).await;
    assert_eq!(one.notes, "There may be more: --limit N shows N of them, --all shows all.\n");
    assert_eq!(one.done().lines().count(), 2);
    let none = warden(&daemon, &["incidents", "--workflow", "x*"]).await;
    assert_eq!((&*none.out, &*none.notes), ("", "No incident is like that.\n"));
}
