//! The printed table: a row for each cell and peer.

use std::time::Duration;

use crate::load::{Measurement, Settings, median};
use crate::peer::PeerKind;

/// The rounds of one peer in one cell.
pub struct Row {
    pub peer: PeerKind,
    pub name: &'static str,
    pub measurements: Vec<Measurement>,
}

/// Prints under which conditions the figures are taken, and the columns' names.
pub fn print_head(settings: &Settings) {
    println!(
        "medians of {} rounds of {:?}; an item is one create or one close; latencies are those of requests",
        settings.rounds, settings.round
    );
    println!(
        "{:<28} {:<7} {:>10} {:>10} {:>10} {:>7} {:>6}",
        "cell", "peer", "items/s", "p50", "p99", "errors", "ratio"
    );
}

/// Prints the rows of one cell. The ratio stands at the daemon's.
pub fn print_rows(cell: &str, rows: &[Row]) {
    for row in rows {
        let measurements = &row.measurements;
        let rate = median(measurements.iter().map(|measurement| measurement.items_per_second));
        let p50 = median(measurements.iter().map(|measurement| measurement.p50.as_secs_f64()));
        let p99 = median(measurements.iter().map(|measurement| measurement.p99.as_secs_f64()));
        let errors: u64 = measurements.iter().map(|measurement| measurement.errors).sum();
        let ratio = match row.peer {
            PeerKind::Warden => ratio(rows).map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            PeerKind::Noop => String::new(),
        };
        println!(
            "{cell:<28} {:<7} {rate:>10.0} {:>10} {:>10} {errors:>7} {ratio:>6}",
            row.name,
            milliseconds(p50),
            milliseconds(p99),
        );
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", Duration::from_secs_f64(seconds).as_secs_f64() * 1e3)
}

/// The daemon's rate to that of the peer that does nothing, each round with its neighbour.
fn ratio(rows: &[Row]) -> Option<f64> {
    let of = |kind| rows.iter().find(|row| row.peer == kind);
    let (warden, noop) = (of(PeerKind::Warden)?, of(PeerKind::Noop)?);
    let pairs = warden.measurements.iter().zip(&noop.measurements);
    Some(median(pairs.map(|(warden, noop)| warden.items_per_second / noop.items_per_second)))
}
