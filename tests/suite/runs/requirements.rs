//! Requirements: freshness, and runs that wait until they are met.

use serde_json::json;

use super::{SECOND, daemon, fail, open, path, refused, status, succeed};
use crate::support::eventually;

#[tokio::test]
async fn with_a_time_limit_an_old_success_and_none_block() {
    let config = "[workflows.load]\nsingle = \"allow\"\n[workflows.report]\nsingle = \"allow\"\n\
        requires = [{ workflow = \"load\", within = \"12h\" }]";
    let daemon = daemon(config).await;
    let problem = refused(&daemon, "report", 409, "requirement-not-met").await;
    assert_eq!(problem["requirements"][0], json!({"workflow": "load", "reason": "never_run", "run": null}));
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    daemon.advance(12 * 3600 * SECOND);
    open(&daemon, "report").await;
    daemon.advance(SECOND);
    let problem = refused(&daemon, "report", 409, "requirement-not-met").await;
    assert_eq!(problem["requirements"][0], json!({"workflow": "load", "reason": "stale", "run": 1}));
}

#[tokio::test]
async fn runs_that_wait_for_a_requirement_begin_by_themselves_in_their_order() {
    let config = "[workflows.load]\nsingle = \"allow\"\n[workflows.report]\n\
        requires = [{ workflow = \"load\", else = \"held\" }]\n\
        [workflows.report.jobs.all]\ninitial_from = \"2025-01-01T00:00:00Z\"";
    let mut daemon = daemon(config).await;
    open(&daemon, "load").await;
    let mut paths = Vec::new();
    for _ in 0..2 {
        let held = open(&daemon, "report").await;
        assert_eq!((&held["state"], &held["held_for"]), (&json!("held"), &json!("requirement")));
        paths.push(path("report", &held));
    }
    assert_eq!(status(&daemon, "report").await["waiting"], 2);
    daemon.advance(60 * SECOND);
    fail(&daemon, "load").await;
    open(&daemon, "load").await;
    daemon.restart().await;
    succeed(&daemon, "load").await;
    let first = eventually("the first one begins", || async {
        Some(daemon.get(&paths[0]).await).filter(|item| item["state"] == "open")
    })
    .await;
    assert_eq!(first["params"]["jobs"]["all"]["to"], "2026-01-01T00:01:00.000Z", "its window begins now");
    assert_eq!(daemon.get(&paths[1]).await["state"], "held", "one is open at a time");
    daemon.advance(60 * SECOND);
    succeed(&daemon, "report").await;
    let second = eventually("the second one begins", || async {
        Some(daemon.get(&paths[1]).await).filter(|item| item["state"] == "open")
    })
    .await;
    assert_eq!(second["params"]["jobs"]["all"]["from"], "2026-01-01T00:01:00.000Z");
}

#[tokio::test]
async fn a_run_that_waits_for_longer_than_it_would_have_had_is_reported() {
    let config = "[workflows.load]\nsingle = \"allow\"\ndeadline = \"9h\"\n\
        [workflows.report]\ndeadline = \"1h\"\n\
        requires = [{ workflow = \"load\", else = \"held\" }]";
    let daemon = daemon(config).await;
    open(&daemon, "load").await;
    open(&daemon, "report").await;
    daemon.create("witness", "late", "?deadline=30m", "x").await;
    daemon.advance(1800 * SECOND);
    assert_eq!(daemon.open_incidents(1).await[0]["workflow"], "witness");
    daemon.close("witness", "late").await;
    daemon.open_incidents(0).await;
    daemon.advance(1800 * SECOND);
    let incidents = daemon.open_incidents(1).await;
    assert_eq!((&incidents[0]["kind"], &incidents[0]["workflow"]), (&json!("held"), &json!("report")));
    succeed(&daemon, "load").await;
    daemon.open_incidents(0).await;
}
