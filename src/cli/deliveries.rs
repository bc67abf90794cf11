//! `warden deliveries`: lists deliveries.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::word::DeliveryStatus;

use super::age::relative;
use super::client::Query;
use super::connection::Connection;
use super::console::Console;
use super::delivery::Delivery;
use super::error::CliError;
use super::pages::{Extent, Row};
use crate::incident::notification::path_segment;
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
            Some(id) => format!("/v1/incidents/{}/deliveries", path_segment(id)),
            None => "/v1/deliveries".to_owned(),
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
            self.id.clone(),
            self.incident.clone(),
            self.receiver.clone(),
            self.event.clone(),
            self.status.clone(),
            relative(self.created_at, now),
            self.attempts_made.to_string(),
            self.latest(now),
        ]
    }
}
