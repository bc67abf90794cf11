//! What clients did with items and were told, and what must follow.
//!
//! An operation that was never answered, because the daemon crashed, may have happened or not. Two that
//! overlap may have happened in either order. The rest is certain, and is compared with what is read.

use std::collections::BTreeMap;

use bytes::Bytes;
use warden::model::{ItemKey, Timestamp, WorkflowName};

use crate::settings::RETENTION;

/// How many payloads are handed in for items that the daemon names.
pub const NAMELESS: u64 = 6;

/// An instant by the clock, and its place in the order of all things that clients saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub order: u64,
    pub at: Timestamp,
    /// The latest instant that the clock has ever shown: what ran out then stays so when the clock is set
    /// back.
    pub latest: Timestamp,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody knows.
    Unknown,
    /// It happened, and was acknowledged.
    Done,
    /// It is certain that it did not happen.
    Refused,
}

#[derive(Clone, Debug)]
struct Operation {
    began: Moment,
    ended: Option<Moment>,
    fate: Fate,
    /// For a create, what was handed in.
    content: u64,
}

impl Operation {
    /// Whether it may have happened after that moment.
    fn may_follow(&self, moment: Moment) -> bool {
        self.fate != Fate::Refused && self.ended.is_none_or(|ended| ended.order > moment.order)
    }

    /// Whether it had been acknowledged by then.
    fn was_done_by(&self, moment: Moment) -> bool {
        self.fate == Fate::Done && self.ended.is_some_and(|ended| ended.order <= moment.order)
    }
}

#[derive(Clone, Debug, Default)]
struct Life {
    creates: Vec<Operation>,
    closes: Vec<Operation>,
}

impl Life {
    /// From when on the id may be free again after this close: it may be a repetition, and then the item is
    /// remembered for as long as that says which it repeats. The clock may have been set back in between.
    fn free_from(&self, close: &Operation) -> Timestamp {
        let (mut first, mut closed_at) = (close, close.began.at);
        for earlier in self.closes.iter().rev() {
            let is_earlier = earlier.began.order < first.began.order && earlier.fate != Fate::Refused;
            let lies_between = |create: &Operation| {
                create.fate == Fate::Done
                    && earlier.ended.is_some_and(|ended| ended.order < create.began.order)
                    && create.ended.is_some_and(|ended| ended.order < first.began.order)
            };
            if is_earlier && !self.creates.iter().any(lies_between) {
                (first, closed_at) = (earlier, closed_at.min(earlier.began.at));
            }
        }
        closed_at.after(RETENTION)
    }
}

/// What is read of an item.
#[derive(Clone, Debug)]
pub enum Found {
    /// It is open, with this payload.
    Open(Bytes),
    /// It is closed, or there is none.
    Gone,
}

/// An operation that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    key: ItemKey,
    index: usize,
    closes: bool,
}

/// Somebody had a workflow deleted. Whatever came of it, closed items may have gone.
struct Deletion {
    workflow: WorkflowName,
    began: Moment,
    ended: Option<Moment>,
}

/// The history of all items.
#[derive(Default)]
pub struct Items {
    lives: BTreeMap<ItemKey, Life>,
    deletions: Vec<Deletion>,
}

impl Items {
    /// A create begins.
    pub fn create(&mut self, key: &ItemKey, content: u64, began: Moment) -> Begun {
        let creates = &mut self.lives.entry(key.clone()).or_default().creates;
        creates.push(Operation { began, ended: None, fate: Fate::Unknown, content });
        Begun { key: key.clone(), index: creates.len() - 1, closes: false }
    }

    /// Something begins that may close the item.
    pub fn close(&mut self, key: &ItemKey, began: Moment) -> Begun {
        let closes = &mut self.lives.entry(key.clone()).or_default().closes;
        closes.push(Operation { began, ended: None, fate: Fate::Unknown, content: 0 });
        Begun { key: key.clone(), index: closes.len() - 1, closes: true }
    }

    /// A deletion of a workflow begins; gives its place.
    pub fn delete_workflow(&mut self, workflow: &WorkflowName, began: Moment) -> usize {
        self.deletions.push(Deletion { workflow: workflow.clone(), began, ended: None });
        self.deletions.len() - 1
    }

    /// It has ended.
    pub fn end_deletion(&mut self, begun: usize, ended: Moment) {
        self.deletions[begun].ended = Some(ended);
    }

    /// Whether an item that was closed may have been forgotten with its workflow before that create.
    fn may_be_deleted(&self, key: &ItemKey, close: &Operation, create: &Operation) -> bool {
        self.deletions.iter().any(|Deletion { workflow, began, ended }| {
            *workflow == key.workflow
                && ended.is_none_or(|ended| ended.order > close.began.order)
                && create.may_follow(*began)
        })
    }

    /// It has ended.
    pub fn end(&mut self, begun: &Begun, fate: Fate, ended: Moment) {
        let life = self.lives.get_mut(&begun.key).expect("it was begun");
        let operations = if begun.closes { &mut life.closes } else { &mut life.creates };
        let operation = &mut operations[begun.index];
        operation.fate = fate;
        // What is unknown may still happen, for as long as the daemon lives that was asked.
        operation.ended = (fate != Fate::Unknown).then_some(ended);
    }

    /// A life of the daemon has ended: what it had not answered by then never happens any more.
    pub fn life_ended(&mut self, moment: Moment) {
        for life in self.lives.values_mut() {
            for operation in life.creates.iter_mut().chain(&mut life.closes) {
                operation.ended.get_or_insert(moment);
            }
        }
        for deletion in &mut self.deletions {
            deletion.ended.get_or_insert(moment);
        }
    }

    /// Whether anybody handed this in for the item.
    pub fn was_handed_in(&self, key: &ItemKey, payload: &Bytes) -> bool {
        let creates = self.lives.get(key).map_or(&[][..], |life| &life.creates);
        if creates.is_empty() {
            // Nobody was told its id yet.
            return (0..NAMELESS).any(|number| content(number) == *payload);
        }
        creates.iter().any(|create| create.fate != Fate::Refused && content(create.content) == *payload)
    }

    /// Whether the item may have been closed between two moments.
    pub fn may_be_closed(&self, key: &ItemKey, from: Moment, until: Moment) -> bool {
        let closes = self.lives.get(key).map_or(&[][..], |life| &life.closes);
        closes.iter().any(|close| close.began.order < until.order && close.may_follow(from))
    }

    /// The items that anybody ever spoke of.
    pub fn keys(&self) -> impl Iterator<Item = &ItemKey> {
        self.lives.keys()
    }

    /// Holds what was read between two moments against what must be.
    pub fn check(&self, key: &ItemKey, found: &Found, began: Moment, ended: Moment) -> Result<(), String> {
        let life = self.lives.get(key).cloned().unwrap_or_default();
        for create in life.creates.iter().filter(|create| create.was_done_by(began)) {
            let may_be_closed = life
                .closes
                .iter()
                .any(|close| close.may_follow(create.began) && close.began.order < ended.order);
            match found {
                _ if may_be_closed => {}
                Found::Open(payload) if *payload == content(create.content) => {}
                Found::Open(_) => {
                    return Err(format!(
                        "{} {} was acknowledged, and has another payload",
                        key.workflow, key.id
                    ));
                }
                Found::Gone => {
                    return Err(format!(
                        "{} {} was acknowledged, was never closed, and is gone",
                        key.workflow, key.id
                    ));
                }
            }
        }
        let Found::Open(payload) = found else { return Ok(()) };
        if !self.was_handed_in(key, payload) {
            return Err(format!("{} {} is open with a payload that nobody handed in", key.workflow, key.id));
        }
        for close in life.closes.iter().filter(|close| close.was_done_by(began)) {
            let free_from = life.free_from(close);
            let may_be_new = life.creates.iter().any(|create| {
                let latest = create.ended.unwrap_or(ended).latest;
                create.may_follow(close.began)
                    && (latest >= free_from || self.may_be_deleted(key, close, create))
            });
            if !may_be_new {
                return Err(format!("{} {} was closed, and came back", key.workflow, key.id));
            }
        }
        Ok(())
    }
}

/// The payload of this number: its length and its bytes follow from it.
pub fn content(number: u64) -> Bytes {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let length = match number % 7 {
        0 => 0,
        1 => 5000,
        _ => number % 97,
    };
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length as usize).collect()
}
