//! Workflows: policies, counts and deletion.

use warden_api::Problem::{
    ConfigurationInvalid, StorageFull, TooManyWorkflows, WorkflowConfigured, WorkflowInUse, WorkflowNotFound,
};
use warden_api::word::Scope;
use warden_api::workflow::Stats;
use warden_api::{Workflow, path};

use crate::http::openapi::{any_object, json, no_body, page};
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
        Route::put(path::WORKFLOW, "put_workflow")
            .needs::<InPath<WorkflowName>>(Scope::Admin)
            .about(
                "Define a workflow, or replace its definition.\n\n\
                The body has the settings of `[workflows.NAME]` in the configuration, with the same checks \
                and messages; what is left out is inherited. The definition is durable, and in force when \
                the request is answered; later reloads apply it over the new defaults. A signing secret \
                must be a reference (`env:NAME`, `file:PATH`). What a file defines cannot be changed here.",
            )
            .body(any_object())
            .answers(200, "The changed workflow", json::<Workflow>())
            .answers(201, "The new workflow", json::<Workflow>())
            .refuses(&[WorkflowConfigured, ConfigurationInvalid, TooManyWorkflows, StorageFull])
            .to(workflows::put),
        Route::delete(path::WORKFLOW, "delete_workflow")
            .needs::<InPath<WorkflowName>>(Scope::Admin)
            .about(
                "Delete a workflow that was created on first use or defined by a client, with its closed \
                items, whose ids are free again. It must have no open items or incidents. Its resolved \
                incidents are kept for their retention.",
            )
            .answers(204, "Deleted", no_body())
            .refuses(&[WorkflowNotFound, WorkflowInUse, WorkflowConfigured, ConfigurationInvalid])
            .to(workflows::delete),
        Route::get(path::WORKFLOW_STATS, "get_workflow_stats")
            .needs::<InPath<WorkflowName>>(Scope::Read)
            .about("Get the counts of a workflow's items.")
            .answers(200, "The counts", json::<Stats>())
            .refuses(&[WorkflowNotFound])
            .to(workflows::stats),
    ]
}
