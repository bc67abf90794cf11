//! `warden run`: runs a command as a run of a workflow.
//!
//! Invariants: the command is started unless the warden says that it must not be, or it cannot be told its
//! parameters; its output and exit code are passed on. From the moment at which the command has ended, its
//! report is on disk until the warden has it; while the warden does not know of the run, so is its beginning.

mod begun;
mod child;
mod ending;
mod heartbeat;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use warden_api::item::ItemAnswer;
use warden_api::run::{RunRequest, variable};
use warden_api::{Workflow, path};
use warden_client::{Client, Query};

use self::begun::{Begun, whole_deadline};
use self::child::{Child, code};
use self::ending::Terms;
use super::args::{duration, item_id, workflow};
use super::error::CliError;
use super::open::Opened;
use super::run_flags::RunFlags;
use super::spool::Place;
use super::spool::delivery::{Flushed, flush, may_pass};
use super::spool::directory::{Slot, Spool};
use super::spool::report::{Delivered, End, Report};
use super::worker::environment::daemon_variable;
use crate::cli::daemon::connection::Connection;
use crate::cli::daemon::wording::worded;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::signals::Forwarded;
use crate::model::{Clock as _, ItemId, Random as _, SystemClock, SystemRandom, WorkflowName};

/// Spooled reports are delivered after a random part of this, so that many machines do not all begin at the
/// moment at which their warden is back.
const JITTER_MAX: Duration = Duration::from_secs(5);
/// How much longer than its command `warden run` delivers spooled reports.
const LINGER: Duration = Duration::from_secs(1);
const HELP: &str = "\
For example:
  warden run --workflow nightly -- ./load.sh --full
  warden run --workflow mirror --tolerate 2 --min-time 5s -- rsync -a src/ dst/

The command gets the parameters of the run as `warden params --format env` writes them, such as
WARDEN_RUN_NUMBER and WARDEN_JOB_ORDERS_FROM, and WARDEN_WORKFLOW. A run of which the warden could
not be told has WARDEN_RUN_ID and WARDEN_RUN_STARTED_AT alone.

Exit codes: that of the command, 128 and the number of the signal that ended it, 126 or 127 if it
cannot be run, 1 if it ended with 0 before --min-time. It is not started with 80 to 83 if the run
is held or refused, 86 if there is no such workflow, 1 if a run with this --id has ended or the
warden refuses it for another reason, 64 if the command line or a value in it is wrong, 70 if the
connection cannot be set up; a backfill, which needs its window, also not with 69, 70, 77 or 1 if
the warden cannot be told.";

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
    #[command(flatten)]
    flags: RunFlags,
    /// How soon the run is overdue if this process or its machine dies: while the command lives the deadline
    /// is kept that far away, but never later than its own; 0s leaves the deadline alone
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    heartbeat_ttl: Duration,
    #[command(flatten)]
    terms: Terms,
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

impl Run {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let mut signals = Forwarded::listen().map_err(|error| CliError::Start(error.to_string()))?;
        let client = self.connection.open_for(self.patience)?;
        let id = self.id.as_ref().map(ToString::to_string);
        let id = id.unwrap_or_else(|| SystemRandom.uuid(console.now).to_string());
        let request = RunRequest { id: Some(id), ..self.flags.request()? };
        let spool = self.place.spool();
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
        let started = variables.and_then(|variables| Child::start(&self.command, &variables));
        let (exit_code, failure) = match started {
            Err(error) => self.terms.not_started(&self.command, &error, console),
            Ok(child) => {
                let deadline = begun.as_ref().and_then(|begun| begun.deadline.clone());
                let ended = self.supervise(child, &client, &report, deadline, spool.as_ref(), &mut signals);
                let (status, output) = ended.await.map_err(|error| CliError::Start(error.to_string()))?;
                let took = clock.now().since(since);
                self.terms.judge(code(status), status.code().is_none(), took, output, console)
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
            Err(error) if !may_pass(&error) || report.run.from.is_some() => return Err(error.into()),
            Err(error) => {
                let why = worded(&error);
                console.message(format_args!("warden: the command runs without its warden: {why}"));
                return Ok(None);
            }
        };
        let opened = Opened::of(&answer);
        opened.begun()?;
        report.is_open = true;
        let mut begun = Begun::of(&opened, &answer, report, console.now);
        if let ItemAnswer::Item(item) = &answer
            && item.version > 1
            && let Some(opened_with) = self.opened_with(client, report).await
        {
            begun.deadline = whole_deadline(item, &opened_with, console.now).or(begun.deadline);
        }
        Ok(Some(begun))
    }

    /// The deadline that this command opens runs with, if the token may read that of the workflow.
    async fn opened_with(&self, client: &Client, report: &Report) -> Option<String> {
        if let Some(deadline) = &report.run.deadline {
            return Some(deadline.clone());
        }
        let place = path::fill(path::WORKFLOW, &[&self.workflow]);
        let request = client.request(Method::GET, &place, &Query::new()).ok()?;
        let (_, workflow) = client.send(request).await.ok()?.document::<Workflow>().await.ok()?;
        Some(workflow.deadline)
    }

    /// What the command is told. Fails if that cannot be done whole: it would not notice what is missing.
    fn variables(
        &self,
        client: &Client,
        report: &Report,
        begun: Option<&Begun>,
    ) -> io::Result<BTreeMap<String, String>> {
        let mut all = match begun {
            Some(begun) => {
                let named = begun.variables.clone();
                named.map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?
            }
            None => BTreeMap::from([
                (variable(&["RUN", "ID"]), report.id().to_owned()),
                (variable(&["RUN", "STARTED_AT"]), report.started_at.to_string()),
            ]),
        };
        all.extend([("WARDEN_WORKFLOW".to_owned(), self.workflow.to_string()), daemon_variable(client)]);
        Ok(all)
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
                    let most = self.terms.tolerate;
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
