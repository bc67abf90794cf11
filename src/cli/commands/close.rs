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

/// Close an item: it is done, or given up
///
/// Closing it again is fine.
#[derive(Args)]
pub struct Close {
    #[command(flatten)]
    item: ItemKey,
    /// How it ended: the work was done, was given up, or ended without success
    #[arg(long, default_value = "success",
        value_parser = PossibleValuesParser::new(CloseOutcome::WORDS))]
    outcome: String,
    #[command(flatten)]
    connection: Connection,
}

impl Close {
    /// Closes the item.
    ///
    /// # Errors
    /// When there is none, or the daemon cannot be asked.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let query = vec![("outcome", self.outcome)];
        let request =
            client.item_request(Method::DELETE, (&self.item.workflow, &self.item.id), "", &query)?;
        let answer = client.send(request).await?;
        match self.connection.output {
            // The daemon answers nothing more, and a batch would say it like this.
            Format::Json => writeln!(console.out, "{{\"status\":{}}}", answer.status())?,
            Format::Table => {
                console.line(format_args!("{} {} is closed", self.item.workflow, self.item.id))?
            }
        }
        Ok(())
    }
}
