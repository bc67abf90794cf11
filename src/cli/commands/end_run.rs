//! `warden close-run` and `warden fail-run`: end the open run of a workflow.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::item::ItemAnswer;
use warden_api::run::{CloseRunRequest, FailRunRequest, RunErrorRequest};
use warden_api::word::CloseOutcome;

use super::args::{instant, workflow};
use super::error::CliError;
use super::open::Opened;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{Timestamp, WorkflowName};

/// Close the open run of a workflow
///
/// Of several open runs it is the newest; `warden close WORKFLOW ID` closes a certain one.
#[derive(Args)]
pub struct CloseRun {
    #[command(flatten)]
    end: End,
    /// How it ended
    #[arg(long, default_value = "success", value_parser = PossibleValuesParser::new(CloseOutcome::WORDS))]
    outcome: String,
    #[command(flatten)]
    connection: Connection,
}

/// Report the open run of a workflow as failed
///
/// Of several open runs it is the newest. The run stays failed, with its payload and incident, until a later
/// run succeeds or a person acts.
#[derive(Args)]
pub struct FailRun {
    #[command(flatten)]
    end: End,
    /// Why it failed; at most 2,048 bytes
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// A name for this kind of error [default: run_failed]
    #[arg(long = "type", value_name = "NAME")]
    kind: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args)]
struct End {
    /// The workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// When it ended, if that is past, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    /// A count to set, such as read=10; repeatable
    #[arg(long = "count", value_name = "NAME=N", value_parser = count)]
    counts: Vec<(String, i64)>,
}

impl End {
    fn at(&self) -> Option<String> {
        self.at.map(|at| at.to_string())
    }

    fn counts(&self) -> Result<BTreeMap<Arc<str>, i64>, CliError> {
        let mut counts = BTreeMap::new();
        for (name, count) in &self.counts {
            if counts.insert(name.as_str().into(), *count).is_some() {
                return Err(CliError::Usage(format!("the count {name} is given twice")));
            }
        }
        Ok(counts)
    }
}

/// Parses a count, `name=number`.
fn count(text: &str) -> Result<(String, i64), String> {
    let (name, number) = text.split_once('=').ok_or("a count is written name=number, such as read=10")?;
    let number = number.parse().map_err(|_| "the count is not a whole number, as in read=10")?;
    Ok((name.to_owned(), number))
}

impl CloseRun {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let end = CloseRunRequest {
            outcome: self.outcome.parse().ok(),
            at: self.end.at(),
            counts: self.end.counts()?,
        };
        let answer = client.runs(&self.end.workflow)?.close_current(&end).await?;
        print(answer, "is closed", &self.connection, console)
    }
}

impl FailRun {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let error = RunErrorRequest { kind: self.kind, message: self.message, ..RunErrorRequest::default() };
        let end = FailRunRequest { error: Some(error), at: self.end.at(), counts: self.end.counts()? };
        let answer = client.runs(&self.end.workflow)?.fail_current(&end).await?;
        print(answer, "has failed", &self.connection, console)
    }
}

fn print(
    answer: ItemAnswer,
    has: &str,
    connection: &Connection,
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    match connection.output {
        Format::Json => console.json(&answer)?,
        Format::Table => console.line(format_args!("{} {has}", Opened::of(&answer).name()))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_name_and_a_whole_number() {
        assert_eq!(count("read=10"), Ok(("read".to_owned(), 10)));
        assert_eq!(count("delta=-3"), Ok(("delta".to_owned(), -3)));
        for text in ["read", "read=", "read=many", "read=1.5"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
