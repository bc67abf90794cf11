//! Recovery: claims, leases, retries and replays.

use warden_api::Problem::{
    ItemClosed, ItemNotFound, LeaseLost, LeaseNotFound, PreconditionFailed, ReplayEnded, ReplayNotFound,
    SelectionTooLarge, StepOrder, StepUnknown, StorageFull, TooManyReplays, WorkflowNotFound,
};
use warden_api::item::{Changed, ExtendRequest, ItemAnswer, Retried, Summary};
use warden_api::lease::{
    ClaimRequest, Claimed, CompleteRequest, FailRequest, HeartbeatRequest, Lease, ReleaseRequest,
};
use warden_api::replay::ReplayRequest;
use warden_api::step::{RetryRequest, StepRequest};
use warden_api::word::Scope;
use warden_api::{Item, Replay, path};

use crate::http::openapi::{
    any_object, document, json, merge_patch_of_any, no_body, object, optional_document, page,
};
use crate::http::parameter::{
    CONTINUING, FILTERS, IF_MATCH, KEY_OF_REPLAY, ORDER_OF_EXPORT, OUTCOME, PAGING, PROGRESS_OPERATION,
    REQUIRED_WORKFLOWS, STATES_BUT_CLOSED, STATES_OF_RETRY, STATUS_OF_REPLAYS, WORKFLOWS,
};
use crate::http::request::StepPath;
use crate::http::route::Route;
use crate::http::server::{AnyWorkflow, InBody, InPath, Matching, OfLease, OfReplay};
use crate::http::{items, leases, progress, replays, selection};
use crate::model::ItemKey;

pub fn routes() -> Vec<Route> {
    vec![
        Route::post(path::ITEM_RETRY, "retry_item")
            .needs::<InPath<ItemKey>>(Scope::Recover)
            .about(
                "Send an item on that has failed, is interrupted, or waits for its next attempt: at its \
                current step or from another one, at once or later. Without `from`, `after` and `at` any \
                other item is not changed.",
            )
            .body(optional_document::<RetryRequest>())
            .answers(200, "The changed item", json::<Item>())
            .refuses(&[ItemNotFound, ItemClosed, StepUnknown])
            .to(items::retry),
        Route::post(path::ITEM_CANCEL, "cancel_item")
            .needs::<InPath<ItemKey>>(Scope::Recover)
            .about(
                "Cancel an item for good: it is closed as discarded. The holder of its lease learns it at \
                the next heartbeat, and cannot complete the step. Cancelling it again succeeds.",
            )
            .answers(204, "Cancelled, or closed earlier", no_body())
            .refuses(&[ItemNotFound, WorkflowNotFound])
            .to(items::cancel),
        Route::post(path::ITEM_STEP, "report_step")
            .needs::<InPath<StepPath>>(Scope::Work)
            .about(
                "Report how a run of the step that an item is at ended, without a lease. A running lease \
                ends. After the last step the item is closed. Repeating a report changes nothing.",
            )
            .body(optional_document::<StepRequest>())
            .answers(200, "The changed item", json::<ItemAnswer>())
            .refuses(&[ItemNotFound, ItemClosed, StepOrder, StepUnknown, StorageFull])
            .to(items::report_step),
        Route::get(path::ITEM_PROGRESS, "get_progress")
            .needs::<InPath<ItemKey>>(Scope::Work)
            .about("Get the progress document that all steps of an item share.")
            .answers(200, "The document", object())
            .refuses(&[ItemNotFound])
            .to(progress::get),
        Route::put(path::ITEM_PROGRESS, "set_progress")
            .needs::<InPath<ItemKey>>(Scope::Work)
            .about("Replace the progress document that all steps of an open item share.")
            .takes(&[&[IF_MATCH]])
            .body(any_object())
            .answers(200, "The changed document", object())
            .refuses(&[ItemNotFound, ItemClosed, PreconditionFailed, StorageFull])
            .to(progress::put),
        Route::patch(path::ITEM_PROGRESS, "change_progress")
            .needs::<InPath<ItemKey>>(Scope::Work)
            .about("Change members of the progress document that all steps of an open item share.")
            .takes(&[&[PROGRESS_OPERATION, IF_MATCH]])
            .body(merge_patch_of_any())
            .answers(200, "The changed document", object())
            .refuses(&[ItemNotFound, ItemClosed, PreconditionFailed, StorageFull])
            .to(progress::patch),
        Route::get(path::STEP_PROGRESS, "get_step_progress")
            .needs::<InPath<StepPath>>(Scope::Work)
            .about("Get the progress document of a step of an item.")
            .answers(200, "The document", object())
            .refuses(&[ItemNotFound, StepUnknown])
            .to(progress::get_of_step),
        Route::put(path::STEP_PROGRESS, "set_step_progress")
            .needs::<InPath<StepPath>>(Scope::Work)
            .about("Replace the progress document of a step of an open item, whichever step it is at.")
            .takes(&[&[IF_MATCH]])
            .body(any_object())
            .answers(200, "The changed document", object())
            .refuses(&[ItemNotFound, ItemClosed, StepUnknown, PreconditionFailed, StorageFull])
            .to(progress::put_of_step),
        Route::patch(path::STEP_PROGRESS, "change_step_progress")
            .needs::<InPath<StepPath>>(Scope::Work)
            .about("Change members of the progress document of a step of an open item.")
            .takes(&[&[PROGRESS_OPERATION, IF_MATCH]])
            .body(merge_patch_of_any())
            .answers(200, "The changed document", object())
            .refuses(&[ItemNotFound, ItemClosed, StepUnknown, PreconditionFailed, StorageFull])
            .to(progress::patch_of_step),
        Route::post(path::ITEMS_RETRY, "retry_items")
            .needs::<Matching>(Scope::Recover)
            .about(
                "Retry many items: those that match, or the failed ones if no state is given, as a retry of \
                each does. Items without the step that `from` names are not changed. A request retries up \
                to `limit` items; continue with `next_cursor`. Items created after the first request are \
                left out.",
            )
            .takes(&[&[WORKFLOWS, STATES_OF_RETRY], FILTERS, &[ORDER_OF_EXPORT], CONTINUING])
            .body(optional_document::<RetryRequest>())
            .answers(200, "The number of retried items", json::<Retried>())
            .to(selection::retry),
        Route::post(path::ITEMS_CLOSE, "close_items")
            .needs::<Matching>(Scope::Recover)
            .about(
                "Close many items: those that match, of the workflows that `workflow` names. A request \
                closes up to `limit` items; continue with `next_cursor`. Items created after the first \
                request are left out.",
            )
            .takes(&[&[REQUIRED_WORKFLOWS, STATES_BUT_CLOSED, OUTCOME], FILTERS, CONTINUING])
            .answers(200, "The number of closed items", json::<Changed>())
            .to(selection::close),
        Route::post(path::ITEMS_CANCEL, "cancel_items")
            .needs::<Matching>(Scope::Recover)
            .about(
                "Cancel many items for good, as cancelling each does: those that match, of the workflows \
                that `workflow` names. Continue as with closing many items.",
            )
            .takes(&[&[REQUIRED_WORKFLOWS, STATES_BUT_CLOSED], FILTERS, CONTINUING])
            .answers(200, "The number of cancelled items", json::<Changed>())
            .to(selection::cancel),
        Route::post(path::ITEMS_EXTEND, "extend_items")
            .needs::<Matching>(Scope::Recover)
            .about(
                "Give many items a later deadline: those that match, of the workflows that `workflow` \
                names. Items whose deadline is later than that are not changed. Continue as with closing \
                many items.",
            )
            .takes(&[&[REQUIRED_WORKFLOWS, STATES_BUT_CLOSED], FILTERS, CONTINUING])
            .body(document::<ExtendRequest>())
            .answers(200, "The number of items with a new deadline", json::<Changed>())
            .to(selection::extend),
        Route::post(path::LEASES, "claim")
            .needs::<Matching>(Scope::Work)
            .about(
                "Claim items: lease matching ones, earliest deadline first. With `wait` the request waits \
                for an item if none is claimable (long polling). A claim is not idempotent: if the \
                response is lost, the items stay leased until the ttl has passed.",
            )
            .body(optional_document::<ClaimRequest>())
            .answers(200, "The leases, with their items", json::<Claimed>())
            .to(leases::claim),
        Route::post(path::LEASE_HEARTBEAT, "heartbeat")
            .needs::<OfLease>(Scope::Work)
            .about("Extend a lease.")
            .body(optional_document::<HeartbeatRequest>())
            .answers(200, "The extended lease", json::<Lease>())
            .refuses(&[LeaseNotFound, LeaseLost, StorageFull])
            .to(leases::heartbeat),
        Route::post(path::LEASE_COMPLETE, "complete")
            .needs::<OfLease>(Scope::Work)
            .about(
                "Complete the current step. The next step becomes claimable; after the last one the item is \
                closed.",
            )
            .body(optional_document::<CompleteRequest>())
            .answers(200, "The changed item", json::<Item>())
            .refuses(&[LeaseNotFound, LeaseLost, StorageFull])
            .to(leases::complete),
        Route::post(path::LEASE_FAIL, "fail")
            .needs::<OfLease>(Scope::Work)
            .about(
                "Report a failed attempt. The item is retried after a back-off, or fails, by the workflow's \
                policy.",
            )
            .body(document::<FailRequest>())
            .answers(200, "The changed item", json::<Item>())
            .refuses(&[LeaseNotFound, LeaseLost, StorageFull])
            .to(leases::fail),
        Route::post(path::LEASE_RELEASE, "release")
            .needs::<OfLease>(Scope::Work)
            .about(
                "Release a lease without an attempt: the item can be claimed again at once, or after \
                `delay`.",
            )
            .body(optional_document::<ReleaseRequest>())
            .answers(200, "The changed item", json::<Item>())
            .refuses(&[LeaseNotFound, LeaseLost])
            .to(leases::release),
        Route::get(path::REPLAYS, "list_replays")
            .needs::<AnyWorkflow>(Scope::Recover)
            .about(
                "List replays, newest first. A token that is limited to some workflows sees those that it \
                could have started.",
            )
            .takes(&[&[STATUS_OF_REPLAYS], PAGING])
            .answers(200, "A page", page::<Replay>())
            .to(replays::list),
        Route::post(path::REPLAYS, "start_replay")
            .needs::<InBody>(Scope::Recover)
            .about(
                "Start a replay: post the items that match now to a target, at a set rate. Each request has \
                the item's payload and content type, and headers that identify the item. Items that are \
                closed in the meantime are skipped.",
            )
            .takes(&[&[KEY_OF_REPLAY]])
            .body(document::<ReplayRequest>())
            .answers(202, "Started; `Location` is its path", json::<Replay>())
            .answers(200, "With `dry_run`: the items that would be sent", json::<Summary>())
            .refuses(&[TooManyReplays, SelectionTooLarge, StorageFull])
            .to(replays::post),
        Route::get(path::REPLAY, "get_replay")
            .needs::<OfReplay>(Scope::Recover)
            .about("Get a replay and its progress.")
            .answers(200, "The replay", json::<Replay>())
            .refuses(&[ReplayNotFound])
            .to(replays::get),
        Route::post(path::REPLAY_PAUSE, "pause_replay")
            .needs::<OfReplay>(Scope::Recover)
            .about(
                "Pause a replay. Requests in flight are completed; nothing more is sent until it is resumed.",
            )
            .answers(200, "The replay", json::<Replay>())
            .refuses(&[ReplayNotFound, ReplayEnded])
            .to(replays::pause),
        Route::post(path::REPLAY_RESUME, "resume_replay")
            .needs::<OfReplay>(Scope::Recover)
            .about(
                "Resume a paused replay. A canary that has not passed starts again, and so does the ramp-up.",
            )
            .answers(200, "The replay", json::<Replay>())
            .refuses(&[ReplayNotFound, ReplayEnded, TooManyReplays])
            .to(replays::resume),
        Route::post(path::REPLAY_CANCEL, "cancel_replay")
            .needs::<OfReplay>(Scope::Recover)
            .about("Cancel a replay. Requests in flight are completed; the remaining items are not sent.")
            .answers(200, "The replay", json::<Replay>())
            .refuses(&[ReplayNotFound, ReplayEnded])
            .to(replays::cancel),
    ]
}
