//! `warden deliveries`: lists deliveries.

use std::io;

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::age::relative;
use super::client::Client;
use super::connection::{Connection, Format};
use super::console::Console;
use super::delivery::Delivery;
use super::error::CliError;
use super::table::table;
use crate::incident::notification::path_segment;

/// The most deliveries that are asked for at once. With their answers they are large.
const PAGE_MAX: usize = 100;

const HEADER: [&str; 8] = ["ID", "INCIDENT", "RECEIVER", "EVENT", "STATUS", "DECIDED", "TRIES", "LATEST"];

/// List what people were told, were to be told, or were not told
///
/// The newest first; of one incident the oldest first.
#[derive(Args)]
pub struct Deliveries {
    /// Only those of this incident
    #[arg(long, conflicts_with_all = ["status", "receiver"])]
    incident: Option<String>,
    /// Only those that wait, were delivered, or were given up
    #[arg(long, value_parser = PossibleValuesParser::new(["pending", "delivered", "dead"]))]
    status: Option<String>,
    /// Only those to this receiver
    #[arg(long)]
    receiver: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: usize,
    #[command(flatten)]
    connection: Connection,
}

/// A page of the list: the deliveries as the daemon wrote them.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

impl Deliveries {
    /// Prints the deliveries.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let mut found = Page { data: Vec::new(), next_cursor: None };
        loop {
            // A page may hold fewer than asked for, even none, and yet be followed by another.
            let wanted = self.limit - found.data.len();
            let page = self.page(&client, wanted.min(PAGE_MAX), found.next_cursor.take()).await?;
            found.data.extend(page.data);
            found.next_cursor = page.next_cursor;
            if found.data.len() >= self.limit || found.next_cursor.is_none() {
                return Ok(print(&found, self.connection.output, console)?);
            }
        }
    }

    async fn page(&self, client: &Client, limit: usize, cursor: Option<String>) -> Result<Page, CliError> {
        let path = match &self.incident {
            Some(id) => format!("/v1/incidents/{}/deliveries", path_segment(id)),
            None => "/v1/deliveries".to_owned(),
        };
        let mut query = vec![("limit", limit.to_string())];
        let filters = [("status", &self.status), ("receiver", &self.receiver), ("cursor", &cursor)];
        query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        let answer = client.send(client.request(Method::GET, &path, &query)?).await?;
        Ok(answer.document().await?.1)
    }
}

fn print(found: &Page, format: Format, console: &mut Console<'_>) -> io::Result<()> {
    if format == Format::Json {
        let data: Vec<&str> = found.data.iter().map(|delivery| delivery.get()).collect();
        let next_cursor = serde_json::to_string(&found.next_cursor)?;
        return writeln!(console.out, "{{\"data\":[{}],\"next_cursor\":{next_cursor}}}", data.join(",\n"));
    }
    if found.data.is_empty() {
        return writeln!(console.notes, "No delivery is like that.");
    }
    let rows = found.data.iter().map(|delivery| row(delivery, console)).collect::<Result<Vec<_>, _>>()?;
    writeln!(console.out, "{}", table(&HEADER, rows))?;
    if found.next_cursor.is_some() {
        writeln!(console.notes, "There may be more: --limit N shows N of them.")?;
    }
    Ok(())
}

fn row(delivery: &RawValue, console: &Console<'_>) -> io::Result<Vec<String>> {
    let delivery: Delivery = serde_json::from_str(delivery.get())?;
    let latest = delivery.latest(console.now);
    let Delivery { id, incident, receiver, event, status, created_at, attempts_made, .. } = delivery;
    let decided = relative(created_at, console.now);
    Ok(vec![id, incident, receiver, event, status, decided, attempts_made.to_string(), latest])
}
