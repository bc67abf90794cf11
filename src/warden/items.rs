//! What clients do with items: requests become commands, commands are committed, outcomes become answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::restore::Past;
use super::{ClosedSince, Warden, WardenError};
use crate::model::item::{ItemPatch, Merge, check_labels};
use crate::model::payload::{PayloadRefusal, content_encoding, content_type};
use crate::model::workflow::DEADLINE_MAX;
use crate::model::{
    ClockTime, CloseOutcome, Item, ItemError, ItemFilter, ItemId, ItemKey, ItemNumber, ItemState, Moment,
    Order, Page, PayloadInfo, Policy, Position, StepName, Timestamp, WarningCode, WorkflowName,
};
use crate::store::{Command, Creation, ListItems, Outcome, SCAN_MAX};

/// The longest name of a sort of error, in bytes.
pub const ERROR_TYPE_MAX: usize = 128;
/// The longest message of an error, in bytes.
pub const ERROR_MESSAGE_MAX: usize = 2048;
/// The most that an error's data takes, in bytes of JSON.
pub const ERROR_DATA_MAX: usize = 4096;
/// The longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// How many overdue items are looked up at once for a list.
const OVERDUE_BITE: usize = 512;

/// A deadline as a client gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// From now.
    In(Duration),
    /// At an instant of the wall clock; one in the past is due at once.
    At(Timestamp),
}

/// An item to be created, as a client asks for it.
#[derive(Clone, Debug)]
pub struct CreateItem {
    /// The workflow it belongs to.
    pub workflow: WorkflowName,
    /// Its id; without one it gets a UUIDv7.
    pub id: Option<ItemId>,
    /// What makes a repetition of the request known when the id is ours.
    pub idempotency_key: Option<String>,
    /// Its content type.
    pub content_type: Arc<str>,
    /// The content codings that were applied to the bytes, as the client wrote them; empty for none.
    pub content_encoding: Arc<str>,
    /// The bytes.
    pub payload: Bytes,
    /// Its deadline, if not the step's or workflow's.
    pub deadline: Option<Deadline>,
    /// Names and values to find it by.
    pub labels: BTreeMap<String, String>,
    /// The step it starts at, if not the workflow's first.
    pub step: Option<StepName>,
    /// What it has been through already, if it is taken over from elsewhere.
    pub past: Option<Box<Past>>,
}

/// What a client may change about an open item.
#[derive(Clone, Debug, Default)]
pub struct PatchItem {
    /// A new deadline.
    pub deadline: Option<Deadline>,
    /// Labels to set, or to remove where there is no value.
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    /// A merge patch of the progress document.
    pub progress: Option<Merge<serde_json::Map<String, serde_json::Value>>>,
    /// Change only this version.
    pub if_version: Option<u64>,
}

/// An error as a client reports it.
#[derive(Clone, Debug)]
pub struct ReportError {
    /// The reporter's name for this sort of error.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// Whether the item has failed by it.
    pub fatal: bool,
    /// Whatever else is to be kept.
    pub data: serde_json::Value,
    /// What makes a repetition of the report known.
    pub idempotency_key: Option<String>,
}

/// One of many changes that a client asks for together.
#[derive(Clone, Debug)]
pub enum BatchItem {
    /// Create.
    Create(Box<CreateItem>),
    /// Close.
    Close(ItemKey, CloseOutcome),
}

/// What became of a create, or of one of many changes.
#[derive(Clone, Debug)]
pub enum Done {
    /// The item is new.
    Created(Box<Item>),
    /// It was there already, just like that.
    Existed(Box<Item>),
    /// It is closed, now or since before.
    Closed,
}

/// What a request asks for, as far as its answer depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Create,
    /// To take over an item that is closed.
    CreateClosed,
    Close,
}

impl Asked {
    fn of(command: &Command) -> Self {
        match command {
            Command::Create(creation)
                if creation.restored.as_ref().is_some_and(|restored| restored.closed.is_some()) =>
            {
                Self::CreateClosed
            }
            Command::Create(_) => Self::Create,
            _ => Self::Close,
        }
    }
}

/// Requests as commands, and what is needed to answer them.
struct Prepared {
    commands: Vec<Command>,
    /// The workflows that were not there when they were made.
    unknown: BTreeSet<WorkflowName>,
    /// For each request why it fails already, or what it asks for.
    asked: Vec<Result<Asked, WardenError>>,
}

impl Warden {
    /// Stores an item.
    ///
    /// # Errors
    /// When the request breaks a limit, the item is there with another payload or closed, or the store refuses.
    pub async fn create(&self, request: CreateItem) -> Result<Done, WardenError> {
        self.change_one(self.create_command(request, self.clock.now())?).await
    }

    /// Closes an item; closing it again is fine.
    ///
    /// # Errors
    /// When nobody ever created it, or the store refuses.
    pub async fn close(&self, key: ItemKey, outcome: CloseOutcome) -> Result<Done, WardenError> {
        self.change_one(self.close_command(key, outcome, self.clock.now())?).await
    }

    /// Carries out what one request asks for, which is nearly all of them, without what it takes to answer many.
    async fn change_one(&self, command: Command) -> Result<Done, WardenError> {
        let (asked, made) = (Asked::of(&command), self.workflow_made_by(&command).cloned());
        let done = self.done(asked, self.apply_one(command).await?);
        if let (Ok(Done::Created(_)), Some(name)) = (&done, &made) {
            self.tell_misspelt(name);
        }
        done
    }

    /// Carries out many changes at once: one commit, an answer for each, in order. What is wrong already stays wrong,
    /// and fails alone.
    ///
    /// # Errors
    /// When the store could do nothing at all.
    pub async fn batch(
        &self,
        requests: Vec<Result<BatchItem, WardenError>>,
    ) -> Result<Vec<Result<Done, WardenError>>, WardenError> {
        let Prepared { commands, unknown, asked } = self.prepare(requests);
        let outcomes = self.store.apply(commands).await?;
        Ok(self.answers(unknown, asked, outcomes))
    }

    /// Like [`Warden::batch`], but the changes are in line for the disk when this returns; what it returns waits for
    /// them. Changes that are submitted one after the other are committed in that order.
    pub fn submit(
        warden: &Arc<Self>,
        requests: Vec<Result<BatchItem, WardenError>>,
    ) -> BoxFuture<'static, Result<Vec<Result<Done, WardenError>>, WardenError>> {
        let Prepared { commands, unknown, asked } = warden.prepare(requests);
        let committing = warden.store.submit(commands);
        let warden = warden.clone();
        Box::pin(async move { Ok(warden.answers(unknown, asked, committing.await?)) })
    }

    fn prepare(&self, requests: Vec<Result<BatchItem, WardenError>>) -> Prepared {
        let now = self.clock.now();
        let mut commands = Vec::with_capacity(requests.len());
        let mut unknown = BTreeSet::new();
        let asked = requests
            .into_iter()
            .map(|request| {
                let command = self.command(request?, now)?;
                let asked = Asked::of(&command);
                unknown.extend(self.workflow_made_by(&command).cloned());
                commands.push(command);
                Ok(asked)
            })
            .collect();
        Prepared { commands, unknown, asked }
    }

    fn answers(
        &self,
        mut unknown: BTreeSet<WorkflowName>,
        asked: Vec<Result<Asked, WardenError>>,
        outcomes: Vec<Outcome>,
    ) -> Vec<Result<Done, WardenError>> {
        let mut outcomes = outcomes.into_iter();
        let answers = asked.into_iter().map(|asked| {
            let done = self.done(asked?, outcomes.next().unwrap_or(Outcome::Unknown));
            if let Ok(Done::Created(item)) = &done
                && unknown.remove(&item.workflow)
            {
                self.tell_misspelt(&item.workflow);
            }
            done
        });
        answers.collect()
    }

    /// What came of it, to whoever asked for it.
    fn done(&self, asked: Asked, outcome: Outcome) -> Result<Done, WardenError> {
        match (asked, outcome) {
            (_, Outcome::Created(item)) => Ok(Done::Created(item)),
            (_, Outcome::Exists(item)) => Ok(Done::Existed(item)),
            (_, Outcome::Closed(_))
            | (Asked::Close, Outcome::AlreadyClosed(_))
            // Its retention has run out: there is nothing of it left to be kept.
            | (Asked::CreateClosed, Outcome::Done) => Ok(Done::Closed),
            (Asked::CreateClosed, Outcome::Conflict(item)) => {
                let created_at = self.clock.moment().wall(item.created_at);
                Err(WardenError::ItemNotClosed { created_at })
            }
            (_, other) => Err(self.refusal(other)),
        }
    }

    /// The workflow that was not there when the command was made, and will be by it.
    fn workflow_made_by<'a>(&self, command: &'a Command) -> Option<&'a WorkflowName> {
        let Command::Create(creation) = command else { return None };
        let name = &creation.key.workflow;
        (creation.notes_workflow.is_some() && !self.workflows.is_made(name)).then_some(name)
    }

    fn tell_misspelt(&self, name: &WorkflowName) {
        if let Some(meant) = self.workflows.misspells(name) {
            let code = WarningCode::WorkflowMisspelt.as_str();
            tracing::warn!(code, workflow = %name, "a workflow was made on first use; was {meant} meant?");
        }
    }

    fn command(&self, request: BatchItem, now: Timestamp) -> Result<Command, WardenError> {
        match request {
            BatchItem::Create(create) => self.create_command(*create, now),
            BatchItem::Close(key, outcome) => self.close_command(key, outcome, now),
        }
    }

    fn create_command(&self, request: CreateItem, now: Timestamp) -> Result<Command, WardenError> {
        let policy = self.workflows.policy(&request.workflow);
        Ok(Command::Create(Box::new(self.creation(request, policy, now)?)))
    }

    fn close_command(
        &self,
        key: ItemKey,
        outcome: CloseOutcome,
        now: Timestamp,
    ) -> Result<Command, WardenError> {
        // Where no workflow is made by its use, a name that is not known is a mistake. But one that was taken out of the
        // configuration may still hold items, and they must end somehow. That is asked last: the committing thread may have the
        // census for as long as a whole group takes.
        if let Err(unknown) = self.workflows.room_for(&key.workflow)
            && self.census.tally(&key.workflow).unclosed == 0
        {
            return Err(unknown);
        }
        let closing = self.workflows.policy(&key.workflow).closing(outcome, now);
        Ok(Command::Close { key, closing })
    }

    fn creation(
        &self,
        request: CreateItem,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Creation, WardenError> {
        let size = request.payload.len() as u64;
        if size > self.settings.payload_max {
            return Err(WardenError::PayloadTooLarge { limit: self.settings.payload_max });
        }
        let invalid = |refusal: PayloadRefusal| WardenError::Invalid(refusal.to_string());
        let content_type = content_type(&request.content_type).map_err(invalid)?.into();
        let content_encoding = content_encoding(&request.content_encoding).map_err(invalid)?.map(Arc::from);
        check_labels(&request.labels).map_err(|refusal| WardenError::Invalid(refusal.to_string()))?;
        let is_closed = request.past.as_ref().is_some_and(|past| past.closed.is_some());
        let step = match request.step {
            // It is to be as it was, and at no step that it never came to.
            step if is_closed => step,
            None if request.past.is_some() => None,
            step => starting_step(step, policy, &request.workflow)?,
        };
        let gone = request.past.as_ref().and_then(|past| past.closed?.payload);
        let is_steady = request.past.as_ref().is_some_and(|past| past.is_deadline_steady);
        let restored = match request.past {
            Some(past) => Some(Box::new(self.restored(*past, gone.is_none(), policy, now)?)),
            None => None,
        };
        let deadline = match (request.deadline, &restored) {
            (Some(deadline), _) => {
                let deadline = self.deadline(deadline, now)?;
                if is_steady { self.clock.moment().steady(deadline).into() } else { deadline }
            }
            (None, None) => now.after(policy.deadline_at(step.as_deref())).into(),
            (None, Some(restored)) => {
                let closed = restored.closed.map(|closed| closed.at);
                let began = restored.created_at.unwrap_or(now);
                closed.unwrap_or_else(|| began.after(policy.deadline_at(step.as_deref()))).into()
            }
        };
        let idempotency_key = request.idempotency_key.map(|key| digest(key.as_bytes()));
        let id = match request.id {
            Some(id) => id,
            None => ItemId::new(self.random.uuid(now).to_string())?,
        };
        let (size, sha256) = match gone {
            Some(gone) => (gone.size, gone.sha256),
            None => (size, digest(&request.payload)),
        };
        let info = PayloadInfo { size, content_type, content_encoding, sha256 };
        // Last, so that a request that cannot be right says so, and not that there is no such workflow. What nobody ever created
        // leaves a tombstone here too, and makes no workflow either.
        let room = self.workflows.room_for(&request.workflow)?;
        let notes_workflow =
            room.filter(|_| restored.as_ref().is_none_or(|restored| restored.created_at.is_some()));
        Ok(Creation {
            key: ItemKey { workflow: request.workflow, id },
            idempotency_key,
            created_at: now,
            deadline,
            labels: request.labels.into(),
            step,
            payload: request.payload,
            info,
            restored,
            notes_workflow,
        })
    }

    fn deadline(&self, deadline: Deadline, now: Timestamp) -> Result<ClockTime, WardenError> {
        let time = match deadline {
            Deadline::In(duration) => now.after(duration).into(),
            Deadline::At(instant) => ClockTime::on_wall(instant),
        };
        if self.clock.moment().steady(time) > now.after(DEADLINE_MAX) {
            return Err(WardenError::Invalid("a deadline lies at most ten years ahead".into()));
        }
        Ok(time)
    }

    /// Changes an open item.
    ///
    /// # Errors
    /// When there is no such open item, it has another version, a limit would be broken, or the store refuses.
    pub async fn patch(&self, key: ItemKey, request: PatchItem) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let deadline = request.deadline.map(|deadline| self.deadline(deadline, now)).transpose()?;
        let patch = ItemPatch { deadline, labels: request.labels, progress: request.progress };
        let if_version = request.if_version;
        self.changed(self.apply_one(Command::Patch { key, patch, if_version, now }).await?)
    }

    /// Adds an error to an open item, and answers with the error's id.
    ///
    /// # Errors
    /// When there is no such open item, a limit is broken, or the store refuses.
    pub async fn report(&self, key: ItemKey, request: ReportError) -> Result<Arc<str>, WardenError> {
        let error = self.error(request, &key, self.clock.now())?;
        let id = error.id.clone();
        let item = self.changed(self.apply_one(Command::Report { key, error: Box::new(error) }).await?)?;
        tracing::info!(workflow = %item.workflow, item = %item.id, error = %id, "an error was reported");
        Ok(id)
    }

    /// An error as it is kept.
    ///
    /// # Errors
    /// When a limit is broken.
    pub(super) fn error(
        &self,
        request: ReportError,
        key: &ItemKey,
        now: Timestamp,
    ) -> Result<ItemError, WardenError> {
        let too_long = |what, limit| WardenError::Invalid(format!("{what} is at most {limit} bytes"));
        if request.kind.is_empty() || request.kind.len() > ERROR_TYPE_MAX {
            return Err(WardenError::Invalid(format!("an error's type is 1 to {ERROR_TYPE_MAX} bytes")));
        }
        if request.message.len() > ERROR_MESSAGE_MAX {
            return Err(too_long("an error's message", ERROR_MESSAGE_MAX));
        }
        if request.data.to_string().len() > ERROR_DATA_MAX {
            return Err(too_long("an error's data", ERROR_DATA_MAX));
        }
        let id = match &request.idempotency_key {
            Some(text) => repeatable_id("err", &[&key.workflow, &key.id, text]),
            None => self.random.id("err", now),
        };
        Ok(ItemError {
            id,
            kind: request.kind,
            message: request.message,
            retryable: request.retryable,
            fatal: request.fatal,
            step: None,
            at: now,
            data: request.data,
        })
    }

    pub(super) async fn apply_one(&self, command: Command) -> Result<Outcome, WardenError> {
        Ok(self.store.apply(vec![command]).await?.pop().unwrap_or(Outcome::Unknown))
    }

    /// An item as clients may see it.
    ///
    /// # Errors
    /// When there is none, or the store cannot read.
    pub async fn item(&self, key: ItemKey) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let item = self.store.get(key).await?;
        item.filter(|item| item.is_visible(now)).ok_or(WardenError::ItemNotFound)
    }

    /// The item with this number, whether clients may see it or not.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn numbered(&self, number: ItemNumber) -> Result<Option<Item>, WardenError> {
        Ok(self.store.items(vec![number]).await?.pop())
    }

    /// An item and what is known of its payload, provided that the payload is still kept.
    ///
    /// # Errors
    /// When there is no such item, or its payload is gone.
    pub async fn item_with_payload(&self, key: ItemKey) -> Result<(Item, PayloadInfo), WardenError> {
        let item = self.item(key).await?;
        match item.kept_payload(self.clock.now()).cloned() {
            Some(info) => Ok((item, info)),
            None => Err(WardenError::PayloadGone(ClosedSince::of(&item, self.clock.moment()))),
        }
    }

    /// A part of an item's payload; nothing when it was dropped meanwhile.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn payload(
        &self,
        number: ItemNumber,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>, WardenError> {
        Ok(self.store.payload(number, offset, length).await?)
    }

    /// A page of items.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn list(
        &self,
        filter: ItemFilter,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<Item>, WardenError> {
        self.list_at(filter, order, after, limit, self.clock.moment()).await
    }

    /// The same, as states are at `now`.
    pub(super) async fn list_at(
        &self,
        filter: ItemFilter,
        order: Order,
        after: Option<Position>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<Item>, WardenError> {
        // The overdue ones stand in order in the census; anything else in order of deadlines is a scan.
        if order == Order::Deadline && filter.states == [ItemState::Overdue] {
            return self.list_overdue(&filter, after, limit, now).await;
        }
        Ok(self.store.list(ListItems { filter, order, after, limit, now }).await?)
    }

    async fn list_overdue(
        &self,
        filter: &ItemFilter,
        after: Option<Position>,
        limit: usize,
        now: Moment,
    ) -> Result<Page<Item>, WardenError> {
        let mut place = after.map(|position| (position.deadline, position.number));
        let mut data: Vec<Item> = Vec::new();
        let position = |item: &Item| Position { deadline: now.steady(item.deadline), number: item.number };
        let mut looked_at = 0;
        loop {
            let places = self.census.overdue(|name| filter.admits_workflow(name), place, OVERDUE_BITE);
            let ended = places.len() < OVERDUE_BITE;
            looked_at += places.len();
            let numbers = places.iter().map(|(_, number)| *number).collect();
            for item in self.store.items(numbers).await? {
                if filter.admits(&item, now) {
                    // Only now is it known that another follows the last one of the page.
                    if data.len() == limit {
                        let next = data.last().map(position);
                        return Ok(Page { data, next });
                    }
                    data.push(item);
                }
            }
            place = places.last().copied();
            if ended {
                return Ok(Page { data, next: None });
            }
            if looked_at >= SCAN_MAX {
                let next = place.map(|(deadline, number)| Position { deadline, number });
                return Ok(Page { data, next });
            }
        }
    }
}

/// The step an item starts at: the one that was asked for, which must be one of the workflow's if that names any; else
/// the workflow's first.
fn starting_step(
    asked: Option<StepName>,
    policy: &Policy,
    workflow: &WorkflowName,
) -> Result<Option<StepName>, WardenError> {
    match asked {
        None => Ok(policy.steps.first().map(|step| step.name.clone())),
        Some(step) if policy.steps.is_empty() || policy.step(&step).is_some() => Ok(Some(step)),
        Some(step) => {
            let steps: Vec<&str> = policy.steps.iter().map(|step| step.name.as_str()).collect();
            Err(WardenError::Invalid(format!(
                "the workflow {workflow} has no step {step}; its steps are {}",
                steps.join(", ")
            )))
        }
    }
}

/// The id of something that is made under an idempotency key: the same for each repetition. None of the parts but the
/// last may hold a zero.
pub(super) fn repeatable_id(prefix: &str, parts: &[&str]) -> Arc<str> {
    let digest = digest(parts.join("\0").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    format!("{prefix}_{}", uuid::Builder::from_custom_bytes(bytes).into_uuid().simple()).into()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Warden {
    pub(super) fn changed(&self, outcome: Outcome) -> Result<Item, WardenError> {
        match outcome {
            Outcome::Changed(item) => Ok(*item),
            other => Err(self.refusal(other)),
        }
    }

    fn refusal(&self, outcome: Outcome) -> WardenError {
        let moment = self.clock.moment();
        match outcome {
            Outcome::Conflict(item) => WardenError::ItemConflict { created_at: moment.wall(item.created_at) },
            Outcome::AlreadyClosed(item) => WardenError::ItemClosed(ClosedSince::of(&item, moment)),
            Outcome::VersionMismatch(version) => WardenError::VersionMismatch(version),
            Outcome::Refused(refusal) => WardenError::Invalid(refusal.to_string()),
            Outcome::TooManyWorkflows(name) => self.workflows.no_room_for(name),
            Outcome::StorageFull => WardenError::StorageFull,
            _ => WardenError::ItemNotFound,
        }
    }
}
