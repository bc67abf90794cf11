//! `warden create`: hands an item in.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use warden_api::item::ItemAnswer;
use warden_api::path;

use super::args::{item_id, workflow};
use super::error::CliError;
use crate::cli::daemon::client::Query;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::{due, relative};
use crate::cli::terminal::console::Console;
use crate::config::PAYLOAD_MAX;
use crate::model::{ItemId, WorkflowName};

/// Create an item
///
/// Creating it again with the same payload is fine while it is open. Once closed, its id is free again after `retention`.
#[derive(Args)]
pub struct Create {
    /// The workflow it belongs to
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// Its id within the workflow [default: the daemon makes one]
    #[arg(value_parser = item_id)]
    id: Option<ItemId>,
    /// The file that holds the payload, or - for stdin
    #[arg(long, value_name = "PATH", default_value = "-")]
    file: PathBuf,
    /// The content type of the payload
    #[arg(long, default_value = "application/octet-stream")]
    content_type: String,
    /// The content codings that were applied to the payload, such as gzip; it is kept as it is
    #[arg(long, value_name = "LIST")]
    content_encoding: Option<String>,
    /// By when it must be closed: a duration from now such as 15m, or an instant such as 2026-01-31T12:00:00Z
    /// [default: as the workflow says]
    #[arg(long)]
    deadline: Option<String>,
    /// A label to find it by; repeatable
    #[arg(long = "label", value_name = "NAME:VALUE")]
    labels: Vec<String>,
    /// The step it starts at [default: the workflow's first]
    #[arg(long)]
    step: Option<String>,
    /// Makes a repetition known when the daemon makes the id: the same key finds the same item
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Create {
    /// Creates the item.
    ///
    /// # Errors
    /// When the payload cannot be read, or the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let payload = read_payload(&self.file)?;
        let mut query = Query::new();
        query.extend(self.deadline.map(|deadline| ("deadline", deadline)));
        query.extend(self.labels.into_iter().map(|label| ("label", label)));
        query.extend(self.step.map(|step| ("step", step)));
        let mut request = match &self.id {
            Some(id) => client.item_request(Method::PUT, (&self.workflow, id), "", &query)?,
            None => {
                client.request(Method::POST, &path::fill(path::WORKFLOW_ITEMS, &[&self.workflow]), &query)?
            }
        };
        request = request.header(CONTENT_TYPE, self.content_type).body(payload);
        if let Some(encoding) = self.content_encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        if let Some(key) = self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let answer = client.send(request).await?;
        let done = if answer.status() == 201 { "is created" } else { "is there already" };
        let (text, item) = answer.document::<ItemAnswer>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => {
                let (workflow, id, due) = match &item {
                    ItemAnswer::Item(item) => {
                        (&item.workflow, &item.id, Some(due(item.closed_at, item.deadline, console.now)))
                    }
                    ItemAnswer::Receipt(item) => {
                        (&item.workflow, &item.id, item.deadline.map(|at| relative(at, console.now)))
                    }
                };
                let due = due.map(|due| format!(", due {due}")).unwrap_or_default();
                console.line(format_args!("{workflow} {id} {done}{due}"))?;
            }
        }
        Ok(())
    }
}

fn read_payload(path: &Path) -> Result<Vec<u8>, CliError> {
    let mut payload = Vec::new();
    // One byte more, to tell what fits from what does not.
    let most = PAYLOAD_MAX + 1;
    let read = if path.as_os_str() == "-" {
        if stdin().is_terminal() {
            return Err(CliError::Usage(
                "give the payload with --file PATH, or on stdin; --file /dev/null for an empty one"
                    .to_owned(),
            ));
        }
        stdin().lock().take(most).read_to_end(&mut payload)
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut payload))
    };
    read.map_err(|error| CliError::File { verb: "read", path: path.to_owned(), error })?;
    if payload.len() as u64 == most {
        return Err(CliError::Data(format!(
            "{} is larger than the {PAYLOAD_MAX} bytes that a payload can have",
            path.display()
        )));
    }
    Ok(payload)
}
