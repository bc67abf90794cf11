//! Workers, each of which claims an item, ends the run of its step at once, and claims the next one.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connection::{Connection, post};
use super::failure::Failure;
use super::together::{Seen, together};

/// Has workers take open items of a workflow one at a time and complete them, until the window is over or
/// there are no more.
pub async fn work(
    address: SocketAddr,
    workflow: &str,
    workers: usize,
    window: Duration,
) -> Result<Seen, Failure> {
    let document = format!(r#"{{"workflows":["{workflow}"],"states":["open"],"max":1,"ttl":"24h"}}"#);
    let claim = post(address, "/v1/leases", &document);
    let began = Instant::now();
    let worker = || {
        let claim = claim.clone();
        async move {
            let mut connection = Connection::open(address).await?;
            let mut took = Vec::new();
            while began.elapsed() < window {
                let asked = Instant::now();
                let Some(lease) = lease(connection.ask(&claim, 200).await?) else { break };
                let complete = post(address, &format!("/v1/leases/{lease}/complete"), "{}");
                connection.ask(&complete, 200).await?;
                took.push(asked.elapsed());
            }
            Ok::<_, Failure>(took)
        }
    };
    let took = together(workers, worker).await?.concat();
    Seen::of(took, began.elapsed())
}

/// The lease that the answer to a claim of one item names; none if there is no item.
fn lease(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let lease = text.split_once("\"id\":\"lse_").and_then(|(_, rest)| rest.split_once('"'));
    lease.map(|(id, _)| format!("lse_{id}"))
}
