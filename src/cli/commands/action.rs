//! What the commands share by which a person does something about an incident.

use reqwest::Method;
use serde::Serialize;
use warden_api::{Incident, path};

use super::error::CliError;
use crate::cli::daemon::client::Query;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::model::Timestamp;

/// Something that a person does about an incident.
pub struct Action<'a, T> {
    /// The incident's id.
    pub incident: &'a str,
    /// The path at which it is done.
    pub path: &'static str,
    /// What is told with it: who does it, and what they say.
    pub document: T,
}

impl<T: Serialize> Action<'_, T> {
    /// Does it, and prints what came of it: the incident, for people in the words of `said`.
    ///
    /// # Errors
    /// When there is no such incident, it is over, or the daemon cannot be asked or refuses.
    pub async fn take(
        self,
        connection: &Connection,
        said: impl FnOnce(&Incident, Timestamp) -> String,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let client = connection.open()?;
        let path = path::fill(self.path, &[self.incident]);
        let request = client.request(Method::POST, &path, &Query::new())?.json(&self.document);
        let (text, incident) = client.send(request).await?.document::<Incident>().await?;
        match connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => {
                let said = said(&incident, console.now);
                console.line(format_args!("{} {} {said}", incident.workflow, incident.id))?;
            }
        }
        Ok(())
    }
}
