//! Runs: how fast items are created and closed in a workflow that tracks runs, beside a plain workflow.
//!
//! Both get the same requests: a create of 100 bytes, and the close of the item. A run also gets a number, a
//! window of time, its row in the ledger, and changes the history of its workflow twice. `single` is a
//! workflow that refuses a second open run; its runs are opened and closed by the name of the workflow alone.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::load::{
    Connection, Failure, ID, ID_LENGTH, Ids, Server, Settings, median, payload_text, places_of_ids, post,
    quantile,
};

/// By which name it is chosen.
pub const NAME: &str = "runs";

const JOBS: &str = r#"{ orders = { reprocess = "2h" } }"#;
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const ROUNDS: usize = 5;

struct Seen {
    pairs_per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// Measures once and prints what was seen: the medians of the rounds, in which the workflows take turns.
pub fn measure(settings: &Settings, runtime: &Runtime) -> Result<(), Failure> {
    let (rounds, window) = match settings.smoke {
        true => (1, Duration::from_millis(300)),
        false => (ROUNDS, Duration::from_secs(2)),
    };
    let peer = Server::warden(
        &settings.directory,
        &[
            ("WARDEN_WORKFLOWS__TRACKED__JOBS", JOBS),
            ("WARDEN_WORKFLOWS__SINGLE__JOBS", JOBS),
            ("WARDEN_WORKFLOWS__TRACKED__SINGLE", "allow"),
        ],
    )?;
    let address = peer.address();
    let ids = Arc::new(Ids::new());
    let drive = |connections: usize, script: fn(SocketAddr, &str) -> [Request; 2], workflow: &str| {
        let requests = script(address, workflow);
        runtime.block_on(pairs(address, requests, connections, window, &ids))
    };
    println!("\n{NAME}: an item of 100 bytes is created and closed");
    for connections in CONNECTIONS {
        let mut measured = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (rounds, workflow) in measured.iter_mut().zip(["tracked", "plain"]) {
                rounds.push(drive(connections, item, workflow).map_err(|failure| peer.blame(failure))?);
            }
        }
        let [tracked, plain] = &measured;
        print("runs", connections, tracked);
        print("items", connections, plain);
        let ratio = |(tracked, plain): (&Seen, &Seen)| tracked.pairs_per_second / plain.pairs_per_second;
        println!("     runs to items {:.2}", median(tracked.iter().zip(plain).map(ratio)));
    }
    let seen = (0..rounds).map(|_| drive(1, by_name, "single")).collect::<Result<Vec<_>, _>>();
    print("runs of a single one", 1, &seen.map_err(|failure| peer.blame(failure))?);
    peer.stop()
}

fn print(what: &str, connections: usize, rounds: &[Seen]) {
    let of = |value: fn(&Seen) -> f64| median(rounds.iter().map(value));
    println!(
        "  {connections:>2} connections {:>8.0} {what}/s, p50 {:>7.2} ms, p99 {:>7.2} ms",
        of(|seen| seen.pairs_per_second),
        of(|seen| seen.p50.as_secs_f64() * 1e3),
        of(|seen| seen.p99.as_secs_f64() * 1e3)
    );
}

/// A request that is stamped with fresh ids, and the status that answers it.
#[derive(Clone)]
struct Request {
    bytes: Vec<u8>,
    id_places: Vec<usize>,
    status: u16,
}

impl Request {
    fn new(bytes: Vec<u8>, status: u16) -> Self {
        Self { id_places: places_of_ids(&bytes), bytes, status }
    }
}

fn item(address: SocketAddr, workflow: &str) -> [Request; 2] {
    let path = format!("/v1/workflows/{workflow}/items/{ID} HTTP/1.1\r\nhost: {address}\r\n");
    let payload = payload_text(100);
    let create = format!("PUT {path}prefer: return=minimal\r\ncontent-length: 100\r\n\r\n{payload}");
    let close = format!("DELETE {path}\r\n");
    [Request::new(create.into_bytes(), 201), Request::new(close.into_bytes(), 204)]
}

fn by_name(address: SocketAddr, workflow: &str) -> [Request; 2] {
    let path = format!("/v1/workflows/{workflow}/runs");
    [
        Request::new(post(address, &path, &format!(r#"{{"id":"{ID}"}}"#)), 201),
        Request::new(post(address, &format!("{path}/current/close"), "{}"), 200),
    ]
}

/// Has each connection send the two requests in turn until the window is over.
async fn pairs(
    address: SocketAddr,
    requests: [Request; 2],
    connections: usize,
    window: Duration,
    ids: &Arc<Ids>,
) -> Result<Seen, Failure> {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..connections {
        let (mut requests, ids) = (requests.clone(), ids.clone());
        running.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while began.elapsed() < window {
                let number = ids.reserve(1).expect("ids never end").start;
                let id = ids.render(number);
                let asked = Instant::now();
                for request in &mut requests {
                    for place in &request.id_places {
                        request.bytes[*place..*place + ID_LENGTH].copy_from_slice(&id);
                    }
                    let status = connection.exchange(&request.bytes).await?;
                    if status != request.status {
                        let body = String::from_utf8_lossy(connection.body()).into_owned();
                        return Err(Failure::Unexpected { expected: request.status, status, body });
                    }
                }
                took.push(asked.elapsed());
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = running.join_next().await {
        took.extend(ended.map_err(|error| Failure::Answer(error.to_string()))??);
    }
    let pairs_per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    if took.is_empty() {
        return Err(Failure::Answer("no request was answered".to_owned()));
    }
    Ok(Seen { pairs_per_second, p50: quantile(&mut took, 0.5), p99: quantile(&mut took, 0.99) })
}
