//! The selection of a replay.

use super::*;

async fn report_fatal(daemon: &TestDaemon, workflow: &str, id: &str) {
    let fatal = json!({"type": "DiskGone", "fatal": true});
    let path = format!("/v1/workflows/{workflow}/items/{id}/errors");
    daemon.send_json(Method::POST, &path, fatal).await.json(201);
}

#[tokio::test]
async fn what_comes_later_is_not_swept_in_and_what_is_closed_meanwhile_is_skipped() {
    for on_disk in [false, true] {
        let target = TestReceiver::start().await;
        let builder = TestDaemon::builder();
        let daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        lose_many(&daemon, 300).await;
        let replay = start(&daemon, to(&target, json!({"max_per_second": 10}))).await;
        assert_eq!(target.next().await.header("warden-item-id"), "0000");
        when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
        lose(&daemon, "late").await;
        // One that stands in line already, and some that are still to be read.
        for id in ["0001", "0270", "0299"] {
            daemon.close("uploads", id).await;
        }
        let ended = completed(&daemon, &replay).await;
        assert_eq!(counts(&ended), [300, 297, 297, 0, 3]);
        let found = arrived(&target).await;
        let expected = (2..300).filter(|number| ![270, 299].contains(number));
        assert_eq!(found, expected.map(|number| format!("{number:04}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn one_that_is_closed_does_not_cost_a_turn() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 600).await;
    let replay = start(&daemon, to(&target, json!({"max_per_second": 0.01}))).await;
    target.next().await;
    when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
    for number in 1..599 {
        daemon.close("uploads", &format!("{number:04}")).await;
    }
    // The next turn comes for one that was closed while it stood in line, and is handed on until the last.
    daemon.advance(100 * SECOND);
    assert_eq!(target.next().await.header("warden-item-id"), "0599");
    let ended = when(&daemon, &replay, "its end", |replay| replay["status"] == "completed").await;
    assert_eq!(counts(&ended), [600, 2, 2, 0, 598]);
}

#[tokio::test]
async fn the_filter_chooses_as_that_of_a_list_does() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "eu", "?deadline=10s&label=region:eu&step=copy", "x").await;
    daemon.create("uploads", "us", "?deadline=20s&label=region:us&step=copy", "x").await;
    daemon.create("reports", "eu", "?deadline=30s&label=region:eu", "x").await;
    daemon.advance(SECOND);
    daemon.create("uploads", "open", "?deadline=1d", "x").await;
    daemon.create("uploads", "broken", "?deadline=1d&step=backup", "x").await;
    report_fatal(&daemon, "uploads", "broken").await;
    daemon.advance(60 * SECOND);
    let all = ["uploads/eu", "uploads/us", "reports/eu", "uploads/broken"];
    for (filter, expected) in [
        (json!({}), &all[..]),
        (json!({"workflows": ["up*"]}), &["uploads/eu", "uploads/us", "uploads/broken"]),
        (json!({"workflows": ["re*", "nothing"]}), &["reports/eu"]),
        (json!({"states": ["failed"]}), &["uploads/broken"]),
        (json!({"states": ["open"]}), &["uploads/open"]),
        (json!({"labels": {"region": "eu"}}), &["uploads/eu", "reports/eu"]),
        (json!({"step": "copy"}), &["uploads/eu", "uploads/us"]),
        (json!({"created_after": "2026-01-01T00:00:01Z"}), &["uploads/broken"]),
        (json!({"created_before": "2026-01-01T00:00:01Z", "workflows": ["reports"]}), &["reports/eu"]),
        (
            json!({"deadline_after": "2026-01-01T00:00:20Z", "deadline_before": "2026-01-01T00:00:30Z"}),
            &["uploads/us"],
        ),
        (json!({"labels": {"region": "mars"}}), &[]),
    ] {
        let replay = start(&daemon, to(&target, json!({"filter": filter.clone()}))).await;
        completed(&daemon, &replay).await;
        let found = target.arrived().await;
        let name = |one: &crate::support::receiver::Received| {
            format!("{}/{}", one.header("warden-workflow"), one.header("warden-item-id"))
        };
        assert_eq!(found.iter().map(name).collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_replay_of_nothing_is_over_at_once() {
    let daemon = TestDaemon::start().await;
    let replay = start(&daemon, to_url("http://127.0.0.1:1/", json!({"canary": 5}))).await;
    assert_eq!((&replay["status"], &replay["total"]), (&json!("completed"), &json!(0)));
    assert_eq!((&replay["started_at"], &replay["ended_at"]), (&json!(null), &replay["created_at"]));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_sent_and_sends_nothing() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "a", "?deadline=5s&step=copy", "12345").await;
    daemon.create("uploads", "b", "?deadline=4s", "123").await;
    daemon.create("uploads", "open", "?deadline=1h", "x").await;
    daemon.create("reports", "c", "?deadline=5s", "x").await;
    daemon.advance(10 * SECOND);
    let document = to(&target, json!({"dry_run": true, "filter": {"workflows": ["up*"]}}));
    let summary = daemon.send_json(Method::POST, "/v1/replays", document).await.json(200);
    let listed = daemon.get("/v1/items/summary?workflow=up*&state=overdue&state=failed").await;
    assert_eq!(summary, listed);
    assert_eq!((&summary["count"], &summary["bytes"]), (&json!(2), &json!(8)));
    assert_eq!(daemon.get("/v1/replays").await["data"], json!([]));
    // What could not be started cannot be tried out either.
    let wrong = to(&target, json!({"dry_run": true, "concurrency": 0}));
    daemon.send_json(Method::POST, "/v1/replays", wrong).await.refused(400, "invalid-request");
    let replay = start(&daemon, to(&target, json!({"filter": {"workflows": ["up*"]}}))).await;
    completed(&daemon, &replay).await;
    assert_eq!(arrived(&target).await, ["b", "a"], "nothing came before");
}
