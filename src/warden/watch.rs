//! The start: recovers derived state from the store, constructs the services and spawns every loop.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alerting::{Alerting, AlertingParts, LiveIncidents};
use super::artifacts::KnownArtifacts;
use super::census::Census;
use super::clock::{self, ClockCounts, ClockFollower};
use super::context::Context;
use super::deadlines::Deadlines;
use super::events::KnownEvents;
use super::expectations::{Expectations, ExpectedWork};
use super::handoff::Handoff;
use super::heartbeat::{Heartbeat, HeartbeatCounts};
use super::in_force::InForce;
use super::replays::{KnownReplays, ReplayParts};
use super::retention::Swept;
use super::runs::KnownRuns;
use super::silences::KnownSilences;
use super::steps::StepCounts;
use super::{
    Artifacts, Events, Health, Intake, Parts, Queries, Recovery, Redrives, Replays, Retention, Runs,
    Silences, Warden, WardenSettings, Workflows,
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
        let Parts { store, policies, receivers, outbound, clock, random, settings } = parts;
        // First, because everything below reads the clock.
        let clock::Resumed { anchor, watched_to } = clock::resume(&*store, &*clock).await?;

        // Derived state.
        let workflows = Arc::new(Workflows::new(policies));
        let expected = Arc::new(ExpectedWork::new(clock.clone(), &workflows));
        let census = Arc::new(Census::new(clock.clone(), workflows.clone()));
        let step_counts = Arc::new(StepCounts::new(workflows.clone()));
        let known_silences = Arc::new(KnownSilences::default());
        let known_runs = Arc::new(KnownRuns::default());
        let live = Arc::new(LiveIncidents::new(workflows.clone(), clock.clone()));
        let (known_replays, arrivals) = KnownReplays::new(clock.clone());
        let known_replays = Arc::new(known_replays);
        let known_artifacts = Arc::<KnownArtifacts>::default();
        let known_events = Arc::<KnownEvents>::default();
        let (notifying, notifier) =
            NotifierService::new(store.clone(), outbound.clone(), receivers, clock.clone(), random.clone());
        // Each observer comes before those that depend on it.
        let observers: Vec<Arc<dyn Observer>> = vec![
            workflows.clone(),
            expected.clone(),
            census.clone(),
            step_counts.clone(),
            known_silences.clone(),
            live.clone(),
            known_replays.clone(),
            known_runs.clone(),
            known_artifacts.clone(),
            known_events.clone(),
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
        let WardenSettings { payload_max, external_url, waiting_claims_max, .. } = settings;
        let WardenSettings { heartbeat, replay, redrives: targets, artifacts, .. } = settings;
        let context = Context { store, workflows, census, clock, random };
        let (clock_counts, heartbeats) = (Arc::<ClockCounts>::default(), Arc::<HeartbeatCounts>::default());
        let (stop, replay_loops) = (CancellationToken::new(), TaskTracker::new());
        let queries = Arc::new(Queries::new(&context, step_counts.clone()));
        let handoff = Arc::new(Handoff::new(&context, outbound.clone()));
        let redrives = Redrives::new(&context, handoff.clone(), replay.transport.clone(), targets);
        let replays = ReplayParts {
            handoff,
            queries: queries.clone(),
            outbound: outbound.clone(),
            known: known_replays,
            settings: replay,
            loops: replay_loops.clone(),
            stop: stop.clone(),
        };
        let replays = Arc::new(Replays::new(&context, replays));
        let silences = Arc::new(Silences::new(&context, known_silences.clone()));
        let events = Arc::new(Events::new(&context, known_events, notifier.clone(), external_url.clone()));
        let (alerting, asked) = Alerting::new(
            &context,
            AlertingParts {
                expected: expected.clone(),
                silences: known_silences.clone(),
                live: live.clone(),
                notifier: notifier.clone(),
                external_url,
            },
        );
        let runs = Arc::new(Runs::new(&context, known_runs, waiting_claims_max));
        let artifacts = Arc::new(Artifacts::new(&context, known_artifacts, artifacts));
        let swept = Swept {
            silences: silences.clone(),
            replays: replays.clone(),
            runs: runs.clone(),
            artifacts: artifacts.clone(),
            events: events.clone(),
        };
        let retention = Retention::new(&context, live, notifier.clone(), swept);
        let health = Health::new(&context, known_silences.clone(), clock_counts.clone(), heartbeats.clone());
        let warden = Arc::new(Self {
            intake: Arc::new(Intake::new(&context, payload_max)),
            queries,
            recovery: Arc::new(Recovery::new(&context, waiting_claims_max)),
            replays,
            redrives: Arc::new(redrives),
            alerting: Arc::new(alerting),
            silences,
            runs,
            artifacts,
            events,
            expectations: Arc::new(Expectations::new(&context, expected.clone())),
            retention: Arc::new(retention),
            health: Arc::new(health),
            workflows: context.workflows.clone(),
            in_force: InForce::new(&context, expected.clone(), step_counts, notifier),
            clock: context.clock.clone(),
            random: context.random.clone(),
        });

        // Loops.
        let mut running = JoinSet::new();
        running.spawn(notifying.run(stop.clone()));
        let deadlines = Deadlines::new(&context);
        let watching = deadlines.pulse().clone();
        let token = stop.clone();
        running.spawn(async move { deadlines.run(token).await });
        let (alerting, token) = (warden.alerting.clone(), stop.clone());
        running.spawn(async move { alerting.run(asked, token).await });
        let (retention, token) = (warden.retention.clone(), stop.clone());
        running.spawn(async move { retention.run(token).await });
        let follower = ClockFollower::new(&context, known_silences, expected, clock_counts);
        let token = stop.clone();
        running.spawn(async move { follower.run(saving, token).await });
        let (expectations, token) = (warden.expectations.clone(), stop.clone());
        running.spawn(async move { expectations.run(token).await });
        let (runs, token) = (warden.runs.clone(), stop.clone());
        running.spawn(async move { runs.run(token).await });
        let (events, token) = (warden.events.clone(), stop.clone());
        running.spawn(async move { events.run(token).await });
        if let Some(settings) = heartbeat {
            let pulses = vec![
                ("waits for deadlines", watching),
                ("waits for what is expected", warden.expectations.pulse().clone()),
                ("decides about incidents", warden.alerting.pulse().clone()),
            ];
            let heartbeat = Heartbeat::new(&context, outbound, pulses, settings, heartbeats);
            let token = stop.clone();
            running.spawn(async move { heartbeat.run(token).await });
        }
        running.spawn(Redrives::run(warden.redrives.clone(), stop.clone()));
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
