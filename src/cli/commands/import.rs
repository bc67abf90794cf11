//! `warden import`: hands many items in, or closes them.
//!
//! The lines go to the daemon in pieces, one after the other, with one piece in memory. What is overloaded is asked
//! again; a line that the daemon refuses is counted and told, and does not hold up the others. What an export says of
//! itself at its end is checked here, and of a file before anything of it is handed in.

mod piece;

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

use self::piece::Pieces;
use super::archive::{Ending, Line, LineError, Lines};
use super::error::CliError;
use crate::cli::daemon::client::{Client, ClientError, Query, told};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::progress::Progress;

/// What is said of every import that created something.
const NOT_TAKEN_OVER: &str =
    "Created items begin without leases and incidents of before, with version 1 and no idempotency key.";
/// How many refusals are told.
const REFUSALS_TOLD: usize = 10;
/// How often a piece is offered to a daemon that is overloaded.
const TRIES: u32 = 20;
/// The longest wait between two tries, in seconds.
const WAIT_MAX: u64 = 30;

/// Create and close many items, from the lines that `warden export` writes
///
/// Importing a file again is fine: what is there already is left alone. Lines that say what their items have been through, as
/// exports do, take a token with the scope admin; leases, versions, incidents and idempotency keys do not go along. Whether it is compressed is seen, and what it says
/// of itself at its end is checked. What is known to be incomplete is handed in, and ends with exit code 65.
#[derive(Args)]
pub struct Import {
    /// The file with the lines, or - for stdin
    #[arg(long, value_name = "PATH", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

/// What became of all lines.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    /// Lines that were answered.
    lines: u64,
    created: u64,
    /// Those by how they stand.
    created_by_state: BTreeMap<String, u64>,
    /// Creates of items that were there.
    existed: u64,
    /// Those by how they stand.
    existed_by_state: BTreeMap<String, u64>,
    closed: u64,
    refused: u64,
    /// Whether the lines were all of an export; nothing if they come from none.
    complete: Option<bool>,
    /// The first refusals; at most [`REFUSALS_TOLD`].
    refusals: Vec<Refusal>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Refusal {
    line: u64,
    status: u16,
    reason: String,
}

/// What the daemon answers to one line.
type LineAnswer = warden_api::line::LineAnswer<'static>;

impl Import {
    /// Hands the lines in and prints what became of them.
    ///
    /// # Errors
    /// When the lines cannot be read, are not what an end says of them, or are known not to be all; the daemon cannot be
    /// asked, or refuses some. What was handed in until then stays.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        // What is damaged must not be handed in: its items would stand in the way of the right ones. Only of what can be
        // read once is the beginning handed in before the end is seen.
        if self.is_file() {
            self.check().await?;
        }
        let mut summary = Summary::default();
        let result = self.hand_all_in(&client, &mut summary).await;
        // Where nothing was done the error alone says so.
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
            CliError::Data(what) => CliError::Data(format!("{what}; nothing of it was handed in")),
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

    async fn hand_all_in(&self, client: &Client, summary: &mut Summary) -> Result<Ending, CliError> {
        let (mut pieces, progress) = (Pieces::of(self.lines()?), self.progress("importing"));
        loop {
            // Away from the thread that keeps the connection: standard input may take its time.
            let reading = tokio::task::spawn_blocking(move || {
                let piece = pieces.next_piece();
                (pieces, piece)
            });
            let piece;
            (pieces, piece) = reading.await.map_err(|error| CliError::Start(error.to_string()))?;
            let piece = piece.map_err(|error| self.unreadable(error))?;
            if piece.is_empty() {
                let ending = pieces.lines().ending();
                summary.complete = match ending {
                    Ending::Whole => Some(true),
                    Ending::Incomplete => Some(false),
                    Ending::Unknown => None,
                };
                return Ok(ending);
            }
            hand_in(client, piece, summary).await?;
            progress.reach(pieces.lines().position());
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
        let Summary { lines, refused, .. } = summary;
        let refused = if *refused > 0 { format!(", {refused} of which were refused") } else { String::new() };
        let name = self.name();
        CliError::Data(format!(
            "{name} is not a whole export: its end is missing; the {lines} lines that are there were handed in{refused}; \
             complete the file with `warden export --resume` and import it again"
        ))
    }
}

/// Offers the lines until each of them has an answer other than that the daemon is overloaded.
async fn hand_in(client: &Client, lines: Vec<Line>, summary: &mut Summary) -> Result<(), CliError> {
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
            Err(error) => match error.worth_trying_after() {
                Some(wait) if tries_left > 0 => wait.min(WAIT_MAX),
                _ => return Err(error.into()),
            },
        };
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
    Ok(())
}

/// Sends the lines in one request. Gives an answer for each, in order.
async fn post(client: &Client, lines: &[Line]) -> Result<VecDeque<LineAnswer>, ClientError> {
    let mut body = Vec::with_capacity(lines.iter().map(|line| line.text.len()).sum());
    lines.iter().for_each(|line| body.extend_from_slice(&line.text));
    let request = client.request(Method::POST, path::BATCH, &Query::new())?;
    let answer = client.send(request.header(CONTENT_TYPE, "application/x-ndjson").body(body)).await?;
    let short = answer.stranger(format!("it did not answer each of {} lines", lines.len()));
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
            LineAnswer::Done(done) => (done.state, format!("it is answered with {status}")),
            LineAnswer::Refused(refused) => (None, told(&refused.problem)),
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
                if self.refusals.len() < REFUSALS_TOLD {
                    self.refusals.push(Refusal { line, status, reason });
                }
            }
        }
    }

    fn print(&self, format: Format, console: &mut Console<'_>) -> Result<(), CliError> {
        match format {
            Format::Json => {
                let text = serde_json::to_string(self).map_err(std::io::Error::from)?;
                console.document(&text)?;
            }
            Format::Table => {
                for Refusal { line, reason, .. } in &self.refusals {
                    console.note(format_args!("line {line}: {reason}"));
                }
                if self.refused > self.refusals.len() as u64 {
                    console.note(format_args!("and {} more", self.refused - self.refusals.len() as u64));
                }
                let Self { closed, refused, .. } = self;
                let created = by_state(self.created, &self.created_by_state);
                let existed = by_state(self.existed, &self.existed_by_state);
                let text =
                    format!("created {created}, already there {existed}, closed {closed}, refused {refused}");
                writeln!(console.out, "{text}")?;
                if self.created > 0 {
                    writeln!(console.notes, "{NOT_TAKEN_OVER}")?;
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

/// A number, and how many of them do not stand as a new item does.
fn by_state(count: u64, states: &BTreeMap<String, u64>) -> String {
    let others = states.iter().filter(|(state, _)| *state != "open");
    let others: Vec<String> = others.map(|(state, count)| format!("{count} {state}")).collect();
    if others.is_empty() { count.to_string() } else { format!("{count} ({})", others.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_lines_is_counted_and_the_first_refusals_are_told() {
        let mut summary = Summary::default();
        let mut line = 0;
        let mut count = |answer: &str, times: u64| {
            for _ in 0..times {
                line += 1;
                summary.count(line, serde_json::from_str(answer).unwrap());
            }
        };
        count(r#"{"status":201,"workflow":"uploads","id":"a","version":1,"state":"open"}"#, 3);
        count(r#"{"status":201,"workflow":"uploads","id":"a","version":1,"state":"failed"}"#, 2);
        count(r#"{"status":201,"workflow":"uploads","id":"a","version":1,"state":"closed"}"#, 1);
        count(r#"{"status":200,"workflow":"uploads","id":"a","version":1}"#, 2);
        count(r#"{"status":204,"workflow":"uploads","id":"a"}"#, 1);
        count(
            r#"{"line":7,"type":"/problems/item-closed","title":"The item is closed","status":409,"detail":"since"}"#,
            12,
        );
        let Summary { lines, created, existed, closed, refused, complete, .. } = summary;
        assert_eq!((lines, created, existed, closed, refused, complete), (21, 6, 2, 1, 12, None));
        assert_eq!(by_state(created, &summary.created_by_state), "6 (1 closed, 2 failed)");
        assert_eq!(by_state(existed, &summary.existed_by_state), "2");
        let refusals = summary.refusals;
        assert_eq!(refusals.len(), REFUSALS_TOLD);
        assert_eq!(
            refusals[0],
            Refusal { line: 10, status: 409, reason: "The item is closed: since".to_owned() }
        );
    }

    #[test]
    fn an_answer_without_a_status_is_none() {
        assert!(serde_json::from_str::<LineAnswer>(r#"{"title":"x"}"#).is_err());
    }
}
