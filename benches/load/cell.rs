//! The cells of the table, and how each is measured: the peers in turn, round after round.

use std::fs;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::failure::Failure;
use super::peer::{Peer, PeerKind};
use super::report::{self, Row};
use super::round::{self, Measurement};
use super::script::{Ids, Workload};
use super::settings::Settings;
use super::{recovery, storm};

const KIB: usize = 1024;

/// A workload at a number of connections.
struct Cell {
    name: String,
    workload: Workload,
    connections: usize,
}

/// Measures every cell that the settings choose and prints the table.
pub fn measure_all(settings: &Settings) -> Result<(), Failure> {
    let chosen: Vec<Cell> = cells().into_iter().filter(|cell| is_chosen(cell, settings)).collect();
    let wanted = |name| settings.only.is_empty() || settings.only.iter().any(|word| word == name);
    let (storm, recovery) = (wanted(storm::NAME), wanted(recovery::NAME));
    if chosen.is_empty() && !storm && !recovery {
        let more = [storm::NAME, recovery::NAME].map(str::to_owned);
        let names = cells().into_iter().map(|cell| cell.name).chain(more);
        let names: Vec<String> = names.collect();
        return Err(Failure::Settings(format!("BENCH_ONLY chooses no cell; there are {}", names.join(", "))));
    }
    fs::create_dir_all(&settings.directory).map_err(Failure::system("making BENCH_DIR"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting the runtime"))?;
    let ids = Arc::new(Ids::new());
    report::print_head(settings);
    for cell in &chosen {
        measure(cell, settings, &runtime, &ids)?;
    }
    if storm && settings.peers.contains(&PeerKind::Warden) {
        storm::measure(settings, &runtime, &ids)?;
    }
    if recovery && settings.peers.contains(&PeerKind::Warden) {
        recovery::measure(settings, &runtime)?;
    }
    Ok(())
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (mix, closes) in [("create", false), ("pair", true)] {
        for connections in [1, 64, 256] {
            let workload = Workload { batch: None, closes, payload: KIB };
            cells.push(Cell { name: format!("{mix}-{connections}"), workload, connections });
        }
    }
    for (mix, closes) in [("batch-create", false), ("batch-pair", true)] {
        for payload in [KIB, 100] {
            for items in [1_000, 10_000] {
                for connections in [1, 4, 16] {
                    let workload = Workload { batch: Some(items), closes, payload };
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
    let wanted =
        settings.only.is_empty() || settings.only.iter().any(|word| cell.name.starts_with(word.as_str()));
    wanted && (light || !settings.smoke)
}

fn measure(cell: &Cell, settings: &Settings, runtime: &Runtime, ids: &Arc<Ids>) -> Result<(), Failure> {
    let mut peers = Vec::new();
    for kind in &settings.peers {
        peers.push((Peer::start(*kind, &settings.directory)?, Vec::<Measurement>::new()));
    }
    let run = |peer: &Peer, length| {
        runtime
            .block_on(round::run(peer.address(), cell.workload, cell.connections, length, ids))
            .map_err(|failure| peer.blame(failure))
    };
    for (peer, _) in &peers {
        // Not counted: it warms caches and makes the workflow.
        run(peer, settings.round / 5)?;
    }
    for _ in 0..settings.rounds {
        for (peer, measurements) in &mut peers {
            measurements.push(run(peer, settings.round)?);
        }
    }
    let mut rows = Vec::new();
    for (peer, measurements) in peers {
        rows.push(Row { peer: peer.kind(), measurements });
        peer.stop()?;
    }
    report::print_rows(&cell.name, &rows);
    Ok(())
}
