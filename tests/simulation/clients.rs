//! Clients: what applications do, at random, also twice, late and out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use warden::model::item::{ERRORS_KEPT, Merge, Repeat, StepOutcome, StepStatus};
use warden::model::{
    Clock, ClockTime, CloseOutcome, Item, ItemError, ItemId, ItemKey, Step, StepName, WorkflowName,
};
use warden::store::StoreError;
use warden::warden::intake::{BatchItem, CreateItem, Deadline, Done, Past, PatchItem, Plan, ReportStep};
use warden::warden::recovery::RetryItems;
use warden::warden::report::ReportError;
use warden::warden::{Warden, WardenError};

use crate::clock::SimulatedClock;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::history::History;
use crate::items::{Begun, Fate, Found, NAMELESS, content};
use crate::settings::DEADLINE;
use crate::watch::items;
use crate::world::{MADE_UP, REGIONS, WORKFLOWS};

/// The id of the error by which an item failed elsewhere, before it came here.
const ELSEWHERE: &str = "err_elsewhere";
/// How many items clients speak of in each workflow.
const ITEMS: u64 = 12;
/// The steps of a workflow, and of items that have some of their own.
const STEPS: [&str; 2] = ["copy", "backup"];

/// Somebody who uses the daemon.
#[derive(Clone)]
pub struct Client {
    pub warden: Arc<Warden>,
    pub disk: Arc<Disk>,
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
            0..31 => self.create(key).await,
            31..47 => self.close_at_times_twice(key).await,
            47..52 => self.batch().await,
            52..59 => self.extend(key).await,
            59..64 => self.report(key).await,
            64..66 => self.report_step(key).await,
            66..70 => self.read(key).await,
            70..74 => self.create_by_idempotency_key().await,
            74..76 => self.retry(key).await,
            76..86 => self.run().await,
            86..90 => self.handle_artifacts().await,
            _ => self.work().await,
        }
        self.history.count();
    }

    fn any_item(&self) -> ItemKey {
        let id = format!("item-{}", self.dice.below(ITEMS));
        ItemKey { workflow: self.any_workflow(), id: ItemId::new(id).expect("an id") }
    }

    fn any_workflow(&self) -> WorkflowName {
        let names = if self.dice.chance(120) { &MADE_UP[..] } else { &WORKFLOWS };
        WorkflowName::new(*self.dice.pick(names)).expect("a name")
    }

    pub async fn pause(&self, millis: u64) {
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
        let payload = content(number);
        // Without one it would be due as if it had come when it did elsewhere.
        let deadline = deadline.or(has_failed_elsewhere(&payload).then_some(Deadline::In(DEADLINE)));
        CreateItem {
            workflow: key.workflow.clone(),
            id: Some(key.id.clone()),
            idempotency_key: None,
            content_type: "application/octet-stream".into(),
            content_encoding: encoding_of(&payload).unwrap_or_default().into(),
            deadline,
            labels: if self.dice.chance(800) { labels } else { BTreeMap::new() },
            step: None,
            // A deadline by default would count from then.
            plan: self.plan(deadline.is_some()),
            trace: None,
            past: has_failed_elsewhere(&payload).then(|| Box::new(self.past())),
            run: None,
            payload,
        }
    }

    /// What an item has been through that is taken over from elsewhere.
    fn past(&self) -> Past {
        let at = |minutes: i64| self.clock.wall().moved(-60_000 * minutes);
        let error = ItemError {
            id: ELSEWHERE.into(),
            kind: "simulated".into(),
            message: "it went wrong elsewhere".into(),
            retryable: false,
            fatal: true,
            step: None,
            at: at(30),
            data: json!(null),
            stack: None,
        };
        Past {
            created_at: Some(at(60)),
            failed_at: Some(at(30)),
            attempts: 2,
            errors: vec![error],
            ..Past::default()
        }
    }

    /// What was handed in with a payload is there as long as the item is.
    fn check_past(&self, item: &Item, payload: &[u8]) {
        let errors = &item.detail().errors;
        let is_known = errors.len() == ERRORS_KEPT || errors.iter().any(|error| &*error.id == ELSEWHERE);
        let encoding = item.payload.as_ref().and_then(|info| info.content_encoding.as_deref());
        if has_failed_elsewhere(payload) && !is_known {
            self.wrong(item, "was taken over, and its error is lost");
        }
        if encoding != encoding_of(payload) {
            self.wrong(item, "has another encoding than it came with");
        }
    }

    /// What is new stands as it did elsewhere.
    fn check_new(&self, item: &Item, due: ClockTime) {
        self.check_due(item, due);
        let has_failed = item.detail().errors.iter().any(|error| &*error.id == ELSEWHERE);
        if has_failed != item.failed_at.is_some() {
            self.wrong(item, "was taken over, and does not stand as it did");
        }
    }

    fn wrong(&self, item: &Item, what: &str) {
        self.history.note(Err(format!("{} {} {what}", item.workflow, item.id)));
    }

    /// When an item is due that asks for this now.
    fn due(&self, deadline: Option<Deadline>) -> ClockTime {
        let now = self.clock.now();
        match deadline {
            None => now.after(DEADLINE).into(),
            Some(Deadline::In(ahead)) => now.after(ahead).into(),
            Some(Deadline::At(instant)) => ClockTime::on_wall(instant),
        }
    }

    /// An item is due when it was asked to be, to the millisecond, on the clock that was meant.
    fn check_due(&self, item: &Item, due: ClockTime) {
        if item.deadline != due {
            let Item { workflow, id, deadline, .. } = item;
            self.history
                .note(Err(format!("{workflow} {id} was to be due at {due:?}, and is at {deadline:?}")));
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
            let creation = self.creation(&key, number);
            let due = self.due(creation.deadline);
            let result = self.warden.intake.create(creation).await;
            if let Ok(Done::Created(item)) = &result {
                self.check_new(item, due);
            }
            self.history.tell(|| format!("create {key:?} {number} at {}: {}", began.order, shown(&result)));
            self.end(&begun, fate_of(&result));
            self.pause(500).await;
        }
    }

    async fn close_at_times_twice(&self, key: ItemKey) {
        let outcome =
            *self.dice.pick(&[CloseOutcome::Success, CloseOutcome::Discarded, CloseOutcome::Failed]);
        let repetitions = if self.dice.chance(200) { 2 } else { 1 };
        for _ in 0..repetitions {
            self.close(&key, outcome).await;
            self.pause(500).await;
        }
    }

    async fn close(&self, key: &ItemKey, outcome: CloseOutcome) {
        let began = self.history.moment();
        let begun = self.history.lock().items.close(key, began);
        let result = self.warden.intake.close(key.clone(), outcome).await;
        self.history.tell(|| format!("close {key:?} at {}: {}", began.order, shown(&result)));
        self.end(&begun, fate_of_close(&result));
    }

    /// Closes all items that anybody ever spoke of, and those that there are besides.
    pub async fn close_all(self) {
        for key in self.keys() {
            self.close(&key, CloseOutcome::Success).await;
        }
    }

    async fn batch(&self) {
        let (mut requests, mut all) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.dice.below(5) {
            let key = self.any_item();
            let began = self.history.moment();
            if self.dice.chance(600) {
                let number = self.any_content(&key);
                let creation = self.creation(&key, number);
                let due = self.due(creation.deadline);
                all.push((self.history.lock().items.create(&key, number, began), Some(due)));
                requests.push(Ok(BatchItem::Create(Box::new(creation))));
            } else {
                all.push((self.history.lock().items.close(&key, began), None));
                requests.push(Ok(BatchItem::Close(key, CloseOutcome::Success)));
            }
        }
        match self.warden.intake.batch(requests).await {
            Ok(results) => {
                for ((begun, due), result) in all.iter().zip(&results) {
                    self.history.tell(|| format!("in a batch {begun:?}: {}", shown(result)));
                    if let (Some(due), Ok(Done::Created(item))) = (due, result) {
                        self.check_new(item, *due);
                    }
                    self.end(begun, if due.is_none() { fate_of_close(result) } else { fate_of(result) });
                }
            }
            Err(error) => all.iter().for_each(|(begun, _)| self.end(begun, refusal(&error))),
        }
    }

    pub fn end(&self, begun: &Begun, fate: Fate) {
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
        let (began, due) = (self.history.moment(), self.due(request.deadline));
        let result = self.warden.intake.create(request).await;
        if let Ok(Done::Created(item)) = &result {
            self.check_due(item, due);
        }
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
            ..PatchItem::default()
        };
        let due = self.due(request.deadline);
        let result = self.warden.intake.patch(key.clone(), request).await;
        self.history.tell(|| format!("extend {key:?} to {due:?}: {}", result.is_ok()));
        if let Ok(item) = &result {
            self.check_due(item, due);
        }
    }

    async fn report(&self, key: ItemKey) {
        let report = self.error(self.dice.chance(300));
        let (is_fatal, result) = (report.fatal, self.warden.intake.report(key.clone(), report).await);
        self.history.tell(|| format!("report of {key:?}, fatal {is_fatal}: {}", result.is_ok()));
    }

    pub fn error(&self, fatal: bool) -> ReportError {
        ReportError {
            kind: "simulated".into(),
            message: "something went wrong".into(),
            retryable: !fatal,
            fatal,
            data: json!({"number": self.dice.below(100)}),
            stack: None,
            at: None,
            idempotency_key: None,
        }
    }

    async fn retry(&self, key: ItemKey) {
        let from = self.dice.chance(200).then(|| self.any_step());
        let at = self.dice.chance(200).then(|| self.clock.now().after(self.dice.millis(60_000)));
        // It may be sent by somebody else before this is answered.
        let began = self.history.moment();
        let former = self.history.lock().sent_on.insert(key.clone(), began);
        let result = self.warden.recovery.retry(key.clone(), RetryItems { from, at }).await;
        let ended = self.history.moment();
        match (&result, former) {
            (Ok(_), _) => drop(self.history.lock().sent_on.insert(key.clone(), ended)),
            (Err(_), Some(former)) => drop(self.history.lock().sent_on.insert(key.clone(), former)),
            (Err(_), None) => drop(self.history.lock().sent_on.remove(&key)),
        }
        self.history.tell(|| format!("retry of {key:?} not before {at:?}: {}", result.is_ok()));
    }

    fn any_step(&self) -> StepName {
        StepName::new(*self.dice.pick(&STEPS)).expect("a name")
    }

    /// How a run of a step ends.
    pub fn outcome(&self) -> StepOutcome {
        let status = if self.dice.chance(700) { StepStatus::Done } else { *self.dice.pick(&StepStatus::ALL) };
        let repeat = self.dice.chance(300).then(|| Repeat {
            due: self.clock.now().after(self.dice.millis(60_000)),
            runs_max: self.dice.chance(500).then(|| 1 + self.dice.below(3) as u32),
        });
        StepOutcome { repeat, ..StepOutcome::plain(status) }
    }

    /// Says that a step ended, without a lease. It may close the item.
    async fn report_step(&self, key: ItemKey) {
        let began = self.history.moment();
        let closing = self.history.lock().items.close(&key, began);
        let request = ReportStep { step: self.any_step(), outcome: self.outcome(), progress: None };
        let step = request.step.clone();
        let result = self.warden.intake.report_step(key.clone(), request).await;
        self.history.tell(|| format!("report of the step {step} of {key:?}: {}", result.is_ok()));
        let fate = match &result {
            // A report of what closed it before is taken again; by now there may be another item of its name.
            Ok(item) if item.closed.is_some_and(|closed| closed.at >= began.at) => Fate::Done,
            Ok(_) => Fate::Refused,
            Err(error) => refusal(error),
        };
        self.end(&closing, fate);
    }

    fn plan(&self, may_wait: bool) -> Plan {
        let at = || Deadline::In(self.dice.millis(60_000));
        Plan {
            steps: self
                .dice
                .chance(100)
                .then(|| STEPS.map(|name| Step::named(StepName::new(name).expect("a name"))).into()),
            not_before: (may_wait && self.dice.chance(100)).then(at),
            ..Plan::default()
        }
    }

    /// Reads an item, and holds it against what must be.
    pub async fn read(&self, key: ItemKey) {
        let began = self.history.moment();
        let found = match self.warden.queries.item(key.clone()).await {
            Ok(item) if item.closed.is_none() => {
                let size = item.payload.as_ref().map_or(0, |info| info.size as usize);
                match self.warden.queries.payload(item.number, 0, size).await {
                    Ok(Some(payload)) => {
                        self.check_past(&item, &payload);
                        Found::Open(payload)
                    }
                    Ok(None) => return self.read_without_payload(&item).await,
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

    /// An item that was open had no payload: either it was closed between the two, or the payload is lost.
    async fn read_without_payload(&self, item: &Item) {
        let again = self.warden.queries.item(item.key()).await;
        if again.is_ok_and(|again| again.number == item.number && again.closed.is_none()) {
            self.history.note(Err(format!("{} {} is open, and its payload is lost", item.workflow, item.id)));
        }
    }

    fn keys(&self) -> BTreeSet<ItemKey> {
        let mut keys: BTreeSet<ItemKey> = self.history.lock().items.keys().cloned().collect();
        keys.extend(items(self.disk.durable(), self.clock.now()).iter().map(Item::key));
        keys
    }

    /// Reads all items that anybody ever spoke of, and those that there are besides.
    pub async fn read_all(&self) {
        for key in self.keys() {
            self.read(key).await;
        }
    }
}

/// Whether what has this payload is taken over as something that has failed elsewhere.
fn has_failed_elsewhere(payload: &[u8]) -> bool {
    payload.len() % 5 == 3
}

/// How this payload is said to be encoded.
pub fn encoding_of(payload: &[u8]) -> Option<&'static str> {
    payload.len().is_multiple_of(3).then_some("br, gzip")
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

/// What became of what was refused.
pub fn refusal(error: &WardenError) -> Fate {
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
