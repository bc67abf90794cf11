//! `warden ack`, `comment` and `snooze`: what people do about an incident.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde::Serialize;
use warden_api::alert::{AcknowledgeRequest, CommentRequest, SnoozeRequest};
use warden_api::{Incident, path};
use warden_client::Query;

use super::args::{Person, duration, generated_id};
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::dated;
use crate::cli::terminal::console::Console;
use crate::model::Timestamp;

/// What every action needs.
#[derive(Args)]
struct Action {
    /// The id of the incident
    #[arg(index = 1, value_parser = generated_id)]
    id: String,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    connection: Connection,
}

/// Acknowledge an open incident, which stops its escalation
///
/// Acknowledging it again has no further effect.
#[derive(Args)]
pub struct Ack {
    /// A comment of at most 512 bytes
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    action: Action,
}

/// Comment on an incident, open or resolved
#[derive(Args)]
pub struct Comment {
    /// The comment; at most 512 bytes
    #[arg(index = 2)]
    text: String,
    #[command(flatten)]
    action: Action,
}

/// Snooze an open incident: no notification is sent until the time is over, except that it is resolved
#[derive(Args)]
pub struct Snooze {
    /// For how long, such as 30m; at most 7 days. 0s ends a snooze
    #[arg(index = 2, value_name = "FOR", value_parser = duration)]
    duration: Duration,
    /// A comment of at most 512 bytes
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    action: Action,
}

impl Ack {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let comment = self.comment.map(Into::into);
        let document = |by| AcknowledgeRequest { by, comment };
        let result = |_: &Incident, _| "is acknowledged".to_owned();
        self.action.post(path::INCIDENT_ACKNOWLEDGE, document, result, console).await
    }
}

impl Comment {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let comment = self.text.into();
        let document = |by| CommentRequest { by, comment };
        let result = |_: &Incident, _| "has a new comment".to_owned();
        self.action.post(path::INCIDENT_COMMENTS, document, result, console).await
    }
}

impl Snooze {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let duration = humantime::format_duration(self.duration).to_string();
        let comment = self.comment.map(Into::into);
        let document = |by| SnoozeRequest { duration, by, comment };
        let result = |incident: &Incident, now| match incident.snoozed_until {
            Some(until) if !self.duration.is_zero() => format!("is snoozed until {}", dated(until, now)),
            _ => "is not snoozed any more".to_owned(),
        };
        self.action.post(path::INCIDENT_SNOOZE, document, result, console).await
    }
}

impl Action {
    /// Posts the document and prints the incident. `result` makes the sentence for people.
    async fn post<T: Serialize, N: From<String>>(
        self,
        path: &str,
        document: impl FnOnce(Option<N>) -> T,
        result: impl FnOnce(&Incident, Timestamp) -> String,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let document = document(self.person.name().map(Into::into));
        let request = client.request(Method::POST, &path::fill(path, &[&self.id]), &Query::new())?;
        let (text, incident) = client.send(request.json(&document)).await?.document::<Incident>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => {
                let result = result(&incident, console.now);
                console.line(format_args!("{} {} {result}", incident.workflow, incident.id))?;
            }
        }
        Ok(())
    }
}
