//! `warden silence add`: makes a silence.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use reqwest::{Method, RequestBuilder};
use warden_api::alert::SilenceRequest;
use warden_api::word::IncidentKind;
use warden_api::{Silence, WallTime, path};

use crate::cli::commands::error::CliError;
use crate::cli::commands::label;
use crate::cli::commands::person::Person;
use crate::cli::daemon::client::{Client, ClientError, Query};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::dated;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::shown;
use crate::model::{Random, SystemRandom, Timestamp, parse_duration};

/// Make a silence, and print its id
#[derive(Args)]
pub struct Add {
    /// The workflows it is for: * stands for any characters, ? for one
    #[arg(long, value_name = "GLOB")]
    workflow: String,
    /// The one kind of incident it is for [default: all]
    #[arg(long, value_parser = PossibleValuesParser::new(IncidentKind::WORDS))]
    kind: Option<String>,
    /// A label of the incidents it is for, where their workflows are split by it; repeatable, and then all of them
    #[arg(long = "label", value_name = "NAME:VALUE", value_parser = label::read)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    end: End,
    /// From when on, such as 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Why; at most 512 bytes
    #[arg(long, value_name = "TEXT")]
    comment: String,
    #[command(flatten)]
    person: Person,
    /// Makes a repetition known: the same key finds the same silence [default: a new one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// When it ends.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct End {
    /// For how long, such as 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Until when, such as 2026-01-31T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
}

impl Add {
    /// Makes it.
    ///
    /// # Errors
    /// When it would silence nothing, or the daemon cannot be asked.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let format = self.connection.output;
        let client = self.connection.open()?;
        let key = self.idempotency_key.clone();
        let key = key.unwrap_or_else(|| SystemRandom.id("key", console.now).to_string());
        let document = self.document()?;
        let request = || {
            let request = client.request(Method::POST, path::SILENCES, &Query::new())?;
            Ok::<_, ClientError>(request.header("idempotency-key", &key).json(&document))
        };
        let (text, silence) = match made(&client, request()?).await {
            // Whether it was made is not known, and by the key it is not made twice.
            Err(ClientError::BrokenOff { .. }) => made(&client, request()?).await?,
            answered => answered?,
        };
        match format {
            Format::Json => console.document(&text)?,
            Format::Table => {
                console.line(&silence.id)?;
                let (status, ends) = (&silence.status, dated(silence.ends_at, console.now));
                let text = format!("The silence of {} is {status} and ends {ends}.", silence.workflow);
                console.note(&text);
            }
        }
        Ok(())
    }

    /// What the daemon is told.
    fn document(self) -> Result<SilenceRequest, CliError> {
        let mut labels = BTreeMap::new();
        for (name, value) in self.labels {
            if labels.contains_key(&*name) {
                return Err(CliError::Usage(format!("the label {} stands twice", shown(&name))));
            }
            labels.insert(name.into(), value.into());
        }
        let instant = |instant: Timestamp| WallTime::read(instant).to_string();
        Ok(SilenceRequest {
            workflow: self.workflow.into(),
            kind: self.kind.and_then(|kind| kind.parse().ok()),
            labels,
            starts_at: self.from.map(instant),
            ends_at: self.end.until.map(instant),
            duration: self.end.duration.map(|duration| humantime::format_duration(duration).to_string()),
            author: self.person.name().map(Into::into),
            comment: self.comment.into(),
        })
    }
}

async fn made(client: &Client, request: RequestBuilder) -> Result<(String, Silence), ClientError> {
    client.send(request).await?.document().await
}

/// Reads an instant, for the command line.
fn instant(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(text)
        .map_err(|_| "an instant is written like 2026-01-31T12:00:00Z, or with +01:00 for Z")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    fn parse(flags: &str) -> Result<Add, clap::Error> {
        let line = format!("x --workflow up* --comment disks --by kim {flags}");
        Line::try_parse_from(line.split_whitespace()).map(|line| line.add)
    }

    #[test]
    fn every_flag_is_handed_on() {
        let flags = "--kind failed --label region:eu --label size: --until 2026-01-31T15:00:00+01:00 \
                     --from 2026-01-31T12:00:00Z";
        let expected = json!({"workflow": "up*", "kind": "failed", "labels": {"region": "eu", "size": ""},
            "starts_at": "2026-01-31T12:00:00.000Z", "ends_at": "2026-01-31T14:00:00.000Z",
            "author": "kim", "comment": "disks"});
        assert_eq!(serde_json::to_value(parse(flags).unwrap().document().unwrap()).unwrap(), expected);
        let briefly = parse("--for 90m").unwrap().document().unwrap();
        assert_eq!((briefly.duration.as_deref(), briefly.ends_at), (Some("1h 30m"), None));
    }

    #[test]
    fn a_silence_needs_one_end_and_labels_that_can_be() {
        for flags in [
            "",
            "--for 1h --until 2026-01-31T12:00:00Z",
            "--for soon",
            "--for 30",
            "--until tomorrow",
            "--until 2026-01-31",
            "--for 1h --label region",
            "--for 1h --kind sad",
        ] {
            assert!(parse(flags).is_err(), "{flags}");
        }
        let twice = parse("--for 1h --label region:eu --label region:us").unwrap().document().unwrap_err();
        assert_eq!(twice.to_string(), "the label region stands twice");
    }
}
