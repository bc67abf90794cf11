//! `warden recover`: runs a command for each item that is stuck, and tells the daemon what became of it.
//!
//! The items come by leases, so that of several recoveries no two work on one item, and so that what a recovery leaves
//! behind when it dies is free again after a while. Commands' stdout is theirs; what is told about them goes to stderr.

mod claims;
mod display;
mod pace;
mod recovery;
mod summary;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, stderr, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use clap::{Arg, Args};
use tokio::time::timeout;
use warden_api::item::Summary;
use warden_api::limit::WORKER_MAX;
use warden_api::word::ItemState;

use self::display::Display;
use self::pace::Pace;
use self::recovery::{Outcome, Plan, Recovery};
use super::args::Filter;
use super::error::CliError;
use super::preview;
use super::worker::attempt::{AdvancedItems, Work};
use super::worker::events::EventSender;
use super::worker::leases::{ClaimOptions, LeaseClient};
use super::worker::process::{CommandLine, Output, raise_file_limit};
use super::worker::verdict::OnSuccess;
use crate::cli::daemon::client::{Client, ClientError};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{Clock as _, SystemClock, parse_duration};
use crate::outbound::Rate;

/// How long a recovery waits to learn how much there is to do. It does without if that takes longer.
const PREVIEW_TIME: Duration = Duration::from_secs(10);
/// The shortest and the longest time of a lease.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));

const HELP: &str = "\
The command gets the payload on stdin, byte for byte, and in its environment WARDEN_WORKFLOW, WARDEN_ITEM_ID,
WARDEN_ITEM_FILE (a name for a file: an id may be ../x), WARDEN_STEP, WARDEN_ATTEMPT, WARDEN_LEASE, WARDEN_CONTENT_TYPE,
WARDEN_CONTENT_ENCODING, WARDEN_LABELS (all labels as a JSON object) and WARDEN_LABEL_<NAME>, in upper case, for each label; step and encoding are empty where there is none.
The payload is never decoded. The command says with its exit code how it went:

  0      done: the item's step is complete, see --on-success
  75     to be tried again later; a run tries no item twice
  other  failed: the item waits for somebody to act, with the end of what the command said on stderr

A command that was stopped (by SIGHUP, SIGINT, SIGPIPE or SIGTERM, or with 128 and the signal's number as its exit code)
has said nothing of its item, which is given back unharmed. When nobody reads stdout any more, nothing more begins.

Examples:
  warden recover --workflow uploads --dry-run
  warden recover --workflow uploads --canary 5 --concurrency 8 --rate 50/s -- ./upload-again.sh
  warden recover --step backup -- sh -c 'curl -sf --data-binary @- \"http://backup/$WARDEN_ITEM_FILE\"'

Ctrl-C lets running commands finish and gives back what has not begun; once more ends them. The exit code is 0 if
all items are done, 1 if some are not, 130 if it was interrupted.";

/// Run a command for each item that is overdue or has failed
///
/// The items are claimed oldest deadline first, a few at a time, and nobody else gets them meanwhile. It ends when
/// nothing is left to claim.
#[derive(Args)]
#[command(after_help = HELP, mut_arg("states", claimable))]
pub struct Recover {
    /// How many commands run at once. One by default, since not every script can run beside itself, and since what has
    /// just come back is not to be overrun
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    concurrency: usize,
    /// How many items begin at most in a time, such as 50/s or 100/m
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// How many items at most
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    max: Option<u64>,
    /// Stop after so many items: on a terminal to ask, elsewhere unless all of them are done
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    canary: Option<u64>,
    /// Ask nothing, even on a terminal
    #[arg(long)]
    yes: bool,
    /// Run nothing, only show which items there are
    #[arg(long)]
    dry_run: bool,
    /// What becomes of an item that is done
    #[arg(long, value_enum, default_value_t = OnSuccess::Complete)]
    on_success: OnSuccess,
    /// How long a command may take, such as 5m; then it is ended, and the item is tried again later [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Give the command up to N items at once, each a line of JSON on stdin. Its exit code is for all but those of which
    /// it writes a line {"workflow","id","outcome":"done|retry|failed","message"} on stdout
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    exec_batch: Option<usize>,
    /// For how long an item is claimed; prolonged while the command runs, and free again so long after this program died
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = ttl)]
    lease_ttl: Duration,
    /// In whose name items are claimed [default: the host's name and the process id]
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// How long a daemon that does not answer any more is waited for
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    patience: Duration,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "dry_run")]
    command: Vec<OsString>,
}

/// States as they can be claimed, for the flag of the filter.
fn claimable(states: Arg) -> Arg {
    states
        .help("In this state; repeatable")
        .value_parser(PossibleValuesParser::new(ItemState::RECOVERABLE.map(ItemState::as_str)))
        .default_values(["overdue", "failed"])
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text).map_err(|error| error.to_string())?;
    if ttl < TTL.0 || ttl > TTL.1 {
        return Err("a lease lasts from 1s to 24h".to_owned());
    }
    Ok(ttl)
}

impl Recover {
    /// Recovers, and prints what became of the items.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses, the command cannot be run, not all items are done, or somebody
    /// interrupted it.
    pub async fn run(mut self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let query = self.filter.query();
        if self.dry_run {
            let (text, preview) = preview::ask(&client, &query).await?;
            match self.connection.output {
                Format::Json => console.document(&text)?,
                Format::Table => writeln!(console.out, "{}", preview::shown(&preview, console.now))?,
            }
            return Ok(());
        }
        let preview = previewed(&client, &query).await?;
        let total = preview.map(|preview| preview.count.min(self.max.unwrap_or(u64::MAX)));
        let (events, received) = EventSender::new();
        // A client of its own, since connections live on the thread that opened them.
        let client = self.connection.open()?;
        let plan = self.plan(client, total, events.clone())?;
        let clock = SystemClock::new();
        let display = Display::new(console, shows_bar(), total, clock.now());
        let outcome = beside(plan, events, display.watch(received, &clock)).await?;
        finish(outcome, self.connection.output, console)
    }

    fn plan(&mut self, client: Client, total: Option<u64>, events: EventSender) -> Result<Plan, CliError> {
        let mut words = std::mem::take(&mut self.command).into_iter();
        let program = words.next().ok_or_else(|| CliError::Usage("there is no command to run".to_owned()))?;
        let pace = Pace::new(self.rate, self.exec_batch, self.max);
        let options = ClaimOptions {
            selection: self.filter.document()?,
            ttl: self.lease_ttl,
            worker: Some(self.worker.take().unwrap_or_else(worker)),
        };
        let output = match (self.exec_batch, self.connection.output) {
            (Some(_), _) => Output::Lines,
            (None, Format::Json) => Output::Stderr,
            // Above the bar, instead of across it.
            (None, Format::Table) if shows_bar() && stdout().is_terminal() => Output::Lines,
            (None, Format::Table) => Output::Stdout,
        };
        let work = Work {
            leases: Arc::new(LeaseClient::new(client, Arc::new(SystemClock::new()), options)),
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
            work,
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

/// How much there is to do, if the daemon says so: not every token may ask, and it need not be known.
///
/// # Errors
/// When there is no daemon to ask.
async fn previewed(
    client: &Client,
    query: &crate::cli::daemon::client::Query,
) -> Result<Option<Summary>, ClientError> {
    match timeout(PREVIEW_TIME, preview::ask(client, query)).await {
        Ok(Ok((_, preview))) => Ok(Some(preview)),
        Ok(Err(ClientError::Refused { .. })) | Err(_) => Ok(None),
        Ok(Err(error)) => Err(error),
    }
}

/// Recovers on a thread of its own, beside what is shown on this one: whoever stops the terminal must not stop the
/// heartbeats.
///
/// # Errors
/// When the system has no thread for it, or signals cannot be listened to.
async fn beside(
    plan: Plan,
    events: EventSender,
    shown: impl Future<Output = ()>,
) -> Result<Outcome, CliError> {
    let failed = |error: &dyn std::error::Error| CliError::Start(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    let recovering =
        runtime.spawn(async move { Ok::<_, io::Error>(Recovery::new(plan, events)?.run().await) });
    shown.await;
    let outcome = recovering.await;
    // Nothing is left that would have to be waited for.
    runtime.shutdown_background();
    outcome.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}

fn shows_bar() -> bool {
    stderr().is_terminal()
}

/// The name under which this process claims: that of its host, and its own number.
fn worker() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let number = format!(":{}", std::process::id());
    let mut end = host.len().min(WORKER_MAX - number.len());
    while !host.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{number}", &host[..end])
}

/// Prints what a recovery came to, and gives how the program ends by it.
fn finish(outcome: Outcome, format: Format, console: &mut Console<'_>) -> Result<(), CliError> {
    let Outcome { summary, took, failure } = outcome;
    let mut printed = Ok(());
    match format {
        Format::Json => {
            let text = serde_json::to_string(&summary).map_err(io::Error::from)?;
            printed = console.document(&text);
        }
        Format::Table if summary.counts.items() > 0 => {
            console.note(summary.counts.line(took));
        }
        Format::Table if failure.is_none() && !summary.interrupted => {
            console.note("Nothing is to be recovered.");
        }
        Format::Table => {}
    }
    match failure {
        Some(error) if !(summary.interrupted && matches!(error, CliError::Declined)) => Err(error),
        _ if summary.interrupted => Err(CliError::Interrupted),
        _ if summary.counts.left() > 0 => {
            Err(CliError::ItemsLeft { left: summary.counts.left(), items: summary.counts.items() })
        }
        // What became of the items comes first: whoever cannot be told by words is told by the exit code.
        _ => Ok(printed?),
    }
}
