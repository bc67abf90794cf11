//! A summary of the items that a recovery or replay would process.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use bytesize::ByteSize;
use reqwest::Method;
use tokio::time::timeout;
use warden_api::item::Summary;
use warden_api::{WallTime, path};
use warden_client::{Client, Error as ClientError, Query};

use crate::cli::terminal::age::dated;
use crate::cli::terminal::table::table;
use crate::model::Timestamp;

/// The longest wait for a summary that is not needed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests the summary; returns it as text and parsed.
pub async fn ask(client: &Client, selection: &Query) -> Result<(String, Summary), ClientError> {
    let request = client.request(Method::GET, path::ITEMS_SUMMARY, selection)?;
    client.send(request).await?.document().await
}

/// The same, if the token may ask and the daemon answers in time. Fails if the daemon is unreachable.
pub async fn if_allowed(client: &Client, selection: &Query) -> Result<Option<Summary>, ClientError> {
    match timeout(PATIENCE, ask(client, selection)).await {
        Ok(Ok((_, preview))) => Ok(Some(preview)),
        Ok(Err(ClientError::Refused(_))) | Err(_) => Ok(None),
        Ok(Err(error)) => Err(error),
    }
}

pub fn render(summary: &Summary, now: Timestamp) -> String {
    let at = |instant: Option<WallTime>| instant.map(|instant| dated(instant, now));
    let rows = [
        ("items", Some(summary.count.to_string())),
        ("payloads", Some(ByteSize(summary.bytes).to_string())),
        ("oldest", at(summary.oldest_created_at)),
        ("first due", at(summary.oldest_deadline)),
        ("by workflow", counts(&summary.by_workflow, 0)),
        ("by step", counts(&summary.by_step, summary.other_steps)),
        ("by state", counts(&summary.by_state, 0)),
    ];
    table(&[], rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?])))
}

/// Counts by name, and of those that are not counted separately.
fn counts(counts: &BTreeMap<impl Display, u64>, others: u64) -> Option<String> {
    let count = |(of, count): (&_, &u64)| match ToString::to_string(of) {
        name if name.is_empty() => format!("{count} at no step"),
        name => format!("{count} {name}"),
    };
    let others = (others > 0).then(|| format!("{others} elsewhere"));
    let text = counts.iter().map(count).chain(others).collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::now;

    #[test]
    fn a_selection_is_told_in_figures() {
        let document = json!({"count": 312, "bytes": 1_048_576,
        "oldest_created_at": "2026-01-31T11:30:00.000Z",
            "oldest_deadline": "2026-01-31T12:15:00.000Z", "by_workflow": {"uploads": 300, "reports": 12},
            "by_step": {"": 10, "copy": 300}, "by_state": {"overdue": 312}, "other_steps": 2,
            "added_later": 1});
        let expected = "\
items        312
payloads     1.0 MiB
oldest       2026-01-31T11:30:00.000Z (1h ago)
first due    2026-01-31T12:15:00.000Z (15m ago)
by workflow  12 reports, 300 uploads
by step      10 at no step, 300 copy, 2 elsewhere
by state     312 overdue";
        assert_eq!(render(&serde_json::from_value(document).unwrap(), now()), expected);
        let none = json!({"count": 0, "bytes": 0, "oldest_created_at": null, "oldest_deadline": null,
            "by_workflow": {}, "by_step": {}, "by_state": {}, "other_steps": 0});
        assert_eq!(render(&serde_json::from_value(none).unwrap(), now()), "items     0\npayloads  0 B");
    }
}
