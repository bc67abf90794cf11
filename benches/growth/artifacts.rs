//! Artifacts: how long finding and claiming take among many.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::load::{Connection, Failure, Server, Settings, post, quantile};
use crate::sizes::title;

/// Artifacts in a registration.
const AT_ONCE: usize = 1_000;
/// Every so many is ready; the others are loaded.
const READY_SHARE: usize = 1_000;
const TIMES: usize = 200;

/// Registers so many artifacts, half of them at one location, and prints how long finding takes.
pub fn measure(artifacts: usize, settings: &Settings, runtime: &Runtime) -> Result<(), Failure> {
    let mut server = Server::warden(&settings.directory, &[])?;
    let empty = server.resident_memory();
    let began = Instant::now();
    runtime.block_on(register(server.address(), artifacts)).map_err(|failure| server.blame(failure))?;
    let rate = artifacts as f64 / began.elapsed().as_secs_f64();
    println!("\n{} artifacts, registered at {rate:.0}/s", title(artifacts));
    let began = Instant::now();
    server.kill_and_restart()?;
    let start = began.elapsed().as_secs_f64();
    println!(
        "  started in {start:.2} s, resident {} MiB more",
        server.resident_memory().saturating_sub(empty)
    );
    let times = if settings.smoke { TIMES / 10 } else { TIMES };
    let middle = format!("file-{:07}", artifacts / 2 / READY_SHARE * READY_SHARE);
    for (what, query) in [
        ("all", String::new()),
        ("status=ready", "status=ready".to_owned()),
        ("location, status=ready", "location=/data/even&status=ready".to_owned()),
        ("workflow, status=ready", "workflow=growth&status=ready".to_owned()),
        ("exact name", format!("name={middle}.csv")),
        ("name with a beginning", format!("name={middle}*")),
        ("*name*, status=ready", format!("name=*{middle}*&status=ready")),
        ("*name* among all", format!("name=*{middle}*")),
    ] {
        let took = runtime.block_on(find(server.address(), &query, times));
        let mut took = took.map_err(|failure| server.blame(failure))?;
        let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut took, share).as_secs_f64() * 1e3);
        println!("  find by {what:<24} p50 {p50:>8.2} ms, p99 {p99:>8.2} ms");
    }
    let claims = times.min(artifacts / READY_SHARE);
    let took = runtime.block_on(claim(server.address(), claims));
    let mut took = took.map_err(|failure| server.blame(failure))?;
    let [p50, p99] = [0.5, 0.99].map(|share| quantile(&mut took, share).as_secs_f64() * 1e3);
    println!("  claim of the oldest ready one    p50 {p50:>8.2} ms, p99 {p99:>8.2} ms");
    server.stop()
}

async fn register(address: SocketAddr, artifacts: usize) -> Result<(), Failure> {
    let mut connection = Connection::open(address).await?;
    for first in (0..artifacts).step_by(AT_ONCE) {
        let new = |number: usize| {
            let location = if number.is_multiple_of(2) { "even" } else { "odd" };
            let status = if number.is_multiple_of(READY_SHARE) { "ready" } else { "loaded" };
            format!(
                "{{\"workflow\":\"growth\",\"location\":\"/data/{location}\",\
                 \"name\":\"file-{number:07}.csv\",\"status\":\"{status}\",\"size\":{number}}}"
            )
        };
        let part: Vec<String> = (first..artifacts.min(first + AT_ONCE)).map(new).collect();
        let request = post(address, "/v1/artifacts", &format!("[{}]", part.join(",")));
        connection.ask(&request, 201).await?;
    }
    Ok(())
}

/// Asks for a page, and for those after it that are needed until something was found.
async fn find(address: SocketAddr, query: &str, times: usize) -> Result<Vec<Duration>, Failure> {
    let mut connection = Connection::open(address).await?;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let asked = Instant::now();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/artifacts?limit=50&{query}{cursor}");
            let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
            let body = String::from_utf8_lossy(connection.ask(request.as_bytes(), 200).await?);
            if body.contains("\"id\":\"art_") {
                break;
            }
            match body.rsplit_once("\"next_cursor\":\"").and_then(|(_, rest)| rest.split_once('"')) {
                Some((next, _)) => cursor = format!("&cursor={next}"),
                None => return Err(Failure::Answer(format!("nothing is found by {query}"))),
            }
        }
        took.push(asked.elapsed());
    }
    Ok(took)
}

async fn claim(address: SocketAddr, times: usize) -> Result<Vec<Duration>, Failure> {
    let mut connection = Connection::open(address).await?;
    let request = post(address, "/v1/artifacts/claim", "{\"workflow\":\"growth\"}");
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let asked = Instant::now();
        let body = connection.ask(&request, 200).await?;
        took.push(asked.elapsed());
        if !String::from_utf8_lossy(body).contains("\"id\":\"art_") {
            return Err(Failure::Answer("nothing is left to claim".into()));
        }
    }
    Ok(took)
}
