//! What a claim brings: items that nobody else works on for a while.

use serde::Deserialize;

use crate::cli::item::Item;

/// The answer to a claim.
#[derive(Debug, Deserialize)]
pub struct Claim {
    /// What was claimed; nothing when nothing is claimable.
    pub leases: Vec<Lease>,
    /// The place behind the last of them; nothing when there is none.
    pub next_cursor: Option<String>,
}

/// An item that is ours for a while.
#[derive(Clone, Debug, Deserialize)]
pub struct Lease {
    /// The lease's id.
    pub id: String,
    /// Which attempt at the item's step this is, from 1.
    pub attempt: u64,
    /// The item.
    pub item: Item,
}

/// What is done with a lease in the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// The step is done, or the whole item.
    Complete {
        /// Whether the item is done altogether, whatever steps are left.
        close: bool,
    },
    /// It went wrong.
    Fail {
        /// The sort of error.
        kind: String,
        /// What happened.
        message: String,
        /// Whether it may be tried again without anybody's doing.
        retryable: bool,
    },
    /// It is given back as if nobody had claimed it.
    Release,
}

#[cfg(test)]
pub mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A lease as a daemon would write it.
    pub fn document(workflow: &str, id: &str) -> Value {
        json!({
            "id": format!("lse_{id}"), "token": 7, "attempt": 2, "expires_at": "2026-01-31T12:01:00.000Z",
            "item": {
                "workflow": workflow, "id": id, "state": "overdue", "created_at": "2026-01-31T11:00:00.000Z",
                "deadline": "2026-01-31T12:00:00.000Z", "closed_at": null, "outcome": null,
                "labels": {"region": "eu", "cost.center/a": "12"}, "step": "copy",
                "step_entered_at": "2026-01-31T11:00:00.000Z", "progress": {}, "errors": [], "incident": null,
                "payload": {"size": 3, "content_type": "text/plain", "content_encoding": "gzip", "sha256": "00"}, "version": 1,
            },
        })
    }

    /// The same, as it is read.
    pub fn lease(workflow: &str, id: &str) -> Lease {
        serde_json::from_value(document(workflow, id)).unwrap()
    }
}
