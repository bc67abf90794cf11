//! The start: recovers derived state from the store, constructs the services and spawns every loop.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alerting::{Alerting, LiveIncidents, action_channel};
use super::census::Census;
use super::clock::{self, ClockCounts, ClockFollower};
use super::deadlines::Deadlines;
use super::expectations::{Expectations, ExpectedWork};
use super::handoff::Handoff;
use super::heartbeat::{Heartbeat, HeartbeatCounts};
use super::pulse::Pulse;
use super::replays::{KnownReplays, ReplayParts};
use super::silences::KnownSilences;
use super::{
    Health, Intake, Parts, Queries, Recovery, Redrives, Replays, Retention, Silences, Warden, WardenSettings,
};
use crate::notifier::NotifierService;
use crate::store::{Command, Observer, Store, StoreError};

/// The running loops.
pub struct Loops {
    running: JoinSet<()>,
    replays: TaskTracker,
    stop: CancellationToken,
}

impl Loops {
    /// Completes when a loop has ended, which happens only if something is broken.
    pub async fn ended(&mut self) {
        let _ = self.running.join_next().await;
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
        self.replays.close();
        self.replays.wait().await;
    }
}

impl Warden {
    /// Recovers the derived state from the store and starts the loops. When this returns, every item is
    /// counted and every timer set. Fails when the store cannot be read.
    pub async fn start(parts: Parts) -> Result<(Arc<Self>, Loops), StoreError> {
        let Parts { store, workflows, receivers, outbound, clock, random, settings } = parts;
        // First, because everything below reads the clock.
        let clock::Resumed { anchor, watched_to } = clock::resume(&*store, &*clock).await?;

        // Derived state.
        let workflows = Arc::new(workflows);
        let expected = Arc::new(ExpectedWork::new(clock.clone(), &workflows));
        let census = Arc::new(Census::new(clock.clone(), workflows.clone(), expected.clone()));
        let known_silences = Arc::new(KnownSilences::default());
        let live = Arc::new(LiveIncidents::new(workflows.clone(), clock.clone()));
        let (known_replays, arrivals) = KnownReplays::new(clock.clone());
        let known_replays = Arc::new(known_replays);
        let by_name = receivers.iter().map(|receiver| (receiver.name.clone(), receiver.clone())).collect();
        let (notifying, notifier) =
            NotifierService::new(store.clone(), outbound.clone(), receivers, clock.clone(), random.clone());
        // Each observer comes before those that depend on it.
        let observers: Vec<Arc<dyn Observer>> = vec![
            workflows.clone(),
            expected.clone(),
            census.clone(),
            known_silences.clone(),
            live.clone(),
            known_replays.clone(),
            notifier.observer(),
        ];
        attach(store.clone(), observers).await?;
        // Submitted before any item whose times depend on it.
        let began = clock.now();
        let saving = clock::Saving { done: store.submit(vec![Command::put(anchor)]), began };
        census.recovered();
        census.name_emptied_again();
        expected.recovered(watched_to);
        notifier.recovered(clock.now());

        // Services.
        let WardenSettings { payload_max, external_url, waiting_claims_max, incident_history, .. } = settings;
        let WardenSettings { heartbeat, replay, redrives: targets, .. } = settings;
        let [watching, expecting, deciding]: [Arc<Pulse>; 3] = Default::default();
        let (clock_counts, heartbeats) = (Arc::<ClockCounts>::default(), Arc::<HeartbeatCounts>::default());
        let (stop, replay_loops) = (CancellationToken::new(), TaskTracker::new());
        let (actions, asked) = action_channel();
        let queries = Arc::new(Queries::new(store.clone(), census.clone(), clock.clone()));
        let handoff = Handoff::new(store.clone(), outbound.clone(), clock.clone(), random.clone());
        let handoff = Arc::new(handoff);
        let transport = replay.transport.clone();
        let redrives = Redrives::new(
            store.clone(),
            handoff.clone(),
            census.clone(),
            workflows.clone(),
            clock.clone(),
            transport,
        );
        let replays = Arc::new(Replays::new(ReplayParts {
            store: store.clone(),
            handoff,
            queries: queries.clone(),
            workflows: workflows.clone(),
            outbound: outbound.clone(),
            known: known_replays,
            clock: clock.clone(),
            random: random.clone(),
            settings: replay,
            loops: replay_loops.clone(),
            stop: stop.clone(),
        }));
        let silences = Arc::new(Silences::new(
            store.clone(),
            known_silences.clone(),
            workflows.clone(),
            clock.clone(),
            random.clone(),
            incident_history,
        ));
        let alerting = Arc::new(Alerting {
            store: store.clone(),
            census: census.clone(),
            silences: known_silences.clone(),
            workflows: workflows.clone(),
            live: live.clone(),
            notifier: notifier.clone(),
            receivers: by_name,
            actions,
            pulse: deciding.clone(),
            clock: clock.clone(),
            random: random.clone(),
            external_url,
        });
        let expectations = Arc::new(Expectations::new(
            store.clone(),
            expected.clone(),
            census.clone(),
            clock.clone(),
            expecting.clone(),
        ));
        let retention = Arc::new(Retention {
            store: store.clone(),
            census: census.clone(),
            workflows: workflows.clone(),
            live_incidents: live,
            notifier,
            silences: silences.clone(),
            replays: replays.clone(),
            clock: clock.clone(),
            incident_history,
        });
        let health = Health {
            store: store.clone(),
            census: census.clone(),
            workflows: workflows.clone(),
            silences: known_silences.clone(),
            clock: clock.clone(),
            clock_counts: clock_counts.clone(),
            heartbeats: heartbeats.clone(),
        };
        let warden = Arc::new(Self {
            intake: Arc::new(Intake::new(
                store.clone(),
                workflows.clone(),
                census.clone(),
                clock.clone(),
                random.clone(),
                payload_max,
            )),
            queries,
            recovery: Arc::new(Recovery::new(
                store.clone(),
                census.clone(),
                workflows.clone(),
                clock.clone(),
                random.clone(),
                waiting_claims_max,
            )),
            replays,
            redrives: Arc::new(redrives),
            alerting,
            silences,
            expectations,
            retention,
            health: Arc::new(health),
            workflows,
            clock: clock.clone(),
            random,
        });

        // Loops.
        let mut running = JoinSet::new();
        running.spawn(notifying.run(stop.clone()));
        let deadlines = Deadlines::new(census.clone(), clock.clone(), watching.clone());
        let token = stop.clone();
        running.spawn(async move { deadlines.run(token).await });
        let (alerting, token) = (warden.alerting.clone(), stop.clone());
        running.spawn(async move { alerting.run(asked, token).await });
        let (retention, token) = (warden.retention.clone(), stop.clone());
        running.spawn(async move { retention.run(token).await });
        let follower = ClockFollower {
            store: store.clone(),
            clock: clock.clone(),
            census,
            silences: known_silences,
            expected,
            counts: clock_counts,
        };
        let token = stop.clone();
        running.spawn(async move { follower.run(saving, token).await });
        let (expectations, token) = (warden.expectations.clone(), stop.clone());
        running.spawn(async move { expectations.run(token).await });
        if let Some(settings) = heartbeat {
            let pulses = vec![
                ("waits for deadlines", watching),
                ("waits for what is expected", expecting),
                ("decides about incidents", deciding),
            ];
            let heartbeat = Heartbeat::new(store, outbound, clock, pulses, settings, heartbeats);
            let token = stop.clone();
            running.spawn(async move { heartbeat.run(token).await });
        }
        for (workflow, target) in targets {
            let (redrives, token) = (warden.redrives.clone(), stop.clone());
            running.spawn(async move { redrives.run(workflow, target, token).await });
        }
        running.spawn(Replays::run(warden.replays.clone(), arrivals, stop.clone()));
        Ok((warden, Loops { running, replays: replay_loops, stop }))
    }
}

/// Feeds the stored state to the observers. Blocking: it reads every record.
async fn attach(store: Arc<dyn Store>, observers: Vec<Arc<dyn Observer>>) -> Result<(), StoreError> {
    tokio::task::spawn_blocking(move || store.attach(Arc::new(observers)))
        .await
        .unwrap_or_else(|error| Err(StoreError::Fatal(error.to_string().into())))
}
