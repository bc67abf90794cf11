//! Renders `docs/growth.md` from the results of a run.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use crate::churn::{self, Churned};
use crate::load::{Failure, Machine, Settings, text, thousands, wrapped};
use crate::size::{CLAIMANTS, CONNECTIONS, OVERDUE_SHARE, PAYLOAD, Size};
use crate::sizes::title;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/growth.md");

const HEAD: &str = "\
# Growth

Rates, start time, memory and disk by the number of open items. The bench writes this page:

";

const LARGEST: &str = "\
Ten million items are measured only on request (`GROWTH_ITEMS=10k,1M,10M`): they take a few minutes, four
gigabytes of disk and two of memory. Settings of the bench are described at the head of
`benches/growth/main.rs`.

";

const MILLION: usize = 1_000_000;

/// Writes the page.
pub fn write(
    machine: &Machine,
    settings: &Settings,
    sizes: &[Size],
    churned: &Churned,
) -> Result<(), Failure> {
    fs::write(PATH, render(machine, settings, sizes, churned))
        .map_err(Failure::system("writing docs/growth.md"))?;
    println!("\nwritten to docs/growth.md");
    Ok(())
}

fn render(machine: &Machine, settings: &Settings, sizes: &[Size], churned: &Churned) -> String {
    let mut page = HEAD.to_owned();
    let asked = text("GROWTH_ITEMS").map(|list| format!("GROWTH_ITEMS={list} ")).unwrap_or_default();
    let _ = writeln!(page, "    {asked}cargo bench --bench growth\n");
    page.push_str(LARGEST);
    page.push_str(&machine.caution());
    page.push_str("## Goals\n\n");
    page.push_str(&goals(sizes, churned));
    page.push_str("\n## By size\n\n");
    page.push_str(&by_size(sizes));
    page.push('\n');
    let conditions = format!(
        "Items have {PAYLOAD} bytes and are created in batches; one of {OVERDUE_SHARE} is overdue (more at \
         the smallest size). Then the daemon is killed and started with default settings. The start is the \
         time until it prints the address it listens on, which is after recovery, with the files in the page \
         cache. Creates and closes are medians of {} rounds of {:?} with {CONNECTIONS} connections in a \
         closed loop; items created in a round are closed after it. A list is the first page of fifty, \
         requested by one client. Claims are of one item at a time, by {CLAIMANTS} claimants; the first ones \
         are made by one, right after the start. Memory is resident memory. Payloads are small compared with \
         the rest of an item (name, record, timer), so the ratio of disk to payloads says less here than \
         below.",
        settings.rounds, settings.round
    );
    page.push_str(&wrapped(&conditions, ""));
    page.push_str("\n## Churn\n\n");
    page.push_str(&churn(churned));
    page.push('\n');
    let conditions = format!(
        "{} open items of {} bytes are replaced by new ones, over and over, in batches of two thousand \
         alternating creates and closes. {:?} after the last one, without load, the disk was {} MiB. As many \
         records of closed items are kept as items are open (`retention_max`), so the amount is constant \
         once all were replaced. Disk figures exclude that of a daemon without items: {} MiB, nearly all of \
         it ballast.",
        title(churned.items),
        churn::PAYLOAD,
        churn::REST,
        thousands((churned.rested >> 20) as f64),
        churned.empty >> 20
    );
    page.push_str(&wrapped(&conditions, ""));
    page.push_str("\n## The machine\n\n");
    page.push_str(&machine.markdown());
    page
}

/// The table of goals.
fn goals(sizes: &[Size], churned: &Churned) -> String {
    let mut table = "| goal | target | measured | |\n|---|---:|---:|---|\n".to_owned();
    let mut row = |goal: String, wanted: &str, seen: Option<(String, bool)>| {
        let (seen, verdict) = match seen {
            Some((seen, true)) => (seen, "met"),
            Some((seen, false)) => (seen, "missed"),
            None => (String::new(), "not measured"),
        };
        let _ = writeln!(table, "| {goal} | {wanted} | {seen} | {verdict} |");
    };
    if let (Some(first), Some(last)) = (sizes.first(), sizes.last()) {
        let rates = [
            ("creates", 0.67, last.creates_per_second / first.creates_per_second),
            ("closes", 0.67, last.closes_per_second / first.closes_per_second),
            ("lists", 0.67, first.list_p50.as_secs_f64() / last.list_p50.as_secs_f64()),
            ("claims", 0.80, last.overdue_claims_per_second / first.overdue_claims_per_second),
        ];
        for (what, least, ratio) in rates {
            let goal = format!("rate of {what}, {} to {}", title(last.items), title(first.items));
            row(goal, &format!("at least {least:.2}"), Some((format!("{ratio:.2}"), ratio >= least)));
        }
    }
    for (items, seconds, wanted) in [(MILLION, 3.0, "at most 3 s"), (10 * MILLION, 14.0, "at most 14 s")] {
        let seen = sizes.iter().find(|size| size.items == items).map(|size| size.start.as_secs_f64());
        let seen = seen.map(|took| (format!("{took:.1} s"), took <= seconds));
        row(format!("start with {}", title(items)), wanted, seen);
    }
    let memory = sizes.iter().find(|size| size.items == 10 * MILLION).map(|size| size.memory_loaded);
    let memory = memory.map(|mebibytes| (format!("{} MiB", thousands(mebibytes as f64)), mebibytes <= 1475));
    row("resident memory with 10 million".into(), "at most 1,475 MiB", memory);
    let most = churned.turnovers.iter().map(|turnover| turnover.ratio).fold(0.0, f64::max);
    row("disk / payloads under churn".into(), "at most 1.5", Some((format!("{most:.1}"), most <= 1.5)));
    table
}

/// How a row shows a size.
type Cell<'a> = &'a dyn Fn(&Size) -> String;

fn by_size(sizes: &[Size]) -> String {
    let mut table = "| open items |".to_owned();
    for size in sizes {
        let _ = write!(table, " {} |", title(size.items));
    }
    table.push_str("\n|---|");
    table.push_str(&"---:|".repeat(sizes.len()));
    table.push('\n');
    let rate = |rate: f64| thousands(rate);
    let millis = |took: Duration| format!("{:.2} ms", took.as_secs_f64() * 1e3);
    let rows: [(&str, Cell); 15] = [
        ("creates a second", &|size| rate(size.creates_per_second)),
        ("closes a second", &|size| rate(size.closes_per_second)),
        ("claims of overdue items a second", &|size| rate(size.overdue_claims_per_second)),
        ("claims of open items a second", &|size| rate(size.open_claims_per_second)),
        ("first claim of an overdue item", &|size| millis(size.first_overdue)),
        ("first claim of an open item", &|size| millis(size.first_open)),
        ("list of the oldest overdue, p50", &|size| millis(size.list_p50)),
        ("list of the oldest overdue, p99", &|size| millis(size.list_p99)),
        ("start to ready", &|size| format!("{:.2} s", size.start.as_secs_f64())),
        ("overdue items counted, after that", &|size| format!("{:.2} s", size.counted.as_secs_f64())),
        ("resident after the start", &|size| format!("{} MiB", thousands(size.memory_idle as f64))),
        ("resident at the end", &|size| format!("{} MiB", thousands(size.memory_loaded as f64))),
        ("disk", &|size| format!("{} MiB", thousands((size.disk >> 20) as f64))),
        ("disk / payloads", &|size| format!("{:.1}", size.disk_ratio())),
        ("batch creates a second", &|size| rate(size.filled_per_second)),
    ];
    for (name, cell) in rows {
        let cells: String = sizes.iter().map(|size| format!(" {} |", cell(size))).collect();
        let _ = writeln!(table, "| {name} |{cells}");
    }
    table
}

fn churn(churned: &Churned) -> String {
    let mut table =
        "| replaced | items a second | longest batch | disk | disk / payloads | resident |\n".to_owned();
    table.push_str("|---|---:|---:|---:|---:|---:|\n");
    for (number, turnover) in churned.turnovers.iter().enumerate() {
        let replaced = match number {
            0 => "never".to_owned(),
            1 => "once".to_owned(),
            number => format!("{number} times"),
        };
        let _ = writeln!(
            table,
            "| {replaced} | {} | {} ms | {} MiB | {:.2} | {} MiB |",
            thousands(turnover.per_second),
            thousands(turnover.longest.as_secs_f64() * 1e3),
            thousands((turnover.disk >> 20) as f64),
            turnover.ratio,
            thousands(turnover.memory as f64)
        );
    }
    table
}
