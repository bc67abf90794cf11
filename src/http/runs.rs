//! Runs: open, end, list, parameters, windows, holds, waiting.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use warden_api::run::{
    CloseRunRequest, FailRunRequest, HoldWorkflowRequest, ReleaseWorkflowRequest, RunErrorRequest,
    RunRequest, RunsStatus, Windows,
};
use warden_api::word::{DateStyle, ParamsFormat, RunStatus};
use warden_api::{Page, path};

use super::course;
use super::document::{idempotency_key, optional_document};
use super::items::show;
use super::json::Json;
use super::page::{self, number_cursor, read_number_cursor};
use super::params;
use super::problem::{Problem, success};
use super::request::{self, Query};
use super::server::exchange::Exchange;
use super::server::{Allowed, AnyWorkflow, InPath, Services};
use super::view::{self, RunFacts, RunsFacts, Sent};
use crate::model::run::{Lineage, Window};
use crate::model::{RunEntry, RunHistory, WorkflowName, Zone};
use crate::warden::WardenError;
use crate::warden::intake::{CreateItem, Done, Plan, RunTerms};
use crate::warden::report::ReportError;
use crate::warden::runs::{EndRun, RUN_WAIT_MAX, RunPage, Since, WaitForRuns, Waited};

pub async fn open(allowed: Allowed<InPath<WorkflowName>>, request: Request) -> Result<Response, Problem> {
    let (services, workflow) = allowed.granted();
    let (parts, body) = request.into_parts();
    let document: RunRequest = optional_document(services.server(), &parts, body).await?;
    let create = CreateItem {
        idempotency_key: idempotency_key(&parts)?,
        trace: request::trace(&parts.headers).map(Box::new),
        ..create(workflow, document)?
    };
    let created = services.intake.create(create).await;
    let (item, sent) = match created.map_err(|error| services.access().explain(error))? {
        Done::Created(item) => (item, Sent::Item),
        // A repetition gets the response of the first request, which may have been lost.
        Done::Existed(item) => (item, Sent::Item),
        Done::Closed => return Err(Problem::item_closed("the item is closed")),
    };
    let location = path::fill(path::ITEM, &[&item.workflow, &item.id]);
    let mut response = show(success::CREATED, *item, sent, &services);
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|value| (LOCATION, value)));
    Ok(response)
}

fn create(workflow: WorkflowName, request: RunRequest) -> Result<CreateItem, Problem> {
    let RunRequest { id, payload, payload_base64, content_type, deadline, labels, lineage, .. } = request;
    let RunRequest { steps, progress, not_before, started_at, from, to, .. } = request;
    let (payload, default_type) = self::payload(payload, payload_base64)?;
    let instant =
        |name: &str, text: Option<String>| text.map(|text| request::instant(name, &text)).transpose();
    let backfill = match (instant("from", from)?, instant("to", to)?) {
        (None, None) => None,
        (Some(from), Some(to)) => Some(Window { from: Some(from), to }),
        _ => return Err(Problem::invalid("a backfill must have both from and to")),
    };
    Ok(CreateItem {
        workflow,
        id: id.map(crate::model::ItemId::new).transpose().map_err(WardenError::from)?,
        idempotency_key: None,
        content_type: content_type.as_deref().unwrap_or(default_type).into(),
        content_encoding: Arc::default(),
        payload,
        deadline: deadline.map(|text| request::deadline(&text)).transpose()?,
        labels,
        step: None,
        plan: Plan {
            steps: steps
                .map(|terms| terms.into_iter().map(course::step).collect::<Result<_, _>>())
                .transpose()?,
            progress,
            not_before: not_before.map(|text| request::deadline(&text)).transpose()?,
        },
        trace: None,
        past: None,
        run: Some(RunTerms { lineage, started_at: instant("started_at", started_at)?, backfill }),
    })
}

/// The payload and its default content type.
fn payload(value: Option<Box<RawValue>>, base64: Option<String>) -> Result<(Bytes, &'static str), Problem> {
    match (value, base64) {
        (None, None) => Ok((Bytes::new(), "application/octet-stream")),
        (Some(value), None) if value.get().starts_with('"') => {
            let text: String = serde_json::from_str(value.get()).map_err(|error| {
                Problem::invalid(format!("the payload is not a valid JSON string: {error}"))
            })?;
            Ok((text.into(), "text/plain; charset=utf-8"))
        }
        (Some(value), None) => Ok((Bytes::copy_from_slice(value.get().as_bytes()), "application/json")),
        (None, Some(text)) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| Problem::invalid(format!("payload_base64 is not valid base64: {error}")))?;
            Ok((bytes.into(), "application/octet-stream"))
        }
        (Some(_), Some(_)) => {
            Err(Problem::invalid("the request has payload and payload_base64; send one of them"))
        }
    }
}

pub async fn list(
    allowed: Allowed<InPath<WorkflowName>>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Run>>, Problem> {
    let (services, workflow) = allowed.granted();
    let statuses: Vec<RunStatus> =
        query.all("status").iter().map(|text| request::word("status", text)).collect::<Result<_, _>>()?;
    let since = query.one("since")?.map(|text| request::instant("since", &text)).transpose()?;
    let since = since.map(|since| services.server().clock().to_steady(since));
    let [actor, tool, process_type] = ["actor", "tool", "process_type"].map(|name| query.one(name));
    let (actor, tool, process_type) = (actor?, tool?, process_type?);
    let (sources, targets) = (query.all("source"), query.all("target"));
    let limit = page::limit(&mut query)?;
    let before = query.one("cursor")?.map(|text| read_number_cursor(&text)).transpose()?;
    let unknown = Lineage::default();
    let is_wanted = |entry: &RunEntry| {
        let lineage = entry.lineage.as_ref().unwrap_or(&unknown);
        (statuses.is_empty() || statuses.contains(&entry.status))
            && since.is_none_or(|since| entry.created_at >= since)
            && actor.as_ref().is_none_or(|actor| lineage.actor.as_ref() == Some(actor))
            && tool.as_ref().is_none_or(|tool| lineage.tool.as_ref() == Some(tool))
            && process_type.as_ref().is_none_or(|kind| lineage.process_type.as_ref() == Some(kind))
            && sources.iter().all(|source| lineage.sources.contains(source))
            && targets.iter().all(|target| lineage.targets.contains(target))
    };
    let RunPage { data, next } = services.runs.list(&workflow, before, limit, is_wanted).await?;
    let moment = services.moment();
    let data = data.into_iter().map(|entry| RunFacts(entry, moment).into()).collect();
    Ok(Json(Page { data, next_cursor: next.map(number_cursor) }))
}

pub async fn current(allowed: Allowed<InPath<WorkflowName>>) -> Result<Response, Problem> {
    let (services, workflow) = allowed.granted();
    let item = services.runs.current(&workflow).await?;
    Ok(show(success::OK, item, Sent::Change { deadline: true }, &services))
}

pub async fn close(allowed: Allowed<InPath<WorkflowName>>, request: Request) -> Result<Response, Problem> {
    let (services, workflow) = allowed.granted();
    let (parts, body) = request.into_parts();
    let document: CloseRunRequest = optional_document(services.server(), &parts, body).await?;
    let CloseRunRequest { outcome, at, counts } = document;
    let at = at.map(|text| request::instant("at", &text)).transpose()?;
    let end = EndRun::Close(outcome.unwrap_or_default());
    let item = services.runs.end(&workflow, end, at, counts).await?;
    Ok(show(success::OK, item, Sent::Change { deadline: false }, &services))
}

pub async fn fail(allowed: Allowed<InPath<WorkflowName>>, request: Request) -> Result<Response, Problem> {
    let (services, workflow) = allowed.granted();
    let (parts, body) = request.into_parts();
    let document: FailRunRequest = optional_document(services.server(), &parts, body).await?;
    let FailRunRequest { error, at, counts } = document;
    let RunErrorRequest { kind, message, data } = error.unwrap_or_default();
    let error = ReportError {
        kind: kind.unwrap_or_else(|| "run_failed".to_owned()),
        message: message.unwrap_or_else(|| "the run was reported as failed".to_owned()),
        retryable: false,
        fatal: true,
        data,
        stack: None,
        at: None,
        idempotency_key: None,
    };
    let at = at.map(|text| request::instant("at", &text)).transpose()?;
    let item = services.runs.end(&workflow, EndRun::Fail(error), at, counts).await?;
    Ok(show(success::OK, item, Sent::Change { deadline: false }, &services))
}

pub async fn status(allowed: Allowed<InPath<WorkflowName>>) -> Result<Json<RunsStatus>, Problem> {
    let (services, workflow) = allowed.granted();
    let history = services.runs.history(&workflow)?;
    Ok(Json(facts(&services, workflow, history)))
}

fn facts(services: &Services, workflow: WorkflowName, history: RunHistory) -> RunsStatus {
    let policy = services.workflows.policy(&workflow).runs.clone();
    RunsFacts { workflow, history, policy: &policy, moment: services.moment() }.into()
}

pub async fn params(allowed: Allowed<InPath<WorkflowName>>, mut query: Query) -> Result<Response, Problem> {
    let (services, workflow) = allowed.granted();
    let format: Option<ParamsFormat> =
        query.one("format")?.map(|text| request::word("format", &text)).transpose()?;
    let dates: Option<DateStyle> =
        query.one("dates")?.map(|text| request::word("dates", &text)).transpose()?;
    let run = query.one("run")?.map(crate::model::ItemId::new).transpose().map_err(WardenError::from)?;
    let entry = services.runs.begun(&workflow, run.as_ref()).await?;
    let (content_type, text) =
        params::rendered(&entry, format.unwrap_or_default(), dates.unwrap_or_default(), services.moment())?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response())
}

pub async fn windows(
    allowed: Allowed<InPath<WorkflowName>>,
    mut query: Query,
) -> Result<Json<Windows>, Problem> {
    let (services, workflow) = allowed.granted();
    let mut instant = |name: &str| -> Result<_, Problem> {
        query.one(name)?.map(|text| request::instant(name, &text)).transpose()
    };
    let (since, until) = (instant("since")?, instant("until")?);
    let coverage = services.runs.coverage(&workflow, since, until).await?;
    Ok(Json(view::windows(&coverage)))
}

pub async fn hold(
    allowed: Allowed<InPath<WorkflowName>>,
    request: Request,
) -> Result<Json<RunsStatus>, Problem> {
    let (services, workflow) = allowed.granted();
    let (parts, body) = request.into_parts();
    let HoldWorkflowRequest { by, comment } = optional_document(services.server(), &parts, body).await?;
    let by = by.unwrap_or_else(|| services.access().name().unwrap_or("anonymous").into());
    let history = services.runs.hold(&workflow, by, comment).await?;
    Ok(Json(facts(&services, workflow, history)))
}

pub async fn release(
    allowed: Allowed<InPath<WorkflowName>>,
    request: Request,
) -> Result<Json<RunsStatus>, Problem> {
    let (services, workflow) = allowed.granted();
    let (parts, body) = request.into_parts();
    let ReleaseWorkflowRequest { release_as } = optional_document(services.server(), &parts, body).await?;
    let by = services.access().name().unwrap_or("anonymous");
    let history = services.runs.release(&workflow, release_as.unwrap_or_default(), by).await?;
    Ok(Json(facts(&services, workflow, history)))
}

pub async fn wait(
    allowed: Allowed<InPath<WorkflowName>>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (services, workflow) = allowed.granted();
    wait_for(&services, vec![workflow], query, gone(&request)).await
}

pub async fn wait_for_all(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (services, access) = allowed.visible();
    let names = query.all("workflow");
    if !(1..=warden_api::limit::WAITED_MAX).contains(&names.len()) {
        let most = warden_api::limit::WAITED_MAX;
        return Err(Problem::invalid(format!("the request must name 1 to {most} workflows")));
    }
    let mut workflows = Vec::with_capacity(names.len());
    for name in names {
        let workflow = WorkflowName::new(name).map_err(WardenError::from)?;
        access.require_workflow(&workflow)?;
        workflows.push(workflow);
    }
    wait_for(&services, workflows, query, gone(&request)).await
}

/// Cancelled when the client disconnects.
fn gone(request: &Request) -> CancellationToken {
    request.extensions().get::<Arc<Exchange>>().map(|of| of.gone().clone()).unwrap_or_default()
}

async fn wait_for(
    services: &Services,
    workflows: Vec<WorkflowName>,
    mut query: Query,
    gone: CancellationToken,
) -> Result<Response, Problem> {
    let zone = match query.one("timezone")? {
        None => "UTC".to_owned(),
        Some(name) => name,
    };
    let zone: Zone = zone.parse().map_err(|_| {
        Problem::invalid("timezone is no time zone of the IANA database, such as Europe/Berlin")
    })?;
    let since = match query.one("since")?.as_deref() {
        None => Since::Ever,
        Some("today") => Since::Today(zone),
        Some(text) => Since::At(request::instant("since", text)?),
    };
    let timeout = query.one("timeout")?.map(|text| request::duration("timeout", &text)).transpose()?;
    let timeout = timeout.unwrap_or_default();
    if timeout > RUN_WAIT_MAX {
        let most = humantime::format_duration(RUN_WAIT_MAX);
        return Err(Problem::invalid(format!("timeout must be at most {most}; repeat the request")));
    }
    let wait = WaitForRuns {
        workflows,
        since,
        covers: query.one("covers")?.map(|text| request::instant("covers", &text)).transpose()?,
        timeout,
        fail_fast: query.flag("fail_fast")?.unwrap_or(false),
        gone,
    };
    match services.runs.wait(wait).await? {
        Waited::Succeeded(runs) => {
            let moment = services.moment();
            let runs = runs.into_iter().map(|run| view::waited(run, moment)).collect();
            Ok(Json(warden_api::run::Waited { runs }).into_response())
        }
        Waited::TimedOut => Ok(success::DONE.into_response()),
        Waited::Failed { workflow, number } => {
            Err(Problem::run_failed(format!("run {number} of the workflow {workflow} has failed")))
        }
    }
}
