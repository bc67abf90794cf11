//! `warden reload`: has the daemon read its configuration anew.

use clap::Args;
use reqwest::Method;
use warden_api::health::Reloaded;
use warden_api::path;
use warden_client::Query;

use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;

/// Have the daemon read its configuration anew
///
/// As a whole or not at all: if anything is wrong, nothing changes, and all problems are printed as by
/// `warden check`. SIGHUP does the same; its outcome is in the daemon's log.
#[derive(Args)]
pub struct Reload {
    #[command(flatten)]
    connection: Connection,
}

impl Reload {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request = client.request(Method::POST, path::RELOAD, &Query::new())?;
        let (text, reloaded) = client.send(request).await?.document::<Reloaded>().await?;
        match self.connection.output {
            Format::Json => Ok(console.document(&text)?),
            Format::Table => {
                writeln!(console.out, "reloaded")?;
                if !reloaded.needs_restart.is_empty() {
                    writeln!(console.out, "needs a restart: {}", reloaded.needs_restart.join(", "))?;
                }
                for warning in &reloaded.warnings {
                    let message = warning.message.as_deref().unwrap_or_default();
                    writeln!(console.err, "warning: {message} ({})", warning.code)?;
                }
                Ok(())
            }
        }
    }
}
