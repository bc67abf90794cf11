//! The results, and the printed table: a row for each cell and peer.

use crate::deadline::Told;
use crate::load::{Kind, Machine, Measurement, Settings, Workload, median};
use crate::peer::{Installed, PeerKind};

/// All that a run has seen.
pub struct Seen<'a> {
    pub settings: &'a Settings,
    pub machine: Machine,
    pub peers: Vec<(PeerKind, Result<Installed, String>)>,
    pub rows: Vec<Rows>,
    pub told: Told,
}

/// One cell.
pub struct Rows {
    pub name: String,
    pub workload: Workload,
    pub connections: usize,
    pub rows: Vec<Row>,
    /// Peers that were not measured, and why.
    pub skipped: Vec<(PeerKind, String)>,
    /// Syncs per second of the bare disk between the rounds, for the cell that is compared with them.
    pub syncs: Option<f64>,
}

/// The rounds of one peer in one cell.
pub struct Row {
    pub peer: PeerKind,
    pub measurements: Vec<Measurement>,
}

impl Rows {
    /// What is done in this cell, for people.
    pub fn title(&self) -> String {
        let Workload { batch, kind, payload } = self.workload;
        let what = match kind {
            Kind::Pair => "create and close pairs",
            Kind::Create | Kind::Close => "creates",
        };
        let size = match payload {
            1024 => String::new(),
            16_384 => " of 16 KiB".into(),
            payload => format!(" of {payload} bytes"),
        };
        let connections = match self.connections {
            1 => "1 connection".to_owned(),
            connections => format!("{connections} connections"),
        };
        match batch {
            None => format!("{what}{size}, {connections}"),
            Some(items) => format!("batches of {items} {what}{size}, {connections}"),
        }
    }

    /// The daemon's rate to that of a peer, each round with its neighbour.
    pub fn ratio_to(&self, peer: PeerKind) -> Option<f64> {
        let of = |kind| self.rows.iter().find(|row| row.peer == kind);
        let (warden, other) = (of(PeerKind::Warden)?, of(peer)?);
        let pairs = warden.measurements.iter().zip(&other.measurements);
        Some(median(pairs.map(|(warden, other)| warden.items_per_second / other.items_per_second)))
    }
}

impl Row {
    pub fn rate(&self) -> f64 {
        median(self.measurements.iter().map(|measurement| measurement.items_per_second))
    }

    /// In milliseconds, of requests.
    pub fn p50(&self) -> f64 {
        median(self.measurements.iter().map(|measurement| measurement.p50.as_secs_f64() * 1e3))
    }

    /// In milliseconds, of requests.
    pub fn p99(&self) -> f64 {
        median(self.measurements.iter().map(|measurement| measurement.p99.as_secs_f64() * 1e3))
    }

    pub fn shed(&self) -> u64 {
        self.measurements.iter().map(|measurement| measurement.errors).sum()
    }
}

/// Prints under which conditions the figures are taken, and the columns' names.
pub fn print_head(settings: &Settings) {
    println!(
        "medians of {} rounds of {:?}; an item is one create or one close; latencies are those of requests; \
         a ratio is the daemon's rate to that of the peer",
        settings.rounds, settings.round
    );
    println!(
        "{:<24} {:<10} {:>10} {:>11} {:>11} {:>6} {:>6}",
        "cell", "peer", "items/s", "p50", "p99", "shed", "ratio"
    );
}

/// Prints the rows of one cell.
pub fn print_rows(rows: &Rows) {
    for row in &rows.rows {
        let ratio = match row.peer {
            PeerKind::Warden => String::new(),
            peer => rows.ratio_to(peer).map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        };
        let (p50, p99) = (format!("{:.3} ms", row.p50()), format!("{:.3} ms", row.p99()));
        println!(
            "{:<24} {:<10} {:>10.0} {p50:>11} {p99:>11} {:>6} {ratio:>6}",
            rows.name,
            row.peer.name(),
            row.rate(),
            row.shed(),
        );
    }
    for (peer, reason) in &rows.skipped {
        println!("{:<24} {:<10} skipped: {reason}", rows.name, peer.name());
    }
}
