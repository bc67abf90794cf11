//! The life of an incident: it opens, items join it, it is notified, and it is resolved.

use super::*;

#[tokio::test]
async fn an_item_that_is_not_closed_in_time_is_told_and_its_close_resolves() {
    let receiver = TestReceiver::start().await;
    for builder in oncall_on_each_engine(&receiver) {
        let daemon = builder.start().await;
        daemon.create("uploads", "file-1", "?deadline=15m&step=backup", "hello").await;
        daemon.advance(15 * MINUTE);
        let incident = daemon.open_incidents(1).await.remove(0);
        assert_eq!(incident["opened_at"], "2026-01-01T00:15:00.000Z");
        assert!(receiver.arrived().await.is_empty(), "nobody is told before group_wait has passed");
        daemon.advance(10 * SECOND);
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!(opened["id"], incident["id"]);
        assert_eq!(opened["count"], 1);
        assert_eq!(opened["by_step"], json!({"backup": 1}));
        assert_eq!(opened["summary"], "1 item of uploads is overdue; 1 stuck at backup, the oldest for 10s");
        let shown = &opened["items"][0];
        assert_eq!(shown["id"], "file-1");
        assert_eq!(shown["url"], daemon.url("/v1/workflows/uploads/items/file-1"));
        assert_eq!(shown["payload_url"], daemon.url("/v1/workflows/uploads/items/file-1/payload"));
        assert_eq!(opened["url"], daemon.url(&format!("/v1/incidents/{}", id(&incident))));
        let path = "/v1/workflows/uploads/items/file-1";
        assert_eq!(daemon.get(path).await["incident"], incident["id"]);

        daemon.close("uploads", "file-1").await;
        let resolved = told(&receiver, "incident.resolved").await;
        assert_eq!(resolved["id"], incident["id"]);
        assert_eq!((&resolved["status"], &resolved["count"]), (&json!("resolved"), &json!(0)));
        assert_eq!(resolved["items"], json!([]));
        assert_eq!(daemon.get(path).await["incident"], Value::Null);
        let history = daemon.get(&format!("/v1/incidents/{}", id(&incident))).await;
        assert_eq!(history["status"], "resolved");
        assert_eq!(history["resolved_at"], "2026-01-01T00:15:10.000Z");
        assert_eq!(history["told"], json!(["oncall"]));
        daemon.open_incidents(0).await;
    }
}

#[tokio::test]
async fn items_that_fall_overdue_while_an_incident_gathers_are_told_together() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    for (item, deadline) in [("a", "60s"), ("b", "65s"), ("c", "69s"), ("later", "71s")] {
        daemon.create("uploads", item, &format!("?deadline={deadline}"), "payload").await;
    }
    daemon.advance(60 * SECOND);
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(9 * SECOND);
    incident_of(&daemon, id(&incident), 3).await;
    daemon.advance(SECOND);
    let opened = told(&receiver, "incident.opened").await;
    let shown: Vec<&Value> = opened["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(shown, ["a", "b", "c"], "the earliest deadline first");

    daemon.advance(SECOND);
    incident_of(&daemon, id(&incident), 4).await;
    for item in ["a", "b", "c"] {
        daemon.close("uploads", item).await;
    }
    let left = incident_of(&daemon, id(&incident), 1).await;
    assert_eq!(left["status"], "open");
    daemon.close("uploads", "later").await;
    let resolved = told(&receiver, "incident.resolved").await;
    assert_eq!(resolved["id"], incident["id"]);
}

#[tokio::test]
async fn the_most_that_an_incident_held_is_remembered_while_it_shrinks() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, "uploads", "first").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    for item in ["second", "third"] {
        lose(&daemon, "uploads", item).await;
    }
    // One loop decides about all incidents in turn: when it has come to those, it has seen all three.
    for (open, workflow) in [(2, "downloads"), (3, "billing")] {
        lose(&daemon, workflow, "file").await;
        daemon.open_incidents(open).await;
    }
    for item in ["first", "second"] {
        daemon.close("uploads", item).await;
    }
    let left = incident_of(&daemon, id(&incident), 1).await;
    assert_eq!(left["peak"], 3);
    daemon.close("uploads", "third").await;
    let resolved =
        incident_when(&daemon, id(&incident), "its end", |incident| incident["status"] == "resolved").await;
    assert_eq!((&resolved["count"], &resolved["peak"]), (&json!(0), &json!(3)));
}

#[tokio::test]
async fn without_a_group_wait_people_are_told_at_once() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).config("[workflows.uploads]\ngroup_wait = \"0s\"").start().await;
    daemon.create("uploads", "file-1", "?deadline=1m", "payload").await;
    daemon.advance(MINUTE);
    let opened = told(&receiver, "incident.opened").await;
    assert_eq!(opened["opened_at"], "2026-01-01T00:01:00.000Z");
    assert_eq!(opened["summary"], "1 item of uploads is overdue");
}

#[tokio::test]
async fn what_is_closed_in_time_is_not_told() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    daemon.create("uploads", "in-time", "?deadline=1m", "payload").await;
    daemon.create("uploads", "late", "?deadline=2m", "payload").await;
    daemon.advance(59 * SECOND);
    daemon.close("uploads", "in-time").await;
    daemon.advance(SECOND);
    daemon.advance(MINUTE);
    let incident = daemon.open_incidents(1).await.remove(0);
    assert_eq!(incident["opened_at"], "2026-01-01T00:02:00.000Z");
    daemon.advance(10 * SECOND);
    let opened = told(&receiver, "incident.opened").await;
    assert_eq!((&opened["count"], &opened["items"][0]["id"]), (&json!(1), &json!("late")));
}

#[tokio::test]
async fn nobody_is_woken_for_what_ends_within_the_group_wait_but_it_stands_in_the_history() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(9 * SECOND);
    daemon.close("uploads", "file-1").await;
    let ended =
        incident_when(&daemon, id(&incident), "its end", |incident| incident["status"] == "resolved").await;
    assert_eq!(ended["resolved_at"], "2026-01-01T00:00:09.000Z");
    assert_eq!(
        (&ended["peak"], &ended["notified_at"], &ended["told"]),
        (&json!(1), &Value::Null, &json!([]))
    );
    assert!(deliveries(&daemon, id(&incident)).await.is_empty());

    lose(&daemon, "downloads", "file-2").await;
    daemon.open_incidents(1).await;
    daemon.advance(10 * SECOND);
    assert_eq!(told(&receiver, "incident.opened").await["workflow"], "downloads");
    let history = daemon.get("/v1/incidents").await;
    let workflows: Vec<&Value> =
        history["data"].as_array().unwrap().iter().map(|incident| &incident["workflow"]).collect();
    assert_eq!(workflows, ["downloads", "uploads"], "the newest first");
}

#[tokio::test]
async fn a_workflow_without_receivers_has_its_incidents_all_the_same() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, "uploads", "file-1").await;
    let incident = daemon.open_incidents(1).await.remove(0);
    daemon.advance(10 * SECOND);
    daemon.close("uploads", "file-1").await;
    daemon.open_incidents(0).await;
    assert!(daemon.get(&format!("/v1/incidents/{}", id(&incident))).await["notified_at"].is_null());
    assert!(deliveries(&daemon, id(&incident)).await.is_empty());
}

#[tokio::test]
async fn each_workflow_has_an_incident_of_its_own() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    for workflow in ["uploads", "downloads", "billing"] {
        lose(&daemon, workflow, "same-id").await;
    }
    daemon.open_incidents(3).await;
    daemon.advance(10 * SECOND);
    let mut workflows = Vec::new();
    for _ in 0..3 {
        let opened = told(&receiver, "incident.opened").await;
        assert_eq!(opened["count"], 1);
        workflows.push(opened["workflow"].as_str().unwrap().to_owned());
    }
    workflows.sort();
    assert_eq!(workflows, ["billing", "downloads", "uploads"]);
    daemon.close("billing", "same-id").await;
    assert_eq!(told(&receiver, "incident.resolved").await["workflow"], "billing");
    daemon.open_incidents(2).await;
}

#[tokio::test]
async fn what_falls_overdue_a_group_interval_after_the_end_is_another_incident() {
    let receiver = TestReceiver::start().await;
    let daemon = oncall(&receiver).start().await;
    let mut incidents = Vec::new();
    for round in 0..3 {
        lose(&daemon, "uploads", &format!("file-{round}")).await;
        daemon.open_incidents(1).await;
        daemon.advance(10 * SECOND);
        incidents.push(told(&receiver, "incident.opened").await["id"].clone());
        daemon.close("uploads", &format!("file-{round}")).await;
        assert_eq!(told(&receiver, "incident.resolved").await["id"], incidents[round]);
        daemon.advance(5 * MINUTE);
    }
    let distinct: std::collections::BTreeSet<&str> =
        incidents.iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(distinct.len(), 3);
}
