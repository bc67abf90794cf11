//! Operators: they acknowledge incidents, silence them, and replay items.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use warden::model::replay::{OnSuccess, Pace, ReplayFilter, ReplayTarget};
use warden::model::{
    Clock, IncidentId, IncidentKind, IncidentStatus, ItemState, Replay, ReplayStatus, SilenceId, WorkflowName,
};
use warden::notifier::ReceiverState;
use warden::store::ListDeliveries;
use warden::warden::silences::{MakeSilence, Until};
use warden::warden::{IncidentAction, ReplayAction, StartReplay, Warden};

use crate::chain::CHAIN;
use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::history::History;
use crate::network::Network;
use crate::quiet::Quiet;
use crate::runs::RUN_WORKFLOWS;
use crate::world::{MADE_UP, RECEIVERS, REGIONS, SPLIT_WORKFLOW, WORKFLOWS};

/// Somebody on call.
#[derive(Clone)]
pub struct Operator {
    pub warden: Arc<Warden>,
    pub network: Arc<Network>,
    pub history: History,
    pub quiet: Quiet,
    pub clock: SimulatedClock,
    pub dice: Dice,
}

impl Operator {
    /// Does something or other.
    pub async fn act(self) {
        match self.dice.below(100) {
            0..30 => self.look_after().await,
            30..45 => self.silence().await,
            45..52 => self.end_silence().await,
            52..58 => self.resend().await,
            58..62 => {
                let receiver = if self.dice.chance(200) { CHAIN } else { *self.dice.pick(&RECEIVERS) };
                drop(self.warden.alerting.test_receiver(receiver).await);
            }
            62..80 => self.replay().await,
            80..92 => self.steer().await,
            _ => self.delete_workflow().await,
        }
        self.history.count();
    }

    /// Deletes a workflow, unless something of it has not ended.
    async fn delete_workflow(&self) {
        let name = WorkflowName::new(*self.dice.pick(&MADE_UP)).expect("a name");
        let began = self.history.moment();
        let begun = self.history.lock().items.delete_workflow(&name, began);
        let result = self.warden.retention.delete_workflow(&name).await;
        self.history.tell(|| format!("deletion of {name}: {result:?}"));
        let ended = self.history.moment();
        self.history.lock().items.end_deletion(begun, ended);
    }

    async fn look_after(&self) {
        let Ok(incidents) = self.warden.alerting.incidents(None, 20).await else { return };
        let open: Vec<_> =
            incidents.iter().filter(|incident| incident.status == IncidentStatus::Open).collect();
        if open.is_empty() {
            return;
        }
        let incident = self.dice.pick(&open);
        let act = match self.dice.below(4) {
            0 => {
                let duration = self.dice.millis(600_000);
                self.quiet.until(&incident.key.workflow, self.clock.now().after(duration));
                return self.snooze(incident.id.clone(), duration).await;
            }
            1 => IncidentAction::Comment,
            _ => IncidentAction::Acknowledge,
        };
        let _ = self.warden.alerting.act(incident.id.clone(), act, "ada".into(), Some("on it".into())).await;
    }

    async fn snooze(&self, incident: IncidentId, duration: Duration) {
        let asked = self.quiet.may_be_snoozed(&incident);
        let result =
            self.warden.alerting.act(incident, IncidentAction::Snooze(duration), "ada".into(), None).await;
        let until = result.as_ref().ok().and_then(|incident| incident.snoozed_until);
        self.history.tell(|| format!("snooze until {until:?}: {}", result.is_ok()));
        self.quiet.snoozed(&asked, until, self.clock.now());
    }

    async fn silence(&self) {
        let workflow = *self.dice.pick(&WORKFLOWS);
        let is_for_all = self.dice.chance(100);
        let kind =
            self.dice.chance(200).then(|| *self.dice.pick(&[IncidentKind::Overdue, IncidentKind::Failed]));
        let is_for_region = !is_for_all && workflow == SPLIT_WORKFLOW && self.dice.chance(500);
        let region = is_for_region.then(|| ("region".into(), (*self.dice.pick(&REGIONS)).into()));
        let (ahead, lasts) = (self.dice.millis(60_000), Duration::from_secs(1 + self.dice.below(900)));
        let starts_at = self.dice.chance(500).then(|| self.clock.wall().after(ahead));
        let names = WORKFLOWS.iter().chain(&MADE_UP).chain(&RUN_WORKFLOWS);
        for workflow in names.filter(|name| is_for_all || **name == workflow) {
            self.quiet.until(workflow, self.clock.now().after(ahead + lasts));
        }
        let request = MakeSilence {
            workflow: if is_for_all { "*".into() } else { workflow.into() },
            kind,
            labels: region.into_iter().collect(),
            starts_at,
            ends_at: Until::After(lasts),
            author: "ada".into(),
            comment: "maintenance".into(),
            idempotency_key: None,
        };
        let made = self.warden.silences.make(request).await;
        self.history.tell(|| format!("silence: {made:?}"));
        // Until a step of the wall clock is noticed it is not known when one that goes by it begins.
        if let Ok(silence) = made
            && self.clock.drift() == 0
        {
            self.quiet.silenced(silence, self.clock.moment());
        }
    }

    async fn end_silence(&self) {
        let silences = self.warden.silences.list();
        if !silences.is_empty() {
            self.end(&self.dice.pick(&silences).id).await;
        }
    }

    async fn end(&self, silence: &SilenceId) {
        self.quiet.silence_may_end(silence, self.clock.now());
        let ended = self.warden.silences.end(silence).await;
        self.history.tell(|| format!("end of {}: {}", silence.0, ended.is_ok()));
    }

    async fn resend(&self) {
        let question = ListDeliveries { limit: 20, ..ListDeliveries::default() };
        let Ok(page) = self.warden.alerting.list_deliveries(question).await else { return };
        if !page.data.is_empty() {
            let _ = self.warden.alerting.resend(self.dice.pick(&page.data).id.clone()).await;
        }
    }

    async fn replay(&self) {
        let on_success = *self.dice.pick(&[OnSuccess::Accept, OnSuccess::Close]);
        let way = if on_success == OnSuccess::Close { "close" } else { "accept" };
        // A path of its own.
        let path = format!("/{way}/{}", self.history.moment().order);
        let pace = Pace {
            max_per_second: *self.dice.pick(&[0.2, 5.0, 1000.0]),
            concurrency: 1 + self.dice.below(4) as usize,
            canary: self.dice.below(3),
            ramp_up: Duration::ZERO,
            pause_after_failures: self.dice.below(8),
        };
        self.network.target().expect(&path, pace.clone());
        let request = StartReplay {
            name: "again".into(),
            filter: ReplayFilter {
                workflows: Vec::new(),
                states: vec![ItemState::Overdue, ItemState::Failed],
                labels: BTreeMap::new(),
                step: None,
                step_retries_min: None,
                created_after: None,
                created_before: None,
                deadline_after: None,
                deadline_before: None,
            },
            target: ReplayTarget { url: format!("http://target.test{path}").into(), secret: None },
            pace,
            on_success,
            timeout: Duration::from_secs(1 + self.dice.below(20)),
            idempotency_key: None,
        };
        let _ = warden::warden::Replays::start(&self.warden.replays, request).await;
    }

    async fn steer(&self) {
        let replays = self.warden.replays.list();
        if replays.is_empty() {
            return;
        }
        let replay = &self.dice.pick(&replays).replay;
        match self.dice.below(4) {
            0 => drop(self.warden.replays.act(&replay.id, ReplayAction::Pause).await),
            1 => drop(self.warden.replays.act(&replay.id, ReplayAction::Cancel).await),
            _ => self.resume(replay).await,
        }
    }

    async fn resume(&self, replay: &Replay) {
        let (_, path) = replay.target.url.split_once(".test").expect("an address of ours");
        let target = self.network.target();
        let index = target.resuming(path);
        let result = self.warden.replays.act(&replay.id, ReplayAction::Resume).await;
        target.resumed(path, index);
        self.history.tell(|| format!("resumption of {}: {}", replay.id.0, result.is_ok()));
    }

    /// Ends all that is quiet by people's wish, and has everything go on that waits for them.
    pub async fn tidy(self) {
        for silence in self.warden.silences.list() {
            self.end(&silence.id).await;
        }
        for incident in self.warden.alerting.incidents(None, 1000).await.unwrap_or_default() {
            if incident.snoozed_until.is_some() {
                self.snooze(incident.id, Duration::ZERO).await;
            }
        }
        self.resume_replays().await;
    }

    /// Has receivers hear again that are there again: the daemon has given them up until somebody says so.
    pub fn resume_receivers(&self) {
        for status in self.warden.alerting.receiver_statuses() {
            let is_paused = matches!(status.state, ReceiverState::Paused { .. });
            if is_paused && self.network.up_since(&status.name).is_some() {
                self.network.resumed(&status.name);
                let _ = self.warden.alerting.resume_receiver(&status.name);
            }
        }
    }

    /// Has the replays go on that wait for people.
    pub async fn resume_replays(self) {
        for entry in self.warden.replays.list() {
            if entry.replay.status == ReplayStatus::Paused {
                self.resume(&entry.replay).await;
            }
        }
    }
}
