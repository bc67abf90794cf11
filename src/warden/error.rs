//! Why the warden did not do what it was asked.

use std::fmt;

use crate::model::{
    DeliveryId, Item, LeaseLost, Moment, NameError, ReplayStatus, Timestamp, WorkflowName, quote,
};
use crate::notifier::ResendError;
use crate::store::{Outcome, StoreError};

/// An answer other than the one hoped for. The texts are for people; clients go by the kind.
#[derive(Debug, thiserror::Error)]
pub enum WardenError {
    /// Something in the request is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// A name in the request is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The payload is larger than the configuration allows.
    #[error("the payload is larger than the {limit} bytes that limits.payload_max allows")]
    PayloadTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The configuration lets only named workflows in.
    #[error(
        "there is no workflow {0}; define it in the configuration, or set workflow_defaults.create_on_first_use"
    )]
    WorkflowNotFound(WorkflowName),
    /// Nobody has used or defined the workflow.
    #[error("nobody has used or defined the workflow {0}")]
    WorkflowUnknown(WorkflowName),
    /// What is defined in the configuration is changed there.
    #[error(
        "the workflow {0} is defined in the configuration, and is there as long as that names it; take it out there"
    )]
    WorkflowConfigured(WorkflowName),
    /// Something of the workflow has not come to its end.
    #[error("the workflow {name} cannot be deleted: {what}")]
    WorkflowInUse {
        /// The workflow.
        name: WorkflowName,
        /// What has not.
        what: String,
    },
    /// No more workflows are made on first use.
    #[error(
        "{name} would be one more than the {limit} workflows that limits.workflows_max allows; \
         one goes when nothing is left of it, or with DELETE /v1/workflows/{{workflow}}"
    )]
    TooManyWorkflows {
        /// The workflow.
        name: WorkflowName,
        /// The limit.
        limit: usize,
    },
    /// There is no such item.
    #[error("there is no such item, or its retention has run out")]
    ItemNotFound,
    /// The item is open with another payload or content type.
    #[error(
        "the item is open since {created_at} with another payload; \
         close it first, or create this one under another id"
    )]
    ItemConflict {
        /// When that was created, by the wall clock.
        created_at: Timestamp,
    },
    /// The item is open, and is said to be closed.
    #[error(
        "the item is open here since {created_at}, and the line says that it was closed; what is here is left alone: \
         close it if it is done"
    )]
    ItemNotClosed {
        /// When the one that is here was created, by the wall clock.
        created_at: Timestamp,
    },
    /// The item is closed.
    #[error("the item is closed{0}")]
    ItemClosed(ClosedSince),
    /// The payload was dropped when the item was closed.
    #[error("it went when the item was closed{0}; `keep_payload` of the workflow says how long it is kept")]
    PayloadGone(ClosedSince),
    /// The item has another version than the request names.
    #[error("the item has version {0} now; get it again and decide anew")]
    VersionMismatch(u64),
    /// What names the lease is no id of one.
    #[error("there is no such lease: a lease's id is lse_ and 32 hexadecimal digits, as a claim gave it out")]
    LeaseNotFound,
    /// The lease holds no longer.
    #[error("{0}")]
    LeaseLost(LeaseLost),
    /// There is no such incident.
    #[error("there is no such incident, or its history has run out")]
    IncidentNotFound,
    /// There is no such receiver.
    #[error("there is no receiver {} in the configuration; GET /v1/receivers lists those that there are", quote(.0))]
    ReceiverNotFound(String),
    /// There is no such delivery.
    #[error("there is no such delivery, or the history of its incident has run out")]
    DeliveryNotFound,
    /// The delivery waits to be sent.
    #[error("the delivery is still pending: it is tried until it is delivered or given up")]
    DeliveryPending,
    /// The incident is resolved.
    #[error("the incident is resolved; it can be commented on, but there is nothing left to look after")]
    IncidentResolved,
    /// The delivery tells of an incident that is resolved, as if it were open.
    #[error("the incident is resolved, and this delivery would have its receiver take it for open again{}", instead(.0))]
    DeliveryOutdated(Option<DeliveryId>),
    /// The delivery tells of the end of an incident that is open again.
    #[error(
        "the incident is open again, and this delivery would have its receiver take it for over; its end is told when it comes"
    )]
    DeliveryOvertaken,
    /// There is no such silence.
    #[error("there is no such silence, or it was over so long ago that it is forgotten")]
    SilenceNotFound,
    /// No more silences are taken.
    #[error("there are {limit} silences already that are not over; end some, or make one that matches more")]
    TooManySilences {
        /// The limit.
        limit: usize,
    },
    /// There is no such replay.
    #[error("there is no such replay, or it ended so long ago that it is forgotten")]
    ReplayNotFound,
    /// The replay is over.
    #[error("the replay is {status}: it cannot be changed any more; start another one for what is left", status = .0.as_str())]
    ReplayEnded(ReplayStatus),
    /// No more replays are taken.
    #[error("{0}")]
    TooManyReplays(String),
    /// More items are selected than one replay takes.
    #[error(
        "more than the {limit} items that replay.items_max allows are selected; choose fewer, and start several replays"
    )]
    SelectionTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The disk is full.
    #[error(
        "the disk is full: nothing new is taken in until there is space again, while items can be closed and extended; close \
         items, make room on the volume of storage.path, or raise storage.size_max if that is set"
    )]
    StorageFull,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
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
        Some(DeliveryId(id)) => format!("; resend {id} instead, which tells it of the end"),
        None => "; it was not told of the end either".to_owned(),
    }
}

/// When an item was closed, and from when on it is forgotten, by the wall clock.
#[derive(Debug)]
pub struct ClosedSince(Option<(Timestamp, Timestamp)>);

impl ClosedSince {
    /// Those of an item, if it is closed.
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

/// The item that a command changed, or why it did not.
pub(super) fn changed(outcome: Outcome, moment: Moment) -> Result<Item, WardenError> {
    match outcome {
        Outcome::Changed(item) => Ok(*item),
        other => Err(refusal(other, moment)),
    }
}

/// Why a command about an item did nothing.
pub(super) fn refusal(outcome: Outcome, moment: Moment) -> WardenError {
    match outcome {
        Outcome::Conflict(item) => WardenError::ItemConflict { created_at: moment.wall(item.created_at) },
        Outcome::AlreadyClosed(item) => WardenError::ItemClosed(ClosedSince::of(&item, moment)),
        Outcome::VersionMismatch(version) => WardenError::VersionMismatch(version),
        Outcome::Refused(refusal) => WardenError::Invalid(refusal.to_string()),
        Outcome::StorageFull => WardenError::StorageFull,
        _ => WardenError::ItemNotFound,
    }
}
