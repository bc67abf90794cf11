//! Silences: times in which matching incidents notify nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Server;
use super::access::Access;
use super::document::{document, idempotency_key};
use super::json::Json;
use super::page::{PageView, Paging};
use super::problem::{Problem, success};
use super::request::{self, NoQuery, Query, Segments};
use super::view::SilenceView;
use crate::config::Scope;
use crate::model::{IncidentKind, Silence, SilenceId, SilenceStatus};
use crate::warden::WardenError;
use crate::warden::silences::{MakeSilence, Until};

/// List silences. Those that are over are listed when they are asked for. A token that is limited to
/// some workflows sees those that it could have made.
#[utoipa::path(get, path = "/v1/silences", operation_id = "list_silences", tag = "alerts",
    params(("status" = Option<Vec<String>>, Query,
            description = "pending, active or expired; repeatable; the first two by default"),
        ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = PageView<SilenceView>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<PageView<SilenceView>>, Problem> {
    access.require(Scope::Read)?;
    let mut statuses: Vec<SilenceStatus> =
        query.all("status").iter().map(|text| request::word("status", text)).collect::<Result<_, _>>()?;
    if statuses.is_empty() {
        statuses = vec![SilenceStatus::Pending, SilenceStatus::Active];
    }
    let paging = Paging::read(&mut query)?;
    query.finish("status, limit, cursor")?;
    let moment = server.moment();
    let mut silences = server.warden.silences();
    silences
        .retain(|silence| statuses.contains(&silence.status(moment)) && access.admits_all(&silence.workflow));
    let view = |silence| SilenceView::new(silence, moment);
    Ok(Json(paging.page(silences, |silence| silence.id.0.to_string(), view)))
}

/// A silence to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceDocument {
    /// The workflows it is for, as a glob: `*` stands for any characters, `?` for one.
    #[schema(value_type = String)]
    workflow: Arc<str>,
    /// `overdue`, `failed`, `missed` or `held` (which is of workflows on hold, and there are none yet); left out, it is for
    /// all of them.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    kind: Option<IncidentKind>,
    /// What the labels must be by which the incidents of these workflows are split (`group_by`).
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Arc<str>, Arc<str>>,
    /// From when on (RFC 3339); left out, from now on.
    #[serde(default)]
    starts_at: Option<String>,
    /// Until when (RFC 3339); either this or `for`.
    #[serde(default)]
    ends_at: Option<String>,
    /// For how long, such as `2h`; either this or `ends_at`.
    #[serde(default, rename = "for")]
    duration: Option<String>,
    /// Who makes it; by default the token's name.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    author: Option<Arc<str>>,
    /// Why; at most 512 bytes.
    #[serde(default)]
    #[schema(value_type = String)]
    comment: Arc<str>,
}

/// Make a silence.
#[utoipa::path(post, path = "/v1/silences", operation_id = "create_silence", tag = "alerts",
    params(("idempotency-key" = Option<String>, Header, description = "A repetition with the same key is the same silence")),
    request_body(content = SilenceDocument),
    responses((status = 201, description = "Made", body = SilenceView)))]
pub async fn post(
    State(server): State<Arc<Server>>,
    access: Access,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let (parts, body) = request.into_parts();
    let document: SilenceDocument = document(&server, &parts, body).await?;
    access.require_for_all(Scope::Recover, &document.workflow)?;
    let ends_at = match (&document.ends_at, &document.duration) {
        (Some(text), None) => Until::At(request::instant("ends_at", text)?),
        (None, Some(text)) => Until::After(request::duration("for", text)?),
        _ => return Err(Problem::invalid("a silence needs its end: either ends_at or for, and not both")),
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
    let silence = server.warden.make_silence(make).await?;
    Ok((success::CREATED, Json(view(&server, silence))).into_response())
}

/// Get a silence.
#[utoipa::path(get, path = "/v1/silences/{id}", operation_id = "get_silence", tag = "alerts", params(("id" = String, Path)),
    responses((status = 200, description = "The silence", body = SilenceView)))]
pub async fn get(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<SilenceView>, Problem> {
    access.require(Scope::Read)?;
    let silence = known(&server, &access, &SilenceId(id.into()))?;
    Ok(Json(view(&server, silence)))
}

/// End a silence now. What is still open then and was held back is told. Ending it again is fine.
#[utoipa::path(delete, path = "/v1/silences/{id}", operation_id = "end_silence", tag = "alerts", params(("id" = String, Path)),
    responses((status = 204, description = "It is over")))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let id = SilenceId(id.into());
    known(&server, &access, &id)?;
    server.warden.end_silence(&id).await?;
    Ok(success::DONE.into_response())
}

/// The silence of this id, if it is one that the token could have made. Of others nothing is told, not even that they are
/// there.
fn known(server: &Server, access: &Access, id: &SilenceId) -> Result<Silence, Problem> {
    let silence = server.warden.silence(id)?;
    if !access.admits_all(&silence.workflow) {
        return Err(WardenError::SilenceNotFound.into());
    }
    Ok(silence)
}

fn view(server: &Server, silence: Silence) -> SilenceView {
    SilenceView::new(silence, server.moment())
}
