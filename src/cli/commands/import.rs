//! `warden import`: creates and closes many items.
//!
//! The lines are sent in batches, one after the other, with one batch in memory. Lines that the daemon
//! rejects as overloaded are retried; refused ones are counted and reported, and do not stop the import. The
//! end of an export is verified; for a file, before anything is sent.

mod batch;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use warden_api::path;
use warden_api::word::{ItemState, Word};
use warden_client::{Client, Error as ClientError, Query};

use self::batch::Batches;
use super::archive::{Ending, Line, LineError, Lines};
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::daemon::wording::describe;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::progress::Progress;

/// Printed after every import that created items.
const NOT_IMPORTED: &str =
    "Created items have no leases, incidents or idempotency keys, and begin with version 1.";
/// The most refusals that are listed.
const REFUSALS_MAX: usize = 10;
/// Attempts for a batch while the daemon is overloaded.
const TRIES: u32 = 20;
/// The longest wait between attempts, in seconds.
const WAIT_MAX: u64 = 30;

/// Create and close many items from the lines of `warden export`
///
/// Importing a file again is safe: existing items are not changed. Lines with the history of items, as
/// exports write them, need a token with the scope admin. Leases, versions, incidents and idempotency keys
/// are not imported. Compression is detected, and the end of an export is verified. An incomplete export is
/// imported, with exit code 65.
#[derive(Args)]
pub struct Import {
    /// The file with the lines, or - for stdin
    #[arg(long, value_name = "PATH", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    /// Lines with a response.
    lines: u64,
    created: u64,
    created_by_state: BTreeMap<String, u64>,
    /// Creates of existing items.
    existed: u64,
    existed_by_state: BTreeMap<String, u64>,
    closed: u64,
    refused: u64,
    /// Whether the lines are complete; `None` if they are not from an export.
    complete: Option<bool>,
    /// At most [`REFUSALS_MAX`].
    refusals: Vec<Refusal>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Refusal {
    line: u64,
    status: u16,
    reason: String,
}

type LineAnswer = warden_api::line::LineAnswer<'static>;

impl Import {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        // Items of a damaged file must not be created, as they would conflict with the right ones. stdin can
        // be read only once, so its lines are sent before the end is known.
        if self.is_file() {
            self.check().await?;
        }
        let mut summary = Summary::default();
        let result = self.send_all(&client, &mut summary).await;
        // Without any response the error suffices.
        if result.is_ok() || summary.lines > 0 {
            summary.print(self.connection.output, console)?;
        }
        match result? {
            Ending::Incomplete => Err(self.incomplete(&summary)),
            _ if summary.refused > 0 => {
                Err(CliError::LinesRefused { refused: summary.refused, lines: summary.lines })
            }
            _ => Ok(()),
        }
    }

    /// Whether it can be read twice.
    fn is_file(&self) -> bool {
        self.file.as_os_str() != "-" && self.file.metadata().is_ok_and(|metadata| metadata.is_file())
    }

    fn lines(&self) -> Result<Lines, CliError> {
        Lines::open(&self.file).map_err(|error| self.unreadable(error))
    }

    fn progress(&self, verb: &'static str) -> Progress {
        let length = self.file.metadata().ok().filter(|_| self.is_file()).map(|metadata| metadata.len());
        Progress::of_bytes(verb, length)
    }

    /// Reads the file to its end.
    async fn check(&self) -> Result<(), CliError> {
        let untouched = |error| match error {
            CliError::Data(what) => CliError::Data(format!("{what}; nothing was imported")),
            error => error,
        };
        let (mut lines, progress) = (self.lines().map_err(untouched)?, self.progress("checking"));
        let checking = tokio::task::spawn_blocking(move || {
            while lines.next_line()?.is_some() {
                progress.reach(lines.position());
            }
            Ok(())
        });
        let checked = checking.await.map_err(|error| CliError::Start(error.to_string()))?;
        checked.map_err(|error| untouched(self.unreadable(error)))
    }

    async fn send_all(&self, client: &Client, summary: &mut Summary) -> Result<Ending, CliError> {
        let (mut batches, progress) = (Batches::of(self.lines()?), self.progress("importing"));
        loop {
            // Not on the thread of the connection, as reading stdin may block.
            let reading = tokio::task::spawn_blocking(move || {
                let batch = batches.next_batch();
                (batches, batch)
            });
            let batch;
            (batches, batch) = reading.await.map_err(|error| CliError::Start(error.to_string()))?;
            let batch = batch.map_err(|error| self.unreadable(error))?;
            if batch.is_empty() {
                let ending = batches.lines().ending();
                summary.complete = match ending {
                    Ending::Whole => Some(true),
                    Ending::Incomplete => Some(false),
                    Ending::Unknown => None,
                };
                return Ok(ending);
            }
            send_batch(client, batch, summary).await?;
            progress.reach(batches.lines().position());
        }
    }

    fn unreadable(&self, error: LineError) -> CliError {
        match error {
            LineError::Read(error) => CliError::File { verb: "read", path: self.file.clone(), error },
            LineError::Damaged(what) => CliError::Data(format!("{} is damaged: {what}", self.name())),
        }
    }

    fn name(&self) -> Cow<'_, str> {
        if self.file.as_os_str() == "-" { "the input".into() } else { self.file.to_string_lossy() }
    }

    fn incomplete(&self, summary: &Summary) -> CliError {
        let refused =
            if summary.refused > 0 { format!(" and {} refused", summary.refused) } else { String::new() };
        let (name, sent) = (self.name(), counted(summary.lines - summary.refused, "line"));
        let advice = if self.is_file() {
            "complete the file with `warden export --resume` and import it again"
        } else {
            "if it came from an export, begin it again, with `set -o pipefail` to notice its failure, or \
             export to a file, which --resume completes; items that exist already are not changed"
        };
        CliError::Data(format!(
            "{name} is incomplete: its end is missing, {sent} imported{refused}; {advice}"
        ))
    }
}

/// Sends the lines until each has a response other than "overloaded".
async fn send_batch(client: &Client, lines: Vec<Line>, summary: &mut Summary) -> Result<(), CliError> {
    let mut waiting = lines;
    for tries_left in (0..TRIES).rev() {
        let wait = match post(client, &waiting).await {
            Ok(answers) => {
                let mut overloaded = Vec::new();
                for (line, answer) in waiting.into_iter().zip(answers) {
                    if matches!(answer.status(), 429 | 503) && tries_left > 0 {
                        overloaded.push(line);
                    } else {
                        summary.count(line.number, answer);
                    }
                }
                waiting = overloaded;
                if waiting.is_empty() {
                    return Ok(());
                }
                1
            }
            Err(error) => match error.overload_delay() {
                Some(wait) if tries_left > 0 => wait.min(WAIT_MAX),
                _ => return Err(error.into()),
            },
        };
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
    Ok(())
}

/// Returns a response for each line, in order.
async fn post(client: &Client, lines: &[Line]) -> Result<VecDeque<LineAnswer>, ClientError> {
    let mut body = Vec::with_capacity(lines.iter().map(|line| line.text.len()).sum());
    lines.iter().for_each(|line| body.extend_from_slice(&line.text));
    let request = client.request(Method::POST, path::BATCH, &Query::new())?;
    let answer = client.send(request.header(CONTENT_TYPE, "application/x-ndjson").body(body)).await?;
    let short =
        answer.unexpected(format!("it did not answer all of {}", counted(lines.len() as u64, "line")));
    let text = answer.text().await?;
    let answers = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
    match answers.collect::<Result<VecDeque<_>, _>>() {
        Ok(answers) if answers.len() == lines.len() => Ok(answers),
        _ => Err(short),
    }
}

impl Summary {
    fn count(&mut self, line: u64, answer: LineAnswer) {
        self.lines += 1;
        let status = answer.status();
        let (state, reason) = match answer {
            LineAnswer::Done(done) => (done.state, format!("it was answered with {status}")),
            LineAnswer::Refused(refused) => (None, describe(&refused.problem)),
        };
        match status {
            201 => {
                self.created += 1;
                count_state(&mut self.created_by_state, state);
            }
            204 => self.closed += 1,
            200..300 => {
                self.existed += 1;
                count_state(&mut self.existed_by_state, state);
            }
            status => {
                self.refused += 1;
                if self.refusals.len() < REFUSALS_MAX {
                    self.refusals.push(Refusal { line, status, reason });
                }
            }
        }
    }

    fn print(&self, format: Format, console: &mut Console<'_>) -> Result<(), CliError> {
        match format {
            Format::Json => console.json(self)?,
            Format::Table => {
                for Refusal { line, reason, .. } in &self.refusals {
                    console.message(format_args!("line {line}: {reason}"));
                }
                if self.refused > self.refusals.len() as u64 {
                    console.message(format_args!("and {} more", self.refused - self.refusals.len() as u64));
                }
                let Self { closed, refused, .. } = self;
                let created = by_state(self.created, &self.created_by_state);
                let existed = by_state(self.existed, &self.existed_by_state);
                let text =
                    format!("created {created}, already there {existed}, closed {closed}, refused {refused}");
                writeln!(console.out, "{text}")?;
                if self.created > 0 {
                    writeln!(console.err, "{NOT_IMPORTED}")?;
                }
            }
        }
        Ok(())
    }
}

fn count_state(states: &mut BTreeMap<String, u64>, state: Option<Word<ItemState>>) {
    if let Some(state) = state {
        *states.entry(state.to_string()).or_default() += 1;
    }
}

/// A number, and how many are in other states than `open`.
fn by_state(count: u64, states: &BTreeMap<String, u64>) -> String {
    let others = states.iter().filter(|(state, _)| *state != "open");
    let others: Vec<String> = others.map(|(state, count)| format!("{count} {state}")).collect();
    if others.is_empty() { count.to_string() } else { format!("{count} ({})", others.join(", ")) }
}

#[cfg(test)]
mod tests;
