//! The domain service: takes requests, decides, commits, then schedules.
//!
//! [`Warden`] is what the layers above speak to. It owns the derived state ([`census`]), the registry of workflows, the
//! silences, and the loops: the one that waits for deadlines, the one that decides about incidents, the one that waits for
//! what is expected, the sweep, and the heartbeat where there is one. Data goes one way: a request becomes commands, the
//! store commits them, the census is told, the answer goes out.
//!
//! Deliberately absent: HTTP, and everything that is particular to one engine.

mod alerting;
mod census;
pub mod claims;
mod clock;
mod disuse;
mod error;
mod expectations;
mod heartbeat;
mod hold;
mod incidents;
pub mod items;
pub mod leases;
mod overdue;
mod post;
mod pulse;
mod receivers;
mod redrives;
mod replays;
pub mod restore;
mod retries;
pub mod silences;
mod summary;
mod sweep;
mod warnings;
mod workflows;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::alerting::Act;
use self::alerting::{Actions, LiveIncidents};
use self::census::Census;
pub use self::census::Tally;
use self::claims::Claims;
pub use self::clock::ClockCounts;
pub use self::error::{ClosedSince, WardenError};
use self::expectations::Expectations;
pub use self::heartbeat::{HeartbeatCounts, HeartbeatSettings};
use self::leases::LeaseCounts;
use self::pulse::Pulse;
pub use self::redrives::{RedriveCounts, RedriveTarget};
use self::replays::Replays;
pub use self::replays::{ReplayAct, ReplayCounts, ReplayEntry, ReplaySettings, StartReplay};
use self::silences::Silences;
pub use self::workflows::{WorkflowEntry, Workflows};
use crate::model::{Clock, Random, Timestamp, WorkflowName};
use crate::notifier::{Notifier, NotifierService, Receiver};
use crate::outbound::Outbound;
use crate::store::{Command, DiskUse, Observer, Store, StoreError, StoreStatus};

/// What the service needs to know.
#[derive(Clone, Debug)]
pub struct WardenSettings {
    /// The largest payload, in bytes.
    pub payload_max: u64,
    /// What links in notifications begin with, without a slash at the end.
    pub external_url: String,
    /// How many claims may wait at a time.
    pub waiting_claims_max: usize,
    /// How long resolved incidents are remembered.
    pub incident_history: Duration,
    /// The dead man's switch outside, if there is one.
    pub heartbeat: Option<HeartbeatSettings>,
    /// What replays may do.
    pub replay: ReplaySettings,
    /// Where the overdue items of workflows are sent by themselves.
    pub redrives: BTreeMap<WorkflowName, RedriveTarget>,
}

/// What the service works with; all of it is handed in.
pub struct Parts {
    /// What must survive.
    pub store: Arc<dyn Store>,
    /// Policies.
    pub workflows: Workflows,
    /// Places to which notifications go.
    pub receivers: Vec<Receiver>,
    /// The outgoing call.
    pub outbound: Arc<dyn Outbound>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The rest.
    pub settings: WardenSettings,
}

/// The domain service. See the module's documentation.
pub struct Warden {
    store: Arc<dyn Store>,
    census: Arc<Census>,
    expectations: Arc<Expectations>,
    workflows: Arc<Workflows>,
    live_incidents: Arc<LiveIncidents>,
    silences: Arc<Silences>,
    replays: Arc<Replays>,
    claims: Claims,
    lease_counts: LeaseCounts,
    actions: Actions,
    receivers: HashMap<Arc<str>, Receiver>,
    notifier: Notifier,
    watching: Pulse,
    expecting: Pulse,
    deciding: Pulse,
    clock_counts: ClockCounts,
    heartbeats: HeartbeatCounts,
    outbound: Arc<dyn Outbound>,
    payloads: Semaphore,
    redrives: RedriveCounts,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: WardenSettings,
}

/// The loops of a service that runs.
pub struct Loops {
    running: JoinSet<()>,
    replays: TaskTracker,
    stop: CancellationToken,
}

impl Loops {
    /// Completes when one of the loops has ended, which none does by itself unless something is broken.
    pub async fn ended(&mut self) {
        let _ = self.running.join_next().await;
    }

    /// Stops them all and waits until they have ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
        self.replays.close();
        self.replays.wait().await;
    }
}

impl Warden {
    /// Recovers the derived state from the store and starts the loops. When this returns every item is counted and
    /// every timer set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(parts: Parts) -> Result<(Arc<Self>, Loops), StoreError> {
        let Parts { store, workflows, receivers, outbound, clock, random, settings } = parts;
        // Before anything is judged by the clock.
        let clock::Resumed { anchor, watched_to } = clock::resume(&*store, &*clock).await?;
        let workflows = Arc::new(workflows);
        let expectations = Arc::new(Expectations::new(clock.clone(), &workflows));
        let census = Arc::new(Census::new(clock.clone(), workflows.clone(), expectations.clone()));
        let silences = Arc::new(Silences::default());
        let live_incidents = Arc::new(LiveIncidents::new(workflows.clone(), clock.clone()));
        let (stop, replay_loops) = (CancellationToken::new(), TaskTracker::new());
        let (replays, arrivals) = Replays::new(clock.clone(), replay_loops.clone(), stop.clone());
        let replays = Arc::new(replays);
        let by_name = receivers.iter().map(|receiver| (receiver.name.clone(), receiver.clone())).collect();
        let (service, notifier) =
            NotifierService::new(store.clone(), outbound.clone(), receivers, clock.clone(), random.clone());
        // Each is told before those that ask it.
        let observers: Vec<Arc<dyn Observer>> = vec![
            workflows.clone(),
            expectations.clone(),
            census.clone(),
            silences.clone(),
            live_incidents.clone(),
            replays.clone(),
            notifier.observer(),
        ];
        let reading = store.clone();
        tokio::task::spawn_blocking(move || reading.attach(Arc::new(observers)))
            .await
            .unwrap_or_else(|error| Err(StoreError::Fatal(error.to_string().into())))?;
        // In line before any item that is judged by it.
        let began = clock.now();
        let saving = clock::Saving { done: store.submit(vec![Command::put(anchor)]), began };
        census.recovered();
        census.name_emptied_again();
        expectations.recovered(watched_to);
        notifier.recovered(clock.now());
        let (actions, asked) = alerting::action_channel();
        let warden = Arc::new(Self {
            store,
            census,
            expectations,
            workflows,
            live_incidents,
            silences,
            replays,
            claims: Claims::new(settings.waiting_claims_max),
            lease_counts: LeaseCounts::default(),
            actions,
            receivers: by_name,
            notifier,
            watching: Pulse::default(),
            expecting: Pulse::default(),
            deciding: Pulse::default(),
            clock_counts: ClockCounts::default(),
            heartbeats: HeartbeatCounts::default(),
            outbound: outbound.clone(),
            payloads: post::payload_budget(),
            redrives: RedriveCounts::default(),
            clock,
            random,
            settings,
        });

        let mut running = JoinSet::new();
        running.spawn(service.run(stop.clone()));
        let (watch, alert, sweep) = (warden.clone(), warden.clone(), warden.clone());
        let (watch_stop, alert_stop, sweep_stop) = (stop.clone(), stop.clone(), stop.clone());
        running.spawn(async move { watch.watch_deadlines(watch_stop).await });
        running.spawn(async move { alert.alert(asked, alert_stop).await });
        running.spawn(async move { sweep.sweep(sweep_stop).await });
        let (follow, follow_stop) = (warden.clone(), stop.clone());
        running.spawn(async move { follow.follow_clock(saving, follow_stop).await });
        let (expect, expect_stop) = (warden.clone(), stop.clone());
        running.spawn(async move { expect.watch_expectations(expect_stop).await });
        if let Some(settings) = warden.settings.heartbeat.clone() {
            let (beat, beat_stop) = (warden.clone(), stop.clone());
            running.spawn(async move { beat.beat(settings, outbound, beat_stop).await });
        }
        for (workflow, target) in warden.settings.redrives.clone() {
            let (redrive, redrive_stop) = (warden.clone(), stop.clone());
            running.spawn(async move { redrive.redrive(workflow, target, redrive_stop).await });
        }
        running.spawn(Self::run_replays(warden.clone(), arrivals, stop.clone()));
        Ok((warden, Loops { running, replays: replay_loops, stop }))
    }

    /// The clock that everything is judged by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The source of ids.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// What there is to know about workflows.
    pub fn workflows(&self) -> &Workflows {
        &self.workflows
    }

    /// For when items of a workflow are expected next, by the wall clock; nothing where none are.
    pub fn next_expected_at(&self, workflow: &WorkflowName) -> Option<Timestamp> {
        self.expectations.next_expected_at(workflow)
    }

    /// How the store is doing.
    pub fn store_status(&self) -> StoreStatus {
        self.store.status()
    }

    /// What the store's files are like; it looks at the disk.
    pub fn disk_use(&self) -> DiskUse {
        self.store.disk_use()
    }

    /// The figures of one workflow.
    pub fn tally(&self, workflow: &str) -> Tally {
        self.census.tally(workflow)
    }

    /// The figures of all workflows that have or had items.
    pub fn tallies(&self) -> Vec<(WorkflowName, Tally)> {
        self.census.tallies()
    }

    /// Timers that are set, and the bytes of memory that they take.
    pub fn timers(&self) -> (usize, usize) {
        self.census.timers()
    }

    /// How many incidents are open.
    pub fn open_incidents(&self) -> usize {
        self.live_incidents.count()
    }

    /// The largest payload that is taken, in bytes.
    pub fn payload_max(&self) -> u64 {
        self.settings.payload_max
    }
}
