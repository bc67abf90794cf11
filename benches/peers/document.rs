//! Renders `docs/benchmarks.md` from the results of a run.

use std::fmt::Write;
use std::fs;

use crate::deadline::{CONNECTIONS, Latencies, Told, milliseconds};
use crate::load::{Failure, text, thousands, wrapped};
use crate::peer::PeerKind;
use crate::report::{Row, Rows, Seen};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md");

const HEAD: &str = "\
# Comparison with peers

The cost of a durable create here and in other systems. The bench writes this page; a whole run replaces it:

    cargo bench --bench peers

The peers come from Debian packages (`postgresql`, `redis-server`, `beanstalkd`); one that is not installed is
skipped. Settings of the bench are described at the head of `benches/peers/main.rs`. How the daemon spends its
time is in [performance](performance.md), how it grows in [growth](growth.md).

";

const READING: &str = "\
## How to read it

An item is one create or one close. The load generator is one thread on the same machine. Each connection
sends its next request when the last one is answered (a closed loop), so rates and latencies are those of a
saturated server. Every counted answer was sent after its sync, except those of `noop`. All peers run, and
are driven in turn, round after round. A rate is the median of the rounds, and a ratio the median of the
ratios of adjacent rounds, so it is not exactly the quotient of two rates. Other load on the machine affects
all of them.

The peers do less than the daemon: they store a payload by its name with a deadline, in protocols that are
leaner than HTTP, and have no workflows, duplicate detection, notifications or timers. The daemon counts open
items, recognizes repeated creates, sets a timer for each item and keeps a record of closed ones.
";

/// Writes the page.
pub fn write(seen: &Seen<'_>) -> Result<(), Failure> {
    fs::write(PATH, render(seen)).map_err(Failure::system("writing docs/benchmarks.md"))?;
    println!("\nwritten to docs/benchmarks.md");
    Ok(())
}

fn render(seen: &Seen<'_>) -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&seen.machine.caution());
    page.push_str("## Goals\n\n");
    page.push_str(&goals(seen));
    page.push_str("\n## Figures\n\n");
    let settings = seen.settings;
    let conditions = format!(
        "Payloads of 1 KiB unless stated; medians of {} rounds of {:?} for each peer. A ratio is the \
         daemon's rate divided by that of the peer.",
        settings.rounds, settings.round
    );
    page.push_str(&wrapped(&conditions, ""));
    page.push('\n');
    page.push_str("| what | peer | items/s | p50, ms | p99, ms | ratio |\n|---|---|---:|---:|---:|---:|\n");
    for rows in &seen.rows {
        page.push_str(&figures(rows));
    }
    page.push_str("\n## Deadline to webhook\n\n");
    page.push_str(&told(&seen.told));
    page.push_str("\n## The machine\n\n");
    page.push_str(&seen.machine.markdown());
    for (kind, installed) in &seen.peers {
        if let (Ok(installed), false) = (installed, matches!(kind, PeerKind::Warden | PeerKind::Noop)) {
            let _ = writeln!(page, "| {} | {} |", kind.name(), installed.version);
        }
    }
    page.push_str("\n## How each is run\n\n");
    page.push_str("All listen on loopback TCP and keep their data on the same file system.\n\n");
    for (kind, _) in &seen.peers {
        page.push_str(&wrapped(&format!("- **{}**: {}", kind.name(), kind.configuration()), "  "));
    }
    page.push('\n');
    page.push_str(READING);
    page
}

/// The least ratio of the daemon's rate to that of a peer in a cell.
struct Goal {
    name: &'static str,
    peer: PeerKind,
    least: f64,
}

const fn goal(name: &'static str, peer: PeerKind, least: f64) -> Goal {
    Goal { name, peer, least }
}

const GOALS: &[Goal] = &[
    goal("create-256", PeerKind::Noop, 0.6),
    goal("pair-256", PeerKind::Noop, 0.7),
    goal("create-1", PeerKind::Postgres, 1.2),
    goal("create-16", PeerKind::Postgres, 2.0),
    goal("create-256", PeerKind::Postgres, 4.0),
    goal("batch-create-4", PeerKind::Postgres, 1.3),
    goal("create-1", PeerKind::Redis, 0.9),
    goal("create-16", PeerKind::Redis, 1.0),
    goal("create-256", PeerKind::Redis, 0.8),
    goal("pair-1", PeerKind::Redis, 1.0),
    goal("pair-16", PeerKind::Redis, 1.0),
    goal("pair-256", PeerKind::Redis, 1.0),
    goal("create-256-of-16384", PeerKind::Redis, 1.0),
];

/// The cell whose latency is compared with syncs of the bare disk.
pub const BESIDE_SYNCS: &str = "create-1";

/// The latency of that cell beyond a request of the no-op handler, in syncs of the bare disk.
fn beyond_a_sync(seen: &Seen<'_>) -> Option<f64> {
    let cell = seen.rows.iter().find(|rows| rows.name == BESIDE_SYNCS)?;
    let of = |kind| cell.rows.iter().find(|row| row.peer == kind).map(Row::p50);
    let milliseconds = of(PeerKind::Warden)? - of(PeerKind::Noop)?;
    Some(milliseconds / 1e3 * cell.syncs?)
}

/// The table of goals.
fn goals(seen: &Seen<'_>) -> String {
    let mut table = "| goal | target | measured | |\n|---|---:|---:|---|\n".to_owned();
    let mut row = |goal: &str, wanted: String, seen: Option<(String, bool)>| {
        let (seen, verdict) = match seen {
            Some((seen, true)) => (seen, "met"),
            Some((seen, false)) => (seen, "missed"),
            None => (String::new(), "skipped"),
        };
        let _ = writeln!(table, "| {goal} | {wanted} | {seen} | {verdict} |");
    };
    for Goal { name, peer, least } in GOALS {
        let Some(cell) = seen.rows.iter().find(|rows| rows.name == *name) else { continue };
        let ratio = cell.ratio_to(*peer).map(|ratio| (format!("{ratio:.2}"), ratio >= *least));
        row(&format!("{}, to {}", cell.title(), peer.name()), format!("at least {least}"), ratio);
    }
    let latencies = [
        (
            "a create on one connection beyond an empty request, in syncs of the bare disk",
            1.3,
            "",
            beyond_a_sync(seen),
        ),
        (
            "p99 from deadline to webhook while creates run",
            50.0,
            " ms",
            Some(milliseconds(seen.told.loaded.p99)),
        ),
    ];
    for (goal, most, unit, latency) in latencies {
        let latency = latency.map(|latency| (format!("{latency:.2}{unit}"), latency <= most));
        row(goal, format!("at most {most}{unit}"), latency);
    }
    table
}

fn figures(rows: &Rows) -> String {
    let title = rows.title();
    let mut lines = String::new();
    for row in &rows.rows {
        let Row { peer, .. } = row;
        let ratio = match peer {
            PeerKind::Warden => String::new(),
            peer => rows.ratio_to(*peer).map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        };
        let shed = match row.shed() {
            0 => String::new(),
            shed => format!(" ({shed} shed)"),
        };
        let (rate, p50, p99) = (thousands(row.rate()), row.p50(), row.p99());
        let _ =
            writeln!(lines, "| {title} | {} | {rate}{shed} | {p50:.2} | {p99:.2} | {ratio} |", peer.name());
    }
    for (peer, reason) in &rows.skipped {
        let _ = writeln!(lines, "| {title} | {} | skipped: {reason} | | | |", peer.name());
    }
    lines
}

fn told(told: &Told) -> String {
    let Told { open, quiet, loaded, creates } = told;
    let asked = if text("BENCH_OPEN").is_some() { " (`BENCH_OPEN`)" } else { "" };
    let mut section = wrapped(
        &format!(
            "{} items of 100 bytes are open{asked}. One item at a time, in a workflow of its own with a \
             `group_wait` of 0, is not closed. The latency is from its deadline, as the daemon reported it, \
             to the arrival of the whole notification at the receiver. It includes the timer, reading the \
             item, the commit of the incident with its notification, and the request. Deadlines are whole \
             milliseconds. No peer has this feature.",
            thousands(*open as f64)
        ),
        "",
    );
    section.push_str("\n| load | items | p50, ms | p99, ms | max, ms |\n|---|---:|---:|---:|---:|\n");
    let mut row = |name: String, latencies: &Latencies| {
        let [p50, p99, max] = [latencies.p50, latencies.p99, latencies.max].map(milliseconds);
        let _ = writeln!(section, "| {name} | {} | {p50:.1} | {p99:.1} | {max:.1} |", latencies.count);
    };
    row("none".into(), quiet);
    let rate = thousands(creates.items_per_second);
    row(format!("{CONNECTIONS} connections creating, {rate} items/s"), loaded);
    section
}
