//! `warden spool`: reports of `warden run` that could not be delivered.

pub mod delivery;
pub mod directory;
pub mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::delivery::flush;
use self::directory::{Found, Spool};
use self::report::Report;
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::table::table;
use crate::model::Timestamp;

/// How long a request of a delivery is repeated.
const PATIENCE: Duration = Duration::from_secs(5);

/// List or deliver reports of `warden run` that its warden has not received
///
/// `warden run` stores them while the warden cannot be reached, and delivers them the next time.
#[derive(Args)]
#[command(subcommand_required = true)]
pub struct SpoolCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(List),
    Flush(Flush),
}

/// Where reports are stored.
#[derive(Args)]
pub struct Place {
    /// The directory of reports that could not be delivered [default: warden/spool in the XDG state
    /// directory, which is ~/.local/state]
    #[arg(long, value_name = "DIR", env = "WARDEN_SPOOL")]
    spool: Option<PathBuf>,
}

/// List the reports, the oldest first
#[derive(Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Deliver the reports that are for this warden, the oldest first
///
/// Repeating a delivery has no further effect.
#[derive(Args)]
struct Flush {
    /// Remove reports that the warden refuses for good, or that cannot be read
    #[arg(long)]
    drop_refused: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    connection: Connection,
}

impl Place {
    /// An empty variable counts as unset. `None` if there is no home.
    pub fn spool(&self) -> Option<Spool> {
        let given = self.spool.clone().filter(|path| !path.as_os_str().is_empty());
        given.or_else(Spool::default_directory).map(Spool::at)
    }

    fn required(&self) -> Result<Spool, CliError> {
        self.spool().ok_or_else(|| {
            CliError::Usage("name the directory with --spool: HOME and XDG_STATE_HOME are not set".to_owned())
        })
    }
}

/// A report in the list.
#[derive(Serialize)]
struct Listed<'a> {
    file: &'a str,
    url: &'a str,
    workflow: &'a str,
    run: &'a str,
    started_at: String,
    ended_at: Option<String>,
    /// `running`, `success`, `unknown` or the kind of failure.
    ending: &'a str,
}

impl SpoolCommand {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.action {
            Action::List(list) => list.run(console),
            Action::Flush(flush) => flush.run(console).await,
        }
    }
}

impl List {
    fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let spool = self.place.required()?;
        let mut rows = Vec::new();
        for name in spool.names().map_err(cannot_read(&spool))? {
            let (report, is_running) = match spool.find(&name).map_err(cannot_read(&spool))? {
                None => continue,
                Some(Found::Running(report)) => (report, true),
                Some(Found::Left(_, report)) => (report, false),
                Some(Found::Damaged(path, reason)) => {
                    console.message(format_args!("{} cannot be read: {reason}", path.display()));
                    continue;
                }
            };
            match self.output {
                Format::Json => console.json(&listed(&name, &report, is_running))?,
                Format::Table => rows.push(row(&listed(&name, &report, is_running), &report, console.now)),
            }
        }
        if !rows.is_empty() {
            writeln!(
                console.out,
                "{}",
                table(&["WORKFLOW", "RUN", "STARTED", "ENDED", "ENDING", "WARDEN"], rows)
            )?;
        } else if self.output == Format::Table {
            console.message(format_args!("No reports are in {}.", spool.directory().display()));
        }
        Ok(())
    }
}

fn listed<'a>(file: &'a str, report: &'a Report, is_running: bool) -> Listed<'a> {
    Listed {
        file,
        url: &report.url,
        workflow: &report.workflow,
        run: report.id(),
        started_at: report.started_at.to_string(),
        ended_at: report.end.as_ref().map(|end| end.at.to_string()),
        ending: if is_running && report.end.is_none() { "running" } else { report.ending() },
    }
}

fn row(listed: &Listed<'_>, report: &Report, now: Timestamp) -> Vec<String> {
    let ended = report.end.as_ref().map(|end| relative(end.at, now));
    let started = relative(report.started_at, now);
    [listed.workflow, listed.run, &started, &ended.unwrap_or_default(), listed.ending, listed.url]
        .map(str::to_owned)
        .to_vec()
}

fn cannot_read(spool: &Spool) -> impl Fn(std::io::Error) -> CliError {
    |error| CliError::File { verb: "read", path: spool.directory().to_owned(), error }
}

impl Flush {
    async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let spool = self.place.required()?;
        let client = self.connection.open_for(PATIENCE)?;
        let flushed = flush(&spool, &client, self.drop_refused).await.map_err(cannot_read(&spool))?;
        for refused in &flushed.refused {
            let done = if self.drop_refused { "removed" } else { "refused" };
            console.message(format_args!("{done} {}: {}", refused.path.display(), refused.reason));
        }
        match self.connection.output {
            Format::Json => console.json(&flushed)?,
            Format::Table => {
                console.line(format_args!("delivered {}", counted(flushed.delivered, "report")))?
            }
        }
        let other =
            [(flushed.running, "of a command that is running"), (flushed.elsewhere, "for another warden")];
        for (count, what) in other.into_iter().filter(|(count, _)| *count > 0) {
            console.message(format_args!("{} {what}", counted(count, "report")));
        }
        match (flushed.error, flushed.refused.is_empty() || self.drop_refused) {
            (Some(error), _) => Err(error.into()),
            (None, true) => Ok(()),
            (None, false) => {
                Err(CliError::NotReported("reports were refused; --drop-refused removes them".to_owned()))
            }
        }
    }
}
