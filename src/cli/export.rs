//! `warden export`: items with their payloads, as `warden import` takes them.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;

use super::connection::{Connection, Format};
use super::console::Console;
use super::error::CliError;
use super::filter::Filter;
use super::sink::Sink;

/// Write items with their payloads, a line of JSON each, as `warden import` takes them
///
/// Closed items have no payload any more and are left out.
#[derive(Args)]
pub struct Export {
    /// The file to write to, overwriting it [default: stdout]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

impl Export {
    /// Writes the lines as they arrive.
    ///
    /// # Errors
    /// When the daemon cannot be asked, or the lines cannot be written. What was written until then are whole lines
    /// but for the last.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request = client.request(Method::GET, "/v1/export", &self.filter.query())?;
        let mut answer = client.send(request).await?;
        let mut sink = Sink::open(self.file.as_deref(), console.out)?;
        let mut items = 0;
        while let Some(bytes) = answer.chunk().await? {
            items += memchr::memchr_iter(b'\n', &bytes).count();
            sink.write(&bytes)?;
        }
        sink.finish()?;
        if self.connection.output == Format::Table {
            let plural = if items == 1 { "" } else { "s" };
            writeln!(console.notes, "exported {items} item{plural}")?;
        }
        Ok(())
    }
}
