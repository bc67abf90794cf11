//! `warden close`: closes an item.

use clap::Args;
use clap::builder::PossibleValuesParser;
use reqwest::Method;
use serde::Serialize;
use warden_api::word::{CloseOutcome, ItemState};

use super::args::ItemKey;
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;

/// Close an item
///
/// Closing it again has no further effect.
#[derive(Args)]
pub struct Close {
    #[command(flatten)]
    item: ItemKey,
    /// How the item ended
    #[arg(long, default_value = "success",
        value_parser = PossibleValuesParser::new(CloseOutcome::WORDS))]
    outcome: String,
    #[command(flatten)]
    connection: Connection,
}

/// What is printed as JSON: the beginning of an item's document.
#[derive(Serialize)]
struct Closed<'a> {
    workflow: &'a str,
    id: &'a str,
    state: &'static str,
}

impl Close {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let query = vec![("outcome", self.outcome)];
        let request =
            client.item_request(Method::DELETE, (&self.item.workflow, &self.item.id), "", &query)?;
        client.send(request).await?;
        match self.connection.output {
            // The daemon answers with nothing. The outcome may be that of an earlier close.
            Format::Json => {
                let ItemKey { workflow, id } = &self.item;
                let closed = Closed { workflow, id, state: ItemState::Closed.as_str() };
                console.document(&serde_json::to_string(&closed).map_err(std::io::Error::from)?)?;
            }
            Format::Table => {
                console.line(format_args!("{} {} is closed", self.item.workflow, self.item.id))?
            }
        }
        Ok(())
    }
}
