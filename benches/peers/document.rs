//! `docs/benchmarks.md`, the whole of it, as a run has seen it.

use std::fmt::Write;
use std::fs;

use crate::deadline::{CONNECTIONS, Latencies, Told, milliseconds};
use crate::load::{Failure, text, thousands, wrapped};
use crate::peer::PeerKind;
use crate::report::{Row, Rows, Seen};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md");

const HEAD: &str = "\
# Beside its peers

What a durable create costs here and elsewhere. This page is written by the bench itself; whoever runs it whole replaces it:

    cargo bench --bench peers

The peers come from Debian's packages (`postgresql`, `redis-server`, `beanstalkd`); one that is not installed is skipped.
How the bench works and what can be set is at its head, in `benches/peers/main.rs`. Where the daemon's own time goes is in
[`performance.md`](performance.md), how it grows in [`growth.md`](growth.md).

";

const READING: &str = "\
## How to read it

An item is one create or one close. The generator is one thread on the same machine; each connection sends its next request when
the last one is answered, so that rates are those of a saturated server and latencies are what it costs to share it. Every answer
that counts as done was sent after the sync that makes it true, but for `noop`, which keeps nothing. Peers are driven in turn,
round after round, all of them running; a rate is the median of the rounds, and a ratio is the median of the ratios of rounds that
were neighbours, which is why it is not exactly the quotient of two rates. What else the machine does, and what a peer does
behind its answers, falls on all of them.

The peers do less than the daemon: they hold a payload by its name with a deadline beside it, in a protocol that is leaner than
HTTP. They know nothing of workflows, of late duplicates, of who is to be told, and they set no timer. The daemon counts open
items, recognises a create that comes twice, sets a timer for each and keeps a record of what was closed.
";

/// Writes it.
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
        "Payloads of 1 KiB where nothing else is said; medians of {} rounds of {:?} for each peer. A ratio is the daemon's rate to \
         that of the peer.",
        settings.rounds, settings.round
    );
    page.push_str(&wrapped(&conditions, ""));
    page.push('\n');
    page.push_str("| what | peer | items/s | p50, ms | p99, ms | ratio |\n|---|---|---:|---:|---:|---:|\n");
    for rows in &seen.rows {
        page.push_str(&figures(rows));
    }
    page.push_str("\n## From the deadline to the webhook\n\n");
    page.push_str(&told(&seen.told));
    page.push_str("\n## The machine\n\n");
    page.push_str(&seen.machine.markdown());
    for (kind, installed) in &seen.peers {
        if let (Ok(installed), false) = (installed, matches!(kind, PeerKind::Warden | PeerKind::Noop)) {
            let _ = writeln!(page, "| {} | {} |", kind.name(), installed.version);
        }
    }
    page.push_str("\n## How each is run\n\n");
    page.push_str("All listen on TCP on loopback and keep their data on the same file system.\n\n");
    for (kind, _) in &seen.peers {
        page.push_str(&wrapped(&format!("- **{}**: {}", kind.name(), kind.configuration()), "  "));
    }
    page.push('\n');
    page.push_str(READING);
    page
}

/// How the daemon is to do beside a peer: the ratio of their rates in a cell.
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

/// A table of what was to be reached.
fn goals(seen: &Seen<'_>) -> String {
    let mut table = "| goal | wanted | seen | |\n|---|---:|---:|---|\n".to_owned();
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
            "p99 from the deadline to the webhook while creates run",
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
            "{} items of 100 bytes are open{asked}. One item at a time, in a workflow of its own with a `group_wait` of 0, is \
             forgotten: from the deadline that the daemon has answered with to the moment at which the receiver has the whole \
             notification. What lies between is the timer, a look at the item, the commit of the incident with its \
             notification, and the post. Deadlines are whole milliseconds. No peer does this by itself.",
            thousands(*open as f64)
        ),
        "",
    );
    section.push_str("\n| meanwhile | items | p50, ms | p99, ms | max, ms |\n|---|---:|---:|---:|---:|\n");
    let mut row = |name: String, latencies: &Latencies| {
        let [p50, p99, max] = [latencies.p50, latencies.p99, latencies.max].map(milliseconds);
        let _ = writeln!(section, "| {name} | {} | {p50:.1} | {p99:.1} | {max:.1} |", latencies.count);
    };
    row("nothing".into(), quiet);
    let rate = thousands(creates.items_per_second);
    row(format!("{CONNECTIONS} connections create, {rate} items/s"), loaded);
    section
}
