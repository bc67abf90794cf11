//! A detail for the example of each problem, as the daemon would write it.

use std::borrow::Cow;

use warden_api::Problem;

use crate::model::artifact::ArtifactStatus;
use crate::model::{ArtifactId, LeaseLost, ReplayStatus};
use crate::warden::WardenError;

/// What another artifact depends on.
pub const OTHER_ARTIFACT: &str = "art_9c1185a5c5e98fc5a4d1d8b2e5c1c0d3";

fn artifact() -> ArtifactId {
    ArtifactId("art_0f7d0d088b6e8ba2b6a1d9f3f0c3a1b2".into())
}

pub fn detail(problem: Problem) -> Cow<'static, str> {
    match problem {
        Problem::InvalidRequest => "limit=0 is not a number from 1 to 1000".into(),
        Problem::IncompleteBody => "the body is incomplete: end of file before message length reached".into(),
        Problem::Unauthorized => "a token is required; send Authorization: Bearer <token>".into(),
        Problem::UnknownHost => {
            "\"warden.example\" is not a name of this daemon; to allow it, add it to server.hosts or use it \
            in server.external_url"
                .into()
        }
        Problem::ForeignOrigin => {
            "cross-origin requests may not change anything (the Origin header names another origin); to \
            allow a page, add its origin to server.cors_origins, which requires tokens"
                .into()
        }
        Problem::UnsupportedMediaType => {
            "from a browser this body must have the Content-Type application/json".into()
        }
        Problem::Forbidden => "the token ci lacks the scope recover".into(),
        Problem::LengthRequired => {
            "in HTTP/1.0 a body must have a Content-Length; send 0 without a body".into()
        }
        Problem::NotImplemented => {
            "the only supported Transfer-Encoding is chunked; use Content-Encoding for content that is \
            stored as sent"
                .into()
        }
        Problem::NotFound => "unknown path: API paths begin with /v1; /openapi.json lists all paths".into(),
        Problem::ItemNotFound => WardenError::ItemNotFound.to_string().into(),
        Problem::WorkflowNotFound => {
            "the workflow uploads does not exist: it is neither configured nor has it been used".into()
        }
        Problem::WorkflowInUse => "the workflow uploads cannot be deleted: it has 2 open items".into(),
        Problem::WorkflowConfigured => {
            "the workflow uploads is defined in the configuration; change it there".into()
        }
        Problem::RunOpen => {
            "run 41 of the workflow nightly is open (its item is \"nightly-41\"); close it first, or set \
            `single` of the workflow"
                .into()
        }
        Problem::WorkflowHeld => {
            "the workflow nightly is on hold, and its run 42 is held already; release it first".into()
        }
        Problem::RequirementNotMet => "what the run requires has not succeeded: run 7 of load is open".into(),
        Problem::RunFailed => "run 42 of the workflow nightly has failed".into(),
        Problem::NoRunOpen => "the workflow nightly has no open run".into(),
        Problem::RunNotFound => {
            "no run of the workflow nightly has the id nightly-1; ended runs are kept for runs_retention"
                .into()
        }
        Problem::ConfigurationInvalid => "the former configuration stays in force:\n\
            /etc/warden/warden.toml:7:1: workflows.uploads.deadline: must be more than zero"
            .into(),
        Problem::LeaseNotFound => WardenError::LeaseNotFound.to_string().into(),
        Problem::StepOrder => {
            "the item is at the step copy, not at backup; only the step that it is at can be reported".into()
        }
        Problem::StepUnknown => "the item has no step upload; its steps are copy, backup".into(),
        Problem::LeaseLost => WardenError::LeaseLost(LeaseLost::Forgotten).to_string().into(),
        Problem::IncidentNotFound => WardenError::IncidentNotFound.to_string().into(),
        Problem::ReceiverNotFound => WardenError::ReceiverNotFound("oncall".into()).to_string().into(),
        Problem::DeliveryNotFound => WardenError::DeliveryNotFound.to_string().into(),
        Problem::IncidentResolved => WardenError::IncidentResolved.to_string().into(),
        Problem::IncidentOpen => WardenError::DeliveryOvertaken.to_string().into(),
        Problem::SilenceNotFound => WardenError::SilenceNotFound.to_string().into(),
        Problem::TooManySilences => WardenError::TooManySilences { limit: 1000 }.to_string().into(),
        Problem::ReplayNotFound => WardenError::ReplayNotFound.to_string().into(),
        Problem::ReplayEnded => WardenError::ReplayEnded(ReplayStatus::Completed).to_string().into(),
        Problem::TooManyReplays => {
            "10 replays are running, the most that replay.running_max allows; pause or cancel one, or wait"
                .into()
        }
        Problem::SelectionTooLarge => WardenError::SelectionTooLarge { limit: 1_000_000 }.to_string().into(),
        Problem::MethodNotAllowed => {
            "this path does not support the method; /openapi.json lists those that it does".into()
        }
        Problem::BodyTimeout => "the body did not arrive within the 1m of limits.body_timeout".into(),
        Problem::ItemConflict => {
            "the item is open since 2026-01-31T12:00:00.000Z with another payload; close it first, or create \
            this one under another id"
                .into()
        }
        Problem::ItemClosed => {
            "the item is closed since 2026-01-31T12:00:00.000Z, and its id is free again from \
            2026-02-07T12:00:00.000Z on"
                .into()
        }
        Problem::DeliveryPending => WardenError::DeliveryPending.to_string().into(),
        Problem::PayloadGone => {
            "payloads are removed when their item is closed, or `keep_payload` of the workflow after that; \
            this item is closed since 2026-01-31T12:00:00.000Z, and its id is free again from \
            2026-02-07T12:00:00.000Z on"
                .into()
        }
        Problem::PreconditionFailed => WardenError::VersionMismatch(3).to_string().into(),
        Problem::PayloadTooLarge => {
            WardenError::PayloadTooLarge { limit: 16 * 1024 * 1024 }.to_string().into()
        }
        Problem::BatchTooLarge => {
            "a batch may have at most 100000 lines (limits.batch_items_max); send several batches; the first \
            100000 lines are done"
                .into()
        }
        Problem::RangeNotSatisfiable => "the payload has 5 bytes".into(),
        Problem::UnsupportedEncoding => {
            "the body of this request is not decoded; send it without Content-Encoding: gzip".into()
        }
        Problem::TooManyWorkflows => {
            "the workflow uploads cannot be created: limits.workflows_max allows 1000; delete one with \
            DELETE /v1/workflows/{workflow}, or wait until an unused one is removed"
                .into()
        }
        Problem::ArtifactNotFound => WardenError::ArtifactNotFound(Some(artifact())).to_string().into(),
        Problem::ArtifactLoaded => WardenError::ArtifactLoadedOnce(artifact()).to_string().into(),
        Problem::ArtifactStatusUnknown => {
            let known = ArtifactStatus::WORDS.join(", ");
            WardenError::ArtifactStatusUnknown { status: "\"done\"".into(), known }.to_string().into()
        }
        Problem::DependencyNotMet => {
            let dependencies = vec![ArtifactId(OTHER_ARTIFACT.into())];
            WardenError::DependencyNotMet { artifact: artifact(), dependencies }.to_string().into()
        }
        Problem::DependencyRefused => format!("the artifact {} would depend on itself", artifact().0).into(),
        Problem::TooManyArtifacts => WardenError::TooManyArtifacts { limit: 1_000_000 }.to_string().into(),
        Problem::Overloaded => "limits.requests_max requests are in flight; try again later".into(),
        Problem::Unavailable => "the warden is shutting down".into(),
        Problem::StorageFull => WardenError::StorageFull.to_string().into(),
        Problem::StoreFailed => {
            "whether the change was written is unknown; check when the warden runs again".into()
        }
    }
}
