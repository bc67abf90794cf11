//! `warden comment`: notes something about an incident.

use clap::Args;
use warden_api::alert::CommentRequest;
use warden_api::path;

use super::action::Action;
use super::error::CliError;
use super::id;
use super::person::Person;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::console::Console;

/// Comment on an incident, be it open or resolved
#[derive(Args)]
pub struct Comment {
    /// The id of the incident
    #[arg(value_parser = id::read)]
    id: String,
    /// What there is to say; at most 512 bytes
    text: String,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    connection: Connection,
}

impl Comment {
    /// Notes it.
    ///
    /// # Errors
    /// When there is no such incident, or the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let by = self.person.name().map(Into::into);
        let document = CommentRequest { by, comment: self.text.into() };
        let action = Action { incident: &self.id, path: path::INCIDENT_COMMENTS, document };
        action.take(&self.connection, |_, _| "has one more comment".to_owned(), console).await
    }
}
