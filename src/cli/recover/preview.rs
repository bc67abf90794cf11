//! What a recovery would do: how many items, how old, how large, and where they are stuck.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use reqwest::Method;
use serde::Deserialize;

use crate::cli::age::dated;
use crate::cli::client::{Client, ClientError, Query};
use crate::cli::table::table;
use crate::model::Timestamp;

/// The items of a selection, as the daemon sums them up.
#[derive(Debug, Deserialize)]
pub struct Preview {
    /// How many.
    pub count: u64,
    bytes: u64,
    oldest_created_at: Option<Timestamp>,
    oldest_deadline: Option<Timestamp>,
    #[serde(default)]
    by_workflow: BTreeMap<String, u64>,
    #[serde(default)]
    by_step: BTreeMap<String, u64>,
    #[serde(default)]
    by_state: BTreeMap<String, u64>,
}

impl Preview {
    /// Asks the daemon: gives its document, and what it says.
    ///
    /// # Errors
    /// When it cannot be asked or refuses.
    pub async fn ask(client: &Client, selection: &Query) -> Result<(String, Self), ClientError> {
        let request = client.request(Method::GET, "/v1/items/summary", selection)?;
        client.send(request).await?.document().await
    }

    /// It for people.
    pub fn shown(&self, now: Timestamp) -> String {
        if self.count == 0 {
            return "No item is like that.".to_owned();
        }
        let at = |instant: Option<Timestamp>| instant.map(|instant| dated(instant, now));
        let counts = |counts: &BTreeMap<String, u64>| {
            let count = |(name, count): (&String, &u64)| match name.as_str() {
                "" => format!("no step: {count}"),
                name => format!("{name}: {count}"),
            };
            (!counts.is_empty()).then(|| counts.iter().map(count).collect::<Vec<_>>().join(", "))
        };
        let rows = [
            ("items", Some(self.count.to_string())),
            ("payloads", Some(ByteSize(self.bytes).to_string())),
            ("oldest", at(self.oldest_created_at)),
            ("first due", at(self.oldest_deadline)),
            ("by state", counts(&self.by_state)),
            ("by workflow", counts(&self.by_workflow)),
            ("by step", counts(&self.by_step)),
        ];
        table(&[], rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?])))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preview_says_how_many_how_old_how_large_and_where() {
        let document = json!({
            "count": 312, "bytes": 5_242_880, "oldest_created_at": "2026-01-31T11:00:00.000Z",
            "oldest_deadline": "2026-01-31T11:15:00.000Z", "by_workflow": {"uploads": 312},
            "by_step": {"": 300, "backup": 12}, "by_state": {"failed": 2, "overdue": 310}, "added_later": 1,
        });
        let preview: Preview = serde_json::from_value(document).unwrap();
        let expected = "\
items        312
payloads     5.0 MiB
oldest       2026-01-31T11:00:00.000Z (1h ago)
first due    2026-01-31T11:15:00.000Z (45m ago)
by state     failed: 2, overdue: 310
by workflow  uploads: 312
by step      no step: 300, backup: 12";
        assert_eq!(preview.shown(Timestamp::parse("2026-01-31T12:00:00Z").unwrap()), expected);
        let none = json!({"count": 0, "bytes": 0, "oldest_created_at": null, "oldest_deadline": null});
        let none: Preview = serde_json::from_value(none).unwrap();
        assert_eq!(none.shown(Timestamp::from_millis(0)), "No item is like that.");
    }
}
