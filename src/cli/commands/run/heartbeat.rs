//! Keeps the deadline of a run near while its command lives, so that a run whose host or `warden run` died is
//! overdue soon.
//!
//! The deadline that the run was opened with is never exceeded: a command that hangs is overdue then.

use std::time::Duration;

use warden_api::item::PatchRequest;
use warden_client::{Client, Error as ClientError};

use crate::model::{Clock as _, SystemClock};

/// Heartbeats per time to live.
const PER_TTL: u32 = 3;

/// Sets the deadline of a run to `ttl` from now, again and again, until that would be later than its own,
/// which is `own` and as long from now as `left`. Fails if the daemon refuses it, as for a run that was
/// closed by somebody else.
pub async fn keep(
    client: &Client,
    (workflow, id): (&str, &str),
    ttl: Duration,
    (own, left): (String, Duration),
) -> Result<(), ClientError> {
    let clock = SystemClock::new();
    let end = clock.now().after(left);
    let item = client.item(workflow, id)?;
    if ttl.is_zero() || ttl >= left {
        return Ok(());
    }
    loop {
        let is_last = clock.now().after(ttl) >= end;
        let deadline = if is_last { own.clone() } else { humantime::format_duration(ttl).to_string() };
        let patch = PatchRequest { deadline: Some(deadline), ..PatchRequest::default() };
        match item.change(&patch).await {
            Ok(_) if is_last => return Ok(()),
            Ok(_) => {}
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error),
        }
        clock.sleep_until(clock.now().after(ttl / PER_TTL)).await;
    }
}
