//! Artifacts: files that runs write or read.

use warden_api::Problem::{
    ArtifactLoaded, ArtifactNotFound, ArtifactStatusUnknown, DependencyNotMet, DependencyRefused,
    ItemNotFound, PreconditionFailed, StorageFull, TooManyArtifacts, TooManyWorkflows, WorkflowNotFound,
};
use warden_api::artifact::{
    ArtifactClaimRequest, Artifacts, ChangeRequest, RegisterRequests, Registered, StatusRequest,
};
use warden_api::word::Scope;
use warden_api::{Artifact, path};

use crate::http::artifacts;
use crate::http::openapi::{document, json, page};
use crate::http::parameter::{IF_MATCH, OF_ARTIFACTS, PAGING, WORKFLOWS};
use crate::http::route::Route;
use crate::http::server::{AnyWorkflow, InBody, OfArtifact};

pub fn routes() -> Vec<Route> {
    vec![
        Route::post(path::ARTIFACTS, "register_artifacts")
            .needs::<InBody>(Scope::Ingest)
            .about(
                "Register an artifact, or a list of up to 1000 of them: all or none.\n\n\
                One with the same workflow, location and name is returned as it is and not changed, so a \
                repetition is safe. The `id` follows from these three.",
            )
            .body(document::<RegisterRequests>())
            .answers(201, "Registered; of a list at least one", json::<Registered>())
            .answers(200, "All were known", json::<Registered>())
            .refuses(&[
                ArtifactStatusUnknown,
                DependencyNotMet,
                DependencyRefused,
                ItemNotFound,
                TooManyArtifacts,
                TooManyWorkflows,
                WorkflowNotFound,
                StorageFull,
            ])
            .to(artifacts::post),
        Route::get(path::ARTIFACTS, "list_artifacts")
            .needs::<AnyWorkflow>(Scope::Read)
            .about(
                "Find artifacts, the oldest registration first. Nothing is changed.\n\n\
                A search for a rare match may end early: a page may have fewer entries than `limit`, even \
                none, and still have a `next_cursor`.",
            )
            .takes(&[OF_ARTIFACTS, &[WORKFLOWS], PAGING])
            .answers(200, "A page", page::<Artifact>())
            .refuses(&[ArtifactStatusUnknown])
            .to(artifacts::list),
        Route::get(path::ARTIFACT, "get_artifact")
            .needs::<OfArtifact>(Scope::Read)
            .about("Get an artifact. Runs of workflows that the token does not include are left out.")
            .answers(200, "The artifact", json::<Artifact>())
            .refuses(&[ArtifactNotFound])
            .to(artifacts::get),
        Route::patch(path::ARTIFACT, "change_artifact")
            .needs::<OfArtifact>(Scope::Ingest)
            .about(
                "Change an artifact: its status, and what is known of its contents.\n\n\
                Any status may follow any other, except that what it depends on is loaded before it is \
                `loading`, and one whose `use` is `once` is loaded once. A change that changes nothing \
                leaves the version as it is.",
            )
            .takes(&[&[IF_MATCH]])
            .body(document::<ChangeRequest>())
            .answers(200, "The artifact", json::<Artifact>())
            .refuses(&[
                ArtifactNotFound,
                PreconditionFailed,
                ArtifactStatusUnknown,
                ArtifactLoaded,
                DependencyNotMet,
                DependencyRefused,
                StorageFull,
            ])
            .to(artifacts::patch),
        Route::post(path::ARTIFACTS_STATUS, "change_artifacts")
            .needs::<OfArtifact>(Scope::Ingest)
            .about(
                "Change the status of up to 1000 artifacts: of all or none.\n\n\
                The order within the request does not matter: what is loaded along with an artifact need \
                not be loaded before it.",
            )
            .body(document::<StatusRequest>())
            .answers(200, "The artifacts, in the order of the request", json::<Artifacts>())
            .refuses(&[
                ArtifactNotFound,
                ArtifactStatusUnknown,
                ArtifactLoaded,
                DependencyNotMet,
                StorageFull,
            ])
            .to(artifacts::change_status),
        Route::post(path::ARTIFACTS_CLAIM, "claim_artifacts")
            .needs::<AnyWorkflow>(Scope::Work)
            .about(
                "Claim artifacts: give the oldest ones that match another status in one step. Two claimants \
                never get the same one.\n\n\
                Artifacts that may not be loaded yet, because of what they depend on, or not again, are \
                passed over.",
            )
            .body(document::<ArtifactClaimRequest>())
            .answers(200, "The claimed artifacts; none if nothing matches", json::<Artifacts>())
            .refuses(&[ArtifactStatusUnknown, StorageFull])
            .to(artifacts::claim),
    ]
}
