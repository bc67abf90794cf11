//! `warden replay pause`, `resume` and `cancel`.

use clap::Args;
use reqwest::Method;
use warden_api::{Replay, path};
use warden_client::Query;

use super::text::progress;
use crate::cli::commands::args::generated_id;
use crate::cli::commands::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;

#[derive(Args)]
pub struct Control {
    /// The id of the replay
    #[arg(value_parser = generated_id)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Control {
    /// Does it, and prints the replay.
    pub async fn run(self, path: &str, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let path = path::fill(path, &[&self.id]);
        let request = client.request(Method::POST, &path, &Query::new())?;
        let (text, replay) = client.send(request).await?.document::<Replay>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => {
                let said = format!("{} is {}: {}", replay.id, replay.status, progress(&replay, console.now));
                console.line(&said)?;
            }
        }
        Ok(())
    }
}
