//! `warden close`: closes an item.

use clap::Args;
use clap::builder::PossibleValuesParser;
use reqwest::Method;
use warden_api::word::CloseOutcome;

use super::error::CliError;
use super::item;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{ItemId, WorkflowName};

/// Close an item: it is done, or given up
///
/// Closing it again is fine.
#[derive(Args)]
pub struct Close {
    /// The workflow it belongs to
    #[arg(value_parser = item::workflow)]
    workflow: WorkflowName,
    /// Its id within the workflow
    #[arg(value_parser = item::id)]
    id: ItemId,
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
        let request = client.item_request(Method::DELETE, (&self.workflow, &self.id), "", &query)?;
        let answer = client.send(request).await?;
        match self.connection.output {
            // The daemon answers nothing more, and a batch would say it like this.
            Format::Json => writeln!(console.out, "{{\"status\":{}}}", answer.status())?,
            Format::Table => console.line(format_args!("{} {} is closed", self.workflow, self.id))?,
        }
        Ok(())
    }
}
