//! The cells of the table and their measurement: the peers in turn, round after round.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::load::{self, Failure, HttpClient, Ids, Kind, Measurement, Server, Settings, Workload};
use crate::peer::PeerKind;
use crate::report::{self, Row};
use crate::{recovery, runs, steps, storm};

const KIB: usize = 1024;

/// A workload at a number of connections.
struct Cell {
    name: String,
    workload: Workload,
    connections: usize,
}

/// Measures every cell that the settings choose and prints the table.
pub fn measure_all(settings: &Settings) -> Result<(), Failure> {
    let kinds = PeerKind::chosen()?;
    let chosen: Vec<Cell> = cells().into_iter().filter(|cell| is_chosen(cell, settings)).collect();
    let wanted = |name| settings.only.is_empty() || settings.only.iter().any(|word| word == name);
    let (storm, recovery) = (wanted(storm::NAME), wanted(recovery::NAME));
    let (steps, runs) = (wanted(steps::NAME), wanted(runs::NAME));
    if chosen.is_empty() && !storm && !recovery && !steps && !runs {
        let more = [storm::NAME, recovery::NAME, steps::NAME, runs::NAME].map(str::to_owned);
        let names = cells().into_iter().map(|cell| cell.name).chain(more);
        let names: Vec<String> = names.collect();
        return Err(Failure::Settings(format!("BENCH_ONLY chooses no cell; there are {}", names.join(", "))));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))?;
    let ids = Arc::new(Ids::new());
    report::print_head(settings);
    for cell in &chosen {
        measure(cell, &kinds, settings, &runtime, &ids)?;
    }
    if storm && kinds.contains(&PeerKind::Warden) {
        storm::measure(settings, &runtime, &ids)?;
    }
    if recovery && kinds.contains(&PeerKind::Warden) {
        recovery::measure(settings, &runtime)?;
    }
    if steps && kinds.contains(&PeerKind::Warden) {
        steps::measure(settings, &runtime)?;
    }
    if runs && kinds.contains(&PeerKind::Warden) {
        runs::measure(settings, &runtime)?;
    }
    Ok(())
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (mix, kind) in [("create", Kind::Create), ("pair", Kind::Pair)] {
        for connections in [1, 64, 256] {
            let workload = Workload { batch: None, kind, payload: KIB };
            cells.push(Cell { name: format!("{mix}-{connections}"), workload, connections });
        }
    }
    for (mix, kind) in [("batch-create", Kind::Create), ("batch-pair", Kind::Pair)] {
        for payload in [KIB, 100] {
            for items in [1_000, 10_000] {
                for connections in [1, 4, 16] {
                    let workload = Workload { batch: Some(items), kind, payload };
                    let name = format!("{mix}-{items}x{payload}-{connections}");
                    cells.push(Cell { name, workload, connections });
                }
            }
        }
    }
    cells
}

fn is_chosen(cell: &Cell, settings: &Settings) -> bool {
    let light = cell.connections <= 64 && cell.workload.items_per_request() <= 1_000;
    settings.chooses(&cell.name) && (light || !settings.smoke)
}

fn measure(
    cell: &Cell,
    kinds: &[PeerKind],
    settings: &Settings,
    runtime: &Runtime,
    ids: &Arc<Ids>,
) -> Result<(), Failure> {
    let mut peers = Vec::new();
    for kind in kinds {
        peers.push((kind.start(settings)?, *kind, Vec::<Measurement>::new()));
    }
    let run = |peer: &Server, length| {
        let measured = async {
            let clients = HttpClient::open_many(peer.address(), cell.workload, cell.connections).await?;
            load::run(clients, cell.workload.items_per_request(), length, ids).await
        };
        runtime.block_on(measured).map_err(|failure| peer.blame(failure))
    };
    for (peer, _, _) in &peers {
        // Not counted: it warms caches and makes the workflow.
        run(peer, settings.round / 5)?;
    }
    for _ in 0..settings.rounds {
        for (peer, _, measurements) in &mut peers {
            measurements.push(run(peer, settings.round)?);
        }
    }
    let mut rows = Vec::new();
    for (peer, kind, measurements) in peers {
        rows.push(Row { peer: kind, name: peer.name(), measurements });
        peer.stop()?;
    }
    report::print_rows(&cell.name, &rows);
    Ok(())
}
