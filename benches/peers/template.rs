//! A message that is rendered once, then stamped with ids and deadlines.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::load::{ID_LENGTH, Ids, places_of_ids};

/// How long after the start of the bench the first deadline is.
const AHEAD: Duration = Duration::from_secs(3_600);
/// The first instant of PostgreSQL's times, in milliseconds of Unix.
const POSTGRES_EPOCH: u64 = 946_684_800_000;

/// How a deadline is written.
#[derive(Clone, Copy)]
pub enum DeadlineForm {
    /// Milliseconds of Unix in decimal digits.
    Digits,
    /// PostgreSQL's `timestamptz` in binary.
    Timestamp,
}

impl DeadlineForm {
    /// Stands where a deadline will be stamped; as long as one.
    pub fn placeholder(self) -> &'static [u8] {
        match self {
            DeadlineForm::Digits => b"ddddddddddddd",
            DeadlineForm::Timestamp => &[0xd5; 8],
        }
    }
}

/// See the head of the module.
pub struct Template {
    bytes: Vec<u8>,
    id_places: Vec<usize>,
    deadline_places: Vec<usize>,
    form: DeadlineForm,
    first_deadline: u64,
}

impl Template {
    /// Finds the placeholders in `bytes`.
    #[expect(clippy::disallowed_methods, reason = "deadlines of a bench are real ones")]
    pub fn new(bytes: Vec<u8>, form: DeadlineForm) -> Self {
        let first = SystemTime::now() + AHEAD;
        let first = first.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let deadline_places = memchr::memmem::find_iter(&bytes, form.placeholder()).collect();
        Self { id_places: places_of_ids(&bytes), bytes, deadline_places, form, first_deadline: first }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Deadlines rise from item to item by a millisecond, as those do that are all an hour ahead.
    pub fn stamp(&mut self, ids: &Ids, items: Range<u64>) {
        for (place, item) in self.id_places.iter().zip(items.clone()) {
            self.bytes[*place..*place + ID_LENGTH].copy_from_slice(&ids.render(item));
        }
        for (place, item) in self.deadline_places.iter().zip(items) {
            let milliseconds = self.first_deadline + item;
            match self.form {
                DeadlineForm::Digits => {
                    let mut rest = milliseconds;
                    for digit in self.bytes[*place..*place + 13].iter_mut().rev() {
                        *digit = b'0' + (rest % 10) as u8;
                        rest /= 10;
                    }
                }
                DeadlineForm::Timestamp => {
                    let microseconds = (milliseconds - POSTGRES_EPOCH) * 1_000;
                    self.bytes[*place..*place + 8].copy_from_slice(&microseconds.to_be_bytes());
                }
            }
        }
    }
}
