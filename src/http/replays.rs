//! Replays: items that the warden itself sends to a target again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa::ToSchema;

use super::Server;
use super::access::Access;
use super::document::{document, idempotency_key};
use super::filter::FilterDocument;
use super::json::Json;
use super::page::{PageView, Paging};
use super::place::Place;
use super::problem::{Problem, success};
use super::request::{self, NoQuery, Query, Segments};
use super::view::{ReplayView, SummaryView};
use crate::config::Scope;
use crate::model::replay::{OnSuccess, Pace, ReplayFilter, ReplayTarget};
use crate::model::{Replay, ReplayId, ReplayStatus, quote};
use crate::warden::{ReplayAct, ReplayEntry, StartReplay, Warden, WardenError};

/// List replays, the newest first. A token that is limited to some workflows sees those that it could have
/// started.
#[utoipa::path(get, path = "/v1/replays", operation_id = "list_replays", tag = "recovery",
    params(("status" = Option<Vec<String>>, Query,
            description = "running, paused, completed or cancelled; repeatable; all by default"),
        ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = PageView<ReplayView>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<PageView<ReplayView>>, Problem> {
    access.require(Scope::Recover)?;
    let statuses: Vec<ReplayStatus> =
        query.all("status").iter().map(|text| request::word("status", text)).collect::<Result<_, _>>()?;
    let paging = Paging::read(&mut query)?;
    query.finish("status, limit, cursor")?;
    let mut entries = server.warden.replays();
    entries.retain(|entry| {
        (statuses.is_empty() || statuses.contains(&entry.replay.status)) && admits(&access, &entry.replay)
    });
    entries.sort_by_cached_key(|entry| place(&entry.replay));
    let moment = server.moment();
    let view = |entry| ReplayView::new(entry, &access, moment);
    Ok(Json(paging.page(entries, |entry| place(&entry.replay), view)))
}

/// A name by which the newest comes first.
fn place(replay: &Replay) -> String {
    let back = u64::MAX - u64::try_from(replay.created_at.as_millis()).unwrap_or_default();
    format!("{back:020} {}", replay.id.0)
}

/// Whether the token is for all the workflows that the replay may have selected.
fn admits(access: &Access, replay: &Replay) -> bool {
    globs(&replay.filter.workflows).all(|glob| access.admits_all(glob))
}

/// The globs of a filter; none stand for all workflows.
fn globs(workflows: &[Arc<str>]) -> impl Iterator<Item = &str> {
    workflows.is_empty().then_some("*").into_iter().chain(workflows.iter().map(|glob| &**glob))
}

/// Which items are to be sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ReplayFilterDocument {
    #[serde(flatten)]
    filter: FilterDocument,
    /// What nobody knows here. It is refused.
    #[serde(flatten)]
    #[schema(ignore)]
    unknown: BTreeMap<String, IgnoredAny>,
}

/// Where the items go.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayTargetDocument {
    /// `http` or `https`. What stands in it besides scheme, host, port and path is never shown.
    url: String,
    /// What signs them by the rules of Standard Webhooks: `whsec_` and base64. It is forgotten when the replay ends.
    #[serde(default)]
    secret: Option<String>,
}

/// A replay to be started.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayDocument {
    /// What people call it; at most 128 bytes.
    #[serde(default)]
    name: String,
    #[serde(default)]
    filter: ReplayFilterDocument,
    target: ReplayTargetDocument,
    /// The most items in a second; 0.01 to 10,000, 50 by default.
    #[serde(default = "max_per_second")]
    max_per_second: f64,
    /// The most items at one time; 1 to 256, 8 by default.
    #[serde(default = "concurrency")]
    concurrency: usize,
    /// How many items must succeed before the others are sent; if one does not, the replay pauses.
    #[serde(default)]
    canary: u64,
    /// How long the rate takes to grow from nothing to its maximum, such as `10m`; at most 7 days.
    #[serde(default)]
    ramp_up: Option<String>,
    /// `accept` (default): the item is left to whoever took it. `close`: it is done, and is closed.
    #[serde(default)]
    #[schema(value_type = String)]
    on_success: OnSuccess,
    /// How long the target may take for one item; `30s` by default, at most 10 minutes.
    #[serde(default)]
    timeout: Option<String>,
    /// How many failures in a row make it pause; 20 by default, 0 for however many.
    #[serde(default = "pause_after_failures")]
    pause_after_failures: u64,
    /// Only say what would be sent.
    #[serde(default)]
    dry_run: bool,
}

fn max_per_second() -> f64 {
    50.0
}

fn concurrency() -> usize {
    8
}

fn pause_after_failures() -> u64 {
    20
}

const TIMEOUT: &str = "30s";

/// Start a replay: send the items that match now to a target, at a pace. Each is posted with its payload and content
/// type, and headers that say which it is; an item that is closed meanwhile is left out.
#[utoipa::path(post, path = "/v1/replays", operation_id = "start_replay", tag = "recovery",
    params(("idempotency-key" = Option<String>, Header, description = "A repetition with the same key is the same replay")),
    request_body(content = ReplayDocument),
    responses((status = 202, description = "Started; `Location` names it", body = ReplayView),
        (status = 200, description = "What would be sent", body = SummaryView)))]
pub async fn post(
    State(server): State<Arc<Server>>,
    access: Access,
    place: Place,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let (parts, body) = request.into_parts();
    let document: ReplayDocument = document(&server, &parts, body).await?;
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
        let summary = place.keep(async move { warden.preview_replay(&start).await }).await?;
        return Ok((success::OK, Json(SummaryView::from(summary))).into_response());
    }
    let entry = place.keep(async move { Warden::start_replay(&warden, start).await }).await?;
    let moment = server.moment();
    let location = format!("/v1/replays/{}", entry.replay.id.0);
    let mut response = (success::ACCEPTED, Json(ReplayView::new(entry, &access, moment))).into_response();
    response.headers_mut().extend(HeaderValue::from_str(&location).ok().map(|value| (LOCATION, value)));
    Ok(response)
}

/// Reads what is to be started, but for what makes a repetition known.
///
/// # Errors
/// When something in it cannot be read.
pub(super) fn start(document: ReplayDocument) -> Result<StartReplay, Problem> {
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

fn filter(document: ReplayFilterDocument) -> Result<ReplayFilter, Problem> {
    if let Some(name) = document.unknown.keys().next() {
        return Err(Problem::invalid(format!("there is no field {} in a filter", quote(&name))));
    }
    document.filter.written()
}

/// Get a replay, and how far it has come.
#[utoipa::path(get, path = "/v1/replays/{id}", operation_id = "get_replay", tag = "recovery", params(("id" = String, Path)),
    responses((status = 200, description = "The replay", body = ReplayView)))]
pub async fn get(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<ReplayView>, Problem> {
    Ok(Json(ReplayView::new(visible(&server, &access, id)?, &access, server.moment())))
}

/// Pause a replay: nothing more is sent until it is resumed. What is on its way is finished.
#[utoipa::path(post, path = "/v1/replays/{id}/pause", operation_id = "pause_replay", tag = "recovery",
    params(("id" = String, Path)), responses((status = 200, description = "The replay", body = ReplayView)))]
pub async fn pause(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<ReplayView>, Problem> {
    act(&server, &access, id, ReplayAct::Pause).await
}

/// Have a paused replay go on. A canary that has not passed begins anew, and so does the growing of the rate.
#[utoipa::path(post, path = "/v1/replays/{id}/resume", operation_id = "resume_replay", tag = "recovery",
    params(("id" = String, Path)), responses((status = 200, description = "The replay", body = ReplayView)))]
pub async fn resume(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<ReplayView>, Problem> {
    act(&server, &access, id, ReplayAct::Resume).await
}

/// End a replay before all of its items have been sent. What is on its way is finished.
#[utoipa::path(post, path = "/v1/replays/{id}/cancel", operation_id = "cancel_replay", tag = "recovery",
    params(("id" = String, Path)), responses((status = 200, description = "The replay", body = ReplayView)))]
pub async fn cancel(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<ReplayView>, Problem> {
    act(&server, &access, id, ReplayAct::Cancel).await
}

async fn act(
    server: &Server,
    access: &Access,
    id: String,
    act: ReplayAct,
) -> Result<Json<ReplayView>, Problem> {
    let entry = visible(server, access, id)?;
    let entry = server.warden.act_on_replay(&entry.replay.id, act).await?;
    Ok(Json(ReplayView::new(entry, access, server.moment())))
}

/// The replay of this id, if it is one that the token could have started. Of others nothing is told, not even that they are
/// there.
fn visible(server: &Server, access: &Access, id: String) -> Result<ReplayEntry, Problem> {
    access.require(Scope::Recover)?;
    let entry = server.warden.replay(&ReplayId(id.into()))?;
    if !admits(access, &entry.replay) {
        return Err(WardenError::ReplayNotFound.into());
    }
    Ok(entry)
}
