//! Flags about leases: how long they last, and whose they are.

use std::time::Duration;

use warden_api::limit::WORKER_MAX;

use crate::cli::commands::args::duration;

/// The shortest and the longest lease.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));

/// Parses the time of a lease.
pub fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration(text)?;
    if ttl < TTL.0 || ttl > TTL.1 {
        return Err("a lease lasts from 1s to 24h".to_owned());
    }
    Ok(ttl)
}

/// The default name of a holder: host name and process id.
pub fn worker_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let number = format!(":{}", std::process::id());
    let mut end = host.len().min(WORKER_MAX - number.len());
    while !host.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{number}", &host[..end])
}
