//! Alerting: turns what the census observes into incidents, and incidents into deliveries.
//!
//! One loop owns all open incidents, so decisions about one of them never race. A decision that opens,
//! notifies or resolves is committed together with its deliveries (an outbox) before they are sent. After a
//! restart the loop starts from the committed incidents and a complete census, so it neither repeats
//! notifications nor resolves an incident by mistake.

mod actions;
mod counts;
mod deferred;
mod endings;
mod incidents;
mod live;
mod observing;
mod receivers;
mod refreshes;
mod wakes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::actions::IncidentAction;
use self::actions::{ActionRequest, Actions};
use self::counts::Counts;
use self::deferred::Deferred;
pub use self::live::LiveIncidents;
use self::refreshes::Refreshes;
use self::wakes::Wakes;
use super::Workflows;
use super::census::{Census, STEPS_AT_ONCE};
use super::context::Context;
use super::expectations::ExpectedWork;
use super::pulse::Pulse;
use super::silences::KnownSilences;
use crate::incident::notification::{self, Report};
use crate::incident::{Circumstances, Decision, Dispatch, Outlook, continues_until, decide, outlook};
use crate::model::{
    Clock, Delivery, DeliveryId, DeliveryStatus, Event, Incident, IncidentId, IncidentKey, IncidentStatus,
    Item, Moment, Random, Timestamp, WaitingFor,
};
use crate::notifier::Notifier;
use crate::store::{Command, DELIVERIES_MAX, Store, StoreError};

/// The pause before a rejected commit is retried.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// The most incidents decided about concurrently.
const ATTENDED_AT_ONCE: usize = 32;

/// The state of the loop between iterations.
struct LoopState {
    wakes: Wakes,
    refreshes: Refreshes,
    deferred: Deferred,
    counts: Counts,
    /// Incidents without items whose resolution is deferred.
    ending: BTreeSet<IncidentKey>,
}

pub struct Alerting {
    store: Arc<dyn Store>,
    census: Arc<Census>,
    expected: Arc<ExpectedWork>,
    silences: Arc<KnownSilences>,
    workflows: Arc<Workflows>,
    live: Arc<LiveIncidents>,
    notifier: Notifier,
    actions: Actions,
    /// Notified when other policies are in force.
    other_policies: Notify,
    pulse: Arc<Pulse>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The prefix of links in notifications, without a slash at the end.
    external_url: String,
}

/// What alerting decides by, besides the context, and where its notifications go.
pub(super) struct AlertingParts {
    pub expected: Arc<ExpectedWork>,
    pub silences: Arc<KnownSilences>,
    pub live: Arc<LiveIncidents>,
    pub notifier: Notifier,
    /// The prefix of links in notifications, without a slash at the end.
    pub external_url: String,
}

impl Alerting {
    /// The second part is for [`Alerting::run`].
    pub(super) fn new(context: &Context, parts: AlertingParts) -> (Self, mpsc::Receiver<ActionRequest>) {
        let Context { store, workflows, census, clock, random } = context.clone();
        let AlertingParts { expected, silences, live, notifier, external_url } = parts;
        let (actions, asked) = actions::channel();
        let alerting = Self {
            store,
            census,
            expected,
            silences,
            workflows,
            live,
            notifier,
            actions,
            other_policies: Notify::new(),
            pulse: Arc::default(),
            clock,
            random,
            external_url,
        };
        (alerting, asked)
    }

    /// Has all incidents decided about, since other policies are in force.
    pub(super) fn decide_anew(&self) {
        self.other_policies.notify_one();
    }

    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Runs the loop until `stop`.
    pub(super) async fn run(&self, asked: mpsc::Receiver<ActionRequest>, stop: CancellationToken) {
        let mut state = LoopState {
            wakes: Wakes::default(),
            refreshes: Refreshes::new(self.clock.now()),
            deferred: Deferred::default(),
            counts: Counts::default(),
            ending: self.live.ending(),
        };
        if self.decide_until(&mut state, asked, stop).await {
            self.save_all_counts(&state.counts).await;
        }
    }

    /// Returns whether it was stopped, rather than failed.
    async fn decide_until(
        &self,
        state: &mut LoopState,
        mut asked: mpsc::Receiver<ActionRequest>,
        stop: CancellationToken,
    ) -> bool {
        let mut touched = self.live.keys();
        let mut silences_change = self.silences.next_change(self.clock.moment());
        loop {
            let now = self.clock.now();
            self.pulse.turn(now);
            touched.extend(self.take_changed());
            touched.extend(state.wakes.due(now));
            touched.extend(state.ending.iter().cloned());
            touched.extend(self.live.keys_of(&self.notifier.take_failing_changed()));
            if silences_change <= now {
                touched.extend(self.live.keys());
            }
            silences_change = self.silences.next_change(self.clock.moment());
            let keys = std::mem::take(&mut touched);
            let attended = self.attend_all(keys, state);
            tokio::select! {
                biased;
                () = stop.cancelled() => return true,
                done = attended => if let Err(error) = done {
                    tracing::error!(%error, "an incident could not be committed");
                    return false;
                },
            }
            let next = state.wakes.first().min(silences_change);
            self.pulse.turn(next);
            tokio::select! {
                biased;
                () = stop.cancelled() => return true,
                // First, because a storm of items may leave no time otherwise. Whatever else changed is
                // decided about in every iteration.
                Some(request) = asked.recv() => match self.carry_out(request).await {
                    Ok(key) => touched.extend(key),
                    Err(error) => {
                        tracing::error!(%error, "an action could not be committed");
                        return false;
                    }
                },
                // Finding out which incidents it matches is not worth the effort.
                () = self.silences.changed() => touched = self.live.keys(),
                () = self.other_policies.notified() => touched = self.live.keys(),
                () = self.notifier.failing_changed() => {}
                () = self.changed() => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Decides about incidents. Those without items come last: an incident that continues one of them is
    /// notified first.
    async fn attend_all(&self, keys: BTreeSet<IncidentKey>, state: &mut LoopState) -> Result<(), StoreError> {
        let (begin, end): (BTreeSet<_>, BTreeSet<_>) = keys.into_iter().partition(|key| self.count(key) > 0);
        self.attend_some(begin, state).await?;
        self.attend_some(end, state).await
    }

    /// Decides about incidents concurrently, since each waits for its commit. Keys are distinct.
    async fn attend_some(
        &self,
        keys: BTreeSet<IncidentKey>,
        state: &mut LoopState,
    ) -> Result<(), StoreError> {
        let attend = |key: IncidentKey| async move {
            let wake_at = self.attend(&key).await;
            (key, wake_at)
        };
        let mut attended = stream::iter(keys).map(attend).buffer_unordered(ATTENDED_AT_ONCE);
        while let Some((key, wake_at)) = attended.next().await {
            state.deferred.log(self, &key);
            if self.live.is_ending(&key) {
                state.ending.insert(key.clone());
            } else {
                state.ending.remove(&key);
            }
            let wake_at = match wake_at {
                Ok(wake_at) => self.follow_up(&key, state).await.map(|follow_up| earlier(wake_at, follow_up)),
                Err(error) => Err(error),
            };
            match wake_at {
                Ok(wake_at) => state.wakes.set(key, wake_at),
                Err(error @ StoreError::Fatal(_)) => return Err(error),
                Err(error) => {
                    let workflow = &key.workflow;
                    tracing::warn!(%workflow, %error, "an incident could not be committed; retrying");
                    state.wakes.set(key, Some(self.clock.now().after(TRY_AGAIN)));
                }
            }
        }
        Ok(())
    }

    /// Sends refreshes and saves counts that are due. Returns when the next ones are.
    async fn follow_up(
        &self,
        key: &IncidentKey,
        state: &mut LoopState,
    ) -> Result<Option<Timestamp>, StoreError> {
        let refresh_at = self.refresh(key, &mut state.refreshes).await?;
        let save_at = self.save_counts(key, &mut state.counts).await?;
        Ok(earlier(refresh_at, save_at))
    }

    /// Decides about one incident and commits the decision. Returns when to decide again.
    async fn attend(&self, key: &IncidentKey) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        let last = self.live.get(key);
        let mut decision = self.decide(last.as_ref(), key, now);
        if decision.as_ref().is_some_and(|decision| !decision.dispatches.is_empty()) {
            // A notification counts all items that are overdue by now, however many became so at once.
            while !self.census.catch_up(now, STEPS_AT_ONCE) {
                tokio::task::yield_now().await;
            }
            decision = self.decide(last.as_ref(), key, now);
        }
        match decision {
            Some(decision) => self.take(last.as_ref(), decision, now).await,
            None => {
                self.census.drop_account(key);
                Ok(self.remember(last, now))
            }
        }
    }

    /// Commits an incident that a person acted on, with any decision that is due. `event` goes to the
    /// receivers that keep a state of their own. Returns the incident as committed.
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
            self.also_notify(&mut decision, event);
        }
        let incident = decision.incident.clone();
        self.take(Some(&acted), decision, now).await?;
        Ok(incident)
    }

    /// Adds the receivers that know of the incident, accept the event, and get no other notification now.
    fn also_notify(&self, decision: &mut Decision, event: Event) {
        let hears =
            |name: &Arc<str>| decision.dispatches.iter().any(|dispatch| dispatch.receivers.contains(name));
        let takes =
            |name: &Arc<str>| self.notifier.receiver(name).is_some_and(|receiver| receiver.takes(event));
        let told = decision.incident.told.iter();
        let receivers: Vec<Arc<str>> = told.filter(|name| takes(name) && !hears(name)).cloned().collect();
        if !receivers.is_empty() {
            decision.incident.notifications += u64::from(decision.dispatches.is_empty());
            decision.dispatches.push(Dispatch { event, receivers });
        }
    }

    /// Commits a decision if needed. Returns when to decide again.
    async fn take(
        &self,
        last: Option<&Incident>,
        mut decision: Decision,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        if decision.commit {
            decision.incident.counted_at = decision.incident.outcomes.map(|_| now);
            let deliveries = self.deliveries_of(last, &decision, now).await?;
            self.store.apply(commit(&decision.incident, &deliveries)).await?;
            log(last, &decision);
        } else {
            self.live.keep_draft(decision.incident.clone());
        }
        match decision.incident.status {
            IncidentStatus::Open => Ok(decision.wake_at),
            IncidentStatus::Resolved => {
                match &decision.incident.outcomes {
                    Some(told) => self.census.close_account(&decision.incident.key, told),
                    None => self.census.drop_account(&decision.incident.key),
                }
                Ok(self.remember(Some(decision.incident), now))
            }
        }
    }

    fn decide(&self, last: Option<&Incident>, key: &IncidentKey, now: Timestamp) -> Option<Decision> {
        let id = || IncidentId(self.random.id("inc", now));
        let observation = self.observe(key);
        let ends = last.filter(|last| is_open(last) && observation.count == 0);
        let successor = ends.and_then(|last| self.successor(last, &observation.outcomes, now));
        self.in_circumstances(last, key, now, |circumstances| {
            let circumstances = Circumstances { successor: successor.as_ref(), ..*circumstances };
            decide(last, key, &observation, &circumstances, id)
        })
    }

    /// Evaluates something under the current policy and silences of an incident's key.
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

    /// When the next notification is due, and what delays it.
    pub fn outlook(&self, incident: &Incident) -> Outlook {
        let now = self.clock.now();
        if let Some(until) = self.notifier.held_back(&incident.id, now) {
            return Outlook { next_told_at: until, waiting_for: Some(WaitingFor::Receiver) };
        }
        // A decision that is not committed yet is newer than the committed incident.
        let live = self.live.open_by_id(&incident.id);
        let incident = live.as_ref().unwrap_or(incident);
        // Its resolution waits for the opening of another one.
        if let Some(other) = self.awaited_by(incident) {
            return self.outlook(&other);
        }
        self.in_circumstances(Some(incident), &incident.key, now, |circumstances| {
            outlook(incident, circumstances)
        })
    }

    /// Keeps a resolved incident as long as it may be reopened, and returns until when.
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
        if decision.dispatches.is_empty() {
            return Ok(Vec::new());
        }
        let incident = &decision.incident;
        let samples = self.samples(incident).await?;
        let policy = self.workflows.policy(&incident.key.workflow);
        let report = Report {
            incident,
            told_count: last.filter(|last| !last.told.is_empty()).map_or(0, |last| last.notified_count),
            samples: &samples,
            zone: policy.zone(),
            runbook_url: policy.alerting.runbook_url.as_ref(),
            base_url: &self.external_url,
            moment: Moment { now, wall_offset: self.clock.wall_offset() },
        };
        Ok(decision.dispatches.iter().flat_map(|dispatch| self.deliveries_to(dispatch, &report)).collect())
    }

    async fn samples(&self, incident: &Incident) -> Result<Vec<Item>, StoreError> {
        // Items may have joined since the decision; a resolution lists none of them.
        let shown = usize::try_from(incident.count).unwrap_or(usize::MAX).min(notification::SAMPLES_MAX);
        self.store.items(self.census.sample(&incident.key, shown)).await
    }

    fn deliveries_to(&self, dispatch: &Dispatch, report: &Report<'_>) -> Vec<Delivery> {
        let Report { incident, moment: Moment { now, .. }, .. } = *report;
        let body = notification::write(&notification::notification(dispatch.event, report));
        let delivery = |receiver: &Arc<str>| Delivery {
            id: DeliveryId(self.random.id("dlv", now)),
            topic: incident.id.clone().into(),
            item: None,
            receiver: receiver.clone(),
            event: dispatch.event,
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
        dispatch.receivers.iter().map(delivery).collect()
    }
}

/// The incident with its deliveries, in one command. If there are more receivers than a command takes, the
/// other deliveries are committed first: after a crash in between the decision is made again, and no receiver
/// is left out.
fn commit(incident: &Incident, deliveries: &[Delivery]) -> Vec<Command> {
    let (rest, last) = deliveries.split_at(deliveries.len().saturating_sub(DELIVERIES_MAX));
    let rest = rest.iter().map(|delivery| Command::put(delivery.clone()));
    rest.chain([Command::put_incident(incident.clone(), last.to_vec())]).collect()
}

fn log(last: Option<&Incident>, decision: &Decision) {
    let incident = &decision.incident;
    let was_open = last.is_some_and(is_open);
    let (id, workflow, kind, count) =
        (&*incident.id.0, &*incident.key.workflow, incident.key.kind.as_str(), incident.count);
    if !was_open && is_open(incident) {
        tracing::warn!(incident = id, workflow, kind, count, "incident opened");
    }
    for dispatch in &decision.dispatches {
        let event = dispatch.event.as_str();
        tracing::info!(
            incident = id,
            workflow,
            kind,
            count,
            event,
            receivers = ?dispatch.receivers,
            "notification created"
        );
    }
    if was_open && !is_open(incident) {
        tracing::info!(incident = id, workflow, kind, peak = incident.peak, "incident resolved");
    }
}

fn earlier(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    [left, right].into_iter().flatten().min()
}

fn is_open(incident: &Incident) -> bool {
    incident.status == IncidentStatus::Open
}
