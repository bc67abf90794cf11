//! Lists of items, and aggregate counts.

use warden_api::Page;
use warden_api::item::Summary;
use warden_api::word::ItemOrder;

use super::json::Json;
use super::page::{limit, write_cursor};
use super::problem::Problem;
use super::question::{self, Question};
use super::request::Query;
use super::server::answers::RECORD;
use super::server::{Allowed, Matching, Services};
use super::trouble;

pub async fn list(
    allowed: Allowed<Matching>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Item>>, Problem> {
    let limit = limit(&mut query)?;
    let order = question::order(&mut query)?;
    // The records of many concurrent pages would exceed the responses in size, so they are reserved too.
    let room = |services: &Services| services.server().answers.try_hold(limit as u64 * RECORD);
    let clock = allowed.server().clock();
    let (services, data, next_cursor, _room) = if order == ItemOrder::Trouble {
        let filter = question::filter(&mut query, clock)?;
        let cursor = query.one("cursor")?;
        let (services, filter) = allowed.matching(filter);
        let room = room(&services)?;
        let (data, next) = trouble::page(&services, &filter, cursor.as_deref(), limit).await?;
        (services, data, next, room)
    } else {
        let Question { filter, order, after } = Question::in_order(order, &mut query, clock)?;
        let (services, filter) = allowed.matching(filter);
        let room = room(&services)?;
        let page = services.queries.list(filter, order, after, limit).await?;
        (services, page.data, page.next.map(write_cursor), room)
    };
    let data = data.into_iter().map(|item| services.facts(item).into()).collect();
    Ok(Json(Page { data, next_cursor }))
}

pub async fn summary(allowed: Allowed<Matching>, mut query: Query) -> Result<Json<Summary>, Problem> {
    let filter = question::filter(&mut query, allowed.server().clock())?;
    let (services, filter) = allowed.matching(filter);
    Ok(Json(services.queries.summary(filter).await?.into()))
}
