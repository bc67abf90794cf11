//! Metrics read from the services at a scrape.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use warden_api::word::ReceiverState;

use super::{runs, steps};
use crate::http::access::Access;
use crate::model::{Timestamp, WorkflowName};
use crate::notifier::status::LATENCY_BOUNDS;
use crate::notifier::{Outcomes, ReceiverStatus};
use crate::store::{DiskUse, StoreStatus};
use crate::warden::runs::RunFigures;
use crate::warden::{StepTallies, Tally, Warden};

/// A snapshot of the services.
#[derive(Debug)]
pub struct Figures {
    tallies: Vec<(String, Tally)>,
    steps: Vec<(WorkflowName, StepTallies)>,
    /// By name.
    runs: Vec<(WorkflowName, RunFigures)>,
    now: Timestamp,
    store: StoreStatus,
    disk: DiskUse,
    timers: (usize, usize),
    incidents: usize,
    receivers: Vec<ReceiverStatus>,
    /// Events, by receiver.
    dropped: HashMap<Arc<str>, u64>,
    oldest_waiting: Duration,
    drift: Duration,
    silences: usize,
    waiting_claims: usize,
    /// Forward, back.
    clock_steps: [u64; 2],
    /// Sent, failed, withheld.
    heartbeats: [u64; 3],
    /// Taken, failed.
    redrives: [u64; 2],
    replays_running: usize,
    replay_posts: u64,
    /// Succeeded, failed, skipped.
    replay_items: [u64; 3],
    /// By event.
    leases: [(&'static str, u64); 5],
}

impl Figures {
    /// Takes a snapshot; of workflows, those that the token includes.
    pub fn of(warden: &Warden, access: &Access) -> Self {
        let receivers = warden.alerting.receiver_statuses();
        let oldest = receivers.iter().filter_map(|receiver| receiver.oldest_waiting).min();
        let now = warden.clock.now();
        let (beats, corrections) = (warden.health.heartbeats(), warden.health.clock_counts());
        let redrives = warden.redrives.counts();
        let leases = warden.recovery.lease_counts();
        let mut steps = warden.queries.all_step_tallies();
        steps.retain(|(workflow, _)| access.admits(workflow));
        steps.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut runs = warden.runs.figures();
        runs.retain(|(workflow, _)| access.admits(workflow));
        let tallies = warden.queries.tallies().into_iter().filter(|(name, _)| access.admits(name));
        Self {
            tallies: tallies.map(|(name, tally)| (name.to_string(), tally)).collect(),
            steps,
            runs,
            now,
            store: warden.health.store_status(),
            disk: warden.health.disk_use(),
            timers: warden.health.timers(),
            incidents: warden.alerting.open_incidents(),
            oldest_waiting: oldest.map_or(Duration::ZERO, |since| now.since(since)),
            receivers,
            dropped: warden.events.dropped().into_iter().collect(),
            drift: Duration::from_millis(warden.clock.drift().unsigned_abs()),
            silences: warden.silences.active(),
            waiting_claims: warden.recovery.waiting_claims(),
            redrives: [&redrives.taken, &redrives.failed].map(|count| count.load(Ordering::Relaxed)),
            replays_running: warden.replays.running(),
            replay_posts: warden.replays.counts().posts(),
            replay_items: warden.replays.counts().ends(),
            clock_steps: [&corrections.forward, &corrections.back].map(|count| count.load(Ordering::Relaxed)),
            heartbeats: [&beats.sent, &beats.failed, &beats.withheld]
                .map(|count| count.load(Ordering::Relaxed)),
            leases: [
                ("claimed", &leases.claimed),
                ("completed", &leases.completed),
                ("failed", &leases.failed),
                ("released", &leases.released),
                ("lost", &leases.lost),
            ]
            .map(|(event, count)| (event, count.load(Ordering::Relaxed))),
        }
    }

    /// The sum over all receivers.
    fn sum(&self, count: fn(&Outcomes) -> u64) -> u64 {
        self.receivers.iter().map(|receiver| count(&receiver.outcomes)).sum()
    }

    fn encode_receivers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "receiver_deliveries",
            "Attempts and deliveries by receiver and outcome",
            None,
            MetricType::Counter,
        )?;
        for ReceiverStatus { name, outcomes, .. } in &self.receivers {
            let Outcomes { delivered, failed, dead, refreshed } = *outcomes;
            let counts =
                [("delivered", delivered), ("failed", failed), ("dead", dead), ("refreshed", refreshed)];
            for (outcome, count) in counts {
                let labels = [("receiver", &**name), ("outcome", outcome)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "1 for the current state of the receiver: ok, failing, or paused since it answered 410";
        let mut family = encoder.encode_descriptor("receiver_state", help, None, MetricType::Gauge)?;
        for ReceiverStatus { name, state, .. } in &self.receivers {
            for known in ReceiverState::ALL {
                let labels = [("receiver", &**name), ("state", known.as_str())];
                let is_it = f64::from(u8::from(state.word() == known));
                ConstGauge::new(is_it).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Pending deliveries by receiver";
        let mut family = encoder.encode_descriptor("receiver_waiting", help, None, MetricType::Gauge)?;
        for ReceiverStatus { name, waiting, .. } in &self.receivers {
            let labels = [("receiver", &**name)];
            ConstGauge::new(float(*waiting as u64)).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "receiver_events_dropped",
            "Events of items that were not sent since too many deliveries waited for the receiver",
            None,
            MetricType::Counter,
        )?;
        for ReceiverStatus { name, .. } in &self.receivers {
            let dropped = self.dropped.get(name).copied().unwrap_or_default();
            let labels = [("receiver", &**name)];
            ConstCounter::new(dropped).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "receiver_attempt_duration",
            "Duration of attempts by receiver",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for ReceiverStatus { name, latencies, .. } in &self.receivers {
            let bounds = LATENCY_BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(latencies.counts).collect();
            let labels = [("receiver", &**name)];
            let mut metric = family.encode_family(&labels)?;
            let count = latencies.counts.iter().sum();
            metric.encode_histogram::<[(&str, &str); 0]>(
                latencies.sum.as_secs_f64(),
                count,
                &buckets,
                None,
            )?;
        }
        Ok(())
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut items = |name, help, unit: fn(&Tally) -> u64| -> Result<(), fmt::Error> {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (workflow, tally) in &self.tallies {
                let labels = [("workflow", workflow.as_str())];
                ConstGauge::new(unit(tally)).encode(family.encode_family(&labels)?)?;
            }
            Ok(())
        };
        items("items_unclosed", "Items not closed", |tally| tally.unclosed)?;
        items("items_overdue", "Items past their deadline", |tally| tally.overdue)?;
        items("items_failed", "Failed items", |tally| tally.failed)?;
        items("items_held", "Runs that have not begun", |tally| tally.held)?;
        items("items_interrupted", "Interrupted items, overdue or not", |tally| tally.interrupted)?;
        items("items_closed", "Closed items within their retention", |tally| tally.closed)?;
        let help = "How long the oldest overdue item has been overdue; 0 if none is";
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor("items_oldest_overdue", help, unit, MetricType::Gauge)?;
        for (workflow, tally) in &self.tallies {
            let age = tally.oldest_overdue.map_or(Duration::ZERO, |deadline| self.now.since(deadline));
            let labels = [("workflow", workflow.as_str())];
            ConstGauge::new(age.as_secs_f64()).encode(family.encode_family(&labels)?)?;
        }
        let mut totals = |name, help, unit: fn(&Tally) -> u64| -> Result<(), fmt::Error> {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (workflow, tally) in &self.tallies {
                let labels = [("workflow", workflow.as_str())];
                ConstCounter::new(unit(tally)).encode(family.encode_family(&labels)?)?;
            }
            Ok(())
        };
        let help = "Items created since the start, or since the workflow was created if that is later";
        totals("items_created", help, |tally| tally.created_total)?;
        totals(
            "items_closed_since_start",
            "Items closed since the start, or since the workflow was created",
            |tally| tally.closed_total,
        )?;
        let mut gauge = |name, help, value: f64| -> Result<(), fmt::Error> {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        let store = &self.store;
        gauge(
            "store_failed",
            "1 if the store has failed and acknowledges nothing more",
            f64::from(u8::from(store.fatal.is_some())),
        )?;
        gauge(
            "store_full",
            "1 while creates are refused because the disk is full",
            f64::from(u8::from(store.full)),
        )?;
        gauge("store_alarms", "Problems with the store's files", float(self.disk.alarms.len() as u64))?;
        gauge("store_waiting_commands", "Commands queued for commit", float(store.waiting as u64))?;
        gauge("store_disk_used_bytes", "Disk space used by the store", float(self.disk.used))?;
        gauge(
            "store_reserve_bytes",
            "Reserved disk space, released so that closes succeed while the disk is full",
            float(self.disk.reserve),
        )?;
        gauge("store_disk_free_bytes", "Free space of the file system", float(store.disk_free))?;
        gauge(
            "store_commit_busy_seconds",
            "Duration of the commit in progress",
            store.busy_for.as_secs_f64(),
        )?;
        gauge("claims_waiting", "Claims waiting for an item", float(self.waiting_claims as u64))?;
        gauge("timers", "Timers", float(self.timers.0 as u64))?;
        gauge("timers_memory_bytes", "Memory of the timers", float(self.timers.1 as u64))?;
        gauge("incidents_open", "Open incidents", float(self.incidents as u64))?;
        let waiting: usize = self.receivers.iter().map(|receiver| receiver.waiting).sum();
        gauge("replays_running", "Running replays", float(self.replays_running as u64))?;
        gauge("silences_active", "Active silences", float(self.silences as u64))?;
        gauge("deliveries_waiting", "Pending deliveries", float(waiting as u64))?;
        gauge(
            "deliveries_oldest_seconds",
            "Age of the oldest pending delivery",
            self.oldest_waiting.as_secs_f64(),
        )?;
        gauge(
            "clock_drift_seconds",
            "Difference between the wall clock and its expected value, until the step is detected",
            self.drift.as_secs_f64(),
        )?;
        let mut counter = |name, help, value: u64| -> Result<(), fmt::Error> {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        let [forward, back] = self.clock_steps;
        counter("clock_steps_forward", "Forward steps of the wall clock", forward)?;
        counter("clock_steps_back", "Backward steps of the wall clock", back)?;
        let [sent, failed, withheld] = self.heartbeats;
        counter("heartbeats_sent", "Heartbeats answered with 2xx", sent)?;
        counter("heartbeats_failed", "Failed heartbeats", failed)?;
        counter("heartbeats_withheld", "Heartbeats not sent because a health check failed", withheld)?;
        let [succeeded, failed, skipped] = self.replay_items;
        counter(
            "replay_posts",
            "Posts by replays, including those answered with 429 or 503",
            self.replay_posts,
        )?;
        counter("replay_items_succeeded", "Replayed items accepted by the target", succeeded)?;
        counter("replay_items_failed", "Replayed items not accepted by the target", failed)?;
        counter("replay_items_skipped", "Items of replays that were skipped", skipped)?;
        let [taken, failed] = self.redrives;
        counter("redrives_taken", "Redrives accepted by the target", taken)?;
        counter("redrives_failed", "Redrives not accepted by the target", failed)?;
        counter("store_commits", "Groups committed since the start", store.commits)?;
        counter("store_commands", "Commands committed since the start", store.commands)?;
        counter("deliveries_delivered", "Attempts answered with 2xx", self.sum(|count| count.delivered))?;
        counter("deliveries_failed", "Failed attempts", self.sum(|count| count.failed))?;
        counter("deliveries_dead", "Dead deliveries", self.sum(|count| count.dead))?;
        let help = "Leases by event: claimed, completed, failed, released, or lost";
        let mut family = encoder.encode_descriptor("leases", help, None, MetricType::Counter)?;
        for (event, count) in self.leases {
            ConstCounter::new(count).encode(family.encode_family(&[("event", event)])?)?;
        }
        steps::encode(&self.steps, &mut encoder)?;
        runs::encode(&self.runs, &mut encoder)?;
        self.encode_receivers(&mut encoder)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for a graph")]
fn float(value: u64) -> f64 {
    value as f64
}
