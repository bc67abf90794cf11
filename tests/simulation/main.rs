//! The daemon without its sockets, in worlds that try to break its promises.
//!
//! Each seed is one story: the whole domain service, its timers, incidents, notifier, leases and replays, on one thread under
//! a virtual clock, over a store that forgets what was not committed and a network that fails in every way. Clients, workers
//! and people do at random what they do; the daemon crashes, restarts and is configured anew; the clock jumps. What must be
//! true is checked all the while and, after a calm, once more closely:
//!
//! 1. No acknowledged create is lost, no payload changes, nothing closed comes back.
//! 2. What is overdue or has failed is told within its bound, by exactly one incident at a time.
//! 3. Whoever heard that an incident opened hears that it is resolved when nothing is left.
//!
//! And no two hold one item, no token is given out twice, no replay sends what it had finished.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SEEDS` | how many seeds are tried | 2000 |
//! | `SEED` | tells the story of this one alone, with what happens in it | none |
//! | `FIRST_SEED` | where to begin | 0 |

mod clients;
mod clock;
mod dice;
mod disk;
mod history;
mod items;
mod leases;
mod network;
mod operator;
mod quiet;
mod target;
mod watch;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Summary, World};

const SEEDS: u64 = 2000;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")))
}

/// Tells many stories, on all cores; gives the first that goes wrong, by its seed.
fn tell(seeds: std::ops::Range<u64>) -> (Vec<Summary>, Option<(u64, String)>) {
    let next = AtomicU64::new(seeds.start);
    let (summaries, wrong) = (Mutex::new(Vec::new()), Mutex::new(None::<(u64, String)>));
    let tell_some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_wrong = wrong.lock().expect("nothing panics under the lock").is_some();
            if seed >= seeds.end || is_wrong {
                return;
            }
            match World::new(seed, false).run() {
                Ok(summary) => summaries.lock().expect("nothing panics under the lock").push(summary),
                Err(reason) => *wrong.lock().expect("nothing panics under the lock") = Some((seed, reason)),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(tell_some);
        }
    });
    (summaries.into_inner().expect("nothing panicked"), wrong.into_inner().expect("nothing panicked"))
}

#[test]
fn no_story_breaks_a_promise() {
    if let Some(seed) = variable("SEED") {
        tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(std::io::stdout).init();
        let told = World::new(seed, true).run();
        println!("{told:#?}");
        assert!(told.is_ok(), "seed {seed}");
        return;
    }
    let first = variable("FIRST_SEED").unwrap_or(0);
    let count = variable("SEEDS").unwrap_or(SEEDS);
    let (summaries, wrong) = tell(first..first + count);
    if let Some((seed, reason)) = wrong {
        panic!(
            "seed {seed}: {reason}\n(SEED={seed} cargo test --test simulation -- --nocapture tells the story)"
        );
    }
    let sum = |figure: fn(&Summary) -> u64| summaries.iter().map(figure).sum::<u64>();
    println!(
        "{} stories: {} lives, {} operations, {} outgoing calls, {} hours",
        summaries.len(),
        sum(|summary| summary.lives),
        sum(|summary| summary.operations),
        sum(|summary| summary.calls),
        sum(|summary| summary.passed.as_secs()) / 3600
    );
}

#[test]
fn a_seed_tells_the_same_story_again() {
    for seed in 0..20 {
        assert_eq!(World::new(seed, false).run(), World::new(seed, false).run(), "seed {seed}");
    }
}
