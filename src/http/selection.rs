//! What a person does to all items that match: retry, close, cancel, extend.

use axum::extract::Request;
use warden_api::item::{Changed, ExtendRequest, Retried};

use super::course;
use super::document::{document, optional_document};
use super::json::Json;
use super::page::{limit_or, read_cursor, write_cursor};
use super::problem::Problem;
use super::question;
use super::request::{self, Query};
use super::server::{Allowed, Matching, Place, Services};
use crate::model::{CloseOutcome, Position};
use crate::warden::recovery::{Act, Acted, Continuation, SELECTION_MAX, Selection};

pub async fn retry(
    allowed: Allowed<Matching>,
    place: Place,
    mut query: Query,
    request: Request,
) -> Result<Json<Retried>, Problem> {
    question::order(&mut query)?;
    let (services, selection) = selection(allowed, query)?;
    let (parts, body) = request.into_parts();
    let document = optional_document(services.server(), &parts, body).await?;
    let act = Act::Retry(course::retry(document, services.server().clock())?);
    let acted = perform(services, &place, selection, act).await?;
    Ok(Json(Retried { retried: acted.count, next_cursor: acted.next.map(write) }))
}

pub async fn close(
    allowed: Allowed<Matching>,
    place: Place,
    mut query: Query,
) -> Result<Json<Changed>, Problem> {
    let outcome = query.one("outcome")?.map(|text| request::word("outcome", &text)).transpose()?;
    let (services, selection) = named(allowed, query)?;
    changed(perform(services, &place, selection, Act::Close(outcome.unwrap_or_default())).await?)
}

pub async fn cancel(
    allowed: Allowed<Matching>,
    place: Place,
    query: Query,
) -> Result<Json<Changed>, Problem> {
    let (services, selection) = named(allowed, query)?;
    changed(perform(services, &place, selection, Act::Close(CloseOutcome::Discarded)).await?)
}

pub async fn extend(
    allowed: Allowed<Matching>,
    place: Place,
    query: Query,
    request: Request,
) -> Result<Json<Changed>, Problem> {
    let (services, selection) = named(allowed, query)?;
    let (parts, body) = request.into_parts();
    let ExtendRequest { deadline } = document(services.server(), &parts, body).await?;
    let deadline = request::deadline(&deadline)?;
    changed(perform(services, &place, selection, Act::Extend(deadline)).await?)
}

/// The selection, which must name workflows: without any the request would change every item there is.
fn named(allowed: Allowed<Matching>, query: Query) -> Result<(Services, Selection), Problem> {
    let (services, selection) = selection(allowed, query)?;
    if selection.filter.workflows.is_empty() {
        return Err(Problem::invalid(
            "name the workflows whose items are meant, such as workflow=uploads, or workflow=* for all",
        ));
    }
    Ok((services, selection))
}

fn selection(allowed: Allowed<Matching>, mut query: Query) -> Result<(Services, Selection), Problem> {
    let filter = question::filter(&mut query, allowed.server().clock())?;
    let cursor = query.one("cursor")?.map(|text| read_cursor(&text)).transpose()?;
    let from = cursor.map(|Position { deadline, number }| Continuation { begun_at: deadline, after: number });
    let limit = limit_or(SELECTION_MAX, &mut query)?;
    let (services, filter) = allowed.matching(filter);
    Ok((services, Selection { filter, from, limit }))
}

async fn perform(
    services: Services,
    place: &Place,
    selection: Selection,
    act: Act,
) -> Result<Acted, Problem> {
    Ok(place.keep(async move { services.recovery.act_on_all(selection, &act).await }).await?)
}

fn changed(acted: Acted) -> Result<Json<Changed>, Problem> {
    Ok(Json(Changed { changed: acted.count, next_cursor: acted.next.map(write) }))
}

fn write(next: Continuation) -> String {
    write_cursor(Position { deadline: next.begun_at, number: next.after })
}
