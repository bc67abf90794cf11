//! Filling a server with millions of items.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench measures real time; nothing here is the daemon's own"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::failure::Failure;

/// Lines in one batch.
const LINES: usize = 2_000;

/// Sends the lines, each with its end, as batches over one connection. Every one must create or close its
/// item. How long the longest batch took.
pub async fn fill(address: SocketAddr, lines: impl IntoIterator<Item = String>) -> Result<Duration, Failure> {
    let mut longest = Duration::ZERO;
    let mut connection = Connection::open(address).await?;
    let mut lines = lines.into_iter().peekable();
    while lines.peek().is_some() {
        let body: String = lines.by_ref().take(LINES).collect();
        let request = format!(
            "POST /v1/batch HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let asked = Instant::now();
        let status = connection.exchange(request.as_bytes()).await?;
        longest = longest.max(asked.elapsed());
        let answers = connection.body();
        let refused = answers.split(|byte| *byte == b'\n').find(|line| !line.is_empty() && !is_done(line));
        if status != 200 || refused.is_some() {
            let refused = String::from_utf8_lossy(refused.unwrap_or(answers)).into_owned();
            return Err(Failure::Answer(format!("{status} to a batch: {refused}")));
        }
    }
    Ok(longest)
}

fn is_done(line: &[u8]) -> bool {
    line.windows(12).any(|part| part == b"\"status\":201" || part == b"\"status\":204")
}
