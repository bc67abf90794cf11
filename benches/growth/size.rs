//! One size: a daemon with that many open items, and its measurements.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::runtime::Runtime;

use crate::load::{
    self, Connection, Failure, HttpClient, Ids, Kind, Server, Settings, Workload, median, quantile,
};
use crate::sizes::{bytes_on_disk, title};

/// Bytes of an item, filled in or created.
pub const PAYLOAD: usize = 100;
/// One of so many items is overdue, and at least so many are, but four of five at most.
pub const OVERDUE_SHARE: usize = 10;
const OVERDUE_LEAST: usize = 8_000;
/// How many batches are under way at a time while it is filled.
const FILLERS: usize = 4;
/// Closed-loop connections that create and close.
pub const CONNECTIONS: usize = 64;
const LISTS: usize = 300;
/// Who claims, and how much in all: no more than the smallest size has.
pub const CLAIMANTS: usize = 16;
const CLAIMS: usize = 6_000;
/// How long claims may take at most.
const CLAIMING: Duration = Duration::from_secs(20);
/// How long the overdue items may take to be counted after a start.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const DAY: Duration = Duration::from_secs(86_400);

/// What was seen at one size.
pub struct Size {
    pub items: usize,
    pub filled_per_second: f64,
    /// From the execution of the killed daemon to the line that it listens, when all is recovered.
    pub start: Duration,
    /// From there until all overdue items are counted.
    pub counted: Duration,
    pub creates_per_second: f64,
    pub closes_per_second: f64,
    /// A page of fifty of the oldest overdue items.
    pub list_p50: Duration,
    pub list_p99: Duration,
    /// The first claim of an item that is not due, and of an overdue one, after the start.
    pub first_open: Duration,
    pub first_overdue: Duration,
    pub open_claims_per_second: f64,
    pub overdue_claims_per_second: f64,
    /// In MiB: right after the start, and at the end.
    pub memory_idle: u64,
    pub memory_loaded: u64,
    /// After filling, beyond what a daemon without items takes.
    pub disk: u64,
}

impl Size {
    /// How many bytes of disk there are for one of payload.
    pub fn disk_ratio(&self) -> f64 {
        self.disk as f64 / (self.items * PAYLOAD) as f64
    }

    pub fn print(&self) {
        println!(
            "\n{} open items of {PAYLOAD} bytes, filled at {:.0}/s",
            title(self.items),
            self.filled_per_second
        );
        println!(
            "  started in {:.2} s, overdue items counted {:.2} s later",
            self.start.as_secs_f64(),
            self.counted.as_secs_f64()
        );
        println!("  creates {:>9.0}/s", self.creates_per_second);
        println!("  closes  {:>9.0}/s", self.closes_per_second);
        println!(
            "  claims of open items {:>6.0}/s, the first in {:.2} ms; of overdue ones {:>6.0}/s, the first \
             in {:.2} ms",
            self.open_claims_per_second,
            self.first_open.as_secs_f64() * 1e3,
            self.overdue_claims_per_second,
            self.first_overdue.as_secs_f64() * 1e3
        );
        println!(
            "  list of the oldest overdue p50 {:.2} ms, p99 {:.2} ms",
            self.list_p50.as_secs_f64() * 1e3,
            self.list_p99.as_secs_f64() * 1e3
        );
        println!(
            "  resident {} MiB after the start, {} MiB at the end",
            self.memory_idle, self.memory_loaded
        );
        println!("  disk {} MiB, {:.1} times the payloads", self.disk >> 20, self.disk_ratio());
    }
}

/// Measures one size, on a daemon of its own.
pub fn measure(items: usize, settings: &Settings, runtime: &Runtime) -> Result<Size, Failure> {
    let mut server = Server::warden(&settings.directory, &[])?;
    let empty = bytes_on_disk(&server.data())?;
    let began = Instant::now();
    let filled = runtime.block_on(fill(server.address(), items));
    filled.map_err(|failure| server.blame(failure))?;
    let filled_per_second = items as f64 / began.elapsed().as_secs_f64();
    let disk = bytes_on_disk(&server.data())?.saturating_sub(empty);

    let began = Instant::now();
    server.kill_and_restart()?;
    let start = began.elapsed();
    let blame = |failure| server.blame(failure);
    let address = server.address();
    let counted = runtime.block_on(wait_until_counted(address, overdue(items))).map_err(blame)?;
    let memory_idle = server.resident_memory();

    let claim = |state: &'static str, claimants: usize, most: usize| {
        runtime.block_on(load::claim(address, state, claimants, 1, CLAIMING, most)).map_err(blame)
    };
    let (first_open, first_overdue) = (claim("open", 1, 1)?.p50, claim("overdue", 1, 1)?.p50);
    let rates = runtime.block_on(create_and_close(address, settings)).map_err(blame)?;
    let lists = if settings.smoke { LISTS / 10 } else { LISTS };
    let mut lists = runtime.block_on(list(address, lists)).map_err(blame)?;
    let overdue_claims = claim("overdue", CLAIMANTS, CLAIMS.min(overdue(items) / 2))?;
    let open_claims = claim("open", CLAIMANTS, CLAIMS.min((items - overdue(items)) / 2))?;
    let memory_loaded = server.resident_memory();
    server.stop()?;
    Ok(Size {
        items,
        filled_per_second,
        start,
        counted,
        creates_per_second: median(rates.iter().map(|(creates, _)| *creates)),
        closes_per_second: median(rates.iter().map(|(_, closes)| *closes)),
        list_p50: quantile(&mut lists, 0.5),
        list_p99: quantile(&mut lists, 0.99),
        first_open,
        first_overdue,
        open_claims_per_second: open_claims.claims_per_second,
        overdue_claims_per_second: overdue_claims.claims_per_second,
        memory_idle,
        memory_loaded,
        disk,
    })
}

/// How many of so many items are overdue.
fn overdue(items: usize) -> usize {
    (items / OVERDUE_SHARE).max(OVERDUE_LEAST).min(items * 4 / 5)
}

/// The overdue ones fell due within the last hour, the others are due in one to thirty days, all in no order.
async fn fill(address: SocketAddr, items: usize) -> Result<(), Failure> {
    let now = SystemTime::now();
    let overdue = overdue(items);
    let line = move |number: usize| {
        // A step without a common divisor with any decimal number of items visits each place once.
        let place = (number as u64 * 7_368_787 % items as u64) as usize;
        let deadline = match place < overdue {
            true => now - Duration::from_millis(1 + 3_600_000 * place as u64 / overdue as u64),
            false => now + DAY + Duration::from_millis(29 * 86_400_000 * place as u64 / items as u64),
        };
        let deadline = DateTime::<Utc>::from(deadline).to_rfc3339_opts(SecondsFormat::Millis, true);
        format!(
            "{{\"op\":\"create\",\"workflow\":\"growth\",\"id\":\"item-{number}\",\
             \"payload\":\"{number:0PAYLOAD$}\",\"deadline\":\"{deadline}\"}}\n"
        )
    };
    let parts = (0..FILLERS).map(|filler| load::fill(address, (filler..items).step_by(FILLERS).map(line)));
    futures_util::future::try_join_all(parts).await?;
    Ok(())
}

/// Waits until so many items count as overdue; how long that took.
async fn wait_until_counted(address: SocketAddr, overdue: usize) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut connection = Connection::open(address).await?;
    let request = format!("GET /v1/workflows/growth/stats HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let expected = format!("\"overdue\":{overdue},");
    loop {
        connection.exchange(request.as_bytes()).await?;
        let body = String::from_utf8_lossy(connection.body());
        if body.contains(&expected) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            return Err(Failure::Answer(format!(
                "after {PATIENCE:?} not {overdue} items are overdue: {body}"
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Rounds of creates, and of the closing of what they created: how many of each there were in a second.
async fn create_and_close(address: SocketAddr, settings: &Settings) -> Result<Vec<(f64, f64)>, Failure> {
    let ids = Arc::new(Ids::new());
    let create = Workload { batch: None, kind: Kind::Create, payload: PAYLOAD };
    let close = Workload { kind: Kind::Close, ..create };
    let mut rates = Vec::new();
    // The first one is not counted: it warms caches and makes the workflow.
    for round in 0..=settings.rounds {
        let first = ids.position();
        let clients = HttpClient::open_many(address, create, CONNECTIONS).await?;
        let created = load::run(clients, 1, settings.round, &ids).await?;
        let these = Arc::new(ids.again(first..ids.position()));
        let clients = HttpClient::open_many(address, close, CONNECTIONS).await?;
        // They end when there is nothing left to close.
        let closed = load::run(clients, 1, PATIENCE, &these).await?;
        if round > 0 {
            rates.push((created.items_per_second, closed.items_per_second));
        }
    }
    Ok(rates)
}

/// Asks for the first page of the oldest overdue items so many times; how long each took.
async fn list(address: SocketAddr, times: usize) -> Result<Vec<Duration>, Failure> {
    let mut connection = Connection::open(address).await?;
    let request =
        format!("GET /v1/items?state=overdue&order=deadline&limit=50 HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let asked = Instant::now();
        let status = connection.exchange(request.as_bytes()).await?;
        took.push(asked.elapsed());
        let body = String::from_utf8_lossy(connection.body());
        let listed = body.matches("\"overdue_since\":\"").count();
        if status != 200 || listed != 50 {
            return Err(Failure::Answer(format!("{status} to a list, {listed} items: {body:.300}")));
        }
    }
    Ok(took)
}
