//! The feed: what is stored, and then every change, in commit order, for deriving state.

use std::sync::Arc;

use super::{Document, DocumentId};
use crate::model::item::StepEvent;
use crate::model::{IndexedItem, WorkflowName};

/// A durable change.
#[expect(clippy::large_enum_variant, reason = "nearly all changes are of items")]
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An item was created (`before` is absent), changed, or removed (`after` is absent).
    Item { before: Option<IndexedItem>, after: Option<IndexedItem> },
    /// Something happened at a step of an item, by the change told before.
    Step { workflow: WorkflowName, event: StepEvent },
    /// A document was written, possibly over another one with its id. Only for [told](Document::is_told)
    /// ones. A workflow is told just before its first item.
    Put(Document),
    /// A document was removed. Its parts were removed before.
    Removed(DocumentId),
}

/// Derives state from commits. The store holds its observer, so an observer must not hold the store.
pub trait Observer: Send + Sync + 'static {
    /// Gets durable changes in commit order. Called by one thread at a time, after `attach` the committing
    /// one: it must not block on the store.
    fn committed(&self, changes: &[Change]);
}

/// Each observer in turn.
impl Observer for Vec<Arc<dyn Observer>> {
    fn committed(&self, changes: &[Change]) {
        self.iter().for_each(|observer| observer.committed(changes));
    }
}
