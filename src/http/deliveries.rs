//! Deliveries of all incidents: listing and resending.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use warden_api::Page;

use super::Server;
use super::access::Access;
use super::json::Json;
use super::page::{Paging, name_cursor};
use super::problem::Problem;
use super::request::{self, NoQuery, Query, Segments};
use super::view::DeliveryFacts;
use crate::config::Scope;
use crate::model::{Delivery, DeliveryId, IncidentId, WorkflowName};
use crate::store::{DeliveryPage, ListDeliveries};
use crate::warden::WardenError;

/// List the deliveries of all incidents, newest first.
///
/// Filtering by status or receiver scans all deliveries: a page may have fewer entries than `limit`, even
/// none, and still have a `next_cursor`.
#[utoipa::path(get, path = "/v1/deliveries", operation_id = "list_deliveries", tag = "alerts",
    params(("status" = Option<String>, Query),
        ("receiver" = Option<String>, Query, description = "The name of a receiver"),
        ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Delivery>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Page<warden_api::Delivery>>, Problem> {
    access.require(Scope::Read)?;
    let status = query.one("status")?.map(|text| request::word("status", &text)).transpose()?;
    let receiver = query.one("receiver")?.map(Into::into);
    let Paging { limit, after } = Paging::read(&mut query)?;
    query.finish("status, receiver, limit, cursor")?;
    let before = after.map(|id| DeliveryId(id.into()));
    let question = ListDeliveries { status, receiver, before, limit };
    let page = match access.is_limited() {
        true => visible_page(&server, &access, question).await?,
        false => server.warden.alerting.list_deliveries(question).await?,
    };
    let next_cursor = page.next.map(|id| name_cursor(&id.0));
    let moment = server.moment();
    let view = |delivery| DeliveryFacts { delivery, is_limited: access.is_limited(), moment }.into();
    let data = page.data.into_iter().map(view).collect();
    Ok(Json(Page { data, next_cursor }))
}

/// A page of the deliveries whose workflows the token includes. It is always filled, because the position
/// where a partial page ends would reveal others.
async fn visible_page(
    server: &Server,
    access: &Access,
    mut question: ListDeliveries,
) -> Result<DeliveryPage, Problem> {
    let limit = question.limit;
    let mut data: Vec<Delivery> = Vec::new();
    loop {
        // One more than the page, to know whether another follows.
        question.limit = limit + 1;
        let page = server.warden.alerting.list_deliveries(question.clone()).await?;
        data.extend(visible(server, access, page.data).await?);
        question.before = page.next;
        if data.len() > limit || question.before.is_none() {
            break;
        }
    }
    let more = data.len() > limit;
    data.truncate(limit);
    let next = data.last().filter(|_| more).map(|delivery| delivery.id.clone());
    Ok(DeliveryPage { data, next })
}

/// Resend a delivery that was delivered or is dead.
///
/// It is sent with the same id and body, and retried for up to another day.
#[utoipa::path(post, path = "/v1/deliveries/{id}/resend", operation_id = "resend_delivery", tag = "alerts",
    params(("id" = String, Path)),
    responses((status = 200, description = "The delivery, pending again", body = warden_api::Delivery)))]
pub async fn resend(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Delivery>, Problem> {
    access.require(Scope::Admin)?;
    let id = DeliveryId(id.into());
    if access.is_limited() {
        let delivery = server.warden.alerting.delivery(id.clone()).await?;
        // Deliveries of other workflows do not exist for the client.
        if visible(&server, &access, vec![delivery]).await?.is_empty() {
            return Err(WardenError::DeliveryNotFound.into());
        }
    }
    let delivery = server.warden.alerting.resend(id).await?;
    let facts = DeliveryFacts { delivery, is_limited: access.is_limited(), moment: server.moment() };
    Ok(Json(facts.into()))
}

/// The deliveries whose workflows the token includes.
async fn visible(
    server: &Server,
    access: &Access,
    deliveries: Vec<Delivery>,
) -> Result<Vec<Delivery>, Problem> {
    let mut workflows: HashMap<IncidentId, Option<WorkflowName>> = HashMap::new();
    for Delivery { incident, .. } in &deliveries {
        if !workflows.contains_key(incident) {
            let workflow = match server.warden.alerting.incident(incident.clone()).await {
                Ok(incident) => Some(incident.key.workflow),
                // Removed in the meantime.
                Err(WardenError::IncidentNotFound) => None,
                Err(error) => return Err(error.into()),
            };
            workflows.insert(incident.clone(), workflow);
        }
    }
    let admitted = |delivery: &Delivery| {
        workflows[&delivery.incident].as_ref().is_some_and(|workflow| access.admits(workflow))
    };
    Ok(deliveries.into_iter().filter(admitted).collect())
}
