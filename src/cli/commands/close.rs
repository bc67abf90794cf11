//! `warden close`: closes items.

use clap::Args;
use clap::builder::PossibleValuesParser;
use reqwest::Method;
use serde::Serialize;
use warden_api::item::Changed;
use warden_api::path;
use warden_api::word::{CloseOutcome, ItemState};
use warden_client::{Client, Query};

use super::error::CliError;
use super::selection::{Consent, Selected, Selection};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::model::{ItemId, WorkflowName};

/// Close items
///
/// Closing one again has no further effect. Select one item, or several by flags; without --state, all that
/// are not closed.
#[derive(Args)]
pub struct Close {
    /// How the items ended
    #[arg(long, default_value = "success",
        value_parser = PossibleValuesParser::new(CloseOutcome::WORDS))]
    outcome: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connection: Connection,
}

/// What is printed as JSON: the beginning of an item's document.
#[derive(Serialize)]
pub struct Closed<'a> {
    workflow: &'a str,
    id: &'a str,
    state: &'static str,
}

impl<'a> Closed<'a> {
    pub fn of(workflow: &'a WorkflowName, id: &'a ItemId) -> Self {
        Self { workflow, id, state: ItemState::Closed.as_str() }
    }
}

impl Close {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        match self.selection.selected("--workflow uploads --state overdue selects all overdue ones")? {
            Selected::One(workflow, id) => {
                let query = vec![("outcome", self.outcome)];
                let request = client.item_request(Method::DELETE, (&workflow, &id), "", &query)?;
                client.send(request).await?;
                match self.connection.output {
                    // The daemon answers with nothing. The outcome may be that of an earlier close.
                    Format::Json => console.json(&Closed::of(&workflow, &id))?,
                    Format::Table => console.line(format_args!("{workflow} {id} is closed"))?,
                }
                Ok(())
            }
            Selected::All(mut query) => {
                if !self.consent.is_given(&client, &query, "Close", console).await? {
                    return Ok(());
                }
                query.push(("outcome", self.outcome));
                let format = self.connection.output;
                close_all(&self.selection, &client, path::ITEMS_CLOSE, &query, ("closed", format), console)
                    .await
            }
        }
    }
}

/// Closes all items that match, and prints how many. `done` is the verb.
pub async fn close_all(
    selection: &Selection,
    client: &Client,
    path: &str,
    query: &Query,
    (done, format): (&str, Format),
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    let read = |changed: Changed| (changed.changed, changed.next_cursor);
    let (count, result) = selection.change_all(client, path, query, None::<&()>, read).await;
    print_count(count, result.is_ok(), done, "changed", format, console)?;
    Ok(result?)
}

/// Prints how many items were changed. Without any, an error suffices.
pub fn print_count(
    count: u64,
    is_done: bool,
    done: &str,
    field: &str,
    format: Format,
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    if is_done || count > 0 {
        match format {
            Format::Json => writeln!(console.out, "{{\"{field}\":{count}}}")?,
            Format::Table => writeln!(console.out, "{done} {}", counted(count, "item"))?,
        }
    }
    Ok(())
}
