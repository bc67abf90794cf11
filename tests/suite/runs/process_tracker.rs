//! The acceptance cases of ProcessTracker about runs; those about files are with artifacts.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{SECOND, daemon, fail, listed, open, path, post, refused, status, succeed};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_second_run_is_refused_and_the_first_one_named() {
    let daemon = daemon("[workflows.load]\nhold_after = 5").await;
    let first = open(&daemon, "load").await;
    assert_eq!(first["number"], 1);
    let problem = refused(&daemon, "load", 409, "run-open").await;
    assert_eq!(problem["run"], first["id"]);
    assert!(problem["detail"].as_str().unwrap().contains("run 1"), "{problem}");
    let put = daemon.send(Method::PUT, "/v1/workflows/load/items/other", "x").await;
    assert!(put.refused(409, "run-open").contains("run 1"), "a plain create obeys too");
}

#[tokio::test]
async fn after_five_failures_in_a_row_the_next_run_is_held_until_a_person_releases_it() {
    let daemon = daemon("[workflows.load]\nhold_after = 5\ndeadline = \"1h\"").await;
    for number in 1..=5 {
        assert_eq!(open(&daemon, "load").await["number"], number);
        fail(&daemon, "load").await;
    }
    let held = open(&daemon, "load").await;
    assert_eq!((&held["state"], &held["held_for"]), (&json!("held"), &json!("hold")));
    assert_eq!((&held["params"], &held["started_at"]), (&json!(null), &json!(null)));
    let problem = refused(&daemon, "load", 409, "workflow-held").await;
    assert_eq!(problem["run"], held["id"]);

    let incidents = daemon.open_incidents(2).await;
    let kinds: Vec<_> = incidents.iter().map(|incident| incident["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"held") && kinds.contains(&"failed"), "{kinds:?}");

    // No deadline runs for it.
    daemon.advance(3 * HOUR);
    let path = path("load", &held);
    assert_eq!(daemon.get(&path).await["state"], "held");

    let released = post(&daemon, "load", "release", json!({"as": "open"})).await.json(200);
    assert_eq!((&released["hold"], &released["failures"]), (&json!(null), &json!(0)));
    let opened = daemon.get(&path).await;
    assert_eq!(
        (&opened["state"], &opened["started_at"]),
        (&json!("open"), &json!("2026-01-01T03:00:00.000Z"))
    );
    assert_eq!(opened["deadline"], "2026-01-01T04:00:00.000Z", "it counts from the release");
    fail(&daemon, "load").await;
    assert_eq!(open(&daemon, "load").await["state"], "open", "the streak has begun anew");
}

#[tokio::test]
async fn a_success_between_failures_begins_the_streak_anew() {
    let daemon = daemon("[workflows.load]\nhold_after = 5").await;
    for outcome in "FFFFSF".chars() {
        open(&daemon, "load").await;
        match outcome {
            'F' => fail(&daemon, "load").await,
            _ => succeed(&daemon, "load").await,
        };
    }
    assert_eq!(open(&daemon, "load").await["state"], "open");
    assert_eq!(status(&daemon, "load").await["failures"], 1);
}

#[tokio::test]
async fn a_required_run_blocks_unless_it_has_succeeded_or_never_ran() {
    let config = "[workflows.parent]\nsingle = \"allow\"\n[workflows.child]\nrequires = [\"parent\"]\n\
        single = \"allow\"\n";
    let daemon = daemon(config).await;
    open(&daemon, "child").await;
    open(&daemon, "parent").await;
    let problem = refused(&daemon, "child", 409, "requirement-not-met").await;
    assert_eq!(problem["requirements"], json!([{"workflow": "parent", "reason": "open", "run": 1}]));
    fail(&daemon, "parent").await;
    let problem = refused(&daemon, "child", 409, "requirement-not-met").await;
    assert_eq!(problem["requirements"][0]["reason"], "failed");
    open(&daemon, "parent").await;
    succeed(&daemon, "parent").await;
    open(&daemon, "child").await;
    post(&daemon, "parent", "hold", json!({})).await.json(200);
    assert_eq!(open(&daemon, "parent").await["state"], "held");
    let problem = refused(&daemon, "child", 409, "requirement-not-met").await;
    assert_eq!(problem["requirements"][0]["reason"], "held");
}

#[tokio::test]
async fn a_fatal_error_may_be_told_later_and_a_harmless_one_ends_nothing() {
    let daemon = daemon("[workflows.load]\nhold_after = 5").await;
    let run = open(&daemon, "load").await;
    let path = path("load", &run);
    daemon.advance(HOUR - SECOND);
    let error = json!({"type": "Data Error", "message": "a row is odd"});
    daemon.send_json(Method::POST, &format!("{path}/errors"), error).await.json(201);
    assert_eq!(daemon.get(&path).await["state"], "open");
    let ended = "2026-01-01T00:30:00.000Z";
    let error = json!({"type": "Process Error", "message": "it is over", "fatal": true, "at": ended});
    daemon.send_json(Method::POST, &format!("{path}/errors"), error).await.json(201);
    let failed = daemon.get(&path).await;
    assert_eq!((&failed["state"], &failed["errored_at"]), (&json!("failed"), &json!(ended)));
    let runs = listed(&daemon, "load", "").await;
    assert_eq!((&runs[0]["status"], &runs[0]["ended_at"]), (&json!("failed"), &json!(ended)));
    assert_eq!((&runs[0]["duration"], &runs[0]["error"]["type"]), (&json!(1800.0), &json!("Process Error")));
}
