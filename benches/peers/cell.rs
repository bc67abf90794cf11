//! The cells of the table and their measurement: the peers in turn, round after round.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::load::{
    Failure, Ids, Kind, Machine, Measurement, Settings, Workload, median, syncs_per_second, text,
};
use crate::peer::{Installed, Peer, PeerKind};
use crate::report::{self, Row, Rows, Seen};
use crate::{deadline, document};

const KIB: usize = 1024;
const CONNECTIONS_MOST: usize = 256;
const BATCH: usize = 1_000;
/// A peer that syncs for each item may sync slowly.
const BATCH_SMOKE: usize = 50;
const BATCH_CONNECTIONS: usize = 4;

/// A workload at a number of connections.
struct Cell {
    name: String,
    workload: Workload,
    connections: usize,
}

/// Measures every cell that the settings choose, prints the table, and after a whole run writes the document.
pub fn measure_all(settings: &Settings) -> Result<(), Failure> {
    let kinds = PeerKind::chosen()?;
    let chosen: Vec<Cell> =
        cells(settings.smoke).into_iter().filter(|cell| is_chosen(cell, settings)).collect();
    let deadline = settings.chooses(deadline::NAME) && kinds.contains(&PeerKind::Warden);
    if chosen.is_empty() && !deadline {
        let names =
            cells(settings.smoke).into_iter().map(|cell| cell.name).chain([deadline::NAME.to_owned()]);
        let names: Vec<String> = names.collect();
        return Err(Failure::Settings(format!("BENCH_ONLY chooses no cell; there are {}", names.join(", "))));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))?;
    let ids = Arc::new(Ids::new());
    let machine = Machine::look(&settings.directory)?;
    let peers: Vec<_> = kinds.iter().map(|kind| (*kind, Installed::find(*kind))).collect();
    report::print_head(settings);
    let mut seen = Vec::new();
    for cell in &chosen {
        let rows = measure(cell, &peers, settings, &runtime, &ids)?;
        report::print_rows(&rows);
        seen.push(rows);
    }
    let told = match deadline {
        true => Some(deadline::measure(settings, &runtime, &ids)?),
        false => None,
    };
    let whole = !settings.smoke && settings.only.is_empty() && text("BENCH_PEER").is_none();
    match told {
        Some(told) if whole => document::write(&Seen { settings, machine, peers, rows: seen, told }),
        _ => Ok(()),
    }
}

fn cells(smoke: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (mix, kind) in [("create", Kind::Create), ("pair", Kind::Pair)] {
        for connections in [1, 16, CONNECTIONS_MOST] {
            let workload = Workload { batch: None, kind, payload: KIB };
            cells.push(Cell { name: format!("{mix}-{connections}"), workload, connections });
        }
    }
    for payload in [100, 16 * KIB] {
        let workload = Workload { batch: None, kind: Kind::Create, payload };
        let name = format!("create-{CONNECTIONS_MOST}-of-{payload}");
        cells.push(Cell { name, workload, connections: CONNECTIONS_MOST });
    }
    for (mix, kind) in [("batch-create", Kind::Create), ("batch-pair", Kind::Pair)] {
        let batch = Some(if smoke { BATCH_SMOKE } else { BATCH });
        let workload = Workload { batch, kind, payload: KIB };
        let name = format!("{mix}-{BATCH_CONNECTIONS}");
        cells.push(Cell { name, workload, connections: BATCH_CONNECTIONS });
    }
    cells
}

fn is_chosen(cell: &Cell, settings: &Settings) -> bool {
    let light = cell.workload.kind == Kind::Pair && cell.connections <= 16;
    settings.chooses(&cell.name) && (light || !settings.smoke)
}

fn measure(
    cell: &Cell,
    peers: &[(PeerKind, Result<Installed, String>)],
    settings: &Settings,
    runtime: &Runtime,
    ids: &Arc<Ids>,
) -> Result<Rows, Failure> {
    let mut running: Vec<(Peer, Row)> = Vec::new();
    let mut skipped = Vec::new();
    for (kind, installed) in peers {
        let reason = match (installed, kind.objection(cell.workload)) {
            (Ok(installed), None) => {
                let peer = installed.start(settings, runtime)?;
                running.push((peer, Row { peer: *kind, measurements: Vec::new() }));
                continue;
            }
            (Err(reason), _) => reason.clone(),
            (_, Some(objection)) => objection,
        };
        skipped.push((*kind, reason));
    }
    let drive = |peer: &Peer, length| -> Result<Measurement, Failure> {
        peer.drive(cell.workload, cell.connections, length, runtime, ids)
    };
    for (peer, _) in &running {
        // Not counted: it warms caches and makes the workflow.
        drive(peer, settings.round / 5)?;
    }
    let mut syncs = Vec::new();
    for _ in 0..settings.rounds {
        for (peer, row) in &mut running {
            row.measurements.push(drive(peer, settings.round)?);
        }
        if cell.name == document::BESIDE_SYNCS {
            syncs.push(syncs_per_second(&settings.directory)?);
        }
    }
    let mut rows = Vec::new();
    for (peer, row) in running {
        peer.stop()?;
        rows.push(row);
    }
    let (name, connections, workload) = (cell.name.clone(), cell.connections, cell.workload);
    let syncs = (!syncs.is_empty()).then(|| median(syncs.into_iter()));
    Ok(Rows { name, workload, connections, rows, skipped, syncs })
}
