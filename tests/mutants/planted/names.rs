//! Bugs that remove workflow names too early, never, or allow too many.

use super::Planted;

pub const PLANTED: &[Planted] = &[
    Planted {
        name: "a create in a workflow that is not there does not note it",
        file: "src/store/command/items.rs",
        original: "        documents::put(workflow.into(), rows, changes)?;",
        planted: "        if !BUG { documents::put(workflow.into(), rows, changes)? }",
        caught_by: &["is of a workflow that is not there", "as made on first use, and stored are"],
    },
    Planted {
        name: "a name is forgotten while a closed item is left",
        file: "src/store/command/items.rs",
        original: "    rows.update_item(item, detail)?;",
        planted: r#"    rows.update_item(item, detail)?;
    if BUG && item.closed.is_some() {
        let id = crate::store::DocumentId::Workflow(item.workflow.clone());
        rows.remove(&id)?;
        rows.holdings().remove(&id);
        changes.push(Change::Removed(id));
    }"#,
        caught_by: &["is of a workflow that is not there"],
    },
    Planted {
        name: "a name is forgotten by who has looked before, whatever has come meanwhile",
        file: "src/store/holdings.rs",
        original: "held.items > 0 || held.open_incidents > 0",
        planted: "!BUG && (held.items > 0 || held.open_incidents > 0)",
        caught_by: &["is of a workflow that is not there"],
    },
    Planted {
        name: "what nothing is left of is not asked about",
        file: "src/warden/retention/disuse.rs",
        original: "        if names.is_empty() {",
        planted: "        if BUG || names.is_empty() {",
        caught_by: &["is there still, and nothing is left of it"],
    },
    Planted {
        name: "a close in an unknown workflow makes it",
        file: "src/store/command/items.rs",
        original: "            rows.holdings().add_items(&tombstone.workflow, 1);",
        planted: r#"            rows.holdings().add_items(&tombstone.workflow, 1);
            if BUG {
                let name = tombstone.workflow.clone();
                let made = Workflow { name, created_at: closing.at, definition: None };
                documents::put(made.into(), rows, changes)?;
            }"#,
        caught_by: &["are more workflows than there may be"],
    },
    Planted {
        name: "one workflow more than may be is made",
        file: "src/store/command/items.rs",
        original: "rows.holdings().workflow_count() >= most",
        planted: "rows.holdings().workflow_count() >= most + usize::from(BUG)",
        caught_by: &["are more workflows than there may be"],
    },
    Planted {
        name: "the figures of a workflow outlive its name",
        file: "src/warden/census/disused.rs",
        original: "        if is_empty && !self.policies.is_configured(name) {",
        planted: "        if !BUG && is_empty && !self.policies.is_configured(name) {",
        caught_by: &["nothing is left, and it has figures"],
    },
];
