//! One round: a number of connections drive one peer for some time.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::Client;
use super::failure::Failure;
use super::histogram::Histogram;
use super::ids::Ids;
use super::script::Reception;

/// For the server to accept the connections, so that the first requests do not pay for that.
const SETTLING: Duration = Duration::from_millis(20);
/// Before a connection tries again after the server has shed its request.
const SHED_PAUSE: Duration = Duration::from_millis(10);

/// What a round found.
pub struct Measurement {
    /// Items created or closed in a second.
    pub items_per_second: f64,
    /// Latencies of requests, those that were shed left out.
    pub p50: Duration,
    pub p99: Duration,
    /// Requests that the server shed (429, 503).
    pub errors: u64,
}

struct Tally {
    latencies: Histogram,
    errors: AtomicU64,
}

/// Drives these connections for at least `length`, or until they have nothing more to ask for. An answer
/// stands for `items_per_request` items.
///
/// Every request that was begun is finished and counted, and the clock runs until the last of them is
/// answered: so a round of few and long requests has no ends that are cut off.
pub async fn run(
    clients: Vec<impl Client>,
    items_per_request: usize,
    length: Duration,
    ids: &Arc<Ids>,
) -> Result<Measurement, Failure> {
    tokio::time::sleep(SETTLING).await;

    let tally = Arc::new(Tally { latencies: Histogram::new(), errors: AtomicU64::new(0) });
    let start = Instant::now();
    let end = start + length;
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(drive(client, ids.clone(), tally.clone(), end));
    }
    while let Some(finished) = running.join_next().await {
        finished.map_err(|error| Failure::Answer(format!("a connection's driver has died: {error}")))??;
    }
    let elapsed = start.elapsed();

    let items = tally.latencies.total() * items_per_request as u64;
    Ok(Measurement {
        items_per_second: items as f64 / elapsed.as_secs_f64(),
        p50: tally.latencies.quantile(0.50),
        p99: tally.latencies.quantile(0.99),
        errors: tally.errors.load(Ordering::Relaxed),
    })
}

async fn drive(
    mut client: impl Client,
    ids: Arc<Ids>,
    tally: Arc<Tally>,
    end: Instant,
) -> Result<(), Failure> {
    while client.prepare(&ids) {
        let sent = Instant::now();
        let reception = client.exchange().await?;
        let answered = Instant::now();
        match reception {
            Reception::Accepted => tally.latencies.record(answered - sent),
            Reception::Shed => {
                tally.errors.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(SHED_PAUSE).await;
                client.reconnect().await?;
            }
        }
        if answered >= end {
            break;
        }
    }
    Ok(())
}
