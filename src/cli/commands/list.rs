//! Lists: the flags that limit one, and its printing, page by page.

use std::io;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use warden_client::{Client, Error as ClientError, Query};

use super::args::at_least_one;
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::daemon::pages::Pages;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::{self, Console};
use crate::cli::terminal::count::plural;
use crate::cli::terminal::table::table;
use crate::model::Timestamp;

#[derive(Args)]
pub struct Extent {
    /// List at most this many
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    limit: u64,
    /// List all
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

/// An entry of a list, as a row of a table.
pub trait Row: DeserializeOwned {
    const HEADER: &'static [&'static str];
    /// What an entry is, in the singular.
    const NOUN: &'static str;
    /// Where others may be found, for an empty list.
    const ELSEWHERE: Option<&'static str> = None;
    /// The most entries in one request.
    const PAGE_MAX: usize = 500;

    /// One for each column of the header.
    fn cells(&self, now: Timestamp) -> Vec<String>;
}

impl Extent {
    /// Prints the list at this path and query. After an error the pages before it are printed.
    pub async fn print<R: Row>(
        &self,
        connection: &Connection,
        (path, query): (&str, &Query),
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let client = connection.open()?;
        let limit = self.most();
        let mut pages = Pages::new(&client, path, query, limit, R::PAGE_MAX);
        let mut printer = Printer::new(connection.output);
        while let Some(page) = pages.next().await? {
            match connection.output {
                Format::Json => printer.documents(console, &page)?,
                Format::Table => printer.rows(console, &rows::<R>(&client, &page)?)?,
            }
        }
        let next_cursor = pages.next_cursor();
        Ok(printer.end::<R>(console, next_cursor.is_some(), next_cursor)?)
    }

    /// Prints the newest of a short list that the daemon sends in another order. It has no cursor.
    pub async fn print_newest<R: Row>(
        &self,
        connection: &Connection,
        (path, query): (&str, &Query),
        created_at: impl Fn(&R) -> Timestamp,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        let client = connection.open()?;
        let mut pages = Pages::new(&client, path, query, usize::MAX, R::PAGE_MAX);
        let mut entries = Vec::new();
        while let Some(page) = pages.next().await? {
            entries.extend(rows::<R>(&client, &page)?.into_iter().zip(page));
        }
        // What was created later in the same millisecond comes later in the daemon's order.
        entries.reverse();
        entries.sort_by_key(|(row, _)| std::cmp::Reverse(created_at(row)));
        let more = entries.len() > self.most();
        entries.truncate(self.most());
        let (rows, documents): (Vec<R>, Vec<_>) = entries.into_iter().unzip();
        let mut printer = Printer::new(connection.output);
        match connection.output {
            Format::Json => printer.documents(console, &documents)?,
            Format::Table => printer.rows(console, &rows)?,
        }
        Ok(printer.end::<R>(console, more, None)?)
    }

    fn most(&self) -> usize {
        if self.all { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) }
    }
}

fn rows<R: Row>(client: &Client, entries: &[Box<RawValue>]) -> Result<Vec<R>, ClientError> {
    let rows = entries.iter().map(|entry| serde_json::from_str(entry.get()));
    rows.collect::<Result<_, _>>().map_err(|error| client.unexpected(error.to_string()))
}

struct Printer {
    format: Format,
    printed: usize,
}

impl Printer {
    fn new(format: Format) -> Self {
        Self { format, printed: 0 }
    }

    fn documents(&mut self, console: &mut Console<'_>, entries: &[Box<RawValue>]) -> io::Result<()> {
        for entry in entries {
            let before = if self.printed == 0 { "{\"data\":[" } else { ",\n" };
            write!(console.out, "{before}{}", console::plain_json(entry.get()))?;
            self.printed += 1;
        }
        console.out.flush()
    }

    fn rows<R: Row>(&mut self, console: &mut Console<'_>, rows: &[R]) -> io::Result<()> {
        if !rows.is_empty() {
            let cells = rows.iter().map(|row| row.cells(console.now));
            writeln!(console.out, "{}", table(R::HEADER, cells))?;
            self.printed += rows.len();
        }
        console.out.flush()
    }

    fn end<R: Row>(self, console: &mut Console<'_>, more: bool, next_cursor: Option<&str>) -> io::Result<()> {
        match self.format {
            Format::Json => {
                let before = if self.printed == 0 { "{\"data\":[" } else { "" };
                let next_cursor = serde_json::to_string(&next_cursor)?;
                writeln!(console.out, "{before}],\"next_cursor\":{next_cursor}}}")
            }
            Format::Table if more => {
                console.message("There may be more: --limit N shows N of them, --all shows all.");
                Ok(())
            }
            Format::Table => {
                if self.printed == 0 {
                    let elsewhere = R::ELSEWHERE.map(|place| format!(" {place}")).unwrap_or_default();
                    console.message(format_args!("No {} match.{elsewhere}", plural(R::NOUN)));
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    struct Pet {
        name: String,
    }

    impl Row for Pet {
        const HEADER: &'static [&'static str] = &["NAME"];
        const NOUN: &'static str = "pet";

        fn cells(&self, _: Timestamp) -> Vec<String> {
            vec![self.name.clone()]
        }
    }

    /// What is printed to stdout and stderr for pages with these names.
    fn printed(format: Format, pages: &[&[&str]], next_cursor: Option<&str>) -> (String, String) {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let mut console =
            Console { out: &mut out, err: &mut notes, now: Timestamp::from_millis(1_767_225_600_000) };
        let mut printer = Printer::new(format);
        for names in pages {
            let document = |name| json!({"name": name, "added_later": true});
            let entries = names.iter().map(|name| serde_json::value::to_raw_value(&document(name)).unwrap());
            let entries: Vec<_> = entries.collect();
            match format {
                Format::Json => printer.documents(&mut console, &entries).unwrap(),
                Format::Table => {
                    let client = Client::new("http://127.0.0.1:1", None).unwrap();
                    printer.rows(&mut console, &rows::<Pet>(&client, &entries).unwrap()).unwrap();
                }
            }
        }
        printer.end::<Pet>(&mut console, next_cursor.is_some(), next_cursor).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
    }

    #[test]
    fn pages_become_one_document_with_all_that_the_daemon_said() {
        let (out, notes) = printed(Format::Json, &[&["ape"], &[], &["bee", "cat"]], Some("c1"));
        let pet = |name| json!({"name": name, "added_later": true});
        let expected = json!({"data": [pet("ape"), pet("bee"), pet("cat")], "next_cursor": "c1"});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), expected);
        assert_eq!(notes, "");
        assert_eq!(printed(Format::Json, &[&[]], None).0, "{\"data\":[],\"next_cursor\":null}\n");
    }

    #[test]
    fn people_are_told_when_there_is_none_and_when_there_may_be_more() {
        assert_eq!(printed(Format::Table, &[&[]], None), (String::new(), "No pets match.\n".to_owned()));
        let (out, notes) = printed(Format::Table, &[&["ape"]], Some("c1"));
        assert_eq!(out, "NAME\nape\n");
        assert_eq!(notes, "There may be more: --limit N shows N of them, --all shows all.\n");
        assert_eq!(printed(Format::Table, &[&["ape"], &[]], None), ("NAME\nape\n".to_owned(), String::new()));
    }

    #[test]
    fn an_entry_that_is_none_is_not_what_a_warden_answers() {
        let client = Client::new("http://127.0.0.1:1", None).unwrap();
        let entries = [serde_json::value::to_raw_value(&json!({"nickname": "ape"})).unwrap()];
        let error = rows::<Pet>(&client, &entries).err().unwrap();
        assert!(matches!(&error, ClientError::Unexpected { what, .. } if what.contains("name")), "{error}");
    }
}
