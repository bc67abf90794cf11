//! Workers, each of which claims an item, ends the run of its step at once, and claims the next one.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::connection::{Connection, post};
use super::failure::Failure;
use super::statistics::quantile;

/// What workers saw.
pub struct Work {
    /// Each is a claim and its completion.
    pub runs_per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// Has workers take open items of a workflow one at a time and complete them, until the window is over or
/// there are no more.
pub async fn work(
    address: SocketAddr,
    workflow: &str,
    workers: usize,
    window: Duration,
) -> Result<Work, Failure> {
    let document = format!(r#"{{"workflows":["{workflow}"],"states":["open"],"max":1,"ttl":"24h"}}"#);
    let claim = post(address, "/v1/leases", &document);
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..workers {
        let claim = claim.clone();
        running.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while began.elapsed() < window {
                let asked = Instant::now();
                let status = connection.exchange(&claim).await?;
                let Some(lease) = lease(status, connection.body())? else { break };
                let complete = post(address, &format!("/v1/leases/{lease}/complete"), "{}");
                let status = connection.exchange(&complete).await?;
                if status != 200 {
                    let body = String::from_utf8_lossy(connection.body()).into_owned();
                    return Err(Failure::Unexpected { expected: 200, status, body });
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
    if took.is_empty() {
        return Err(Failure::Answer(format!("{workflow} has no open items")));
    }
    let runs_per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    Ok(Work { runs_per_second, p50: quantile(&mut took, 0.5), p99: quantile(&mut took, 0.99) })
}

/// The lease that the answer to a claim of one item names; none if there is no item.
fn lease(status: u16, body: &[u8]) -> Result<Option<String>, Failure> {
    let text = String::from_utf8_lossy(body);
    if status != 200 {
        return Err(Failure::Unexpected { expected: 200, status, body: text.into_owned() });
    }
    let lease = text.split_once("\"id\":\"lse_").and_then(|(_, rest)| rest.split_once('"'));
    Ok(lease.map(|(id, _)| format!("lse_{id}")))
}
