//! `warden items`: lists items.

use std::io;

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::age::short;
use super::client::Client;
use super::connection::{Connection, Format};
use super::console::Console;
use super::error::CliError;
use super::filter::Filter;
use super::item::Item;
use super::table::table;

/// The most items that are asked for at once.
const PAGE_MAX: usize = 500;

const HEADER: [&str; 8] = ["WORKFLOW", "ID", "STATE", "STEP", "AGE", "DUE", "BYTES", "LABELS"];

/// List items
#[derive(Args)]
pub struct Items {
    #[command(flatten)]
    filter: Filter,
    /// The order: by deadline, or as they were created
    #[arg(long, value_parser = PossibleValuesParser::new(["deadline", "created"]), default_value = "created")]
    order: String,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: usize,
    /// All of them, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A page of the list: the items as the daemon wrote them.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

impl Items {
    /// Prints the items, page by page.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let mut wanted = if self.all { usize::MAX } else { self.limit };
        let mut cursor = None;
        let mut printer = Printer { format: self.connection.output, printed: 0 };
        loop {
            // A page may hold fewer than asked for, even none, and yet be followed by another.
            let page = self.page(&client, wanted.min(PAGE_MAX), cursor.as_ref()).await?;
            wanted = wanted.saturating_sub(page.data.len());
            printer.page(console, &page.data)?;
            cursor = page.next_cursor;
            if wanted == 0 || cursor.is_none() {
                return Ok(printer.end(console, cursor.as_deref())?);
            }
        }
    }

    async fn page(&self, client: &Client, limit: usize, cursor: Option<&String>) -> Result<Page, CliError> {
        let mut query = self.filter.query();
        query.push(("order", self.order.clone()));
        query.push(("limit", limit.to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor.clone())));
        let answer = client.send(client.request(Method::GET, "/v1/items", &query)?).await?;
        Ok(answer.document().await?.1)
    }
}

/// Prints pages as one list, with no more than a page in memory.
struct Printer {
    format: Format,
    printed: usize,
}

impl Printer {
    fn page(&mut self, console: &mut Console<'_>, items: &[Box<RawValue>]) -> io::Result<()> {
        match self.format {
            Format::Json => {
                for item in items {
                    let before = if self.printed == 0 { "{\"data\":[" } else { ",\n" };
                    write!(console.out, "{before}{}", item.get())?;
                    self.printed += 1;
                }
            }
            Format::Table if !items.is_empty() => {
                let rows = items.iter().map(|item| row(item, console)).collect::<Result<Vec<_>, _>>()?;
                writeln!(console.out, "{}", table(&HEADER, rows))?;
                self.printed += items.len();
            }
            Format::Table => {}
        }
        console.out.flush()
    }

    fn end(self, console: &mut Console<'_>, next_cursor: Option<&str>) -> io::Result<()> {
        match (self.format, next_cursor) {
            (Format::Json, _) => {
                let before = if self.printed == 0 { "{\"data\":[" } else { "" };
                let next_cursor = serde_json::to_string(&next_cursor)?;
                writeln!(console.out, "{before}],\"next_cursor\":{next_cursor}}}")
            }
            (Format::Table, Some(_)) => {
                writeln!(console.notes, "There may be more: --limit N shows N of them, --all shows all.")
            }
            (Format::Table, None) if self.printed == 0 => writeln!(console.notes, "No item is like that."),
            (Format::Table, None) => Ok(()),
        }
    }
}

fn row(item: &RawValue, console: &Console<'_>) -> io::Result<Vec<String>> {
    let item: Item = serde_json::from_str(item.get())?;
    Ok(vec![
        item.workflow.clone(),
        item.id.clone(),
        item.state.clone(),
        item.step.clone().unwrap_or_default(),
        short(console.now.since(item.created_at)),
        item.due(console.now),
        item.payload.size.to_string(),
        item.labels(),
    ])
}
