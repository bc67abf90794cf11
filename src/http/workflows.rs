//! Workflows: policies, counts and deletion.

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use warden_api::Page;
use warden_api::workflow::Stats;

use super::document::document;
use super::json::Json;
use super::page::Paging;
use super::problem::{Problem, success};
use super::reload::{ConfigChange, change};
use super::request::Query;
use super::server::{Allowed, AnyWorkflow, InPath, Services};
use super::view::{self, WorkflowFacts};
use crate::model::{Definition, WorkflowName};
use crate::warden::{WardenError, WorkflowEntry};

pub async fn list(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Workflow>>, Problem> {
    let (services, access) = allowed.visible();
    let paging = Paging::read(&mut query)?;
    let mut entries = services.workflows.list();
    entries.retain(|entry| access.admits(&entry.name));
    let moment = services.moment();
    let view = |entry: WorkflowEntry| {
        let next_expected_at = services.expectations.next_expected_at(&entry.name);
        WorkflowFacts { entry, next_expected_at, moment, whole: false }.into()
    };
    Ok(Json(paging.page(entries, |entry: &WorkflowEntry| entry.name.to_string(), view)))
}

pub async fn get(allowed: Allowed<InPath<WorkflowName>>) -> Result<Json<warden_api::Workflow>, Problem> {
    let (services, name) = allowed.granted();
    one(&services, &name).map(Json)
}

fn one(services: &Services, name: &WorkflowName) -> Result<warden_api::Workflow, Problem> {
    let entry = services.workflows.list().into_iter().find(|entry| entry.name == *name);
    let entry = entry.ok_or_else(|| unknown(name))?;
    let next_expected_at = services.expectations.next_expected_at(name);
    Ok(WorkflowFacts { entry, next_expected_at, moment: services.moment(), whole: true }.into())
}

pub async fn put(allowed: Allowed<InPath<WorkflowName>>, request: Request) -> Result<Response, Problem> {
    let (services, name) = allowed.granted();
    let (parts, body) = request.into_parts();
    let definition: Definition = document(services.server(), &parts, body).await?;
    let define = |answer| ConfigChange::Define(name.clone(), definition.into(), answer);
    let is_new = change(services.server(), define).await?;
    let status = if is_new { success::CREATED } else { success::OK };
    Ok((status, Json(one(&services, &name)?)).into_response())
}

pub async fn stats(allowed: Allowed<InPath<WorkflowName>>) -> Result<Json<Stats>, Problem> {
    let (services, name) = allowed.granted();
    if !services.workflows.contains(&name) {
        return Err(unknown(&name));
    }
    let (tally, steps) = (services.queries.tally(&name), services.queries.step_tallies(&name));
    Ok(Json(view::stats(tally, steps, &services.workflows.policy(&name))))
}

pub async fn delete(allowed: Allowed<InPath<WorkflowName>>) -> Result<Response, Problem> {
    let (services, name) = allowed.granted();
    if services.workflows.is_defined(&name) {
        change(services.server(), |answer| ConfigChange::Remove(name.clone(), answer)).await?;
    } else {
        services.retention.delete_workflow(&name).await?;
    }
    let by = services.access().name().unwrap_or("anonymous");
    tracing::info!(workflow = %name, by, "workflow deleted");
    Ok(success::DONE.into_response())
}

fn unknown(name: &WorkflowName) -> Problem {
    WardenError::WorkflowUnknown(name.clone()).into()
}
