//! `warden deliveries` and `warden resend`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use reqwest::Method;
use warden_api::alert::Attempt;
use warden_api::word::DeliveryStatus;
use warden_api::{Delivery, path};
use warden_client::Query;

use super::args::generated_id;
use super::error::CliError;
use crate::cli::commands::list::{Extent, Row};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::model::Timestamp;

/// List deliveries, the newest first
///
/// Those of one incident are listed the oldest first.
#[derive(Args)]
pub struct Deliveries {
    /// Only deliveries of this incident
    #[arg(long, value_parser = generated_id, conflicts_with_all = ["status", "receiver"])]
    incident: Option<String>,
    /// Only deliveries with this status: pending, delivered or dead
    #[arg(long, value_parser = PossibleValuesParser::new(DeliveryStatus::WORDS))]
    status: Option<String>,
    /// Only deliveries to this receiver
    #[arg(long)]
    receiver: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

impl Deliveries {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let path = match &self.incident {
            Some(id) => path::fill(path::INCIDENT_DELIVERIES, &[id]),
            None => path::DELIVERIES.to_owned(),
        };
        let mut query = Query::new();
        query.extend(self.status.map(|status| ("status", status)));
        query.extend(self.receiver.map(|receiver| ("receiver", receiver)));
        self.extent.print::<Delivery>(&self.connection, (&path, &query), console).await
    }
}

/// Send a delivery again that was delivered or is dead
///
/// It has the same id, by which the receiver recognises it, and is retried for 24 hours.
#[derive(Args)]
pub struct Resend {
    /// The id of the delivery, such as dlv_…; `warden deliveries --status dead` lists dead ones
    #[arg(value_parser = generated_id)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Resend {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let path = path::fill(path::DELIVERY_RESEND, &[&self.id]);
        let request = client.request(Method::POST, &path, &Query::new())?;
        let (text, delivery) = client.send(request).await?.document::<Delivery>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => {
                console.line(format_args!("{} is sent to {} again", delivery.id, delivery.receiver))?
            }
        }
        Ok(())
    }
}

impl Row for Delivery {
    const HEADER: &'static [&'static str] =
        &["ID", "ABOUT", "RECEIVER", "EVENT", "STATUS", "DECIDED", "TRIES", "LATEST"];
    const NOUN: &'static str = "delivery";
    /// A delivery is large, as it contains the receivers' responses.
    const PAGE_MAX: usize = 100;

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            about(self),
            self.receiver.to_string(),
            self.event.to_string(),
            self.status.to_string(),
            relative(self.created_at, now),
            self.attempts_made.to_string(),
            latest(self, now),
        ]
    }
}

/// The incident or the item.
fn about(delivery: &Delivery) -> String {
    match &delivery.item {
        Some(item) => format!("{}/{}", item.workflow, item.id),
        None => delivery.incident.to_string(),
    }
}

/// The latest attempt.
fn latest(delivery: &Delivery, now: Timestamp) -> String {
    match delivery.attempts.last() {
        None => "not attempted yet".to_owned(),
        Some(Attempt { at, error: None, .. }) => format!("delivered {}", relative(*at, now)),
        Some(Attempt { at, error: Some(error), .. }) => format!("{}: {error}", relative(*at, now)),
    }
}
