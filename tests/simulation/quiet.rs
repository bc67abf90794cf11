//! When notifications may be withheld, and when nothing but the end may be sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use warden::model::{
    ClockTime, Delivery, Event, Incident, IncidentId, IncidentKey, Moment, Silence, SilenceId, Timestamp,
};

/// A silence that was acknowledged.
struct Promise {
    silence: Silence,
    /// From when on it must hold, and until when.
    range: (Timestamp, Timestamp),
}

/// What people said about one incident.
#[derive(Default)]
struct Snoozes {
    begun: u64,
    answered: u64,
    /// When the last of them must hold, if it is known which was the last.
    range: Option<(Timestamp, Timestamp)>,
}

#[derive(Default)]
struct State {
    /// For each workflow until when it may be silenced or snoozed.
    may_be: BTreeMap<String, Timestamp>,
    silences: BTreeMap<SilenceId, Promise>,
    snoozes: BTreeMap<IncidentId, Snoozes>,
}

/// What people asked for, and were promised.
#[derive(Clone, Default)]
pub struct Quiet(Arc<Mutex<State>>);

/// A snooze that is asked for.
pub struct Asked {
    incident: IncidentId,
    place: u64,
}

impl Quiet {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics under the lock")
    }

    /// Somebody asks for quiet.
    pub fn until(&self, workflow: &str, instant: Timestamp) {
        let mut state = self.lock();
        let until = state.may_be.entry(workflow.to_owned()).or_insert(instant);
        *until = instant.max(*until);
    }

    /// The clock has jumped: what was asked for before may begin only now.
    pub fn jumped(&self, jump: Duration) {
        self.lock().may_be.values_mut().for_each(|until| *until = until.after(jump));
    }

    /// Whether it may be quiet.
    pub fn holds(&self, workflow: &str, now: Timestamp) -> bool {
        self.lock().may_be.get(workflow).is_some_and(|until| now <= *until)
    }

    /// Nobody wants it any more.
    pub fn end(&self) {
        self.lock().may_be.clear();
    }

    /// A silence was acknowledged: from now on it holds.
    pub fn silenced(&self, silence: Silence, moment: Moment) {
        let starts_at = moment.steady(silence.starts_at).max(moment.now);
        let range = (starts_at, moment.steady(silence.ends_at));
        self.lock().silences.insert(silence.id.clone(), Promise { silence, range });
    }

    /// Somebody is about to set the wall clock by that much: silences that go by it begin and end at another
    /// time.
    pub fn wall_clock_may_be_set(&self, by: Duration) {
        self.jumped(by);
        let is_steady = |promise: &Promise| matches!(promise.silence.starts_at, ClockTime::Steady(_));
        self.lock().silences.retain(|_, promise| is_steady(promise));
    }

    /// Somebody is about to end a silence.
    pub fn silence_may_end(&self, id: &SilenceId, now: Timestamp) {
        if let Some(promise) = self.lock().silences.get_mut(id) {
            promise.range.1 = promise.range.1.min(now);
        }
    }

    /// Somebody is about to snooze an incident, or to end that: what was said before counts no more.
    pub fn may_be_snoozed(&self, incident: &IncidentId) -> Asked {
        let mut state = self.lock();
        let snoozes = state.snoozes.entry(incident.clone()).or_default();
        snoozes.begun += 1;
        snoozes.range = None;
        Asked { incident: incident.clone(), place: snoozes.begun }
    }

    /// It was acknowledged: from now on it holds, unless somebody else has asked for something else
    /// meanwhile.
    pub fn snoozed(&self, asked: &Asked, until: Option<Timestamp>, now: Timestamp) {
        let mut state = self.lock();
        let snoozes = state.snoozes.entry(asked.incident.clone()).or_default();
        snoozes.answered += 1;
        let is_last = snoozes.begun == asked.place && snoozes.answered == asked.place;
        snoozes.range = until.filter(|_| is_last).map(|until| (now, until));
    }

    /// What is wrong with telling this now, if anything is: it was decided while it was to be quiet. What was
    /// over by the `latest` instant that the clock has shown stays so.
    pub fn breach(&self, incident: &Incident, delivery: &Delivery, latest: Timestamp) -> Option<String> {
        use Event::{Escalated, Grown, Opened, Reminder};
        match delivery.event {
            Opened | Grown | Reminder | Escalated => {}
            // The end is told through all quiet.
            _ => return None,
        }
        let told_at = delivery.created_at;
        let holds =
            |(from, until): (Timestamp, Timestamp)| from < told_at && told_at < until && latest < until;
        let state = self.lock();
        let is_silenced =
            |promise: &&Promise| holds(promise.range) && is_for(&promise.silence, &incident.key);
        let silence = state.silences.values().find(is_silenced).map(|promise| promise.silence.id.0.clone());
        let snooze = state.snoozes.get(&incident.id).and_then(|snoozes| snoozes.range);
        let snooze = snooze.filter(|range| holds(*range)).map(|_| "a snooze".into());
        let (event, id) = (delivery.event.as_str(), &incident.id.0);
        silence.or(snooze).map(|why| format!("{event} of {id} was told in spite of {why}"))
    }
}

/// Whether a silence is for an incident, reckoned apart from how the daemon does it. Its glob is a name or
/// stands for all.
fn is_for(silence: &Silence, key: &IncidentKey) -> bool {
    (&*silence.workflow == "*" || *silence.workflow == *key.workflow)
        && silence.kind.is_none_or(|kind| kind == key.kind)
        && silence.labels.iter().all(|(name, value)| key.group.get(name) == Some(value))
}
