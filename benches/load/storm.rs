//! The storm: very many items fall overdue within one second, while other work goes on.
//!
//! What is to be seen: one incident and one notification, nothing written for each item, and the latencies of creates and
//! closes during the storm beside those of the same load just before it, in one run against one daemon.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;

use super::connection::Connection;
use super::failure::Failure;
use super::peer::{Peer, PeerKind};
use super::round::{self, Measurement};
use super::script::{Ids, Workload};
use super::settings::Settings;

/// By which name it is chosen.
pub const NAME: &str = "storm";

const ITEMS: usize = 1_000_000;
const ITEMS_SMOKE: usize = 20_000;
/// How fast the daemon must be at least to have taken all items in before they fall due, in items a second.
const SLOWEST_FILL: usize = 9_000;
const LINES: usize = 2_000;
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
    let (hook, told) = listen()?;
    let receiver = format!("{{ url = \"http://{hook}\", allow_private = true }}");
    let variables = [
        ("WARDEN_RECEIVERS__HOOK", receiver.as_str()),
        ("WARDEN_ALERTING__RECEIVERS", "[\"hook\"]"),
        ("WARDEN_ALERTING__GROUP_WAIT", "1s"),
        ("WARDEN_STORAGE__CACHE", "1GiB"),
    ];
    let peer = Peer::start_with(PeerKind::Warden, &settings.directory, &variables)?;
    let blame = |failure| peer.blame(failure);
    let address = peer.address();

    let began = Instant::now();
    let ahead = Duration::from_secs_f64(items as f64 / SLOWEST_FILL as f64) + window * 4;
    let due_at = SystemTime::now() + ahead;
    runtime.block_on(fill(address, items, due_at)).map_err(blame)?;
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
    let (told_at, summary) = told
        .recv_timeout(PATIENCE)
        .map_err(|_| Failure::Answer(format!("nobody was told of {items} items within {PATIENCE:?}")))?;
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
        millis(told_at.saturating_duration_since(due))
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
        let workload = Workload { batch: None, closes: true, payload: 1024 };
        self.runtime.block_on(round::run(self.address, workload, CONNECTIONS, length, self.ids))
    }
}

/// Creates that many items of 100 bytes with this deadline.
pub async fn fill(address: SocketAddr, items: usize, due_at: SystemTime) -> Result<(), Failure> {
    let mut connection = Connection::open(address).await?;
    let deadline = chrono::DateTime::<chrono::Utc>::from(due_at);
    let deadline = deadline.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    for first in (0..items).step_by(LINES) {
        let mut body = String::with_capacity(LINES * 200);
        for number in first..(first + LINES).min(items) {
            let step = if number % 4 == 0 { "copy" } else { "backup" };
            body.push_str(&format!(
                "{{\"op\":\"create\",\"workflow\":\"storm\",\"id\":\"file-{number}\",\"payload\":\"{number:0100}\",\
                 \"deadline\":\"{deadline}\",\"step\":\"{step}\"}}\n"
            ));
        }
        let request = format!(
            "POST /v1/batch HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let status = connection.exchange(request.as_bytes()).await?;
        let answers = connection.body();
        let refused = answers
            .split(|byte| *byte == b'\n')
            .find(|line| !line.is_empty() && !line.windows(12).any(|part| part == b"\"status\":201"));
        if status != 200 || refused.is_some() {
            let refused = String::from_utf8_lossy(refused.unwrap_or(answers)).into_owned();
            return Err(Failure::Answer(format!("{status} to a batch: {refused}")));
        }
    }
    Ok(())
}

/// Waits until all items count as overdue; how long after `due` that was. On a thread and a runtime of its own.
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

/// A receiver that takes everything: when it was told, and the summary.
fn listen() -> Result<(SocketAddr, Receiver<(Instant, String)>), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Failure::system("binding a receiver"))?;
    let address = listener.local_addr().map_err(Failure::system("binding a receiver"))?;
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            // A notification ends with the document's last brace; nothing follows it.
            while !request.ends_with(b"}") {
                match stream.read(&mut buffer) {
                    Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&request);
            let summary = text.split("\"summary\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let _ = sender.send((Instant::now(), summary.unwrap_or_default().to_owned()));
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    });
    Ok((address, told))
}

/// The memory that a process has resident, in MiB; zero where the system does not tell.
pub fn resident_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
