//! `warden resend`: sends a delivery again.

use clap::Args;
use reqwest::Method;
use warden_api::{Delivery, path};

use super::error::CliError;
use crate::cli::daemon::client::Query;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;

/// Send a delivery again that was delivered or given up
///
/// It goes out under the same id, so that its receiver knows it, and is tried for another day.
#[derive(Args)]
pub struct Resend {
    /// The delivery, such as dlv_…; `warden deliveries --status dead` lists those that were given up
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Resend {
    /// Has the delivery sent again.
    ///
    /// # Errors
    /// When there is none, it is still tried, or the daemon cannot be asked.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let path = path::fill(path::DELIVERY_RESEND, &[&self.id]);
        let request = client.request(Method::POST, &path, &Query::new())?;
        let (text, delivery) = client.send(request).await?.document::<Delivery>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => {
                console.line(format_args!("{} goes to {} again", delivery.id, delivery.receiver))?
            }
        }
        Ok(())
    }
}
