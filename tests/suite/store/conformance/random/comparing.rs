//! What of an engine is compared with the simple model.

use warden::model::item::{ItemRefusal, Status};
use warden::model::{IndexedItem, Item, Timestamp};
use warden::store::Outcome;

use super::artifacts::unnumbered_outcome;
use super::model::{UNKNOWN, UNKNOWN_TOKEN};

pub fn is_remembered(item: &Item, now: Timestamp) -> bool {
    item.closed.is_none_or(|closed| closed.record_until > now)
}

/// Whether the record of this item is still kept.
pub fn counts(indexed: &IndexedItem, now: Timestamp) -> bool {
    !matches!(indexed.status, Status::Closed { record_until, .. } if record_until <= now)
}

/// The engine's outcome, without what the model cannot know: new numbers, and the words of a refusal.
pub fn without_unknown_numbers(outcome: Outcome, expected: &Outcome) -> Outcome {
    let item = |mut item: Box<Item>, expected: &Item| {
        if expected.number == UNKNOWN {
            item.number = UNKNOWN;
        }
        if let (Some(found), Some(expected)) = (&mut item.work.lease, &expected.work.lease)
            && expected.token == UNKNOWN_TOKEN
        {
            found.token = UNKNOWN_TOKEN;
        }
        item
    };
    match (outcome, expected) {
        (Outcome::Created(found), Outcome::Created(expected)) => Outcome::Created(item(found, expected)),
        (Outcome::Exists(found), Outcome::Exists(expected)) => Outcome::Exists(item(found, expected)),
        (Outcome::Conflict(found), Outcome::Conflict(expected)) => Outcome::Conflict(item(found, expected)),
        (Outcome::Closed(found), Outcome::Closed(expected)) => Outcome::Closed(item(found, expected)),
        (Outcome::AlreadyClosed(found), Outcome::AlreadyClosed(expected)) => {
            Outcome::AlreadyClosed(item(found, expected))
        }
        (Outcome::Changed(found), Outcome::Changed(expected)) => Outcome::Changed(item(found, expected)),
        (Outcome::Exhausted(found), Outcome::Exhausted(expected)) => {
            Outcome::Exhausted(item(found, expected))
        }
        (Outcome::Refused(ItemRefusal::Labels(_)), _) => Outcome::Refused(ItemRefusal::Labels(String::new())),
        (other, _) => unnumbered_outcome(other),
    }
}
