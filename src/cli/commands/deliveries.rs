//! `warden deliveries`: lists deliveries.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::alert::Attempt;
use warden_api::word::DeliveryStatus;
use warden_api::{Delivery, path};

use super::error::CliError;
use crate::cli::commands::list::{Extent, Row};
use crate::cli::daemon::client::Query;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::model::Timestamp;

/// List what people were told, were to be told, or were not told
///
/// The newest first; of one incident the oldest first.
#[derive(Args)]
pub struct Deliveries {
    /// Only those of this incident
    #[arg(long, conflicts_with_all = ["status", "receiver"])]
    incident: Option<String>,
    /// Only those that wait, were delivered, or were given up
    #[arg(long, value_parser = PossibleValuesParser::new(DeliveryStatus::WORDS))]
    status: Option<String>,
    /// Only those to this receiver
    #[arg(long)]
    receiver: Option<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

impl Deliveries {
    /// Prints the deliveries, page by page.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses.
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

impl Row for Delivery {
    const HEADER: &'static [&'static str] =
        &["ID", "INCIDENT", "RECEIVER", "EVENT", "STATUS", "DECIDED", "TRIES", "LATEST"];
    const NONE: &'static str = "No delivery is like that.";
    /// With their answers they are large.
    const PAGE_MAX: usize = 100;

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.incident.to_string(),
            self.receiver.to_string(),
            self.event.to_string(),
            self.status.to_string(),
            relative(self.created_at, now),
            self.attempts_made.to_string(),
            latest(self, now),
        ]
    }
}

/// What became of it last.
fn latest(delivery: &Delivery, now: Timestamp) -> String {
    match delivery.attempts.last() {
        None => "not tried yet".to_owned(),
        Some(Attempt { at, error: None, .. }) => format!("delivered {}", relative(*at, now)),
        Some(Attempt { at, error: Some(error), .. }) => format!("{}: {error}", relative(*at, now)),
    }
}
