//! Receivers: status, test and resume.

use std::convert::identity;

use warden_api::Page;
use warden_api::alert::ReceiverTest;

use super::json::Json;
use super::page::Paging;
use super::problem::Problem;
use super::request::{Query, Segments};
use super::server::{Allowed, AnyWorkflow, Everything, Services};
use super::view::{ReceiverFacts, withhold_answers};
use crate::notifier::ReceiverStatus;
use crate::warden::WardenError;

pub async fn list(
    allowed: Allowed<AnyWorkflow>,
    mut query: Query,
) -> Result<Json<Page<warden_api::Receiver>>, Problem> {
    let (services, access) = allowed.visible();
    let paging = Paging::read(&mut query)?;
    let mut receivers = views(&services);
    if access.is_limited() {
        receivers.iter_mut().for_each(withhold_answers);
    }
    Ok(Json(paging.page(receivers, |receiver: &warden_api::Receiver| receiver.name.to_string(), identity)))
}

pub async fn test(
    allowed: Allowed<Everything>,
    Segments(name): Segments<String>,
) -> Result<Json<ReceiverTest>, Problem> {
    Ok(Json(allowed.granted().alerting.test_receiver(&name).await?.into()))
}

pub async fn resume(
    allowed: Allowed<Everything>,
    Segments(name): Segments<String>,
) -> Result<Json<warden_api::Receiver>, Problem> {
    let services = allowed.granted();
    services.alerting.resume_receiver(&name)?;
    let receiver = views(&services).into_iter().find(|receiver| *receiver.name == *name);
    Ok(Json(receiver.ok_or(WardenError::ReceiverNotFound(name))?))
}

fn views(services: &Services) -> Vec<warden_api::Receiver> {
    let moment = services.moment();
    let view = |status: ReceiverStatus| {
        let receiver = services.alerting.receiver(&status.name);
        ReceiverFacts { status, receiver: receiver.as_deref(), moment }.into()
    };
    services.alerting.receiver_statuses().into_iter().map(view).collect()
}
