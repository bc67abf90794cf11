//! `warden runs`: lists the runs of a workflow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::word::RunStatus;
use warden_api::{Run, path};
use warden_client::Query;

use super::args::{instant, workflow};
use super::error::CliError;
use super::list::{Extent, Row};
use super::run_flags::LineageFlags;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::age::{relative, short};
use crate::cli::terminal::console::Console;
use crate::model::{Timestamp, WorkflowName};

/// List the runs of a workflow, newest first
///
/// The list outlives the items of the runs, which are forgotten after the retention of the workflow.
#[derive(Args)]
pub struct Runs {
    /// The workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// Only runs with this status; repeatable
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(RunStatus::WORDS))]
    statuses: Vec<String>,
    /// Only runs created at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    #[command(flatten)]
    lineage: LineageFlags,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

impl Runs {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let mut query: Query = self.statuses.into_iter().map(|status| ("status", status)).collect();
        query.extend(self.since.map(|since| ("since", since.to_string())));
        query.extend(self.lineage.query());
        let path = path::fill(path::WORKFLOW_RUNS, &[&self.workflow]);
        self.extent.print::<Run>(&self.connection, (&path, &query), console).await
    }
}

impl Row for Run {
    const HEADER: &'static [&'static str] =
        &["RUN", "ID", "STATUS", "STARTED", "DURATION", "WINDOW", "COUNTS", "ERROR"];
    const NOUN: &'static str = "run";

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let status = match &self.held {
            Some(held) => format!("{} ({held})", self.status),
            None => self.status.to_string(),
        };
        vec![
            self.number.to_string(),
            self.id.clone(),
            status,
            self.started_at.map(|at| relative(at, now)).unwrap_or_default(),
            self.duration.map(duration).unwrap_or_default(),
            window(self),
            count_list(&self.counts),
            self.error.as_ref().map(|error| first_line(&error.message)).unwrap_or_default(),
        ]
    }
}

fn duration(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(below) if below < Duration::from_secs(1) => "<1s".to_owned(),
        Ok(duration) => short(duration),
        Err(_) => String::new(),
    }
}

/// What the windows of all jobs cover together.
fn window(run: &Run) -> String {
    let windows = run.windows.values();
    let Some(to) = windows.clone().map(|window| window.to).max() else { return String::new() };
    // A job without a beginning begins before all others.
    let from = windows.map(|window| window.from).min().flatten();
    let from = from.map(|from| from.to_string()).unwrap_or_else(|| "the beginning".to_owned());
    let backfill = if run.backfill { " (backfill)" } else { "" };
    format!("{from} to {to}{backfill}")
}

/// Counts in one cell: `read=10 written=9`.
pub fn count_list(counts: &BTreeMap<Arc<str>, i64>) -> String {
    let counts = counts.iter().map(|(name, count)| format!("{name}={count}"));
    counts.collect::<Vec<_>>().join(" ")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::sample::now;
    use super::*;
    use crate::cli::terminal::table::table;

    fn run(changes: Value) -> Run {
        let mut run = json!({
            "number": 7, "id": "a", "status": "success", "held": null,
            "created_at": "2026-01-31T12:00:00.000Z", "started_at": "2026-01-31T12:00:00.000Z",
            "ended_at": "2026-01-31T12:05:30.000Z", "duration": 330.0,
            "windows": {
                "orders": {"from": "2026-01-30T12:00:00.000Z", "to": "2026-01-31T12:00:00.000Z"},
                "stock": {"from": "2026-01-30T10:00:00.000Z", "to": "2026-01-31T12:00:00.000Z"}},
            "backfill": false, "error": null, "counts": {"read": 10, "written": 9}, "lineage": null,
        });
        json_patch::merge(&mut run, &changes);
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn a_line_says_how_long_it_took_what_it_covers_and_why_it_failed() {
        let mut failed = json!({"number": 8, "status": "failed", "duration": 0.2, "counts": null,
            "windows": {"orders": {"from": null}, "stock": null}, "backfill": true,
            "error": {"id": "err_1", "type": "exit", "message": "exit code 3\nno such host"}});
        failed["counts"] = json!({"read": null, "written": null});
        let held = json!({"number": 9, "status": "held", "held": "hold", "started_at": null,
            "ended_at": null, "duration": null, "windows": {"orders": null, "stock": null},
            "counts": {"read": null, "written": null}});
        let rows = [json!({}), failed, held].map(|changes| run(changes).cells(now()));
        let expected = "\
RUN  ID  STATUS       STARTED  DURATION  WINDOW                                                \
COUNTS             ERROR
7    a   success      30m ago  5m 30s    2026-01-30T10:00:00.000Z to 2026-01-31T12:00:00.000Z  \
read=10 written=9
8    a   failed       30m ago  <1s       the beginning to 2026-01-31T12:00:00.000Z (backfill)  \
\x20                  exit code 3
9    a   held (hold)";
        assert_eq!(table(Run::HEADER, rows), expected);
    }
}
