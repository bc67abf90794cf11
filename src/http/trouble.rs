//! Lists with what is in trouble first: of each state the earliest deadline first, and the states in the order in which
//! somebody should look at them.
//!
//! A cursor says which state is being listed, and how far: `STATE`, or `STATE.CURSOR` as lists in order of deadlines have it.

use super::Server;
use super::page::{read_cursor, write_cursor};
use super::problem::Problem;
use crate::model::{Item, ItemFilter, ItemState, Order, Page, Position};

/// The states, the worst first.
const STATES: [ItemState; 5] =
    [ItemState::Failed, ItemState::Held, ItemState::Overdue, ItemState::Open, ItemState::Closed];

/// A page of such a list, and the cursor for what follows it.
///
/// # Errors
/// When the cursor is none of this list, or the store fails.
pub async fn page(
    server: &Server,
    filter: &ItemFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<Item>, Option<String>), Problem> {
    let wanted = |state: ItemState| filter.states.is_empty() || filter.states.contains(&state);
    let (start, mut after) = cursor.map_or(Ok((0, None)), read)?;
    let mut data = Vec::new();
    for state in STATES.into_iter().skip(start).filter(|state| wanted(*state)) {
        if is_empty(server, filter, state) {
            after = None;
            continue;
        }
        // One more than the page, only to know whether any follows.
        let room = (limit - data.len()).max(1);
        let filter = ItemFilter { states: vec![state], ..filter.clone() };
        let Page { data: found, next } =
            server.warden.queries.list(filter, Order::Deadline, after.take(), room).await?;
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

/// Whether it is known without looking that no item is in this state: failed ones are few, and looking for them is a scan.
fn is_empty(server: &Server, filter: &ItemFilter, state: ItemState) -> bool {
    state == ItemState::Held
        || state == ItemState::Failed
            && server
                .warden
                .queries
                .tallies()
                .iter()
                .all(|(name, tally)| tally.failed == 0 || !filter.admits_workflow(name))
}

/// Which of the states a cursor names, and the place in its list.
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
        assert_eq!(read(&cursor).ok(), Some((2, Some(place))));
        assert_eq!(read("open").ok(), Some((3, None)));
        for text in ["", "late", "open.", "open.x", &write_cursor(place), ".x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
