//! Checks of alerts while time passes: whatever is overdue is notified within its bound, by one incident, and
//! resolved when nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use warden::model::incident::group_of;
use warden::model::run::HeldFor;
use warden::model::{
    Clock as _, Incident, IncidentId, IncidentKey, IncidentKind, IncidentStatus, Item, ItemFilter, ItemState,
    Moment, Order, Timestamp, WaitingFor,
};
use warden::store::engine::memory::MemoryStore;
use warden::store::{ListItems, Reads as _};
use warden::warden::Warden;

use crate::clock::SimulatedClock;
use crate::disk::Disk;
use crate::documents::ReadDocuments as _;
use crate::ends::Ends;
use crate::names;
use crate::network::{Network, RECOVERY};
use crate::quiet::Quiet;
use crate::world::{RECEIVERS, SPLIT_WORKFLOW};

/// What commits, the network and the steps in which time passes take together at most.
pub const SLACK: Duration = Duration::from_secs(90);

/// Everything that is stored of items.
pub fn items(store: &MemoryStore, now: Timestamp) -> Vec<Item> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let question = ListItems {
            filter: ItemFilter::default(),
            order: Order::Created,
            after,
            limit: 1000,
            now: now.into(),
        };
        let page =
            store.list(question).now_or_never().expect("memory never waits").expect("memory never fails");
        all.extend(page.data);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// What is wrong with the items of one incident.
#[derive(Clone, Copy)]
pub struct Trouble {
    pub count: u64,
    /// Whether that is so only since the clock was last set: then the daemon may be about to notice it.
    pub is_fresh: bool,
}

/// Which items are overdue or have failed, by the incident that there should be of them.
pub fn troubles(store: &MemoryStore, clock: &SimulatedClock) -> BTreeMap<IncidentKey, Trouble> {
    let (now, before) = (clock.read().0, clock.before());
    let moment = Moment { now, wall_offset: clock.wall_offset() };
    let mut troubles = BTreeMap::<IncidentKey, Trouble>::new();
    for item in items(store, now) {
        let kind = match item.state(moment) {
            ItemState::Overdue => IncidentKind::Overdue,
            // One that is late counts as overdue, whatever it waits for.
            ItemState::Interrupted if moment.steady(item.deadline) <= moment.now => IncidentKind::Overdue,
            ItemState::Failed => IncidentKind::Failed,
            // One that waits for others is told of once it has waited for as long as it would have had.
            ItemState::Held if item.held_for() == Some(HeldFor::Hold) => IncidentKind::Held,
            ItemState::Held if moment.steady(item.deadline) <= moment.now => IncidentKind::Held,
            _ => continue,
        };
        let group = group_of(&item.labels, group_by(&item.workflow).as_slice());
        let waits = item.held_for() == Some(HeldFor::Requirement);
        let is_fresh = (kind == IncidentKind::Overdue || waits) && moment.steady(item.deadline) > before;
        let key = IncidentKey { workflow: item.workflow, kind, group };
        let trouble = troubles.entry(key).or_insert(Trouble { count: 0, is_fresh: true });
        (trouble.count, trouble.is_fresh) = (trouble.count + 1, trouble.is_fresh && is_fresh);
    }
    troubles
}

fn group_by(workflow: &str) -> Vec<Arc<str>> {
    if workflow == SPLIT_WORKFLOW { vec!["region".into()] } else { Vec::new() }
}

/// Since when there has been trouble, or none any more, incident by incident.
#[derive(Clone, Default)]
pub struct Weather(Arc<Mutex<BTreeMap<IncidentKey, (bool, Timestamp)>>>);

impl Weather {
    /// Takes note of what has changed by a commit, or by time. Gives what is wrong now.
    pub fn note(&self, store: &MemoryStore, clock: &SimulatedClock) -> BTreeMap<IncidentKey, Trouble> {
        let (now, troubles) = (clock.read().0, troubles(store, clock));
        let mut weather = self.0.lock().expect("nothing panics under the lock");
        for (key, (is_bad, since)) in weather.iter_mut() {
            if *is_bad != troubles.contains_key(key) {
                (*is_bad, *since) = (!*is_bad, now);
            }
            // Between what was wrong before and what is now, the daemon may have seen that nothing is.
            if troubles.get(key).is_some_and(|trouble| trouble.is_fresh) {
                *since = now;
            }
        }
        for key in troubles.keys() {
            weather.entry(key.clone()).or_insert((true, now));
        }
        troubles
    }

    fn since(&self, key: &IncidentKey) -> Timestamp {
        let weather = self.0.lock().expect("nothing panics under the lock");
        weather.get(key).map_or(Timestamp::MIN, |(_, since)| *since)
    }
}

/// The open incidents that are stored.
pub fn open_incidents(store: &MemoryStore) -> Vec<Incident> {
    incidents(store).into_iter().filter(|incident| incident.status == IncidentStatus::Open).collect()
}

pub fn incidents(store: &MemoryStore) -> Vec<Incident> {
    let all = store.incidents(None, 10_000).now_or_never().expect("memory never waits");
    all.expect("memory never fails")
}

/// Watches one life of the daemon.
pub struct Watch {
    pub warden: Arc<Warden>,
    pub disk: Arc<Disk>,
    pub network: Arc<Network>,
    pub quiet: Quiet,
    pub weather: Weather,
    pub clock: SimulatedClock,
    /// How long this life waits before it tells of an incident.
    pub group_wait: Duration,
    /// How long it holds back an incident that flaps.
    pub damping: Duration,
    /// Since when nothing has stood in the way of telling a receiver of an incident.
    pub free: BTreeMap<(IncidentKey, &'static str), Timestamp>,
    /// Since when nothing has stood in the way of telling anybody of an open incident of which nobody was
    /// told.
    pub untold: BTreeMap<IncidentId, Timestamp>,
}

impl Watch {
    /// The clock has jumped. What was under way then was under way for all of that time, so that everything
    /// begins anew.
    pub fn jumped(&mut self) {
        self.free.clear();
        self.untold.clear();
    }

    /// Looks at everything.
    pub fn look(&mut self, now: Timestamp) -> Result<(), String> {
        names::check_known(self.disk.durable(), &self.warden)?;
        let open = open_incidents(self.disk.durable());
        for (index, incident) in open.iter().enumerate() {
            if let Some(twin) = open[..index].iter().find(|other| other.key == incident.key) {
                return Err(format!("{} and {} are open for {:?}", incident.id.0, twin.id.0, incident.key));
            }
        }
        let troubles = self.weather.note(self.disk.durable(), &self.clock);
        let ends = Ends { store: self.disk.durable(), quiet: &self.quiet, clock: &self.clock };
        ends.look()?;
        for receiver in RECEIVERS {
            ends.check_order(receiver, self.network.take_early(receiver))?;
        }
        let faults = self.disk.faults();
        let is_healthy = faults.overloaded == 0 && !faults.slow;
        self.look_for_untold(&open, &troubles, is_healthy, now)?;
        let all = incidents(self.disk.durable());
        let told = all.iter().filter(|incident| incident.notified_at.is_some());
        let told_before: BTreeSet<&IncidentKey> = told.map(|incident| &incident.key).collect();
        // Ends that wait for another incident to be told first, and when others were told.
        let is_ending = |incident: &&Incident| incident.ending_since.is_some();
        let ending: BTreeSet<&IncidentKey> =
            open.iter().filter(is_ending).map(|incident| &incident.key).collect();
        let ended = all.iter().filter(|incident| incident.status == IncidentStatus::Resolved);
        let ends_told: BTreeMap<&IncidentKey, Timestamp> =
            ended.rev().filter_map(|incident| Some((&incident.key, incident.notified_at?))).collect();
        let before = std::mem::take(&mut self.free);
        for receiver in RECEIVERS {
            // A jump may have broken off what was to be heard, like any other trouble.
            let since = self.network.up_since(receiver).map(|since| since.max(self.clock.jumped_at()));
            let is_reachable =
                since.is_some_and(|since| since == Timestamp::MIN || since.after(RECOVERY) <= now);
            if !is_healthy || !is_reachable {
                continue;
            }
            let known: BTreeMap<IncidentKey, bool> = self.network.story(receiver, |story| {
                let keys = story.incidents.values().map(|(key, _)| key);
                keys.map(|key| (key.clone(), story.open(key) > 0)).collect()
            });
            for key in troubles.keys().chain(known.keys().filter(|key| !troubles.contains_key(*key))) {
                let is_bad = troubles.contains_key(key);
                let knows = known.get(key).copied().unwrap_or_default();
                let owed_from = if is_bad {
                    owed_from(&self.warden, &open, key, receiver)
                        .filter(|_| !self.quiet.holds(&key.workflow, now))
                } else {
                    // The end is told also where people want to hear nothing.
                    Some(ends_told.get(key).copied().unwrap_or(Timestamp::MIN))
                };
                let Some(owed_from) = owed_from else { continue };
                let place = (key.clone(), receiver);
                let free = before.get(&place).copied().unwrap_or(now);
                self.free.insert(place, free);
                let since = free.max(self.weather.since(key)).max(owed_from);
                let bound = match is_bad {
                    true if told_before.contains(key) => self.group_wait + self.damping,
                    true => self.group_wait,
                    false if ending.contains(key) => self.group_wait + self.damping,
                    false => Duration::ZERO,
                };
                if knows != is_bad && now > since.after(bound + SLACK) {
                    let what = if is_bad { "trouble" } else { "the end of trouble" };
                    let (workflow, kind, group) = (&key.workflow, key.kind.as_str(), &key.group);
                    return Err(format!(
                        "at {now} {receiver} does not know of {what} in {workflow} ({kind}, {group:?}) since \
                         {since}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// An incident that stays open is told, whatever held it back for a while, and when it says so.
    fn look_for_untold(
        &mut self,
        open: &[Incident],
        troubles: &BTreeMap<IncidentKey, Trouble>,
        is_healthy: bool,
        now: Timestamp,
    ) -> Result<(), String> {
        let before = std::mem::take(&mut self.untold);
        for incident in open {
            let is_told = incident.first_notified_at.is_some();
            let is_quiet = self.quiet.holds(&incident.key.workflow, now);
            if !is_healthy || is_told || is_quiet || !troubles.contains_key(&incident.key) {
                continue;
            }
            let id = &incident.id.0;
            let since = before.get(&incident.id).copied().unwrap_or(now).max(incident.began_at());
            self.untold.insert(incident.id.clone(), since);
            let bound = self.group_wait + self.damping + SLACK;
            if now > since.after(bound) {
                return Err(format!("{id} is open since {since}, and it was told to nobody"));
            }
            let ahead = self.warden.alerting.outlook(incident);
            // What was told before may still wait for a receiver, also for good.
            if ahead.waiting_for == Some(WaitingFor::Receiver) {
                continue;
            }
            // When the daemon last looked nothing was in it. A jump of the clock leaves it no time to look.
            let since = self.weather.since(&incident.key).max(self.clock.jumped_at());
            if incident.count == 0 && now <= since.after(SLACK) {
                continue;
            }
            if ahead.next_told_at.is_none_or(|at| at > now.after(bound)) {
                return Err(format!("{id} is to be told within {bound:?}, and it says {ahead:?}"));
            }
            if before.contains_key(&incident.id) && ahead.next_told_at.is_some_and(|at| at.after(SLACK) < now)
            {
                return Err(format!("{id} was to be told long before {now}, as {ahead:?} says"));
            }
        }
        Ok(())
    }

    /// Looks at everything after so long a calm that all must be as it should.
    pub async fn look_closely(&mut self, now: Timestamp) -> Result<(), String> {
        self.look(now)?;
        let troubles = troubles(self.disk.durable(), &self.clock);
        let open = open_incidents(self.disk.durable());
        for key in troubles.keys() {
            if !open.iter().any(|incident| incident.key == *key) {
                return Err(format!("there is no incident about {key:?}"));
            }
        }
        for incident in &open {
            let live = self.warden.alerting.incident(incident.id.clone()).await;
            let count = live.map_err(|error| format!("{} cannot be read: {error}", incident.id.0))?.count;
            let there = troubles.get(&incident.key).map_or(0, |trouble| trouble.count);
            if count != there {
                return Err(format!("{:?} counts {count} items, and there are {there}", incident.key));
            }
        }
        for receiver in RECEIVERS {
            let stories = self.network.story(receiver, |story| {
                let keys =
                    story.incidents.values().filter(|(_, is_open)| *is_open).map(|(key, _)| key.clone());
                keys.collect::<Vec<_>>()
            });
            for (index, key) in stories.iter().enumerate() {
                if !troubles.contains_key(key) {
                    return Err(format!("{receiver} was never told of the end of {key:?}"));
                }
                if stories[..index].contains(key) {
                    return Err(format!("{receiver} knows two open incidents of {key:?}"));
                }
            }
            for key in troubles.keys() {
                if is_told(&self.warden, key, receiver) && !stories.contains(key) {
                    return Err(format!("{receiver} was never told of {key:?}"));
                }
            }
        }
        let outbox = self.disk.durable().outbox().now_or_never().expect("memory never waits");
        match outbox.expect("memory never fails").first() {
            Some(delivery) => Err(format!("{} still waits for {}", delivery.id.0, delivery.receiver)),
            None => Ok(()),
        }
    }
}

/// From when on a receiver is to know of trouble, if it is: at once, or when nobody has acknowledged it for
/// so long.
fn owed_from(warden: &Warden, open: &[Incident], key: &IncidentKey, receiver: &str) -> Option<Timestamp> {
    if is_told(warden, key, receiver) {
        return Some(Timestamp::MIN);
    }
    let incident = open.iter().find(|incident| incident.key == *key && !incident.acknowledged)?;
    let told_at = incident.first_notified_at?;
    let levels = &warden.workflows.policy(&key.workflow).alerting.escalate;
    let hears = |names: &[Arc<str>]| names.iter().any(|name| &**name == receiver);
    levels.iter().find(|level| hears(&level.receivers)).map(|level| told_at.after(level.after))
}

fn is_told(warden: &Warden, key: &IncidentKey, receiver: &str) -> bool {
    warden.workflows.policy(&key.workflow).alerting.receivers.iter().any(|name| &**name == receiver)
}
