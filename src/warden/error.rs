//! The errors of the services.

use std::fmt;

use crate::model::artifact::OF_RUN_MAX;
use crate::model::item::StepRefusal;
use crate::model::run::{RunRefusal, UnmetReason, UnmetRequirement};
use crate::model::{
    ArtifactId, ArtifactRefusal, DeliveryId, Item, ItemId, ItemKey, LeaseLost, Moment, NameError,
    ReplayStatus, Timestamp, WorkflowName, quote,
};
use crate::notifier::ResendError;
use crate::store::{Outcome, StoreError};

/// Why a request failed. The texts are for people; clients use the kind.
#[derive(Debug, thiserror::Error)]
pub enum WardenError {
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("the payload is larger than the {limit} bytes that limits.payload_max allows")]
    PayloadTooLarge {
        /// In bytes.
        limit: u64,
    },
    /// `create_on_first_use` is off.
    #[error(
        "the workflow {0} does not exist; define it in the configuration, \
        or set workflow_defaults.create_on_first_use"
    )]
    WorkflowNotFound(WorkflowName),
    #[error("the workflow {0} does not exist: it is neither configured nor has it been used")]
    WorkflowUnknown(WorkflowName),
    #[error("the workflow {0} is defined in the configuration; change it there")]
    WorkflowConfigured(WorkflowName),
    /// It has open items or an open incident.
    #[error("the workflow {name} cannot be deleted: {what}")]
    WorkflowInUse {
        name: WorkflowName,
        /// What is in use.
        what: String,
    },
    #[error(
        "the workflow {name} cannot be created: limits.workflows_max allows {limit}; \
        delete one with DELETE /v1/workflows/{{workflow}}, or wait until an unused one is removed"
    )]
    TooManyWorkflows { name: WorkflowName, limit: usize },
    #[error("no item has this id; closed items are removed after the retention of their workflow")]
    ItemNotFound,
    #[error(
        "the item is open since {created_at} with another payload; \
        close it first, or create this one under another id"
    )]
    ItemConflict {
        /// When the open item was created, by the wall clock.
        created_at: Timestamp,
    },
    /// An import says that an open item is closed.
    #[error(
        "the item is open here since {created_at}, but the line says that it was closed; \
        nothing was changed; close the item if it is done"
    )]
    ItemNotClosed {
        /// When the open item was created, by the wall clock.
        created_at: Timestamp,
    },
    #[error("the item is closed{0}")]
    ItemClosed(ClosedSince),
    #[error(
        "payloads are removed when their item is closed, or `keep_payload` of the workflow after that; \
        this item is closed{0}"
    )]
    PayloadGone(ClosedSince),
    #[error("the version is {0} now; get it again and retry")]
    VersionMismatch(u64),
    #[error("this is not the id of a lease; it is lse_ and 32 hexadecimal digits, as returned by a claim")]
    LeaseNotFound,
    #[error("{0}")]
    LeaseLost(LeaseLost),
    /// The item has no step of this name.
    #[error("{0}")]
    StepUnknown(StepRefusal),
    /// The item is at another step.
    #[error("{0}")]
    StepOrder(StepRefusal),
    #[error(
        "run {number} of the workflow {workflow} is open{}; close it first, or set `single` of the workflow",
        whose(.id)
    )]
    RunOpen { workflow: WorkflowName, number: u64, id: Option<ItemId> },
    #[error(
        "the workflow {workflow} is on hold, and its run {number} is held already{}; release it first",
        whose(.id)
    )]
    WorkflowHeld { workflow: WorkflowName, number: u64, id: Option<ItemId> },
    #[error("{}", unmet(.0))]
    RequirementNotMet(Vec<UnmetRequirement>),
    #[error("the workflow {0} has no open run")]
    NoRunOpen(WorkflowName),
    #[error("no run of the workflow {0} has begun")]
    NoRunBegun(WorkflowName),
    #[error("no run of the workflow {workflow} has the id {id}; ended runs are kept for runs_retention")]
    RunNotFound { workflow: WorkflowName, id: ItemId },
    #[error("no incident has this id; resolved incidents are removed after alerting.history")]
    IncidentNotFound,
    #[error(
        "there is no receiver {} in the configuration; GET /v1/receivers lists all",
        quote(.0)
    )]
    ReceiverNotFound(String),
    #[error("no delivery has this id; deliveries are removed with their incident")]
    DeliveryNotFound,
    #[error(
        "a delivery can be resent once it is delivered or dead; to attempt this one now, resume its receiver"
    )]
    DeliveryPending,
    #[error("a resolved incident cannot be acknowledged or snoozed, only commented on")]
    IncidentResolved,
    /// The delivery says that an incident is open which is resolved. The id is that of the delivery to resend
    /// instead.
    #[error("the incident is resolved; this delivery would report it to its receiver as open{}", instead(.0))]
    DeliveryOutdated(Option<DeliveryId>),
    /// The delivery says that an incident is resolved which is open again.
    #[error(
        "the incident is open again; this delivery would report it as resolved; \
        the resolution is sent when the incident ends"
    )]
    DeliveryOvertaken,
    #[error("no silence has this id; expired silences are removed after alerting.history")]
    SilenceNotFound,
    #[error(
        "there are {limit} pending and active silences, the most allowed; \
        end some, or use one that matches more"
    )]
    TooManySilences { limit: usize },
    /// With its id if the request is about several.
    #[error(
        "no artifact has {}; finished ones are forgotten after artifacts.retention, or with their run",
        .0.as_ref().map_or("this id".to_owned(), |id| format!("the id {}", quote(&id.0)))
    )]
    ArtifactNotFound(Option<ArtifactId>),
    #[error("{status} is no status of artifacts; these are {known} (artifacts.statuses adds others)")]
    ArtifactStatusUnknown {
        /// In quotes.
        status: String,
        known: String,
    },
    /// What has to be loaded first.
    #[error(
        "the artifact {} depends on {}, which must be loaded first, or by the same request",
        .artifact.0,
        listed(dependencies)
    )]
    DependencyNotMet { artifact: ArtifactId, dependencies: Vec<ArtifactId> },
    #[error("{0}")]
    DependencyRefused(String),
    #[error(
        "the artifact {} was loaded and may be loaded once (use is once); it can only be archived, deleted \
        or in error",
        .0.0
    )]
    ArtifactLoadedOnce(ArtifactId),
    #[error(
        "more than {limit} artifacts would be stored, the most that limits.artifacts_max allows; finished \
        ones are forgotten after artifacts.retention"
    )]
    TooManyArtifacts { limit: usize },
    #[error(
        "there is no item {} of the workflow {}, with which the artifact would be removed",
        quote(&*.0.id),
        .0.workflow
    )]
    ArtifactRunNotFound(ItemKey),
    #[error("no replay has this id; ended replays are removed after replay.history")]
    ReplayNotFound,
    #[error(
        "the replay is {status}: it cannot be changed any more; start another one for the remaining items",
        status = .0.as_str()
    )]
    ReplayEnded(ReplayStatus),
    #[error("{0}")]
    TooManyReplays(String),
    #[error(
        "the selection has more than the {limit} items that replay.items_max allows; \
        use several smaller replays"
    )]
    SelectionTooLarge { limit: usize },
    #[error(
        "the disk is full: items cannot be created, but can be closed and extended; close \
        items, free space on the volume of storage.path, or raise storage.size_max if it is set"
    )]
    StorageFull,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WardenError {
    /// Why a command on artifacts was refused. `most` is how many may be stored.
    pub(super) fn of_artifacts(refusal: ArtifactRefusal, most: usize) -> Self {
        match refusal {
            ArtifactRefusal::Unknown(id) => Self::ArtifactNotFound(Some(id)),
            ArtifactRefusal::DependencyNotMet { artifact, dependencies } => {
                Self::DependencyNotMet { artifact, dependencies }
            }
            ArtifactRefusal::LoadedOnce(id) => Self::ArtifactLoadedOnce(id),
            ArtifactRefusal::DependencyUnknown { artifact, dependency } => Self::DependencyRefused(format!(
                "the artifact {} cannot depend on {}: no artifact has this id",
                artifact.0,
                quote(&dependency.0)
            )),
            ArtifactRefusal::Cycle(id) => {
                Self::DependencyRefused(format!("the artifact {} would depend on itself", id.0))
            }
            ArtifactRefusal::TooDeep(id) => Self::DependencyRefused(format!(
                "the artifact {} depends on too many others, directly and over others, to be checked for \
                cycles; change fewer at a time",
                id.0
            )),
            ArtifactRefusal::RunUnknown(run) => Self::ArtifactRunNotFound(run),
            ArtifactRefusal::TooManyOfRun(run) => Self::Invalid(format!(
                "with the item {} of the workflow {} at most {OF_RUN_MAX} artifacts can be removed; register \
                the others with another use",
                quote(&*run.id),
                run.workflow
            )),
            ArtifactRefusal::TooMany => Self::TooManyArtifacts { limit: most },
        }
    }
}

fn listed(ids: &[ArtifactId]) -> String {
    ids.iter().map(|id| &*id.0).collect::<Vec<_>>().join(", ")
}

impl From<ResendError> for WardenError {
    fn from(error: ResendError) -> Self {
        match error {
            ResendError::NotFound => Self::DeliveryNotFound,
            ResendError::Pending => Self::DeliveryPending,
            ResendError::Resolved { told_by } => Self::DeliveryOutdated(told_by),
            ResendError::Reopened => Self::DeliveryOvertaken,
            ResendError::Store(error) => Self::Store(error),
        }
    }
}

fn instead(told_by: &Option<DeliveryId>) -> String {
    match told_by {
        Some(DeliveryId(id)) => format!("; resend {id} instead, which reports the resolution"),
        None => "; the resolution was not sent to it either".to_owned(),
    }
}

/// When an item was closed, and until when its id is taken, by the wall clock. Empty if it is open.
#[derive(Debug)]
pub struct ClosedSince(Option<(Timestamp, Timestamp)>);

impl ClosedSince {
    pub fn of(item: &Item, moment: Moment) -> Self {
        Self(item.closed.map(|closed| (moment.wall(closed.at), moment.wall(closed.record_until))))
    }
}

impl fmt::Display for ClosedSince {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((at, until)) => write!(formatter, " since {at}, and its id is free again from {until} on"),
            None => Ok(()),
        }
    }
}

/// The changed item, or why the command was refused.
pub(super) fn changed(outcome: Outcome, moment: Moment) -> Result<Item, WardenError> {
    match outcome {
        Outcome::Changed(item) => Ok(*item),
        other => Err(refusal(other, moment)),
    }
}

fn whose(id: &Option<ItemId>) -> String {
    id.as_ref().map(|id| format!(" (its item is {})", quote(&**id))).unwrap_or_default()
}

fn unmet(requirements: &[UnmetRequirement]) -> String {
    let one = |unmet: &UnmetRequirement| {
        let UnmetRequirement { workflow, reason, number } = unmet;
        let run = number.map(|number| format!("run {number} of {workflow}")).unwrap_or_default();
        match reason {
            UnmetReason::Open => format!("{run} is open"),
            UnmetReason::Held => format!("{run} is held"),
            UnmetReason::Failed => format!("{run} has failed"),
            UnmetReason::Stale => format!("{run} succeeded too long ago"),
            UnmetReason::NeverRun => format!("{workflow} has never run"),
        }
    };
    let all: Vec<String> = requirements.iter().map(one).collect();
    format!("what the run requires has not succeeded: {}", all.join(", "))
}

/// Why a run cannot be made.
fn run_refusal(workflow: WorkflowName, refusal: RunRefusal) -> WardenError {
    match refusal {
        RunRefusal::Open { number, item } => WardenError::RunOpen { workflow, number, id: item },
        RunRefusal::OnHold { number, item } => WardenError::WorkflowHeld { workflow, number, id: item },
        RunRefusal::Unmet(requirements) => WardenError::RequirementNotMet(requirements),
    }
}

/// Why a command on an item was refused.
pub(super) fn refusal(outcome: Outcome, moment: Moment) -> WardenError {
    match outcome {
        Outcome::Conflict(item) => WardenError::ItemConflict { created_at: moment.wall(item.created_at) },
        Outcome::AlreadyClosed(item) => WardenError::ItemClosed(ClosedSince::of(&item, moment)),
        Outcome::VersionMismatch(version) => WardenError::VersionMismatch(version),
        Outcome::Refused(refusal) => WardenError::Invalid(refusal.to_string()),
        Outcome::StepRefused(refusal @ StepRefusal::Unknown { .. }) => WardenError::StepUnknown(refusal),
        Outcome::StepRefused(refusal) => WardenError::StepOrder(refusal),
        Outcome::RunRefused(workflow, refusal) => run_refusal(workflow, *refusal),
        Outcome::StorageFull => WardenError::StorageFull,
        _ => WardenError::ItemNotFound,
    }
}
