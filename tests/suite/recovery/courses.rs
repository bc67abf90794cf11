//! The course of items through their steps: outcomes, repetitions, counters, and what people change.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{act, claim, item};
use crate::support::{TestDaemon, Wire, eventually};

const ITEM: &str = "/v1/workflows/uploads/items/file-1";
const SECOND: Duration = Duration::from_secs(1);

/// A daemon with an item at the first of the steps `a`, `b` and `c`.
async fn with_item() -> TestDaemon {
    with_policy("steps = [\"a\", \"b\", \"c\"]").await
}

async fn with_policy(policy: &str) -> TestDaemon {
    let policy = format!("[workflows.uploads]\n{policy}");
    let daemon = TestDaemon::builder().config(&policy).start().await;
    daemon.create("uploads", "file-1", "?deadline=1h", "hello").await;
    daemon
}

/// Claims the item, whatever its state.
async fn take(daemon: &TestDaemon) -> Option<Value> {
    let states = json!({"worker": "host-1", "states": ["open", "overdue", "failed"], "ttl": "60s"});
    claim(daemon, states).await.pop()
}

/// Claims the item and ends the run of its step.
async fn run(daemon: &TestDaemon, step: &str, document: Value) -> Value {
    let lease = take(daemon).await.expect("it can be claimed");
    assert_eq!(lease["item"]["step"], step);
    act(daemon, &lease, "complete", document).await.json(200)
}

async fn fail(daemon: &TestDaemon, error: Value) -> Value {
    let lease = take(daemon).await.expect("it can be claimed");
    act(daemon, &lease, "fail", json!({ "error": error })).await.json(200)
}

#[tokio::test]
async fn steps_that_are_done_follow_each_other_and_the_last_one_closes_the_item() {
    let daemon = with_item().await;
    for (step, index) in [("a", 0), ("b", 1), ("c", 2)] {
        assert_eq!(item(&daemon, "file-1").await["step_index"], index);
        run(&daemon, step, json!({})).await;
    }
    let closed = item(&daemon, "file-1").await;
    assert_eq!((&closed["state"], &closed["step_index"]), (&json!("closed"), &json!(2)));
    assert_eq!(closed["steps"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_step_that_is_skipped_keeps_its_message_and_the_next_one_follows() {
    let daemon = with_item().await;
    let skipped = run(&daemon, "a", json!({"status": "skipped", "message": "nothing to do"})).await;
    assert_eq!((&skipped["state"], &skipped["step"]), (&json!("open"), &json!("b")));
    let run = &skipped["steps"][0];
    assert_eq!((&run["status"], &run["message"]), (&json!("skipped"), &json!("nothing to do")));
    assert_eq!((&run["attempts"], &run["entered_at"]), (&json!(1), &json!("2026-01-01T00:00:00.000Z")));
}

#[tokio::test]
async fn an_interrupted_item_has_no_error_and_cannot_be_claimed_until_a_person_retries_it() {
    let daemon = with_item().await;
    let interrupted = run(&daemon, "a", json!({"status": "interrupted", "message": "no budget"})).await;
    assert_eq!((&interrupted["state"], &interrupted["step"]), (&json!("interrupted"), &json!("a")));
    assert_eq!((&interrupted["errors"], &interrupted["errored_at"]), (&json!([]), &json!(null)));
    daemon.advance(600 * SECOND);
    assert_eq!(take(&daemon).await, None);
    let stats = daemon.get("/v1/workflows/uploads/stats").await;
    assert_eq!((&stats["interrupted"], &stats["open"], &stats["failed"]), (&json!(1), &json!(1), &json!(0)));
    let retried = daemon.ask(Method::POST, &format!("{ITEM}/retry")).await.json(200);
    assert_eq!(retried["state"], "open");
    run(&daemon, "a", json!({})).await;
}

#[tokio::test]
async fn an_interrupted_item_that_is_late_counts_in_the_incident_of_overdue_items_and_stays_interrupted() {
    let daemon = with_item().await;
    run(&daemon, "a", json!({"status": "interrupted"})).await;
    daemon.advance(3600 * SECOND);
    let incidents = daemon.open_incidents(1).await;
    assert_eq!((&incidents[0]["kind"], &incidents[0]["count"]), (&json!("overdue"), &json!(1)));
    assert_eq!(item(&daemon, "file-1").await["state"], "interrupted");
    let listed = daemon.get("/v1/items?state=interrupted").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_interruption_ends_when_its_repetition_is_due_and_not_earlier() {
    let daemon = with_item().await;
    let document = json!({"status": "interrupted", "repeat": {"after": "30m"}});
    let interrupted = run(&daemon, "a", document).await;
    assert_eq!(interrupted["interrupted_until"], "2026-01-01T00:30:00.000Z");
    daemon.advance(1799 * SECOND);
    assert_eq!(take(&daemon).await, None);
    daemon.advance(SECOND);
    assert_eq!(item(&daemon, "file-1").await["state"], "open");
    run(&daemon, "a", json!({})).await;
}

#[tokio::test]
async fn a_step_is_repeated_as_often_as_it_may_run_in_all() {
    let daemon = with_item().await;
    let document = || json!({"status": "interrupted", "repeat": {"max": 3}});
    for _ in 0..3 {
        run(&daemon, "a", document()).await;
    }
    assert_eq!(take(&daemon).await, None);
    assert_eq!(item(&daemon, "file-1").await["steps"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_step_that_is_done_and_to_be_repeated_runs_again_when_the_item_rests() {
    let daemon = with_item().await;
    let repeat = |status: &str| json!({"status": status, "repeat": {"after": "0s"}});
    run(&daemon, "a", repeat("done")).await;
    run(&daemon, "b", repeat("interrupted")).await;
    run(&daemon, "a", json!({})).await;
    run(&daemon, "b", json!({})).await;
    run(&daemon, "c", json!({})).await;
    let closed = item(&daemon, "file-1").await;
    let runs: Vec<&str> =
        closed["steps"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!((&closed["state"], runs), (&json!("closed"), vec!["a", "b", "a", "b", "c"]));
}

#[tokio::test]
async fn retries_are_counted_at_a_step_and_the_last_message_outlives_it() {
    let daemon = with_policy(
        "steps = [\"a\", { name = \"b\", retry = { max = \"unlimited\", backoff = \"1s\" } }, \"c\"]\n\
         retry = { max = 0, jitter = 0.0 }",
    )
    .await;
    run(&daemon, "a", json!({})).await;
    for retries in [1, 2] {
        let failed = fail(&daemon, json!({"type": "Busy", "message": "x", "retryable": true})).await;
        assert_eq!((&failed["step_retries"], &failed["errored_at"]), (&json!(retries), &json!(null)));
        daemon.advance(Duration::from_millis(999));
        assert_eq!(take(&daemon).await, None);
        daemon.advance(Duration::from_millis(1));
    }
    let done = run(&daemon, "b", json!({})).await;
    assert_eq!((&done["step_index"], &done["step_retries"]), (&json!(2), &json!(0)));
    assert_eq!(done["error_message"], "x");
}

#[tokio::test]
async fn a_fatal_error_keeps_its_whole_message_and_its_stack_and_no_later_step_runs() {
    let daemon = with_item().await;
    run(&daemon, "a", json!({})).await;
    let message = "m".repeat(300);
    let error = json!({"type": "Bug", "message": message, "stack": "at b.rs:7"});
    let failed = fail(&daemon, error).await;
    assert_eq!((&failed["state"], &failed["step_index"]), (&json!("failed"), &json!(1)));
    assert_eq!(
        (&failed["error_message"], &failed["errors"][0]["stack"]),
        (&json!(message), &json!("at b.rs:7"))
    );
    assert_eq!(failed["errored_at"], "2026-01-01T00:00:00.000Z");
    let open = json!({"states": ["open", "overdue"]});
    assert_eq!(claim(&daemon, open).await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_ignorable_error_takes_the_item_on_or_ends_it_as_the_step_says() {
    let policy = "steps = [\"a\", { name = \"b\", on_ignorable = \"end\" }, \"c\"]";
    let daemon = with_policy(policy).await;
    let ignorable = || json!({"type": "Optional", "message": "no thumbnail", "ignorable": true});
    let skipped = fail(&daemon, ignorable()).await;
    assert_eq!((&skipped["step"], &skipped["steps"][0]["message"]), (&json!("b"), &json!("no thumbnail")));
    let ended = fail(&daemon, ignorable()).await;
    assert_eq!((&ended["state"], &ended["outcome"]), (&json!("closed"), &json!("failed")));
    assert_ne!(ended["errored_at"], json!(null));
    assert_eq!(daemon.get("/v1/incidents").await["data"], json!([]));
}

#[tokio::test]
async fn a_lease_that_ran_out_is_counted_with_progress_kept_and_is_no_retry() {
    let daemon = with_item().await;
    let lease = take(&daemon).await.unwrap();
    let progress = json!({"progress_change": {"op": "set", "value": {"page": 50}, "of_step": true}});
    act(&daemon, &lease, "heartbeat", progress).await.json(200);
    daemon.advance(60 * SECOND);
    let next = take(&daemon).await.unwrap();
    let found = &next["item"];
    assert_eq!((&found["step_retries"], &found["step_losses"]), (&json!(0), &json!(1)));
    let done = act(&daemon, &next, "complete", json!({})).await.json(200);
    assert_eq!((&done["steps"][0]["progress"], &done["step_losses"]), (&json!({"page": 50}), &json!(0)));
}

#[tokio::test]
async fn an_item_of_which_too_many_leases_ran_out_has_failed_and_says_so() {
    let daemon = with_policy("steps = [{ name = \"a\", max_losses = 1 }]").await;
    for _ in 0..2 {
        take(&daemon).await.expect("it can be claimed");
        daemon.advance(60 * SECOND);
    }
    assert_eq!(take(&daemon).await, None);
    let failed = item(&daemon, "file-1").await;
    assert_eq!(
        (&failed["state"], &failed["errors"][0]["type"]),
        (&json!("failed"), &json!("leases_expired"))
    );
    assert_eq!(
        failed["error_message"],
        "2 leases ran out at the step a, the last one of host-1; the item may be the reason"
    );
    let incidents = daemon.open_incidents(1).await;
    assert_eq!(incidents[0]["kind"], "failed");
}

#[tokio::test]
async fn a_step_whose_worker_died_before_the_answer_to_its_end_does_not_run_again() {
    let steps = "[workflows.uploads]\nsteps = [\"a\", \"b\", \"c\"]";
    let mut daemon = TestDaemon::builder().config(steps).on_sled().start().await;
    daemon.create("uploads", "file-1", "?deadline=1h", "hello").await;
    run(&daemon, "a", json!({})).await;
    let lease = take(&daemon).await.unwrap();
    assert_eq!(lease["item"]["step"], "b");
    let mut worker = Wire::open(&daemon).await;
    let id = lease["id"].as_str().unwrap();
    let head = "host: warden\r\ncontent-type: application/json\r\ncontent-length: 2";
    worker.send(format!("POST /v1/leases/{id}/complete HTTP/1.1\r\n{head}\r\n\r\n{{}}")).await;
    // Its end is on disk, and nobody has read the answer.
    eventually("the end of b", || async { (item(&daemon, "file-1").await["step"] == "c").then_some(()) })
        .await;
    worker.reset();
    daemon.restart().await;
    let repeated = act(&daemon, &lease, "complete", json!({})).await.json(200);
    assert_eq!(repeated["step"], "c", "what may not have arrived can be repeated");
    daemon.advance(60 * SECOND);
    assert_eq!(run(&daemon, "c", json!({})).await["state"], "closed");
    let closed = item(&daemon, "file-1").await;
    let runs: Vec<&str> =
        closed["steps"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!((runs, take(&daemon).await), (vec!["a", "b", "c"], None));
}

#[tokio::test]
async fn a_step_can_be_reported_without_a_lease_in_order_and_twice() {
    let daemon = with_item().await;
    let report = |step: &str, document: Value| {
        let path = format!("{ITEM}/steps/{step}");
        let daemon = &daemon;
        async move { daemon.send_json(Method::POST, &path, document).await }
    };
    report("b", json!({})).await.refused(409, "step-order");
    report("x", json!({})).await.refused(422, "step-unknown");
    let done = report("a", json!({"message": "by hand"})).await.json(200);
    assert_eq!(done["step"], "b");
    assert_eq!(report("a", json!({})).await.json(200)["version"], done["version"]);
    report("a", json!({"status": "skipped"})).await.refused(409, "step-order");
    report("b", json!({})).await.json(200);
    let closed = report("c", json!({})).await.json(200);
    assert_eq!(closed["state"], "closed");
    assert_eq!(report("c", json!({})).await.json(200)["version"], closed["version"]);
}

#[tokio::test]
async fn a_report_takes_the_item_away_from_the_holder_of_its_lease() {
    let daemon = with_item().await;
    let lease = take(&daemon).await.unwrap();
    daemon.send_json(Method::POST, &format!("{ITEM}/steps/a"), json!({})).await.json(200);
    act(&daemon, &lease, "complete", json!({})).await.refused(409, "lease-lost");
    assert_eq!(item(&daemon, "file-1").await["step"], "b");
}

#[tokio::test]
async fn an_interruption_that_is_reported_again_counts_once() {
    let daemon = with_item().await;
    let document = json!({"status": "interrupted", "repeat": {"after": "1m", "max": 2}});
    let report =
        || daemon.send_json(Method::POST, "/v1/workflows/uploads/items/file-1/steps/a", document.clone());
    let first = report().await.json(200);
    assert_eq!(report().await.json(200)["version"], first["version"]);
    daemon.advance(60 * SECOND);
    let second = report().await.json(200);
    assert_eq!((&second["state"], &second["interrupted_until"]), (&json!("interrupted"), &json!(null)));
}

#[tokio::test]
async fn a_report_of_a_step_that_is_ahead_again_is_out_of_order() {
    let daemon = with_item().await;
    for step in ["a", "b"] {
        run(&daemon, step, json!({})).await;
    }
    daemon.send_json(Method::POST, &format!("{ITEM}/retry"), json!({"from": "a"})).await.json(200);
    daemon.send_json(Method::POST, &format!("{ITEM}/steps/b"), json!({})).await.refused(409, "step-order");
}

#[tokio::test]
async fn an_interrupted_item_is_claimable_when_it_is_due_after_a_restart_and_a_move() {
    let steps = "[workflows.uploads]\nsteps = [\"a\", \"b\"]";
    let mut daemon = TestDaemon::builder().config(steps).on_sled().start().await;
    daemon.create("uploads", "file-1", "?deadline=24h", "hello").await;
    let document = json!({"status": "interrupted", "repeat": {"after": "30m"}, "message": "later"});
    daemon.send_json(Method::POST, &format!("{ITEM}/steps/a"), document).await.json(200);
    daemon.restart().await;
    assert_eq!(take(&daemon).await, None);
    let exported = daemon.ask(Method::GET, "/v1/export").await;
    let other = TestDaemon::builder().config(steps).start().await;
    let moved = other.send(Method::POST, "/v1/batch", exported.text().to_owned()).await.lines(200);
    assert_eq!(moved[0]["status"], 201, "{moved:?}");
    for daemon in [&daemon, &other] {
        let found = item(daemon, "file-1").await;
        assert_eq!(
            (&found["state"], &found["steps"][0]["message"]),
            (&json!("interrupted"), &json!("later"))
        );
        assert_eq!(found["interrupted_until"], "2026-01-01T00:30:00.000Z");
        assert_eq!(take(daemon).await, None);
        daemon.advance(1800 * SECOND);
        run(daemon, "a", json!({})).await;
    }
}

#[tokio::test]
async fn an_operator_sends_an_item_back_to_an_earlier_step_and_lets_it_wait() {
    let daemon = with_item().await;
    run(&daemon, "a", json!({})).await;
    run(&daemon, "b", json!({})).await;
    let retry = json!({"from": "a", "after": "10m"});
    let back = daemon.send_json(Method::POST, &format!("{ITEM}/retry"), retry).await.json(200);
    assert_eq!((&back["step"], &back["retry_at"]), (&json!("a"), &json!("2026-01-01T00:10:00.000Z")));
    assert_eq!(take(&daemon).await, None);
    daemon.advance(600 * SECOND);
    run(&daemon, "a", json!({})).await;
    run(&daemon, "b", json!({})).await;
    let unknown = json!({"from": "x"});
    daemon.send_json(Method::POST, &format!("{ITEM}/retry"), unknown).await.refused(422, "step-unknown");
}

#[tokio::test]
async fn a_cancelled_item_is_lost_to_its_holder_and_no_later_step_runs() {
    let daemon = with_item().await;
    let lease = take(&daemon).await.unwrap();
    assert_eq!(daemon.ask(Method::POST, &format!("{ITEM}/cancel")).await.status, 204);
    act(&daemon, &lease, "heartbeat", json!({})).await.refused(409, "lease-lost");
    act(&daemon, &lease, "complete", json!({})).await.refused(409, "lease-lost");
    let cancelled = item(&daemon, "file-1").await;
    assert_eq!((&cancelled["state"], &cancelled["outcome"]), (&json!("closed"), &json!("discarded")));
    assert_eq!(take(&daemon).await, None);
}

#[tokio::test]
async fn an_item_goes_through_steps_of_its_own_and_not_before_its_time() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?steps=x&steps=y&not_before=10m", "hello").await;
    let found = item(&daemon, "file-1").await;
    assert_eq!((&found["step"], &found["not_before"]), (&json!("x"), &json!("2026-01-01T00:10:00.000Z")));
    assert_eq!(found["deadline"], "2026-01-01T01:10:00.000Z", "it has an hour from then");
    assert_eq!(take(&daemon).await, None);
    daemon.advance(600 * SECOND);
    run(&daemon, "x", json!({})).await;
    assert_eq!(run(&daemon, "y", json!({})).await["state"], "closed");
}

#[tokio::test]
async fn the_deadline_of_a_step_is_never_later_than_the_items_own() {
    let policy = "steps = [{ name = \"a\", deadline = \"5m\" }, { name = \"b\", deadline = \"2h\" }]";
    let daemon = with_policy(policy).await;
    assert_eq!(item(&daemon, "file-1").await["deadline"], "2026-01-01T00:05:00.000Z");
    let at_b = run(&daemon, "a", json!({})).await;
    assert_eq!(at_b["deadline"], "2026-01-01T01:00:00.000Z");
}

#[tokio::test]
async fn an_item_that_nobody_gave_a_deadline_has_the_time_of_its_step_from_entering_it() {
    let policy = "[workflows.uploads]\nsteps = [\"a\", { name = \"b\", deadline = \"2h\" }, \"c\"]";
    let daemon = TestDaemon::builder().config(policy).start().await;
    daemon.create("uploads", "file-1", "", "hello").await;
    daemon.advance(600 * SECOND);
    assert_eq!(run(&daemon, "a", json!({})).await["deadline"], "2026-01-01T02:10:00.000Z");
    let at_c = run(&daemon, "b", json!({})).await;
    assert_eq!(at_c["deadline"], "2026-01-01T02:10:00.000Z", "no time is taken away");
}

#[tokio::test]
async fn progress_is_set_assigned_and_merged_for_all_steps_and_for_one() {
    let daemon = with_item().await;
    let lease = take(&daemon).await.unwrap();
    let change = |op: &str, value: Value| {
        let document = json!({"progress_change": {"op": op, "value": value}});
        let (daemon, lease) = (&daemon, &lease);
        async move {
            act(daemon, lease, "heartbeat", document).await.json(200);
            item(daemon, "file-1").await["progress"].clone()
        }
    };
    assert_eq!(change("set", json!({"a": {"x": 1}, "b": 1})).await, json!({"a": {"x": 1}, "b": 1}));
    assert_eq!(change("assign", json!({"a": {"y": 2}})).await, json!({"a": {"y": 2}, "b": 1}));
    assert_eq!(change("assign", json!({"b": null})).await, json!({"a": {"y": 2}, "b": null}));
    assert_eq!(change("merge", json!({"a": {"z": 3}, "b": null})).await, json!({"a": {"y": 2, "z": 3}}));
    let both = json!({"progress": {}, "progress_change": {"op": "set", "value": {}}});
    act(&daemon, &lease, "heartbeat", both).await.refused(400, "invalid-request");
    let checkpoint = json!({"progress": {"page": 3}});
    let released = act(&daemon, &lease, "release", checkpoint).await.json(200);
    assert_eq!((&released["progress"]["page"], &released["step_attempts"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn many_items_are_sent_back_to_a_step_at_once() {
    let daemon = with_item().await;
    daemon.create("uploads", "file-2", "?deadline=1h&steps=x", "hello").await;
    run(&daemon, "a", json!({})).await;
    let (path, document) = ("/v1/items/retry?state=open", json!({"from": "a"}));
    let retried = daemon.send_json(Method::POST, path, document).await.json(200);
    assert_eq!(retried["retried"], 1, "one of them has no such step");
    assert_eq!(item(&daemon, "file-1").await["step"], "a");
}
