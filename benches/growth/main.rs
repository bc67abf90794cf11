//! What the daemon costs and how fast it is, the more items are open.
//!
//! `cargo bench --bench growth` fills a daemon with items of 100 bytes, a tenth of them overdue, kills it and
//! starts it again, and measures at each size: how fast items are created and closed, the oldest overdue ones
//! are listed and claimed, how long a start takes, and what memory and disk are used. Then, with items of 1
//! KiB, what a steady churn (each create is followed by the closing of the oldest item) does to the disk.
//!
//! The sizes are 10 thousand and a million by default. Ten million are asked for by hand
//! (`GROWTH_ITEMS=10k,1M,10M`): they take a few minutes, four gigabytes of disk and two of memory, which not
//! every machine has to spare.
//!
//! A run of at least the default sizes writes `docs/growth.md`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `GROWTH_ITEMS` | how many items are open, in turn; `k` and `M` are understood | 10k,1M |
//! | `GROWTH_CHURN` | how many items are open during the churn | 100k |
//! | `BENCH_ONLY` | `sizes` or `churn`: only that | both |
//! | `BENCH_SECONDS` | seconds of creates at each size, all rounds together; the closes are as many | 5 |
//! | `BENCH_ROUNDS` | rounds into which these seconds are divided | 5 |
//! | `BENCH_DIR` | where data directories are made; must not be a tmpfs | the target directory |
//! | `BENCH_SMOKE` | `1`: a moment of all with few items, to see that everything works | off |
//!
//! What is set in `WARDEN_…` reaches the daemon, so that a setting can be measured.

mod churn;
mod document;
mod growth;
#[path = "../load/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each bench needs a part of it")]
mod load;
mod size;
mod sizes;

use std::process::ExitCode;

// The daemon's own allocator, for the generator too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    load::begin(growth::measure_all)
}
