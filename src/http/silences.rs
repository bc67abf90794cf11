//! Silences: times during which matching incidents do not notify.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use warden_api::Page;
use warden_api::alert::SilenceRequest;

use super::Server;
use super::access::Access;
use super::document::{document, idempotency_key};
use super::json::Json;
use super::page::Paging;
use super::problem::{Problem, success};
use super::request::{self, NoQuery, Query, Segments};
use super::view::SilenceFacts;
use crate::config::Scope;
use crate::model::{Silence, SilenceId, SilenceStatus};
use crate::warden::WardenError;
use crate::warden::silences::{MakeSilence, Until};

/// List silences. Expired ones are listed only on request (`status=expired`). A token that is limited to some
/// workflows sees those that it could have created.
#[utoipa::path(get, path = "/v1/silences", operation_id = "list_silences", tag = "alerts",
    params(("status" = Option<Vec<String>>, Query,
            description = "Repeatable; pending and active by default"),
        ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Silence>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Page<warden_api::Silence>>, Problem> {
    access.require(Scope::Read)?;
    let mut statuses: Vec<SilenceStatus> =
        query.all("status").iter().map(|text| request::word("status", text)).collect::<Result<_, _>>()?;
    if statuses.is_empty() {
        statuses = vec![SilenceStatus::Pending, SilenceStatus::Active];
    }
    let paging = Paging::read(&mut query)?;
    query.finish("status, limit, cursor")?;
    let moment = server.moment();
    let mut silences = server.warden.silences.list();
    silences
        .retain(|silence| statuses.contains(&silence.status(moment)) && access.admits_all(&silence.workflow));
    let view = |silence| SilenceFacts(silence, moment).into();
    Ok(Json(paging.page(silences, |silence: &Silence| silence.id.0.to_string(), view)))
}

/// Create a silence: matching incidents do not notify while it is active. Resolutions are still notified.
#[utoipa::path(post, path = "/v1/silences", operation_id = "create_silence", tag = "alerts",
    params(("idempotency-key" = Option<String>, Header, description = "Repeating a request with the same key \
        returns the first silence")),
    request_body(content = SilenceRequest),
    responses((status = 201, description = "Created", body = warden_api::Silence)))]
pub async fn post(
    State(server): State<Arc<Server>>,
    access: Access,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let (parts, body) = request.into_parts();
    let document: SilenceRequest = document(&server, &parts, body).await?;
    access.require_for_all(Scope::Recover, &document.workflow)?;
    let ends_at = match (&document.ends_at, &document.duration) {
        (Some(text), None) => Until::At(request::instant("ends_at", text)?),
        (None, Some(text)) => Until::After(request::duration("for", text)?),
        _ => return Err(Problem::invalid("a silence must have either ends_at or for")),
    };
    let starts_at = document.starts_at.map(|text| request::instant("starts_at", &text)).transpose()?;
    let key = idempotency_key(&parts)?;
    let make = MakeSilence {
        workflow: document.workflow,
        kind: document.kind,
        labels: document.labels,
        starts_at,
        ends_at,
        author: document.author.unwrap_or_else(|| access.name().unwrap_or("anonymous").into()),
        comment: document.comment,
        idempotency_key: key.map(|key| format!("{}\0{key}", access.name().unwrap_or_default())),
    };
    let silence = server.warden.silences.make(make).await?;
    Ok((success::CREATED, Json(view(&server, silence))).into_response())
}

/// Get a silence.
#[utoipa::path(get, path = "/v1/silences/{id}", operation_id = "get_silence", tag = "alerts",
    params(("id" = String, Path)),
    responses((status = 200, description = "The silence", body = warden_api::Silence)))]
pub async fn get(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Silence>, Problem> {
    access.require(Scope::Read)?;
    let silence = known(&server, &access, &SilenceId(id.into()))?;
    Ok(Json(view(&server, silence)))
}

/// End a silence now. Incidents that are still open notify. Ending it again succeeds.
#[utoipa::path(delete, path = "/v1/silences/{id}", operation_id = "end_silence", tag = "alerts",
    params(("id" = String, Path)),
    responses((status = 204, description = "Ended")))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let id = SilenceId(id.into());
    known(&server, &access, &id)?;
    server.warden.silences.end(&id).await?;
    Ok(success::DONE.into_response())
}

/// The silence, if the token could have created it. Others do not exist for the client.
fn known(server: &Server, access: &Access, id: &SilenceId) -> Result<Silence, Problem> {
    let silence = server.warden.silences.get(id)?;
    if !access.admits_all(&silence.workflow) {
        return Err(WardenError::SilenceNotFound.into());
    }
    Ok(silence)
}

fn view(server: &Server, silence: Silence) -> warden_api::Silence {
    SilenceFacts(silence, server.moment()).into()
}
