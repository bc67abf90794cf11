//! The store over sled in a process that is killed at any instant.
//!
//! Each seed is one story: a process opens the store with small settings and submits random commands from
//! several tasks, at full speed, so that generations are sealed, compacted and removed and log segments are
//! overwritten all the time. It reports each request to a parent process before it submits it, and each
//! answer. The parent stops it at any instant, copies its directory, which equals what a kill would leave,
//! and lets it continue; in the end it kills it, and another process continues with the directory. Where the
//! last record of the log was not acknowledged, some copies have it torn, as by a power cut. For each copy:
//!
//! 1. It opens, and holds the result of all acknowledged requests, and for each submitter a prefix of those
//!    it had submitted without an answer; nothing else. Payloads are compared byte for byte.
//! 2. Further requests on it are answered correctly; closed and opened once more it holds the same.
//! 3. The check of a data directory reports nothing.
//!
//! The process also compares its own reads with what it was told.
//!
//! The seed decides the requests, not their timing, so a failed seed may pass when it is repeated. The
//! directory of a failed seed is kept and named.
//!
//! Deliberately absent: errors of the disk, power cuts below the database and a full disk, which the fault
//! matrix covers; the daemon around the store, which the simulation covers.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CRASHES` | how many seeds are tried | 10 |
//! | `SEED` | tries this one alone | none |
//! | `FIRST_SEED` | where to begin | 0 |
//! | `CRASHES_IN` | the directory for all of it | `/dev/shm`, or that of the build's temporary files |
//! | `CRASHES_KEEP` | `0`: what a failed seed leaves is not kept | none |

mod artifacts;
mod child;
mod dice;
mod figures;
mod judge;
mod life;
mod process;
mod requests;
mod settings;
mod story;
mod support;
mod tail;
mod told;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use figures::Figures;
use life::Life;

const SEEDS: u64 = 10;
/// The test by which the process that lives is started.
const TEST: &str = "whatever_a_crash_leaves_holds_what_was_acknowledged";

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")))
}

/// A directory for this run.
fn directory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let chosen = std::env::var_os("CRASHES_IN").map(PathBuf::from);
    let chosen = chosen.or(memory.is_dir().then_some(memory));
    let root = chosen.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    root.join(format!("warden-crashes-{}", std::process::id()))
}

/// Lives the lives of one seed; what is not as it must be, in one line.
fn live(seed: u64, figures: &Figures) -> Result<(), String> {
    let directory = directory().join(seed.to_string());
    let lived = catch_unwind(AssertUnwindSafe(|| {
        Life::new(seed, &directory, figures).map_err(|error| error.to_string())?.run()
    }));
    let lived = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("it panicked: {}", text.or(panic.downcast_ref().copied()).unwrap_or_default()))
    });
    let is_kept = lived.is_err() && variable("CRASHES_KEEP") != Some(0);
    if !is_kept && directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(|error| error.to_string())?;
    }
    lived.map_err(|wrong| format!("{}; see {}", wrong.replace('\n', " "), directory.display()))
}

/// Tries all seeds, on all cores, until one goes wrong.
fn live_all(seeds: Range<u64>, figures: &Figures) -> Result<(), (u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let wrong = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Err(reason) = live(seed, figures) {
                        next.store(seeds.end, Ordering::Relaxed);
                        figures.is_over.store(true, Ordering::Relaxed);
                        wrong.lock().expect("nothing panics under the lock").get_or_insert((seed, reason));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nothing panicked");
    wrong.map_or(Ok(()), Err)
}

#[test]
fn whatever_a_crash_leaves_holds_what_was_acknowledged() {
    if child::lived() {
        return;
    }
    let seeds = match variable("SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = variable("FIRST_SEED").unwrap_or(0);
            first..first + variable("CRASHES").unwrap_or(SEEDS)
        }
    };
    let count = seeds.end - seeds.start;
    let figures = Figures::default();
    let lived = live_all(seeds, &figures);
    // Nothing is left in it unless something is kept.
    let _ = std::fs::remove_dir(directory());
    if let Err((seed, reason)) = lived {
        panic!("seed {seed}: {reason}\n(SEED={seed} cargo test --test crashes tries it again)");
    }
    println!("{count} seeds: {}", figures.told());
    // Otherwise it would say nothing of what it is for.
    let least = [
        ("copies harmed", &figures.harmed, count / 2),
        ("generations made", &figures.made, 4 * count),
        ("generations removed", &figures.removed, count),
        ("checkpoints", &figures.checkpoints, 3 * count),
        ("segments written over", &figures.recycled, 10 * count),
    ];
    for (what, figure, least) in least {
        assert!(figure.get() >= least, "{} {what} are too few, and {least} are wanted", figure.get());
    }
}
