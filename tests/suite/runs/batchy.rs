//! The acceptance cases of Batchy: windows of three jobs, in UTC.

use std::time::Duration;

use serde_json::{Value, json};

use super::{at, fail, instant, open, succeed};
use crate::support::TestDaemon;

const WF1: &str = r#"
[workflow_defaults]
retention = "1h"
[workflows.wf1]
deadline = "400d"
single = "supersede"
[workflows.wf1.jobs.job1]
initial_from = "1776-07-04T23:59:00Z"
[workflows.wf1.jobs.job2]
initial_from = "2016-01-01T23:59:00Z"
reprocess = "2h"
params = { param1 = "hello" }
[workflows.wf1.jobs.job3]
initial_from = "2016-01-01T23:59:00Z"
reprocess = "2h"
truncate = "day"
"#;

/// Opens a run at an instant, and gives the beginnings of its windows, which all end then.
async fn froms(daemon: &TestDaemon, start: &str) -> (Value, [String; 3]) {
    at(daemon, start);
    let run = open(daemon, "wf1").await;
    let jobs = &run["params"]["jobs"];
    let of = |job: &str| {
        assert_eq!(jobs[job]["to"], instant(start).to_string());
        jobs[job]["from"].as_str().expect("an instant").to_owned()
    };
    let froms = ["job1", "job2", "job3"].map(of);
    (run, froms)
}

fn instants(texts: [&str; 3]) -> [String; 3] {
    texts.map(|text| instant(text).to_string())
}

#[tokio::test]
async fn windows_follow_each_other_and_a_failed_one_is_repeated() {
    let start = instant("2016-06-28T10:00:00Z");
    let mut daemon = TestDaemon::builder().starting_at(start).config(WF1).start().await;

    let (_, first) = froms(&daemon, "2016-06-28T10:30:15.250Z").await;
    assert_eq!(first, instants(["1776-07-04T23:59:00Z", "2016-01-01T23:59:00Z", "2016-01-01T00:00:00Z"]));
    succeed(&daemon, "wf1").await;

    let second = instants(["2016-06-28T10:30:15.250Z", "2016-06-28T08:30:15.250Z", "2016-06-28T00:00:00Z"]);
    assert_eq!(froms(&daemon, "2016-06-29T10:31:00.500Z").await.1, second);
    fail(&daemon, "wf1").await;

    assert_eq!(froms(&daemon, "2016-06-29T12:00:00Z").await.1, second, "the end moves, the beginning stays");
    succeed(&daemon, "wf1").await;

    let fourth = instants(["2016-06-29T12:00:00Z", "2016-06-29T10:00:00Z", "2016-06-29T00:00:00Z"]);
    let (run, found) = froms(&daemon, "2016-06-30T00:30:00Z").await;
    assert_eq!(found, fourth);

    let (superseding, found) = froms(&daemon, "2016-06-30T01:15:00Z").await;
    assert_eq!(found, fourth);
    assert_ne!(superseding["id"], run["id"]);
    let id = run["id"].as_str().unwrap();
    let superseded = daemon.get(&format!("/v1/workflows/wf1/items/{id}")).await;
    assert_eq!((&superseded["state"], &superseded["outcome"]), (&json!("closed"), &json!("discarded")));
    succeed(&daemon, "wf1").await;

    let sixth = instants(["2016-06-30T01:15:00Z", "2016-06-29T23:15:00Z", "2016-06-29T00:00:00Z"]);
    assert_eq!(froms(&daemon, "2016-07-01T00:45:00Z").await.1, sixth);
    succeed(&daemon, "wf1").await;

    // The retention of the items passes, and the daemon restarts.
    daemon.advance(Duration::from_secs(30 * 86_400));
    daemon.restart().await;
    let much_later = instants(["2016-07-01T00:45:00Z", "2016-06-30T22:45:00Z", "2016-06-30T00:00:00Z"]);
    assert_eq!(froms(&daemon, "2016-07-31T01:00:00Z").await.1, much_later);
}

#[tokio::test]
async fn a_parameter_file_of_informatica_has_the_names_that_batchy_gives() {
    let start = instant("2016-06-28T10:00:00Z");
    let daemon = TestDaemon::builder().starting_at(start).config(WF1).start().await;
    froms(&daemon, "2016-06-28T10:30:15.250Z").await;
    succeed(&daemon, "wf1").await;
    let (run, _) = froms(&daemon, "2016-06-29T10:31:00.500Z").await;
    let answer = daemon.ask(reqwest::Method::GET, "/v1/workflows/wf1/params?format=infa").await;
    let id = run["id"].as_str().unwrap();
    let section = format!(
        "\n[job2]\n$$batch_end=None\n$$batch_id={id}\n$$batch_start=2016-06-29 10:31:00.500000\n\
         $$from_date=2016-06-28 08:30:15.250000\n$$param1=hello\n$$reprocess_hours=2\n$$status=open\n\
         $$to_date=2016-06-29 10:31:00.500000\n"
    );
    assert!(answer.text().contains(&section), "{}", answer.text());
    assert!(answer.text().starts_with("\n[job1]\n"), "{}", answer.text());
    let of_job3 = answer.text().split("\n[job3]\n").nth(1).unwrap();
    assert!(
        of_job3.contains("$$from_date=2016-06-28 00:00:00\n") && of_job3.contains("$$trunc_start=True\n")
    );
    let dates = "/v1/workflows/wf1/params?format=infa&dates=powercenter";
    let answer = daemon.ask(reqwest::Method::GET, dates).await;
    assert!(answer.text().contains("$$from_date=06/28/2016 08:30:15\n"), "{}", answer.text());
}
