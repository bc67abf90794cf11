//! Runs: opening, ending, parameters, windows, holds, waiting.

use warden_api::Problem::{
    ItemClosed, ItemConflict, NoRunOpen, RequirementNotMet, RunFailed, RunNotFound, RunOpen, StorageFull,
    TooManyWorkflows, WorkflowHeld, WorkflowNotFound,
};
use warden_api::item::ItemAnswer;
use warden_api::run::{
    CloseRunRequest, FailRunRequest, HoldWorkflowRequest, ReleaseWorkflowRequest, RunRequest, RunsStatus,
    Waited, Windows,
};
use warden_api::word::Scope;
use warden_api::{Run, path};

use crate::http::openapi::{json, no_body, object_or_text, optional_document, page};
use crate::http::parameter::{
    COVERS, DATES, FAIL_FAST, FORMAT_OF_PARAMS, KEY_OF_ITEM, LINEAGE, PAGING, RUN, RUN_TIMEOUT, SINCE,
    SINCE_OF_WAIT, STATUS_OF_RUNS, TIMEZONE, UNTIL, WAITED_WORKFLOWS,
};
use crate::http::route::Route;
use crate::http::runs;
use crate::http::server::{AnyWorkflow, InPath};
use crate::model::WorkflowName;

pub fn routes() -> Vec<Route> {
    vec![
        Route::post(path::WORKFLOW_RUNS, "open_run")
            .needs::<InPath<WorkflowName>>(Scope::Ingest)
            .about(
                "Open a run: an item with a number, parameters, and for each job of the workflow a window \
                of time. It is refused while another run is open, the workflow is on hold, or a workflow \
                that it requires has not succeeded, unless the policy says otherwise. A held run is created, \
                and opens later.",
            )
            .takes(&[&[KEY_OF_ITEM]])
            .body(optional_document::<RunRequest>())
            .answers(201, "The run; `Location` is the path of its item", json::<ItemAnswer>())
            .refuses(&[
                WorkflowNotFound,
                TooManyWorkflows,
                ItemConflict,
                ItemClosed,
                RunOpen,
                WorkflowHeld,
                RequirementNotMet,
                StorageFull,
            ])
            .to(runs::open),
        Route::get(path::WORKFLOW_RUNS, "list_runs")
            .needs::<InPath<WorkflowName>>(Scope::Read)
            .about("List the runs of a workflow, newest first, also those whose items are forgotten.")
            .takes(&[&[STATUS_OF_RUNS, SINCE], LINEAGE, PAGING])
            .answers(200, "A page", page::<Run>())
            .refuses(&[WorkflowNotFound])
            .to(runs::list),
        Route::get(path::RUNS_STATUS, "get_runs_status")
            .needs::<InPath<WorkflowName>>(Scope::Read)
            .about("Get what the runs of a workflow have come to: hold, failures in a row, watermarks.")
            .answers(200, "The status", json::<RunsStatus>())
            .refuses(&[WorkflowNotFound])
            .to(runs::status),
        Route::get(path::CURRENT_RUN, "get_current_run")
            .needs::<InPath<WorkflowName>>(Scope::Ingest)
            .about("Get the newest open run of a workflow.")
            .answers(200, "Its item", json::<ItemAnswer>())
            .refuses(&[WorkflowNotFound, NoRunOpen])
            .to(runs::current),
        Route::post(path::CURRENT_RUN_CLOSE, "close_current_run")
            .needs::<InPath<WorkflowName>>(Scope::Ingest)
            .about("Close the newest open run of a workflow.")
            .body(optional_document::<CloseRunRequest>())
            .answers(200, "Its item", json::<ItemAnswer>())
            .refuses(&[WorkflowNotFound, NoRunOpen])
            .to(runs::close),
        Route::post(path::CURRENT_RUN_FAIL, "fail_current_run")
            .needs::<InPath<WorkflowName>>(Scope::Ingest)
            .about(
                "Fail the newest open run of a workflow. Its item stays failed, with its payload, until a \
                later run succeeds or a person acts.",
            )
            .body(optional_document::<FailRunRequest>())
            .answers(200, "Its item", json::<ItemAnswer>())
            .refuses(&[WorkflowNotFound, NoRunOpen, StorageFull])
            .to(runs::fail),
        Route::get(path::WORKFLOW_PARAMS, "get_params")
            .needs::<InPath<WorkflowName>>(Scope::Ingest)
            .about(
                "Get the parameters of a run, by default of the latest that has begun: as JSON, as YAML, as \
                assignments for a shell, or as a parameter file of Informatica.",
            )
            .takes(&[&[FORMAT_OF_PARAMS, DATES, RUN]])
            .answers(200, "The parameters", object_or_text(&["application/yaml", "text/plain"]))
            .refuses(&[WorkflowNotFound, NoRunOpen, RunNotFound])
            .to(runs::params),
        Route::get(path::WORKFLOW_WINDOWS, "get_windows")
            .needs::<InPath<WorkflowName>>(Scope::Read)
            .about("Get which intervals the successful runs of a workflow cover, and the gaps between them.")
            .takes(&[&[SINCE, UNTIL]])
            .answers(200, "The intervals by job", json::<Windows>())
            .refuses(&[WorkflowNotFound])
            .to(runs::windows),
        Route::get(path::WORKFLOW_WAIT, "wait_for_workflow")
            .needs::<InPath<WorkflowName>>(Scope::Read)
            .about(
                "Wait until the latest run of a workflow has ended in success since the given time. An \
                earlier success does not count while a later run is open or has failed.",
            )
            .takes(&[&[SINCE_OF_WAIT, TIMEZONE, COVERS, RUN_TIMEOUT, FAIL_FAST]])
            .answers(200, "It has", json::<Waited>())
            .answers(204, "It has not before the timeout", no_body())
            .refuses(&[WorkflowNotFound, RunFailed])
            .to(runs::wait),
        Route::get(path::WAIT, "wait_for_workflows")
            .needs::<AnyWorkflow>(Scope::Read)
            .about("Wait until the latest run of each workflow has ended in success since the given time.")
            .takes(&[&[WAITED_WORKFLOWS, SINCE_OF_WAIT, TIMEZONE, COVERS, RUN_TIMEOUT, FAIL_FAST]])
            .answers(200, "They have", json::<Waited>())
            .answers(204, "They have not before the timeout", no_body())
            .refuses(&[WorkflowNotFound, RunFailed])
            .to(runs::wait_for_all),
        Route::post(path::WORKFLOW_HOLD, "hold_workflow")
            .needs::<InPath<WorkflowName>>(Scope::Recover)
            .about(
                "Put a workflow on hold: its next run is created but held, and a further one refused. Open \
                runs go on.",
            )
            .body(optional_document::<HoldWorkflowRequest>())
            .answers(200, "The status of its runs", json::<RunsStatus>())
            .refuses(&[WorkflowNotFound])
            .to(runs::hold),
        Route::post(path::WORKFLOW_RELEASE, "release_workflow")
            .needs::<InPath<WorkflowName>>(Scope::Recover)
            .about(
                "End the hold of a workflow. The held run opens, or is closed in success; the count of \
                failed runs begins anew.",
            )
            .body(optional_document::<ReleaseWorkflowRequest>())
            .answers(200, "The status of its runs", json::<RunsStatus>())
            .refuses(&[WorkflowNotFound])
            .to(runs::release),
    ]
}
