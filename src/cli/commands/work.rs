//! `warden work`: takes the items of a workflow through their steps, with a command for each step.

mod command;
mod progress_files;
mod running;
mod tally;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stdout};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use tokio::sync::watch;
use warden_api::Item;
use warden_api::word::ItemState;
use warden_client::worker::{Unknown, Worker};
use warden_client::{Client, Query};

use self::command::{Surroundings, run_closed, run_step, shell};
use self::running::{ENDING, Outcome, run};
use super::args::{at_least_one, duration, item_id, step, workflow};
use super::error::CliError;
use super::preview;
use super::worker::beside::beside;
use super::worker::display::{Display, shows_bar};
use super::worker::events::EventSender;
use super::worker::lease::{ttl, worker_name};
use super::worker::process::{Output, StopLevel, raise_file_limit};
use super::worker::program::check_program;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{Clock as _, ItemId, StepName, SystemClock, WorkflowName};

const HELP: &str = "\
A command is run by sh -c. It gets the payload on stdin, byte for byte, and the variables that
`warden recover --help` lists. WARDEN_PROGRESS_FILE and WARDEN_SHARED_PROGRESS_FILE name files with
the progress documents of the step and of all steps, JSON objects; what the command writes there is
saved while it runs and when it ends, so that the next run of the step can go on from it. The exit
code of the command is the result:

  0      done: the item goes to its next step, and is closed after the last one
  75     retry later, as often as the workflow allows
  100    skipped: there was nothing to do, and the item goes to its next step
  101    interrupted: the item waits until a person retries it
  102    an error that is ignored: the next step, or the end, as the step's on_ignorable says
  other  failed: the item waits for a person, with the end of stderr as its error message

The last line of stderr is the message of 100 and 101. Codes from 64 to 78 have the meaning that
`warden --help` gives them, for every program: except for 75 they fail the item, and so do 126 and
127, with which a shell says that it cannot run the command. So a command that is called wrongly or
not there never passes for a step that is done or skipped.

If the command is stopped by SIGHUP, SIGINT, SIGPIPE or SIGTERM, or its progress cannot be saved
because the daemon is away, the item is released as if it had not been tried. It is free again at
once if the command saved progress, and otherwise after ten seconds. When the lease is lost, for
example because the item was cancelled, the command is killed. Once stdout is closed, nothing
more begins.

Examples:
  warden work --workflow etl --step extract=./extract.sh --step load='./load.sh --fast'
  warden work --workflow etl --step load=./load.sh --item run-7
  warden work --workflow etl --step load=./load.sh --until-empty --concurrency 8

SIGTERM or Ctrl-C: nothing more is claimed, and what runs may finish within --grace; then it is
ended and released. A second signal ends it at once. Without --max, --item and --until-empty the
worker runs until then, and the exit code is 0. With one of them it is 0 if all steps went well, 1
if some did not, 130 after a signal.";

/// Take the items of a workflow through their steps, with a command for each
///
/// Open and overdue items are claimed, the earliest deadline first; several workers share the work.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Work {
    /// The workflow
    #[arg(long, value_name = "NAME", value_parser = workflow)]
    workflow: WorkflowName,
    /// A step and its command; repeatable
    #[arg(long = "step", value_name = "STEP=COMMAND", value_parser = step_command)]
    steps: Vec<(StepName, String)>,
    /// What happens to items at other steps
    #[arg(long, value_enum, default_value_t = UnknownStep::Leave)]
    unknown: UnknownStep,
    /// Run this command when an item is closed by the end of a step, with its outcome in WARDEN_OUTCOME and
    /// an empty stdin. Not repeated if it fails
    #[arg(long, value_name = "COMMAND")]
    on_close: Option<String>,
    /// How many commands run at once
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000))]
    concurrency: usize,
    /// End after this many steps, those that are skipped included
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max: Option<u64>,
    /// Only this item; end when there is nothing to do for it
    #[arg(long, value_name = "ID", value_parser = item_id)]
    item: Option<ItemId>,
    /// End when nothing is left to claim; items that wait for a retry are left
    #[arg(long)]
    until_empty: bool,
    /// Show which items there are, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// The longest run of a command, such as 5m; then it is terminated and the step is retried later
    /// [default: unlimited]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// How long running commands may go on after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    grace: Duration,
    /// How long an item is claimed; renewed while its command runs. After a crash of this program the item is
    /// free again after this time
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = ttl)]
    lease_ttl: Duration,
    /// The name under which items are claimed [default: host name and process id]
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum UnknownStep {
    /// They are left to other workers
    Leave,
    /// Their step is reported as skipped
    Skip,
}

/// Parses a step and its command.
fn step_command(text: &str) -> Result<(StepName, String), String> {
    let (name, command) = text.split_once('=').ok_or("write the step, = and its command")?;
    if command.trim().is_empty() {
        return Err("the command is empty".to_owned());
    }
    Ok((step(name).map_err(|error| error.to_string())?, command.to_owned()))
}

impl Work {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        if self.dry_run {
            return self.preview(&client, console).await;
        }
        let commands = self.commands()?;
        let is_bounded = self.max.is_some() || self.item.is_some() || self.until_empty;
        if is_bounded {
            // A script is told at once that there is no daemon; a service waits for it.
            preview::if_allowed(&client, &self.selection()).await?;
        }
        // Connections belong to the runtime that opened them.
        let client = self.connection.open()?;
        let (events, received) = EventSender::new();
        let (stop, stopping) = watch::channel(StopLevel::Run);
        raise_file_limit(self.concurrency);
        let worker = self.worker(&client, commands, events.clone(), stopping);
        let clock = SystemClock::new();
        let display = Display::new(console, shows_bar(), self.max, clock.now());
        let display = if is_bounded { display } else { display.quiet() };
        let working = run(worker, stop, self.grace, events, self.output());
        let outcome = beside(working, display.watch(received, &clock)).await?;
        let outcome = outcome.map_err(|error| CliError::Start(error.to_string()))?;
        if let (Some(id), 0, Ok(()), false) =
            (&self.item, outcome.tally.runs(), &outcome.result, outcome.interrupted || outcome.unread)
        {
            if self.connection.output == Format::Json {
                outcome.print(console)?;
            }
            return self.explain(&client, id, console).await;
        }
        finish(outcome, is_bounded, self.connection.output, console)
    }

    /// The commands by step. Fails if a step has two, or a path leads to nothing that can be run.
    fn commands(&self) -> Result<BTreeMap<StepName, String>, CliError> {
        let mut commands = BTreeMap::new();
        for (step, command) in &self.steps {
            if commands.insert(step.clone(), command.clone()).is_some() {
                return Err(CliError::Usage(format!("the step {step} is given twice")));
            }
        }
        if commands.is_empty() && self.unknown == UnknownStep::Leave {
            return Err(CliError::Usage("name the steps to work on with --step STEP=COMMAND".to_owned()));
        }
        for command in commands.values().chain(&self.on_close) {
            // What is no path may be a builtin of the shell.
            match command.split_whitespace().next() {
                Some(program) if is_path(program) => check_program(program.as_ref())?,
                _ => {}
            }
        }
        Ok(commands)
    }

    /// Where the commands write to.
    fn output(&self) -> Output {
        match self.connection.output {
            Format::Json => Output::Stderr,
            // So that the output does not overwrite the bar.
            Format::Table if shows_bar() && stdout().is_terminal() => Output::Lines,
            Format::Table => Output::Stdout,
        }
    }

    fn worker(
        &self,
        client: &Client,
        commands: BTreeMap<StepName, String>,
        events: EventSender,
        stop: watch::Receiver<StopLevel>,
    ) -> Worker {
        let around = Arc::new(Surroundings {
            client: client.clone(),
            timeout: self.timeout,
            save_interval: self.lease_ttl / 3,
            output: self.output(),
            events,
            stop,
        });
        let mut worker = Worker::new(client.clone(), self.workflow.to_string())
            .concurrency(self.concurrency)
            .unknown(match self.unknown {
                UnknownStep::Leave => Unknown::Leave,
                UnknownStep::Skip => Unknown::Skip,
            })
            .name(self.worker.clone().unwrap_or_else(worker_name))
            .ttl(self.lease_ttl)
            // The commands are ended earlier.
            .grace(self.grace.saturating_add(ENDING));
        for (step, command) in commands {
            let (line, around) = (Arc::new(shell(&command)), around.clone());
            worker = worker.step(step.to_string(), move |job| run_step(line.clone(), around.clone(), job));
        }
        if let Some(command) = &self.on_close {
            let line = Arc::new(shell(command));
            worker = worker.on_close(move |item| run_closed(line.clone(), around.clone(), item));
        }
        if let Some(max) = self.max {
            worker = worker.max(max);
        }
        if let Some(id) = &self.item {
            worker = worker.item(id.to_string());
        }
        if self.until_empty || self.item.is_some() { worker.until_empty() } else { worker }
    }

    async fn preview(&self, client: &Client, console: &mut Console<'_>) -> Result<(), CliError> {
        if let Some(id) = &self.item {
            let item = client.item(&self.workflow, id)?.get().await?;
            match self.connection.output {
                Format::Json => console.json(&item)?,
                Format::Table => console.line(standing(&item))?,
            }
            return Ok(());
        }
        let (text, preview) = preview::ask(client, &self.selection()).await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => writeln!(console.out, "{}", preview::render(&preview, console.now))?,
        }
        Ok(())
    }

    fn selection(&self) -> Query {
        let states = [ItemState::Open, ItemState::Overdue].map(|state| ("state", state.to_string()));
        std::iter::once(("workflow", self.workflow.to_string())).chain(states).collect()
    }

    /// Why there was nothing to do for the item.
    async fn explain(&self, client: &Client, id: &ItemId, console: &mut Console<'_>) -> Result<(), CliError> {
        let item = client.item(&self.workflow, id)?.get().await?;
        let held = if item.lease.is_some() { ", and somebody works on it" } else { "" };
        console.message(format_args!("Nothing to do: {}{held}.", standing(&item)));
        if item.state == ItemState::Closed { Ok(()) } else { Err(CliError::ItemsLeft { left: 1, items: 1 }) }
    }
}

/// An item and where it is.
fn standing(item: &Item) -> String {
    let Item { workflow, id, state, .. } = item;
    match item.step.as_deref().filter(|_| *state != ItemState::Closed) {
        Some(step) => format!("{workflow} {id} is {state} at {step}"),
        None => format!("{workflow} {id} is {state}"),
    }
}

/// Whether the word is nothing but the path of a file, and no pattern or substitution of the shell.
fn is_path(word: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || "/._-+".contains(character);
    word.contains('/') && word.chars().all(plain)
}

/// Prints the summary, and returns the result of the command.
fn finish(
    outcome: Outcome,
    is_bounded: bool,
    format: Format,
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    let mut printed = Ok(());
    if format == Format::Json {
        printed = outcome.print(console);
    }
    let Outcome { tally, took, interrupted, unread, result } = outcome;
    match format {
        Format::Json => {}
        Format::Table if tally.runs() > 0 => console.message(tally.line(took)),
        Format::Table if is_bounded && result.is_ok() && !interrupted => {
            console.message("No items to work on.")
        }
        Format::Table => {}
    }
    match result {
        Err(error) => Err(error.into()),
        Ok(()) if is_bounded && interrupted => Err(CliError::Interrupted),
        Ok(()) if unread => Err(CliError::Unread),
        Ok(()) if is_bounded && tally.left() > 0 => {
            Err(CliError::ItemsLeft { left: tally.left(), items: tally.runs() })
        }
        Ok(()) => Ok(printed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_written_before_its_command() {
        let (step, command) = step_command("load=./load.sh --key=value").unwrap();
        assert_eq!((step.as_str(), command.as_str()), ("load", "./load.sh --key=value"));
        for bad in ["load", "=./load.sh", "load=", "load= ", "a b=x"] {
            assert!(step_command(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_path_is_looked_up_before_it_is_run() {
        assert!(is_path("./load.sh") && is_path("/opt/etl/load-2.py"));
        for word in ["load", "cd", "$HOME/load", "./load.sh;", "*/x", "a/'b'"] {
            assert!(!is_path(word), "{word}");
        }
    }
}
