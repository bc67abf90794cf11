//! `warden retry`: sends failed items back to their steps.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use warden_api::item::Retried;
use warden_api::{Item, path};

use super::args::Filter;
use super::args::{item_id, workflow};
use super::error::CliError;
use crate::cli::daemon::client::{Client, ClientError, Query};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{ItemId, WorkflowName};

/// How often a daemon that is overloaded is asked for the same.
const TRIES: u32 = 20;
/// The longest wait between two tries, in seconds.
const WAIT_MAX: u64 = 30;

/// Send failed items back to their steps, as if they had not been tried; one that waits for another try waits no longer
///
/// Either one item, or all that are as the flags say; without --state those that have failed.
#[derive(Args)]
pub struct Retry {
    /// The workflow of the item
    #[arg(value_parser = workflow, requires = "id")]
    workflow: Option<WorkflowName>,
    /// Its id within the workflow
    #[arg(value_parser = item_id)]
    id: Option<ItemId>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

impl Retry {
    /// Sends them back, and prints how many.
    ///
    /// # Errors
    /// When it is not said which, there is no such item, or the daemon cannot be asked or refuses. What was sent back
    /// until then stays so.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let query = self.filter.query();
        let client = self.connection.open()?;
        match (self.workflow.zip(self.id), query.is_empty()) {
            (Some((workflow, id)), true) => {
                let request = client.item_request(Method::POST, (&workflow, &id), "/retry", &Query::new())?;
                let (text, item) = client.send(request).await?.document::<Item>().await?;
                match self.connection.output {
                    Format::Json => console.document(&text)?,
                    Format::Table => console.line(format_args!("{workflow} {id} is {} again", item.state))?,
                }
                Ok(())
            }
            (Some(_), false) => {
                Err(CliError::Usage("give either an item or flags that choose some, not both".to_owned()))
            }
            (None, true) => Err(CliError::Usage(
                "say which items: WORKFLOW ID, or flags such as --workflow; --workflow '*' is all that have failed"
                    .to_owned(),
            )),
            (None, false) => retry_all(&client, &query, self.connection.output, console).await,
        }
    }
}

/// Sends back all that are like this, bite by bite.
async fn retry_all(
    client: &Client,
    query: &Query,
    format: Format,
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    let mut retried = 0;
    let mut cursor = None;
    let result = loop {
        let mut query = query.clone();
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        match take_bite(client, &query).await {
            Ok(bite) => {
                retried += bite.retried;
                cursor = bite.next_cursor;
                if cursor.is_none() {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    // Where nothing was done the error alone says so.
    if result.is_ok() || retried > 0 {
        match format {
            Format::Json => writeln!(console.out, "{{\"retried\":{retried}}}")?,
            Format::Table => {
                let plural = if retried == 1 { "" } else { "s" };
                writeln!(console.out, "sent {retried} item{plural} back")?;
            }
        }
    }
    Ok(result?)
}

/// Asks until the daemon has an answer other than that it is overloaded. Asking again is harmless: what was sent back
/// has not failed any more.
async fn take_bite(client: &Client, query: &Query) -> Result<Retried, ClientError> {
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        let request = client.request(Method::POST, path::ITEMS_RETRY, query)?;
        let answered = async { client.send(request).await?.document::<Retried>().await };
        match answered.await {
            Ok((_, bite)) => return Ok(bite),
            Err(error) => match error.worth_trying_after() {
                Some(wait) if tries_left > 0 => {
                    tokio::time::sleep(Duration::from_secs(wait.min(WAIT_MAX))).await;
                }
                _ => return Err(error),
            },
        }
    }
}
