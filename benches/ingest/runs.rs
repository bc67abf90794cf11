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

use crate::load::{
    Connection, Failure, ID, Ids, Seen, Server, Settings, Template, median, payload_text, post, together,
};

/// By which name it is chosen.
pub const NAME: &str = "runs";

const JOBS: &str = r#"{ orders = { reprocess = "2h" } }"#;
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const ROUNDS: usize = 5;

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
        let ratio = |(tracked, plain): (&Seen, &Seen)| tracked.per_second / plain.per_second;
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
        of(|seen| seen.per_second),
        of(|seen| seen.p50.as_secs_f64() * 1e3),
        of(|seen| seen.p99.as_secs_f64() * 1e3)
    );
}

/// A request with at most one id, and the status that answers it.
type Request = (Template, u16);

fn item(address: SocketAddr, workflow: &str) -> [Request; 2] {
    let path = format!("/v1/workflows/{workflow}/items/{ID} HTTP/1.1\r\nhost: {address}\r\n");
    let payload = payload_text(100);
    let create = format!("PUT {path}prefer: return=minimal\r\ncontent-length: 100\r\n\r\n{payload}");
    let close = format!("DELETE {path}\r\n");
    [(Template::new(create.into_bytes()), 201), (Template::new(close.into_bytes()), 204)]
}

fn by_name(address: SocketAddr, workflow: &str) -> [Request; 2] {
    let path = format!("/v1/workflows/{workflow}/runs");
    [
        (Template::new(post(address, &path, &format!(r#"{{"id":"{ID}"}}"#))), 201),
        (Template::new(post(address, &format!("{path}/current/close"), "{}")), 200),
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
    let connection = || {
        let (mut requests, ids) = (requests.clone(), ids.clone());
        async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while began.elapsed() < window {
                let id = ids.reserve(1).expect("ids never end");
                let asked = Instant::now();
                for (request, status) in &mut requests {
                    request.stamp(&ids, id.clone());
                    connection.ask(request.bytes(), *status).await?;
                }
                took.push(asked.elapsed());
            }
            Ok::<_, Failure>(took)
        }
    };
    let took = together(connections, connection).await?.concat();
    Seen::of(took, began.elapsed())
}
