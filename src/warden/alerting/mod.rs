//! Alerting: turns what the census observes into incidents, and incidents into deliveries.
//!
//! One loop owns all open incidents, so no two decisions about one of them ever cross. A decision that opens,
//! tells or resolves is committed together with its deliveries before anybody hears of it. After a restart the loop
//! starts from the committed incidents and from a census that is complete, so it neither repeats what was told nor
//! takes an incident for resolved.

mod actions;
mod counts;
mod endings;
mod held;
mod incidents;
mod live;
mod receivers;
mod refreshes;
mod wakes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::actions::ActionRequest;
pub use self::actions::{Act, Actions, channel as action_channel};
use self::counts::Counts;
use self::held::HeldBack;
pub use self::live::LiveIncidents;
use self::refreshes::Refreshes;
use self::wakes::Wakes;
use super::Workflows;
use super::census::Census;
use super::pulse::Pulse;
use super::silences::KnownSilences;
use crate::incident::notification::{self, Report};
use crate::incident::{Circumstances, Decision, Outlook, Telling, continues_until, decide, outlook};
use crate::model::{
    Clock, Delivery, DeliveryId, DeliveryStatus, Event, Incident, IncidentId, IncidentKey, IncidentStatus,
    Item, Moment, Random, Timestamp, WaitingFor,
};
use crate::notifier::{Notifier, Receiver};
use crate::store::{Command, DELIVERIES_MAX, Store, StoreError};

/// How long the loop waits before it tries a commit again that the store had no room for.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// How many steps of the timer wheel are made at once while overdue items are counted before a decision.
const BITE: usize = 256;
/// How many incidents are decided about at once.
const ATTENDED_AT_ONCE: usize = 32;

/// What the loop keeps in mind from turn to turn.
#[derive(Default)]
struct Notes {
    wakes: Wakes,
    refreshes: Refreshes,
    held_back: HeldBack,
    counts: Counts,
    /// The incidents of which nothing is left, and whose end waits for another to be told.
    ending: BTreeSet<IncidentKey>,
}

/// See the module's documentation.
pub struct Alerting {
    pub(super) store: Arc<dyn Store>,
    pub(super) census: Arc<Census>,
    pub(super) silences: Arc<KnownSilences>,
    pub(super) workflows: Arc<Workflows>,
    pub(super) live: Arc<LiveIncidents>,
    pub(super) notifier: Notifier,
    /// By name.
    pub(super) receivers: HashMap<Arc<str>, Receiver>,
    pub(super) actions: Actions,
    pub(super) pulse: Arc<Pulse>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// What links in notifications begin with, without a slash at the end.
    pub(super) external_url: String,
}

impl Alerting {
    /// Decides about incidents until `stop`.
    pub(super) async fn run(&self, asked: mpsc::Receiver<ActionRequest>, stop: CancellationToken) {
        let mut notes = Notes { ending: self.live.ending(), ..Notes::default() };
        if self.decide_until(&mut notes, asked, stop).await {
            self.save_all_counts(&notes.counts).await;
        }
    }

    /// The same; whether it was stopped, and nothing is broken.
    async fn decide_until(
        &self,
        notes: &mut Notes,
        mut asked: mpsc::Receiver<ActionRequest>,
        stop: CancellationToken,
    ) -> bool {
        let mut touched = self.live.keys();
        let mut silences_change = self.silences.next_change(self.clock.moment());
        loop {
            let now = self.clock.now();
            self.pulse.turn(now);
            touched.extend(self.census.take_touched());
            touched.extend(notes.wakes.due(now));
            touched.extend(notes.ending.iter().cloned());
            touched.extend(self.live.keys_of(&self.notifier.take_failing_changed()));
            if silences_change <= now {
                touched.extend(self.live.keys());
            }
            silences_change = self.silences.next_change(self.clock.moment());
            let keys = std::mem::take(&mut touched);
            let attended = self.attend_all(keys, notes);
            tokio::select! {
                biased;
                () = stop.cancelled() => return true,
                done = attended => if let Err(error) = done {
                    tracing::error!(%error, "an incident could not be committed");
                    return false;
                },
            }
            let next = notes.wakes.first().min(silences_change);
            self.pulse.turn(next);
            tokio::select! {
                biased;
                () = stop.cancelled() => return true,
                // Before the items of a storm, which may leave no time for anything else. What is touched meanwhile is
                // decided about in each turn, whatever began it.
                Some(request) = asked.recv() => match self.carry_out(request).await {
                    Ok(key) => touched.extend(key),
                    Err(error) => {
                        tracing::error!(%error, "an action could not be committed");
                        return false;
                    }
                },
                // Which incidents it concerns is not worth finding out.
                () = self.silences.changed() => touched = self.live.keys(),
                () = self.notifier.failing_changed() => {}
                () = self.census.troubled() => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Decides about incidents. Those of which nothing is left come last: another one that goes on with their trouble is to
    /// be told before their end.
    async fn attend_all(&self, keys: BTreeSet<IncidentKey>, notes: &mut Notes) -> Result<(), StoreError> {
        // A notification counts all items that are overdue by now, however many became so at once.
        let now = self.clock.now();
        while !keys.is_empty() && !self.census.catch_up(now, BITE) {
            tokio::task::yield_now().await;
        }
        let (begin, end): (BTreeSet<_>, BTreeSet<_>) =
            keys.into_iter().partition(|key| self.census.count(key) > 0);
        self.attend_some(begin, notes).await?;
        self.attend_some(end, notes).await
    }

    /// Decides about incidents, several at a time since each waits for its commit; no two of one key.
    async fn attend_some(&self, keys: BTreeSet<IncidentKey>, notes: &mut Notes) -> Result<(), StoreError> {
        let attend = |key: IncidentKey| async move {
            let wake_at = self.attend(&key).await;
            (key, wake_at)
        };
        let mut attended = stream::iter(keys).map(attend).buffer_unordered(ATTENDED_AT_ONCE);
        while let Some((key, wake_at)) = attended.next().await {
            notes.held_back.note(self, &key);
            if self.live.is_ending(&key) {
                notes.ending.insert(key.clone());
            } else {
                notes.ending.remove(&key);
            }
            let wake_at = match wake_at {
                Ok(wake_at) => self.follow_up(&key, notes).await.map(|follow_up| earlier(wake_at, follow_up)),
                Err(error) => Err(error),
            };
            match wake_at {
                Ok(wake_at) => notes.wakes.set(key, wake_at),
                Err(error @ StoreError::Fatal(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(workflow = %key.workflow, %error, "an incident could not be committed; trying again");
                    notes.wakes.set(key, Some(self.clock.now().after(TRY_AGAIN)));
                }
            }
        }
        Ok(())
    }

    /// Does what is to be done now and then about an incident that was decided about. Returns when to do so again.
    async fn follow_up(&self, key: &IncidentKey, notes: &mut Notes) -> Result<Option<Timestamp>, StoreError> {
        let refresh_at = self.refresh(key, &mut notes.refreshes).await?;
        let save_at = self.save_counts(key, &mut notes.counts).await?;
        Ok(earlier(refresh_at, save_at))
    }

    /// Decides about one incident and commits what follows. Returns when to decide again.
    async fn attend(&self, key: &IncidentKey) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        let last = self.live.get(key);
        match self.decide(last.as_ref(), key, now) {
            Some(decision) => self.take(last.as_ref(), decision, now).await,
            None => {
                self.census.drop_account(key);
                Ok(self.remember(last, now))
            }
        }
    }

    /// Commits an incident that somebody acted on, and what else follows at this instant. `event` is for the receivers that
    /// keep a state of their own. Returns the incident as it is then.
    async fn commit_action(
        &self,
        acted: Incident,
        event: Option<Event>,
        now: Timestamp,
    ) -> Result<Incident, StoreError> {
        if !is_open(&acted) {
            self.store.apply(commit(&acted, &[])).await?;
            return Ok(acted);
        }
        let Some(mut decision) = self.decide(Some(&acted), &acted.key, now) else { return Ok(acted) };
        decision.commit = true;
        if let Some(event) = event {
            self.also_tell(&mut decision, event);
        }
        let incident = decision.incident.clone();
        self.take(Some(&acted), decision, now).await?;
        Ok(incident)
    }

    /// Tells those who were told of the incident, take the event, and hear nothing else now.
    fn also_tell(&self, decision: &mut Decision, event: Event) {
        let hears =
            |name: &Arc<str>| decision.tellings.iter().any(|telling| telling.receivers.contains(name));
        let takes = |name: &Arc<str>| self.receivers.get(name).is_some_and(|receiver| receiver.takes(event));
        let told = decision.incident.told.iter();
        let receivers: Vec<Arc<str>> = told.filter(|name| takes(name) && !hears(name)).cloned().collect();
        if !receivers.is_empty() {
            decision.incident.notifications += u64::from(decision.tellings.is_empty());
            decision.tellings.push(Telling { event, receivers });
        }
    }

    /// Commits a decision, if it is to be, and has it carried out. Returns when to decide again.
    async fn take(
        &self,
        last: Option<&Incident>,
        mut decision: Decision,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        if decision.commit {
            decision.incident.counted_at = decision.incident.became.map(|_| now);
            let deliveries = self.deliveries_of(last, &decision, now).await?;
            self.store.apply(commit(&decision.incident, &deliveries)).await?;
            note(last, &decision);
        } else {
            self.live.keep_draft(decision.incident.clone());
        }
        match decision.incident.status {
            IncidentStatus::Open => Ok(decision.wake_at),
            IncidentStatus::Resolved => {
                match &decision.incident.became {
                    Some(told) => self.census.close_account(&decision.incident.key, told),
                    None => self.census.drop_account(&decision.incident.key),
                }
                Ok(self.remember(Some(decision.incident), now))
            }
        }
    }

    fn decide(&self, last: Option<&Incident>, key: &IncidentKey, now: Timestamp) -> Option<Decision> {
        let id = || IncidentId(self.random.id("inc", now));
        let observation = self.census.observe(key);
        let ends = last.filter(|last| is_open(last) && observation.count == 0);
        let successor = ends.and_then(|last| self.successor(last, &observation.became, now));
        self.in_circumstances(last, key, now, |circumstances| {
            let circumstances = Circumstances { successor: successor.as_ref(), ..*circumstances };
            decide(last, key, &observation, &circumstances, id)
        })
    }

    /// Judges something by what holds now for the incident of a key.
    fn in_circumstances<T>(
        &self,
        last: Option<&Incident>,
        key: &IncidentKey,
        now: Timestamp,
        judge: impl FnOnce(&Circumstances<'_>) -> T,
    ) -> T {
        let policy = self.workflows.policy(&key.workflow);
        let is_failing =
            |receiver: &str| last.is_some_and(|incident| self.notifier.is_failing(&incident.id, receiver));
        let wall_offset = self.clock.wall_offset();
        let silence = |now| self.silences.hold_until(key, Moment { now, wall_offset });
        judge(&Circumstances {
            policy: &policy.alerting,
            silence: &silence,
            successor: None,
            is_failing: &is_failing,
            now,
        })
    }

    /// When people are told next of an incident, and what holds that back.
    pub fn outlook(&self, incident: &Incident) -> Outlook {
        let now = self.clock.now();
        if let Some(until) = self.notifier.held_back(&incident.id, now) {
            return Outlook { next_told_at: until, waiting_for: Some(WaitingFor::Receiver) };
        }
        // What was decided since the last commit counts more than what was committed.
        let live = self.live.open_by_id(&incident.id);
        let incident = live.as_ref().unwrap_or(incident);
        // Its end waits for another one to be told.
        if let Some(other) = self.awaited_by(incident) {
            return self.outlook(&other);
        }
        self.in_circumstances(Some(incident), &incident.key, now, |circumstances| {
            outlook(incident, circumstances)
        })
    }

    /// Forgets a resolved incident unless it may still be gone on with; then it says until when.
    fn remember(&self, ended: Option<Incident>, now: Timestamp) -> Option<Timestamp> {
        let ended = ended?;
        let policy = self.workflows.policy(&ended.key.workflow);
        let until = continues_until(&ended, &policy.alerting).filter(|until| now < *until);
        if until.is_none() {
            self.live.remove(&ended.key);
        }
        until
    }

    async fn deliveries_of(
        &self,
        last: Option<&Incident>,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        if decision.tellings.is_empty() {
            return Ok(Vec::new());
        }
        let incident = &decision.incident;
        let samples = self.samples(incident).await?;
        let report = Report {
            incident,
            told_count: last.filter(|last| !last.told.is_empty()).map_or(0, |last| last.notified_count),
            samples: &samples,
            zone: self.workflows.zone(&incident.key.workflow),
            runbook_url: self.workflows.policy(&incident.key.workflow).alerting.runbook_url.as_ref(),
            base_url: &self.external_url,
            moment: Moment { now, wall_offset: self.clock.wall_offset() },
        };
        Ok(decision.tellings.iter().flat_map(|telling| self.deliveries_to(telling, &report)).collect())
    }

    async fn samples(&self, incident: &Incident) -> Result<Vec<Item>, StoreError> {
        // Items may have joined since the decision; one that ends the incident shows none of them.
        let shown = usize::try_from(incident.count).unwrap_or(usize::MAX).min(notification::SAMPLES_MAX);
        self.store.items(self.census.sample(&incident.key, shown)).await
    }

    fn deliveries_to(&self, telling: &Telling, report: &Report<'_>) -> Vec<Delivery> {
        let Report { incident, moment: Moment { now, .. }, .. } = *report;
        let body = notification::write(&notification::notification(telling.event, report));
        let delivery = |receiver: &Arc<str>| Delivery {
            id: DeliveryId(self.random.id("dlv", now)),
            incident: incident.id.clone(),
            receiver: receiver.clone(),
            event: telling.event,
            after: incident.continued_in.as_ref().map(|continuation| continuation.incident.clone()),
            sequence: incident.notifications,
            body: body.clone(),
            created_at: now,
            resent_at: None,
            status: DeliveryStatus::Pending,
            attempts_made: 0,
            next_attempt_at: now,
            attempts: Vec::new(),
        };
        telling.receivers.iter().map(delivery).collect()
    }
}

/// The incident with its deliveries: one command, unless more receivers were told over its life than fit into one. Then the
/// rest goes before it: a crash in between has the decision taken once more, and nobody left out.
fn commit(incident: &Incident, deliveries: &[Delivery]) -> Vec<Command> {
    let (rest, last) = deliveries.split_at(deliveries.len().saturating_sub(DELIVERIES_MAX));
    let rest = rest.iter().map(|delivery| Command::put(delivery.clone()));
    rest.chain([Command::put_incident(incident.clone(), last.to_vec())]).collect()
}

fn note(last: Option<&Incident>, decision: &Decision) {
    let incident = &decision.incident;
    let was_open = last.is_some_and(is_open);
    let (id, workflow, kind, count) =
        (&*incident.id.0, &*incident.key.workflow, incident.key.kind.as_str(), incident.count);
    if !was_open && is_open(incident) {
        tracing::warn!(incident = id, workflow, kind, count, "an incident opened");
    }
    for telling in &decision.tellings {
        let event = telling.event.as_str();
        tracing::info!(incident = id, workflow, kind, count, event, receivers = ?telling.receivers, "telling");
    }
    if was_open && !is_open(incident) {
        tracing::info!(incident = id, workflow, kind, peak = incident.peak, "an incident is resolved");
    }
}

fn earlier(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    [left, right].into_iter().flatten().min()
}

fn is_open(incident: &Incident) -> bool {
    incident.status == IncidentStatus::Open
}
