//! `warden replay show`: shows a replay.

use clap::Args;
use warden_api::replay::ReplayFailure;
use warden_api::{Replay, WallTime};

use super::follow::{check_success, follow, get};
use super::text::{progress, selection, status_text};
use crate::cli::commands::args::generated_id;
use crate::cli::commands::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::{dated, relative};
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::table;
use crate::model::Timestamp;

/// Show a replay, its progress and its failures
#[derive(Args)]
pub struct Show {
    /// The id of the replay
    #[arg(value_parser = generated_id)]
    id: String,
    /// Wait until the replay ends or pauses, printing progress; fail unless all items succeeded
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Show {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let (text, replay) = if self.follow {
            follow(&client, &self.id, console).await?
        } else {
            get(&client, &self.id).await?
        };
        let printed = print(&text, &replay, self.connection.output, console);
        if self.follow {
            check_success(&replay, console)?;
        }
        printed
    }
}

pub fn print(text: &str, replay: &Replay, format: Format, console: &mut Console<'_>) -> Result<(), CliError> {
    match format {
        Format::Json => console.document(text)?,
        Format::Table => writeln!(console.out, "{}", render(replay, console.now))?,
    }
    Ok(())
}

fn render(replay: &Replay, now: Timestamp) -> String {
    let at = |instant: WallTime| dated(instant, now);
    let pace = format!("{}/s, {} at a time", replay.max_per_second, replay.concurrency);
    let canary = (replay.canary > 0).then(|| replay.canary.to_string());
    let rows = [
        ("id", Some(replay.id.to_string())),
        ("name", Some(replay.name.to_string()).filter(|name| !name.is_empty())),
        ("status", Some(status_text(replay, now))),
        ("items", Some(selection(replay))),
        ("target", Some(replay.target.url.clone())),
        ("on success", Some(replay.on_success.to_string())),
        ("pace", Some(pace)),
        ("canary", canary),
        ("started", Some(at(replay.created_at))),
        ("ended", replay.ended_at.map(at)),
        ("progress", Some(progress(replay, now))),
        ("sent", Some(replay.sent.to_string())),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    let mut text = table(&[], rows);
    if !replay.failure_reasons.is_empty() {
        let mut reasons: Vec<_> = replay.failure_reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let rows = reasons.into_iter().map(|(reason, count)| vec![count.to_string(), reason.to_string()]);
        text.push_str("\n\n");
        text.push_str(&table(&["FAILED", "REASON"], rows));
    }
    if !replay.failures.is_empty() {
        text.push_str("\n\n");
        let rows = replay.failures.iter().map(|failure| cells(failure, now));
        text.push_str(&table(&["WHEN", "WORKFLOW", "ID", "LATEST FAILURES"], rows));
    }
    text
}

fn cells(failure: &ReplayFailure, now: Timestamp) -> Vec<String> {
    let ReplayFailure { workflow, id, reason, at, .. } = failure;
    vec![relative(*at, now), workflow.to_string(), id.to_string(), reason.to_string()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::{now, replay};

    #[test]
    fn a_replay_is_shown_with_how_far_it_has_come_and_what_failed() {
        let expected = "\
id          rpl_1
name        monday
status      running
items       overdue or failed of up* at copy with region:eu
target      https://target.internal/in
on success  accept
pace        50/s, 8 at a time
canary      5
started     2026-01-31T12:15:00.000Z (15m ago)
progress    1236 of 5000, 4 failed, 2 skipped, 50/s, done in 1m 16s
sent        1240

FAILED  REASON
3       HTTP 422
1       HTTP 502

WHEN    WORKFLOW  ID      LATEST FAILURES
1m ago  uploads   file-7  HTTP 502: bad\\ngateway";
        assert_eq!(render(&replay(json!({})), now()), expected);
    }
}
