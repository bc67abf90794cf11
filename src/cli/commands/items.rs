//! `warden items`: lists items.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::word::{ItemOrder, ItemState};
use warden_api::{Item, path};

use super::args::Filter;
use super::error::CliError;
use crate::cli::commands::list::{Extent, Row};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::age::{due, short};
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::label_list;
use crate::model::Timestamp;

/// All but closed.
const UNCLOSED: [ItemState; 5] =
    [ItemState::Failed, ItemState::Interrupted, ItemState::Held, ItemState::Overdue, ItemState::Open];

/// The default first.
const ORDERS: [&str; 3] =
    [ItemOrder::Trouble.as_str(), ItemOrder::Deadline.as_str(), ItemOrder::Created.as_str()];

/// List items, those in trouble first
///
/// Failed items are listed first, then overdue and open ones, each by deadline. Closed items are listed with
/// --state closed or --all.
#[derive(Args)]
pub struct Items {
    /// The order: trouble first, by deadline, or by creation
    #[arg(long, value_parser = PossibleValuesParser::new(ORDERS), default_value = "trouble")]
    order: String,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

impl Items {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let mut query = self.filter.query()?;
        if !self.filter.names_states() && !self.extent.all {
            query.extend(UNCLOSED.map(|state| ("state", state.to_string())));
        }
        query.push(("order", self.order));
        self.extent.print::<Item>(&self.connection, (path::ITEMS, &query), console).await
    }
}

impl Row for Item {
    const HEADER: &'static [&'static str] =
        &["WORKFLOW", "ID", "STATE", "STEP", "AGE", "DUE", "BYTES", "LABELS"];
    const NOUN: &'static str = "item";
    const ELSEWHERE: Option<&'static str> = Some("Closed ones are listed with --state closed.");

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.workflow.to_string(),
            self.id.to_string(),
            self.state.to_string(),
            self.step.as_deref().unwrap_or_default().to_owned(),
            short(now.since(self.created_at.timestamp())),
            due(self.closed_at, self.deadline, now),
            self.payload.size.to_string(),
            label_list(&self.labels),
        ]
    }
}
