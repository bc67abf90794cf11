//! `warden status`: what the runs of a workflow have come to.

use clap::Args;
use warden_api::run::{Hold, RunsStatus};

use super::args::workflow;
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::dated;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::table;
use crate::model::{Timestamp, WorkflowName};

/// Show what the runs of a workflow have come to: open ones, hold, failures in a row, watermarks
#[derive(Args)]
pub struct Status {
    /// The workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    #[command(flatten)]
    connection: Connection,
}

impl Status {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let status = client.runs(&self.workflow)?.status().await?;
        print(&status, self.connection.output, console)
    }
}

pub fn print(status: &RunsStatus, format: Format, console: &mut Console<'_>) -> Result<(), CliError> {
    match format {
        Format::Json => console.json(status)?,
        Format::Table => writeln!(console.out, "{}", render(status, console.now))?,
    }
    Ok(())
}

fn render(status: &RunsStatus, now: Timestamp) -> String {
    let failures = match status.hold_after {
        Some(most) => format!("{}, on hold after {most}", status.failures),
        None => status.failures.to_string(),
    };
    let last = match status.last_number {
        0 => "none yet".to_owned(),
        number => number.to_string(),
    };
    let rows = [
        ("workflow", Some(status.workflow.clone())),
        ("last run", Some(last)),
        ("open", Some(status.open.to_string())),
        ("waiting", (status.waiting > 0).then(|| status.waiting.to_string())),
        ("hold", status.hold.as_ref().map(|hold| held(hold, now))),
        ("failures in a row", Some(failures)),
        ("last success", status.last_success_at.map(|at| dated(at, now))),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    let mut text = table(&[], rows);
    if !status.watermarks.is_empty() {
        let rows = status.watermarks.iter().map(|(job, at)| vec![job.clone(), dated(*at, now)]);
        text.push_str(&format!("\n\n{}", table(&["JOB", "NEXT WINDOW FROM"], rows)));
    }
    if !status.totals.is_empty() {
        let rows = status.totals.iter().map(|(name, total)| vec![name.to_string(), total.to_string()]);
        text.push_str(&format!("\n\n{}", table(&["COUNT", "OF ALL RUNS"], rows)));
    }
    text
}

/// Why the workflow is on hold.
fn held(hold: &Hold, now: Timestamp) -> String {
    let mut text = match &hold.by {
        Some(by) => format!("by {by}"),
        None => "too many runs failed in a row".to_owned(),
    };
    if let Some(since) = hold.since {
        text.push_str(&format!(", since {}", dated(since, now)));
    }
    if let Some(comment) = &hold.comment {
        text.push_str(&format!(": {comment}"));
    }
    match hold.run {
        Some(run) => format!("{text}; run {run} is held"),
        None => format!("{text}; the next run will be held"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::now;
    use super::*;

    #[test]
    fn a_status_says_why_nothing_runs_and_where_the_next_window_begins() {
        let status: RunsStatus = serde_json::from_value(json!({
            "workflow": "nightly", "last_number": 7, "open": 0, "waiting": 0,
            "hold": {"since": "2026-01-31T12:00:00.000Z", "by": null, "comment": null, "run": 7},
            "failures": 3, "hold_after": 3, "last_success_at": "2026-01-31T11:30:00.000Z",
            "watermarks": {"orders": "2026-01-31T11:00:00.000Z"}, "totals": {"read": 120},
        }))
        .unwrap();
        let expected = "\
workflow           nightly
last run           7
open               0
hold               too many runs failed in a row, since 2026-01-31T12:00:00.000Z (30m ago); run 7 is held
failures in a row  3, on hold after 3
last success       2026-01-31T11:30:00.000Z (1h ago)

JOB     NEXT WINDOW FROM
orders  2026-01-31T11:00:00.000Z (1h 30m ago)

COUNT  OF ALL RUNS
read   120";
        assert_eq!(render(&status, now()), expected);
    }

    #[test]
    fn a_hold_by_a_person_says_who_and_why() {
        let hold = Hold { since: None, by: Some("kim".into()), comment: Some("migration".into()), run: None };
        assert_eq!(held(&hold, now()), "by kim: migration; the next run will be held");
    }
}
