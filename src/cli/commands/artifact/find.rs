//! `warden artifact find`: lists artifacts.

use clap::Args;
use warden_api::{Artifact, path};

use crate::cli::commands::args::glob;
use crate::cli::commands::error::CliError;
use crate::cli::commands::list::Extent;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::console::Console;

/// List artifacts, the oldest registration first
///
/// Nothing is changed: `claim` finds and takes in one step.
#[derive(Args)]
pub struct Find {
    /// Workflows: * stands for any characters, ? for one; repeatable [default: all]
    #[arg(long = "workflow", value_name = "GLOB", value_parser = glob)]
    workflows: Vec<String>,
    /// Only at locations that match [default: all]
    #[arg(long, value_name = "GLOB")]
    location: Option<String>,
    /// Only names that match, such as '*.csv' [default: all]
    #[arg(long, value_name = "GLOB")]
    name: Option<String>,
    /// Only artifacts with this status, such as ready; repeatable [default: all]
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',')]
    statuses: Vec<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

impl Find {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let mut query: Vec<(&'static str, String)> = Vec::new();
        query.extend(self.workflows.into_iter().map(|glob| ("workflow", glob)));
        query.extend(self.location.map(|glob| ("location", glob)));
        query.extend(self.name.map(|glob| ("name", glob)));
        query.extend(self.statuses.into_iter().map(|status| ("status", status)));
        self.extent.print::<Artifact>(&self.connection, (path::ARTIFACTS, &query), console).await
    }
}
