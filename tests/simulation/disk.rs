//! A disk that keeps what was synced, and checks what is written to it.

use std::sync::{Mutex, MutexGuard};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use warden::model::{Clock, Timestamp};
use warden::store::engine::memory::MemoryStore;
use warden::store::{
    Command, Document, DocumentSet, ListDocuments, Outcome, Reads as _, StoreError, Writes as _,
};

use crate::claimable::Claimable;
use crate::clock::SimulatedClock;
use crate::course;
use crate::dice::Dice;
use crate::history::History;
use crate::names;
use crate::quiet::Quiet;
use crate::runs::{self, Ledgers, Written};
use crate::watch::{Weather, items};

/// What goes wrong with the disk at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// How many commands in a thousand are refused because too much waits.
    pub overloaded: u64,
    /// Whether nothing that grows is taken.
    pub full: bool,
    /// Whether commits take seconds.
    pub slow: bool,
}

/// What survives a crash.
pub struct Disk {
    durable: MemoryStore,
    /// Commands that are applied and not synced.
    cut: Mutex<Vec<Command>>,
    faults: Mutex<Faults>,
    /// Since when nothing has been wrong with it, if nothing is.
    healthy_since: Mutex<Option<Timestamp>>,
    weather: Weather,
    quiet: Quiet,
    claimable: Claimable,
    runs: Written,
    history: History,
    clock: SimulatedClock,
}

impl Disk {
    pub fn new(weather: Weather, quiet: Quiet, history: History, clock: SimulatedClock) -> Self {
        Self {
            durable: MemoryStore::new(),
            cut: Mutex::default(),
            faults: Mutex::default(),
            healthy_since: Mutex::new(Some(Timestamp::MIN)),
            weather,
            quiet,
            claimable: Claimable::default(),
            runs: Written::default(),
            history,
            clock,
        }
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().expect("nothing panics under the lock") = faults;
        let is_healthy = !faults.full && !faults.slow && faults.overloaded == 0;
        *self.healthy_since.lock().expect("nothing panics under the lock") =
            is_healthy.then(|| self.clock.now());
    }

    /// Since when nothing has been wrong with it, if nothing is.
    pub fn healthy_since(&self) -> Option<Timestamp> {
        *self.healthy_since.lock().expect("nothing panics under the lock")
    }

    /// Commands that are applied and not synced.
    pub fn cut(&self) -> MutexGuard<'_, Vec<Command>> {
        self.cut.lock().expect("nothing panics under the lock")
    }

    /// Takes note of what is wrong now that a group was written.
    pub fn note_weather(&self) {
        self.weather.note(&self.durable, &self.clock);
        self.history.note(names::check(&self.durable, self.clock.read().0));
    }

    /// Since when items could be claimed.
    pub fn claimable(&self) -> &Claimable {
        &self.claimable
    }

    /// What is written of runs.
    pub fn runs(&self) -> &Written {
        &self.runs
    }

    /// A command is written for good: nothing that it says is to break what people were promised.
    pub fn write(&self, store: &MemoryStore, command: Command) -> Outcome {
        if let [Document::Incident(incident), deliveries @ ..] = command.documents() {
            let (_, latest) = self.clock.read();
            for document in deliveries {
                let Document::Delivery(delivery) = document else { continue };
                let breach = self.quiet.breach(incident, delivery, latest);
                self.history.note(breach.map_or(Ok(()), Err));
            }
        }
        let claimed = self.claimable.look_up(&self.durable, &command, &self.clock);
        let before = course::before(&self.durable, &command).map(|before| (before, command.clone()));
        let ledgers = runs::concerns(&command, store).then(|| (Ledgers::of(&self.durable), command.clone()));
        let outcome = done(store, command);
        if let Some((before, command)) = ledgers {
            self.history.note(self.runs.check(&before, store, &command, &outcome));
        }
        if let Some((before, command)) = before {
            self.history.note(course::check(&before, &command, &outcome));
            if let Some(lease) = course::withdrawn(&before, &outcome) {
                let at = self.history.moment();
                self.history.lock().leases.withdraw(lease, at);
            }
        }
        self.claimable.note(claimed, &outcome, self.clock.now());
        outcome
    }

    pub fn faults(&self) -> Faults {
        *self.faults.lock().expect("nothing panics under the lock")
    }

    /// What is durable.
    pub fn durable(&self) -> &MemoryStore {
        &self.durable
    }

    /// Everything that is durable, in words.
    pub fn described(&self) -> Vec<String> {
        fn read<T>(answer: BoxFuture<'_, Result<T, StoreError>>) -> T {
            answer.now_or_never().expect("memory never waits").expect("memory never fails")
        }
        let store = &self.durable;
        let mut lines = Vec::new();
        for item in items(store, self.clock.read().0) {
            let payload = read(store.payload(item.number, 0, usize::MAX));
            lines.push(format!("{item:?} {payload:?}"));
        }
        for set in DocumentSet::TOLD.into_iter().chain([DocumentSet::Chunks, DocumentSet::Runs]) {
            let documents = read(store.documents(ListDocuments::all(set)));
            lines.extend(documents.iter().map(|document| format!("{document:?}")));
        }
        lines
    }

    /// The power is gone. Any part of what was being written is there afterwards.
    pub fn crash(&self, dice: &Dice) {
        let cut = std::mem::take(&mut *self.cut());
        let written = dice.below(cut.len() as u64 + 1) as usize;
        for command in cut.into_iter().take(written) {
            self.write(&self.durable, command);
        }
        self.note_weather();
    }
}

/// Carries a command out at once.
pub fn done(store: &MemoryStore, command: Command) -> Outcome {
    let outcomes = store.submit(vec![command]).now_or_never().expect("memory never waits");
    outcomes.expect("memory never fails").pop().expect("an outcome for the command")
}
