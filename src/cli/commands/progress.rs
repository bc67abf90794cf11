//! `warden progress`: reads and changes progress documents of an item.
//!
//! In a command of `warden work` or `warden recover` the item is known by its lease, and a change goes with
//! the lease: it is refused once the lease is lost.

use std::env;
use std::io::{self, Read as _};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use warden_api::limit::DOCUMENT_MAX;
use warden_api::step::ProgressChange;
use warden_api::word::ProgressOperation;

use super::args::{item_id, step, workflow};
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::{StepName, WorkflowName};

const HELP: &str = "\
In a command of `warden work` or `warden recover` the item is known, and a change is refused once
the command has lost its lease:
  warden progress get --step
  warden progress assign --step '{\"rows\": 700}'

Elsewhere the item is named, and nothing but --if-version guards against lost updates:
  warden progress get --workflow etl run-7
  warden progress merge --workflow etl run-7 --step=load '{\"rows\": null}'";

/// Read or change the progress documents of an item
///
/// All steps of an item share one document, and each step has one of its own. A document is a JSON object.
#[derive(Args)]
#[command(after_help = HELP, subcommand_required = true)]
pub struct Progress {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print a document; {} if nothing was saved
    #[command(after_help = HELP)]
    Get(Get),
    /// Replace a document
    #[command(after_help = HELP)]
    Set(Change),
    /// Set members at the top level; null is kept as a value
    #[command(after_help = HELP)]
    Assign(Change),
    /// Merge members at all levels (RFC 7396); null removes one
    #[command(after_help = HELP)]
    Merge(Change),
}

/// Which document.
#[derive(Args)]
struct Document {
    /// The workflow of the item, if the item is named
    #[arg(long, value_name = "NAME", value_parser = workflow)]
    workflow: Option<WorkflowName>,
    /// The document of this step; without a name, of the one that the command runs for. By default the
    /// document that all steps share
    #[arg(long, value_name = "STEP", num_args = 0..=1, require_equals = true, value_parser = step)]
    step: Option<Option<StepName>>,
}

#[derive(Args)]
struct Get {
    /// The id of the item, with --workflow
    #[arg(value_name = "ID", requires = "workflow")]
    id: Option<String>,
    #[command(flatten)]
    document: Document,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args)]
struct Change {
    /// With --workflow the id of the item; and the JSON object, which is read from stdin if it is - or left
    /// out
    #[arg(value_name = "ID|JSON", num_args = 0..=2)]
    words: Vec<String>,
    #[command(flatten)]
    document: Document,
    /// Change it only if the item has this version, as `warden show --output json` tells it
    #[arg(long, value_name = "N", requires = "workflow")]
    if_version: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// The item, and how it is known.
enum Target {
    Named {
        workflow: String,
        id: String,
        step: Option<String>,
    },
    /// By the environment of a command.
    Leased {
        workflow: String,
        id: String,
        lease: String,
        step: Option<String>,
        is_current: bool,
    },
}

impl Document {
    fn target(self, id: Option<String>) -> Result<Target, CliError> {
        let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
        if let Some(workflow) = self.workflow {
            let Some(id) = id else { return usage("name the item: --workflow NAME ID") };
            let id = item_id(&id).map_err(|error| CliError::Usage(error.to_string()))?.to_string();
            let step = match self.step {
                Some(None) => return usage("name the step: --step=STEP"),
                Some(Some(step)) => Some(step.to_string()),
                None => None,
            };
            return Ok(Target::Named { workflow: workflow.to_string(), id, step });
        }
        let [lease, workflow, id, current] =
            ["WARDEN_LEASE", "WARDEN_WORKFLOW", "WARDEN_ITEM_ID", "WARDEN_STEP"]
                .map(|name| env::var(name).unwrap_or_default());
        if lease.is_empty() || workflow.is_empty() || id.is_empty() {
            return usage(
                "name the item: --workflow NAME ID; only in a command of `warden work` or `warden recover` \
                 is it known",
            );
        }
        let step = match self.step {
            Some(None) if current.is_empty() => return usage("the item is at no step"),
            Some(None) => Some(current.clone()),
            Some(Some(step)) => Some(step.to_string()),
            None => None,
        };
        let is_current = step.as_ref().is_none_or(|step| *step == current);
        Ok(Target::Leased { workflow, id, lease, step, is_current })
    }
}

impl Progress {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.action {
            Action::Get(get) => get.run(console).await,
            Action::Set(change) => change.run(ProgressOperation::Set, console).await,
            Action::Assign(change) => change.run(ProgressOperation::Assign, console).await,
            Action::Merge(change) => change.run(ProgressOperation::Merge, console).await,
        }
    }
}

impl Get {
    async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let (workflow, id, step) = match self.document.target(self.id)? {
            Target::Named { workflow, id, step } | Target::Leased { workflow, id, step, .. } => {
                (workflow, id, step)
            }
        };
        let document = client.item(&workflow, &id)?.progress(step.as_deref()).await?;
        Ok(console.json(&document)?)
    }
}

impl Change {
    async fn run(self, op: ProgressOperation, console: &mut Console<'_>) -> Result<(), CliError> {
        let mut words = self.words.into_iter();
        let id = self.document.workflow.is_some().then(|| words.next()).flatten();
        let target = self.document.target(id)?;
        let value = object(words.next())?;
        if words.next().is_some() {
            return Err(CliError::Usage(
                "give one JSON object; the id of an item needs --workflow".to_owned(),
            ));
        }
        match target {
            Target::Named { workflow, id, step } => {
                let client = self.connection.open()?;
                let item = client.item(&workflow, &id)?;
                let changed = item.change_progress(step.as_deref(), op, &value, self.if_version).await?;
                if self.connection.output == Format::Json {
                    console.json(&changed)?;
                }
            }
            Target::Leased { step: Some(step), is_current: false, .. } => {
                return Err(CliError::Usage(format!(
                    "the lease is for another step than {step}; name the item with --workflow NAME ID to \
                     change its document without the lease"
                )));
            }
            Target::Leased { lease, step, .. } => {
                let change = ProgressChange { op, value, of_step: step.is_some() };
                // The command should not fail because the daemon restarts.
                self.connection.open_patiently()?.save_progress(&lease, &change).await?;
            }
        }
        Ok(())
    }
}

/// A JSON object, from stdin if it is `-` or left out.
fn object(text: Option<String>) -> Result<Map<String, Value>, CliError> {
    let text = match text {
        Some(text) if text != "-" => text,
        _ => {
            let mut text = String::new();
            // One more byte shows that it is too large.
            io::stdin()
                .lock()
                .take(DOCUMENT_MAX + 1)
                .read_to_string(&mut text)
                .map_err(|error| CliError::File { verb: "read", path: "-".into(), error })?;
            text
        }
    };
    serde_json::from_str(&text).map_err(|error| {
        CliError::Usage(format!("progress is a JSON object, such as {{\"rows\": 7}}: {error}"))
    })
}
