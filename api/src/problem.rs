//! Problems (RFC 9457, `application/problem+json`): the types, and the document.
//!
//! The status is a number here, as clients use it and the word without an HTTP library.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::run::UnmetRequirement;

/// The prefix of [`ProblemDocument::kind`], before the word.
pub const TYPE_PREFIX: &str = "/problems/";

/// The document. Missing fields are tolerated, as proxies send problems too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ProblemDocument<'a> {
    /// `/problems/` and a word for clients to go by.
    #[serde(default, rename = "type")]
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub kind: Cow<'a, str>,
    /// The same for every problem of the type.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub title: Cow<'a, str>,
    /// The HTTP status.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub status: u16,
    /// The cause, and what to do.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub detail: Cow<'a, str>,
    /// The request id, also in the header `x-request-id` and in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Cow<'a, str>>,
    /// The id of the run that the problem is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Cow<'a, str>>,
    /// The requirements that are not met, if the problem is about these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub requirements: Vec<UnmetRequirement>,
    /// Of `dependency-not-met`: the ids of the artifacts that must be loaded first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub dependencies: Vec<Cow<'a, str>>,
}

impl ProblemDocument<'_> {
    /// The type, if it is known to this version.
    pub fn problem(&self) -> Option<Problem> {
        Problem::of_slug(self.kind.strip_prefix(TYPE_PREFIX)?)
    }
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $status:literal, $slug:literal, $title:literal;)*) => {
        /// A type of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Problem {
            $($(#[$doc])* $name,)*
        }

        impl Problem {
            /// All types.
            pub const ALL: [Self; [$($slug),*].len()] = [$(Self::$name),*];

            /// The word for clients to go by.
            pub const fn slug(self) -> &'static str {
                match self {
                    $(Self::$name => $slug,)*
                }
            }

            /// The title: one sentence.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }

            /// The type with this word.
            pub fn of_slug(slug: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|problem| problem.slug() == slug)
            }
        }
    };
}

problems! {
    /// The request is malformed.
    InvalidRequest: 400, "invalid-request", "The request is not valid";
    /// The body ended early.
    IncompleteBody: 400, "incomplete-body", "The body is incomplete";
    /// The token is missing or unknown.
    Unauthorized: 401, "unauthorized", "A valid token is required";
    /// The `Host` is not one of this daemon's.
    UnknownHost: 421, "unknown-host", "The host is unknown";
    /// A write from a page of another origin.
    ForeignOrigin: 403, "foreign-origin", "The request comes from another origin";
    /// The content type is not supported here.
    UnsupportedMediaType: 415, "unsupported-media-type", "The content type is not supported";
    /// The token does not allow the request.
    Forbidden: 403, "forbidden", "The token does not allow this";
    /// The body has no length.
    LengthRequired: 411, "length-required", "The length of the body is required";
    /// A feature of HTTP that is not supported.
    NotImplemented: 501, "not-implemented", "This is not implemented";
    /// No such path.
    NotFound: 404, "not-found", "The path does not exist";
    /// No such item.
    ItemNotFound: 404, "item-not-found", "There is no such item";
    /// No such workflow.
    WorkflowNotFound: 404, "workflow-not-found", "There is no such workflow";
    /// Items, incidents or replays of the workflow are not over.
    WorkflowInUse: 409, "workflow-in-use", "The workflow is in use";
    /// Only the configuration can change the workflow.
    WorkflowConfigured: 409, "workflow-configured", "The workflow is defined in the configuration";
    /// Another run is open.
    RunOpen: 409, "run-open", "A run is open";
    /// New runs are held, and one is held already.
    WorkflowHeld: 409, "workflow-held", "The workflow is on hold";
    /// The latest runs of required workflows have not succeeded.
    RequirementNotMet: 409, "requirement-not-met", "A required run has not succeeded";
    /// A run failed while a request waited for its success.
    RunFailed: 409, "run-failed", "The run has failed";
    /// The workflow has no open run.
    NoRunOpen: 404, "no-run-open", "No run is open";
    /// No such run.
    RunNotFound: 404, "run-not-found", "There is no such run";
    /// The configuration cannot be put in force.
    ConfigurationInvalid: 409, "configuration-invalid", "The configuration is not valid";
    /// No such lease.
    LeaseNotFound: 404, "lease-not-found", "There is no such lease";
    /// The lease expired or was taken over.
    LeaseLost: 409, "lease-lost", "The lease is lost";
    /// The item is at another step.
    StepOrder: 409, "step-order", "The item is not at this step";
    /// The item has no such step.
    StepUnknown: 422, "step-unknown", "The item has no such step";
    /// No such incident.
    IncidentNotFound: 404, "incident-not-found", "There is no such incident";
    /// No such receiver.
    ReceiverNotFound: 404, "receiver-not-found", "There is no such receiver";
    /// No such delivery.
    DeliveryNotFound: 404, "delivery-not-found", "There is no such delivery";
    /// The action needs an open incident.
    IncidentResolved: 409, "incident-resolved", "The incident is resolved";
    /// The action needs a resolved incident.
    IncidentOpen: 409, "incident-open", "The incident is open";
    /// No such silence.
    SilenceNotFound: 404, "silence-not-found", "There is no such silence";
    /// The limit of silences is reached.
    TooManySilences: 422, "too-many-silences", "There are too many silences";
    /// No such replay.
    ReplayNotFound: 404, "replay-not-found", "There is no such replay";
    /// The replay is completed or cancelled.
    ReplayEnded: 409, "replay-ended", "The replay has ended";
    /// The limit of replays is reached.
    TooManyReplays: 422, "too-many-replays", "There are too many replays";
    /// The selection has too many items.
    SelectionTooLarge: 422, "selection-too-large", "Too many items are selected";
    /// The path does not support the method.
    MethodNotAllowed: 405, "method-not-allowed", "The method is not allowed";
    /// The body arrived too slowly.
    BodyTimeout: 408, "body-timeout", "The body took too long to arrive";
    /// The item is open with another payload.
    ItemConflict: 409, "item-conflict", "The item exists with another payload";
    /// The item is closed.
    ItemClosed: 409, "item-closed", "The item is closed";
    /// The delivery is not sent yet.
    DeliveryPending: 409, "delivery-pending", "The delivery is still pending";
    /// The payload of a closed item was removed.
    PayloadGone: 410, "payload-gone", "The payload is gone";
    /// The item has another version.
    PreconditionFailed: 412, "precondition-failed", "It has changed since that version";
    /// The payload exceeds the limit.
    PayloadTooLarge: 413, "payload-too-large", "The payload is too large";
    /// The batch has too many lines or bytes.
    BatchTooLarge: 413, "batch-too-large", "The batch is too large";
    /// The range is outside of the payload.
    RangeNotSatisfiable: 416, "range-not-satisfiable", "The range is outside of the payload";
    /// A compressed body where none is supported.
    UnsupportedEncoding: 415, "unsupported-encoding", "The body must not be compressed";
    /// No such artifact.
    ArtifactNotFound: 404, "artifact-not-found", "The artifact does not exist";
    /// An artifact that may be loaded once was loaded.
    ArtifactLoaded: 409, "artifact-loaded", "The artifact was loaded, and may be loaded once";
    /// An artifact cannot get this status.
    ArtifactStatusUnknown: 422, "artifact-status-unknown", "The status of the artifact is unknown";
    /// What an artifact depends on is not loaded.
    DependencyNotMet: 409, "dependency-not-met", "What the artifact depends on is not loaded";
    /// An artifact cannot depend on this one.
    DependencyRefused: 422, "dependency-refused", "The artifact cannot depend on this one";
    /// The limit of artifacts is reached.
    TooManyArtifacts: 422, "too-many-artifacts", "There are too many artifacts";
    /// The limit of workflows is reached.
    TooManyWorkflows: 422, "too-many-workflows", "There are too many workflows";
    /// The limit of concurrent requests or memory is reached.
    Overloaded: 503, "overloaded", "The warden is overloaded";
    /// The daemon is starting or stopping.
    Unavailable: 503, "unavailable", "The warden is not available";
    /// There is not enough space on the disk.
    StorageFull: 507, "storage-full", "The disk is full";
    /// The store failed; the outcome of a write is unknown.
    StoreFailed: 500, "store-failed", "The store failed";
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.slug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_known_by_its_word_and_no_two_have_the_same() {
        for problem in Problem::ALL {
            assert_eq!(Problem::of_slug(problem.slug()), Some(problem));
            assert!((400..600).contains(&problem.status()), "{problem}");
        }
    }

    #[test]
    fn a_problem_of_a_later_daemon_is_read_and_is_none_that_is_known() {
        let text = r#"{"type":"/problems/run-postponed","title":"T","status":409,"detail":"d","run":"r1"}"#;
        let document: ProblemDocument<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((document.problem(), document.status), (None, 409));
    }
}
