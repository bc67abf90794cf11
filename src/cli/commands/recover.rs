//! `warden recover`: runs a command for each item in trouble, and reports the results to the daemon.
//!
//! Items are claimed by leases: several recoveries never work on the same item, and items of a recovery that
//! dies are free again when their leases expire. The commands' stdout is passed through; messages go to
//! stderr.

mod claims;
mod pace;
mod recovery;
mod summary;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, stderr, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Arg, Args};
use warden_api::lease::ClaimRequest;
use warden_api::word::ItemState;
use warden_client::{Client, Leases};

use self::pace::Pace;
use self::recovery::{Outcome, Plan, Recovery};
use super::args::{Filter, at_least_one, duration};
use super::error::CliError;
use super::preview;
use super::worker::beside::beside;
use super::worker::display::{Display, shows_bar};
use super::worker::events::EventSender;
use super::worker::lease::{ttl, worker_name};
use super::worker::process::{CommandLine, Output, raise_file_limit};
use super::worker::program::check_program;
use super::worker::verdict::OnSuccess;
use super::worker::work::{AdvancedItems, Work};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{Clock as _, SystemClock};
use crate::outbound::Rate;

const HELP: &str = "\
The command gets the payload on stdin, byte for byte and never decoded, and these variables:
WARDEN_WORKFLOW, WARDEN_ITEM_ID, WARDEN_ITEM_FILE (a safe file name; an id may be ../x),
WARDEN_STEP, WARDEN_ATTEMPT, WARDEN_LEASE, WARDEN_CONTENT_TYPE, WARDEN_CONTENT_ENCODING,
WARDEN_LABELS (all labels as a JSON object) and, for each label, WARDEN_LABEL_<NAME> in upper case.
Step and encoding may be empty. TRACEPARENT and TRACESTATE are those of the item, if it has a trace.
The exit code of the command is the result:

  0      done: the step of the item is complete, see --on-success
  75     retry later; a recovery attempts no item twice
  other  failed: the item waits for a person, with the end of stderr as its error message

If the command is stopped (by SIGHUP, SIGINT, SIGPIPE or SIGTERM, or exit code 128 plus the number
of the signal), its item is released as if it had not been tried. Once stdout is closed, nothing
more begins.

Examples:
  warden recover --workflow uploads --dry-run
  warden recover --workflow uploads --canary 5 --concurrency 8 --rate 50/s -- ./upload-again.sh
  warden recover --step backup -- sh -c 'curl -sf -T - \"http://backup/$WARDEN_ITEM_FILE\"'

Ctrl-C lets running commands finish and releases the other items; a second one ends the commands.
The exit code is 0 if all items are done, 1 if some are not, 130 after Ctrl-C.";

/// Run a command for each overdue or failed item
///
/// Items are claimed a few at a time, the earliest deadline first, and nobody else gets them meanwhile. The
/// recovery ends when no item is left to claim.
#[derive(Args)]
#[command(after_help = HELP, mut_arg("states", claimable))]
pub struct Recover {
    /// How many commands run at once; by default one, as not every script can run in parallel, and a system
    /// that has just recovered is easily overloaded
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    concurrency: usize,
    /// The most items to begin in a period, such as 50/s or 100/m
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// The most items
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max: Option<u64>,
    /// Pause after this many items: ask on a terminal; elsewhere stop unless all of them are done
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    canary: Option<u64>,
    /// Do not ask, even on a terminal
    #[arg(long)]
    yes: bool,
    /// Show which items there are, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// What happens to an item that is done
    #[arg(long, value_enum, default_value_t = OnSuccess::Complete)]
    on_success: OnSuccess,
    /// The longest run of a command, such as 5m; then it is terminated and the item is retried later
    /// [default: unlimited]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Pass up to N items to the command, each as a line of JSON on stdin. Its exit code applies to all items
    /// except those for which it writes a line {"workflow","id","outcome":"done|retry|failed","message"} to
    /// stdout
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    exec_batch: Option<usize>,
    /// How long an item is claimed; renewed while the command runs. After a crash of this program the item is
    /// free again after this time
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = ttl)]
    lease_ttl: Duration,
    /// The name under which items are claimed [default: host name and process id]
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// How long to wait for a daemon that does not respond
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    patience: Duration,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "dry_run")]
    command: Vec<OsString>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

/// Restricts the filter's flag to the states that can be claimed.
fn claimable(states: Arg) -> Arg {
    states
        .help("Only items in this state; repeatable")
        .value_parser(PossibleValuesParser::new(ItemState::RECOVERABLE.map(ItemState::as_str)))
        .default_values(["overdue", "failed"])
}

impl Recover {
    pub async fn run(mut self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let query = self.filter.query()?;
        if self.dry_run {
            let (text, preview) = preview::ask(&client, &query).await?;
            match self.connection.output {
                Format::Json => console.document(&text)?,
                Format::Table => writeln!(console.out, "{}", preview::render(&preview, console.now))?,
            }
            return Ok(());
        }
        if let Some(program) = self.command.first() {
            check_program(program)?;
        }
        let preview = preview::if_allowed(&client, &query).await?;
        let total = preview.map(|preview| preview.count.min(self.max.unwrap_or(u64::MAX)));
        let (events, received) = EventSender::new();
        // Connections belong to the runtime that opened them.
        let client = self.connection.open()?;
        let plan = self.plan(client, total, events.clone())?;
        let clock = SystemClock::new();
        let display = Display::new(console, shows_bar(), total, clock.now());
        let recovery = async move { Ok::<_, io::Error>(Recovery::new(plan, events)?.run().await) };
        let outcome = beside(recovery, display.watch(received, &clock)).await?;
        let outcome = outcome.map_err(|error| CliError::Start(error.to_string()))?;
        finish(outcome, self.connection.output, console)
    }

    fn plan(&mut self, client: Client, total: Option<u64>, events: EventSender) -> Result<Plan, CliError> {
        let mut words = std::mem::take(&mut self.command).into_iter();
        let program = words.next().ok_or_else(|| CliError::Usage("the command is missing".to_owned()))?;
        let pace = Pace::new(self.rate, self.exec_batch, self.max);
        let claim = ClaimRequest {
            filter: self.filter.document()?,
            // Payloads are fetched during heartbeats: all at once could outlast the leases and the memory.
            payloads: false,
            worker: Some(self.worker.take().unwrap_or_else(worker_name).into()),
            ..ClaimRequest::default()
        };
        let output = match (self.exec_batch, self.connection.output) {
            (Some(_), _) => Output::Lines,
            (None, Format::Json) => Output::Stderr,
            // So that the output does not overwrite the bar.
            (None, Format::Table) if shows_bar() && stdout().is_terminal() => Output::Lines,
            (None, Format::Table) => Output::Stdout,
        };
        let work = Work {
            leases: Arc::new(Leases::new(client, self.lease_ttl)),
            line: CommandLine { program, arguments: words.collect() },
            in_batches: self.exec_batch.is_some(),
            timeout: self.timeout,
            on_success: self.on_success,
            output,
            events,
            advanced: AdvancedItems::default(),
        };
        raise_file_limit(self.concurrency);
        Ok(Plan {
            work: Arc::new(work),
            claim,
            total,
            concurrency: self.concurrency,
            pace: match self.canary {
                Some(items) => pace.gated(items),
                None => pace,
            },
            patience: self.patience,
            is_interactive: !self.yes && stdin().is_terminal() && stderr().is_terminal(),
        })
    }
}

/// Prints the summary, and returns the result of the command.
fn finish(outcome: Outcome, format: Format, console: &mut Console<'_>) -> Result<(), CliError> {
    let Outcome { summary, took, failure } = outcome;
    let mut printed = Ok(());
    match format {
        Format::Json => printed = console.json(&summary),
        Format::Table if summary.counts.items() > 0 => {
            console.message(summary.counts.line(took));
        }
        Format::Table if failure.is_none() && !summary.interrupted => {
            console.message("No items to recover.");
        }
        Format::Table => {}
    }
    match failure {
        Some(error) if !(summary.interrupted && matches!(error, CliError::Declined)) => Err(error),
        _ if summary.interrupted => Err(CliError::Interrupted),
        _ if summary.counts.left() > 0 => {
            Err(CliError::ItemsLeft { left: summary.counts.left(), items: summary.counts.items() })
        }
        // The result for the items has precedence over an output error.
        _ => Ok(printed?),
    }
}
