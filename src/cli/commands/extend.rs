//! `warden extend`: gives items a later deadline.

use clap::Args;
use reqwest::Method;
use warden_api::item::{Changed, ExtendRequest, ItemAnswer, PatchRequest};
use warden_api::path;
use warden_client::Query;

use super::args::deadline;
use super::close::print_count;
use super::error::CliError;
use super::selection::{Consent, Selected, Selection};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::dated;
use crate::cli::terminal::console::Console;

/// Give items a later deadline
///
/// Of several items those whose deadline is later than that are not changed. Select one item, or several by
/// flags; without --state, all that are not closed.
#[derive(Args)]
pub struct Extend {
    /// The new deadline: a duration from now, such as 2h, or an instant such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "DEADLINE", value_parser = deadline)]
    deadline: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connection: Connection,
}

impl Extend {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let format = self.connection.output;
        match self.selection.selected("--workflow uploads --state overdue selects all overdue ones")? {
            Selected::One(workflow, id) => {
                let request = client.item_request(Method::PATCH, (&workflow, &id), "", &Query::new())?;
                let patch = PatchRequest { deadline: Some(self.deadline), ..PatchRequest::default() };
                let (text, answer) =
                    client.send(request.json(&patch)).await?.document::<ItemAnswer>().await?;
                let deadline = match answer {
                    ItemAnswer::Item(item) => Some(item.deadline),
                    ItemAnswer::Receipt(receipt) => receipt.deadline,
                };
                match format {
                    Format::Json => console.document(&text)?,
                    Format::Table => {
                        let due = deadline.map(|deadline| dated(deadline, console.now)).unwrap_or_default();
                        console.line(format_args!("{workflow} {id} is due {due}"))?;
                    }
                }
                Ok(())
            }
            Selected::All(query) => {
                if !self.consent.is_given(&client, &query, "Extend the deadlines of", console).await? {
                    return Ok(());
                }
                let document = ExtendRequest { deadline: self.deadline };
                let read = |changed: Changed| (changed.changed, changed.next_cursor);
                let (count, result) = self
                    .selection
                    .change_all(&client, path::ITEMS_EXTEND, &query, Some(&document), read)
                    .await;
                print_count(count, result.is_ok(), "extended", "changed", format, console)?;
                Ok(result?)
            }
        }
    }
}
