//! Receivers: status, test and resume.

use std::convert::identity;
use std::sync::Arc;

use axum::extract::State;
use warden_api::Page;
use warden_api::alert::ReceiverTest;

use super::Server;
use super::access::Access;
use super::json::Json;
use super::page::Paging;
use super::problem::Problem;
use super::request::{NoQuery, Query, Segments};
use super::view::{ReceiverFacts, withhold_answers};
use crate::config::Scope;
use crate::notifier::ReceiverStatus;
use crate::warden::WardenError;

/// List receivers and their status, by name.
///
/// A receiver is `failing` if its last five or more attempts have all failed. Then one attempt is made at a
/// time, at least every minute while there are deliveries for it. It is also `failing` if it sent a
/// `Retry-After` of more than a minute. It is `paused` after it answered 410, until it is resumed, a test
/// succeeds, or the warden restarts. A token that is limited to some workflows does not see `reason` and
/// `last_attempt`, which may concern others.
#[utoipa::path(get, path = "/v1/receivers", operation_id = "list_receivers", tag = "alerts",
    params(("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = Page<warden_api::Receiver>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<Page<warden_api::Receiver>>, Problem> {
    access.require(Scope::Read)?;
    let paging = Paging::read(&mut query)?;
    query.finish("limit, cursor")?;
    let mut receivers = views(&server);
    if access.is_limited() {
        receivers.iter_mut().for_each(withhold_answers);
    }
    Ok(Json(paging.page(receivers, |receiver: &warden_api::Receiver| receiver.name.to_string(), identity)))
}

/// Test a receiver: send a notification of type `receiver.test` now and return the response.
///
/// A success ends the back-off of the receiver.
#[utoipa::path(post, path = "/v1/receivers/{name}/test", operation_id = "test_receiver", tag = "alerts",
    params(("name" = String, Path)),
    responses((status = 200, description = "The result of the attempt", body = ReceiverTest)))]
pub async fn test(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(name): Segments<String>,
    _: NoQuery,
) -> Result<Json<ReceiverTest>, Problem> {
    access.require_unlimited(Scope::Admin)?;
    Ok(Json(server.warden.alerting.test_receiver(&name).await?.into()))
}

/// Resume a receiver: attempt all its pending deliveries at once, whether it was paused, failing, or in
/// back-off.
#[utoipa::path(post, path = "/v1/receivers/{name}/resume", operation_id = "resume_receiver", tag = "alerts",
    params(("name" = String, Path)),
    responses((status = 200, description = "The receiver", body = warden_api::Receiver)))]
pub async fn resume(
    State(server): State<Arc<Server>>,
    access: Access,
    Segments(name): Segments<String>,
    _: NoQuery,
) -> Result<Json<warden_api::Receiver>, Problem> {
    access.require_unlimited(Scope::Admin)?;
    server.warden.alerting.resume_receiver(&name)?;
    let receiver = views(&server).into_iter().find(|receiver| *receiver.name == *name);
    Ok(Json(receiver.ok_or(WardenError::ReceiverNotFound(name))?))
}

fn views(server: &Server) -> Vec<warden_api::Receiver> {
    let moment = server.moment();
    let view = |status: ReceiverStatus| {
        let receiver = server.warden.alerting.receiver(&status.name);
        ReceiverFacts { status, receiver, moment }.into()
    };
    server.warden.alerting.receiver_statuses().into_iter().map(view).collect()
}
