//! A row being run, and its account.
//!
//! The account is separate from the row, so that a failure does not lose it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use warden::model::{Clock, SystemClock, Timestamp};

use super::choice::Extent;

/// Why a row cannot be tried here.
#[derive(Debug)]
pub struct Skipped(pub String);

/// How a row ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It was tried to its end.
    Tried,
    /// It cannot be tried here, and why.
    Skipped(String),
    /// It did not go as it must, and how.
    Failed(String),
}

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// How often the fault was made.
    pub times: u32,
    /// How many acknowledged creates and closes the daemon was held to after it.
    pub held: usize,
    /// Each that was not kept, in words.
    pub lost: Vec<String>,
    /// The longest that a daemon took from its start until it served.
    pub ready: Duration,
    /// How long it all took.
    pub took: Duration,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// The row's handle on its account.
#[derive(Clone)]
pub struct Trial {
    account: Arc<Mutex<Account>>,
    extent: Extent,
    clock: SystemClock,
    began: Timestamp,
}

impl Trial {
    /// Begins now.
    pub fn new(extent: Extent) -> Self {
        let clock = SystemClock::new();
        let began = clock.now();
        Self { account: Arc::default(), extent, clock, began }
    }

    /// How many rounds to make: so many in a short run, so many in a long one.
    pub fn rounds(&self, short: u32, long: u32) -> u32 {
        self.extent.rounds(short, long)
    }

    /// Now, by a clock that only goes forward. It is the same for all that is measured in one trial.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long ago that was.
    pub fn since(&self, earlier: Timestamp) -> Duration {
        self.now().since(earlier)
    }

    /// The fault was made once more.
    pub fn made(&self) {
        self.made_times(1);
    }

    /// The fault was made so many times more.
    pub fn made_times(&self, times: u32) {
        self.lock().times += times;
    }

    /// A daemon took this long from its start until it served.
    pub fn ready(&self, after: Duration) {
        let mut account = self.lock();
        account.ready = account.ready.max(after);
    }

    /// The daemon was held to so many acknowledged operations more.
    pub fn held(&self, operations: usize) {
        self.lock().held += operations;
    }

    /// Something acknowledged was not kept.
    pub fn lost(&self, what: String) {
        self.lock().lost.push(what);
    }

    /// Something worth knowing was found.
    pub fn note(&self, what: impl Into<String>) {
        self.lock().notes.push(what.into());
    }

    /// The account as it is now.
    pub fn account(&self) -> Account {
        Account { took: self.since(self.began), ..self.lock().clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().expect("not poisoned")
    }
}
