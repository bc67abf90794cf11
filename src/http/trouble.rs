//! The order `trouble`: by state, the most urgent first, and within a state by deadline.
//!
//! A cursor is `STATE`, or `STATE.CURSOR` with a cursor of the order `deadline`.

use super::page::{read_cursor, write_cursor};
use super::problem::Problem;
use super::server::Services;
use crate::model::{Item, ItemFilter, ItemState, Order, Page, Position};
use crate::warden::Tally;

/// The most urgent first.
const STATES: [ItemState; 6] = [
    ItemState::Failed,
    ItemState::Interrupted,
    ItemState::Held,
    ItemState::Overdue,
    ItemState::Open,
    ItemState::Closed,
];

/// A page, and the cursor of the next one.
pub async fn page(
    services: &Services,
    filter: &ItemFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<Item>, Option<String>), Problem> {
    let wanted = |state: ItemState| filter.states.is_empty() || filter.states.contains(&state);
    let (start, mut after) = cursor.map_or(Ok((0, None)), read)?;
    let mut data = Vec::new();
    for state in STATES.into_iter().skip(start).filter(|state| wanted(*state)) {
        if is_empty(services, filter, state) {
            after = None;
            continue;
        }
        // At least one is read even if the page is full, to know whether another follows.
        let room = (limit - data.len()).max(1);
        let filter = ItemFilter { states: vec![state], ..filter.clone() };
        let Page { data: found, next } =
            services.queries.list(filter, Order::Deadline, after.take(), room).await?;
        if data.len() == limit {
            if found.is_empty() && next.is_none() {
                continue;
            }
            return Ok((data, Some(state.to_string())));
        }
        data.extend(found);
        if let Some(next) = next {
            return Ok((data, Some(format!("{state}.{}", write_cursor(next)))));
        }
    }
    Ok((data, None))
}

/// Whether the counts already show that no item is in this state. Failed and interrupted items are few, and
/// finding them is a scan.
fn is_empty(services: &Services, filter: &ItemFilter, state: ItemState) -> bool {
    let count: fn(&Tally) -> u64 = match state {
        ItemState::Held => |tally| tally.held,
        ItemState::Failed => |tally| tally.failed,
        ItemState::Interrupted => |tally| tally.interrupted,
        ItemState::Overdue | ItemState::Open | ItemState::Closed => return false,
    };
    let tallies = services.queries.tallies();
    tallies.iter().all(|(name, tally)| count(tally) == 0 || !filter.admits_workflow(name))
}

/// The index of the state in a cursor, and the position within it.
fn read(cursor: &str) -> Result<(usize, Option<Position>), Problem> {
    let (name, place) = cursor.split_once('.').map_or((cursor, None), |(name, place)| (name, Some(place)));
    let start = STATES.iter().position(|state| state.as_str() == name);
    let start = start.ok_or_else(|| read_cursor(cursor).err().unwrap_or_else(super::page::not_ours))?;
    Ok((start, place.map(read_cursor).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ItemNumber, Timestamp};

    #[test]
    fn a_cursor_is_read_only_as_it_was_given_out() {
        let place = Position { deadline: Timestamp::from_millis(7), number: ItemNumber(9) };
        let cursor = format!("overdue.{}", write_cursor(place));
        assert_eq!(read(&cursor).ok(), Some((3, Some(place))));
        assert_eq!(read("open").ok(), Some((4, None)));
        for text in ["", "late", "open.", "open.x", &write_cursor(place), ".x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
