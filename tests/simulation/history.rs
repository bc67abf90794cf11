//! Everything observed from outside, in one order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use warden::model::{ItemKey, WorkflowName};

use crate::artifacts::Artifacts;
use crate::clock::SimulatedClock;
use crate::digest::Digest;
use crate::items::{Items, Moment};
use crate::leases::Leases;
use crate::runs::Told;

/// What clients, workers and operators saw.
#[derive(Default)]
pub struct Seen {
    pub items: Items,
    pub leases: Leases,
    pub runs: Told,
    pub artifacts: Artifacts,
    /// Which item a create with this idempotency key was answered with.
    pub named: BTreeMap<(WorkflowName, u64), (ItemKey, Moment)>,
    /// When a person last sent an item on, which takes it from whoever has leased it.
    pub sent_on: BTreeMap<ItemKey, Moment>,
    order: u64,
    operations: u64,
    wrong: Option<String>,
}

impl Seen {
    /// Takes note of what must not be.
    pub fn fail(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }
}

/// Who listens to a story while it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Nobody: only what must not be is told, in the end.
    Nobody,
    /// Somebody reads it.
    Reader,
    /// Somebody who wants to know whether it is the same story again.
    Digest,
}

/// What was seen, for everybody to add to.
#[derive(Clone)]
pub struct History {
    seen: Arc<Mutex<Seen>>,
    clock: SimulatedClock,
    listener: Listener,
    told: Arc<Mutex<Digest>>,
}

impl History {
    pub fn new(clock: SimulatedClock, listener: Listener) -> Self {
        Self { seen: Arc::default(), clock, listener, told: Arc::default() }
    }

    /// Tells what somebody saw, if anybody listens.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.listener == Listener::Nobody {
            return;
        }
        let line = format!("{} {}", self.clock.read().0, what());
        self.told.lock().expect("nothing panics under the lock").take(&line);
        if self.listener == Listener::Reader {
            println!("{line}");
        }
    }

    /// A digest of all that was told.
    pub fn digest(&self) -> Digest {
        *self.told.lock().expect("nothing panics under the lock")
    }

    pub fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nothing panics under the lock")
    }

    /// This moment, which is no other.
    pub fn moment(&self) -> Moment {
        let (at, latest) = self.clock.read();
        let mut seen = self.lock();
        seen.order += 1;
        Moment { order: seen.order, at, latest }
    }

    /// Takes note of what must not be.
    pub fn note(&self, check: Result<(), String>) {
        if let Err(wrong) = check {
            self.lock().fail(wrong);
        }
    }

    /// Counts something that was done.
    pub fn count(&self) {
        self.lock().operations += 1;
    }

    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// What must not be and was seen first.
    pub fn wrong(&self) -> Option<String> {
        self.lock().wrong.clone()
    }
}
