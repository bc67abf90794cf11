//! Pages of lists: how long they are, and where they go on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use warden_api::Page;
use warden_api::limit::{PAGE_DEFAULT, PAGE_MAX};

use super::problem::Problem;
use super::request::Query;
use crate::model::{ItemNumber, Position, Timestamp, quote};

/// Reads how many entries a page holds at most.
///
/// # Errors
/// When it is no number from 1 to 1000.
pub fn limit(query: &mut Query) -> Result<usize, Problem> {
    match query.one("limit")? {
        None => Ok(PAGE_DEFAULT),
        Some(text) => text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or_else(|| {
            Problem::invalid(format!("limit={} is no number from 1 to {PAGE_MAX}", quote(&text)))
        }),
    }
}

/// Writes a place in a list of items down for the client to hand back.
pub fn write_cursor(position: Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", position.deadline.as_millis(), position.number.0))
}

/// Reads it back.
///
/// # Errors
/// When it is none of ours.
pub fn read_cursor(text: &str) -> Result<Position, Problem> {
    let read = || {
        let text = decode(text)?;
        let (deadline, number) = text.split_once(':')?;
        let deadline = Timestamp::from_millis(deadline.parse().ok()?);
        Some(Position { deadline, number: ItemNumber(number.parse().ok()?) })
    };
    // A sign or a zero too many is none of ours either, although a number can be read.
    read().filter(|position| write_cursor(*position) == text).ok_or_else(not_ours)
}

/// What is asked of a list that is ordered by the names or ids of its entries.
pub struct Paging {
    /// How many at most.
    pub limit: usize,
    /// After which name.
    pub after: Option<String>,
}

impl Paging {
    /// Reads `limit` and `cursor`.
    ///
    /// # Errors
    /// When one of them cannot be.
    pub fn read(query: &mut Query) -> Result<Self, Problem> {
        let limit = limit(query)?;
        let cursor = query.one("cursor")?;
        let after = cursor.map(|text| decode(&text).ok_or_else(not_ours)).transpose()?;
        Ok(Self { limit, after })
    }

    /// Cuts a page out of entries that stand in the order of their names, each shown by its view.
    pub fn page<T, V>(&self, entries: Vec<T>, name: impl Fn(&T) -> String, view: impl Fn(T) -> V) -> Page<V> {
        let passed = |entry: &T| self.after.as_ref().is_some_and(|after| name(entry) <= *after);
        let mut rest = entries.into_iter().skip_while(passed).peekable();
        let mut data = Vec::new();
        let mut last = None;
        for entry in rest.by_ref().take(self.limit) {
            last = Some(name(&entry));
            data.push(view(entry));
        }
        let next_cursor = rest.peek().and(last).map(|name| name_cursor(&name));
        Page { data, next_cursor }
    }
}

/// Writes a name or an id down as a cursor.
pub fn name_cursor(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The problem of a cursor that no list gave out.
pub fn not_ours() -> Problem {
    Problem::invalid("the cursor is none that this list gave out; begin again without one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_accepted_only_as_it_was_given_out() {
        for (deadline, number) in [(0, 0), (-1, 7), (i64::MAX, u64::MAX), (i64::MIN, 1)] {
            let position =
                Position { deadline: Timestamp::from_millis(deadline), number: ItemNumber(number) };
            assert_eq!(read_cursor(&write_cursor(position)).ok(), Some(position));
        }
        for text in ["+5:7", "5:+7", "05:7", "5:07", "-0:7", "5:7:", "5", ""] {
            assert!(read_cursor(&name_cursor(text)).is_err(), "{text}");
        }
    }
}
