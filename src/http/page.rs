//! Pages of lists: limits and cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use warden_api::Page;
use warden_api::limit::{PAGE_DEFAULT, PAGE_MAX};

use super::problem::Problem;
use super::request::Query;
use crate::model::{ItemNumber, Position, Timestamp, quote};

/// Parses the page size.
pub fn limit(query: &mut Query) -> Result<usize, Problem> {
    limit_or(PAGE_DEFAULT, query)
}

/// Parses `limit`, from 1 to [`PAGE_MAX`].
pub fn limit_or(default: usize, query: &mut Query) -> Result<usize, Problem> {
    match query.one("limit")? {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or_else(|| {
            Problem::invalid(format!("limit={} is not a number from 1 to {PAGE_MAX}", quote(&text)))
        }),
    }
}

pub fn write_cursor(position: Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", position.deadline.as_millis(), position.number.0))
}

pub fn read_cursor(text: &str) -> Result<Position, Problem> {
    let read = || {
        let text = decode(text)?;
        let (deadline, number) = text.split_once(':')?;
        let deadline = Timestamp::from_millis(deadline.parse().ok()?);
        Some(Position { deadline, number: ItemNumber(number.parse().ok()?) })
    };
    // Signs and leading zeros are rejected: only cursors as they were written are accepted.
    read().filter(|position| write_cursor(*position) == text).ok_or_else(not_ours)
}

/// The cursor of a list that is ordered by numbers.
pub fn number_cursor(number: u64) -> String {
    name_cursor(&number.to_string())
}

pub fn read_number_cursor(text: &str) -> Result<u64, Problem> {
    let number = decode(text).and_then(|text| text.parse().ok());
    number.filter(|number| number_cursor(*number) == text).ok_or_else(not_ours)
}

/// The paging of a list that is ordered by names or ids.
pub struct Paging {
    pub limit: usize,
    /// The last name of the page before.
    pub after: Option<String>,
}

impl Paging {
    /// Parses `limit` and `cursor`.
    pub fn read(query: &mut Query) -> Result<Self, Problem> {
        let limit = limit(query)?;
        let cursor = query.one("cursor")?;
        let after = cursor.map(|text| decode(&text).ok_or_else(not_ours)).transpose()?;
        Ok(Self { limit, after })
    }

    /// The page of entries that are sorted by name.
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

pub fn name_cursor(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

pub fn not_ours() -> Problem {
    Problem::invalid("the cursor is not from this list; start again without one")
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
