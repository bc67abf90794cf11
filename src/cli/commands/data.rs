//! `warden data`: maintenance of a data directory.

use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::read_config;
use super::error::CliError;
use crate::app::check_data;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::progress::Progress;
use crate::cli::terminal::signals::Signals;
use crate::config::{Config, Environment, Sources};
use crate::model::text::Plain;
use crate::store::{CheckError, Finding, GenerationHeld, LogHeld, Report};

/// Maintain the data directory of a stopped daemon
#[derive(Args)]
pub struct Data {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    Check(Check),
}

/// Check a data directory for damage, without changing it
///
/// The check reads every record: items, payloads by length and SHA-256, the journal, all other tables, and
/// the commit log. Databases are copied to the temporary directory (TMPDIR) before they are opened, one at a
/// time, so that there must be space for the largest one. The daemon must be stopped; or check a copy that
/// was made while it was.
#[derive(Args)]
#[command(after_help = FINDINGS_HELP)]
struct Check {
    /// The configuration file of the daemon, for the path of its data
    #[arg(long, env = "WARDEN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory; overrides the configuration
    #[arg(long, value_name = "DIRECTORY")]
    path: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

const FINDINGS_HELP: &str = "\
Each finding is printed on a line, and the command ends with exit code 65. To repair:
  Restore the whole directory from one copy or backup, never single files.
  Without one, keep a copy of the directory and start the daemon once with `warden serve
  --accept-damage`, which continues with what can be read. Close the items that are named, or have
  their application create them again.
A directory of an earlier format, or in use by a daemon, is not checked (69).";

const REMEDY: &str = "restore the whole directory from one copy or backup; or keep a copy of it and start \
    once with `warden serve --accept-damage`, which goes on with what can be read";

impl Data {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let DataCommand::Check(check) = self.command;
        check.run(console).await
    }
}

impl Check {
    async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let Self { config, path, output } = self;
        let path = path.map_or_else(|| configured(config.as_deref()), Ok)?;
        let report = read(path.clone()).await?;
        match output {
            Format::Table => print(&path, &report, console)?,
            Format::Json => console.json(&Document::of(&path, &report))?,
        }
        match report.findings.len() {
            0 => Ok(()),
            count => Err(CliError::DataDamaged { path, count, remedy: REMEDY }),
        }
    }
}

/// The data directory of the daemon with this configuration.
fn configured(file: Option<&Path>) -> Result<PathBuf, CliError> {
    let file = file.map(read_config).transpose()?;
    let config =
        Config::load(Sources { file, environment: Environment::of_this_process(), ..Sources::default() })?;
    match config.storage.directory() {
        Some(directory) => Ok(directory.to_owned()),
        None => Err(CliError::Usage(format!(
            "storage.engine is \"{}\", which keeps nothing on the disk; --path says what to check",
            config.storage.engine
        ))),
    }
}

/// On another thread than the signals, so that the temporary copy is removed after one.
async fn read(path: PathBuf) -> Result<Report, CliError> {
    let start = |error: std::io::Error| CliError::Start(error.to_string());
    let mut signals = Signals::listen().map_err(start)?;
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stopped = is_stopped.clone();
    let mut reading = tokio::task::spawn_blocking(move || {
        let progress = Progress::of_bytes("checking", None);
        let _quiet = Quiet::begin();
        check_data(&path, &mut |bytes| {
            progress.reach(bytes);
            !stopped.load(Ordering::Relaxed)
        })
    });
    loop {
        tokio::select! {
            read = &mut reading => return match read.map_err(|error| CliError::Start(error.to_string()))? {
                Err(CheckError::Stopped) => Err(CliError::Interrupted),
                read => Ok(read?),
            },
            () = signals.next() => is_stopped.store(true, Ordering::Relaxed),
        }
    }
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// While it lives, panics of the database are not printed: on damaged data they are expected, and reported as
/// findings.
struct Quiet(Arc<Hook>);

impl Quiet {
    fn begin() -> Self {
        let before: Arc<Hook> = Arc::new(std::panic::take_hook());
        let others = before.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let is_of_the_database = panic.location().is_some_and(|at| at.file().contains("/sled-"));
            if !is_of_the_database {
                others(panic);
            }
        }));
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // `set_hook` panics in a panicking thread.
        if !std::thread::panicking() {
            let before = self.0.clone();
            std::panic::set_hook(Box::new(move |panic| before(panic)));
        }
    }
}

fn print(path: &Path, report: &Report, console: &mut Console<'_>) -> std::io::Result<()> {
    let Report { generations, log, notes, findings } = report;
    for GenerationHeld { place, items, documents, bytes } in generations {
        console.line(format_args!(
            "{place}: {}, {}, {}",
            counted(*items, "item"),
            counted(*documents, "document"),
            counted(*bytes, "byte")
        ))?;
    }
    if let Some(LogHeld { records, changes, bytes, torn }) = log {
        let (records, changes) = (counted(*records, "record"), counted(*changes, "change"));
        let bytes = counted(*bytes, "byte");
        console.line(format_args!(
            "log: {records} not yet in the databases, with {changes} of items, {bytes}"
        ))?;
        if let Some((sequence, bytes)) = torn {
            console.line(format_args!(
                "log: ends with record {sequence}, of which {bytes} bytes were written before a crash; it \
                 was not acknowledged, so nothing is lost"
            ))?;
        }
    }
    for note in notes {
        console.line(format_args!("note: {note}"))?;
    }
    for finding in findings {
        console.line(describe(finding))?;
    }
    let items: u64 = generations.iter().map(|generation| generation.items).sum();
    let path = path.display();
    match findings.len() {
        0 => console
            .line(format_args!("{path}: nothing is damaged; {} in the databases", counted(items, "item"))),
        count => console.line(format_args!("{path}: {}", counted(count as u64, "finding"))),
    }
}

fn describe(Finding { place, item, problem }: &Finding) -> String {
    match item {
        Some(item) => format!("damaged: {place}: item {} of {}: {problem}", item.id, item.workflow),
        None => format!("damaged: {place} {problem}"),
    }
}

/// The report as JSON.
#[derive(Serialize)]
struct Document<'a> {
    path: String,
    generations: Vec<GenerationDocument<'a>>,
    log: Option<LogDocument>,
    notes: &'a [String],
    findings: Vec<FindingDocument<'a>>,
}

#[derive(Serialize)]
struct GenerationDocument<'a> {
    path: &'a str,
    items: u64,
    documents: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct LogDocument {
    records: u64,
    changes: u64,
    bytes: u64,
    torn: Option<TornDocument>,
}

#[derive(Serialize)]
struct TornDocument {
    record: u64,
    bytes: usize,
}

#[derive(Serialize)]
struct FindingDocument<'a> {
    path: &'a str,
    workflow: Option<&'a str>,
    id: Option<&'a str>,
    problem: &'a str,
}

impl<'a> Document<'a> {
    fn of(path: &Path, report: &'a Report) -> Self {
        let generation = |held: &'a GenerationHeld| {
            let GenerationHeld { place, items, documents, bytes } = held;
            GenerationDocument { path: place, items: *items, documents: *documents, bytes: *bytes }
        };
        let finding = |finding: &'a Finding| FindingDocument {
            path: &finding.place,
            workflow: finding.item.as_ref().map(|item| &*item.workflow),
            id: finding.item.as_ref().map(|item| &*item.id),
            problem: &finding.problem,
        };
        Self {
            path: Plain(path.display()).to_string(),
            generations: report.generations.iter().map(generation).collect(),
            log: report.log.map(|LogHeld { records, changes, bytes, torn }| LogDocument {
                records,
                changes,
                bytes,
                torn: torn.map(|(record, bytes)| TornDocument { record, bytes }),
            }),
            notes: &report.notes,
            findings: report.findings.iter().map(finding).collect(),
        }
    }
}
