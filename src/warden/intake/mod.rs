//! Intake: items are created, closed and changed, and errors reported. Requests become commands, commands are committed,
//! outcomes become answers.

mod batch;
mod commands;
mod restore;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::batch::BatchItem;
pub use self::commands::IDEMPOTENCY_KEY_MAX;
pub use self::restore::{GonePayload, Past, PastClose};
use super::census::Census;
use super::error::{changed, refusal};
use super::report::{ReportError, item_error};
use super::{WardenError, Workflows};
use crate::model::item::{ItemPatch, Merge};
use crate::model::{
    Clock, CloseOutcome, Item, ItemId, ItemKey, Random, StepName, Timestamp, WarningCode, WorkflowName,
};
use crate::store::{Command, Outcome, Store};

/// See the module's documentation.
pub struct Intake {
    store: Arc<dyn Store>,
    workflows: Arc<Workflows>,
    census: Arc<Census>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// In bytes.
    payload_max: u64,
}

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

impl Intake {
    pub fn new(
        store: Arc<dyn Store>,
        workflows: Arc<Workflows>,
        census: Arc<Census>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        payload_max: u64,
    ) -> Self {
        Self { store, workflows, census, clock, random, payload_max }
    }

    /// The largest payload that is taken, in bytes.
    pub fn payload_max(&self) -> u64 {
        self.payload_max
    }

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
        let done = self.done(asked, self.store.apply_one(command).await?);
        if let (Ok(Done::Created(_)), Some(name)) = (&done, &made) {
            self.tell_misspelt(name);
        }
        done
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
            (_, Outcome::TooManyWorkflows(name)) => Err(self.workflows.no_room_for(name)),
            (_, other) => Err(refusal(other, self.clock.moment())),
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

    /// Changes an open item.
    ///
    /// # Errors
    /// When there is no such open item, it has another version, a limit would be broken, or the store refuses.
    pub async fn patch(&self, key: ItemKey, request: PatchItem) -> Result<Item, WardenError> {
        let now = self.clock.now();
        let deadline = request.deadline.map(|deadline| self.deadline(deadline, now)).transpose()?;
        let patch = ItemPatch { deadline, labels: request.labels, progress: request.progress };
        let if_version = request.if_version;
        changed(
            self.store.apply_one(Command::Patch { key, patch, if_version, now }).await?,
            self.clock.moment(),
        )
    }

    /// Adds an error to an open item, and answers with the error's id.
    ///
    /// # Errors
    /// When there is no such open item, a limit is broken, or the store refuses.
    pub async fn report(&self, key: ItemKey, request: ReportError) -> Result<Arc<str>, WardenError> {
        let error = item_error(request, &key, self.clock.now(), &*self.random)?;
        let id = error.id.clone();
        let outcome = self.store.apply_one(Command::Report { key, error: Box::new(error) }).await?;
        let item = changed(outcome, self.clock.moment())?;
        tracing::info!(workflow = %item.workflow, item = %item.id, error = %id, "an error was reported");
        Ok(id)
    }
}
