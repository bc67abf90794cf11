//! The daemon compared with a no-op HTTP server.
//!
//! `cargo bench --bench ingest` starts two peers as processes of their own and drives both with the same load
//! generator, in turn, in short rounds, on the same machine:
//!
//! - `warden`: the daemon, with sled in a fresh directory for each cell; every 2xx is durable;
//! - `noop`: an axum handler that reads the body and answers (this program, executing itself again), with the
//!   same allocator and runtime. It measures the network, HTTP and the generator.
//!
//! The ratio is the median over the rounds of warden to noop, each with the adjacent round, so that other
//! load on the machine affects both. The load is closed-loop: a connection sends its next request when the
//! last one is answered, so latencies are those of a saturated server.
//!
//! `BENCH_ONLY=storm` runs the storm alone: a million items become overdue in one second during creates and
//! closes; it prints their latencies and the delay of the notification.
//!
//! `BENCH_ONLY=recovery` runs the recovery alone: a million overdue items are claimed, replayed and exported.
//!
//! `BENCH_ONLY=steps` runs the steps alone: workers take open items through four steps, beside items without.
//!
//! `BENCH_ONLY=runs` runs the runs alone: runs are opened and closed, beside items of a plain workflow.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `BENCH_SECONDS` | seconds of load for a cell and peer, all its rounds together | 5 |
//! | `BENCH_ROUNDS` | rounds into which these seconds are divided | 5 |
//! | `BENCH_ONLY` | run only the cells whose name starts with one of these (`create-256,pair`) | all |
//! | `BENCH_PEER` | `both`, `warden` or `noop` | both |
//! | `BENCH_DIR` | where data directories are made; must not be a tmpfs | the target directory |
//! | `BENCH_SMOKE` | `1`: a moment of each of the lighter cells, to see that everything works | off |
//!
//! Variables `WARDEN_…` reach the daemon, so that settings can be measured.

mod cell;
#[path = "../load/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each bench needs a part of it")]
mod load;
mod peer;
mod recovery;
mod report;
mod runs;
mod steps;
mod storm;

use std::process::ExitCode;

// The daemon's own allocator, for the peer that does nothing and for the generator alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    load::begin(cell::measure_all)
}
