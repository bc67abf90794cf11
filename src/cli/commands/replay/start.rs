//! `warden replay start`: starts a replay.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, RequestBuilder, Url};
use warden_api::item::Summary;
use warden_api::replay::{ReplayFilterRequest, ReplayRequest, ReplayTargetRequest};
use warden_api::word::OnSuccess;
use warden_api::{Replay, path};
use warden_client::{Client, Error as ClientError, Query};

use super::follow::{check_success, follow};
use super::show;
use super::text::status_text;
use crate::cli::commands::args::{Filter, duration, whole_number};
use crate::cli::commands::error::CliError;
use crate::cli::commands::preview;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::model::{Random, SystemRandom};

/// Start a replay, and print its id
///
/// Each item is posted with its payload, its content type and headers that identify it. Without --state,
/// overdue and failed items are sent.
#[derive(Args)]
pub struct Start {
    /// The URL to post the items to: http or https
    #[arg(long, value_name = "URL", value_parser = target)]
    to: String,
    /// A name for people
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// The most items in a second
    #[arg(long, value_name = "NUMBER", default_value_t = 50.0, value_parser = number)]
    max_per_second: f64,
    /// The most items at once
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = whole_number)]
    concurrency: u64,
    /// Send this many first; the others follow if all of these succeed, otherwise the replay pauses
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = whole_number)]
    canary: u64,
    /// How long the rate takes to grow from zero to its maximum
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    ramp_up: Duration,
    /// Close the items that the target accepts, instead of leaving that to the target
    #[arg(long)]
    close: bool,
    /// The longest wait for the target's response to one item
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    timeout: Duration,
    /// Pause after this many consecutive failures; 0 for never
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = whole_number)]
    pause_after_failures: u64,
    /// The secret that signs the items according to Standard Webhooks: whsec_ and base64. Prefer the variable
    #[arg(long, env = "WARDEN_REPLAY_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Show what would be sent, and send nothing
    #[arg(long, conflicts_with_all = ["follow", "idempotency_key"])]
    dry_run: bool,
    /// Wait until the replay ends or pauses, printing progress; fail unless all items succeeded
    #[arg(long)]
    follow: bool,
    /// A key that makes retries safe: the same key finds the same replay [default: a new key]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    connection: Connection,
}

/// Checks the URL of a target. The daemon decides which addresses may be called.
fn target(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.to_owned()),
        Ok(_) => Err("a target is a URL that begins with http:// or https://".to_owned()),
        Err(error) => Err(format!("a target is a URL such as https://example.org/hook ({error})")),
    }
}

fn number(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("give a number, such as 50 or 0.5")
}

impl Start {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let (format, following, dry_run) = (self.connection.output, self.follow, self.dry_run);
        let client = self.connection.open()?;
        let key = self.idempotency_key.clone();
        let key = key.unwrap_or_else(|| SystemRandom.id("key", console.now).to_string());
        let document = self.document()?;
        let request = || {
            let request = client.request(Method::POST, path::REPLAYS, &Query::new())?;
            Ok::<_, ClientError>(request.header("idempotency-key", &key).json(&document))
        };
        if dry_run {
            return previewed(&client, request()?, format, console).await;
        }
        let (text, replay) = match started(&client, request()?).await {
            // It may have been started; the key prevents a second one.
            Err(ClientError::BrokenOff { .. }) => started(&client, request()?).await?,
            answered => answered?,
        };
        if following {
            let said = format!("{} was started, with {}", replay.id, counted(replay.total, "item"));
            console.message(&said);
            let (text, replay) = follow(&client, &replay.id, console).await?;
            let printed = show::print(&text, &replay, format, console);
            return check_success(&replay, console).and(printed);
        }
        match format {
            Format::Json => console.document(&text)?,
            Format::Table => {
                console.line(&replay.id)?;
                let said = format!(
                    "The replay of {} to {} is {}.",
                    counted(replay.total, "item"),
                    replay.target.url,
                    status_text(&replay, console.now)
                );
                console.message(&said);
            }
        }
        Ok(())
    }

    fn document(self) -> Result<ReplayRequest, CliError> {
        let duration = |duration| humantime::format_duration(duration).to_string();
        // Scripts set an empty variable for "none".
        let secret = self.secret.filter(|secret| !secret.is_empty());
        Ok(ReplayRequest {
            name: self.name,
            filter: ReplayFilterRequest { filter: self.filter.document()?, ..Default::default() },
            target: ReplayTargetRequest { url: self.to, secret },
            max_per_second: self.max_per_second,
            concurrency: usize::try_from(self.concurrency).unwrap_or(usize::MAX),
            canary: self.canary,
            ramp_up: Some(duration(self.ramp_up)),
            on_success: if self.close { OnSuccess::Close } else { OnSuccess::Accept },
            timeout: Some(duration(self.timeout)),
            pause_after_failures: self.pause_after_failures,
            dry_run: self.dry_run,
        })
    }
}

async fn started(client: &Client, request: RequestBuilder) -> Result<(String, Replay), ClientError> {
    client.send(request).await?.document().await
}

async fn previewed(
    client: &Client,
    request: RequestBuilder,
    format: Format,
    console: &mut Console<'_>,
) -> Result<(), CliError> {
    let (text, summary) = client.send(request).await?.document::<Summary>().await?;
    match format {
        Format::Json => console.document(&text)?,
        Format::Table => writeln!(console.out, "{}", preview::render(&summary, console.now))?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        start: Start,
    }

    fn parse(flags: &str) -> Result<Start, clap::Error> {
        let line = format!("x --to http://target.internal/in {flags}");
        Line::try_parse_from(line.split_whitespace()).map(|line| line.start)
    }

    #[test]
    fn every_flag_is_handed_on() {
        let flags = "--name monday --workflow up* --state failed --label region:eu --step copy \
        --max-per-second 0.5 --concurrency 3 --canary 5 --ramp-up 90s --close --timeout 5s \
        --pause-after-failures 0 --secret whsec_x --dry-run";
        let expected = json!({"name": "monday",
            "filter": {"workflows": ["up*"], "states": ["failed"], "labels": {"region": "eu"},
            "step": "copy"},
            "target": {"url": "http://target.internal/in", "secret": "whsec_x"}, "max_per_second": 0.5,
            "concurrency": 3, "canary": 5, "ramp_up": "1m 30s", "on_success": "close", "timeout": "5s",
            "pause_after_failures": 0, "dry_run": true});
        assert_eq!(serde_json::to_value(parse(flags).unwrap().document().unwrap()).unwrap(), expected);
    }

    #[test]
    fn without_flags_it_is_as_the_daemon_would_have_it() {
        let expected = json!({"name": "", "filter": {}, "target": {"url": "http://target.internal/in"},
            "max_per_second": 50.0, "concurrency": 8, "canary": 0, "ramp_up": "0s", "on_success": "accept",
            "timeout": "30s", "pause_after_failures": 20, "dry_run": false});
        assert_eq!(serde_json::to_value(parse("").unwrap().document().unwrap()).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_is_refused_at_once() {
        for flags in
            ["--max-per-second fast", "--ramp-up soon", "--canary -1", "--dry-run --follow", "--state late"]
        {
            assert!(parse(flags).is_err(), "{flags}");
        }
        for to in ["ftp://target.internal/in", "target.internal/in", ""] {
            assert!(target(to).is_err(), "{to}");
        }
    }
}
