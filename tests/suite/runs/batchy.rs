//! The acceptance cases of Batchy: windows of three jobs, in UTC.

use std::path::Path;

use serde_json::{Value, json};

use super::{at, daemon_at, fail, instant, open, path, succeed};
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

/// The rows of the table of windows that the page for users of Batchy shows: when a run is opened, the
/// beginnings of its windows, and how it goes on.
fn promised() -> Vec<(String, [String; 3], String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from/batchy.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| 20"));
    let rows: Vec<_> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let from = |place: usize| instant(cells[place]).to_string();
            (cells[0].to_owned(), [from(1), from(2), from(3)], cells[4].to_owned())
        })
        .collect();
    assert_eq!(rows.len(), 7, "the acceptance cases");
    rows
}

#[tokio::test]
async fn windows_follow_each_other_and_a_failed_one_is_repeated() {
    let mut daemon = daemon_at("2016-06-28T10:00:00Z", WF1).await;
    let mut open: Option<Value> = None;
    for (opened, expected, then) in promised() {
        // In between the retention of the items passes, and the daemon restarts.
        daemon.restart().await;
        let (run, found) = froms(&daemon, &opened).await;
        assert_eq!(found, expected, "opened at {opened}");
        if let Some(before) = open.take() {
            assert_ne!(before["id"], run["id"]);
            let superseded = daemon.get(&path("wf1", &before)).await;
            assert_eq!(
                (&superseded["state"], &superseded["outcome"]),
                (&json!("closed"), &json!("discarded"))
            );
        }
        match &*then {
            "success" => drop(succeed(&daemon, "wf1").await),
            "failed" => drop(fail(&daemon, "wf1").await),
            "still open" => open = Some(run),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_parameter_file_of_informatica_has_the_names_that_batchy_gives() {
    let daemon = daemon_at("2016-06-28T10:00:00Z", WF1).await;
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
