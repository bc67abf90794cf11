//! What follows a changed policy: incidents, groups, receivers, schedules, redrives, history.

use super::*;
use crate::alerts::told;

#[tokio::test]
async fn an_open_incident_is_told_to_a_receiver_that_a_reload_adds_and_resolved_there() {
    let (first, second) = (TestReceiver::start().await, TestReceiver::start().await);
    let mut daemon = TestDaemon::builder().config(&telling("first", &first, "")).start().await;
    daemon.create("uploads", "late", "?deadline=0s", "payload").await;
    let opened = told(&first, "incident.opened").await;
    let both = format!(
        "{}[receivers.second]\nurl = \"{}\"\nallow_private = true\n",
        telling("first", &first, "").replace("[\"first\"]", "[\"first\", \"second\"]"),
        second.url()
    );
    daemon.reload(&both).await;
    daemon.create("uploads", "later", "?deadline=0s", "payload").await;
    daemon.advance(5 * MINUTE);
    assert_eq!(told(&first, "incident.grown").await["id"], opened["id"]);
    assert_eq!(told(&second, "incident.grown").await["id"], opened["id"]);
    daemon.close("uploads", "late").await;
    daemon.close("uploads", "later").await;
    for receiver in [&first, &second] {
        assert_eq!(told(receiver, "incident.resolved").await["id"], opened["id"]);
    }
}

#[tokio::test]
async fn a_receiver_that_is_called_elsewhere_from_now_on_gets_there_what_waited() {
    let (gone, here) = (TestReceiver::start().await, TestReceiver::start().await);
    gone.usually(410, &[]);
    let mut daemon = TestDaemon::builder().config(&telling("oncall", &gone, "")).start().await;
    daemon.create("uploads", "late", "?deadline=0s", "payload").await;
    gone.next().await;
    eventually("a receiver that is paused", || async {
        let receivers = daemon.get("/v1/receivers").await;
        (receivers["data"][0]["state"] == "paused").then_some(())
    })
    .await;
    daemon.reload(&telling("oncall", &here, "")).await;
    told(&here, "incident.opened").await;
}

#[tokio::test]
async fn a_workflow_that_a_reload_splits_ends_its_incident_after_those_of_its_groups_began() {
    let receiver = TestReceiver::start().await;
    for on_disk in [false, true] {
        let builder = TestDaemon::builder().config(&telling("oncall", &receiver, ""));
        let mut daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        for (id, label) in [("a", "eu"), ("b", "us"), ("c", "eu")] {
            let query = format!("?deadline=0s&label=region:{label}");
            daemon.create("uploads", id, &query, "payload").await;
        }
        daemon.create("uploads", "d", "?deadline=10m&label=region:us", "payload").await;
        let whole = told(&receiver, "incident.opened").await;
        daemon.reload(&telling("oncall", &receiver, "group_by = [\"region\"]")).await;
        let mut groups = Vec::new();
        let mut ended = false;
        while !ended || groups.len() < 2 {
            let received = receiver.next().await;
            let incident = received.json()["data"].clone();
            if received.event() == "incident.opened" {
                groups.push(incident);
                continue;
            }
            assert_eq!((&*received.event(), &incident["id"]), ("incident.resolved", &whole["id"]));
            let continued = groups.iter().any(|group| group["id"] == incident["continued_in"]);
            assert!(continued, "what goes on was told before: {incident}");
            ended = true;
        }
        groups.sort_by_key(|group| group["group"]["region"].to_string());
        let counts: Vec<_> =
            groups.iter().map(|group| (&group["group"]["region"], &group["count"])).collect();
        assert_eq!(counts, [(&json!("eu"), &json!(2)), (&json!("us"), &json!(1))]);
        daemon.advance(10 * MINUTE);
        let grown = told(&receiver, "incident.grown").await;
        assert_eq!((&grown["id"], &grown["count"]), (&groups[1]["id"], &json!(2)), "a timer goes by it too");
        // Closed one by one, so that each is told by itself.
        for (id, group) in [("a", None), ("c", Some(0)), ("b", None), ("d", Some(1))] {
            daemon.close("uploads", id).await;
            if let Some(group) = group {
                assert_eq!(told(&receiver, "incident.resolved").await["id"], groups[group]["id"]);
            }
        }
        daemon.reload(&telling("oncall", &receiver, "")).await;
        daemon.open_incidents(0).await;
    }
}

#[tokio::test]
async fn a_start_that_is_not_expected_any_more_is_missed_no_longer() {
    let receiver = TestReceiver::start().await;
    let expecting = telling("oncall", &receiver, "expect = { every = \"1h\" }");
    let mut daemon = TestDaemon::builder().config(&telling("oncall", &receiver, "")).start().await;
    daemon.advance(120 * MINUTE);
    daemon.reload(&expecting).await;
    let workflow = daemon.get("/v1/workflows/uploads").await;
    assert_eq!(workflow["expect"]["next_expected_at"], "2026-01-01T03:00:00.000Z", "from the reload on");
    daemon.advance(30 * MINUTE);
    daemon.reload(&expecting).await;
    daemon.advance(30 * MINUTE);
    let missed = told(&receiver, "incident.opened").await;
    assert_eq!(missed["kind"], "missed", "an expectation that stays is not begun anew");
    daemon.reload(&telling("oncall", &receiver, "")).await;
    assert_eq!(told(&receiver, "incident.resolved").await["id"], missed["id"]);
    assert_eq!(daemon.get("/v1/workflows/uploads").await["expect"], Value::Null);
}

#[tokio::test]
async fn overdue_items_are_redriven_to_where_a_reload_says() {
    let (first, second) = (TestReceiver::start().await, TestReceiver::start().await);
    let redriving = |target: &TestReceiver| {
        format!(
            "[workflows.uploads]\nredrive = {{ url = \"{}\", after = \"5m\", max_attempts = 9 }}",
            target.url()
        )
    };
    let mut daemon = TestDaemon::builder().config("[workflows.uploads]").start().await;
    daemon.create("uploads", "late", "?deadline=0s", "payload").await;
    daemon.advance(10 * MINUTE);
    for target in [&first, &second, &first] {
        daemon.reload(&redriving(target)).await;
        let attempt = eventually("the next attempt", || async {
            daemon.advance(MINUTE);
            target.arrived().await.pop()
        })
        .await;
        assert_eq!(attempt.header("warden-item-id"), "late");
    }
    daemon.reload("").await;
    daemon.create("uploads", "last", "?deadline=0s", "payload").await;
    assert_eq!(daemon.get("/v1/workflows/uploads").await["redrive"], Value::Null);
}

#[tokio::test]
async fn fewer_closed_items_are_kept_as_soon_as_a_reload_says_so() {
    let mut daemon = TestDaemon::builder().config("[workflows.uploads]").start().await;
    for id in ["a", "b", "c"] {
        daemon.create("uploads", id, "", "payload").await;
        daemon.close("uploads", id).await;
    }
    daemon.reload("[workflows.uploads]\nretention_max = 1").await;
    eventually("one closed item", || async {
        daemon.advance(Duration::from_secs(1));
        let stats = daemon.get("/v1/workflows/uploads/stats").await;
        (stats["closed"] == 1).then_some(())
    })
    .await;
}
