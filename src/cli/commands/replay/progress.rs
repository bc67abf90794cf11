//! Following a replay until it waits for somebody or has ended.

use std::time::Duration;

use reqwest::Method;
use warden_api::word::ReplayStatus;
use warden_api::{Replay, path};

use super::text::{is_ended, progress, standing};
use crate::cli::commands::error::CliError;
use crate::cli::daemon::client::{Client, Query};
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::shown;
use crate::model::{Clock as _, SystemClock};

/// How often the daemon is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often at most it is said how far it has come.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Asks for a replay.
///
/// # Errors
/// When there is none, or the daemon cannot be asked.
pub async fn ask(client: &Client, id: &str) -> Result<(String, Replay), CliError> {
    let request = client.request(Method::GET, &path::fill(path::REPLAY, &[id]), &Query::new())?;
    Ok(client.send(request).await?.document::<Replay>().await?)
}

/// Follows a replay, and says now and then how far it has come. Gives what the daemon answered last.
///
/// # Errors
/// When the daemon cannot be asked.
pub async fn follow(
    client: &Client,
    id: &str,
    console: &mut Console<'_>,
) -> Result<(String, Replay), CliError> {
    let clock = SystemClock::new();
    let (mut told_at, mut told) = (clock.now(), String::new());
    loop {
        let (text, replay) = ask(client, id).await?;
        console.now = clock.wall();
        let now = clock.now();
        if is_ended(&replay) || replay.status == ReplayStatus::Paused {
            return Ok((text, replay));
        }
        let progress = progress(&replay, console.now);
        if told.is_empty() || (progress != told && now.since(told_at) >= TOLD_EVERY) {
            console.note(&progress);
            (told_at, told) = (now, progress);
        }
        clock.sleep_until(now.after(EVERY)).await;
    }
}

/// Says by how the program ends what became of a replay that was followed.
///
/// # Errors
/// When it did not come to a good end.
pub fn judge(replay: &Replay, console: &Console<'_>) -> Result<(), CliError> {
    if replay.status == ReplayStatus::Completed && replay.failed == 0 {
        return Ok(());
    }
    let (id, standing, progress) = (&replay.id, standing(replay, console.now), progress(replay, console.now));
    Err(CliError::ReplayNotDone(shown(&format!("the replay {id} is {standing} ({progress})"))))
}
