//! Lists of items, aggregate counts, and retrying many.

use std::sync::Arc;

use axum::extract::State;
use warden_api::Page;
use warden_api::item::{Retried, Summary};
use warden_api::word::ItemOrder;

use super::Server;
use super::access::Access;
use super::answers::RECORD;
use super::json::Json;
use super::page::{limit, write_cursor};
use super::place::Place;
use super::problem::Problem;
use super::question::{self, FILTERS, Question};
use super::request::Query;
use super::trouble;
use crate::config::Scope;

/// List items. Combine filters; each narrows the list.
#[utoipa::path(get, path = "/v1/items", operation_id = "list_items", tag = "items",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob over workflow names; repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "Repeatable"),
        ("label" = Option<Vec<String>>, Query, description = "name:value; repeatable, all must match"),
        ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query),
        ("order" = Option<String>, Query, description = "By creation (default) or by deadline, oldest first; \
            or trouble: failed, held, overdue, open and closed items, each by deadline"),
        ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Item>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Page<warden_api::Item>>, Problem> {
    access.require(Scope::Read)?;
    let limit = limit(&mut query)?;
    let order = question::order(&mut query)?;
    // The records of many concurrent pages would exceed the responses in size, so they are reserved too.
    let room = || server.answers.try_hold(limit as u64 * RECORD);
    let (data, next_cursor, _room) = if order == ItemOrder::Trouble {
        let filter = question::filter(&mut query, &access, &*server.warden.clock)?;
        let cursor = query.one("cursor")?;
        query.finish(&format!("{FILTERS}, order, limit, cursor"))?;
        let room = room()?;
        let (data, next) = trouble::page(&server, &filter, cursor.as_deref(), limit).await?;
        (data, next, room)
    } else {
        let question = Question::in_order(order, &mut query, &access, &*server.warden.clock)?;
        let Question { filter, order, after } = question;
        query.finish(&format!("{FILTERS}, order, limit, cursor"))?;
        let room = room()?;
        let page = server.warden.queries.list(filter, order, after, limit).await?;
        (page.data, page.next.map(write_cursor), room)
    };
    let data = data.into_iter().map(|item| server.facts(item).into()).collect();
    Ok(Json(Page { data, next_cursor }))
}

/// Retry many items: those that match, or the failed ones if no state is given. A request retries up to 1000;
/// continue with `next_cursor`.
#[utoipa::path(post, path = "/v1/items/retry", operation_id = "retry_items", tag = "recovery",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob over workflow names; repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "failed (default), open or overdue; repeatable"),
        ("label" = Option<Vec<String>>, Query, description = "name:value; repeatable, all must match"),
        ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query),
        ("cursor" = Option<String>, Query, description = "Continue where the request before ended")),
    responses((status = 200, description = "The number of retried items", body = Retried)))]
pub async fn retry(
    State(server): State<Arc<Server>>,
    access: Access,
    place: Place,
    mut query: Query,
) -> Result<Json<Retried>, Problem> {
    access.require(Scope::Recover)?;
    let Question { filter, after, .. } = Question::read(&mut query, &access, &*server.warden.clock)?;
    query.finish(&format!("{FILTERS}, order, cursor"))?;
    let retried = place.keep(async move { server.warden.recovery.retry_all(filter, after).await }).await?;
    Ok(Json(Retried { retried: retried.count, next_cursor: retried.next.map(write_cursor) }))
}

/// Count items by workflow, step and state, with the total size of their payloads.
#[utoipa::path(get, path = "/v1/items/summary", operation_id = "summarise_items", tag = "items",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob over workflow names; repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "Repeatable"),
        ("label" = Option<Vec<String>>, Query, description = "name:value; repeatable, all must match"),
        ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query)),
    responses((status = 200, description = "The counts", body = Summary)))]
pub async fn summary(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Summary>, Problem> {
    access.require(Scope::Read)?;
    let filter = question::filter(&mut query, &access, &*server.warden.clock)?;
    query.finish(FILTERS)?;
    Ok(Json(server.warden.queries.summary(filter).await?.into()))
}
