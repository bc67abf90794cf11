//! `warden retry`: retries failed items.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use warden_api::item::Retried;
use warden_api::step::RetryRequest;
use warden_api::word::ItemState;
use warden_api::{Item, WallTime, path};
use warden_client::{Client, Error as ClientError, Query};

use super::args::{duration, instant, step};
use super::close::print_count;
use super::error::CliError;
use super::selection::{Selected, Selection};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::dated;
use crate::cli::terminal::console::Console;
use crate::model::{ItemId, StepName, Timestamp, WorkflowName};

/// Put failed items back at their step
///
/// Their attempts are counted anew. Items that wait for their next attempt, or are interrupted, are retried
/// now. Select one item, or several by flags; without --state, failed items.
#[derive(Args)]
pub struct Retry {
    /// Go on from this step instead of the one that the item is at
    #[arg(long, value_name = "STEP", value_parser = step)]
    from: Option<StepName>,
    /// Keep the items from being claimed for so long, such as 30m
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "at")]
    after: Option<Duration>,
    /// Keep the items from being claimed before this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connection: Connection,
}

impl Retry {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let format = self.connection.output;
        let document = RetryRequest {
            from: self.from.as_ref().map(ToString::to_string),
            after: self.after.map(|after| humantime::format_duration(after).to_string()),
            at: self.at.map(|at| WallTime::read(at).to_string()),
        };
        match self.selection.selected("--workflow '*' selects all failed ones")? {
            Selected::One(workflow, id) => {
                let before = match format {
                    Format::Json => None,
                    Format::Table => previous(&client, &workflow, &id).await?,
                };
                let request = client.item_request(Method::POST, (&workflow, &id), "/retry", &Query::new())?;
                let (text, item) = client.send(request.json(&document)).await?.document::<Item>().await?;
                match format {
                    Format::Json => console.document(&text)?,
                    Format::Table => {
                        let result = describe(before.as_ref(), &item, console.now);
                        console.line(format_args!("{workflow} {id} {result}"))?;
                    }
                }
                Ok(())
            }
            Selected::All(query) => {
                let read = |retried: Retried| (retried.retried, retried.next_cursor);
                let (count, result) = self
                    .selection
                    .change_all(&client, path::ITEMS_RETRY, &query, Some(&document), read)
                    .await;
                print_count(count, result.is_ok(), "retried", "retried", format, console)?;
                Ok(result?)
            }
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
fn describe(before: Option<&Item>, item: &Item, now: Timestamp) -> String {
    let state = &item.state;
    let when = match item.retry_at {
        Some(at) => format!(", and can be claimed {}", dated(at, now)),
        None => String::new(),
    };
    let moved = |before: &Item| (before.step != item.step).then(|| item.step.as_deref().unwrap_or_default());
    match before {
        None => format!("is {state}{when}"),
        Some(before) if before.state == ItemState::Failed => format!("had failed and is {state} again{when}"),
        Some(before) if before.state == ItemState::Interrupted => {
            format!("was interrupted and is {state} again{when}")
        }
        Some(before) if let Some(step) = moved(before) => format!("goes on from the step {step}{when}"),
        Some(before) if before.retry_at.is_some() && item.retry_at.is_none() => {
            "waited for its next attempt and is retried now".to_owned()
        }
        Some(_) if item.retry_at.is_some() => format!("is {state}{when}"),
        Some(_) => format!("has not failed: it is {state} as before"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::{item, now};

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
            assert_eq!(describe(before.map(item).as_ref(), &open, now()), text);
        }
    }
}
