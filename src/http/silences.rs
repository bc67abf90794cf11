//! Silences: times during which matching incidents do not notify.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use warden_api::Page;
use warden_api::alert::SilenceRequest;

use super::document::{document, idempotency_key};
use super::json::Json;
use super::page::Paging;
use super::problem::{Problem, success};
use super::request::{self, Query, Segments};
use super::server::{Allowed, AnyWorkflow, InBody, OfSilence, Services};
use super::view::SilenceFacts;
use crate::model::{Silence, SilenceId, SilenceStatus};
use crate::warden::silences::{MakeSilence, Until};

pub async fn list(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Silence>>, Problem> {
    let (services, access) = allowed.visible();
    let mut statuses: Vec<SilenceStatus> =
        query.all("status").iter().map(|text| request::word("status", text)).collect::<Result<_, _>>()?;
    if statuses.is_empty() {
        statuses = vec![SilenceStatus::Pending, SilenceStatus::Active];
    }
    let paging = Paging::read(&mut query)?;
    let moment = services.moment();
    let mut silences = services.silences.list();
    silences
        .retain(|silence| statuses.contains(&silence.status(moment)) && access.admits_all(&silence.workflow));
    let view = |silence| SilenceFacts(silence, moment).into();
    Ok(Json(paging.page(silences, |silence: &Silence| silence.id.0.to_string(), view)))
}

pub async fn post(allowed: Allowed<InBody>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let document: SilenceRequest = document(allowed.server(), &parts, body).await?;
    let services = allowed.for_all([&*document.workflow])?;
    let access = services.access();
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
    let silence = services.silences.make(make).await?;
    Ok((success::CREATED, Json(view(&services, silence))).into_response())
}

pub async fn get(
    allowed: Allowed<OfSilence>,
    Segments(id): Segments<String>,
) -> Result<Json<warden_api::Silence>, Problem> {
    let (services, silence) = allowed.silence(&SilenceId(id.into()))?;
    Ok(Json(view(&services, silence)))
}

pub async fn delete(
    allowed: Allowed<OfSilence>,
    Segments(id): Segments<String>,
) -> Result<Response, Problem> {
    let (services, silence) = allowed.silence(&SilenceId(id.into()))?;
    services.silences.end(&silence.id).await?;
    Ok(success::DONE.into_response())
}

fn view(services: &Services, silence: Silence) -> warden_api::Silence {
    SilenceFacts(silence, services.moment()).into()
}
