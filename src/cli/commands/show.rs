//! `warden show`: shows an item.

use clap::Args;
use reqwest::Method;
use warden_api::artifact::ArtifactSummary;
use warden_api::{Item, WallTime};
use warden_client::Query;

use super::args::ItemKey;
use super::error::CliError;
use super::runs::count_list;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::age::{dated, relative};
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::table::{label_list, table};
use crate::model::Timestamp;

/// Show an item, without its payload
#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    item: ItemKey,
    #[command(flatten)]
    connection: Connection,
}

impl Show {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request =
            client.item_request(Method::GET, (&self.item.workflow, &self.item.id), "", &Query::new())?;
        let (text, item) = client.send(request).await?.document::<Item>().await?;
        match self.connection.output {
            Format::Json => console.document(&text)?,
            Format::Table => writeln!(console.out, "{}", render(&item, console.now))?,
        }
        Ok(())
    }
}

fn render(item: &Item, now: Timestamp) -> String {
    let at = |instant: WallTime| dated(instant, now);
    let payload = &item.payload;
    let progress =
        (!item.progress.is_empty()).then(|| serde_json::Value::from(item.progress.clone()).to_string());
    let step = item.step.as_ref().map(|step| match item.step_entered_at {
        Some(entered) => format!("{step}, since {}", at(entered)),
        None => step.to_string(),
    });
    let state = match &item.held_for {
        Some(held) => format!("{} ({held})", item.state),
        None => item.state.to_string(),
    };
    let counts = item.counts.as_ref().filter(|counts| !counts.is_empty());
    let rows = [
        ("workflow", Some(item.workflow.to_string())),
        ("id", Some(item.id.to_string())),
        ("number", item.number.map(|number| number.to_string())),
        ("state", Some(state)),
        ("created", Some(at(item.created_at))),
        ("started", item.started_at.map(at)),
        ("deadline", Some(at(item.deadline))),
        ("closed", item.closed_at.map(at)),
        ("outcome", item.outcome.as_ref().map(ToString::to_string)),
        ("step", step),
        ("incident", item.incident.as_deref().map(str::to_owned)),
        ("labels", (!item.labels.is_empty()).then(|| label_list(&item.labels))),
        ("lineage", item.lineage.as_ref().and_then(|lineage| serde_json::to_string(lineage).ok())),
        ("params", item.params.as_ref().map(ToString::to_string)),
        ("progress", progress),
        ("counts", counts.map(count_list)),
        ("payload", Some(format!("{} of {}", counted(payload.size, "byte"), payload.content_type))),
        ("encoding", payload.content_encoding.as_deref().map(str::to_owned)),
        ("sha256", Some(payload.sha256.clone())),
        ("version", Some(item.version.to_string())),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    let mut text = table(&[], rows);
    if !item.artifacts.is_empty() {
        let rows = item.artifacts.iter().map(|artifact| {
            let ArtifactSummary { id, location, name, status } = artifact;
            vec![id.to_string(), status.to_string(), location.to_string(), name.to_string()]
        });
        text.push_str("\n\n");
        text.push_str(&table(&["ARTIFACT", "STATUS", "LOCATION", "NAME"], rows));
    }
    if !item.errors.is_empty() {
        let rows = item.errors.iter().map(|error| {
            let kind = if error.fatal { format!("{} (fatal)", error.kind) } else { error.kind.clone() };
            let step = error.step.as_deref().unwrap_or_default().to_owned();
            vec![relative(error.at, now), kind, step, error.message.clone(), error.id.to_string()]
        });
        text.push_str("\n\n");
        text.push_str(&table(&["WHEN", "ERROR", "STEP", "MESSAGE", "ID"], rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::{item, now};
    use super::*;

    #[test]
    fn an_item_is_shown_with_what_it_has_and_no_more() {
        let item = item(json!({
            "workflow": "uploads", "id": "file-123", "state": "failed",
            "created_at": "2026-01-31T12:00:00.000Z", "deadline": "2026-01-31T12:15:00.000Z",
            "closed_at": null, "outcome": null, "labels": {"region": "eu", "cost.center/a": null},
            "step": null, "step_entered_at": null,
            "progress": {}, "incident": "inc_1", "version": 2, "added_later": true,
            "errors": [{"id": "err_1", "type": "Timeout", "message": "no\nanswer", "retryable": true,
            "fatal": true,
                "step": "copy", "at": "2026-01-31T12:29:00.000Z", "data": null}],
            "payload": {"size": 3, "content_type": "text/plain", "content_encoding": "gzip",
            "sha256": "ba78"},
        }));
        let now = Timestamp::parse("2026-01-31T12:30:00Z").unwrap();
        let expected = "\
workflow  uploads
id        file-123
state     failed
created   2026-01-31T12:00:00.000Z (30m ago)
deadline  2026-01-31T12:15:00.000Z (15m ago)
incident  inc_1
labels    region:eu
payload   3 bytes of text/plain
encoding  gzip
sha256    ba78
version   2

WHEN    ERROR            STEP  MESSAGE     ID
1m ago  Timeout (fatal)  copy  no\\nanswer  err_1";
        assert_eq!(render(&item, now), expected);
    }

    #[test]
    fn a_run_is_shown_with_its_number_what_it_counted_and_the_artifacts_that_it_used() {
        let run = item(json!({
            "workflow": "nightly", "id": "a", "state": "open", "step": null, "number": 7,
            "labels": {"region": null, "cost.center/a": null}, "started_at": "2026-01-31T12:00:00.000Z",
            "deadline": "2026-01-31T13:00:00.000Z", "lineage": {"actor": "cron", "sources": ["crm"]},
            "params": {"shared": {"env": "prod"}, "jobs": {}}, "counts": {"read": 10, "written": 9},
            "artifacts": [{"id": "art_1", "location": "/data/in", "name": "a.csv", "status": "loading"}],
        }));
        let expected = "\
workflow  nightly
id        a
number    7
state     open
created   2026-01-31T11:00:00.000Z (1h 30m ago)
started   2026-01-31T12:00:00.000Z (30m ago)
deadline  2026-01-31T13:00:00.000Z (in 30m)
lineage   {\"actor\":\"cron\",\"sources\":[\"crm\"]}
params    {\"jobs\":{},\"shared\":{\"env\":\"prod\"}}
counts    read=10 written=9
payload   3 bytes of text/plain
encoding  gzip
sha256    00
version   1

ARTIFACT  STATUS   LOCATION  NAME
art_1     loading  /data/in  a.csv";
        assert_eq!(render(&run, now()), expected);
        let held = item(json!({"state": "held", "held_for": "hold", "number": 8, "counts": {}}));
        let shown = render(&held, now());
        assert!(shown.contains("state     held (hold)\n") && !shown.contains("counts"), "{shown}");
    }
}
