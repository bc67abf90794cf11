//! Workflows: policies, counts and deletion.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use warden_api::Page;
use warden_api::workflow::Stats;

use super::Server;
use super::access::Access;
use super::json::Json;
use super::page::Paging;
use super::problem::{Problem, success};
use super::request::{NoQuery, Query, WorkflowPath};
use super::view::WorkflowFacts;
use crate::config::Scope;
use crate::model::WorkflowName;
use crate::warden::{WardenError, WorkflowEntry};

/// List workflows by name.
#[utoipa::path(get, path = "/v1/workflows", operation_id = "list_workflows", tag = "workflows",
    params(("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Workflow>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Page<warden_api::Workflow>>, Problem> {
    access.require(Scope::Read)?;
    let paging = Paging::read(&mut query)?;
    query.finish("limit, cursor")?;
    let mut entries = server.warden.workflows.list();
    entries.retain(|entry| access.admits(&entry.name));
    let moment = server.moment();
    let view = |entry: WorkflowEntry| {
        let next_expected_at = server.warden.expectations.next_expected_at(&entry.name);
        WorkflowFacts { entry, next_expected_at, moment }.into()
    };
    Ok(Json(paging.page(entries, |entry: &WorkflowEntry| entry.name.to_string(), view)))
}

/// Get a workflow's policy.
#[utoipa::path(get, path = "/v1/workflows/{workflow}", operation_id = "get_workflow", tag = "workflows",
    params(("workflow" = String, Path)),
    responses((status = 200, description = "The workflow", body = warden_api::Workflow)))]
pub async fn get(
    State(server): State<Arc<Server>>,
    access: Access,
    WorkflowPath(name): WorkflowPath,
    _: NoQuery,
) -> Result<Json<warden_api::Workflow>, Problem> {
    known(&server, &access, &name)?;
    let entry = server.warden.workflows.list().into_iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| unknown(&name))?;
    let next_expected_at = server.warden.expectations.next_expected_at(&name);
    Ok(Json(WorkflowFacts { entry, next_expected_at, moment: server.moment() }.into()))
}

/// Get the counts of a workflow's items.
#[utoipa::path(get, path = "/v1/workflows/{workflow}/stats", operation_id = "get_workflow_stats",
    tag = "workflows", params(("workflow" = String, Path)),
    responses((status = 200, description = "The counts", body = Stats)))]
pub async fn stats(
    State(server): State<Arc<Server>>,
    access: Access,
    WorkflowPath(name): WorkflowPath,
    _: NoQuery,
) -> Result<Json<Stats>, Problem> {
    known(&server, &access, &name)?;
    Ok(Json(server.warden.queries.tally(&name).into()))
}

/// Delete a workflow that was created on first use, with its closed items, whose ids are free again. It must
/// have no open items or incidents. Its resolved incidents are kept for their retention.
#[utoipa::path(delete, path = "/v1/workflows/{workflow}", operation_id = "delete_workflow",
    tag = "workflows", params(("workflow" = String, Path)),
    responses((status = 204, description = "Deleted")))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    access: Access,
    WorkflowPath(name): WorkflowPath,
    _: NoQuery,
) -> Result<Response, Problem> {
    access.require_for(Scope::Admin, &name)?;
    server.warden.retention.delete_workflow(&name).await?;
    tracing::info!(workflow = %name, by = access.name().unwrap_or("anonymous"), "workflow deleted");
    Ok(success::DONE.into_response())
}

fn known(server: &Server, access: &Access, name: &WorkflowName) -> Result<(), Problem> {
    access.require_for(Scope::Read, name)?;
    if server.warden.workflows.contains(name) { Ok(()) } else { Err(unknown(name)) }
}

fn unknown(name: &WorkflowName) -> Problem {
    WardenError::WorkflowUnknown(name.clone()).into()
}
