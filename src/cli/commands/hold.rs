//! `warden hold` and `warden release`: hold new runs of a workflow, and let them go on.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::run::{HoldWorkflowRequest, ReleaseWorkflowRequest};
use warden_api::word::ReleaseAs;

use super::args::{Person, workflow};
use super::error::CliError;
use super::status;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::console::Console;
use crate::model::WorkflowName;

/// Put a workflow on hold
///
/// Its next run is created but held, and further ones are refused. Open runs go on.
#[derive(Args)]
pub struct Hold {
    /// The workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    connection: Connection,
}

/// End the hold of a workflow
///
/// The count of runs that failed in a row begins anew.
#[derive(Args)]
pub struct Release {
    /// The workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// What becomes of the held run: it opens as soon as its requirements are met and `single` admits it,
    /// or is closed in success without having run
    #[arg(long = "as", value_name = "STATE", default_value = ReleaseAs::Open.as_str(),
        value_parser = PossibleValuesParser::new(ReleaseAs::WORDS))]
    release_as: String,
    #[command(flatten)]
    connection: Connection,
}

impl Hold {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let hold = HoldWorkflowRequest {
            by: self.person.name().map(Into::into),
            comment: self.comment.map(Into::into),
        };
        let status = client.runs(&self.workflow)?.hold(&hold).await?;
        status::print(&status, self.connection.output, console)
    }
}

impl Release {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let release = ReleaseWorkflowRequest { release_as: self.release_as.parse().ok() };
        let status = client.runs(&self.workflow)?.release(&release).await?;
        status::print(&status, self.connection.output, console)
    }
}
