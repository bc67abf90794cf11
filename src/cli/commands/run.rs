//! `warden run`: runs a command as a run of a workflow.
//!
//! Invariants: the command is started unless the warden says that it must not be; its output and exit code
//! are passed on. From the moment at which the command has ended, its report is on disk until the warden
//! has it; while the warden does not know of the run, so is its beginning.

mod child;
mod heartbeat;

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use warden_api::item::ItemAnswer;
use warden_api::run::{RunRequest, variable, variable_value};
use warden_client::Client;

use self::child::{Child, code};
use super::args::{deadline, duration, instant, item_id, label, labels, workflow};
use super::error::CliError;
use super::lineage::LineageFlags;
use super::open::Opened;
use super::spool::Place;
use super::spool::delivery::{Flushed, flush, may_pass};
use super::spool::directory::{Slot, Spool};
use super::spool::report::{Delivered, End, Failure, Report};
use super::worker::environment::daemon_variable;
use crate::cli::daemon::connection::Connection;
use crate::cli::daemon::wording::worded;
use crate::cli::terminal::age::short;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::signals::Forwarded;
use crate::model::{Clock as _, ItemId, Random as _, SystemClock, SystemRandom, Timestamp, WorkflowName};

/// Spooled reports are delivered after a random part of this, so that many machines do not all begin at the
/// moment at which their warden is back.
const JITTER_MAX: Duration = Duration::from_secs(5);
/// How much longer than its command `warden run` delivers spooled reports.
const LINGER: Duration = Duration::from_secs(1);
/// Shells end with these if a command is not executable, or does not exist.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

const HELP: &str = "\
For example:
  warden run --workflow nightly -- ./load.sh --full
  warden run --workflow mirror --tolerate 2 --min-time 5s -- rsync -a src/ dst/

The command gets the parameters of the run as `warden params --format env` writes them, such as
WARDEN_RUN_NUMBER and WARDEN_JOB_ORDERS_FROM, and WARDEN_WORKFLOW. A run of which the warden could
not be told has WARDEN_RUN_ID and WARDEN_RUN_STARTED_AT alone.

Exit codes: that of the command, 128 and the number of the signal that ended it, 126 or 127 if it
cannot be run, 1 if it ended with 0 before --min-time. It is not started with 80 to 83 if the run is
held or refused, with 1 if a run with this --id has ended, or with 64.";

/// Run a command as a run of a workflow: opened before, and closed or reported as failed after it
///
/// Output, signals and exit code are passed on. While the warden cannot be reached the command runs all the
/// same, and its report is stored and delivered later.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Run {
    /// The workflow
    #[arg(long, value_name = "NAME", value_parser = workflow)]
    workflow: WorkflowName,
    /// The id of the run; the command is not started again once a run with this id has ended [default: a new
    /// UUID]
    #[arg(long, value_name = "ID", value_parser = item_id)]
    id: Option<ItemId>,
    /// When the run must have ended: a duration from its beginning such as 2h, or a time [default: that of
    /// the workflow]
    #[arg(long, value_parser = deadline)]
    deadline: Option<String>,
    /// A label; repeatable
    #[arg(long = "label", value_name = "NAME:VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    lineage: LineageFlags,
    /// Beginning of the window of a backfill, which leaves the watermarks alone; with --to
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "to")]
    from: Option<Timestamp>,
    /// End of the window of a backfill
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "from")]
    to: Option<Timestamp>,
    /// How soon the run is overdue if this process or its machine dies: while the command lives the deadline
    /// is kept that far away, but never later than its own; 0s leaves the deadline alone
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    heartbeat_ttl: Duration,
    /// A command that ends with 0 sooner has failed
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    min_time: Option<Duration>,
    /// Of failures in a row the first so many alert nobody: their runs are closed as failed, with the error.
    /// The warden counts them, over all machines
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..100))]
    tolerate: u32,
    /// How long to try to reach the warden, before the command and again after it
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    patience: Duration,
    #[command(flatten)]
    place: Place,
    /// The command and its arguments
    #[arg(last = true, required = true, num_args = 1.., value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    connection: Connection,
}

/// A run that was opened.
struct Begun {
    variables: Vec<(String, String)>,
    /// The deadline, and how long it is from now.
    deadline: Option<(String, Duration)>,
}

impl Run {
    pub async fn run(mut self, console: &mut Console<'_>) -> Result<(), CliError> {
        let mut signals = Forwarded::listen().map_err(|error| CliError::Start(error.to_string()))?;
        let client = self.connection.open_for(self.patience)?;
        let request = self.request(console.now)?;
        let spool = std::mem::replace(&mut self.place, Place::none()).spool();
        let clock = SystemClock::new();
        let mut report = Report {
            url: client.base().to_owned(),
            workflow: self.workflow.to_string(),
            run: request,
            is_open: false,
            started_at: clock.wall(),
            end: None,
        };
        let begun = self.open(&client, &mut report, console).await?;
        let mut slot = None;
        if begun.is_none() {
            // The machine may die before the command ends.
            slot = store(spool.as_ref(), slot, &report, console);
        }
        let variables = self.variables(&client, &report, begun.as_ref());
        let since = clock.now();
        let (exit_code, failure) = match Child::start(&self.command, &variables) {
            Err(error) => self.not_started(&error, console),
            Ok(child) => {
                let deadline = begun.as_ref().and_then(|begun| begun.deadline.clone());
                let ended = self.supervise(child, &client, &report, deadline, spool.as_ref(), &mut signals);
                let (status, output) = ended.await.map_err(|error| CliError::Start(error.to_string()))?;
                let took = clock.now().since(since);
                self.judge(code(status), status.code().is_none(), took, output, console)
            }
        };
        report.end = Some(End { at: clock.wall(), failure });
        let slot = store(spool.as_ref(), slot, &report, console);
        if self.deliver(&client, &report, slot, console).await
            && let Some(spool) = &spool
            && let Ok(Ok(flushed)) = tokio::time::timeout(LINGER, flush(spool, &client, false)).await
        {
            tell(&flushed, console);
        }
        if exit_code == 0 { Ok(()) } else { Err(CliError::Ended(exit_code)) }
    }

    fn request(&mut self, now: Timestamp) -> Result<RunRequest, CliError> {
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let id = self.id.take().map(|id| id.to_string());
        let lineage = std::mem::take(&mut self.lineage).document();
        Ok(RunRequest {
            id: Some(id.unwrap_or_else(|| SystemRandom.uuid(now).to_string())),
            deadline: self.deadline.clone(),
            labels: labels(&self.labels)?,
            lineage,
            from: instant(self.from),
            to: instant(self.to),
            ..RunRequest::default()
        })
    }

    /// Opens the run. `None` if the warden could not be told of it. Fails if it says that the command must
    /// not be started.
    async fn open(
        &self,
        client: &Client,
        report: &mut Report,
        console: &mut Console<'_>,
    ) -> Result<Option<Begun>, CliError> {
        let answer = match client.runs(&self.workflow)?.open(&report.run).await {
            Ok(answer) => answer,
            // Without the warden a backfill would not get its window.
            Err(error) if !may_pass(&error) || self.from.is_some() => return Err(error.into()),
            Err(error) => {
                let why = worded(&error);
                console.message(format_args!("warden: the command runs without its warden: {why}"));
                return Ok(None);
            }
        };
        let opened = Opened::of(&answer);
        opened.begun()?;
        report.is_open = true;
        Ok(Some(Begun {
            variables: variables(&opened, &answer, report),
            deadline: left(&answer, console.now),
        }))
    }

    /// What the command is told.
    fn variables(&self, client: &Client, report: &Report, begun: Option<&Begun>) -> Vec<(String, String)> {
        let mut all = match begun {
            Some(begun) => begun.variables.clone(),
            None => vec![
                (variable(&["RUN", "ID"]), report.id().to_owned()),
                (variable(&["RUN", "STARTED_AT"]), report.started_at.to_string()),
            ],
        };
        all.push(("WARDEN_WORKFLOW".to_owned(), self.workflow.to_string()));
        all.push(daemon_variable(client));
        all
    }

    /// Waits for the end of the command, and keeps the run alive meanwhile.
    async fn supervise(
        &self,
        child: Child,
        client: &Client,
        report: &Report,
        deadline: Option<(String, Duration)>,
        spool: Option<&Spool>,
        signals: &mut Forwarded,
    ) -> io::Result<(std::process::ExitStatus, String)> {
        let heartbeats = async {
            if let Some(deadline) = deadline {
                // That it was closed by somebody else does not end the command.
                let _ = heartbeat::keep(client, (&self.workflow, report.id()), self.heartbeat_ttl, deadline)
                    .await;
            }
        };
        let deliveries = async {
            if let Some(spool) = spool.filter(|_| report.is_open) {
                tokio::time::sleep(JITTER_MAX.mul_f64(SystemRandom.unit())).await;
                let _ = flush(spool, client, false).await;
            }
        };
        let aside = async {
            tokio::join!(heartbeats, deliveries);
            std::future::pending::<()>().await
        };
        tokio::select! {
            ended = child.run(signals) => ended,
            () = aside => unreachable!("it never ends"),
        }
    }

    fn not_started(&self, error: &io::Error, console: &mut Console<'_>) -> (u8, Option<Failure>) {
        let program = self.command.first().cloned().unwrap_or_default();
        let message = format!("cannot run {}: {error}", program.display());
        console.message(format_args!("warden: {message}"));
        let exit_code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        (exit_code, Some(self.failure("not_started".to_owned(), message, String::new(), exit_code)))
    }

    /// What this process ends with, and whether the run has failed.
    fn judge(
        &self,
        code: u8,
        by_signal: bool,
        took: Duration,
        output: String,
        console: &mut Console<'_>,
    ) -> (u8, Option<Failure>) {
        let last = |what: &str| match output.lines().last() {
            Some(line) => format!("{what}: {line}"),
            None => what.to_owned(),
        };
        match (code, self.min_time) {
            (0, Some(least)) if took < least => {
                let took = humantime::format_duration(Duration::from_millis(took.as_millis() as u64));
                let message = format!("it ended after {took}, sooner than {}", short(least));
                console.message(format_args!("warden: the command counts as failed: {message}"));
                (1, Some(self.failure("min_time".to_owned(), message, output, 0)))
            }
            (0, _) => (0, None),
            (code, _) if by_signal => {
                let number = code - 128;
                let message = last(&format!("signal {number} ended it"));
                (code, Some(self.failure(format!("signal {number}"), message, output, code)))
            }
            (code, _) => {
                let message = last(&format!("it ended with {code}"));
                (code, Some(self.failure(format!("exit {code}"), message, output, code)))
            }
        }
    }

    fn failure(&self, kind: String, message: String, output: String, exit_code: u8) -> Failure {
        Failure { kind, message, output, exit_code, tolerate: self.tolerate }
    }

    /// Delivers the report, and says what became of it. Returns whether the warden has it.
    async fn deliver(
        &self,
        client: &Client,
        report: &Report,
        slot: Option<Slot>,
        console: &mut Console<'_>,
    ) -> bool {
        let error = match report.deliver(client, false).await {
            Ok(delivered) => {
                if let Delivered::Tolerated { failures } = delivered {
                    let most = self.tolerate;
                    console.message(format_args!("warden: failure {failures} in a row, of {most} tolerated"));
                }
                // What cannot be removed is delivered again, without effect.
                let _ = slot.map(Slot::remove);
                return true;
            }
            Err(error) => error,
        };
        let why = worded(&error);
        match slot {
            Some(slot) if may_pass(&error) => {
                let path = slot.path().display();
                console.message(format_args!(
                    "warden: the report is kept in {path}; the next `warden run`, or `warden spool flush`, \
                     delivers it ({why})"
                ));
            }
            slot => {
                console.message(format_args!("warden: the report of the run is lost: {why}"));
                let _ = slot.map(Slot::remove);
            }
        }
        false
    }
}

/// Stores a report. `None` if it cannot be.
fn store(
    spool: Option<&Spool>,
    slot: Option<Slot>,
    report: &Report,
    console: &mut Console<'_>,
) -> Option<Slot> {
    let Some(spool) = spool else {
        if !report.is_open && report.end.is_none() {
            console.message("warden: its report cannot be stored: set --spool, HOME or XDG_STATE_HOME");
        }
        return None;
    };
    let stored = match slot {
        Some(mut slot) => spool.replace(&mut slot, report).map(|()| slot),
        None => spool.put(&SystemRandom.uuid(report.started_at).to_string(), report),
    };
    stored
        .map_err(|error| {
            let directory = spool.directory().display();
            console.message(format_args!("warden: a report cannot be stored in {directory}: {error}"));
        })
        .ok()
}

fn tell(flushed: &Flushed, console: &mut Console<'_>) {
    if flushed.delivered > 0 {
        let reports = counted(flushed.delivered, "report");
        console.message(format_args!("warden: delivered {reports} of earlier runs"));
    }
}

/// The deadline of a run, and how long it is from its beginning.
fn left(answer: &ItemAnswer, now: Timestamp) -> Option<(String, Duration)> {
    let (deadline, since) = match answer {
        ItemAnswer::Item(item) => {
            (item.deadline, Timestamp::from(item.started_at.unwrap_or(item.created_at)))
        }
        // By the clock of this machine, as the daemon does not tell its own.
        ItemAnswer::Receipt(receipt) => (receipt.deadline?, now),
    };
    Some((deadline.to_string(), Timestamp::from(deadline).since(since)))
}

/// What `warden params --format env` prints.
fn variables(opened: &Opened, answer: &ItemAnswer, report: &Report) -> Vec<(String, String)> {
    let started_at = match answer {
        ItemAnswer::Item(item) => item.started_at.map(|at| at.to_string()),
        ItemAnswer::Receipt(_) => Some(report.started_at.to_string()),
    };
    let mut all = vec![
        (variable(&["RUN", "ID"]), opened.id.clone()),
        (variable(&["RUN", "NUMBER"]), opened.number.map(|number| number.to_string()).unwrap_or_default()),
        (variable(&["RUN", "STARTED_AT"]), started_at.unwrap_or_default()),
        (variable(&["RUN", "STATUS"]), "open".to_owned()),
    ];
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (name, value) in members(&opened.params["shared"]) {
        all.push((variable(&["SHARED", &name]), variable_value(&value)));
    }
    for (job, params) in members(&opened.params["jobs"]) {
        for (name, value) in members(&params) {
            all.push((variable(&["JOB", &job, &name]), variable_value(&value)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use warden_client::Error as ClientError;

    use super::*;

    #[test]
    fn what_the_warden_refuses_is_told_from_a_warden_that_is_away() {
        let base = || "http://localhost:1".to_owned();
        assert!(may_pass(&ClientError::Unreachable { base: base(), cause: String::new() }));
        assert!(may_pass(&ClientError::Unexpected { base: base(), what: String::new(), status: Some(404) }));
        assert!(!may_pass(&ClientError::Invalid("a label".to_owned())));
    }
}
