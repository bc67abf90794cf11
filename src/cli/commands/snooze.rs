//! `warden snooze`: keeps an incident quiet for a while.

use std::time::Duration;

use clap::Args;
use warden_api::alert::SnoozeRequest;
use warden_api::{Incident, path};

use super::action::Action;
use super::error::CliError;
use super::id;
use super::person::Person;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::age::dated;
use crate::cli::terminal::console::Console;
use crate::model::{Timestamp, parse_duration};

/// Snooze an open incident: nobody is told of it until the time is over, unless it is resolved before
#[derive(Args)]
pub struct Snooze {
    /// The id of the incident
    #[arg(value_parser = id::read)]
    id: String,
    /// For how long, such as 30m; at most 7 days. 0s ends a snooze
    #[arg(value_name = "FOR", value_parser = parse_duration)]
    duration: Duration,
    /// What there is to say; at most 512 bytes
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    connection: Connection,
}

impl Snooze {
    /// Snoozes it.
    ///
    /// # Errors
    /// When there is no such incident, it is over, or the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let duration = humantime::format_duration(self.duration).to_string();
        let by = self.person.name().map(Into::into);
        let document = SnoozeRequest { duration, by, comment: self.comment.map(Into::into) };
        let action = Action { incident: &self.id, path: path::INCIDENT_SNOOZE, document };
        let said = |incident: &Incident, now: Timestamp| match incident.snoozed_until {
            Some(until) if !self.duration.is_zero() => format!("is snoozed until {}", dated(until, now)),
            _ => "is not snoozed any more".to_owned(),
        };
        action.take(&self.connection, said, console).await
    }
}
