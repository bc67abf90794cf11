//! `warden silence`: adds, lists and ends silences.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use warden_api::alert::SilenceRequest;
use warden_api::word::{IncidentKind, SilenceStatus};
use warden_api::{Silence as Document, WallTime, path};
use warden_client::{Client, Error as ClientError, Query};

use super::args::{Person, duration, generated_id, glob, instant, label, labels};
use super::error::CliError;
use super::list::{Extent, Row};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::{dated, relative};
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::label_list;
use crate::model::{Random, SystemRandom, Timestamp};

/// Silence incidents for a time, such as a maintenance
///
/// Silenced incidents open all the same. Those that are still open when the silence ends are notified then.
#[derive(Args)]
pub struct Silence {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Subcommand)]
enum SilenceCommand {
    Add(Add),
    List(List),
    End(End),
}

/// Add a silence, and print its id
#[derive(Args)]
struct Add {
    /// Workflows to silence: * stands for any characters, ? for one
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    workflow: String,
    /// Only incidents of this kind [default: all]
    #[arg(long, value_parser = PossibleValuesParser::new(IncidentKind::WORDS))]
    kind: Option<String>,
    /// Only incidents of groups with this label; repeatable, groups must have all of them
    #[arg(long = "label", value_name = "NAME:VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    until: Until,
    /// When it begins, such as 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// The reason; at most 512 bytes
    #[arg(long, value_name = "TEXT")]
    comment: String,
    #[command(flatten)]
    person: Person,
    /// A key that makes retries safe: the same key finds the same silence [default: a new key]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Until {
    /// How long it lasts, such as 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// When it ends, such as 2026-01-31T14:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
}

/// List silences, the newest first
#[derive(Args)]
struct List {
    /// Only silences with this status; repeatable [default: pending and active]
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(SilenceStatus::WORDS))]
    statuses: Vec<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

/// End a silence now, and notify the incidents that it delayed
///
/// Ending it again has no further effect.
#[derive(Args)]
struct End {
    /// The id of the silence
    #[arg(value_parser = generated_id)]
    id: String,
    #[command(flatten)]
    connection: Connection,
}

impl Silence {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        match self.command {
            SilenceCommand::Add(add) => add.run(console).await,
            SilenceCommand::List(list) => list.run(console).await,
            SilenceCommand::End(end) => end.run(console).await,
        }
    }
}

impl Add {
    async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let format = self.connection.output;
        let client = self.connection.open()?;
        let key = self.idempotency_key.clone();
        let key = key.unwrap_or_else(|| SystemRandom.id("key", console.now).to_string());
        let document = self.document()?;
        let request = || {
            let request = client.request(Method::POST, path::SILENCES, &Query::new())?;
            Ok::<_, ClientError>(request.header("idempotency-key", &key).json(&document))
        };
        let (text, silence) = match post(&client, request()?).await {
            // It may have been added; the key prevents a second one.
            Err(ClientError::BrokenOff { .. }) => post(&client, request()?).await?,
            answered => answered?,
        };
        match format {
            Format::Json => console.document(&text)?,
            Format::Table => {
                console.line(&silence.id)?;
                let (status, ends) = (&silence.status, dated(silence.ends_at, console.now));
                let text = format!("The silence of {} is {status} and ends {ends}.", silence.workflow);
                console.message(&text);
            }
        }
        Ok(())
    }

    fn document(self) -> Result<SilenceRequest, CliError> {
        let labels = labels(&self.labels)?.into_iter().map(|(name, value)| (name.into(), value.into()));
        let instant = |instant: Timestamp| WallTime::read(instant).to_string();
        Ok(SilenceRequest {
            workflow: self.workflow.into(),
            kind: self.kind.and_then(|kind| kind.parse().ok()),
            labels: labels.collect(),
            starts_at: self.from.map(instant),
            ends_at: self.until.until.map(instant),
            duration: self.until.duration.map(|duration| humantime::format_duration(duration).to_string()),
            author: self.person.name().map(Into::into),
            comment: self.comment.into(),
        })
    }
}

async fn post(client: &Client, request: RequestBuilder) -> Result<(String, Document), ClientError> {
    client.send(request).await?.document().await
}

impl List {
    async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let query = self.statuses.into_iter().map(|status| ("status", status)).collect();
        let created_at = |silence: &Document| silence.created_at.timestamp();
        self.extent.print_newest(&self.connection, (path::SILENCES, &query), created_at, console).await
    }
}

impl End {
    async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request =
            client.request(Method::DELETE, &path::fill(path::SILENCE, &[&self.id]), &Query::new())?;
        client.send(request).await?;
        match self.connection.output {
            // The daemon answers with nothing.
            Format::Json => {
                console.json(&json!({"id": self.id, "status": SilenceStatus::Expired.as_str()}))?
            }
            Format::Table => console.line(format_args!("{} is over", self.id))?,
        }
        Ok(())
    }
}

impl Row for Document {
    const HEADER: &'static [&'static str] =
        &["ID", "STATUS", "WORKFLOW", "KIND", "LABELS", "BEGINS", "ENDS", "AUTHOR", "COMMENT"];
    const NOUN: &'static str = "silence";

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.status.to_string(),
            self.workflow.to_string(),
            self.kind.as_ref().map(ToString::to_string).unwrap_or_default(),
            label_list(&self.labels),
            relative(self.starts_at, now),
            relative(self.ends_at, now),
            self.author.to_string(),
            self.comment.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::now;
    use crate::cli::terminal::table::table;

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
        assert_eq!(twice.to_string(), "the label region is given twice");
    }

    #[test]
    fn a_line_says_what_is_silenced_for_how_long_by_whom_and_why() {
        let silence = |id: &str, status: &str, kind: Option<&str>, labels, comment: &str| {
            let silence = json!({"id": id, "status": status, "workflow": "up*", "kind": kind,
            "labels": labels,
                "starts_at": "2026-01-31T12:00:00.000Z", "ends_at": "2026-01-31T14:00:00.000Z",
                "author": "kim",
                "comment": comment, "created_at": "2026-01-31T12:00:00.000Z"});
            serde_json::from_value::<Document>(silence).unwrap()
        };
        let silences = [
            silence("sil_1", "active", None, json!({}), "moving the disks"),
            silence("sil_2", "pending", Some("failed"), json!({"region": "eu"}), "\u{7}"),
        ];
        let expected = "\
ID     STATUS   WORKFLOW  KIND    LABELS     BEGINS   ENDS       AUTHOR  COMMENT
sil_1  active   up*                          30m ago  in 1h 30m  kim     moving the disks
sil_2  pending  up*       failed  region:eu  30m ago  in 1h 30m  kim     \\u{7}";
        assert_eq!(table(Document::HEADER, silences.map(|silence| silence.cells(now()))), expected);
    }
}
