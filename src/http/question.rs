//! The filters, order and cursor of lists, exports and counts.

use warden_api::word::ItemOrder;
use wildmatch::WildMatch;

use super::page::read_cursor;
use super::problem::Problem;
use super::request::{self, Query};
use crate::model::{Clock, ItemFilter, Order, Position, Timestamp, quote};

/// The largest number of retries that a filter can name, that of a 32-bit integer.
pub const COUNT_MAX: u32 = i32::MAX as u32;

pub struct Question {
    pub filter: ItemFilter,
    pub order: Order,
    /// The position after which to continue.
    pub after: Option<Position>,
}

impl Question {
    /// Parses the filters, `order` and `cursor`.
    pub fn read(query: &mut Query, clock: &dyn Clock) -> Result<Self, Problem> {
        Self::in_order(order(query)?, query, clock)
    }

    /// Like [`Question::read`] with a parsed order. The order `trouble` is only for lists.
    pub fn in_order(order: ItemOrder, query: &mut Query, clock: &dyn Clock) -> Result<Self, Problem> {
        let filter = filter(query, clock)?;
        let order = match order {
            ItemOrder::Created => Order::Created,
            ItemOrder::Deadline => Order::Deadline,
            ItemOrder::Trouble => {
                return Err(Problem::invalid("order=trouble is only for lists; use deadline or created"));
            }
        };
        let after = query.one("cursor")?.map(|text| read_cursor(&text)).transpose()?;
        Ok(Self { filter, order, after })
    }
}

pub fn order(query: &mut Query) -> Result<ItemOrder, Problem> {
    let order = query.one("order")?;
    Ok(order.map(|text| request::word("order", &text)).transpose()?.unwrap_or_default())
}

/// Parses the filters, not yet limited to the workflows of the token.
pub fn filter(query: &mut Query, clock: &dyn Clock) -> Result<ItemFilter, Problem> {
    let instant = |query: &mut Query, name: &str| -> Result<Option<Timestamp>, Problem> {
        let instant = query.one(name)?.map(|text| request::instant(name, &text)).transpose()?;
        Ok(instant.map(|instant| clock.to_steady(instant)))
    };
    Ok(ItemFilter {
        workflows: query.all("workflow").iter().map(|glob| WildMatch::new(glob)).collect(),
        allowed: Vec::new(),
        unseen: false,
        states: query
            .all("state")
            .iter()
            .map(|text| request::word("state", text))
            .collect::<Result<_, _>>()?,
        labels: request::labels(query.all("label"))?.into_iter().collect(),
        step: query.one("step")?,
        steps: Vec::new(),
        item: None,
        step_retries_min: query.one("step_retries_min")?.map(|text| retries(&text)).transpose()?,
        created_after: instant(query, "created_after")?,
        created_before: instant(query, "created_before")?,
        deadline_after: instant(query, "deadline_after")?,
        deadline_before: instant(query, "deadline_before")?,
    })
}

fn retries(text: &str) -> Result<u32, Problem> {
    let refuse = || Problem::invalid(format!("step_retries_min={} is not {RETRIES}", quote(&text)));
    text.parse().map_err(|_| refuse()).and_then(check_retries)
}

const RETRIES: &str = "a number from 0 to 2147483647";

/// Checks the least number of retries that a filter names.
pub fn check_retries(least: u32) -> Result<u32, Problem> {
    if least <= COUNT_MAX {
        return Ok(least);
    }
    Err(Problem::invalid(format!("step_retries_min is {least}; it must be {RETRIES}")))
}
