//! Lists on the command line: pages become one list.

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
}

/// The ids in the order in which the binary lists them, and what it notes.
async fn listed(daemon: &TestDaemon, flags: &str) -> (Vec<String>, String) {
    let arguments: Vec<&str> = ["items"].into_iter().chain(flags.split_whitespace()).collect();
    let said = warden(daemon, &arguments).await;
    let notes = said.notes.clone();
    let ids =
        said.done().lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect();
    (ids, notes)
}

#[tokio::test]
async fn what_is_in_trouble_is_on_the_screen_whatever_was_closed() {
    let daemon = TestDaemon::start().await;
    for number in 0..60 {
        daemon.create("uploads", &format!("closed-{number}"), "", "payload").await;
        daemon.close("uploads", &format!("closed-{number}")).await;
    }
    for (id, deadline) in
        [("open-2", "3h"), ("open-1", "2h"), ("late-2", "2s"), ("late-1", "1s"), ("bad", "9h")]
    {
        daemon.create("uploads", id, &format!("?deadline={deadline}"), "payload").await;
    }
    daemon.advance(std::time::Duration::from_secs(60));
    let fatal = json!({"type": "Bad", "message": "no", "fatal": true});
    daemon.send_json(Method::POST, "/v1/workflows/uploads/items/bad/errors", fatal).await.json(201);
    let troubled = ["bad", "late-1", "late-2", "open-1", "open-2"];
    assert_eq!(listed(&daemon, "").await, (troubled.map(str::to_owned).to_vec(), String::new()));
    let more = "There may be more: --limit N shows N of them, --all shows all.\n";
    for limit in 1..5 {
        let expected = (troubled[..limit].iter().map(|id| (*id).to_owned()).collect(), more.to_owned());
        assert_eq!(listed(&daemon, &format!("--limit {limit}")).await, expected);
    }
    assert_eq!(listed(&daemon, "--limit 5").await.1, "", "there is no more");
    assert_eq!(listed(&daemon, "--order created").await.0, ["open-2", "open-1", "late-2", "late-1", "bad"]);
    assert_eq!(listed(&daemon, "--state closed").await.0.len(), 50);
    let (all, _) = listed(&daemon, "--all").await;
    assert_eq!((all.len(), &all[..5]), (65, &troubled.map(str::to_owned)[..]));
    let page = warden(&daemon, &["items", "--limit", "2", "--output", "json"]).await.json();
    let ids: Vec<&str> =
        page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, troubled[..2]);
    // The daemon goes on where the command ended.
    let (states, cursor) = ("state=failed&state=overdue&state=open", page["next_cursor"].as_str().unwrap());
    let rest = daemon.get(&format!("/v1/items?order=trouble&{states}&cursor={cursor}")).await;
    let ids: Vec<&str> =
        rest["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &rest["next_cursor"]), (troubled[2..].to_vec(), &json!(null)));
}

#[tokio::test]
async fn the_worst_incident_comes_first_and_of_those_as_bad_the_oldest() {
    let severities = ["info", "warning", "error", "critical"];
    let config: String =
        severities.map(|name| format!("[workflows.{name}]\nseverity = \"{name}\"\n")).concat();
    let daemon = TestDaemon::builder().config(&config).start().await;
    for (count, workflow) in ["critical", "error", "young", "info", "warning"].into_iter().enumerate() {
        lose(&daemon, workflow, "file-1").await;
        daemon.open_incidents(count + 1).await;
        daemon.advance(std::time::Duration::from_secs(1));
    }
    lose(&daemon, "over", "file-1").await;
    daemon.open_incidents(6).await;
    daemon.close("over", "file-1").await;
    daemon.open_incidents(5).await;
    let listed = async |flags: &str| {
        let arguments: Vec<&str> = ["incidents"].into_iter().chain(flags.split_whitespace()).collect();
        let said = warden(&daemon, &arguments).await;
        let notes = said.notes.clone();
        let rows = said.done();
        let workflows: Vec<String> =
            rows.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect();
        (workflows.join(" "), notes)
    };
    // What nobody defined is critical.
    assert_eq!(listed("").await, ("critical young error warning info".to_owned(), String::new()));
    let (first, notes) = listed("--limit 2").await;
    assert_eq!(first, "critical young");
    assert!(notes.starts_with("There may be more"), "{notes}");
    assert_eq!(listed("--status resolved").await.0, "over");
    assert_eq!(listed("--status any").await.0, "over warning info young error critical");
    let page = warden(&daemon, &["incidents", "--limit", "3", "--output", "json"]).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = daemon.get(&format!("/v1/incidents?status=open&order=severity&cursor={cursor}")).await;
    assert_eq!(
        (&rest["data"][0]["workflow"], &rest["data"][1]["workflow"]),
        (&json!("warning"), &json!("info"))
    );
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next_cursor"]), (2, &json!(null)));
    let open = daemon.get("/v1/incidents?order=severity").await;
    assert_eq!(open["data"].as_array().unwrap().len(), 5, "what is over is no trouble");
    daemon.ask(Method::GET, "/v1/incidents?order=name").await.refused(400, "invalid-request");
    daemon.ask(Method::GET, "/v1/items?order=trouble&cursor=late").await.refused(400, "invalid-request");
}
