//! Intake: creating, closing and patching items, and reporting errors.

mod batch;
mod commands;
mod restore;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

pub use self::batch::BatchItem;
pub use self::restore::{GonePayload, Past, PastClose, PastCourse};
use super::census::Census;
use super::context::Context;
use super::error::{changed, refusal};
use super::report::{ReportError, check_message, item_error};
use super::{WardenError, Workflows};
use crate::model::item::{ItemPatch, Merge, ProgressChange, StepOutcome};
use crate::model::run::{Lineage, Window};
use crate::model::workflow::DEADLINE_MAX;
use crate::model::{
    Clock, ClockTime, CloseOutcome, Item, ItemId, ItemKey, Moment, Random, Step, StepName, Timestamp,
    TraceContext, WarningCode, WorkflowName,
};
use crate::store::{Command, Outcome, StepReport, Writes};

pub struct Intake {
    store: Arc<dyn Writes>,
    workflows: Arc<Workflows>,
    census: Arc<Census>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// In bytes.
    payload_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// From now.
    In(Duration),
    /// By the wall clock. One in the past is due at once.
    At(Timestamp),
}

impl Deadline {
    /// Fails for a deadline more than [`DEADLINE_MAX`] from now.
    pub fn resolve(self, moment: Moment) -> Result<ClockTime, WardenError> {
        let time = match self {
            Self::In(duration) => moment.now.after(duration).into(),
            Self::At(instant) => ClockTime::on_wall(instant),
        };
        if moment.steady(time) > moment.now.after(DEADLINE_MAX) {
            return Err(WardenError::Invalid("the deadline is more than ten years from now".into()));
        }
        Ok(time)
    }
}

/// What an item begins with besides its terms.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Its own steps; `None` for those of its workflow.
    pub steps: Option<Vec<Step>>,
    /// The progress document that all steps share.
    pub progress: Map<String, Value>,
    /// It cannot be claimed before. A default deadline counts from then.
    pub not_before: Option<Deadline>,
}

/// The result of a run of a step, reported without a lease.
#[derive(Clone, Debug)]
pub struct ReportStep {
    pub step: StepName,
    pub outcome: StepOutcome,
    pub progress: Option<ProgressChange>,
}

#[derive(Clone, Debug)]
pub struct CreateItem {
    pub workflow: WorkflowName,
    /// A UUIDv7 is generated if absent.
    pub id: Option<ItemId>,
    /// Identifies repetitions of the request if the id is generated.
    pub idempotency_key: Option<String>,
    pub content_type: Arc<str>,
    /// The applied content codings as sent; empty for none.
    pub content_encoding: Arc<str>,
    pub payload: Bytes,
    /// The default is that of the step or workflow.
    pub deadline: Option<Deadline>,
    pub labels: BTreeMap<String, String>,
    /// The default is the workflow's first step.
    pub step: Option<StepName>,
    pub plan: Plan,
    /// The trace of the request.
    pub trace: Option<Box<TraceContext>>,
    /// The history of an item that is imported.
    pub past: Option<Box<Past>>,
    /// If the request opens a run. Items of some workflows are runs in any case.
    pub run: Option<RunTerms>,
}

/// What a run begins with.
#[derive(Clone, Debug, Default)]
pub struct RunTerms {
    pub lineage: Option<Lineage>,
    /// When it began without the warden, by the wall clock.
    pub started_at: Option<Timestamp>,
    /// The window of a backfill, by the wall clock.
    pub backfill: Option<Window>,
}

#[derive(Clone, Debug, Default)]
pub struct PatchItem {
    pub deadline: Option<Deadline>,
    /// Labels to set, or to remove where the value is `None`.
    pub labels: Option<Merge<BTreeMap<String, Option<String>>>>,
    pub progress: Option<ProgressChange>,
    /// Counts of a run to set, or to remove where the value is `None`.
    pub counts: Option<Merge<BTreeMap<Arc<str>, Option<i64>>>>,
    /// Fail unless the item has this version.
    pub if_version: Option<u64>,
}

/// The result of a create or close.
#[derive(Clone, Debug)]
pub enum Done {
    Created(Box<Item>),
    /// The same item is open already.
    Existed(Box<Item>),
    /// Closed by this request or an earlier one.
    Closed,
}

/// The type of a request, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Create,
    /// A restored item that is closed.
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
    /// `payload_max` is in bytes.
    pub(super) fn new(context: &Context, payload_max: u64) -> Self {
        let Context { store, workflows, census, clock, random } = context.clone();
        Self { store, workflows, census, clock, random, payload_max }
    }

    /// In bytes.
    pub fn payload_max(&self) -> u64 {
        self.payload_max
    }

    /// Creates an item. Creating it again with the same payload succeeds; with another payload, or after its
    /// close, fails.
    pub async fn create(&self, request: CreateItem) -> Result<Done, WardenError> {
        self.change_one(self.create_command(request, self.clock.now())?).await
    }

    /// Closes an item. Closing it again succeeds; closing an id that was never created fails.
    pub async fn close(&self, key: ItemKey, outcome: CloseOutcome) -> Result<Done, WardenError> {
        self.change_one(self.close_command(key, outcome, None, self.clock.moment())?).await
    }

    /// Closes an item that ended at an instant of the wall clock, which is past.
    pub async fn close_at(
        &self,
        key: ItemKey,
        outcome: CloseOutcome,
        at: Timestamp,
    ) -> Result<Done, WardenError> {
        self.change_one(self.close_command(key, outcome, Some(at), self.clock.moment())?).await
    }

    /// A single change, which nearly all requests are, without the overhead of a batch.
    async fn change_one(&self, command: Command) -> Result<Done, WardenError> {
        let (asked, made) = (Asked::of(&command), self.workflow_made_by(&command).cloned());
        let done = self.done(asked, self.store.apply_one(command).await?);
        if let (Ok(Done::Created(_)), Some(name)) = (&done, &made) {
            self.warn_if_misspelt(name);
        }
        done
    }

    fn done(&self, asked: Asked, outcome: Outcome) -> Result<Done, WardenError> {
        match (asked, outcome) {
            (_, Outcome::Created(item)) => Ok(Done::Created(item)),
            (_, Outcome::Exists(item)) => Ok(Done::Existed(item)),
            (_, Outcome::Closed(_))
            | (Asked::Close, Outcome::AlreadyClosed(_))
            // Its retention ended, so nothing is stored.
            | (Asked::CreateClosed, Outcome::Done) => Ok(Done::Closed),
            (Asked::CreateClosed, Outcome::Conflict(item)) => {
                let created_at = self.clock.moment().wall(item.created_at);
                Err(WardenError::ItemNotClosed { created_at })
            }
            (_, Outcome::TooManyWorkflows(name)) => Err(self.workflows.no_room_for(name)),
            (_, other) => Err(refusal(other, self.clock.moment())),
        }
    }

    /// The workflow that this command will create.
    fn workflow_made_by<'a>(&self, command: &'a Command) -> Option<&'a WorkflowName> {
        let Command::Create(creation) = command else { return None };
        let name = &creation.key.workflow;
        (creation.workflows_max.is_some() && !self.workflows.is_created_on_first_use(name)).then_some(name)
    }

    fn warn_if_misspelt(&self, name: &WorkflowName) {
        if let Some(meant) = self.workflows.misspells(name) {
            let code = WarningCode::WorkflowMisspelt.as_str();
            let (workflow, configured) = (name, &meant);
            tracing::warn!(code, %workflow, %configured, "workflow created on first use: is it misspelt?");
        }
    }

    /// Changes an open item.
    pub async fn patch(&self, key: ItemKey, request: PatchItem) -> Result<Item, WardenError> {
        let moment = self.clock.moment();
        let deadline = request.deadline.map(|deadline| deadline.resolve(moment)).transpose()?;
        let PatchItem { labels, progress, counts, if_version, .. } = request;
        let (patch, policies) = (ItemPatch { deadline, labels, progress, counts }, self.workflows.clone());
        let command = Command::Patch { key, patch, if_version, policies, now: moment.now };
        changed(self.store.apply_one(command).await?, self.clock.moment())
    }

    /// Ends a run of the step that the item is at. Repeating the report changes nothing.
    pub async fn report_step(&self, key: ItemKey, request: ReportStep) -> Result<Item, WardenError> {
        let ReportStep { step, outcome, progress } = request;
        check_message(outcome.message.as_deref())?;
        let (policies, now) = (self.workflows.clone(), self.clock.moment());
        let report = StepReport { key, step, outcome, progress, policies, now };
        changed(self.store.apply_one(Command::ReportStep(Box::new(report))).await?, now)
    }

    /// Adds an error to an open item. Returns the id of the error.
    pub async fn report(&self, key: ItemKey, request: ReportError) -> Result<Arc<str>, WardenError> {
        let error = item_error(request, &key, self.clock.moment(), &*self.random)?;
        let id = error.id.clone();
        let outcome = self
            .store
            .apply_one(Command::Report { key, error: Box::new(error), policies: self.workflows.clone() })
            .await?;
        let item = changed(outcome, self.clock.moment())?;
        tracing::info!(workflow = %item.workflow, item = %item.id, error = %id, "error reported");
        Ok(id)
    }
}
