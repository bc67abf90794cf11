//! `warden silence end`: ends a silence before its time.

use clap::Args;
use reqwest::Method;
use warden_api::path;

use crate::cli::commands::error::CliError;
use crate::cli::commands::id;
use crate::cli::daemon::client::Query;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;

/// End a silence now. What is still open and was held back is told at once
///
/// Ending it again is fine.
#[derive(Args)]
pub struct End {
    /// Its id
    #[arg(value_parser = id::read)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl End {
    /// Ends it.
    ///
    /// # Errors
    /// When there is none, or the daemon cannot be asked.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request =
            client.request(Method::DELETE, &path::fill(path::SILENCE, &[&self.id]), &Query::new())?;
        let answer = client.send(request).await?;
        match self.connection.output {
            // The daemon answers nothing more.
            Format::Json => writeln!(console.out, "{{\"status\":{}}}", answer.status())?,
            Format::Table => console.line(format_args!("{} is over", self.id))?,
        }
        Ok(())
    }
}
