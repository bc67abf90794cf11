//! Replays: server-side jobs that post items to a target again.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use warden_api::item::Summary;
use warden_api::replay::{ReplayFilterRequest, ReplayRequest};
use warden_api::{Page, path};

use super::Server;
use super::access::Access;
use super::document::{document, idempotency_key};
use super::filter::written;
use super::json::Json;
use super::page::Paging;
use super::place::Place;
use super::problem::{Problem, success};
use super::request::{self, NoQuery, Query, Segments};
use super::view::ReplayFacts;
use crate::config::Scope;
use crate::model::replay::{Pace, ReplayFilter, ReplayTarget};
use crate::model::{Replay, ReplayId, ReplayStatus, quote};
use crate::warden::{ReplayAction, ReplayEntry, Replays, StartReplay, WardenError};

/// List replays, newest first. A token that is limited to some workflows sees those that it could have
/// started.
#[utoipa::path(get, path = "/v1/replays", operation_id = "list_replays", tag = "recovery",
    params(("status" = Option<Vec<String>>, Query,
            description = "Repeatable; all by default"),
        ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Replay>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Page<warden_api::Replay>>, Problem> {
    access.require(Scope::Recover)?;
    let statuses: Vec<ReplayStatus> =
        query.all("status").iter().map(|text| request::word("status", text)).collect::<Result<_, _>>()?;
    let paging = Paging::read(&mut query)?;
    query.finish("status, limit, cursor")?;
    let mut entries = server.warden.replays.list();
    entries.retain(|entry| {
        (statuses.is_empty() || statuses.contains(&entry.replay.status)) && admits(&access, &entry.replay)
    });
    entries.sort_by_cached_key(|entry| place(&entry.replay));
    let moment = server.moment();
    let view = |entry| ReplayFacts { entry, is_limited: access.is_limited(), moment }.into();
    Ok(Json(paging.page(entries, |entry: &ReplayEntry| place(&entry.replay), view)))
}

fn shown(server: &Server, access: &Access, entry: ReplayEntry) -> warden_api::Replay {
    ReplayFacts { entry, is_limited: access.is_limited(), moment: server.moment() }.into()
}

/// A sort key that puts the newest first.
fn place(replay: &Replay) -> String {
    let back = u64::MAX - u64::try_from(replay.created_at.as_millis()).unwrap_or_default();
    format!("{back:020} {}", replay.id.0)
}

/// Whether the token includes all workflows of the replay's filter.
fn admits(access: &Access, replay: &Replay) -> bool {
    globs(&replay.filter.workflows).all(|glob| access.admits_all(glob))
}

/// Without globs a filter is for all workflows.
fn globs(workflows: &[Arc<str>]) -> impl Iterator<Item = &str> {
    workflows.is_empty().then_some("*").into_iter().chain(workflows.iter().map(|glob| &**glob))
}

const TIMEOUT: &str = "30s";

/// Start a replay: post the items that match now to a target, at a set rate. Each request has the item's
/// payload and content type, and headers that identify the item. Items that are closed in the meantime are
/// skipped.
#[utoipa::path(post, path = "/v1/replays", operation_id = "start_replay", tag = "recovery",
    params(("idempotency-key" = Option<String>, Header, description = "Repeating a request with the same key \
        returns the first replay")),
    request_body(content = ReplayRequest),
    responses((status = 202, description = "Started; `Location` is its path", body = warden_api::Replay),
        (status = 200, description = "With `dry_run`: the items that would be sent", body = Summary)))]
pub async fn post(
    State(server): State<Arc<Server>>,
    access: Access,
    place: Place,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let (parts, body) = request.into_parts();
    let document: ReplayRequest = document(&server, &parts, body).await?;
    let key = idempotency_key(&parts)?;
    let dry_run = document.dry_run;
    let mut start = start(document)?;
    if start.filter.workflows.is_empty() && access.is_limited() {
        start.filter.workflows = access.workflows().iter().map(|glob| glob.to_string().into()).collect();
    }
    for glob in globs(&start.filter.workflows) {
        access.require_for_all(Scope::Recover, glob)?;
    }
    start.idempotency_key = key.map(|key| format!("{}\0{key}", access.name().unwrap_or_default()));
    let warden = server.warden.clone();
    if dry_run {
        let summary = place.keep(async move { warden.replays.preview(&start).await }).await?;
        return Ok((success::OK, Json(Summary::from(summary))).into_response());
    }
    let entry = place.keep(async move { Replays::start(&warden.replays, start).await }).await?;
    let location = path::fill(path::REPLAY, &[&entry.replay.id.0]);
    let mut response = (success::ACCEPTED, Json(shown(&server, &access, entry))).into_response();
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

/// Get a replay and its progress.
#[utoipa::path(get, path = "/v1/replays/{id}", operation_id = "get_replay", tag = "recovery",
    params(("id" = String, Path)),
    responses((status = 200, description = "The replay", body = warden_api::Replay)))]
pub async fn get(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Replay>, Problem> {
    Ok(Json(shown(&server, &access, visible(&server, &access, id)?)))
}

/// Pause a replay. Requests in flight are completed; nothing more is sent until it is resumed.
#[utoipa::path(post, path = "/v1/replays/{id}/pause", operation_id = "pause_replay", tag = "recovery",
    params(("id" = String, Path)),
    responses((status = 200, description = "The replay", body = warden_api::Replay)))]
pub async fn pause(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Replay>, Problem> {
    act(&server, &access, id, ReplayAction::Pause).await
}

/// Resume a paused replay. A canary that has not passed starts again, and so does the ramp-up.
#[utoipa::path(post, path = "/v1/replays/{id}/resume", operation_id = "resume_replay", tag = "recovery",
    params(("id" = String, Path)),
    responses((status = 200, description = "The replay", body = warden_api::Replay)))]
pub async fn resume(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Replay>, Problem> {
    act(&server, &access, id, ReplayAction::Resume).await
}

/// Cancel a replay. Requests in flight are completed; the remaining items are not sent.
#[utoipa::path(post, path = "/v1/replays/{id}/cancel", operation_id = "cancel_replay", tag = "recovery",
    params(("id" = String, Path)),
    responses((status = 200, description = "The replay", body = warden_api::Replay)))]
pub async fn cancel(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Replay>, Problem> {
    act(&server, &access, id, ReplayAction::Cancel).await
}

async fn act(
    server: &Server,
    access: &Access,
    id: String,
    act: ReplayAction,
) -> Result<Json<warden_api::Replay>, Problem> {
    let entry = visible(server, access, id)?;
    let entry = server.warden.replays.act(&entry.replay.id, act).await?;
    Ok(Json(shown(server, access, entry)))
}

/// The replay, if the token could have started it. Others do not exist for the client.
fn visible(server: &Server, access: &Access, id: String) -> Result<ReplayEntry, Problem> {
    access.require(Scope::Recover)?;
    let entry = server.warden.replays.get(&ReplayId(id.into()))?;
    if !admits(access, &entry.replay) {
        return Err(WardenError::ReplayNotFound.into());
    }
    Ok(entry)
}
