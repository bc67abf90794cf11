//! What a recovery or a replay would take: how many items, how old, how large, and where they are stuck.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use reqwest::Method;
use serde::Deserialize;

use super::age::dated;
use super::client::{Client, ClientError, Query};
use super::table::table;
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
    /// Items at steps that are too many to be told apart.
    #[serde(default)]
    other_steps: u64,
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
        let at = |instant: Option<Timestamp>| instant.map(|instant| dated(instant, now));
        let counts = |counts: &BTreeMap<String, u64>, others: u64| {
            let name = |name: &str| if name.is_empty() { "at no step".to_owned() } else { name.to_owned() };
            let counts = counts.iter().map(|(of, count)| format!("{count} {}", name(of)));
            let others = (others > 0).then(|| format!("{others} elsewhere"));
            let text = counts.chain(others).collect::<Vec<_>>().join(", ");
            (!text.is_empty()).then_some(text)
        };
        let rows = [
            ("items", Some(self.count.to_string())),
            ("payloads", Some(ByteSize(self.bytes).to_string())),
            ("oldest", at(self.oldest_created_at)),
            ("first due", at(self.oldest_deadline)),
            ("by workflow", counts(&self.by_workflow, 0)),
            ("by step", counts(&self.by_step, self.other_steps)),
            ("by state", counts(&self.by_state, 0)),
        ];
        table(&[], rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?])))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::view::tests::now;

    #[test]
    fn a_selection_is_told_in_figures() {
        let document = json!({"count": 312, "bytes": 1_048_576, "oldest_created_at": "2026-01-31T11:30:00.000Z",
            "oldest_deadline": "2026-01-31T12:15:00.000Z", "by_workflow": {"uploads": 300, "reports": 12},
            "by_step": {"": 10, "copy": 300}, "by_state": {"overdue": 312}, "other_steps": 2, "added_later": 1});
        let expected = "\
items        312
payloads     1.0 MiB
oldest       2026-01-31T11:30:00.000Z (1h ago)
first due    2026-01-31T12:15:00.000Z (15m ago)
by workflow  12 reports, 300 uploads
by step      10 at no step, 300 copy, 2 elsewhere
by state     312 overdue";
        assert_eq!(serde_json::from_value::<Preview>(document).unwrap().shown(now()), expected);
        let none = json!({"count": 0, "bytes": 0, "oldest_created_at": null, "oldest_deadline": null});
        let none: Preview = serde_json::from_value(none).unwrap();
        assert_eq!(none.shown(now()), "items     0\npayloads  0 B");
    }
}
