//! Steady churn: each create is followed by a close of the oldest item, and as many records of closed items
//! are kept as items are open, so that the amount of live data is constant. Measures the disk.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::load::{self, Failure, Server, Settings, payload_text, text};
use crate::sizes::{bytes_on_disk, parse, title};

/// Bytes of an item.
pub const PAYLOAD: usize = 1024;
const ITEMS: usize = 100_000;
const ITEMS_SMOKE: usize = 1_000;
/// How often all items are replaced.
const TURNOVERS: usize = 5;
const TURNOVERS_SMOKE: usize = 2;
/// How many batches are under way at a time.
const CHURNERS: usize = 4;
/// How long the daemon is left alone at last, to see whether space comes back.
pub const REST: Duration = Duration::from_secs(10);
const REST_SMOKE: Duration = Duration::from_millis(100);

/// What was seen.
pub struct Churned {
    pub items: usize,
    /// The disk that a daemon without items takes.
    pub empty: u64,
    pub turnovers: Vec<Turnover>,
    /// The disk after a while without any load.
    pub rested: u64,
}

/// After all items were replaced once more; the first one is after they were filled in.
pub struct Turnover {
    /// Creates and closes.
    pub per_second: f64,
    /// How long the longest batch took.
    pub longest: Duration,
    /// Beyond what a daemon without items takes.
    pub disk: u64,
    pub ratio: f64,
    /// In MiB.
    pub memory: u64,
}

/// Churns once and prints what was seen.
pub fn measure(settings: &Settings, runtime: &Runtime) -> Result<Churned, Failure> {
    let items = match text("GROWTH_CHURN") {
        Some(word) => parse("GROWTH_CHURN", &word)?,
        None if settings.smoke => ITEMS_SMOKE,
        None => ITEMS,
    };
    let count = if settings.smoke { TURNOVERS_SMOKE } else { TURNOVERS };
    println!("\na churn of {} open items of {PAYLOAD} bytes", title(items));
    // What is kept of closed items would grow for a day otherwise, and no churn be steady.
    let retention_max = items.to_string();
    let variables = [("WARDEN_WORKFLOW_DEFAULTS__RETENTION_MAX", retention_max.as_str())];
    let server = Server::warden(&settings.directory, &variables)?;
    let empty = bytes_on_disk(&server.data())?;
    let mut turnovers = Vec::new();
    for number in 0..=count {
        let began = Instant::now();
        let longest = runtime
            .block_on(replace(server.address(), items, number))
            .map_err(|failure| server.blame(failure))?;
        let lines = if number == 0 { items } else { 2 * items };
        let per_second = lines as f64 / began.elapsed().as_secs_f64();
        let disk = bytes_on_disk(&server.data())?.saturating_sub(empty);
        let ratio = disk as f64 / (items * PAYLOAD) as f64;
        let memory = server.resident_memory();
        println!(
            "  replaced {number} times: {per_second:>7.0} items/s, longest batch {:.0} ms, disk {} MiB, \
             {ratio:.2} times the payloads; resident {memory} MiB",
            longest.as_secs_f64() * 1e3,
            disk >> 20
        );
        turnovers.push(Turnover { per_second, longest, disk, ratio, memory });
    }
    std::thread::sleep(if settings.smoke { REST_SMOKE } else { REST });
    let rested = bytes_on_disk(&server.data())?.saturating_sub(empty);
    println!("  a while later, without load: disk {} MiB", rested >> 20);
    server.stop()?;
    Ok(Churned { items, empty, turnovers, rested })
}

/// Creates the items of this turnover, and closes each one's predecessor of the last. How long the longest
/// batch took.
async fn replace(address: SocketAddr, items: usize, turnover: usize) -> Result<Duration, Failure> {
    let payload = payload_text(PAYLOAD);
    let lines = |number: usize| {
        let create = format!(
            "{{\"op\":\"create\",\"workflow\":\"churn\",\"id\":\"item-{turnover}-{number}\",\
             \"payload\":\"{payload}\",\"deadline\":\"1d\"}}\n"
        );
        let close = turnover.checked_sub(1).map(|last| {
            format!("{{\"op\":\"close\",\"workflow\":\"churn\",\"id\":\"item-{last}-{number}\"}}\n")
        });
        [Some(create), close].into_iter().flatten()
    };
    let parts =
        (0..CHURNERS).map(|churner| load::fill(address, (churner..items).step_by(CHURNERS).flat_map(lines)));
    let longest = futures_util::future::try_join_all(parts).await?;
    Ok(longest.into_iter().max().unwrap_or_default())
}
