//! `warden ack`: somebody looks after an incident.

use clap::Args;
use warden_api::alert::AcknowledgeRequest;
use warden_api::path;

use super::action::Action;
use super::error::CliError;
use super::id;
use super::person::Person;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::console::Console;

/// Acknowledge an open incident: somebody looks after it, and it is not escalated any further
///
/// Acknowledging it again is fine.
#[derive(Args)]
pub struct Ack {
    /// The id of the incident
    #[arg(value_parser = id::read)]
    id: String,
    /// What there is to say; at most 512 bytes
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    connection: Connection,
}

impl Ack {
    /// Acknowledges it.
    ///
    /// # Errors
    /// When there is no such incident, it is over, or the daemon cannot be asked.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let by = self.person.name().map(Into::into);
        let document = AcknowledgeRequest { by, comment: self.comment.map(Into::into) };
        let action = Action { incident: &self.id, path: path::INCIDENT_ACKNOWLEDGE, document };
        action.take(&self.connection, |_, _| "is acknowledged".to_owned(), console).await
    }
}
