//! Problems: what goes wrong, and the document that says so (RFC 9457, `application/problem+json`).
//!
//! A status stands here as a number, beside the word: a client decides by both, and may have to before it has
//! a connection.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What [`ProblemDocument::kind`] begins with, before the word of the problem.
pub const TYPE_PREFIX: &str = "/problems/";

/// The form of a problem on the wire. It is read whatever is missing: what lies on the way to the daemon has
/// problems too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ProblemDocument<'a> {
    /// `/problems/` and a word that clients may go by.
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
    /// What was wrong this time, and what to do.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(required = true))]
    pub detail: Cow<'a, str>,
    /// The request's id, also in the header `x-request-id` and in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Cow<'a, str>>,
}

impl ProblemDocument<'_> {
    /// The type, if it is one of those that are known here.
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
            /// All of them.
            pub const ALL: [Self; [$($slug),*].len()] = [$(Self::$name),*];

            /// The word that clients may go by.
            pub const fn slug(self) -> &'static str {
                match self {
                    $(Self::$name => $slug,)*
                }
            }

            /// What it is, in a sentence.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// The HTTP status with which it is answered.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }

            /// The one with this word.
            pub fn of_slug(slug: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|problem| problem.slug() == slug)
            }
        }
    };
}

problems! {
    /// The request is not as it must be.
    InvalidRequest: 400, "invalid-request", "The request is not valid";
    /// The body ended early or broke off.
    IncompleteBody: 400, "incomplete-body", "The body did not arrive whole";
    /// No token, or an unknown one.
    Unauthorized: 401, "unauthorized", "A valid token is required";
    /// For another host.
    UnknownHost: 421, "unknown-host", "The host is not known here";
    /// From a page of another origin.
    ForeignOrigin: 403, "foreign-origin", "The request comes from a foreign page";
    /// A body of a type from which this is not read.
    UnsupportedMediaType: 415, "unsupported-media-type", "The body is not of a type for this";
    /// The token does not allow it.
    Forbidden: 403, "forbidden", "The token does not allow this";
    /// The body's length is not told.
    LengthRequired: 411, "length-required", "The length of the body is required";
    /// A form of the protocol that is not spoken here.
    NotImplemented: 501, "not-implemented", "This is not implemented";
    /// No such path.
    NotFound: 404, "not-found", "There is nothing here";
    /// No such item.
    ItemNotFound: 404, "item-not-found", "There is no such item";
    /// No such workflow.
    WorkflowNotFound: 404, "workflow-not-found", "There is no such workflow";
    /// Something of it has not ended.
    WorkflowInUse: 409, "workflow-in-use", "Something of the workflow has not ended";
    /// The configuration says what it is.
    WorkflowConfigured: 409, "workflow-configured", "The workflow is defined in the configuration";
    /// No such lease.
    LeaseNotFound: 404, "lease-not-found", "There is no such lease";
    /// The lease holds no longer.
    LeaseLost: 409, "lease-lost", "The lease holds no longer";
    /// No such incident.
    IncidentNotFound: 404, "incident-not-found", "There is no such incident";
    /// No such receiver.
    ReceiverNotFound: 404, "receiver-not-found", "There is no such receiver";
    /// No such delivery.
    DeliveryNotFound: 404, "delivery-not-found", "There is no such delivery";
    /// Nothing is left of it.
    IncidentResolved: 409, "incident-resolved", "The incident is resolved";
    /// It has begun again.
    IncidentOpen: 409, "incident-open", "The incident is open";
    /// No such silence.
    SilenceNotFound: 404, "silence-not-found", "There is no such silence";
    /// One silence too many.
    TooManySilences: 422, "too-many-silences", "There are too many silences";
    /// No such replay.
    ReplayNotFound: 404, "replay-not-found", "There is no such replay";
    /// It is over.
    ReplayEnded: 409, "replay-ended", "The replay has ended";
    /// One replay too many.
    TooManyReplays: 422, "too-many-replays", "There are too many replays";
    /// Too many items at once.
    SelectionTooLarge: 422, "selection-too-large", "Too many items are selected";
    /// The path does not take this method.
    MethodNotAllowed: 405, "method-not-allowed", "The method is not allowed here";
    /// The body took too long.
    BodyTimeout: 408, "body-timeout", "The body took too long to arrive";
    /// Open with another payload.
    ItemConflict: 409, "item-conflict", "The item exists with another payload";
    /// Closed.
    ItemClosed: 409, "item-closed", "The item is closed";
    /// It waits to be sent.
    DeliveryPending: 409, "delivery-pending", "The delivery is still pending";
    /// The payload was dropped.
    PayloadGone: 410, "payload-gone", "The payload is gone";
    /// Another version.
    PreconditionFailed: 412, "precondition-failed", "The item has changed";
    /// Too large.
    PayloadTooLarge: 413, "payload-too-large", "The payload is too large";
    /// Too many lines or bytes.
    BatchTooLarge: 413, "batch-too-large", "The batch is too large";
    /// No such part.
    RangeNotSatisfiable: 416, "range-not-satisfiable", "The range lies outside the payload";
    /// A body is compressed that must not be.
    UnsupportedEncoding: 415, "unsupported-encoding", "The body is encoded";
    /// One workflow too many.
    TooManyWorkflows: 422, "too-many-workflows", "There are too many workflows";
    /// Too much at once.
    Overloaded: 503, "overloaded", "The warden is overloaded";
    /// Not ready, or on the way down.
    Unavailable: 503, "unavailable", "The warden is not available";
    /// No room.
    StorageFull: 507, "storage-full", "The disk is full";
    /// The store broke.
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
        let text = r#"{"type":"/problems/run-open","title":"T","status":409,"detail":"d","run":"r1"}"#;
        let document: ProblemDocument<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((document.problem(), document.status), (None, 409));
    }
}
