//! The daemon without its sockets, in worlds that try to break its promises.
//!
//! Each seed is one story: the whole domain service, its timers, incidents, notifier, leases and replays, on
//! one thread under a virtual clock, over a store that loses what was not committed and a network that fails
//! in every way. Clients, workers and operators act at random; the daemon crashes and restarts, each time
//! with other alerting intervals and another concurrency; the clock jumps. Checked all the time, and more
//! closely after a calm at the end:
//!
//! 1. No acknowledged create is lost, no payload changes, nothing closed comes back.
//! 2. What is overdue or has failed is notified within its bound, by exactly one incident at a time.
//! 3. Whoever was told that an incident opened is told that it is resolved.
//!
//! Also: no item has two holders, no token is given out twice, no replay sends what it had finished, and no
//! item belongs to a workflow that does not exist. No acknowledged change of an artifact is lost, a change of
//! many is whole, and no two claimants get the same one. Whoever asks for events of runs hears each once, in
//! the order in which they happened.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SEEDS` | how many seeds are tried | 1000 |
//! | `SEED` | tells the story of this one alone, with what happens in it | none |
//! | `FIRST_SEED` | where to begin | 0 |

mod artifacts;
mod calm;
mod chain;
mod claimable;
mod clients;
mod clock;
mod course;
mod dice;
mod digest;
mod disk;
#[expect(dead_code, reason = "the suite uses what the simulation does not")]
#[path = "../suite/store/documents.rs"]
mod documents;
mod ends;
mod history;
mod idle;
mod items;
mod leases;
mod life;
mod names;
mod network;
mod operator;
mod panics;
mod quiet;
mod runs;
mod settings;
mod store;
mod story;
mod target;
mod watch;
mod workers;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use history::Listener;
use world::{Summary, World};

const SEEDS: u64 = 1000;
/// How many are told twice, to see whether they are the same story.
const SEEDS_TOLD_AGAIN: u64 = 100;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")))
}

/// Tells many stories, on all cores, until one goes wrong. What `tell` makes of each, in the order of the
/// seeds; of those that went wrong only the first is certain to be told.
fn tell<T: Send>(
    seeds: std::ops::Range<u64>,
    tell: impl Fn(u64) -> Result<T, String> + Sync,
) -> Result<Vec<T>, (u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let told = Mutex::new(BTreeMap::new());
    let tell_some = || {
        loop {
            // Whoever began before goes on: what goes wrong first is the same at each run.
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let what = tell(seed);
            if what.is_err() {
                next.store(seeds.end, Ordering::Relaxed);
            }
            told.lock().expect("nothing panics under the lock").insert(seed, what);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(tell_some);
        }
    });
    let told = told.into_inner().expect("nothing panicked").into_iter();
    told.map(|(seed, what)| what.map_err(|wrong| (seed, wrong))).collect()
}

#[test]
fn no_story_breaks_a_promise() {
    if let Some(seed) = variable("SEED") {
        tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(std::io::stdout).init();
        let told = World::new(seed, Listener::Reader).run();
        println!("{told:#?}");
        assert!(told.is_ok(), "seed {seed}");
        return;
    }
    let first = variable("FIRST_SEED").unwrap_or(0);
    let count = variable("SEEDS").unwrap_or(SEEDS);
    let told = tell(first..first + count, |seed| World::new(seed, Listener::Nobody).run());
    let summaries: Vec<Summary> = told.unwrap_or_else(|(seed, reason)| {
        panic!(
            "seed {seed}: {reason}\n(SEED={seed} cargo test --test simulation -- --nocapture tells the story)"
        )
    });
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
    let again = tell(0..SEEDS_TOLD_AGAIN, |seed| {
        let [first, second] = [(); 2].map(|()| World::new(seed, Listener::Digest).run());
        if first == second { Ok(()) } else { Err(format!("it told {first:?} and then {second:?}")) }
    });
    if let Err((seed, reason)) = again {
        panic!("seed {seed} is two stories: {reason}");
    }
}
