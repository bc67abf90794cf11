//! Artifacts: register, find, change and claim.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use warden_api::Page;
use warden_api::artifact::{
    ArtifactClaimRequest, Artifacts, ChangeRequest, Records, RegisterRequest, Registered,
    RegisteredArtifacts, RunReference, StatusRequest,
};
use warden_api::limit::{ARTIFACTS_AT_ONCE, ARTIFACTS_DOCUMENT_MAX};
use wildmatch::WildMatch;

use super::access::Access;
use super::document::{document, read_within};
use super::items::entity_tag;
use super::json::Json;
use super::page::{limit, number_cursor, read_number_cursor};
use super::problem::{Problem, success};
use super::request::{self, Query, Segments};
use super::server::answers::RECORD;
use super::server::{Allowed, AnyWorkflow, InBody, OfArtifact, Services};
use super::view::ArtifactFacts;
use crate::model::artifact::{ArtifactChange, ArtifactStatus, Bound, Facts, NewArtifact, RunName, Status};
use crate::model::{Artifact, ArtifactId, ItemId, ItemKey, WorkflowName, quote};
use crate::warden::WardenError;
use crate::warden::artifacts::{ArtifactFilter, ClaimArtifacts, Glob};

pub async fn post(allowed: Allowed<InBody>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let (is_list, requests) =
        read_within(allowed.server(), &parts, body, ARTIFACTS_DOCUMENT_MAX, one_or_list).await?;
    let mut workflows = Vec::with_capacity(requests.len());
    for request in &requests {
        let of_run = |run: &RunReference| match run {
            RunReference::Key(key) => Some(key.workflow.clone()),
            RunReference::Id(_) => None,
        };
        let workflow = request.workflow.clone().or_else(|| request.run.as_ref().and_then(of_run));
        let missing = || Problem::invalid("an artifact needs the workflow that it belongs to");
        workflows.push(WorkflowName::new(workflow.ok_or_else(missing)?).map_err(WardenError::from)?);
    }
    let services = allowed.for_all(workflows.iter().map(|name| &**name))?;
    let artifacts = requests.into_iter().zip(workflows);
    let artifacts = artifacts.map(|(request, workflow)| new(request, workflow, &services));
    let artifacts = artifacts.collect::<Result<Vec<_>, Problem>>()?;
    let found = services.artifacts.register(artifacts, services.access().workflows()).await?;
    let registered = found.iter().filter(|(_, is_new)| *is_new).count();
    let mut data: Vec<_> =
        found.into_iter().map(|(artifact, is_new)| written(&services, artifact, is_new)).collect();
    let status = if registered > 0 { success::CREATED } else { success::OK };
    let answer = match data.pop() {
        Some(artifact) if !is_list => Registered::One(Box::new(artifact)),
        last => {
            data.extend(last);
            Registered::Many(RegisteredArtifacts { data, registered })
        }
    };
    Ok((status, Json(answer)).into_response())
}

/// One request, or a list of them.
fn one_or_list(bytes: &[u8]) -> Result<(bool, Vec<RegisterRequest>), Problem> {
    if bytes.trim_ascii_start().first() != Some(&b'[') {
        return Ok((false, vec![request::object("the body", bytes)?]));
    }
    let list: Vec<Value> = serde_json::from_slice(bytes)
        .map_err(|error| Problem::invalid(format!("the body is not a JSON list: {error}")))?;
    let read = |(place, value): (usize, Value)| match value {
        Value::Object(_) => serde_json::from_value(value).map_err(|error| {
            Problem::invalid(format!("entry {place} of the list is not the expected JSON object: {error}"))
        }),
        _ => Err(Problem::invalid(format!("entry {place} of the list must be a JSON object"))),
    };
    Ok((true, list.into_iter().enumerate().map(read).collect::<Result<_, _>>()?))
}

fn new(
    request: RegisterRequest,
    workflow: WorkflowName,
    services: &Services,
) -> Result<NewArtifact, Problem> {
    let RegisterRequest { location, name, alias, status, reuse, run, size, records, .. } = request;
    let RegisterRequest { low, high, format, compression, depends_on, .. } = request;
    let facts = Facts { alias, size, format, compression, ..facts(records, low, high)? };
    Ok(NewArtifact {
        location,
        name,
        reuse: reuse.unwrap_or_default(),
        run: run.map(|run| run_name(run, services.access())).transpose()?,
        status: match status {
            Some(text) => services.artifacts.status(&text)?,
            None => ArtifactStatus::default().into(),
        },
        facts,
        depends_on: depends_on.into_iter().map(ArtifactId).collect(),
        workflow,
    })
}

fn facts(records: Option<Records>, low: Option<Value>, high: Option<Value>) -> Result<Facts, Problem> {
    let Records { written, read } = records.unwrap_or_default();
    Ok(Facts {
        records_written: written,
        records_read: read,
        low: low.map(|value| bound("low", &value)).transpose()?,
        high: high.map(|value| bound("high", &value)).transpose()?,
        ..Facts::default()
    })
}

fn bound(name: &str, value: &Value) -> Result<Bound, Problem> {
    Bound::of(value).ok_or_else(|| Problem::invalid(format!("{name} must be a number or a text")))
}

/// A run, of a workflow that the token includes.
fn run_name(run: RunReference, access: &Access) -> Result<RunName, Problem> {
    let (workflow, id) = match run {
        RunReference::Id(id) => (None, id),
        RunReference::Key(key) => (Some(WorkflowName::new(key.workflow).map_err(WardenError::from)?), key.id),
    };
    if let Some(workflow) = &workflow {
        access.require_workflow(workflow)?;
    }
    Ok(RunName { workflow, id: ItemId::new(id).map_err(WardenError::from)? })
}

pub async fn list(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Artifact>>, Problem> {
    let (services, access) = allowed.visible();
    let statuses = query.all("status");
    let statuses = statuses.iter().map(|text| services.artifacts.status_to_find(text));
    let filter = ArtifactFilter {
        workflows: query.all("workflow").iter().map(|glob| WildMatch::new(glob)).collect(),
        allowed: access.workflows(),
        location: query.one("location")?.map(|text| Glob::new(&text)),
        name: query.one("name")?.map(|text| Glob::new(&text)),
        statuses: statuses.collect::<Result<_, _>>()?,
        ..ArtifactFilter::default()
    };
    check_order(&mut query)?;
    let limit = limit(&mut query)?;
    let after = query.one("cursor")?.map(|text| read_number_cursor(&text)).transpose()?.unwrap_or_default();
    let _room = services.server().answers.try_hold(limit as u64 * RECORD)?;
    let page = services.artifacts.find(&filter, after, limit).await?;
    let data = page.data.into_iter().map(|artifact| view(&services, artifact)).collect();
    Ok(Json(Page { data, next_cursor: page.next.map(number_cursor) }))
}

/// There is one order, which clients may name.
fn check_order(query: &mut Query) -> Result<(), Problem> {
    match query.one("order")? {
        Some(order) if order != "registered" => {
            Err(Problem::invalid(format!("order={} is not registered, the only order", quote(&order))))
        }
        _ => Ok(()),
    }
}

pub async fn get(allowed: Allowed<OfArtifact>, Segments(id): Segments<String>) -> Result<Response, Problem> {
    let id = ArtifactId(id.into());
    let services = allowed.artifact(&id)?;
    let artifact = services.artifacts.get(&id).await?;
    let tag = entity_tag(artifact.version);
    Ok(([(ETAG, tag)], Json(view(&services, artifact))).into_response())
}

pub async fn patch(
    allowed: Allowed<OfArtifact>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let if_version = request::if_match(&parts.headers)?;
    let document: ChangeRequest = document(allowed.server(), &parts, body).await?;
    let id = ArtifactId(id.into());
    let services = allowed.artifact(&id)?;
    let ChangeRequest { status, run, alias, size, records, low, high, format, compression, depends_on } =
        document;
    let change = ArtifactChange {
        if_version,
        status: status.map(|text| services.artifacts.status(&text)).transpose()?,
        run: run.map(|run| run_name(run, services.access())).transpose()?,
        facts: Facts { alias, size, format, compression, ..facts(records, low, high)? },
        depends_on: depends_on.map(|ids| ids.into_iter().map(ArtifactId).collect()),
    };
    let visible = services.access().workflows();
    let mut changed = services.artifacts.change(vec![(id, change)], visible).await?;
    let artifact = changed.pop().ok_or(WardenError::ArtifactNotFound(None))?;
    let tag = entity_tag(artifact.version);
    Ok(([(ETAG, tag)], Json(written(&services, artifact, false))).into_response())
}

pub async fn change_status(
    allowed: Allowed<OfArtifact>,
    request: Request,
) -> Result<Json<Artifacts>, Problem> {
    let (parts, body) = request.into_parts();
    let StatusRequest { ids, status, changes, run } =
        read_within(allowed.server(), &parts, body, ARTIFACTS_DOCUMENT_MAX, |bytes| {
            request::object("the body", bytes)
        })
        .await?;
    let mut wanted: Vec<(ArtifactId, Arc<str>)> = Vec::with_capacity(ids.len() + changes.len());
    match status {
        Some(status) => wanted.extend(ids.into_iter().map(|id| (ArtifactId(id), status.clone()))),
        None if ids.is_empty() => {}
        None => return Err(Problem::invalid("ids need the status that they get")),
    }
    wanted.extend(changes.into_iter().map(|change| (ArtifactId(change.id), change.status)));
    let services = allowed.artifacts(wanted.iter().map(|(id, _)| id))?;
    let run = run.map(|run| run_name(run, services.access())).transpose()?;
    let change = |(id, status): (ArtifactId, Arc<str>)| {
        let status = Some(services.artifacts.status(&status)?);
        Ok((id, ArtifactChange { status, run: run.clone(), ..ArtifactChange::default() }))
    };
    let changes = wanted.into_iter().map(change).collect::<Result<_, WardenError>>()?;
    let changed = services.artifacts.change(changes, services.access().workflows()).await?;
    let data = changed.into_iter().map(|artifact| written(&services, artifact, false)).collect();
    Ok(Json(Artifacts { data }))
}

pub async fn claim(allowed: Allowed<AnyWorkflow>, request: Request) -> Result<Json<Artifacts>, Problem> {
    let (parts, body) = request.into_parts();
    let document: ArtifactClaimRequest = document(allowed.server(), &parts, body).await?;
    let (services, access) = allowed.visible();
    let ArtifactClaimRequest { workflow, location, name, status, to, max, run } = document;
    let max = max.unwrap_or(1);
    if !(1..=ARTIFACTS_AT_ONCE).contains(&max) {
        return Err(Problem::invalid(format!("max is {max}; it must be 1 to {ARTIFACTS_AT_ONCE}")));
    }
    let or = |text: Option<Arc<str>>, default: ArtifactStatus| match text {
        Some(text) => services.artifacts.status(&text),
        None => Ok(Status::from(default)),
    };
    let (status, to) = (or(status, ArtifactStatus::Ready)?, or(to, ArtifactStatus::Loading)?);
    if status == to {
        return Err(Problem::invalid(format!(
            "status and to are both {to}; a claim gives another status, so that nobody claims the same again"
        )));
    }
    let glob = |text: Option<Arc<str>>| text.map(|text| Glob::new(&text));
    let filter = ArtifactFilter {
        workflows: Vec::new(),
        allowed: access.workflows(),
        location: glob(location),
        name: glob(name),
        statuses: vec![status.clone()],
        ..ArtifactFilter::default()
    };
    let run = run.map(|run| run_name(run, &access)).transpose()?;
    // If there is no memory for the response, the claim is refused before it changes anything.
    let _room = services.server().answers.try_hold(max as u64 * RECORD)?;
    let claimed = services.artifacts.claim(ClaimArtifacts { workflow, filter, status, to, max, run }).await?;
    let data = claimed.into_iter().map(|artifact| view(&services, artifact)).collect();
    Ok(Json(Artifacts { data }))
}

/// Without runs of workflows that the token does not include. The ids that it depends on stay, whosever they
/// are: whoever loads it has to know what is missing.
fn view(services: &Services, mut artifact: Artifact) -> warden_api::Artifact {
    let is_visible = |run: &ItemKey| services.access().admits(&run.workflow);
    artifact.run = artifact.run.filter(is_visible);
    artifact.uses.retain(|usage| is_visible(&usage.run));
    ArtifactFacts { artifact, moment: services.moment(), is_withheld: false }.into()
}

/// The response to a write. A client that may not read learns of a known artifact only its status and
/// version.
fn written(services: &Services, artifact: Artifact, is_new: bool) -> warden_api::Artifact {
    if is_new || services.access().may_read() {
        return view(services, artifact);
    }
    ArtifactFacts { artifact, moment: services.moment(), is_withheld: true }.into()
}
