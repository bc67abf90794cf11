//! The feed: what is stored, and then every change, told in commit order to whoever derives state from it.

use std::sync::Arc;

use super::{Document, DocumentId};
use crate::model::Standing;

/// A change that is durable.
#[expect(clippy::large_enum_variant, reason = "nearly all changes are of items")]
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An item was created (`before` is absent), changed, or forgotten (`after` is absent).
    Item { before: Option<Standing>, after: Option<Standing> },
    /// A document was written, maybe over another one with its id. Not told of those that are not
    /// [told](Document::is_told). A workflow is told just before its first item.
    Put(Document),
    /// A document is removed. What belongs to it was removed before.
    Removed(DocumentId),
}

/// Derives state from what is committed. A store holds its observer for as long as it lives, so an observer must not
/// hold the store.
pub trait Observer: Send + Sync + 'static {
    /// Takes durable changes, in the order in which they took effect. Called by one thread at a time, the
    /// committing one once the observer is attached: it must not wait for the store.
    fn committed(&self, changes: &[Change]);
}

/// Several observers, each of which is told in turn.
impl Observer for Vec<Arc<dyn Observer>> {
    fn committed(&self, changes: &[Change]) {
        self.iter().for_each(|observer| observer.committed(changes));
    }
}
