//! Expectations of successful runs: that a run begins is not enough.

use super::{SECOND, daemon, fail, open, succeed};

#[tokio::test]
async fn a_run_that_does_not_succeed_in_time_is_missed_however_often_one_begins() {
    let config = "[workflows.load]\nsingle = \"supersede\"\ndeadline = \"9h\"\n\
        expect = { success_every = \"1h\", grace = \"5m\" }\n\
        [workflows.witness]\nexpect = { every = \"90m\" }";
    let mut daemon = daemon(config).await;
    daemon.advance(1800 * SECOND);
    open(&daemon, "load").await;
    succeed(&daemon, "load").await;
    daemon.restart().await;
    for _ in 0..3 {
        daemon.advance(1200 * SECOND);
        open(&daemon, "load").await;
    }
    assert_eq!(daemon.open_incidents(1).await[0]["workflow"], "witness");
    daemon.advance(300 * SECOND);
    let incidents = daemon.open_incidents(2).await;
    let missed = incidents.iter().find(|incident| incident["workflow"] == "load").expect("one of it");
    assert_eq!(missed["kind"], "missed");
    succeed(&daemon, "load").await;
    assert_eq!(daemon.open_incidents(1).await[0]["workflow"], "witness");
}

#[tokio::test]
async fn a_schedule_may_ask_for_a_successful_run() {
    let config = "[workflows.load]\nhold_after = 9\ndeadline = \"9h\"\n\
        expect = { cron = \"0 2 * * *\", grace = \"1h\", success = true }";
    let daemon = daemon(config).await;
    daemon.advance(7300 * SECOND);
    open(&daemon, "load").await;
    daemon.advance(600 * SECOND);
    fail(&daemon, "load").await;
    daemon.open_incidents(1).await;
    daemon.advance(3600 * SECOND);
    let incidents = daemon.open_incidents(2).await;
    assert!(incidents.iter().any(|incident| incident["kind"] == "missed"), "{incidents:?}");
    let workflow = daemon.get("/v1/workflows/load").await;
    assert_eq!(workflow["expect"]["success"], true);
}
