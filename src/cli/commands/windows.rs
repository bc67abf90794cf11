//! `warden windows`: which intervals the successful runs of a workflow cover.

use clap::Args;
use warden_api::run::{Coverage, Window, Windows as Document};

use super::args::{instant, workflow};
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::short;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::table;
use crate::model::{Timestamp, WorkflowName};

/// Show which intervals the successful runs of a workflow cover, and the gaps between them
#[derive(Args)]
pub struct Windows {
    /// The workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// Only what ends after this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    /// Only what begins before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
    #[command(flatten)]
    connection: Connection,
}

impl Windows {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let runs = client.runs(&self.workflow)?;
        let windows = runs.windows(instant(self.since), instant(self.until)).await?;
        match self.connection.output {
            Format::Json => console.json(&windows)?,
            Format::Table if windows.jobs.values().all(|job| *job == Coverage::default()) => {
                console.message("No successful run covers any of it.");
            }
            Format::Table => writeln!(console.out, "{}", render(&windows))?,
        }
        Ok(())
    }
}

fn render(windows: &Document) -> String {
    let rows = windows.jobs.iter().flat_map(|(job, coverage)| {
        let covered = coverage.covered.iter().map(|window| (window, "covered"));
        let gaps = coverage.gaps.iter().map(|window| (window, "GAP"));
        let mut all: Vec<_> = covered.chain(gaps).collect();
        // What has no beginning is the first.
        all.sort_by_key(|(window, _)| (window.from, window.to));
        all.into_iter().map(|(window, what)| row(job, window, what))
    });
    table(&["JOB", "", "FROM", "TO", "LASTS"], rows)
}

fn row(job: &str, window: &Window, what: &str) -> Vec<String> {
    let from = window.from.map(|from| from.to_string());
    let lasts = window.from.map(|from| short(Timestamp::from(window.to).since(from.into())));
    vec![
        job.to_owned(),
        what.to_owned(),
        from.unwrap_or_else(|| "the beginning".to_owned()),
        window.to.to_string(),
        lasts.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gap_stands_where_it_is_and_is_marked() {
        let windows: Document = serde_json::from_value(json!({"jobs": {"orders": {
            "covered": [
                {"from": null, "to": "2026-01-01T00:00:00.000Z"},
                {"from": "2026-01-02T00:00:00.000Z", "to": "2026-01-03T00:00:00.000Z"}],
            "gaps": [{"from": "2026-01-01T00:00:00.000Z", "to": "2026-01-02T00:00:00.000Z"}],
        }}}))
        .unwrap();
        let expected = "\
JOB              FROM                      TO                        LASTS
orders  covered  the beginning             2026-01-01T00:00:00.000Z
orders  GAP      2026-01-01T00:00:00.000Z  2026-01-02T00:00:00.000Z  1d
orders  covered  2026-01-02T00:00:00.000Z  2026-01-03T00:00:00.000Z  1d";
        assert_eq!(render(&windows), expected);
    }
}
