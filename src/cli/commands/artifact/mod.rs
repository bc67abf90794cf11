//! `warden artifact`: registers, finds, changes and claims artifacts.

mod claim;
mod find;
mod register;
mod status;

use std::sync::Arc;

use clap::{Args, Subcommand};
use warden_api::Artifact as Document;
use warden_api::artifact::{RunKey, RunReference};

use super::error::CliError;
use super::list::Row;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::model::{ItemId, Timestamp, WorkflowName};

/// Keep track of files that runs write or read
///
/// An artifact belongs to a workflow, and is known by its location and name. The files themselves are neither
/// read nor changed.
#[derive(Args)]
pub struct Artifact {
    #[command(subcommand)]
    command: ArtifactCommand,
}

#[derive(Subcommand)]
enum ArtifactCommand {
    Register(Box<register::Register>),
    Find(find::Find),
    Status(status::Status),
    Claim(claim::Claim),
}

impl Artifact {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.command {
            ArtifactCommand::Register(register) => register.run(console).await,
            ArtifactCommand::Find(find) => find.run(console).await,
            ArtifactCommand::Status(status) => status.run(console).await,
            ArtifactCommand::Claim(claim) => claim.run(console).await,
        }
    }
}

/// The run that acts.
#[derive(Args)]
struct ByRun {
    /// The item of the run that does this, which is noted; with its workflow as WORKFLOW/ID, if that is
    /// another than the artifact's
    #[arg(long, value_name = "ID", value_parser = run)]
    run: Option<RunReference>,
}

fn run(text: &str) -> Result<RunReference, String> {
    let id = |text: &str| ItemId::new(text).map(Arc::<str>::from).map_err(|error| error.to_string());
    match text.split_once('/') {
        None => Ok(RunReference::Id(id(text)?)),
        Some((workflow, item)) => {
            let workflow = WorkflowName::new(workflow).map_err(|error| error.to_string())?;
            Ok(RunReference::Key(RunKey { workflow: workflow.into(), id: id(item)? }))
        }
    }
}

impl Row for Document {
    const HEADER: &'static [&'static str] =
        &["ID", "STATUS", "SINCE", "WORKFLOW", "LOCATION", "NAME", "SIZE"];
    const NOUN: &'static str = "artifact";

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.status.to_string(),
            relative(self.status_at, now),
            self.workflow.to_string(),
            self.location.to_string(),
            self.name.to_string(),
            self.size.map(|size| size.to_string()).unwrap_or_default(),
        ]
    }
}
