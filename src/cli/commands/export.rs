//! `warden export`: writes items with their payloads for `warden import`.

mod download;

use std::io::{ErrorKind, IsTerminal, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use warden_api::word::ItemState;
use warden_client::Query;

use self::download::Download;
use super::archive::{Compression, LineError, Part, Survey, Target, survey};
use super::args::Filter;
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::progress::Progress;
use crate::cli::terminal::sink::Sink;

const HELP: &str = "\
Exported: payload, content type and encoding, deadline, labels, step, state, progress, errors with
ids and times, completed steps, attempts, retry_at, created_at, and closed_at and outcome of closed
items. Not exported: leases, versions, incidents, idempotency keys, and policies, which are in the
configuration.

Examples:
  warden export --closed --compress zstd --file all.zst  everything, to move to another warden
  warden export --workflow uploads --state failed        the failed items of a workflow
  warden export --no-history                             lines that the scope ingest may import";

/// Export items with their payloads, one JSON object on each line, for `warden import`
///
/// Closed items are exported with --closed or --state. The last line has the number and the hash of the lines
/// before it; without it, an export is incomplete. An interrupted export is completed by the same command
/// with --resume.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Export {
    /// The file to write, replacing its content [default: stdout]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Compress the output
    #[arg(long, value_enum, value_name = "HOW")]
    compress: Option<Compression>,
    /// Resume an interrupted export of the same items to the same file; begin it if there is no file
    #[arg(long, requires = "file")]
    resume: bool,
    /// Include closed items, and records of items that were closed before they were created
    #[arg(long, conflicts_with_all = ["states", "no_history"])]
    closed: bool,
    /// Leave out the history of items, so that importing creates new ones
    #[arg(long)]
    no_history: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

impl Export {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let is_shown = self.file.as_deref().is_none_or(is_stdout) && stdout().is_terminal();
        if is_shown && self.compress.is_some() {
            let what = "compressed output cannot be written to a terminal; use --file";
            return Err(CliError::Usage(what.to_owned()));
        }
        let query = self.query()?;
        let client = self.connection.open()?;
        let is_told = self.connection.output == Format::Table;
        let part = match self.survey()? {
            None => None,
            Some(Survey::Partial(part)) => Some(part),
            Some(Survey::Complete(items)) => {
                if is_told {
                    console
                        .message(format_args!("the export is already complete: {}", counted(items, "item")));
                }
                return Ok(());
            }
        };
        let Part { length, ledger, is_compressed } = part.unwrap_or_default();
        let before = ledger.lines();
        let progress = Progress::of_items("exporting", None);
        let mut download = Download::new(&client, query, ledger, progress);
        // An existing file is truncated only once there is something to write.
        let answer = download.ask().await?;
        let sink = match &self.file {
            Some(path) if length > 0 => Sink::behind(path, length)?,
            path => Sink::open(path.as_deref(), console.out)?,
        };
        let is_compressed = is_compressed || (self.compress.is_some() && length == 0);
        let mut target = Target::new(sink, is_compressed.then_some(Compression::Zstd))?;
        let written = download.run(answer, &mut target, console.err).await;
        let items = download.ledger().lines();
        drop(download);
        if let Err(error) = written {
            let file = self.file.as_deref().filter(|path| !is_stdout(path) && items > 0);
            // The original error matters more than a failed flush.
            if let (Ok(()), Some(path)) = (target.flush(), file) {
                let (so_far, path) = (counted(items, "item"), path.display());
                console.message(format_args!("{path} has {so_far}; --resume continues after them"));
            }
            return Err(error);
        }
        target.finish()?;
        if is_told && before > 0 {
            let more = items - before;
            console.message(format_args!("exported {more} more; the file has {}", counted(items, "item")));
        } else if is_told {
            console.message(format_args!("exported {}", counted(items, "item")));
        }
        Ok(())
    }

    fn query(&self) -> Result<Query, CliError> {
        let mut query = self.filter.query()?;
        if self.closed {
            query.extend(ItemState::ALL.map(|state| ("state", state.to_string())));
        }
        if self.no_history {
            query.push(("history", "false".to_owned()));
        }
        Ok(query)
    }

    /// The existing part of the file, if it is to be resumed.
    fn survey(&self) -> Result<Option<Survey>, CliError> {
        let Some(path) = self.file.as_deref().filter(|_| self.resume) else { return Ok(None) };
        if is_stdout(path) {
            return Err(CliError::Usage("--resume needs a file, not -".to_owned()));
        }
        let progress = Progress::of_bytes("checking", path.metadata().ok().map(|metadata| metadata.len()));
        let survey = match survey(path, |position| progress.reach(position)) {
            Ok(survey) => survey,
            Err(LineError::Read(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(LineError::Read(error)) => {
                return Err(CliError::File { verb: "read", path: path.to_owned(), error });
            }
            Err(LineError::Damaged(what)) => {
                let path = path.display();
                return Err(CliError::Data(format!(
                    "cannot resume {path}: {what}; the file is unchanged, export to another one"
                )));
            }
        };
        match &survey {
            Survey::Partial(part) if part.length > 0 && !part.is_compressed && self.compress.is_some() => {
                let path = path.display();
                Err(CliError::Usage(format!("{path} is not compressed; resume it without --compress")))
            }
            _ => Ok(Some(survey)),
        }
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}
