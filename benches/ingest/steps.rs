//! Steps: how fast workers take open items through four steps, and items without steps to their end.
//!
//! A run of a step is a claim and a completion, and so is an item without steps; so the ratio tells what
//! keeping the course costs.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::load::{self, Failure, Server, Settings};

/// By which name it is chosen.
pub const NAME: &str = "steps";

const WORKERS: [usize; 3] = [1, 16, 64];
const STEPS: &str = r#"["fetch", "check", "store", "tell"]"#;
/// Items with steps, and four times as many without: more than can be done in all windows.
const ITEMS: usize = 150_000;
const ITEMS_SMOKE: usize = 5_000;

/// Measures once and prints what was seen.
pub fn measure(settings: &Settings, runtime: &Runtime) -> Result<(), Failure> {
    let items = if settings.smoke { ITEMS_SMOKE } else { ITEMS };
    let window = if settings.smoke { Duration::from_millis(300) } else { Duration::from_secs(5) };
    let peer = Server::warden(&settings.directory, &[("WARDEN_WORKFLOWS__COURSE__STEPS", STEPS)])?;
    let blame = |failure| peer.blame(failure);
    for (workflow, items) in [("course", items), ("plain", 4 * items)] {
        runtime.block_on(load::fill(peer.address(), lines(workflow, items))).map_err(blame)?;
    }
    println!("\n{NAME}: {items} open items of 100 bytes with four steps, {} without", 4 * items);
    for workers in WORKERS {
        let work =
            |workflow| runtime.block_on(load::work(peer.address(), workflow, workers, window)).map_err(blame);
        let (course, plain) = (work("course")?, work("plain")?);
        let row = |what: &str, seen: &load::Seen| {
            println!(
                "  {workers:>2} workers {:>9.0} {what}/s, p50 {:>7.2} ms, p99 {:>7.2} ms",
                seen.per_second,
                seen.p50.as_secs_f64() * 1e3,
                seen.p99.as_secs_f64() * 1e3
            );
        };
        row("steps", &course);
        row("items", &plain);
        println!("     steps to items {:.2}", course.per_second / plain.per_second);
    }
    peer.stop()
}

/// The lines of a batch that create so many items of 100 bytes that are due in a day.
fn lines(workflow: &str, items: usize) -> impl Iterator<Item = String> {
    (0..items).map(move |number| {
        format!(
            "{{\"op\":\"create\",\"workflow\":\"{workflow}\",\"id\":\"item-{number}\",\
             \"payload\":\"{number:0100}\",\"deadline\":\"1d\"}}\n"
        )
    })
}
