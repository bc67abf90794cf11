//! `warden wait`: waits until workflows have succeeded.

use std::time::Duration;

use clap::Args;
use warden_api::limit::WAITED_MAX;
use warden_api::run::Waited;
use warden_client::{AwaitedRuns, Backoff, Client};

use super::args::{duration, instant, workflow};
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::model::{Clock as _, SystemClock, Timestamp, WorkflowName, Zone};

/// The longest that one request waits.
const POLL_MAX: Duration = Duration::from_secs(60);
/// Before the next request if the daemon did not let the last one wait, because too many do.
const UNASKED_PAUSE: Duration = Duration::from_secs(1);

const HELP: &str = "\
Exit codes: 0 they have succeeded, 84 a run has failed (with --fail-fast), 85 the timeout is over,
86 there is no such workflow.";

/// Wait until the latest run of each workflow has succeeded
///
/// An earlier success does not count while a later run is open or has failed. Goes on when the daemon
/// restarts meanwhile.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Wait {
    /// The workflows
    #[arg(value_name = "WORKFLOW", required = true, num_args = 1.., value_parser = workflow)]
    workflows: Vec<WorkflowName>,
    /// Only a run that ended at this time or later counts: an instant such as 2026-01-31T12:00:00Z, or
    /// today for the midnight before this command began [default: any]
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// The time zone of today, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    timezone: Zone,
    /// The successful runs of every job must cover this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    covers: Option<Timestamp>,
    /// Give up after this time, such as 2h [default: never]
    #[arg(long, value_parser = duration)]
    timeout: Option<Duration>,
    /// Give up when the latest run of one of them has failed
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Today,
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    match text {
        "today" => Ok(Since::Today),
        text => instant(text).map(Since::At).map_err(|error| format!("{error}, or today")),
    }
}

fn zone(text: &str) -> Result<Zone, &'static str> {
    text.parse().map_err(|_| "it is no time zone of the IANA database, such as Europe/Berlin")
}

impl Wait {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        if self.workflows.len() > WAITED_MAX {
            return Err(CliError::Usage(format!("at most {WAITED_MAX} workflows can be waited for")));
        }
        let clock = SystemClock::new();
        let began = clock.now();
        let waited = self.wait(console.now).await?;
        let now = console.now.after(clock.now().since(began));
        match self.connection.output {
            Format::Json => console.json(&waited)?,
            Format::Table => {
                for run in &waited.runs {
                    let ended = relative(run.ended_at, now);
                    console.line(format_args!("run {} of {} succeeded {ended}", run.number, run.workflow))?;
                }
            }
        }
        Ok(())
    }

    async fn wait(&self, now: Timestamp) -> Result<Waited, CliError> {
        let client = self.connection.open()?;
        // Today stays the day on which this began: a success just before midnight must not be missed because
        // the next request is sent after it.
        let since = match self.since {
            Some(Since::Today) => self.timezone.day_of(now),
            Some(Since::At(at)) => Some(at),
            None => None,
        };
        let awaited = AwaitedRuns {
            workflows: self.workflows.clone(),
            since: since.map(|since| since.to_string()),
            covers: self.covers.map(|covers| covers.to_string()),
            fail_fast: self.fail_fast,
            ..AwaitedRuns::default()
        };
        let clock = SystemClock::new();
        let until = self.timeout.map(|timeout| clock.now().after(timeout));
        let left = || until.map_or(POLL_MAX, |until| until.since(clock.now()).min(POLL_MAX));
        let pause = |time: Duration| clock.sleep_until(clock.now().after(time.min(left())));
        // A script is told at once that there is no daemon; one that restarts later is waited for.
        let mut poll = client.wait_for_runs(&awaited, Duration::ZERO).await.map_err(CliError::from)?;
        let mut backoff = Backoff::new();
        loop {
            if let Some(waited) = poll {
                return Ok(waited);
            }
            if left().is_zero() {
                let missing = self.missing(&client, &awaited).await;
                // The last of them may have succeeded at the last moment.
                if missing.is_empty()
                    && let Ok(Some(waited)) = client.wait_for_runs(&awaited, Duration::ZERO).await
                {
                    return Ok(waited);
                }
                let missing = if missing.is_empty() { self.names() } else { missing };
                let have = if missing.len() == 1 { "has" } else { "have" };
                let (names, after) = (missing.join(", "), self.timeout.unwrap_or_default());
                let after = humantime::format_duration(after);
                return Err(CliError::TimedOut(format!("{names} {have} not succeeded within {after}")));
            }
            let asked = clock.now();
            poll = match client.wait_for_runs(&awaited, left()).await {
                Err(error) if error.is_transient() => {
                    pause(backoff.wait(error.retry_after())).await;
                    None
                }
                answered => {
                    backoff = Backoff::new();
                    let answered = answered?;
                    if answered.is_none() && clock.now().since(asked) < UNASKED_PAUSE {
                        pause(UNASKED_PAUSE).await;
                    }
                    answered
                }
            };
        }
    }

    fn names(&self) -> Vec<&str> {
        self.workflows.iter().map(|workflow| &**workflow).collect()
    }

    /// The workflows that have not succeeded. All of them, if the daemon does not tell.
    async fn missing(&self, client: &Client, awaited: &AwaitedRuns) -> Vec<&str> {
        let mut missing = Vec::new();
        for workflow in &self.workflows {
            let workflows = vec![workflow.clone()];
            let alone = AwaitedRuns { workflows, fail_fast: false, ..awaited.clone() };
            match client.wait_for_runs(&alone, Duration::ZERO).await {
                Ok(None) => missing.push(&**workflow),
                Ok(Some(_)) => {}
                Err(_) => return self.names(),
            }
        }
        missing
    }
}
