//! Incidents: listing, deliveries, and actions of people.

use std::sync::Arc;

use axum::extract::{Request, State};
use warden_api::Page;
use warden_api::alert::{AcknowledgeRequest, CommentRequest, SnoozeRequest};
use warden_api::word::IncidentOrder;

use super::Server;
use super::access::Access;
use super::document::{document, optional_document};
use super::json::Json;
use super::page::{Paging, name_cursor};
use super::problem::Problem;
use super::request::{self, NoQuery, Query, Segments};
use super::view::{DeliveryFacts, IncidentFacts};
use crate::config::Scope;
use crate::model::{Delivery, Incident, IncidentId, IncidentStatus, Severity};
use crate::warden::{IncidentAction, WardenError};

/// The page size of scans.
const SCANNED_AT_ONCE: usize = 1_000;

/// List incidents, newest first; or open ones by severity, the most severe first, then the oldest.
#[utoipa::path(get, path = "/v1/incidents", operation_id = "list_incidents", tag = "alerts",
    params(("status" = Option<String>, Query),
        ("workflow" = Option<Vec<String>>, Query, description = "A glob over workflow names; repeatable"),
        ("order" = Option<String>, Query, description = "newest (default), or severity, which lists open \
            incidents"),
        ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Incident>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Page<warden_api::Incident>>, Problem> {
    access.require(Scope::Read)?;
    let status = query.one("status")?.map(|text| request::word("status", &text)).transpose()?;
    let workflows: Vec<_> =
        query.all("workflow").iter().map(|glob| wildmatch::WildMatch::new(glob)).collect();
    let order = query.one("order")?.map(|text| request::word("order", &text)).transpose()?;
    let paging = Paging::read(&mut query)?;
    query.finish("status, workflow, order, limit, cursor")?;
    let admits = |incident: &Incident| {
        access.admits(&incident.key.workflow)
            && status.is_none_or(|status| incident.status == status)
            && (workflows.is_empty() || workflows.iter().any(|glob| glob.matches(&incident.key.workflow)))
    };
    if order == Some(IncidentOrder::Severity) {
        let is_open = |incident: &Incident| incident.status == IncidentStatus::Open && admits(incident);
        return worst_first(&server, &paging, &is_open).await.map(Json);
    }
    let Paging { limit, after } = paging;
    let mut before = after.map(|id| IncidentId(id.into()));
    let mut data: Vec<Incident> = Vec::new();
    // One more than the page, to know whether another follows.
    while data.len() <= limit {
        let incidents = server.warden.alerting.incidents(before.take(), limit + 1).await?;
        let ended = incidents.len() <= limit;
        before = incidents.last().map(|incident| incident.id.clone());
        data.extend(incidents.into_iter().filter(&admits));
        if ended {
            break;
        }
    }
    let more = data.len() > limit;
    data.truncate(limit);
    let next_cursor = data.last().filter(|_| more).map(|incident| name_cursor(&incident.id.0));
    let data = data.into_iter().map(|incident| shown(&server, incident)).collect();
    Ok(Json(Page { data, next_cursor }))
}

/// A page of matching incidents, the most severe first, then the oldest.
async fn worst_first(
    server: &Server,
    paging: &Paging,
    admits: &impl Fn(&Incident) -> bool,
) -> Result<Page<warden_api::Incident>, Problem> {
    let mut found: Vec<Incident> = Vec::new();
    let mut before = None;
    loop {
        let incidents = server.warden.alerting.incidents(before.take(), SCANNED_AT_ONCE).await?;
        let ended = incidents.len() < SCANNED_AT_ONCE;
        before = incidents.last().map(|incident| incident.id.clone());
        found.extend(incidents.into_iter().filter(admits));
        if ended {
            break;
        }
    }
    // Fixed widths, so that the keys sort like the values.
    let name = |incident: &Incident| {
        let (severity, opened) =
            (Severity::Critical as u8 - incident.severity as u8, incident.opened_at.as_millis());
        format!("{severity}{:020}{}", opened.max(0), incident.id.0)
    };
    found.sort_by_cached_key(name);
    Ok(paging.page(found, name, |incident| shown(server, incident)))
}

/// Get an incident.
#[utoipa::path(get, path = "/v1/incidents/{id}", operation_id = "get_incident", tag = "alerts",
    params(("id" = String, Path)),
    responses((status = 200, description = "The incident", body = warden_api::Incident)))]
pub async fn get(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Incident>, Problem> {
    Ok(Json(shown(&server, visible(&server, &access, id).await?)))
}

fn shown(server: &Server, incident: Incident) -> warden_api::Incident {
    let outlook = server.warden.alerting.outlook(&incident);
    let zone = server.warden.workflows.zone(&incident.key.workflow);
    IncidentFacts { incident, outlook, zone, moment: server.moment() }.into()
}

/// List an incident's deliveries, oldest first.
#[utoipa::path(get, path = "/v1/incidents/{id}/deliveries", operation_id = "list_incident_deliveries",
    tag = "alerts",
    params(("id" = String, Path), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Delivery>)))]
pub async fn deliveries(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Delivery>>, Problem> {
    let paging = Paging::read(&mut query)?;
    query.finish("limit, cursor")?;
    let incident = visible(&server, &access, id).await?;
    let deliveries = server.warden.alerting.deliveries(incident.id).await?;
    let moment = server.moment();
    let view = |delivery| DeliveryFacts { delivery, is_limited: access.is_limited(), moment }.into();
    Ok(Json(paging.page(deliveries, |delivery: &Delivery| delivery.id.0.to_string(), view)))
}

async fn visible(server: &Server, access: &Access, id: String) -> Result<Incident, Problem> {
    access.require(Scope::Read)?;
    known(server, access, id).await
}

/// Acknowledge an open incident: a person works on it, and it is not escalated further.
#[utoipa::path(post, path = "/v1/incidents/{id}/ack", operation_id = "acknowledge_incident", tag = "alerts",
    params(("id" = String, Path)), request_body(content = Option<AcknowledgeRequest>),
    responses((status = 200, description = "The incident", body = warden_api::Incident)))]
pub async fn acknowledge(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<warden_api::Incident>, Problem> {
    access.require(Scope::Recover)?;
    let (parts, body) = request.into_parts();
    let AcknowledgeRequest { by, comment } = optional_document(&server, &parts, body).await?;
    act(&server, &access, id, IncidentAction::Acknowledge, by, comment).await
}

/// Snooze an open incident: reminders and escalations are deferred until the snooze ends. Its resolution is
/// still notified.
#[utoipa::path(post, path = "/v1/incidents/{id}/snooze", operation_id = "snooze_incident", tag = "alerts",
    params(("id" = String, Path)), request_body(content = SnoozeRequest),
    responses((status = 200, description = "The incident", body = warden_api::Incident)))]
pub async fn snooze(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<warden_api::Incident>, Problem> {
    access.require(Scope::Recover)?;
    let (parts, body) = request.into_parts();
    let SnoozeRequest { duration, by, comment } = document(&server, &parts, body).await?;
    let duration = request::duration("for", &duration)?;
    act(&server, &access, id, IncidentAction::Snooze(duration), by, comment).await
}

/// The incident, if the token includes its workflow. Others do not exist for the client.
async fn known(server: &Server, access: &Access, id: String) -> Result<Incident, Problem> {
    let incident = server.warden.alerting.incident(IncidentId(id.into())).await?;
    if !access.admits(&incident.key.workflow) {
        return Err(WardenError::IncidentNotFound.into());
    }
    Ok(incident)
}

/// Comment on an open or resolved incident.
#[utoipa::path(post, path = "/v1/incidents/{id}/comments", operation_id = "comment_incident", tag = "alerts",
    params(("id" = String, Path)), request_body(content = CommentRequest),
    responses((status = 200, description = "The incident", body = warden_api::Incident)))]
pub async fn comment(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
    request: Request,
) -> Result<Json<warden_api::Incident>, Problem> {
    access.require(Scope::Recover)?;
    let (parts, body) = request.into_parts();
    let CommentRequest { by, comment } = document(&server, &parts, body).await?;
    act(&server, &access, id, IncidentAction::Comment, by, Some(comment)).await
}

/// Call it after the scope was checked and the body read.
async fn act(
    server: &Server,
    access: &Access,
    id: String,
    act: IncidentAction,
    by: Option<Arc<str>>,
    comment: Option<Arc<str>>,
) -> Result<Json<warden_api::Incident>, Problem> {
    let incident = known(server, access, id).await?;
    let by = by.unwrap_or_else(|| access.name().unwrap_or("anonymous").into());
    Ok(Json(shown(server, server.warden.alerting.act(incident.id, act, by, comment).await?)))
}
