//! The receiver that asks for events of runs: what it hears of each, against how runs stood one after the
//! other on the disk.
//!
//! Nothing is lost, nothing is told under two ids, and the order is that of the disk.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use warden::model::run::RunStatus;
use warden::model::{Clock as _, Event, Item, ItemId, ItemKey, ItemNotification, Timestamp, WorkflowName};
use warden::store::Reads as _;
use warden::store::engine::memory::MemoryStore;

use crate::clock::SimulatedClock;
use crate::runs::Ledgers;

pub const CHAIN: &str = "chain";

/// The workflow and the id of an item.
type Of = (String, String);

/// What the receiver has heard.
#[derive(Default)]
pub struct Chain {
    ids: BTreeSet<String>,
    of_runs: BTreeMap<Of, Vec<Event>>,
    closed: BTreeSet<Of>,
    /// The deadlines that were missed.
    overdue: BTreeSet<(Of, Timestamp)>,
}

impl Chain {
    /// Takes a notification in; says what is wrong with it, if anything is.
    pub fn hear(&mut self, webhook_id: String, notification: &ItemNotification) -> Option<String> {
        // A repetition, which the receiver knows by its id.
        if !self.ids.insert(webhook_id) || notification.event == Event::Test {
            return None;
        }
        let data = &notification.data;
        let of = (data.workflow.to_string(), data.id.to_string());
        let told = format!("{} of {} {}", notification.event, of.0, of.1);
        if self.closed.contains(&of) {
            return Some(format!("{told}, after it had heard that it is closed"));
        }
        let is_news = match notification.event {
            Event::ItemClosed => self.closed.insert(of),
            Event::RunOverdue => self.overdue.insert((of, data.deadline)),
            event => {
                let course = self.of_runs.entry(of).or_default();
                let is_news = course.last() != Some(&event);
                course.push(event);
                is_news
            }
        };
        (!is_news).then(|| format!("{told} twice"))
    }
}

/// How runs stood, one after the other.
#[derive(Default)]
pub struct Courses {
    standing: BTreeMap<Of, RunStatus>,
    events: BTreeMap<Of, Vec<Event>>,
}

impl Courses {
    /// Takes note of how they stand now.
    pub fn note(&mut self, ledgers: &Ledgers) {
        for (workflow, entry) in ledgers.entries() {
            let of = (workflow.to_owned(), entry.item.to_string());
            if self.standing.insert(of.clone(), entry.status) == Some(entry.status) {
                continue;
            }
            let event = match entry.status {
                RunStatus::Held => continue,
                RunStatus::Open => Event::RunStarted,
                RunStatus::Success => Event::RunCompleted,
                RunStatus::Failed => Event::RunFailed,
                RunStatus::Discarded => Event::RunAborted,
            };
            self.events.entry(of).or_default().push(event);
        }
    }

    /// In the calm: everything was heard.
    ///
    /// # Errors
    /// When something was not, or more than there is.
    pub fn check(&self, chain: &Chain, store: &MemoryStore, clock: &SimulatedClock) -> Result<(), String> {
        for of in self.events.keys().chain(chain.of_runs.keys()) {
            let (happened, heard) = (self.events.get(of), chain.of_runs.get(of));
            if happened != heard {
                let (workflow, id) = of;
                return Err(format!("{workflow} {id} went {happened:?}, and was heard to go {heard:?}"));
            }
        }
        let moment = clock.moment();
        for of in self.events.keys() {
            let Some(item) = item(store, of) else { continue };
            let (workflow, id) = of;
            if item.closed.is_some() && !chain.closed.contains(of) {
                return Err(format!("{workflow} {id} is closed, and nobody has heard of it"));
            }
            let is_overdue =
                self.standing.get(of) == Some(&RunStatus::Open) && moment.steady(item.deadline) <= moment.now;
            if is_overdue && !chain.overdue.iter().any(|(overdue, _)| overdue == of) {
                return Err(format!("{workflow} {id} is overdue, and nobody has heard of it"));
            }
        }
        Ok(())
    }
}

fn item(store: &MemoryStore, (workflow, id): &Of) -> Option<Item> {
    let key = ItemKey {
        workflow: WorkflowName::new(workflow.as_str()).expect("a name"),
        id: ItemId::new(id.as_str()).expect("an id"),
    };
    store.get(key).now_or_never().expect("memory never waits").expect("memory never fails")
}
