//! The machine of a run, for the documents.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::failure::Failure;
use super::prose::wrapped;

const SYNCS: usize = 200;
const BLOCK: usize = 4 * 1024;

/// Properties that influence the figures; none that identify the machine.
pub struct Machine {
    rows: Vec<(&'static str, String)>,
    /// How many of its processors were busy with other work before the run.
    busy: f64,
    processors: usize,
}

impl Machine {
    /// Looks at the machine, and how fast the disk under `directory` syncs.
    pub fn look(directory: &Path) -> Result<Self, Failure> {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = value(&processors, "model name").unwrap_or("unknown processor");
        let count = processors.lines().filter(|line| line.starts_with("processor")).count();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory =
            value(&memory, "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("unknown");
        let compiler = Command::new("rustc").arg("--version").output();
        let compiler = compiler.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let compiler = compiler.unwrap_or_default();
        let syncs = syncs_per_second(directory)?;
        let rows = vec![
            ("date", chrono::Utc::now().format("%Y-%m-%d").to_string()),
            ("processors", format!("{count} × {model}, shared with the load generator")),
            ("memory", format!("{:.0} GiB", memory.unwrap_or_default() / f64::from(1 << 20))),
            ("kernel", format!("Linux {}", kernel())),
            ("file system", file_system(directory)),
            ("disk", format!("{syncs:.0} `fdatasync` of 4 KiB a second on one thread")),
            ("other work", format!("load average (1 min) before the run: {load}")),
            ("compiler", compiler.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()),
            ("Process Warden", format!("{}, sled 0.34.7", env!("CARGO_PKG_VERSION"))),
        ];
        Ok(Self { rows, busy: load.parse().unwrap_or_default(), processors: count })
    }

    /// A warning, if there was so much other work that the figures say little.
    pub fn caution(&self) -> String {
        match self.busy > self.processors as f64 / 4.0 {
            true => {
                wrapped(
                    "**The machine was busy with other work during this run**, see the load average below. \
                     Rates are lower and latencies higher than on an idle machine, and ratios may differ. \
                     Repeat the run on an idle machine before you draw conclusions.",
                    "",
                ) + "\n"
            }
            false => String::new(),
        }
    }

    /// As a table.
    pub fn markdown(&self) -> String {
        let rows = self.rows.iter().map(|(name, value)| format!("| {name} | {value} |\n"));
        format!("| what | |\n|---|---|\n{}", rows.collect::<String>())
    }
}

/// The value behind the first line that begins with `name`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// Its version without what distributors append.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().split('-').next().unwrap_or_default().to_owned()
}

/// That of the longest mount point above `directory`.
fn file_system(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let found = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        directory.starts_with(point).then(|| (point.len(), kind.to_owned()))
    });
    // The last one of a point covers those before.
    found.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".into(), |(_, kind)| kind)
}

/// How many times a second one thread can write a block over and sync it, in a file that has its whole length
/// already.
pub fn syncs_per_second(directory: &Path) -> Result<f64, Failure> {
    let syncing = |error| Failure::system("trying how fast the disk syncs")(error);
    let path = directory.join("sync-probe");
    let mut file = File::create(&path).map_err(syncing)?;
    file.write_all(&vec![0; SYNCS * BLOCK]).and_then(|()| file.sync_all()).map_err(syncing)?;
    file.rewind().map_err(syncing)?;
    let began = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[0x5a; BLOCK]).map_err(syncing)?;
        file.sync_data().map_err(syncing)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    fs::remove_file(&path).map_err(syncing)?;
    Ok(SYNCS as f64 / seconds)
}
