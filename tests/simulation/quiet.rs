//! Until when people want to hear nothing, and may therefore be told nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use warden::model::Timestamp;

/// For each workflow until when it may be silenced or snoozed.
#[derive(Clone, Default)]
pub struct Quiet(Arc<Mutex<BTreeMap<String, Timestamp>>>);

impl Quiet {
    /// Somebody asks for quiet.
    pub fn until(&self, workflow: &str, instant: Timestamp) {
        let mut quiet = self.0.lock().expect("nothing panics under the lock");
        let until = quiet.entry(workflow.to_owned()).or_insert(instant);
        *until = instant.max(*until);
    }

    /// The clock has jumped: what was asked for before may begin only now.
    pub fn jumped(&self, jump: Duration) {
        let mut quiet = self.0.lock().expect("nothing panics under the lock");
        quiet.values_mut().for_each(|until| *until = until.after(jump));
    }

    /// Whether it may be quiet.
    pub fn holds(&self, workflow: &str, now: Timestamp) -> bool {
        let quiet = self.0.lock().expect("nothing panics under the lock");
        quiet.get(workflow).is_some_and(|until| now <= *until)
    }

    /// Nobody wants it any more.
    pub fn end(&self) {
        self.0.lock().expect("nothing panics under the lock").clear();
    }
}
