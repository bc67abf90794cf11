//! `warden workflow`: lists, shows, defines and deletes workflows.

use std::io::{self, ErrorKind, Read as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use warden_api::limit::DOCUMENT_MAX;
use warden_api::{Workflow as Document, path};
use warden_client::{Client, Query};

use super::args::workflow;
use super::error::CliError;
use super::list::{Extent, Row};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::table;
use crate::config::{definition_from, definition_text};
use crate::model::{Timestamp, WorkflowName};

/// List, show, define and delete workflows
///
/// A workflow is defined in a file of the daemon's configuration, or here, or created by its first item.
#[derive(Args)]
pub struct Workflow {
    #[command(subcommand)]
    command: WorkflowCommand,
}

#[derive(Subcommand)]
enum WorkflowCommand {
    List(List),
    /// Show the policy of a workflow
    Show(Named),
    Put(Put),
    /// Delete a workflow that is not in use, with its definition
    Delete(Named),
}

/// List workflows by name
#[derive(Args)]
struct List {
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args)]
struct Named {
    /// The name of the workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    #[command(flatten)]
    connection: Connection,
}

/// Define a workflow, or replace its definition, from a file
///
/// The file has the settings of `[workflows.NAME]` of the configuration, without the heading. What it leaves
/// out is inherited. The daemon checks it, stores it, and puts it in force at once.
#[derive(Args)]
struct Put {
    /// The name of the workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// A file in TOML (*.toml), JSON (*.json) or YAML; - reads YAML or JSON of up to 64 KiB from stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

impl Workflow {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.command {
            WorkflowCommand::List(list) => {
                let place = (path::WORKFLOWS, &Query::new());
                list.extent.print::<Document>(&list.connection, place, console).await
            }
            WorkflowCommand::Show(named) => named.show(console).await,
            WorkflowCommand::Put(put) => put.run(console).await,
            WorkflowCommand::Delete(named) => named.delete(console).await,
        }
    }
}

impl Named {
    async fn show(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request = client.request(Method::GET, &place(&self.workflow), &Query::new())?;
        let (text, document) = client.send(request).await?.document::<Document>().await?;
        print(&self.connection, &text, &document, console)
    }

    async fn delete(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client: Client = self.connection.open()?;
        let request = client.request(Method::DELETE, &place(&self.workflow), &Query::new())?;
        client.send(request).await?;
        match self.connection.output {
            // The daemon answers with nothing.
            Format::Json => console.json(&json!({"name": self.workflow, "deleted": true}))?,
            Format::Table => console.line(format_args!("{} is deleted", self.workflow))?,
        }
        Ok(())
    }
}

impl Put {
    async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let definition = if self.file.as_os_str() == "-" {
            definition_text("stdin", &stdin()?)?
        } else {
            definition_from(&self.file)?
        };
        let client = self.connection.open()?;
        let request = client.request(Method::PUT, &place(&self.workflow), &Query::new())?;
        let request = request.json(&definition);
        let (text, document) = client.send(request).await?.document::<Document>().await?;
        print(&self.connection, &text, &document, console)
    }
}

/// The definition on stdin, which may be endless.
fn stdin() -> Result<String, CliError> {
    let unreadable = |error| CliError::File { verb: "read", path: "-".into(), error };
    let mut bytes = Vec::new();
    // One more byte shows that it is too large: a beginning of YAML can be YAML too.
    io::stdin().lock().take(DOCUMENT_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > DOCUMENT_MAX {
        return Err(CliError::Data(format!("the definition is larger than {DOCUMENT_MAX} bytes, the limit")));
    }
    String::from_utf8(bytes).map_err(|error| unreadable(io::Error::new(ErrorKind::InvalidData, error)))
}

fn place(workflow: &str) -> String {
    path::fill(path::WORKFLOW, &[workflow])
}

fn print(
    connection: &Connection,
    text: &str,
    document: &Document,
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    match connection.output {
        Format::Json => console.document(text)?,
        // The cells are escaped.
        Format::Table => writeln!(console.out, "{}", described(document))?,
    }
    Ok(())
}

/// A line for each setting that has a value.
fn described(document: &Document) -> String {
    let Ok(Value::Object(settings)) = serde_json::to_value(document) else { return String::new() };
    let shown = |value: &Value| match value {
        Value::Null => None,
        Value::Array(elements) if elements.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let rows = settings.iter().filter_map(|(name, value)| Some(vec![name.clone(), shown(value)?]));
    table(&[], rows)
}

impl Row for Document {
    const HEADER: &'static [&'static str] = &["NAME", "SOURCE", "DEADLINE", "STEPS", "RECEIVERS"];
    const NOUN: &'static str = "workflow";

    fn cells(&self, _: Timestamp) -> Vec<String> {
        let steps: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        vec![
            self.name.clone(),
            self.source.to_string(),
            self.deadline.clone(),
            steps.join(", "),
            self.receivers.join(", "),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_described_by_the_settings_that_have_a_value() {
        let document: Document = serde_json::from_value(json!({
            "name": "uploads", "source": "api", "created_at": null, "deadline": "5m", "retention": "1day",
            "retention_max": 10, "keep_payload": "0s",
            "steps": [{"name": "copy", "deadline": null, "retry": null, "max_losses": null,
                "on_ignorable": null}],
            "retry": {"max": 5, "backoff": "10s..10m", "jitter": 0.2}, "max_losses": null, "redrive": null,
            "expect": null, "runs": false, "single": "refuse", "requires": [], "hold_after": null,
            "params": {}, "jobs": {}, "runs_retention": "400days", "runs_max": 10000, "receivers": [],
            "group_wait": "10s", "group_interval": "5m",
            "repeat_interval": "4h", "flapping_after": 3, "flapping_window": "30m", "damping": "5m",
            "escalate": [], "fallback": [], "group_by": ["region"], "severity": "critical",
            "runbook_url": null
        }))
        .unwrap();
        let shown = described(&document);
        assert!(
            shown.contains("deadline") && shown.contains("5m") && shown.contains("[\"region\"]"),
            "{shown}"
        );
        assert!(!shown.contains("null\n") && !shown.contains("redrive"), "{shown}");
        assert_eq!(document.cells(Timestamp::MIN), ["uploads", "api", "5m", "copy", ""]);
    }
}
