//! `warden close`: closes an item.

use clap::Args;
use clap::builder::PossibleValuesParser;
use reqwest::Method;
use warden_api::word::CloseOutcome;

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

impl Close {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let query = vec![("outcome", self.outcome)];
        let request =
            client.item_request(Method::DELETE, (&self.item.workflow, &self.item.id), "", &query)?;
        let answer = client.send(request).await?;
        match self.connection.output {
            // The response has no body; this is the form of a batch response.
            Format::Json => writeln!(console.out, "{{\"status\":{}}}", answer.status())?,
            Format::Table => {
                console.line(format_args!("{} {} is closed", self.item.workflow, self.item.id))?
            }
        }
        Ok(())
    }
}
