//! Deliveries: listing and resending.

use warden_api::Page;

use super::json::Json;
use super::page::{Paging, name_cursor};
use super::problem::Problem;
use super::request::{self, Query, Segments};
use super::server::{Allowed, AnyWorkflow, OfDelivery, Services};
use super::view::DeliveryFacts;
use crate::model::{Delivery, DeliveryId};
use crate::store::{DeliveryPage, ListDeliveries};

pub async fn list(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Delivery>>, Problem> {
    let (services, access) = allowed.visible();
    let status = query.one("status")?.map(|text| request::word("status", &text)).transpose()?;
    let receiver = query.one("receiver")?.map(Into::into);
    let Paging { limit, after } = Paging::read(&mut query)?;
    let before = after.map(|id| DeliveryId(id.into()));
    let question = ListDeliveries { status, receiver, before, limit };
    let page = match access.is_limited() {
        true => visible_page(&services, question).await?,
        false => services.alerting.list_deliveries(question).await?,
    };
    let next_cursor = page.next.map(|id| name_cursor(&id.0));
    let moment = services.moment();
    let view = |delivery| DeliveryFacts { delivery, is_limited: access.is_limited(), moment }.into();
    let data = page.data.into_iter().map(view).collect();
    Ok(Json(Page { data, next_cursor }))
}

/// How many deliveries are read at once for a page of which the token may include few.
const READ_AT_ONCE: usize = 500;

/// A page of the deliveries whose workflows the token includes. It is always filled, because the position
/// where a partial page ends would reveal others.
async fn visible_page(services: &Services, mut question: ListDeliveries) -> Result<DeliveryPage, Problem> {
    let limit = question.limit;
    let mut data: Vec<Delivery> = Vec::new();
    loop {
        // Most may be of workflows that the token does not include, and each query costs a scan of all ids.
        question.limit = (limit + 1).max(READ_AT_ONCE);
        let page = services.alerting.list_deliveries(question.clone()).await?;
        data.extend(services.visible_deliveries(page.data).await?);
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

pub async fn resend(
    allowed: Allowed<OfDelivery>,
    Segments(id): Segments<String>,
) -> Result<Json<warden_api::Delivery>, Problem> {
    let id = DeliveryId(id.into());
    let services = allowed.delivery(&id).await?;
    let delivery = services.alerting.resend(id).await?;
    let is_limited = services.access().is_limited();
    Ok(Json(DeliveryFacts { delivery, is_limited, moment: services.moment() }.into()))
}
