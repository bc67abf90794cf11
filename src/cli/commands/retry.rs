//! `warden retry`: retries failed items.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use warden_api::item::Retried;
use warden_api::word::ItemState;
use warden_api::{Item, path};
use warden_client::{Client, Error as ClientError, Query};

use super::args::{Filter, item_id, workflow};
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::model::{ItemId, WorkflowName};

/// Attempts while the daemon is overloaded.
const TRIES: u32 = 20;
/// The longest wait between attempts, in seconds.
const WAIT_MAX: u64 = 30;

/// Put failed items back at their step
///
/// Their attempts are counted anew. Items that wait for their next attempt are retried now. Select one item,
/// or several by flags; without --state, failed items.
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
        let query = self.filter.query()?;
        let client = self.connection.open()?;
        match (self.workflow.zip(self.id), query.is_empty()) {
            (Some((workflow, id)), true) => {
                let format = self.connection.output;
                let before = match format {
                    Format::Json => None,
                    Format::Table => previous(&client, &workflow, &id).await?,
                };
                let request = client.item_request(Method::POST, (&workflow, &id), "/retry", &Query::new())?;
                let (text, item) = client.send(request).await?.document::<Item>().await?;
                match format {
                    Format::Json => console.document(&text)?,
                    Format::Table => {
                        let result = describe(before.as_ref(), &item);
                        console.line(format_args!("{workflow} {id} {result}"))?;
                    }
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

/// The item before it is retried; `None` if the token may not read it. A failure that the retry would meet as
/// well is left to it.
async fn previous(
    client: &Client,
    workflow: &WorkflowName,
    id: &ItemId,
) -> Result<Option<Item>, ClientError> {
    let request = client.item_request(Method::GET, (workflow, id), "", &Query::new())?;
    match client.send(request).await {
        Ok(answer) => Ok(Some(answer.document::<Item>().await?.1)),
        Err(ClientError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the retry did, as far as the item before it is known.
fn describe(before: Option<&Item>, item: &Item) -> String {
    let state = &item.state;
    match before {
        None => format!("is {state}"),
        Some(before) if before.state == ItemState::Failed => format!("had failed and is {state} again"),
        Some(before) if before.state == ItemState::Interrupted => {
            format!("was interrupted and is {state} again")
        }
        Some(before) if before.retry_at.is_some() => {
            "waited for its next attempt and is retried now".to_owned()
        }
        Some(_) => format!("has not failed: it is {state} as before"),
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
                writeln!(console.out, "retried {}", counted(retried, "item"))?;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::item;

    #[test]
    fn a_retry_says_what_it_changed() {
        let open = item(json!({"state": "open", "retry_at": null}));
        for (before, text) in [
            (None, "is open"),
            (Some(json!({"state": "failed"})), "had failed and is open again"),
            (
                Some(json!({"state": "open", "retry_at": "2026-01-31T13:00:00.000Z"})),
                "waited for its next attempt and is retried now",
            ),
            (Some(json!({"state": "open", "retry_at": null})), "has not failed: it is open as before"),
        ] {
            assert_eq!(describe(before.map(item).as_ref(), &open), text);
        }
    }
}
