//! `warden artifact claim`: finds artifacts and takes them in one step.

use clap::Args;
use reqwest::Method;
use warden_api::artifact::{ArtifactClaimRequest, Artifacts};
use warden_api::{Artifact, path};
use warden_client::Query;

use super::ByRun;
use crate::cli::commands::args::{at_least_one, glob};
use crate::cli::commands::error::CliError;
use crate::cli::commands::list::Row as _;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::table;

/// Find artifacts and take them in one step, the oldest first
///
/// Two claimants never get the same one. Those that would be loading before what they depend on are passed
/// over.
#[derive(Args)]
pub struct Claim {
    /// Workflows: * stands for any characters, ? for one [default: all]
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    workflow: Option<String>,
    /// Only at locations that match [default: all]
    #[arg(long, value_name = "GLOB")]
    location: Option<String>,
    /// Only names that match, such as '*.csv' [default: all]
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// The status that they have
    #[arg(long, value_name = "STATUS", default_value = "ready")]
    status: String,
    /// The status that they get
    #[arg(long, value_name = "STATUS", default_value = "loading")]
    to: String,
    /// Claim at most this many
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    max: u64,
    #[command(flatten)]
    by: ByRun,
    #[command(flatten)]
    connection: Connection,
}

impl Claim {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let document = ArtifactClaimRequest {
            workflow: self.workflow.map(Into::into),
            location: self.location.map(Into::into),
            name: self.name.map(Into::into),
            status: Some(self.status.into()),
            to: Some(self.to.into()),
            max: Some(usize::try_from(self.max).unwrap_or(usize::MAX)),
            run: self.by.run,
        };
        let request = client.request(Method::POST, path::ARTIFACTS_CLAIM, &Query::new())?;
        let (text, claimed) = client.send(request.json(&document)).await?.document::<Artifacts>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table if claimed.data.is_empty() => console.message("There is nothing to claim."),
            Format::Table => {
                let cells = claimed.data.iter().map(|artifact| artifact.cells(console.now));
                writeln!(console.out, "{}", table(Artifact::HEADER, cells))?;
            }
        }
        Ok(())
    }
}
