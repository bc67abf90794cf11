//! `warden cancel`: ends items for good.

use clap::Args;
use reqwest::Method;
use warden_api::path;
use warden_client::Query;

use super::close::{Closed, close_all};
use super::error::CliError;
use super::selection::{Consent, Selected, Selection};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;

/// Cancel items for good
///
/// They are closed as discarded, and nobody is alerted. Who works on one learns it at the next heartbeat, and
/// cannot complete the step. Select one item, or several by flags; without --state, all that are not closed.
#[derive(Args)]
pub struct Cancel {
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connection: Connection,
}

impl Cancel {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        match self.selection.selected("--workflow uploads --state failed selects all failed ones")? {
            Selected::One(workflow, id) => {
                let item = (&workflow, &id);
                let request = client.item_request(Method::POST, item, "/cancel", &Query::new())?;
                client.send(request).await?;
                match self.connection.output {
                    // The daemon answers with nothing. The outcome may be that of an earlier close.
                    Format::Json => console.json(&Closed::of(&workflow, &id))?,
                    Format::Table => console.line(format_args!("{workflow} {id} is cancelled"))?,
                }
                Ok(())
            }
            Selected::All(query) => {
                if !self.consent.is_given(&client, &query, "Cancel", console).await? {
                    return Ok(());
                }
                let format = self.connection.output;
                close_all(
                    &self.selection,
                    &client,
                    path::ITEMS_CANCEL,
                    &query,
                    ("cancelled", format),
                    console,
                )
                .await
            }
        }
    }
}
