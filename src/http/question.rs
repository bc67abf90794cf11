//! Which items a request means: the filters, order and place that lists, exports and summaries are asked with.

use warden_api::word::ItemOrder;
use wildmatch::WildMatch;

use super::access::Access;
use super::page::read_cursor;
use super::problem::Problem;
use super::request::{self, Query};
use crate::model::{Clock, ItemFilter, Order, Position, Timestamp};

/// The parameters of [`filter`], for whoever uses another.
pub const FILTERS: &str =
    "workflow, state, label, step, created_before, created_after, deadline_before, deadline_after";

/// Items in an order, from a place on.
pub struct Question {
    /// Which.
    pub filter: ItemFilter,
    /// In which order.
    pub order: Order,
    /// After which place.
    pub after: Option<Position>,
}

impl Question {
    /// Reads the filters, `order` and `cursor`.
    ///
    /// # Errors
    /// When one of them cannot be.
    pub fn read(query: &mut Query, access: &Access, clock: &dyn Clock) -> Result<Self, Problem> {
        Self::in_order(order(query)?, query, access, clock)
    }

    /// The same with an order that was read already.
    ///
    /// # Errors
    /// When it is one of lists alone, or a filter or `cursor` cannot be read.
    pub fn in_order(
        order: ItemOrder,
        query: &mut Query,
        access: &Access,
        clock: &dyn Clock,
    ) -> Result<Self, Problem> {
        let filter = filter(query, access, clock)?;
        let order = match order {
            ItemOrder::Created => Order::Created,
            ItemOrder::Deadline => Order::Deadline,
            ItemOrder::Trouble => {
                return Err(Problem::invalid(
                    "order=trouble is for lists; elsewhere it is deadline or created",
                ));
            }
        };
        let after = query.one("cursor")?.map(|text| read_cursor(&text)).transpose()?;
        Ok(Self { filter, order, after })
    }
}

/// Reads `order`.
///
/// # Errors
/// When it is none.
pub fn order(query: &mut Query) -> Result<ItemOrder, Problem> {
    let order = query.one("order")?;
    Ok(order.map(|text| request::word("order", &text)).transpose()?.unwrap_or_default())
}

/// Reads the filters; what the token does not admit is no item that is meant.
///
/// # Errors
/// When one of them cannot be read.
pub fn filter(query: &mut Query, access: &Access, clock: &dyn Clock) -> Result<ItemFilter, Problem> {
    let instant = |query: &mut Query, name: &str| -> Result<Option<Timestamp>, Problem> {
        let instant = query.one(name)?.map(|text| request::instant(name, &text)).transpose()?;
        Ok(instant.map(|instant| clock.to_steady(instant)))
    };
    Ok(ItemFilter {
        workflows: query.all("workflow").iter().map(|glob| WildMatch::new(glob)).collect(),
        allowed: access.workflows(),
        unseen: false,
        states: query
            .all("state")
            .iter()
            .map(|text| request::word("state", text))
            .collect::<Result<_, _>>()?,
        labels: request::labels(query.all("label"))?.into_iter().collect(),
        step: query.one("step")?,
        created_after: instant(query, "created_after")?,
        created_before: instant(query, "created_before")?,
        deadline_after: instant(query, "deadline_after")?,
        deadline_before: instant(query, "deadline_before")?,
    })
}
