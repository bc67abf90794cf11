//! Deadline to webhook: the latency of a notification.
//!
//! A million other items are open. One item at a time, each in a workflow of its own, becomes overdue;
//! measured is from the deadline in the daemon's answer until the whole notification is received. Both are
//! read from one clock; deadlines are whole milliseconds.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio::runtime::Runtime;

use crate::load::{
    self, Connection, Failure, HttpClient, Ids, Kind, Measurement, Notification, Server, Settings, Workload,
    quantile, variable,
};

/// By which name it is chosen.
pub const NAME: &str = "deadline";

const OPEN: usize = 1_000_000;
const OPEN_SMOKE: usize = 5_000;
/// Closed-loop creates that run meanwhile.
pub const CONNECTIONS: usize = 64;
/// How long each of the two, quiet and under load, is watched.
const QUIET: Duration = Duration::from_secs(15);
const LOADED: Duration = Duration::from_secs(60);
const SMOKE: Duration = Duration::from_millis(700);
/// How far ahead the deadlines of the items that are forgotten are at least, and how far further, in
/// milliseconds.
const AHEAD: u64 = 100;
const SPREAD: u64 = 60;
/// How long somebody may take to be told before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// What was seen.
pub struct Told {
    pub open: usize,
    pub quiet: Latencies,
    pub loaded: Latencies,
    /// The creates that ran meanwhile.
    pub creates: Measurement,
}

/// How long after their deadlines somebody was told of so many items.
pub struct Latencies {
    pub count: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// Measures it once and prints what was seen.
pub fn measure(settings: &Settings, runtime: &Runtime, ids: &Arc<Ids>) -> Result<Told, Failure> {
    let open = variable("BENCH_OPEN")?.unwrap_or(if settings.smoke { OPEN_SMOKE } else { OPEN });
    let (quiet, loaded) = if settings.smoke { (SMOKE, SMOKE) } else { (QUIET, LOADED) };
    let (hook, told) = load::listen()?;
    let receiver = format!("{{ url = \"http://{hook}\", allow_private = true }}");
    let variables = [
        ("WARDEN_RECEIVERS__HOOK", receiver.as_str()),
        ("WARDEN_ALERTING__RECEIVERS", "[\"hook\"]"),
        ("WARDEN_ALERTING__GROUP_WAIT", "0s"),
    ];
    let server = Server::warden(&settings.directory, &variables)?;
    let blame = |failure| server.blame(failure);
    let address = server.address();
    runtime.block_on(load::fill(address, lines(open))).map_err(blame)?;

    let mut forgetting = Forgetting { address, told, forgotten: 0 };
    let silent = AtomicBool::new(false);
    let quiet = std::thread::scope(|scope| {
        let watching = scope.spawn(|| forgetting.watch(&silent));
        std::thread::sleep(quiet);
        silent.store(true, Ordering::Relaxed);
        join(watching)
    })
    .map_err(blame)?;
    let over = AtomicBool::new(false);
    let (loaded, creates) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| forgetting.watch(&over));
        let workload = Workload { batch: None, kind: Kind::Create, payload: 1024 };
        let creates = runtime.block_on(async {
            let clients = HttpClient::open_many(address, workload, CONNECTIONS).await?;
            load::run(clients, 1, loaded, ids).await
        });
        over.store(true, Ordering::Relaxed);
        Ok((join(watching)?, creates?))
    })
    .map_err(blame)?;
    server.stop()?;
    let seen = Told { open, quiet, loaded, creates };
    print(&seen);
    Ok(seen)
}

fn print(seen: &Told) {
    println!("\n{NAME}: from the deadline of an item to its webhook, {} other items open", seen.open);
    let row = |name: &str, latencies: &Latencies| {
        println!(
            "  {name:<36} {:>4} items, p50 {:>7.2} ms, p99 {:>7.2} ms, max {:>7.2} ms",
            latencies.count,
            milliseconds(latencies.p50),
            milliseconds(latencies.p99),
            milliseconds(latencies.max),
        );
    };
    row("nothing else", &seen.quiet);
    row(&format!("{CONNECTIONS} connections create {:.0}/s", seen.creates.items_per_second), &seen.loaded);
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

type Watching<'scope> = std::thread::ScopedJoinHandle<'scope, Result<Latencies, Failure>>;

fn join(watching: Watching<'_>) -> Result<Latencies, Failure> {
    watching.join().map_err(|_| Failure::Answer("the watcher has panicked".into()))?
}

/// Items of 100 bytes that are due in one to thirty days.
fn lines(count: usize) -> impl Iterator<Item = String> {
    let start = SystemTime::now() + DAY;
    (0..count).map(move |number| {
        let deadline = start + DAY * 29 * (number as u32) / (count as u32);
        let deadline = DateTime::<Utc>::from(deadline).to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        format!(
            "{{\"op\":\"create\",\"workflow\":\"open\",\"id\":\"item-{number}\",\
             \"payload\":\"{number:0100}\",\"deadline\":\"{deadline}\"}}\n"
        )
    })
}

/// Who forgets items, and looks when it is told of them.
struct Forgetting {
    address: SocketAddr,
    told: Receiver<Notification>,
    forgotten: usize,
}

impl Forgetting {
    /// Forgets one item after the other until it is `over`, on a runtime of its own.
    fn watch(&mut self, over: &AtomicBool) -> Result<Latencies, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::system("starting a runtime"))?;
        let mut connection = runtime.block_on(Connection::open(self.address))?;
        let mut latencies = Vec::new();
        while !over.load(Ordering::Relaxed) || latencies.is_empty() {
            latencies.push(self.forget(&mut connection, &runtime)?);
        }
        let count = latencies.len();
        let mut at = |share| quantile(&mut latencies, share);
        Ok(Latencies { count, p50: at(0.5), p99: at(0.99), max: at(1.0) })
    }

    /// Creates an item, waits until somebody is told of it, and closes it.
    fn forget(&mut self, connection: &mut Connection, runtime: &Runtime) -> Result<Duration, Failure> {
        let workflow = format!("forgotten-{}", self.forgotten);
        self.forgotten += 1;
        let ahead = AHEAD + rand::random::<u64>() % SPREAD;
        let path = format!("/v1/workflows/{workflow}/items/one");
        let create = format!(
            "PUT {path}?deadline={ahead}ms HTTP/1.1\r\nhost: {}\r\ncontent-length: 3\r\n\r\none",
            self.address
        );
        let body = runtime.block_on(connection.ask(create.as_bytes(), 201))?;
        let item: serde_json::Value =
            serde_json::from_slice(body).map_err(|error| Failure::Answer(error.to_string()))?;
        let deadline = item["deadline"].as_str().unwrap_or_default();
        let deadline: SystemTime = DateTime::parse_from_rfc3339(deadline)
            .map_err(|error| Failure::Answer(format!("a deadline {deadline:?}: {error}")))?
            .into();
        let told = loop {
            let notification = self.told.recv_timeout(PATIENCE).map_err(|_| {
                Failure::Answer(format!("nobody was told of an item of {workflow} within {PATIENCE:?}"))
            })?;
            let document = &notification.document;
            if document["type"] == "incident.opened" && document["data"]["workflow"] == workflow {
                break notification.time;
            }
        };
        let close = format!("DELETE {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        runtime.block_on(connection.ask(close.as_bytes(), 204))?;
        // It never is before; two readings of one clock may differ by its grain.
        Ok(told.duration_since(deadline).unwrap_or_default())
    }
}
