//! Recovery: how fast a million overdue items are claimed, replayed and exported.
//!
//! Claimants claim one item at a time, or a hundred, in a closed loop. Then a replay posts items to a no-op
//! peer without a rate limit. Then everything is exported while the daemon's memory is measured.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::load::{self, Connection, Failure, Server, Settings, post};
use crate::storm;

/// By which name it is chosen.
pub const NAME: &str = "recovery";

const ITEMS: usize = 1_000_000;
/// More than can be claimed in the moments of a smoke.
const ITEMS_SMOKE: usize = 80_000;
/// How many claimants there are at a time, and how many items each asks for.
const CLAIMANTS: [(usize, usize); 4] = [(1, 1), (16, 1), (64, 1), (16, 100)];
/// How many items a replay has under way at a time.
const CONCURRENCY: [usize; 2] = [8, 64];
/// How often progress and memory are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Plays it once and prints what was seen.
pub fn measure(settings: &Settings, runtime: &Runtime) -> Result<(), Failure> {
    let items = if settings.smoke { ITEMS_SMOKE } else { ITEMS };
    let window = if settings.smoke { Duration::from_millis(300) } else { Duration::from_secs(5) };
    let networks = ("WARDEN_REPLAY__ALLOW_NETWORKS", "[\"127.0.0.0/8\"]");
    let peer = Server::warden(&settings.directory, &[("WARDEN_STORAGE__CACHE", "1GiB"), networks])?;
    let target = Server::noop(&settings.directory)?;
    let (address, target_address) = (peer.address(), target.address());
    let blame = |failure| peer.blame(failure);

    let overdue = SystemTime::now() - Duration::from_secs(60);
    runtime.block_on(load::fill(address, storm::lines(items, overdue))).map_err(blame)?;
    println!("\n{NAME}: {items} items of 100 bytes are overdue; {} MiB resident", peer.resident_memory());
    for (claimants, max) in CLAIMANTS {
        let claims = load::claim(address, "overdue", claimants, max, window, usize::MAX);
        let seen = runtime.block_on(claims).map_err(blame)?;
        println!(
            "  {claimants:>2} claimants of {max:>3} at a time {:>9.0} items/s {:>9.0} claims/s, p50 {:>7.2} \
             ms, p99 {:>7.2} ms",
            seen.items_per_second,
            seen.claims_per_second,
            seen.p50.as_secs_f64() * 1000.0,
            seen.p99.as_secs_f64() * 1000.0,
        );
    }
    for concurrency in CONCURRENCY {
        let rate = runtime.block_on(replay(address, target_address, concurrency, window)).map_err(blame)?;
        println!(
            "  a replay, {concurrency:>3} at a time        {rate:>9.0} items/s to a target that does nothing"
        );
    }
    let before = peer.resident_memory();
    let most = AtomicU64::new(before);
    let over = AtomicBool::new(false);
    let exported = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(peer.resident_memory(), Ordering::Relaxed);
                std::thread::sleep(LOOK_EVERY);
            }
        });
        let exported = runtime.block_on(export(address));
        over.store(true, Ordering::Relaxed);
        exported
    });
    let Exported { lines, bytes, took } = exported.map_err(blame)?;
    let seconds = took.as_secs_f64();
    println!(
        "  an export of {lines} items   {:>9.0} items/s, {:.0} MiB/s; resident {before} MiB before, {} MiB \
         at most",
        lines as f64 / seconds,
        bytes as f64 / seconds / f64::from(1 << 20),
        most.load(Ordering::Relaxed),
    );
    target.stop()?;
    peer.stop()
}

/// Starts a replay, lets it run for a while, and cancels it: how many items it sent a second.
async fn replay(
    address: SocketAddr,
    target: SocketAddr,
    concurrency: usize,
    window: Duration,
) -> Result<f64, Failure> {
    let document = format!(
        r#"{{"filter":{{"workflows":["storm"]}},"target":{{"url":"http://{target}/replay"}},"max_per_second":10000,"concurrency":{concurrency}}}"#
    );
    let mut connection = Connection::open(address).await?;
    let created = ask(&mut connection, &post(address, "/v1/replays", &document), 202).await?;
    let id = created["id"].as_str().unwrap_or_default().to_owned();
    let show = format!("GET /v1/replays/{id} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
    // Not counted: what was claimed before and is passed over, and the beginning.
    let mut first = 0;
    while first < 100 {
        tokio::time::sleep(LOOK_EVERY).await;
        let shown = ask(&mut connection, &show, 200).await?;
        first = shown["succeeded"].as_u64().unwrap_or_default();
        if shown["status"] != "running" {
            return Err(Failure::Answer(format!("there was too little to replay: {shown}")));
        }
    }
    let began = Instant::now();
    tokio::time::sleep(window).await;
    let last = ask(&mut connection, &show, 200).await?["succeeded"].as_u64().unwrap_or_default();
    let seconds = began.elapsed().as_secs_f64();
    // It may have come to its end by itself.
    let cancel = post(address, &format!("/v1/replays/{id}/cancel"), "{}");
    let status = connection.exchange(&cancel).await?;
    if ![200, 409].contains(&status) {
        return Err(Failure::Answer(format!("{status} to a cancel")));
    }
    Ok((last - first) as f64 / seconds)
}

/// What an export was like.
struct Exported {
    lines: u64,
    bytes: u64,
    took: Duration,
}

/// Reads a whole export and keeps nothing of it.
async fn export(address: SocketAddr) -> Result<Exported, Failure> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.map_err(Failure::system("connecting"))?;
    let request = format!("GET /v1/export HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(Failure::system("asking for an export"))?;
    let (mut lines, mut bytes) = (0, 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = stream.read(&mut buffer).await.map_err(Failure::system("reading an export"))?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        // A line ends with its brace; the lines of the protocol around it do not.
        lines += buffer[..count].windows(2).filter(|pair| *pair == b"}\n").count() as u64;
    }
    Ok(Exported { lines, bytes, took: began.elapsed() })
}

async fn ask(
    connection: &mut Connection,
    request: &[u8],
    expected: u16,
) -> Result<serde_json::Value, Failure> {
    let body = connection.ask(request, expected).await?;
    serde_json::from_slice(body).map_err(|error| Failure::Answer(error.to_string()))
}
