//! Clients and workers: what applications do, at random, also twice, late and out of order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use warden::model::item::Merge;
use warden::model::{
    Clock, CloseOutcome, Item, ItemFilter, ItemId, ItemKey, ItemState, LeaseId, WorkflowName,
};
use warden::store::StoreError;
use warden::warden::claims::ClaimItems;
use warden::warden::items::{BatchItem, CreateItem, Deadline, Done, PatchItem, ReportError};
use warden::warden::leases::{CompleteStep, FailAttempt};
use warden::warden::{Warden, WardenError};

use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::history::History;
use crate::items::{Begun, Fate, Found, NAMELESS, content};
use crate::leases::Act;
use crate::world::WORKFLOWS;

/// How many items clients speak of in each workflow.
const ITEMS: u64 = 12;
const REGIONS: [&str; 3] = ["eu", "us", "asia"];

/// Somebody who uses the daemon.
#[derive(Clone)]
pub struct Client {
    pub warden: Arc<Warden>,
    pub history: History,
    pub clock: SimulatedClock,
    pub dice: Dice,
}

impl Client {
    /// Does something or other.
    pub async fn act(self) {
        self.pause(2000).await;
        let key = self.any_item();
        match self.dice.below(100) {
            0..34 => self.create(key).await,
            34..52 => self.close(key).await,
            52..57 => self.batch().await,
            57..65 => self.extend(key).await,
            65..72 => self.report(key).await,
            72..77 => self.read(key).await,
            77..81 => self.create_by_idempotency_key().await,
            81..83 => self.retry(key).await,
            _ => self.work().await,
        }
        self.history.count();
    }

    fn any_item(&self) -> ItemKey {
        let id = format!("item-{}", self.dice.below(ITEMS));
        ItemKey { workflow: self.any_workflow(), id: ItemId::new(id).expect("an id") }
    }

    fn any_workflow(&self) -> WorkflowName {
        WorkflowName::new(*self.dice.pick(&WORKFLOWS)).expect("a name")
    }

    async fn pause(&self, millis: u64) {
        if self.dice.chance(300) {
            self.clock.sleep_until(self.clock.now().after(self.dice.millis(millis))).await;
        }
        for _ in 0..self.dice.below(4) {
            tokio::task::yield_now().await;
        }
    }

    fn creation(&self, key: &ItemKey, number: u64) -> CreateItem {
        let deadline = match self.dice.below(4) {
            0 => None,
            1 => Some(Deadline::At(self.clock.wall().after(self.dice.millis(300_000)))),
            _ => Some(Deadline::In(self.dice.millis(600_000))),
        };
        let labels = BTreeMap::from([("region".to_owned(), (*self.dice.pick(&REGIONS)).to_owned())]);
        CreateItem {
            workflow: key.workflow.clone(),
            id: Some(key.id.clone()),
            idempotency_key: None,
            content_type: "application/octet-stream".into(),
            payload: content(number),
            deadline,
            labels: if self.dice.chance(800) { labels } else { BTreeMap::new() },
            step: None,
        }
    }

    /// Mostly the same payload for the same item, as somebody hands it in who repeats a request.
    fn any_content(&self, key: &ItemKey) -> u64 {
        let own: u64 = key.id.bytes().chain(key.workflow.bytes()).map(u64::from).sum();
        if self.dice.chance(850) { own } else { own + 1 + self.dice.below(3) * 1000 }
    }

    async fn create(&self, key: ItemKey) {
        let number = self.any_content(&key);
        let repetitions = if self.dice.chance(200) { 2 } else { 1 };
        for _ in 0..repetitions {
            let began = self.history.moment();
            let begun = self.history.lock().items.create(&key, number, began);
            let result = self.warden.create(self.creation(&key, number)).await;
            self.history.tell(|| format!("create {key:?} {number} at {}: {}", began.order, shown(&result)));
            self.end(&begun, fate_of(&result));
            self.pause(500).await;
        }
    }

    async fn close(&self, key: ItemKey) {
        let outcome =
            *self.dice.pick(&[CloseOutcome::Success, CloseOutcome::Discarded, CloseOutcome::Failed]);
        let repetitions = if self.dice.chance(200) { 2 } else { 1 };
        for _ in 0..repetitions {
            let began = self.history.moment();
            let begun = self.history.lock().items.close(&key, began);
            let result = self.warden.close(key.clone(), outcome).await;
            self.history.tell(|| format!("close {key:?} at {}: {}", began.order, shown(&result)));
            self.end(&begun, fate_of_close(&result));
            self.pause(500).await;
        }
    }

    async fn batch(&self) {
        let (mut requests, mut all) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.dice.below(5) {
            let key = self.any_item();
            let began = self.history.moment();
            if self.dice.chance(600) {
                let number = self.any_content(&key);
                all.push((self.history.lock().items.create(&key, number, began), false));
                requests.push(Ok(BatchItem::Create(Box::new(self.creation(&key, number)))));
            } else {
                all.push((self.history.lock().items.close(&key, began), true));
                requests.push(Ok(BatchItem::Close(key, CloseOutcome::Success)));
            }
        }
        match self.warden.batch(requests).await {
            Ok(results) => {
                for ((begun, closes), result) in all.iter().zip(&results) {
                    self.history.tell(|| format!("in a batch {begun:?}: {}", shown(result)));
                    self.end(begun, if *closes { fate_of_close(result) } else { fate_of(result) });
                }
            }
            Err(error) => all.iter().for_each(|(begun, _)| self.end(begun, refusal(&error))),
        }
    }

    fn end(&self, begun: &Begun, fate: Fate) {
        let ended = self.history.moment();
        self.history.lock().items.end(begun, fate, ended);
    }

    /// Without an id of one's own. A repetition is to find the first.
    async fn create_by_idempotency_key(&self) {
        let (workflow, number) = (self.any_workflow(), self.dice.below(NAMELESS));
        let nobody = ItemKey { workflow: workflow.clone(), id: ItemId::new("nobody").expect("an id") };
        let request = CreateItem {
            id: None,
            idempotency_key: Some(format!("key-{number}")),
            deadline: Some(Deadline::In(Duration::from_secs(60))),
            ..self.creation(&nobody, number)
        };
        let began = self.history.moment();
        let result = self.warden.create(request).await;
        self.history
            .tell(|| format!("create {workflow} key-{number} at {}: {}", began.order, shown(&result)));
        let (Ok(Done::Created(item)) | Ok(Done::Existed(item))) = &result else { return };
        let key = item.key();
        let mut seen = self.history.lock();
        let first = seen.named.insert((workflow.clone(), number), (key.clone(), began));
        let begun = seen.items.create(&key, number, began);
        drop(seen);
        self.end(&begun, Fate::Done);
        let ended = self.history.moment();
        let mut seen = self.history.lock();
        if let Some((first, since)) = first.filter(|(first, _)| *first != key)
            && !seen.items.may_be_closed(&first, since, ended)
        {
            seen.fail(format!("{workflow} key-{number} named {}, and then {}", first.id, key.id));
        }
    }

    async fn extend(&self, key: ItemKey) {
        let labels = BTreeMap::from([("region".to_owned(), Some((*self.dice.pick(&REGIONS)).to_owned()))]);
        let request = PatchItem {
            deadline: Some(Deadline::In(self.dice.millis(900_000))),
            labels: self.dice.chance(300).then_some(Merge::Change(labels)),
            progress: None,
            if_version: None,
        };
        let (most, least) = (request.deadline, self.clock.now());
        let result = self.warden.patch(key.clone(), request).await;
        self.history.tell(|| format!("extend {key:?} to {most:?}: {}", result.is_ok()));
        let Ok(item) = result else { return };
        let Some(Deadline::In(ahead)) = most else { return };
        if item.deadline < least.after(ahead) {
            let message =
                format!("{} was extended by {ahead:?} at {least}, and is due at {}", item.id, item.deadline);
            self.history.note(Err(message));
        }
    }

    async fn report(&self, key: ItemKey) {
        let report = self.error(self.dice.chance(300));
        let (is_fatal, result) = (report.fatal, self.warden.report(key.clone(), report).await);
        self.history.tell(|| format!("report of {key:?}, fatal {is_fatal}: {}", result.is_ok()));
    }

    fn error(&self, fatal: bool) -> ReportError {
        ReportError {
            kind: "simulated".into(),
            message: "something went wrong".into(),
            retryable: !fatal,
            fatal,
            data: json!({"number": self.dice.below(100)}),
            idempotency_key: None,
        }
    }

    async fn retry(&self, key: ItemKey) {
        let _ = self.warden.retry(key).await;
    }

    /// Reads an item, and holds it against what must be.
    pub async fn read(&self, key: ItemKey) {
        let began = self.history.moment();
        let found = match self.warden.item(key.clone()).await {
            Ok(item) if item.closed.is_none() => {
                let size = item.payload.as_ref().map_or(0, |info| info.size as usize);
                match self.warden.payload(item.number, 0, size).await {
                    Ok(Some(payload)) => Found::Open(payload),
                    // It was closed between the two.
                    Ok(None) => return,
                    Err(_) => return,
                }
            }
            Ok(_) | Err(WardenError::ItemNotFound) => Found::Gone,
            Err(_) => return,
        };
        let ended = self.history.moment();
        let check = self.history.lock().items.check(&key, &found, began, ended);
        self.history.note(check);
    }

    /// Reads all items that anybody ever spoke of.
    pub async fn read_all(&self) {
        let keys: Vec<ItemKey> = self.history.lock().items.keys().cloned().collect();
        for key in keys {
            self.read(key).await;
        }
    }

    /// Claims items, and does well or badly by them.
    async fn work(&self) {
        let began = self.history.moment();
        let states = match self.dice.below(3) {
            0 => vec![ItemState::Overdue],
            1 => vec![ItemState::Overdue, ItemState::Failed],
            _ => vec![ItemState::Open, ItemState::Overdue, ItemState::Failed],
        };
        let ttl = Duration::from_secs(1 + self.dice.below(90));
        let request = ClaimItems {
            filter: ItemFilter { states, ..ItemFilter::default() },
            after: None,
            max: 1 + self.dice.below(3) as usize,
            ttl,
            wait: Duration::from_secs(if self.dice.chance(300) { self.dice.below(30) } else { 0 }),
            worker: format!("worker-{}", self.dice.below(3)).into(),
        };
        let Ok(items) = Warden::claim(&self.warden, request).await else { return };
        let ended = self.history.moment();
        for item in items {
            let Some(lease) = item.work.lease.clone() else { continue };
            let id = LeaseId { item: item.number, token: lease.token };
            let Item { workflow, id: name, .. } = &item;
            self.history.tell(|| format!("claim of {workflow} {name} {id:?} until {}", lease.expires_at));
            let mut seen = self.history.lock();
            let seen = &mut *seen;
            let check = seen.leases.grant(&seen.items, item.key(), id, lease.expires_at, (began, ended));
            if let Err(wrong) = check {
                seen.fail(wrong);
            }
            tokio::spawn(self.clone().hold(item, id, ttl));
        }
    }

    async fn hold(self, item: Item, lease: LeaseId, ttl: Duration) {
        for _ in 0..self.dice.below(3) {
            self.work_for(ttl).await;
            self.heartbeat(lease).await;
        }
        self.work_for(ttl).await;
        let act = *self.dice.pick(&[Act::Complete, Act::Complete, Act::Fail, Act::Release]);
        if self.dice.chance(100) {
            // It dies, and says nothing.
            return;
        }
        for _ in 0..1 + self.dice.below(2) {
            self.finish(&item, lease, act).await;
            self.pause(1000).await;
        }
    }

    /// Takes somewhat less than a lease holds, or more.
    async fn work_for(&self, ttl: Duration) {
        let most = ttl.as_millis() as u64 * if self.dice.chance(150) { 3 } else { 1 };
        self.clock.sleep_until(self.clock.now().after(self.dice.millis(most))).await;
    }

    async fn heartbeat(&self, lease: LeaseId) {
        let ttl = Duration::from_secs(5 + self.dice.below(60));
        let began = self.history.moment();
        let index = self.history.lock().leases.begin(lease, Act::Heartbeat, began.at.after(ttl), began);
        let result = self.warden.heartbeat(lease, Some(ttl), None).await;
        let ended = self.history.moment();
        let expires_at = result.as_ref().ok().and_then(|item| Some(item.work.lease.as_ref()?.expires_at));
        let fate = result.as_ref().map_or_else(refusal, |_| Fate::Done);
        self.history.tell(|| format!("heartbeat of {lease:?} until {expires_at:?}: {fate:?}"));
        let check = self.history.lock().leases.end(lease, index, fate, expires_at, ended);
        self.history.note(check);
        if expires_at.is_some_and(|expires_at| expires_at < began.at.after(ttl)) {
            self.history.note(Err(format!("a heartbeat of {lease:?} for {ttl:?} did not hold for so long")));
        }
    }

    async fn finish(&self, item: &Item, lease: LeaseId, act: Act) {
        let began = self.history.moment();
        let (index, closing) = {
            let seen = &mut *self.history.lock();
            let index = seen.leases.begin(lease, act, began.at, began);
            (index, (act != Act::Release).then(|| seen.items.close(&item.key(), began)))
        };
        let result = match act {
            Act::Complete => {
                let request = CompleteStep { close: self.dice.chance(500), progress: None };
                match self.warden.leased_item(lease).await {
                    Ok(item) => self.warden.complete(lease, &item, request).await,
                    Err(error) => Err(error),
                }
            }
            Act::Fail => {
                let (error, ignorable) = (self.error(self.dice.chance(200)), self.dice.chance(100));
                match self.warden.leased_item(lease).await {
                    Ok(item) => {
                        let request = FailAttempt { error, ignorable, retry_after: None };
                        self.warden.fail(lease, &item, request).await
                    }
                    Err(error) => Err(error),
                }
            }
            Act::Release | Act::Heartbeat => self.warden.release(lease, self.dice.millis(20_000)).await,
        };
        let ended = self.history.moment();
        let fate = result.as_ref().map_or_else(refusal, |_| Fate::Done);
        self.history.tell(|| {
            format!(
                "{act:?} of {lease:?}: {}",
                result.as_ref().map_or_else(ToString::to_string, |_| "done".into())
            )
        });
        let check = self.history.lock().leases.end(lease, index, fate, None, ended);
        self.history.note(check);
        if let Some(begun) = closing {
            let fate = match &result {
                // What was closed before is told again; by now there may be another item of its name.
                Ok(item) if item.closed.is_some_and(|closed| closed.at >= began.at) => Fate::Done,
                Ok(_) => Fate::Refused,
                Err(error) => refusal(error),
            };
            self.end(&begun, fate);
        }
    }
}

fn fate_of(result: &Result<Done, WardenError>) -> Fate {
    match result {
        Ok(_) => Fate::Done,
        Err(error) => refusal(error),
    }
}

/// What nobody ever created is closed for good as well.
fn fate_of_close(result: &Result<Done, WardenError>) -> Fate {
    match result {
        Ok(_) | Err(WardenError::ItemNotFound) => Fate::Done,
        Err(error) => refusal(error),
    }
}

fn refusal(error: &WardenError) -> Fate {
    match error {
        WardenError::Store(StoreError::Fatal(_)) => Fate::Unknown,
        _ => Fate::Refused,
    }
}

fn shown(result: &Result<Done, WardenError>) -> String {
    match result {
        Ok(Done::Created(item)) => format!("created as {}", item.number.0),
        Ok(Done::Existed(item)) => format!("existed as {}", item.number.0),
        Ok(Done::Closed) => "closed".to_owned(),
        Err(error) => error.to_string(),
    }
}
