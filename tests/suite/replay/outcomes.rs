//! The effect of a target's answer on the item.

use super::*;

async fn item(daemon: &TestDaemon, id: &str) -> Value {
    daemon.get(&format!("/v1/workflows/uploads/items/{id}")).await
}

#[tokio::test]
async fn with_close_what_the_target_took_is_done() {
    for on_disk in [false, true] {
        let target = TestReceiver::start().await;
        let builder = TestDaemon::builder().config("[workflows.uploads]\nsteps = [\"copy\", \"backup\"]");
        let daemon = if on_disk { builder.on_sled() } else { builder }.start().await;
        lose_many(&daemon, 3).await;
        daemon.open_incidents(1).await;
        target.answer(204, &[]);
        target.answer(500, &[]);
        let replay = start(&daemon, to(&target, json!({"on_success": "close"}))).await;
        let ended = completed(&daemon, &replay).await;
        assert_eq!(counts(&ended), [3, 3, 2, 1, 0]);
        for (id, state, outcome) in [
            ("0000", "closed", json!("success")),
            ("0001", "overdue", json!(null)),
            ("0002", "closed", json!("success")),
        ] {
            let item = item(&daemon, id).await;
            assert_eq!((&item["state"], &item["outcome"]), (&json!(state), &outcome), "{item}");
        }
        daemon.close("uploads", "0001").await;
        daemon.open_incidents(0).await;
    }
}

#[tokio::test]
async fn a_failure_is_told_with_its_reason_and_remembered_with_the_item() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 4).await;
    for status in [502, 204, 404, 502] {
        target.answer(status, &[]);
    }
    let replay = start(&daemon, to(&target, json!({}))).await;
    let ended = completed(&daemon, &replay).await;
    assert_eq!(counts(&ended), [4, 4, 1, 3, 0]);
    assert_eq!(ended["failure_reasons"], json!({"HTTP 404": 1, "HTTP 502": 2}));
    let failures = ended["failures"].as_array().unwrap();
    let told: Vec<_> = failures.iter().map(|one| (&one["id"], &one["reason"], &one["status"])).collect();
    assert_eq!(
        told,
        [
            (&json!("0000"), &json!("HTTP 502"), &json!(502)),
            (&json!("0002"), &json!("HTTP 404"), &json!(404)),
            (&json!("0003"), &json!("HTTP 502"), &json!(502)),
        ]
    );
    assert_eq!(arrived(&target).await, ["0000", "0001", "0002", "0003"], "none is tried again");

    let failed = item(&daemon, "0002").await;
    assert_eq!((&failed["state"], &failed["lease"]), (&json!("overdue"), &json!(null)));
    let error = &failed["errors"][0];
    assert_eq!((&error["type"], &error["fatal"]), (&json!("replay"), &json!(false)));
    assert_eq!(error["data"], json!({"replay": replay["id"], "status": 404}));
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("HTTP 404") && message.contains(replay["id"].as_str().unwrap()), "{message}");
}

#[tokio::test]
async fn where_nobody_answers_the_reason_says_so() {
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let replay = start(&daemon, to_url("http://127.0.0.1:1/in", json!({}))).await;
    let ended = completed(&daemon, &replay).await;
    let failure = &ended["failures"][0];
    assert_eq!(failure["status"], json!(null));
    let reason = failure["reason"].as_str().unwrap();
    assert!(reason.starts_with("no connection to http://127.0.0.1:1: "), "{reason}");
    assert_eq!(ended["failure_reasons"], json!({reason: 1}));
}

#[tokio::test]
async fn a_target_that_takes_too_long_has_not_taken_it() {
    let target = crate::alerts::raw::RawReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    let replay = start(&daemon, to_url(&target.url(), json!({"timeout": "50ms"}))).await;
    let unanswered = target.request().await;
    let ended = completed(&daemon, &replay).await;
    assert_eq!(ended["failure_reasons"], json!({"no answer within 50ms": 1}));
    drop(unanswered);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_no_success() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose(&daemon, "file-1").await;
    target.answer(307, &[("location", "/elsewhere")]);
    let replay = start(&daemon, to(&target, json!({}))).await;
    let ended = completed(&daemon, &replay).await;
    assert_eq!((counts(&ended), arrived(&target).await.len()), ([1, 1, 0, 1, 0], 1));
}

#[tokio::test]
async fn too_many_failures_in_a_row_make_it_pause_until_somebody_has_looked() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 10).await;
    for status in [500, 500, 204, 500, 500, 500] {
        target.answer(status, &[]);
    }
    let replay = start(&daemon, to(&target, json!({"pause_after_failures": 3}))).await;
    let paused = run_until(&daemon, &replay, "a pause", |replay| replay["status"] == "paused").await;
    assert_eq!(paused["reason"], "3 items in a row failed, the last one: HTTP 500");
    assert_eq!((counts(&paused), &paused["eta"]), ([10, 6, 1, 5, 0], &json!(null)));
    daemon.advance(60 * SECOND);
    let resumed = act(&daemon, &replay, "resume").await;
    assert_eq!((&resumed["status"], &resumed["reason"]), (&json!("running"), &json!(null)));
    assert_eq!(counts(&completed(&daemon, &replay).await), [10, 10, 5, 5, 0]);
    assert_eq!(arrived(&target).await.len(), 10, "nothing was sent while it was paused, and nothing twice");
}

#[tokio::test]
async fn the_figures_are_in_the_metrics() {
    let target = TestReceiver::start().await;
    let daemon = TestDaemon::start().await;
    lose_many(&daemon, 3).await;
    let replay = start(&daemon, to(&target, json!({"max_per_second": 1}))).await;
    when(&daemon, &replay, "one that succeeded", |replay| replay["succeeded"] == 1).await;
    let metric = crate::alerts::metric;
    assert_eq!(metric(&daemon, "warden_replays_running").await, 1.0);
    daemon.close("uploads", "0002").await;
    target.answer(503, &[]);
    target.answer(500, &[]);
    completed(&daemon, &replay).await;
    for (name, value) in [
        ("warden_replays_running", 0.0),
        ("warden_replay_posts_total", 3.0),
        ("warden_replay_items_succeeded_total", 1.0),
        ("warden_replay_items_failed_total", 1.0),
        ("warden_replay_items_skipped_total", 1.0),
    ] {
        assert_eq!(metric(&daemon, name).await, value, "{name}");
    }
}
