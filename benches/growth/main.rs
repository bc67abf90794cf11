//! Rates, start time, memory and disk by the number of open items.
//!
//! `cargo bench --bench growth` fills a daemon with items of 100 bytes, a tenth of them overdue, kills it and
//! starts it again, and measures at each size: rates of creates, closes and claims, latency of listing the
//! oldest overdue items, start time, memory and disk. Then it measures the disk under a steady churn of items
//! of 1 KiB (each create is followed by a close of the oldest item), and at each size finding and claiming
//! among as many artifacts, of which one of a thousand is ready.
//!
//! The sizes are 10 thousand and a million by default. Ten million are measured on request
//! (`GROWTH_ITEMS=10k,1M,10M`): they take a few minutes, four gigabytes of disk and two of memory.
//!
//! A run of at least the default sizes writes `docs/growth.md`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `GROWTH_ITEMS` | how many items are open, in turn; `k` and `M` are understood | 10k,1M |
//! | `GROWTH_CHURN` | how many items are open during the churn | 100k |
//! | `BENCH_ONLY` | `sizes`, `churn` or `artifacts`: only that | all |
//! | `BENCH_SECONDS` | seconds of creates at each size, all rounds together; the closes are as many | 5 |
//! | `BENCH_ROUNDS` | rounds into which these seconds are divided | 5 |
//! | `BENCH_DIR` | where data directories are made; must not be a tmpfs | the target directory |
//! | `BENCH_SMOKE` | `1`: a moment of all with few items, to see that everything works | off |
//!
//! Variables `WARDEN_…` reach the daemon, so that settings can be measured.

mod artifacts;
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
