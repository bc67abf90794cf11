//! Workflows that are created on first use, and removed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::alerts::{HOUR, SECOND};
use crate::support::{DaemonProcess, TestDaemon, ask, eventually};
use crate::sweep::on_each_engine;

async fn names(daemon: &TestDaemon) -> Vec<String> {
    let page = daemon.get("/v1/workflows?limit=1000").await;
    let name = |workflow: &Value| workflow["name"].as_str().expect("a name").to_owned();
    page["data"].as_array().expect("a page").iter().map(name).collect()
}

/// Lets seconds pass until these are the workflows: the sweep looks every second, reckoned from the end of
/// the last time.
async fn left(daemon: &TestDaemon, expected: &[&str]) {
    eventually(&format!("only {expected:?}"), || async {
        daemon.advance(SECOND);
        (names(daemon).await == expected).then_some(())
    })
    .await;
}

fn line(op: &str, workflow: &str) -> String {
    json!({"op": op, "workflow": workflow, "id": "a", "payload": 1}).to_string() + "\n"
}

fn close_line(workflow: &str) -> String {
    json!({"op": "close", "workflow": workflow, "id": "a"}).to_string() + "\n"
}

/// The statuses of the answers to a batch.
async fn statuses(daemon: &TestDaemon, lines: String) -> Vec<u64> {
    let answers = daemon.send(Method::POST, "/v1/batch", lines).await.lines(200);
    answers.iter().map(|answer| answer["status"].as_u64().expect("a status")).collect()
}

#[tokio::test]
async fn a_name_goes_with_the_last_that_is_remembered_of_it_and_makes_room_for_another() {
    for builder in on_each_engine("[limits]\nworkflows_max = 3\n[workflow_defaults]\nretention = \"1h\"") {
        let mut daemon = builder.start().await;
        let many: String = (0..4).map(|number| line("create", &format!("w{number}"))).collect();
        assert_eq!(statuses(&daemon, many).await, [201, 201, 201, 422]);
        let closes = close_line("w0") + &close_line("w1");
        assert_eq!(statuses(&daemon, closes).await, [204, 204]);
        daemon.advance(HOUR - SECOND);
        daemon.restart().await;
        assert_eq!(statuses(&daemon, line("create", "w3")).await, [422], "what is closed is remembered");
        daemon.advance(SECOND);
        left(&daemon, &["w2"]).await;
        daemon.ask(Method::GET, "/v1/workflows/w0").await.refused(404, "workflow-not-found");
        daemon.restart().await;
        assert_eq!(names(&daemon).await, ["w2"], "that they went is on the disk");
        let more = line("create", "w3") + &line("create", "w0") + &line("create", "w4");
        assert_eq!(statuses(&daemon, more).await, [201, 201, 422]);
        assert_eq!(names(&daemon).await, ["w0", "w2", "w3"]);
    }
}

#[tokio::test]
async fn ten_thousand_names_are_not_used_up_for_ever() {
    let daemon = TestDaemon::builder().config("[workflow_defaults]\nretention = \"1h\"").start().await;
    let (mut creates, mut closes) = (String::new(), String::new());
    for number in 0..10_000 {
        write!(creates, "{}", line("create", &format!("w{number}"))).unwrap();
        write!(closes, "{}", close_line(&format!("w{number}"))).unwrap();
    }
    assert!(statuses(&daemon, creates).await.iter().all(|status| *status == 201));
    assert_eq!(statuses(&daemon, line("create", "more") + &close_line("more")).await, [422, 404]);
    assert!(statuses(&daemon, closes).await.iter().all(|status| *status == 204));
    daemon.advance(HOUR);
    left(&daemon, &[]).await;
    assert_eq!(statuses(&daemon, line("create", "another")).await, [201]);
}

#[tokio::test]
async fn a_close_in_an_unknown_workflow_leaves_its_tombstone_and_no_name() {
    let config = "[limits]\nworkflows_max = 1\n[workflow_defaults]\nretention = \"1h\"";
    for builder in on_each_engine(config) {
        let mut daemon = builder.start().await;
        let path = "/v1/workflows/unknown/items/never";
        daemon.ask(Method::DELETE, path).await.refused(404, "item-not-found");
        assert_eq!(names(&daemon).await, [""; 0]);
        daemon.create("w0", "a", "?deadline=10days", "hello").await;
        // Also when there is no room for one more name.
        for workflow in ["unknown", "another"] {
            let path = format!("/v1/workflows/{workflow}/items/too-late");
            daemon.ask(Method::DELETE, &path).await.refused(404, "item-not-found");
            daemon.send(Method::PUT, &path, "late").await.refused(409, "item-closed");
        }
        daemon.restart().await;
        daemon.send(Method::PUT, path, "late").await.refused(409, "item-closed");
        assert_eq!(names(&daemon).await, ["w0"]);
        daemon.ask(Method::GET, "/v1/workflows/unknown/stats").await.refused(404, "workflow-not-found");
        daemon.advance(HOUR);
        let refusal = daemon.send(Method::PUT, path, "new").await.refused(422, "too-many-workflows");
        assert!(refusal.contains("DELETE"), "{refusal}");
        daemon.close("w0", "a").await;
        assert_eq!(daemon.ask(Method::DELETE, "/v1/workflows/w0").await.status, 204);
        daemon.create("unknown", "never", "", "new").await;
    }
}

#[tokio::test]
async fn a_workflow_is_deleted_with_all_that_is_remembered_of_it() {
    for builder in on_each_engine("[workflows.configured]\ndeadline = \"15m\"") {
        let mut daemon = builder.start().await;
        let delete = async |daemon: &TestDaemon, name: &str| {
            daemon.ask(Method::DELETE, &format!("/v1/workflows/{name}")).await
        };
        delete(&daemon, "uploads").await.refused(404, "workflow-not-found");
        for id in ["a", "b"] {
            daemon.create("uploads", id, "", "hello").await;
        }
        daemon.create("others", "a", "", "hello").await;
        daemon.close("uploads", "a").await;
        daemon.ask(Method::DELETE, "/v1/workflows/uploads/items/never").await.refused(404, "item-not-found");
        let refusal = delete(&daemon, "uploads").await.refused(409, "workflow-in-use");
        assert!(refusal.contains("1 of its items is not closed"), "{refusal}");
        let path = "/v1/workflows/uploads/items/a";
        daemon.send(Method::PUT, path, "late").await.refused(409, "item-closed");
        daemon.close("uploads", "b").await;
        assert_eq!(delete(&daemon, "uploads").await.status, 204);
        for restarts in [false, true] {
            if restarts {
                daemon.restart().await;
            }
            assert_eq!(names(&daemon).await, ["configured", "others"]);
            delete(&daemon, "uploads").await.refused(404, "workflow-not-found");
            for id in ["a", "b"] {
                let path = format!("/v1/workflows/uploads/items/{id}");
                daemon.ask(Method::GET, &path).await.refused(404, "item-not-found");
            }
        }
        // Their ids are free again.
        for id in ["a", "b", "never"] {
            daemon.create("uploads", id, "", "new").await;
        }
        assert_eq!(daemon.get("/v1/workflows/uploads/stats").await["created_total"], 3);
        let refusal = delete(&daemon, "configured").await.refused(409, "workflow-configured");
        assert!(refusal.contains("configuration"), "{refusal}");
    }
}

#[tokio::test]
async fn what_is_remembered_of_a_workflow_without_a_name_can_be_deleted_as_well() {
    let daemon = TestDaemon::start().await;
    let path = "/v1/workflows/unknown/items/never";
    daemon.ask(Method::DELETE, path).await.refused(404, "item-not-found");
    assert_eq!(daemon.ask(Method::DELETE, "/v1/workflows/unknown").await.status, 204);
    daemon.ask(Method::DELETE, "/v1/workflows/unknown").await.refused(404, "workflow-not-found");
    daemon.create("unknown", "never", "", "not late any more").await;
}

#[tokio::test]
async fn an_open_incident_keeps_a_name_until_it_is_resolved() {
    let config = "[workflow_defaults]\nretention = \"0s\"\n[alerting]\ngroup_wait = \"0s\"";
    for builder in on_each_engine(config) {
        let daemon = builder.start().await;
        daemon.create("uploads", "a", "?deadline=1s", "hello").await;
        daemon.advance(SECOND);
        let incident = daemon.open_incidents(1).await.remove(0);
        daemon.close("uploads", "a").await;
        daemon.open_incidents(0).await;
        left(&daemon, &[]).await;
        let id = incident["id"].as_str().expect("an id");
        let resolved = daemon.get(&format!("/v1/incidents/{id}")).await;
        assert_eq!((&resolved["workflow"], &resolved["status"]), (&json!("uploads"), &json!("resolved")));
    }
}

#[tokio::test]
async fn the_figures_of_a_workflow_go_with_its_name_and_begin_anew() {
    let daemon = TestDaemon::builder().config("[workflow_defaults]\nretention = \"1h\"").start().await;
    let figures = async || {
        let text = daemon.response(Method::GET, "/metrics").await.text().await.expect("a text");
        let of_it = |line: &&str| line.contains("workflow=\"uploads\"");
        text.lines().filter(of_it).map(str::to_owned).collect::<Vec<_>>()
    };
    for id in ["a", "b"] {
        daemon.create("uploads", id, "", "hello").await;
        daemon.close("uploads", id).await;
    }
    // Of a name that nobody keeps there are none, however many ids are remembered.
    daemon.ask(Method::DELETE, "/v1/workflows/unknown/items/never").await.refused(404, "item-not-found");
    let text = daemon.response(Method::GET, "/metrics").await.text().await.expect("a text");
    assert!(!text.contains("unknown"), "{text}");
    assert!(figures().await.contains(&r#"warden_items_created_total{workflow="uploads"} 2"#.to_owned()));
    daemon.advance(HOUR);
    left(&daemon, &[]).await;
    assert_eq!(figures().await, [""; 0]);
    daemon.create("uploads", "c", "", "hello").await;
    assert!(figures().await.contains(&r#"warden_items_created_total{workflow="uploads"} 1"#.to_owned()));
}

#[tokio::test]
async fn a_workflow_keeps_its_figures_as_long_as_it_has_its_name() {
    let config = "[workflow_defaults]\nretention = \"1h\"\n[workflows.configured]\nretention = \"1s\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    daemon.create("configured", "a", "", "hello").await;
    daemon.close("configured", "a").await;
    eventually("nothing that is remembered", || async {
        daemon.advance(Duration::from_secs(1));
        let stats = daemon.get("/v1/workflows/configured/stats").await;
        assert_eq!((&stats["created_total"], &stats["closed_total"]), (&json!(1), &json!(1)));
        (stats["closed"] == 0).then_some(())
    })
    .await;
}

/// Has workflows made by their first items, small and large ones, and every other one closed at once, until
/// nobody answers.
async fn press(daemon: &DaemonProcess, round: u32, worker: usize, made: Arc<AtomicUsize>) {
    for number in 0.. {
        let name = format!("w{round}-{worker}-{number}");
        let path = format!("/v1/workflows/{name}/items/a?deadline=10days");
        let size = if number % 3 == 0 { 900_000 } else { 10 };
        let create = daemon.request(Method::PUT, &path).body("x".repeat(size)).send().await;
        let Ok(answer) = create else { return };
        assert_eq!(answer.status(), 201);
        made.fetch_add(1, Ordering::Relaxed);
        let path = format!("/v1/workflows/{name}/items/a");
        if number % 2 == 0 && daemon.request(Method::DELETE, &path).send().await.is_err() {
            return;
        }
    }
}

async fn named(daemon: &DaemonProcess, path: &str, field: &str) -> BTreeSet<String> {
    let page = ask(daemon.request(Method::GET, path)).await.json(200);
    assert_eq!(page["next_cursor"], Value::Null, "all of them");
    let name = |entry: &Value| entry[field].as_str().expect("a name").to_owned();
    page["data"].as_array().expect("a page").iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_no_item_is_without_its_workflow_and_no_name_stays_without_an_item() {
    const MADE: usize = 60;
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("warden.toml"), "[workflow_defaults]\nretention = \"0s\"").unwrap();
    let mut daemon = Arc::new(DaemonProcess::on(directory.path()));
    for round in 0..4 {
        let made = Arc::new(AtomicUsize::new(0));
        let pressing: Vec<_> = (0..4)
            .map(|worker| {
                let (daemon, made) = (daemon.clone(), made.clone());
                tokio::spawn(async move { press(&daemon, round, worker, made).await })
            })
            .collect();
        eventually("many workflows", || async { (made.load(Ordering::Relaxed) >= MADE).then_some(()) }).await;
        let id = i32::try_from(daemon.id()).ok().and_then(rustix::process::Pid::from_raw).expect("an id");
        rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it can be killed");
        for press in join_all(pressing).await {
            press.expect("it ends when nobody answers");
        }
        drop(daemon);
        daemon = Arc::new(DaemonProcess::on(directory.path()));
        let used = named(&daemon, "/v1/items?limit=1000", "workflow").await;
        assert!(used.len() >= MADE / 2 - 4, "{used:?}");
        eventually("no names but those that are used", || async {
            let names = named(&daemon, "/v1/workflows?limit=1000", "name").await;
            let lost: Vec<_> = used.difference(&names).collect();
            assert!(lost.is_empty(), "these items are of no workflow: {lost:?}");
            (names == used).then_some(())
        })
        .await;
    }
}
