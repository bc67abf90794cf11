//! The timers of the decision loop: at most one for each incident.

use std::collections::{BTreeSet, HashMap};

use crate::model::{IncidentKey, Timestamp};

#[derive(Default)]
pub(super) struct Wakes {
    by_time: BTreeSet<(Timestamp, IncidentKey)>,
    by_key: HashMap<IncidentKey, Timestamp>,
}

impl Wakes {
    pub(super) fn set(&mut self, key: IncidentKey, at: Option<Timestamp>) {
        if let Some(old) = self.by_key.remove(&key) {
            self.by_time.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.by_key.insert(key.clone(), at);
            self.by_time.insert((at, key));
        }
    }

    pub(super) fn first(&self) -> Timestamp {
        self.by_time.first().map_or(Timestamp::MAX, |(at, _)| *at)
    }

    pub(super) fn due(&mut self, now: Timestamp) -> Vec<IncidentKey> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.by_time.first()
            && *at <= now
        {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.by_key.remove(&key);
                due.push(key);
            }
        }
        due
    }
}
