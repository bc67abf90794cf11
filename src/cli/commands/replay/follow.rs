//! Follows a replay until it pauses or ends.

use std::time::Duration;

use reqwest::Method;
use warden_api::word::ReplayStatus;
use warden_api::{Replay, path};
use warden_client::{Client, Query};

use super::text::{is_ended, progress, status_text};
use crate::cli::commands::error::CliError;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::escaped;
use crate::model::{Clock as _, SystemClock};

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time between two lines of progress.
const PRINT_INTERVAL: Duration = Duration::from_secs(5);

pub async fn get(client: &Client, id: &str) -> Result<(String, Replay), CliError> {
    let request = client.request(Method::GET, &path::fill(path::REPLAY, &[id]), &Query::new())?;
    Ok(client.send(request).await?.document::<Replay>().await?)
}

/// Polls the replay and prints its progress. Returns the last response.
pub async fn follow(
    client: &Client,
    id: &str,
    console: &mut Console<'_>,
) -> Result<(String, Replay), CliError> {
    let clock = SystemClock::new();
    let (mut printed_at, mut printed) = (clock.now(), String::new());
    loop {
        let (text, replay) = get(client, id).await?;
        console.now = clock.wall();
        let now = clock.now();
        if is_ended(&replay) || replay.status == ReplayStatus::Paused {
            return Ok((text, replay));
        }
        let progress = progress(&replay, console.now);
        if printed.is_empty() || (progress != printed && now.since(printed_at) >= PRINT_INTERVAL) {
            console.message(&progress);
            (printed_at, printed) = (now, progress);
        }
        clock.sleep_until(now.after(POLL_INTERVAL)).await;
    }
}

/// Fails if the replay paused or ended with failures.
pub fn check_success(replay: &Replay, console: &Console<'_>) -> Result<(), CliError> {
    if replay.status == ReplayStatus::Completed && replay.failed == 0 {
        return Ok(());
    }
    let (id, status_text, progress) =
        (&replay.id, status_text(replay, console.now), progress(replay, console.now));
    Err(CliError::ReplayNotDone(escaped(&format!("the replay {id} is {status_text} ({progress})"))))
}
