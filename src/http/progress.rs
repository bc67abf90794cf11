//! Progress documents of items: the one that all steps share, and one for each step.
//!
//! The entity tag is the version of the item, which every change of the item increments: a change with
//! `If-Match` fails if anything about the item has changed since it was read.

use axum::extract::Request;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use warden_api::word::ProgressOperation;

use super::course::progress_value;
use super::document::document;
use super::items::entity_tag;
use super::json::Json;
use super::problem::{Problem, success};
use super::request::{self, Query, StepPath};
use super::server::{Allowed, InPath, Services};
use crate::model::item::{ProgressChange, ProgressOf};
use crate::model::{Item, ItemKey};
use crate::warden::WardenError;
use crate::warden::intake::PatchItem;

pub async fn get(allowed: Allowed<InPath<ItemKey>>) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    read(&services, key, ProgressOf::Item).await
}

pub async fn get_of_step(allowed: Allowed<InPath<StepPath>>) -> Result<Response, Problem> {
    let (services, StepPath { key, step }) = allowed.granted();
    read(&services, key, ProgressOf::Step(step)).await
}

pub async fn put(allowed: Allowed<InPath<ItemKey>>, request: Request) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    change(&services, key, ProgressOf::Item, ProgressOperation::Set, request).await
}

pub async fn put_of_step(allowed: Allowed<InPath<StepPath>>, request: Request) -> Result<Response, Problem> {
    let (services, StepPath { key, step }) = allowed.granted();
    change(&services, key, ProgressOf::Step(step), ProgressOperation::Set, request).await
}

pub async fn patch(
    allowed: Allowed<InPath<ItemKey>>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (services, key) = allowed.granted();
    change(&services, key, ProgressOf::Item, operation(query)?, request).await
}

pub async fn patch_of_step(
    allowed: Allowed<InPath<StepPath>>,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let (services, StepPath { key, step }) = allowed.granted();
    change(&services, key, ProgressOf::Step(step), operation(query)?, request).await
}

fn operation(mut query: Query) -> Result<ProgressOperation, Problem> {
    match query.one("op")?.map(|text| request::word("op", &text)).transpose()? {
        None => Ok(ProgressOperation::Merge),
        Some(ProgressOperation::Set) => Err(Problem::invalid("op=set is not for PATCH; use PUT")),
        Some(operation) => Ok(operation),
    }
}

async fn read(services: &Services, key: ItemKey, of: ProgressOf) -> Result<Response, Problem> {
    let item = services.queries.item(key).await?;
    let policy = services.workflows.policy(&item.workflow);
    item.check_progress_of(&of, &policy).map_err(WardenError::StepUnknown)?;
    Ok(show(&item, &of))
}

async fn change(
    services: &Services,
    key: ItemKey,
    of: ProgressOf,
    operation: ProgressOperation,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let if_version = request::if_match(&parts.headers)?;
    let value = document(services.server(), &parts, body).await?;
    let change = ProgressChange { of: of.clone(), to: progress_value(operation, value) };
    let patch = PatchItem { progress: Some(change), if_version, ..PatchItem::default() };
    Ok(show(&services.intake.patch(key, patch).await?, &of))
}

fn show(item: &Item, of: &ProgressOf) -> Response {
    (success::OK, [(ETAG, entity_tag(item.version))], Json(item.progress_of(of))).into_response()
}
