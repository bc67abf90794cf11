//! `warden comment`: notes something about an incident.

use clap::Args;
use serde_json::json;

use super::action::Action;
use super::connection::Connection;
use super::console::Console;
use super::error::CliError;
use super::id;
use super::person::Person;

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
        let document = json!({"by": self.person.name(), "comment": self.text});
        let action = Action { incident: &self.id, name: "comments", document };
        action.take(&self.connection, |_, _| "has one more comment".to_owned(), console).await
    }
}
