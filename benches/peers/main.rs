//! The daemon compared with PostgreSQL, Redis and beanstalkd.
//!
//! `cargo bench --bench peers` starts each peer as a process of its own, on loopback and an empty directory
//! of the same file system, and drives them in turn, in short rounds, with the same payloads, numbers of
//! connections and durability: every answer comes after its sync.
//!
//! - `warden`: the daemon, over HTTP;
//! - `noop`: an axum handler that reads the body and answers, which measures HTTP alone;
//! - `postgres`: PostgreSQL, an insert and a delete by primary key in a table with an index of deadlines;
//! - `redis`: Redis with `appendfsync always`, a hash of payloads and a sorted set of deadlines, in one
//!   script;
//! - `beanstalkd`: a work queue with `-f 0`, jobs with a delay for a deadline.
//!
//! A peer that is not installed is skipped, and the table says so. The generator is the same for all: one
//! thread, a closed loop, messages rendered once and stamped, and each peer's own protocol over a socket, so
//! that no client library is measured. A ratio is the median over the rounds of the daemon to the peer, each
//! with the adjacent round.
//!
//! `BENCH_ONLY=deadline` measures the latency from the deadline to the webhook alone, with a million other
//! items open, without load and while creates run.
//!
//! A whole run writes `docs/benchmarks.md`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `BENCH_SECONDS` | seconds of load for a cell and peer, all its rounds together | 5 |
//! | `BENCH_ROUNDS` | rounds into which these seconds are divided | 5 |
//! | `BENCH_ONLY` | run only the cells whose name starts with one of these (`create-256,pair`) | all |
//! | `BENCH_PEER` | only these (`warden,redis`) | all |
//! | `BENCH_OPEN` | items that are open while it is measured how soon somebody is told | 1000000 |
//! | `BENCH_DIR` | where data directories are made; must not be a tmpfs, and other users must be able to enter it | the target directory |
//! | `BENCH_SMOKE` | `1`: a moment of each of the lighter cells, to see that everything works | off |
//!
//! Variables `WARDEN_…` reach the daemon, so that settings can be measured.

mod beanstalkd;
mod cell;
mod deadline;
mod document;
mod installed;
#[path = "../load/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each bench needs a part of it")]
mod load;
mod peer;
mod postgres;
mod redis;
mod report;
mod template;
mod wire;

use std::process::ExitCode;

// The daemon's own allocator, for the peer that does nothing and for the generator alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    load::begin(cell::measure_all)
}
