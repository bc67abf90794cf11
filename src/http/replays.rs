//! Replays: server-side jobs that post items to a target again.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use warden_api::item::Summary;
use warden_api::replay::{ReplayFilterRequest, ReplayRequest};
use warden_api::{Page, path};

use super::access::globs;
use super::document::{document, idempotency_key};
use super::filter::written;
use super::json::Json;
use super::page::Paging;
use super::problem::{Problem, success};
use super::request::{self, Query, Segments};
use super::server::{Allowed, AnyWorkflow, InBody, OfReplay, Place, Services};
use super::view::ReplayFacts;
use crate::model::replay::{Pace, ReplayFilter, ReplayTarget};
use crate::model::{Replay, ReplayStatus, quote};
use crate::warden::{ReplayAction, ReplayEntry, Replays, StartReplay};

pub async fn list(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Replay>>, Problem> {
    let (services, access) = allowed.visible();
    let statuses: Vec<ReplayStatus> =
        query.all("status").iter().map(|text| request::word("status", text)).collect::<Result<_, _>>()?;
    let paging = Paging::read(&mut query)?;
    let mut entries = services.replays.list();
    entries.retain(|entry| {
        (statuses.is_empty() || statuses.contains(&entry.replay.status))
            && access.admits_replay(&entry.replay.filter)
    });
    entries.sort_by_cached_key(|entry| place(&entry.replay));
    let moment = services.moment();
    let view = |entry| ReplayFacts { entry, is_limited: access.is_limited(), moment }.into();
    Ok(Json(paging.page(entries, |entry: &ReplayEntry| place(&entry.replay), view)))
}

fn shown(services: &Services, entry: ReplayEntry) -> warden_api::Replay {
    ReplayFacts { entry, is_limited: services.access().is_limited(), moment: services.moment() }.into()
}

/// A sort key that puts the newest first.
fn place(replay: &Replay) -> String {
    let back = u64::MAX - u64::try_from(replay.created_at.as_millis()).unwrap_or_default();
    format!("{back:020} {}", replay.id.0)
}

const TIMEOUT: &str = "30s";

pub async fn post(allowed: Allowed<InBody>, place: Place, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let document: ReplayRequest = document(allowed.server(), &parts, body).await?;
    let key = idempotency_key(&parts)?;
    let dry_run = document.dry_run;
    let mut start = start(document)?;
    let access = allowed.access();
    if start.filter.workflows.is_empty() && access.is_limited() {
        start.filter.workflows = access.workflows().iter().map(|glob| glob.to_string().into()).collect();
    }
    let services = allowed.for_all(globs(&start.filter.workflows))?;
    let name = services.access().name().unwrap_or_default();
    start.idempotency_key = key.map(|key| format!("{name}\0{key}"));
    let replays = services.replays.clone();
    if dry_run {
        let summary = place.keep(async move { replays.preview(&start).await }).await?;
        return Ok((success::OK, Json(Summary::from(summary))).into_response());
    }
    let entry = place.keep(async move { Replays::start(&replays, start).await }).await?;
    let location = path::fill(path::REPLAY, &[&entry.replay.id.0]);
    let mut response = (success::ACCEPTED, Json(shown(&services, entry))).into_response();
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|value| (LOCATION, value)));
    Ok(response)
}

/// Parses the request, without its idempotency key.
pub(super) fn start(document: ReplayRequest) -> Result<StartReplay, Problem> {
    let duration = |name, text: Option<String>, default: &str| {
        request::duration(name, text.as_deref().unwrap_or(default))
    };
    Ok(StartReplay {
        name: document.name.into(),
        filter: filter(document.filter)?,
        target: ReplayTarget {
            url: document.target.url.into(),
            secret: document.target.secret.map(Into::into),
        },
        pace: Pace {
            max_per_second: document.max_per_second,
            concurrency: document.concurrency,
            canary: document.canary,
            ramp_up: duration("ramp_up", document.ramp_up, "0s")?,
            pause_after_failures: document.pause_after_failures,
        },
        on_success: document.on_success,
        timeout: duration("timeout", document.timeout, TIMEOUT)?,
        idempotency_key: None,
    })
}

fn filter(document: ReplayFilterRequest) -> Result<ReplayFilter, Problem> {
    if let Some(name) = document.unknown.first() {
        return Err(Problem::invalid(format!("unknown field {} in filter", quote(&name))));
    }
    written(document.filter)
}

pub async fn get(
    allowed: Allowed<OfReplay>,
    Segments(id): Segments<String>,
) -> Result<Json<warden_api::Replay>, Problem> {
    let (services, entry) = allowed.replay(id)?;
    Ok(Json(shown(&services, entry)))
}

pub async fn pause(
    allowed: Allowed<OfReplay>,
    Segments(id): Segments<String>,
) -> Result<Json<warden_api::Replay>, Problem> {
    act(allowed, id, ReplayAction::Pause).await
}

pub async fn resume(
    allowed: Allowed<OfReplay>,
    Segments(id): Segments<String>,
) -> Result<Json<warden_api::Replay>, Problem> {
    act(allowed, id, ReplayAction::Resume).await
}

pub async fn cancel(
    allowed: Allowed<OfReplay>,
    Segments(id): Segments<String>,
) -> Result<Json<warden_api::Replay>, Problem> {
    act(allowed, id, ReplayAction::Cancel).await
}

async fn act(
    allowed: Allowed<OfReplay>,
    id: String,
    act: ReplayAction,
) -> Result<Json<warden_api::Replay>, Problem> {
    let (services, entry) = allowed.replay(id)?;
    let entry = services.replays.act(&entry.replay.id, act).await?;
    Ok(Json(shown(&services, entry)))
}
