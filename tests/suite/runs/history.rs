//! The ledger: numbers, lineage, counts, windows, retention.

use reqwest::Method;
use serde_json::{Value, json};

use super::{SECOND, daemon, daemon_at, fail, listed, open, path, post, refused, status, succeed};
use crate::support::{TestDaemon, eventually};

#[tokio::test]
async fn the_ledger_tells_of_each_run_and_finds_it_by_its_lineage() {
    let daemon = daemon("[workflows.load]\nsingle = \"allow\"").await;
    let lineage = json!({"process_type": "load", "actor": "cron", "tool": "spark",
        "sources": ["crm", "shop"], "targets": ["dwh"]});
    let run = post(&daemon, "load", "runs", json!({"id": "first", "lineage": lineage})).await.json(201);
    assert_eq!((&run["lineage"], &run["number"]), (&lineage, &json!(1)));
    daemon.advance(90 * SECOND);
    let counts = json!({"read": 10, "written": 9});
    post(&daemon, "load", "runs/current/close", json!({"counts": counts})).await.json(200);
    post(&daemon, "load", "runs", json!({"lineage": {"sources": ["shop"]}})).await.json(201);
    let end = json!({"error": {"type": "Data Error", "message": "a row is odd"}, "counts": {"read": 5}});
    post(&daemon, "load", "runs/current/fail", end).await.json(200);

    let runs = listed(&daemon, "load", "").await;
    assert_eq!(runs.len(), 2);
    let (second, first) = (&runs[0], &runs[1]);
    assert_eq!(
        (&first["status"], &first["duration"], &first["counts"]),
        (&json!("success"), &json!(90.0), &counts)
    );
    assert_eq!((&second["status"], &second["error"]["message"]), (&json!("failed"), &json!("a row is odd")));
    assert_eq!(status(&daemon, "load").await["totals"], json!({"read": 15, "written": 9}));
    for (query, numbers) in [
        ("?source=shop", vec![2, 1]),
        ("?source=shop&source=crm", vec![1]),
        ("?target=dwh", vec![1]),
        ("?actor=cron&tool=spark&process_type=load", vec![1]),
        ("?actor=ada", vec![]),
        ("?status=failed&status=open", vec![2]),
        ("?since=2026-01-01T00:01:00Z", vec![2]),
    ] {
        let found: Vec<_> =
            listed(&daemon, "load", query).await.iter().map(|run| run["number"].clone()).collect();
        assert_eq!(found, numbers, "{query}");
    }
    let page = daemon.get("/v1/workflows/load/runs?limit=1").await;
    let next = page["next_cursor"].as_str().expect("another page follows");
    let rest = listed(&daemon, "load", &format!("?cursor={next}")).await;
    assert_eq!((rest.len(), &rest[0]["number"]), (1, &json!(1)));
}

#[tokio::test]
async fn counts_can_be_told_while_a_run_goes_on_and_the_workflow_sums_them_up() {
    let daemon = daemon("[workflows.load]\nsingle = \"allow\"").await;
    for id in ["a", "b"] {
        post(&daemon, "load", "runs", json!({ "id": id })).await.json(201);
    }
    let patch = async |id: &str, counts: Value| {
        let path = format!("/v1/workflows/load/items/{id}");
        daemon.send_json(Method::PATCH, &path, json!({ "counts": counts })).await
    };
    patch("a", json!({"read": 10, "odd": 2})).await.json(200);
    patch("b", json!({"read": 5})).await.json(200);
    assert_eq!(status(&daemon, "load").await["totals"], json!({"read": 15, "odd": 2}));
    let left = patch("a", json!({"read": 12, "odd": null})).await.json(200);
    assert_eq!(left["counts"], json!({"read": 12}));
    assert_eq!(status(&daemon, "load").await["totals"]["read"], 17);
    let refused = patch("a", json!({"not a name": 1})).await.refused(400, "invalid-request");
    assert!(refused.contains("no name of a count"), "{refused}");
    let many: serde_json::Map<_, _> = (0..40).map(|n| (format!("c{n}"), json!(n))).collect();
    patch("a", Value::Object(many)).await.refused(400, "invalid-request");
    patch("b", Value::Null).await.json(200);
    assert_eq!(status(&daemon, "load").await["totals"]["read"], 12);
    assert_eq!(listed(&daemon, "load", "").await[1]["counts"], json!({"read": 12}));
}

#[tokio::test]
async fn an_item_that_is_no_run_has_no_counts() {
    let daemon = daemon("[workflows.load]\nsingle = \"allow\"").await;
    daemon.send(Method::PUT, "/v1/workflows/plain/items/x", "hello").await.json(201);
    let counts = json!({"counts": {"read": 1}});
    let patched = daemon.send_json(Method::PATCH, "/v1/workflows/plain/items/x", counts).await;
    let refused = patched.refused(400, "invalid-request");
    assert!(refused.contains("tracks no runs"), "{refused}");
}

#[tokio::test]
async fn the_ledger_outlives_the_items_and_is_kept_to_its_own_limits() {
    let config = "[workflow_defaults]\nretention = \"1s\"\n[workflows.load]\nsingle = \"refuse\"\n\
        runs_retention = \"2h\"\nruns_max = 3";
    let daemon = daemon(config).await;
    for _ in 0..5 {
        open(&daemon, "load").await;
        daemon.advance(60 * SECOND);
        succeed(&daemon, "load").await;
    }
    daemon.advance(120 * SECOND);
    eventually("only three are kept", || async {
        let numbers: Vec<_> =
            listed(&daemon, "load", "").await.iter().map(|run| run["number"].clone()).collect();
        (numbers == [5, 4, 3]).then_some(())
    })
    .await;
    daemon.advance(3 * 3600 * SECOND);
    eventually("none is kept", || async { listed(&daemon, "load", "").await.is_empty().then_some(()) }).await;
    assert_eq!(open(&daemon, "load").await["number"], 6);
}

#[tokio::test]
async fn windows_of_successful_runs_leave_no_gap_and_a_backfill_leaves_the_watermark() {
    let config = "[workflows.load]\nsingle = \"refuse\"\n[workflows.load.jobs.all]\n\
        initial_from = \"2025-12-31T00:00:00Z\"";
    let daemon = daemon(config).await;
    for outcome in "SFSFFS".chars() {
        daemon.advance(3600 * SECOND);
        open(&daemon, "load").await;
        match outcome {
            'F' => fail(&daemon, "load").await,
            _ => succeed(&daemon, "load").await,
        };
    }
    let windows = daemon.get("/v1/workflows/load/windows").await;
    let whole = json!([{"from": "2025-12-31T00:00:00.000Z", "to": "2026-01-01T06:00:00.000Z"}]);
    assert_eq!((&windows["jobs"]["all"]["covered"], &windows["jobs"]["all"]["gaps"]), (&whole, &json!([])));

    let backfill = json!({"from": "2024-01-01T00:00:00Z", "to": "2024-02-01T00:00:00Z"});
    let run = post(&daemon, "load", "runs", backfill.clone()).await.json(201);
    assert_eq!(run["params"]["jobs"]["all"]["from"], "2024-01-01T00:00:00.000Z");
    succeed(&daemon, "load").await;
    assert_eq!(status(&daemon, "load").await["watermarks"]["all"], "2026-01-01T06:00:00.000Z");
    let windows = daemon.get("/v1/workflows/load/windows").await;
    let gap = json!([{"from": "2024-02-01T00:00:00.000Z", "to": "2025-12-31T00:00:00.000Z"}]);
    assert_eq!(windows["jobs"]["all"]["gaps"], gap);
    for wrong in
        [json!({"from": "2024-01-01T00:00:00Z"}), json!({"from": backfill["to"], "to": backfill["from"]})]
    {
        post(&daemon, "load", "runs", wrong).await.refused(400, "invalid-request");
    }
}

#[tokio::test]
async fn an_end_that_is_told_later_is_the_end_of_the_run() {
    let daemon = daemon("[workflows.load]\nsingle = \"refuse\"").await;
    open(&daemon, "load").await;
    daemon.advance(3600 * SECOND);
    let at = "2026-01-01T00:20:00.000Z";
    post(&daemon, "load", "runs/current/close", json!({ "at": at })).await.json(200);
    let runs = listed(&daemon, "load", "").await;
    assert_eq!((&runs[0]["ended_at"], &runs[0]["duration"]), (&json!(at), &json!(1200.0)));
    let path = path("load", &open(&daemon, "load").await);
    let future = format!("{path}?at=2026-01-01T02:00:00Z");
    daemon.ask(Method::DELETE, &future).await.refused(400, "invalid-request");
    daemon.advance(60 * SECOND);
    let told = format!("{path}?at=2026-01-01T01:00:30Z");
    assert_eq!(daemon.ask(Method::DELETE, &told).await.status, 204);
    assert_eq!(listed(&daemon, "load", "").await[0]["ended_at"], "2026-01-01T01:00:30.000Z");
}

#[tokio::test]
async fn without_an_open_run_there_is_none_to_end() {
    let daemon = daemon("[workflows.load]\nsingle = \"refuse\"").await;
    post(&daemon, "load", "runs/current/close", json!({})).await.refused(404, "no-run-open");
    daemon.ask(Method::GET, "/v1/workflows/load/runs/current").await.refused(404, "no-run-open");
    post(&daemon, "other", "runs/current/fail", json!({})).await.refused(404, "workflow-not-found");
    let run = open(&daemon, "load").await;
    assert_eq!(daemon.get("/v1/workflows/load/runs/current").await["id"], run["id"]);
}

#[tokio::test]
async fn failed_runs_stay_failed_until_a_later_one_succeeds() {
    let daemon = daemon("[workflows.load]\nsingle = \"refuse\"").await;
    let path = path("load", &open(&daemon, "load").await);
    fail(&daemon, "load").await;
    assert_eq!(daemon.get(&path).await["state"], "failed");
    daemon.open_incidents(1).await;
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    daemon.open_incidents(0).await;
    let closed = daemon.get(&path).await;
    assert_eq!((&closed["state"], &closed["outcome"]), (&json!("closed"), &json!("failed")));
}

#[tokio::test]
async fn any_later_run_that_succeeds_after_a_failure_makes_up_for_it() {
    let mut daemon = daemon("[workflows.nightly]\nsingle = \"allow\"").await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(open(&daemon, "nightly").await);
    }
    let [first, second, third, fourth] = &runs[..] else { panic!("four runs") };
    let fail = async |daemon: &TestDaemon, run: &Value, at: &str| {
        let error = json!({"type": "crash", "message": "it crashed", "fatal": true, "at": at});
        let errors = format!("{}/errors", path("nightly", run));
        assert_eq!(daemon.send_json(Method::POST, &errors, error).await.status, 201);
    };
    let succeed = async |daemon: &TestDaemon, run: &Value| {
        assert_eq!(daemon.ask(Method::DELETE, &path("nightly", run)).await.status, 204);
    };
    let closed = async |daemon: &TestDaemon, run: &Value| {
        eventually("the failed run to be closed", || async {
            let item = daemon.get(&path("nightly", run)).await;
            (item["outcome"] == "failed").then_some(())
        })
        .await;
    };
    daemon.advance(10 * SECOND);
    succeed(&daemon, fourth).await;
    daemon.advance(10 * SECOND);
    fail(&daemon, first, "2026-01-01T00:00:20Z").await;
    // A success with a lower number than the one before, and after the failure.
    daemon.advance(10 * SECOND);
    succeed(&daemon, second).await;
    closed(&daemon, first).await;
    // One that is told after the success that has made up for it.
    fail(&daemon, third, "2026-01-01T00:00:05Z").await;
    closed(&daemon, third).await;
    daemon.restart().await;
    assert_eq!(status(&daemon, "nightly").await["open"], 0);
}

#[tokio::test]
async fn a_retried_run_is_open_again_and_no_failure_any_more() {
    let daemon = daemon("[workflows.load]\nhold_after = 2").await;
    let path = path("load", &open(&daemon, "load").await);
    fail(&daemon, "load").await;
    assert_eq!(status(&daemon, "load").await["failures"], 1);
    daemon.ask(Method::POST, &format!("{path}/retry")).await.json(200);
    let now = status(&daemon, "load").await;
    assert_eq!((&now["failures"], &now["open"]), (&json!(0), &json!(1)));
    refused(&daemon, "load", 409, "run-open").await;
    succeed(&daemon, "load").await;
    assert_eq!(listed(&daemon, "load", "").await[0]["status"], "success");
}

#[tokio::test]
async fn any_number_of_runs_may_be_open_and_the_newest_is_the_current_one() {
    let daemon = daemon("[workflows.load]\nsingle = \"allow\"").await;
    let most = 150;
    for number in 1..=most {
        let id = format!("run-{number}");
        post(&daemon, "load", "runs", json!({ "id": id })).await.json(201);
    }
    assert_eq!(status(&daemon, "load").await["open"], most);
    for number in (1..=most).rev() {
        let closed = succeed(&daemon, "load").await;
        assert_eq!(closed["number"], number);
    }
    post(&daemon, "load", "runs/current/close", json!({})).await.refused(404, "no-run-open");
}

#[tokio::test]
async fn a_workflow_with_runs_stays_until_it_is_deleted() {
    let daemon = daemon("[workflow_defaults]\nretention = \"1s\"").await;
    open(&daemon, "adhoc").await;
    succeed(&daemon, "adhoc").await;
    daemon.advance(600 * SECOND);
    daemon.swept().await;
    assert_eq!(daemon.get("/v1/workflows/adhoc/stats").await["closed"], 0, "its item is forgotten");
    assert_eq!(daemon.get("/v1/workflows/adhoc").await["source"], "first_use");
    assert_eq!(listed(&daemon, "adhoc", "").await.len(), 1);
    assert_eq!(daemon.ask(Method::DELETE, "/v1/workflows/adhoc").await.status, 204);
    daemon.ask(Method::GET, "/v1/workflows/adhoc/runs").await.refused(404, "workflow-not-found");
    assert_eq!(open(&daemon, "adhoc").await["number"], 1);
}

#[tokio::test]
async fn a_run_that_began_while_the_warden_was_away_is_let_in_with_its_times_and_no_window() {
    let config = "[workflows.load]\nsingle = \"refuse\"\n[workflows.load.jobs.all]\n\
        initial_from = \"2026-01-01T00:00:00Z\"";
    let daemon = daemon_at("2026-03-01T12:00:00Z", config).await;
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    open(&daemon, "load").await;
    let late = json!({"id": "late", "started_at": "2026-03-01T10:00:00Z"});
    let opened = post(&daemon, "load", "runs", late.clone()).await.json(201);
    assert_eq!(
        (&opened["started_at"], &opened["params"]),
        (&json!("2026-03-01T10:00:00.000Z"), &Value::Null)
    );
    // Delivered twice.
    assert_eq!(post(&daemon, "load", "runs", late).await.json(201)["number"], opened["number"]);
    let path = "/v1/workflows/load/items/late?at=2026-03-01T10:30:00Z";
    assert_eq!(daemon.ask(Method::DELETE, path).await.status, 204);
    let run = listed(&daemon, "load", "?limit=1").await.remove(0);
    let found = json!([run["number"], run["status"], run["ended_at"], run["duration"], run["windows"]]);
    assert_eq!(found, json!([3, "success", "2026-03-01T10:30:00.000Z", 1800.0, {}]));
    assert_eq!(status(&daemon, "load").await["watermarks"], json!({"all": "2026-03-01T12:00:00.000Z"}));
    let future = json!({"id": "early", "started_at": "2026-03-01T12:00:30Z"});
    let opened = post(&daemon, "load", "runs", future).await.json(201);
    assert_eq!(opened["started_at"], "2026-03-01T12:00:00.000Z", "the client's clock is ahead");
    let both = json!({"started_at": "2026-03-01T10:00:00Z", "from": "2026-03-01T10:00:00Z",
        "to": "2026-03-01T11:00:00Z"});
    post(&daemon, "load", "runs", both).await.json(400);
}
