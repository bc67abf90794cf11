//! Events of items: what receivers may ask for besides incidents.
//!
//! An event is written by the command that makes it happen, if a receiver of the workflow asks for it, and is
//! removed by the command that writes its deliveries. So a crash loses none, and tells none under two ids.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::run::Window;
use super::{ClockTime, CloseOutcome, Event, ItemKey, ItemNumber, Labels, RunEntry, Timestamp};

/// A set of kinds of events.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct EventSet(u16);

impl EventSet {
    pub const NONE: Self = Self(0);

    const fn bit(event: Event) -> u16 {
        1 << event as u16
    }

    pub const fn contains(self, event: Event) -> bool {
        self.0 & Self::bit(event) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The events of runs.
    pub fn of_runs() -> Self {
        [Event::RunStarted, Event::RunCompleted, Event::RunFailed, Event::RunAborted, Event::RunOverdue]
            .into_iter()
            .collect()
    }

    /// All events of items.
    pub fn of_items() -> Self {
        Self::of_runs().union([Event::ItemClosed].into_iter().collect())
    }

    /// In the order of [`Event::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Event> {
        Event::ALL.into_iter().filter(move |event| self.contains(*event))
    }
}

impl FromIterator<Event> for EventSet {
    fn from_iter<T: IntoIterator<Item = Event>>(events: T) -> Self {
        Self(events.into_iter().fold(0, |set, event| set | Self::bit(event)))
    }
}

impl fmt::Debug for EventSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(Event::as_str)).finish()
    }
}

/// The receivers of a workflow that ask for events of its items, by name, each with what it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners(Vec<(Arc<str>, EventSet)>);

impl Listeners {
    /// All events that any of them asks for.
    pub fn wanted(&self) -> EventSet {
        self.0.iter().fold(EventSet::NONE, |wanted, (_, events)| wanted.union(*events))
    }

    /// Those that ask for this event.
    pub fn of(&self, event: Event) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter(move |(_, events)| events.contains(event)).map(|(receiver, _)| receiver)
    }
}

impl FromIterator<(Arc<str>, EventSet)> for Listeners {
    fn from_iter<T: IntoIterator<Item = (Arc<str>, EventSet)>>(listeners: T) -> Self {
        Self(listeners.into_iter().filter(|(_, events)| !events.is_empty()).collect())
    }
}

/// An event of an item. Instants are steady.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemEvent {
    /// Unique, and growing in commit order.
    pub number: u64,
    pub event: Event,
    pub at: Timestamp,
    pub item: ItemNumber,
    pub key: ItemKey,
    pub created_at: Timestamp,
    pub deadline: ClockTime,
    #[serde(default)]
    pub labels: Labels,
    /// If it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CloseOutcome>,
    /// If it is a run: how it stood after the event, without its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<RunEntry>>,
    /// What the jobs of the run cover together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: EventSet = [Event::RunFailed, Event::ItemClosed].into_iter().collect();
        let held: Vec<Event> = Event::ALL.into_iter().filter(|event| set.contains(*event)).collect();
        assert_eq!(held, [Event::RunFailed, Event::ItemClosed]);
        assert_eq!(set.iter().collect::<Vec<_>>(), held);
        assert!(EventSet::NONE.is_empty() && !set.is_empty());
        let all: EventSet = Event::ALL.into_iter().collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), Event::ALL);
        assert_eq!(set.union(EventSet::NONE), set);
    }

    #[test]
    fn each_listener_hears_only_what_it_asks_for() {
        let asks = |name: &str, events: &[Event]| (name.into(), events.iter().copied().collect());
        let listeners: Listeners = [
            asks("chain", &[Event::RunCompleted]),
            asks("lineage", &[Event::RunStarted, Event::RunCompleted]),
            asks("oncall", &[]),
        ]
        .into_iter()
        .collect();
        let of = |event| listeners.of(event).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of(Event::RunCompleted), ["chain", "lineage"]);
        assert_eq!(of(Event::RunStarted), ["lineage"]);
        assert_eq!(of(Event::ItemClosed), [] as [&str; 0]);
        assert_eq!(listeners.wanted(), [Event::RunStarted, Event::RunCompleted].into_iter().collect());
    }
}
