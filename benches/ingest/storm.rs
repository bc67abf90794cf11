//! The storm: a million items become overdue within one second, under load.
//!
//! It shows one incident and one notification, no write for each item, and the latencies of creates and
//! closes during the storm and just before it, in one run against one daemon.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;

use crate::load::{
    self, Connection, Failure, HttpClient, Ids, Kind, Measurement, Server, Settings, Workload,
};

/// By which name it is chosen.
pub const NAME: &str = "storm";

const ITEMS: usize = 1_000_000;
const ITEMS_SMOKE: usize = 20_000;
/// How fast the daemon must be at least to have taken all items in before they fall due, in items a second.
const SLOWEST_FILL: usize = 9_000;
const CONNECTIONS: usize = 16;
/// How often it is looked whether all items count as overdue.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the storm and its notification may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Plays the storm once and prints what was seen.
pub fn measure(settings: &Settings, runtime: &Runtime, ids: &Arc<Ids>) -> Result<(), Failure> {
    let items = if settings.smoke { ITEMS_SMOKE } else { ITEMS };
    // Shorter than the storm lasts, so that what is measured is the storm and nothing else.
    let window = if settings.smoke { Duration::from_millis(300) } else { Duration::from_secs(4) };
    let (hook, told) = load::listen()?;
    let receiver = format!("{{ url = \"http://{hook}\", allow_private = true }}");
    let variables = [
        ("WARDEN_RECEIVERS__HOOK", receiver.as_str()),
        ("WARDEN_ALERTING__RECEIVERS", "[\"hook\"]"),
        ("WARDEN_ALERTING__GROUP_WAIT", "1s"),
        ("WARDEN_STORAGE__CACHE", "1GiB"),
    ];
    let peer = Server::warden(&settings.directory, &variables)?;
    let blame = |failure| peer.blame(failure);
    let address = peer.address();

    let began = Instant::now();
    let ahead = Duration::from_secs_f64(items as f64 / SLOWEST_FILL as f64) + window * 4;
    let due_at = SystemTime::now() + ahead;
    runtime.block_on(load::fill(address, lines(items, due_at))).map_err(blame)?;
    let filled = began.elapsed();
    let load = Load { runtime, address, ids };
    load.run(window / 5).map_err(blame)?;
    let memory_before = peer.resident_memory();
    let quiet = load.run(window).map_err(blame)?;
    let left = due_at.duration_since(SystemTime::now()).map_err(|_| {
        Failure::Answer(format!(
            "filling took {filled:?}, so the items fell due before the quiet was measured"
        ))
    })?;
    std::thread::sleep(left);

    let due = Instant::now();
    let watching = std::thread::spawn(move || watch(address, items, due));
    let stormy = load.run(window).map_err(blame)?;
    let noticed =
        watching.join().map_err(|_| Failure::Answer("the watcher panicked".into()))?.map_err(blame)?;
    let notification = told
        .recv_timeout(PATIENCE)
        .map_err(|_| Failure::Answer(format!("nobody was told of {items} items within {PATIENCE:?}")))?;
    let summary = notification.document["data"]["summary"].as_str().unwrap_or_default();
    let more = told.try_iter().count();
    let memory_after = peer.resident_memory();
    peer.stop()?;

    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    println!(
        "\n{NAME}: {items} items fall overdue in one second, while {CONNECTIONS} connections create and close"
    );
    println!(
        "  filled in {:.1} s, noticed all of them {:.0} ms after their deadline",
        filled.as_secs_f64(),
        millis(noticed)
    );
    println!(
        "  told {:.0} ms after it (group_wait 1 s): {summary}",
        millis(notification.at.saturating_duration_since(due))
    );
    println!("  further notifications: {more}");
    let row = |name: &str, measurement: &Measurement| {
        println!(
            "  {name:<7} {:>8.0} items/s, p50 {:>7.2} ms, p99 {:>7.2} ms",
            measurement.items_per_second,
            millis(measurement.p50),
            millis(measurement.p99)
        );
    };
    row("quiet", &quiet);
    row("storm", &stormy);
    println!("  p99 of the storm to the quiet: {:.2}", stormy.p99.as_secs_f64() / quiet.p99.as_secs_f64());
    println!("  resident memory: {memory_before} MiB before, {memory_after} MiB after");
    Ok(())
}

/// The work that goes on.
struct Load<'a> {
    runtime: &'a Runtime,
    address: SocketAddr,
    ids: &'a Arc<Ids>,
}

impl Load<'_> {
    fn run(&self, length: Duration) -> Result<Measurement, Failure> {
        let workload = Workload { batch: None, kind: Kind::Pair, payload: 1024 };
        self.runtime.block_on(async {
            let clients = HttpClient::open_many(self.address, workload, CONNECTIONS).await?;
            load::run(clients, workload.items_per_request(), length, self.ids).await
        })
    }
}

/// The lines of a batch that create that many items of 100 bytes with this deadline.
pub fn lines(items: usize, due_at: SystemTime) -> impl Iterator<Item = String> {
    let deadline = chrono::DateTime::<chrono::Utc>::from(due_at);
    let deadline = deadline.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    (0..items).map(move |number| {
        let step = if number % 4 == 0 { "copy" } else { "backup" };
        format!(
            "{{\"op\":\"create\",\"workflow\":\"storm\",\"id\":\"file-{number}\",\
             \"payload\":\"{number:0100}\",\"deadline\":\"{deadline}\",\"step\":\"{step}\"}}\n"
        )
    })
}

/// Waits until all items count as overdue; how long after `due` that was. On a thread and a runtime of its
/// own.
fn watch(address: SocketAddr, items: usize, due: Instant) -> Result<Duration, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("starting a runtime"))?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        let request = format!("GET /v1/workflows/storm/stats HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let expected = format!("\"overdue\":{items},");
        while due.elapsed() < PATIENCE {
            connection.exchange(request.as_bytes()).await?;
            if String::from_utf8_lossy(connection.body()).contains(&expected) {
                return Ok(due.elapsed());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let body = String::from_utf8_lossy(connection.body()).into_owned();
        Err(Failure::Answer(format!("after {PATIENCE:?} not all items are overdue: {body}")))
    })
}
