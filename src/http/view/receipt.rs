//! What a client is shown of an item that it creates or changes.

use serde::Serialize;
use utoipa::ToSchema;

use super::{ItemView, PayloadView, WallTime};
use crate::http::access::Access;
use crate::model::{Item, ItemId, ItemState, Labels, StepName, WorkflowName};
use crate::warden::Warden;

/// The answer to a create or a change: the item, or to a token without the scope `read` the receipt for it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ItemAnswer {
    /// For whoever may read it.
    Item(Box<ItemView>),
    /// For whoever may only write.
    Receipt(ItemReceipt),
}

/// An item as a token sees it that may write but not read: what it sent, and the state and the version that followed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemReceipt {
    #[schema(value_type = String)]
    workflow: WorkflowName,
    #[schema(value_type = String)]
    id: ItemId,
    /// `open`, `overdue`, `failed`, `held` or `closed`.
    #[schema(value_type = String)]
    state: ItemState,
    /// Of an item that is new, or where the request set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    deadline: Option<WallTime>,
    /// Of an item that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    labels: Option<Labels>,
    /// Of an item that is new and has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    step: Option<StepName>,
    /// The payload that the request brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PayloadView, required = false)]
    payload: Option<PayloadView>,
    /// Raised by one at each change; also the entity tag.
    version: u64,
}

/// What of an item comes from the request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it: the request made it.
    Item,
    /// The payload: the item was there before, with the same.
    Payload,
    /// A change of what it had.
    Change {
        /// Whether the deadline is part of it.
        deadline: bool,
    },
}

impl ItemAnswer {
    /// The item as it stands now, as far as this access may see it.
    pub fn new(item: Item, sent: Sent, warden: &Warden, access: &Access) -> Self {
        if access.may_read() {
            return Self::Item(Box::new(ItemView::new(item, warden)));
        }
        let moment = warden.clock().moment();
        let (is_new, has_payload) = (sent == Sent::Item, matches!(sent, Sent::Item | Sent::Payload));
        let has_deadline = is_new || sent == Sent::Change { deadline: true };
        Self::Receipt(ItemReceipt {
            state: item.state(moment),
            deadline: has_deadline.then_some(WallTime::shown(item.deadline, moment)),
            labels: is_new.then_some(item.labels),
            step: item.step.filter(|_| is_new),
            payload: has_payload.then(|| PayloadView::from(item.payload)),
            version: item.version,
            workflow: item.workflow,
            id: item.id,
        })
    }
}
