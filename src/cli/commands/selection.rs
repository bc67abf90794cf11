//! The items that a command changes: one that is named, or all that match flags.

use std::io::{self, IsTerminal as _, stderr, stdin};
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use warden_api::word::ItemState;
use warden_client::{Client, Error as ClientError, Query};

use super::args::{Filter, item_id, workflow};
use super::error::CliError;
use super::preview;
use crate::cli::terminal::console::{Console, is_yes};
use crate::model::{ItemId, WorkflowName};
use crate::outbound::Rate;

/// Attempts while the daemon is overloaded.
const TRIES: u32 = 20;
/// The longest wait between attempts, in seconds.
const WAIT_MAX: u64 = 30;
/// The most items of a request.
const REQUEST_MAX: f64 = 1000.0;

#[derive(Args)]
pub struct Selection {
    /// The workflow of the item
    #[arg(value_parser = workflow, requires = "id")]
    workflow: Option<WorkflowName>,
    /// The id of the item within its workflow
    #[arg(value_parser = item_id)]
    id: Option<ItemId>,
    /// The most items to change in a period, such as 50/s or 100/m
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    #[command(flatten)]
    filter: Filter,
}

/// Whether to go on with all items that match.
#[derive(Args)]
pub struct Consent {
    /// Show which items match, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before changing all items that match
    #[arg(long)]
    yes: bool,
}

pub enum Selected {
    One(WorkflowName, ItemId),
    All(Query),
}

impl Selection {
    /// Fails without any item, and for an item together with flags. `example` is a selection by flags.
    pub fn selected(&self, example: &str) -> Result<Selected, CliError> {
        let query = self.filter.query()?;
        match (self.workflow.clone().zip(self.id.clone()), query.is_empty()) {
            (Some((workflow, id)), true) => Ok(Selected::One(workflow, id)),
            (None, false) => Ok(Selected::All(query)),
            (Some(_), false) => {
                Err(CliError::Usage("give either an item or filter flags, not both".to_owned()))
            }
            (None, true) => Err(CliError::Usage(format!(
                "select items: WORKFLOW ID, or flags such as --workflow; {example}"
            ))),
        }
    }

    /// Sends the request for all items that match, a batch at a time, and adds up what each changed. The
    /// count is that of the batches before the one that failed.
    pub async fn change_all<T: DeserializeOwned>(
        &self,
        client: &Client,
        path: &str,
        query: &Query,
        document: Option<&impl Serialize>,
        read: impl Fn(T) -> (u64, Option<String>),
    ) -> (u64, Result<(), ClientError>) {
        let mut changed = 0;
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.clone();
            query.extend(self.rate.map(|rate| ("limit", batch(rate).to_string())));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            match send(client, path, &query, document).await.map(&read) {
                Ok((count, next)) => {
                    changed += count;
                    cursor = next;
                    if cursor.is_none() {
                        return (changed, Ok(()));
                    }
                    if let Some(rate) = self.rate {
                        tokio::time::sleep(wait(rate, count)).await;
                    }
                }
                Err(error) => return (changed, Err(error)),
            }
        }
    }
}

/// The items of one request: those of a second, at least one.
fn batch(rate: Rate) -> u64 {
    let in_a_second = f64::from(rate.count) / rate.per.as_secs_f64();
    in_a_second.clamp(1.0, REQUEST_MAX) as u64
}

/// How long this many changes take at the rate.
fn wait(rate: Rate, changed: u64) -> Duration {
    rate.per.mul_f64(changed as f64 / f64::from(rate.count))
}

/// Sends a request, again while the daemon is overloaded: what was changed is not changed twice.
async fn send<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &Query,
    document: Option<&impl Serialize>,
) -> Result<T, ClientError> {
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        let request = client.request(Method::POST, path, query)?;
        let request = match document {
            Some(document) => request.json(document),
            None => request,
        };
        let answered = async { client.send(request).await?.document::<T>().await };
        match answered.await {
            Ok((_, answer)) => return Ok(answer),
            Err(error) => match error.overload_delay() {
                Some(wait) if tries_left > 0 => {
                    tokio::time::sleep(Duration::from_secs(wait.min(WAIT_MAX))).await;
                }
                _ => return Err(error),
            },
        }
    }
}

impl Consent {
    /// Whether to change the items. Shows them for a dry run; asks on a terminal, and elsewhere requires
    /// `--yes`. `verb` is what would be done.
    pub async fn is_given(
        &self,
        client: &Client,
        query: &Query,
        verb: &str,
        console: &mut Console<'_>,
    ) -> Result<bool, CliError> {
        if self.yes && !self.dry_run {
            return Ok(true);
        }
        let is_asked = stdin().is_terminal() && stderr().is_terminal();
        if !self.dry_run && !is_asked {
            let hint = "this changes all items that match; look with --dry-run, and confirm with --yes";
            return Err(CliError::Usage(hint.to_owned()));
        }
        let mut query = query.clone();
        // The daemon changes no closed items.
        if !query.iter().any(|(name, _)| *name == "state") {
            let states = ItemState::WORDS.iter().filter(|state| **state != ItemState::Closed.as_str());
            query.extend(states.map(|state| ("state", (*state).to_owned())));
        }
        let (_, summary) = preview::ask(client, &query).await?;
        let text = preview::render(&summary, console.now);
        if self.dry_run {
            writeln!(console.out, "{text}")?;
            return Ok(false);
        }
        // Not escaped line by line: the table has several.
        let _ = writeln!(console.err, "{text}");
        console.message(format_args!("{verb} all of them? [y/N]"));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if is_yes(&answer) { Ok(true) } else { Err(CliError::Unconfirmed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_by_small_requests_and_waits() {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        for (text, items) in [("50/s", 50), ("5000/s", 1000), ("30/m", 1), ("600/m", 10), ("1/h", 1)] {
            assert_eq!(batch(rate(text)), items, "{text}");
        }
        assert_eq!(wait(rate("50/s"), 50), Duration::from_secs(1));
        assert_eq!(wait(rate("30/m"), 1), Duration::from_secs(2));
        assert_eq!(wait(rate("30/m"), 0), Duration::ZERO);
    }
}
