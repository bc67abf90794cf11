//! `warden artifact status`: changes the status of artifacts.

use clap::Args;
use reqwest::Method;
use warden_api::artifact::{Artifacts, StatusRequest};
use warden_api::path;
use warden_client::Query;

use super::ByRun;
use crate::cli::commands::args::generated_id;
use crate::cli::commands::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;

/// Give artifacts another status: all of them or none
///
/// An artifact is loading only once what it depends on is loaded, or is named along with it.
#[derive(Args)]
pub struct Status {
    /// The ids of the artifacts
    #[arg(value_name = "ID", required = true, value_parser = generated_id)]
    ids: Vec<String>,
    /// The status that they get, such as loaded
    #[arg(long, value_name = "STATUS")]
    to: String,
    #[command(flatten)]
    by: ByRun,
    #[command(flatten)]
    connection: Connection,
}

impl Status {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let document = StatusRequest {
            ids: self.ids.into_iter().map(Into::into).collect(),
            status: Some(self.to.into()),
            changes: Vec::new(),
            run: self.by.run,
        };
        let request = client.request(Method::POST, path::ARTIFACTS_STATUS, &Query::new())?;
        let (text, changed) = client.send(request.json(&document)).await?.document::<Artifacts>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => {
                for artifact in changed.data {
                    console.line(format_args!("{} is {}", artifact.id, artifact.status))?;
                }
            }
        }
        Ok(())
    }
}
