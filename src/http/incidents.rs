//! Incidents: listing, deliveries, and actions of people.

use std::sync::Arc;

use axum::extract::Request;
use warden_api::Page;
use warden_api::alert::{AcknowledgeRequest, CommentRequest, SnoozeRequest};
use warden_api::word::IncidentOrder;

use super::document::{document, optional_document};
use super::json::Json;
use super::page::{Paging, name_cursor};
use super::problem::Problem;
use super::request::{self, Query, Segments};
use super::server::{Allowed, AnyWorkflow, OfIncident, Services};
use super::view::{DeliveryFacts, IncidentFacts};
use crate::model::{Delivery, Incident, IncidentId, IncidentStatus, Severity};
use crate::warden::IncidentAction;

/// The page size of scans.
const SCANNED_AT_ONCE: usize = 1_000;

pub async fn list(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Incident>>, Problem> {
    let (services, access) = allowed.visible();
    let status = query.one("status")?.map(|text| request::word("status", &text)).transpose()?;
    let workflows: Vec<_> =
        query.all("workflow").iter().map(|glob| wildmatch::WildMatch::new(glob)).collect();
    let order = query.one("order")?.map(|text| request::word("order", &text)).transpose()?;
    let paging = Paging::read(&mut query)?;
    let admits = |incident: &Incident| {
        access.admits(&incident.key.workflow)
            && status.is_none_or(|status| incident.status == status)
            && (workflows.is_empty() || workflows.iter().any(|glob| glob.matches(&incident.key.workflow)))
    };
    if order == Some(IncidentOrder::Severity) {
        let is_open = |incident: &Incident| incident.status == IncidentStatus::Open && admits(incident);
        return worst_first(&services, &paging, &is_open).await.map(Json);
    }
    let Paging { limit, after } = paging;
    let mut before = after.map(|id| IncidentId(id.into()));
    let mut data: Vec<Incident> = Vec::new();
    // One more than the page, to know whether another follows.
    while data.len() <= limit {
        let incidents = services.alerting.incidents(before.take(), limit + 1).await?;
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
    let data = data.into_iter().map(|incident| shown(&services, incident)).collect();
    Ok(Json(Page { data, next_cursor }))
}

/// A page of matching incidents, the most severe first, then the oldest.
async fn worst_first(
    services: &Services,
    paging: &Paging,
    admits: &impl Fn(&Incident) -> bool,
) -> Result<Page<warden_api::Incident>, Problem> {
    let mut found: Vec<Incident> = Vec::new();
    let mut before = None;
    loop {
        let incidents = services.alerting.incidents(before.take(), SCANNED_AT_ONCE).await?;
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
    Ok(paging.page(found, name, |incident| shown(services, incident)))
}

pub async fn get(
    allowed: Allowed<OfIncident>,
    Segments(id): Segments<String>,
) -> Result<Json<warden_api::Incident>, Problem> {
    let (services, incident) = allowed.incident(id).await?;
    Ok(Json(shown(&services, incident)))
}

fn shown(services: &Services, incident: Incident) -> warden_api::Incident {
    let outlook = services.alerting.outlook(&incident);
    let zone = services.workflows.zone(&incident.key.workflow);
    IncidentFacts { incident, outlook, zone, moment: services.moment() }.into()
}

pub async fn deliveries(
    allowed: Allowed<OfIncident>,
    Segments(id): Segments<String>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Delivery>>, Problem> {
    let paging = Paging::read(&mut query)?;
    let (services, incident) = allowed.incident(id).await?;
    let deliveries = services.alerting.deliveries(incident.id).await?;
    let (moment, is_limited) = (services.moment(), services.access().is_limited());
    let view = |delivery| DeliveryFacts { delivery, is_limited, moment }.into();
    Ok(Json(paging.page(deliveries, |delivery: &Delivery| delivery.id.0.to_string(), view)))
}

pub async fn acknowledge(
    allowed: Allowed<OfIncident>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<warden_api::Incident>, Problem> {
    let (parts, body) = request.into_parts();
    let AcknowledgeRequest { by, comment } = optional_document(allowed.server(), &parts, body).await?;
    act(allowed, id, IncidentAction::Acknowledge, by, comment).await
}

pub async fn snooze(
    allowed: Allowed<OfIncident>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<warden_api::Incident>, Problem> {
    let (parts, body) = request.into_parts();
    let SnoozeRequest { duration, by, comment } = document(allowed.server(), &parts, body).await?;
    let duration = request::duration("for", &duration)?;
    act(allowed, id, IncidentAction::Snooze(duration), by, comment).await
}

pub async fn comment(
    allowed: Allowed<OfIncident>,
    Segments(id): Segments<String>,
    request: Request,
) -> Result<Json<warden_api::Incident>, Problem> {
    let (parts, body) = request.into_parts();
    let CommentRequest { by, comment } = document(allowed.server(), &parts, body).await?;
    act(allowed, id, IncidentAction::Comment, by, Some(comment)).await
}

/// Call it after the body was read.
async fn act(
    allowed: Allowed<OfIncident>,
    id: String,
    act: IncidentAction,
    by: Option<Arc<str>>,
    comment: Option<Arc<str>>,
) -> Result<Json<warden_api::Incident>, Problem> {
    let (services, incident) = allowed.incident(id).await?;
    let by = by.unwrap_or_else(|| services.access().name().unwrap_or("anonymous").into());
    Ok(Json(shown(&services, services.alerting.act(incident.id, act, by, comment).await?)))
}
