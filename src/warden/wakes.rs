//! When to decide about which incident again: at most one instant for each.

use std::collections::{BTreeSet, HashMap};

use super::census::Trouble;
use crate::model::Timestamp;

/// When to decide about which incident again.
#[derive(Default)]
pub(super) struct Wakes {
    by_time: BTreeSet<(Timestamp, Trouble)>,
    by_trouble: HashMap<Trouble, Timestamp>,
}

impl Wakes {
    pub(super) fn set(&mut self, trouble: Trouble, at: Option<Timestamp>) {
        if let Some(old) = self.by_trouble.remove(&trouble) {
            self.by_time.remove(&(old, trouble.clone()));
        }
        if let Some(at) = at {
            self.by_trouble.insert(trouble.clone(), at);
            self.by_time.insert((at, trouble));
        }
    }

    pub(super) fn first(&self) -> Timestamp {
        self.by_time.first().map_or(Timestamp::MAX, |(at, _)| *at)
    }

    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Trouble> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.by_time.first()
            && *at <= now
        {
            if let Some((_, trouble)) = self.by_time.pop_first() {
                self.by_trouble.remove(&trouble);
                due.push(trouble);
            }
        }
        due
    }
}
