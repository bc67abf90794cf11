//! `warden retry`: retries failed items.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use warden_api::item::Retried;
use warden_api::{Item, path};

use super::args::{Filter, item_id, workflow};
use super::error::CliError;
use crate::cli::daemon::client::{Client, ClientError, Query};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{ItemId, WorkflowName};

/// Attempts while the daemon is overloaded.
const TRIES: u32 = 20;
/// The longest wait between attempts, in seconds.
const WAIT_MAX: u64 = 30;

/// Retry failed items at their step, with a new count of attempts; waiting items are retried now
///
/// Select one item, or several by flags; without --state, failed items.
#[derive(Args)]
pub struct Retry {
    /// The workflow of the item
    #[arg(value_parser = workflow, requires = "id")]
    workflow: Option<WorkflowName>,
    /// The id of the item within its workflow
    #[arg(value_parser = item_id)]
    id: Option<ItemId>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

impl Retry {
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
                Err(CliError::Usage("give either an item or filter flags, not both".to_owned()))
            }
            (None, true) => Err(CliError::Usage(
                "select items: WORKFLOW ID, or flags such as --workflow; --workflow '*' selects all failed \
                ones"
                    .to_owned(),
            )),
            (None, false) => retry_all(&client, &query, self.connection.output, console).await,
        }
    }
}

/// Retries all selected items, batch by batch.
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
        match retry_batch(client, &query).await {
            Ok(batch) => {
                retried += batch.retried;
                cursor = batch.next_cursor;
                if cursor.is_none() {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    // Without any retried item the error suffices.
    if result.is_ok() || retried > 0 {
        match format {
            Format::Json => writeln!(console.out, "{{\"retried\":{retried}}}")?,
            Format::Table => {
                let plural = if retried == 1 { "" } else { "s" };
                writeln!(console.out, "retried {retried} item{plural}")?;
            }
        }
    }
    Ok(result?)
}

/// Retries while the daemon is overloaded, which is safe: items that were retried are no longer failed.
async fn retry_batch(client: &Client, query: &Query) -> Result<Retried, ClientError> {
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        let request = client.request(Method::POST, path::ITEMS_RETRY, query)?;
        let answered = async { client.send(request).await?.document::<Retried>().await };
        match answered.await {
            Ok((_, batch)) => return Ok(batch),
            Err(error) => match error.overload_delay() {
                Some(wait) if tries_left > 0 => {
                    tokio::time::sleep(Duration::from_secs(wait.min(WAIT_MAX))).await;
                }
                _ => return Err(error),
            },
        }
    }
}
