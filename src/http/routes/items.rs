//! Items: created, closed, read, listed and exported.

use warden_api::Problem::{
    ItemClosed, ItemConflict, ItemNotFound, PayloadGone, PreconditionFailed, RangeNotSatisfiable,
    RequirementNotMet, RunOpen, StorageFull, TooManyWorkflows, WorkflowHeld, WorkflowNotFound,
};
use warden_api::item::{ErrorReceipt, ErrorRequest, ItemAnswer, PatchRequest, Summary};
use warden_api::path;
use warden_api::word::Scope;
use warden_api::{Item, Problem};

use crate::http::openapi::{document, file, json, lines, merge_patch, no_body, page, payload, text};
use crate::http::parameter::{
    CURSOR_OF_EXPORT, END, ENDED_AT, FILTERS, HISTORY, IF_MATCH, KEY_OF_ERROR, KEY_OF_ITEM, ORDER_OF_EXPORT,
    ORDER_OF_LIST, OUTCOME, PAGING, PREFER, RANGE, STATES, STATES_BUT_CLOSED, TERMS, WORKFLOWS,
};
use crate::http::route::Route;
use crate::http::server::{EachLine, InPath, Matching};
use crate::http::{batch, export, items, list};
use crate::model::{ItemKey, WorkflowName};

/// Of a create in a workflow whose items are runs.
const RUN_REFUSED: [Problem; 3] = [RunOpen, WorkflowHeld, RequirementNotMet];

pub fn routes() -> Vec<Route> {
    vec![
        Route::put(path::ITEM, "create_item")
            .needs::<InPath<ItemKey>>(Scope::Ingest)
            .about(
                "Create an item. The body is its payload.\n\n\
                The payload is stored byte for byte and never decoded, with its `Content-Type` \
                (`application/octet-stream` by default) and its `Content-Encoding`. Other headers that \
                describe a body, such as `Content-Language`, are not stored; use labels. Repeating the \
                request with the same payload returns the existing item with 200; with another payload it \
                is a conflict (409).",
            )
            .takes(&[TERMS, &[PREFER]])
            .body(payload())
            .answers(201, "Created", json::<ItemAnswer>())
            .answers(200, "The item is open already, with the same payload", json::<ItemAnswer>())
            .refuses(&[ItemConflict, ItemClosed, WorkflowNotFound, TooManyWorkflows, StorageFull])
            .refuses(&RUN_REFUSED)
            .to(items::put),
        Route::post(path::WORKFLOW_ITEMS, "post_item")
            .needs::<InPath<WorkflowName>>(Scope::Ingest)
            .about("Create an item with a generated id. The body is its payload, as with a given id.")
            .takes(&[TERMS, &[KEY_OF_ITEM, PREFER]])
            .body(payload())
            .answers(201, "Created; `Location` is its path", json::<ItemAnswer>())
            .refuses(&[ItemConflict, ItemClosed, WorkflowNotFound, TooManyWorkflows, StorageFull])
            .refuses(&RUN_REFUSED)
            .to(items::post),
        Route::get(path::ITEM, "get_item")
            .needs::<InPath<ItemKey>>(Scope::Read)
            .about("Get an item.")
            .answers(200, "The item", json::<Item>())
            .refuses(&[ItemNotFound])
            .to(items::get),
        Route::patch(path::ITEM, "patch_item")
            .needs::<InPath<ItemKey>>(Scope::Ingest)
            .about("Change the deadline, labels or progress of an open item (JSON merge patch, RFC 7396).")
            .takes(&[&[IF_MATCH]])
            .body(merge_patch::<PatchRequest>())
            .answers(200, "The changed item", json::<ItemAnswer>())
            .refuses(&[ItemNotFound, ItemClosed, PreconditionFailed, StorageFull])
            .to(items::patch),
        Route::delete(path::ITEM, "close_item")
            .needs::<InPath<ItemKey>>(Scope::Ingest)
            .about("Close an item. Closing it again succeeds.")
            .takes(&[&[OUTCOME, ENDED_AT]])
            .answers(204, "Closed, by this request or an earlier one", no_body())
            .refuses(&[ItemNotFound, WorkflowNotFound])
            .to(items::delete),
        Route::get(path::ITEM_PAYLOAD, "get_payload")
            .needs::<InPath<ItemKey>>(Scope::Recover)
            .about(
                "Get an item's payload, byte for byte.\n\n\
                The `Content-Type` and `Content-Encoding` are those of the create, whatever `Accept` and \
                `Accept-Encoding` say. `Content-Length`, `ETag`, `Repr-Digest` and ranges refer to the \
                stored bytes.",
            )
            .takes(&[&[RANGE]])
            .answers(200, "The payload, with its content type", file())
            .answers(206, "The requested range", file())
            .answers(304, "Not modified: `If-None-Match` has the current ETag", no_body())
            .refuses(&[ItemNotFound, PayloadGone, RangeNotSatisfiable])
            .to(items::payload),
        Route::post(path::ITEM_ERRORS, "report_error")
            .needs::<InPath<ItemKey>>(Scope::Ingest)
            .about("Report an error on an open item. A fatal error fails the item.")
            .takes(&[&[KEY_OF_ERROR]])
            .body(document::<ErrorRequest>())
            .answers(201, "Reported", json::<ErrorReceipt>())
            .refuses(&[ItemNotFound, ItemClosed, StorageFull])
            .to(items::report),
        Route::post(path::BATCH, "batch")
            .needs::<EachLine>(Scope::Ingest)
            .about(
                "Create and close many items: NDJSON, one item per line. The response has one line for \
                each, in order.\n\n\
                A create line may include the history of an imported item, in the fields that an export \
                adds, such as `state` and `created_at`. This requires a token with the scope `admin`. The \
                item is restored with its history, except leases, version, incidents and idempotency keys: \
                a failed item is failed, a late one is overdue at once, and a closed one has the retention \
                of its workflow here. Existing items are not changed: the same payload again gets 200, \
                whatever has happened to the item since.\n\n\
                The output of `GET /v1/export` can be sent unchanged. `cursor` is ignored, and a line \
                `{\"op\":\"end\",…}` gets 200 without a check of its number and checksum.",
            )
            .body(lines())
            .answers(200, "One line for each, with its status or a problem", text(&["application/x-ndjson"]))
            .to(batch::batch),
        Route::get(path::ITEMS, "list_items")
            .needs::<Matching>(Scope::Read)
            .about("List items. Combine filters; each narrows the list.")
            .takes(&[&[WORKFLOWS, STATES], FILTERS, &[ORDER_OF_LIST], PAGING])
            .answers(200, "A page", page::<Item>())
            .to(list::list),
        Route::get(path::ITEMS_SUMMARY, "summarise_items")
            .needs::<Matching>(Scope::Read)
            .about("Count items by workflow, step and state, with the total size of their payloads.")
            .takes(&[&[WORKFLOWS, STATES], FILTERS])
            .answers(200, "The counts", json::<Summary>())
            .to(list::summary),
        Route::get(path::EXPORT, "export_items")
            .needs::<Matching>(Scope::Recover)
            .about(
                "Export items with their payloads as NDJSON, in the form that `POST /v1/batch` accepts.\n\n\
                Lines include the items' history: `state`, `created_at`, `step_entered_at`, `failed_at`, \
                `step_attempts`, `deadline_from` (`duration` if the deadline was given as one), \
                `retry_at`, `steps`, `progress` and `errors`. Closed items also have `closed_at` and \
                `outcome`, and without a stored payload `payload_size` and `payload_sha256`. Closed items, \
                and tombstones of items that were closed before they were created, are included only with \
                `state=closed`. `history=false` omits the history and closed items; such lines can be \
                imported without the scope `admin`. Leases, versions, incidents and idempotency keys are \
                not exported.\n\n\
                Each line has a `cursor` to continue after it. With `end=true` a final line has the number \
                of lines and the SHA-256 of all bytes before it, in hexadecimal: \
                `{\"op\":\"end\",\"lines\":2,\"sha256\":\"…\"}`. If it is missing, the export is \
                incomplete.",
            )
            .takes(&[
                &[WORKFLOWS, STATES_BUT_CLOSED],
                FILTERS,
                &[ORDER_OF_EXPORT, CURSOR_OF_EXPORT, HISTORY, END],
            ])
            .answers(200, "One line per item", text(&["application/x-ndjson"]))
            .to(export::export),
    ]
}
