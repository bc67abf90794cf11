//! Workflows: policies, counts and deletion.

use warden_api::Problem::{WorkflowConfigured, WorkflowInUse, WorkflowNotFound};
use warden_api::word::Scope;
use warden_api::workflow::Stats;
use warden_api::{Workflow, path};

use crate::http::openapi::{json, no_body, page};
use crate::http::parameter::PAGING;
use crate::http::route::Route;
use crate::http::server::{AnyWorkflow, InPath};
use crate::http::workflows;
use crate::model::WorkflowName;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(path::WORKFLOWS, "list_workflows")
            .needs::<AnyWorkflow>(Scope::Read)
            .about("List workflows by name.")
            .takes(&[PAGING])
            .answers(200, "A page", page::<Workflow>())
            .to(workflows::list),
        Route::get(path::WORKFLOW, "get_workflow")
            .needs::<InPath<WorkflowName>>(Scope::Read)
            .about("Get a workflow's policy.")
            .answers(200, "The workflow", json::<Workflow>())
            .refuses(&[WorkflowNotFound])
            .to(workflows::get),
        Route::delete(path::WORKFLOW, "delete_workflow")
            .needs::<InPath<WorkflowName>>(Scope::Admin)
            .about(
                "Delete a workflow that was created on first use, with its closed items, whose ids are free \
                again. It must have no open items or incidents. Its resolved incidents are kept for their \
                retention.",
            )
            .answers(204, "Deleted", no_body())
            .refuses(&[WorkflowNotFound, WorkflowInUse, WorkflowConfigured])
            .to(workflows::delete),
        Route::get(path::WORKFLOW_STATS, "get_workflow_stats")
            .needs::<InPath<WorkflowName>>(Scope::Read)
            .about("Get the counts of a workflow's items.")
            .answers(200, "The counts", json::<Stats>())
            .refuses(&[WorkflowNotFound])
            .to(workflows::stats),
    ]
}
