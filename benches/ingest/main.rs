//! How fast items go in, against an HTTP server of the same make that does nothing.
//!
//! `cargo bench --bench ingest` starts two peers as processes of their own and drives both with the same load
//! generator, in turn, in short rounds, on the same machine in the same minute:
//!
//! - `warden`: the daemon, its sled engine in a fresh directory for each cell; every 2xx is durable;
//! - `noop`: an axum handler that reads the body and answers (this program, executing itself again), with the
//!   same allocator and the same runtime. It is what the network, HTTP and the generator cost by themselves.
//!
//! The ratio is the median over the rounds of warden to noop, each round with its neighbour, so that what
//! else the machine does falls on both sides. The load is closed-loop: a connection sends its next request
//! when the last one is answered, so latencies are those of a saturated server, not of one at a given rate.
//!
//! At last comes the storm (`BENCH_ONLY=storm` alone): a million items fall overdue in one second, while
//! creates and closes go on; it prints what that does to their latencies, and how soon somebody is told.
//!
//! And the recovery (`BENCH_ONLY=recovery` alone): a million overdue items are claimed, replayed and
//! exported.
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
//! What is set in `WARDEN_…` reaches the daemon, so that a setting can be measured.

mod cell;
#[path = "../load/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each bench needs a part of it")]
mod load;
mod peer;
mod recovery;
mod report;
mod storm;

use std::process::ExitCode;

// The daemon's own allocator, for the peer that does nothing and for the generator alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    load::begin(cell::measure_all)
}
