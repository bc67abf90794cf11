//! Which items a request means: the filters, order and place that lists, exports and summaries are asked with.

use wildmatch::WildMatch;

use super::access::Access;
use super::page::read_cursor;
use super::problem::Problem;
use super::request::{self, Query};
use crate::model::{Clock, ItemFilter, ItemState, Order, Position, Timestamp, quote};

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
        let order = query.one("order")?;
        Self::in_order(order.as_deref(), query, access, clock)
    }

    /// The same with an order that was read already.
    ///
    /// # Errors
    /// When it is none, or a filter or `cursor` cannot be.
    pub fn in_order(
        order: Option<&str>,
        query: &mut Query,
        access: &Access,
        clock: &dyn Clock,
    ) -> Result<Self, Problem> {
        let filter = filter(query, access, clock)?;
        let order = match order {
            None | Some("created") => Order::Created,
            Some("deadline") => Order::Deadline,
            Some(other) => {
                return Err(Problem::invalid(format!(
                    "order={} is neither deadline nor created; lists take trouble as well",
                    quote(&other)
                )));
            }
        };
        let after = query.one("cursor")?.map(|text| read_cursor(&text)).transpose()?;
        Ok(Self { filter, order, after })
    }
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
        states: query.all("state").iter().map(|text| state(text)).collect::<Result<_, _>>()?,
        labels: request::labels(query.all("label"))?.into_iter().collect(),
        step: query.one("step")?,
        created_after: instant(query, "created_after")?,
        created_before: instant(query, "created_before")?,
        deadline_after: instant(query, "deadline_after")?,
        deadline_before: instant(query, "deadline_before")?,
    })
}

fn state(text: &str) -> Result<ItemState, Problem> {
    match text {
        "open" => Ok(ItemState::Open),
        "overdue" => Ok(ItemState::Overdue),
        "failed" => Ok(ItemState::Failed),
        "held" => Ok(ItemState::Held),
        "closed" => Ok(ItemState::Closed),
        _ => Err(Problem::invalid(format!(
            "state={} is none of open, overdue, failed, held, closed",
            quote(&text)
        ))),
    }
}
