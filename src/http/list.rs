//! Lists of items, and their export.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use utoipa::ToSchema;
use wildmatch::WildMatch;

use super::Server;
use super::access::Access;
use super::page::{PageView, limit, read_cursor, write_cursor};
use super::problem::Problem;
use super::request::{self, Query};
use super::view::ItemView;
use crate::config::Scope;
use crate::model::{Clock, Item, ItemFilter, ItemState, Order, Page, Position, Timestamp};
use crate::warden::WardenError;

/// How many items an export reads at once.
const EXPORT_PAGE: usize = 500;
/// How many bytes of lines an export gathers before it sends them.
const EXPORT_CHUNK: usize = 256 * 1024;
/// The content type of newline-delimited JSON.
pub const NDJSON: &str = "application/x-ndjson";

const PARAMETERS: &str = "workflow, state, label, step, created_before, created_after, deadline_before, deadline_after, \
                          order, cursor, and limit for a list";

/// A question for a list, as read from the query.
struct Question {
    filter: ItemFilter,
    order: Order,
    after: Option<Position>,
}

fn question(mut query: Query, access: &Access, clock: &dyn Clock) -> Result<Question, Problem> {
    let instant = |query: &mut Query, name: &str| -> Result<Option<Timestamp>, Problem> {
        let instant = query.one(name)?.map(|text| request::instant(name, &text)).transpose()?;
        Ok(instant.map(|instant| clock.to_steady(instant)))
    };
    let filter = ItemFilter {
        workflows: query.all("workflow").iter().map(|glob| WildMatch::new(glob)).collect(),
        allowed: access.workflows(),
        states: query.all("state").iter().map(|text| state(text)).collect::<Result<_, _>>()?,
        labels: request::labels(query.all("label"))?.into_iter().collect(),
        step: query.one("step")?,
        created_after: instant(&mut query, "created_after")?,
        created_before: instant(&mut query, "created_before")?,
        deadline_after: instant(&mut query, "deadline_after")?,
        deadline_before: instant(&mut query, "deadline_before")?,
    };
    let order = match query.one("order")?.as_deref() {
        None | Some("created") => Order::Created,
        Some("deadline") => Order::Deadline,
        Some(other) => {
            return Err(Problem::invalid(format!("order={other:?} is neither deadline nor created")));
        }
    };
    let after = query.one("cursor")?.map(|text| read_cursor(&text)).transpose()?;
    query.finish(PARAMETERS)?;
    Ok(Question { filter, order, after })
}

fn state(text: &str) -> Result<ItemState, Problem> {
    match text {
        "open" => Ok(ItemState::Open),
        "overdue" => Ok(ItemState::Overdue),
        "failed" => Ok(ItemState::Failed),
        "held" => Ok(ItemState::Held),
        "closed" => Ok(ItemState::Closed),
        _ => Err(Problem::invalid(format!("state={text:?} is none of open, overdue, failed, held, closed"))),
    }
}

/// List items.
#[utoipa::path(get, path = "/v1/items", operation_id = "list_items", tag = "items",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob, repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "open, overdue, failed, held or closed, repeatable"),
        ("label" = Option<Vec<String>>, Query, description = "name:value, repeatable"), ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query),
        ("order" = Option<String>, Query, description = "created (default) or deadline"),
        ("limit" = Option<u16>, Query, description = "1 to 1000, 50 by default"), ("cursor" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = PageView<ItemView>)))]
pub async fn list(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Json<PageView<ItemView>>, Problem> {
    access.require(Scope::Read)?;
    let limit = limit(&mut query)?;
    let Question { filter, order, after } = question(query, &access, &**server.warden.clock())?;
    let page = server.warden.list(filter, order, after, limit).await?;
    let data = page.data.into_iter().map(|item| ItemView::new(item, &server.warden)).collect();
    Ok(Json(PageView { data, next_cursor: page.next.map(write_cursor) }))
}

/// What became of a request to send many items back.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetriedView {
    /// How many were sent back.
    retried: u64,
    /// To be handed back as `cursor` to go on; null at the end.
    next_cursor: Option<String>,
}

/// Send many items back to their steps: those of a list, without any state those that have failed. A request does a part;
/// the next goes on where it ended.
#[utoipa::path(post, path = "/v1/items/retry", operation_id = "retry_items", tag = "recovery",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob, repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "failed (default), open or overdue, repeatable"),
        ("label" = Option<Vec<String>>, Query, description = "name:value, repeatable"), ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query),
        ("cursor" = Option<String>, Query, description = "Go on where the request before ended")),
    responses((status = 200, description = "How many were sent back", body = RetriedView)))]
pub async fn retry(
    State(server): State<Arc<Server>>,
    access: Access,
    query: Query,
) -> Result<Json<RetriedView>, Problem> {
    access.require(Scope::Recover)?;
    let Question { filter, after, .. } = question(query, &access, &**server.warden.clock())?;
    let retried = server.warden.retry_all(filter, after).await?;
    Ok(Json(RetriedView { retried: retried.count, next_cursor: retried.next.map(write_cursor) }))
}

/// Export items with their payloads: a line of JSON each, as `POST /v1/batch` takes it.
#[utoipa::path(get, path = "/v1/export", operation_id = "export_items", tag = "items",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob, repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "open, overdue, failed or held, repeatable"),
        ("label" = Option<Vec<String>>, Query, description = "name:value, repeatable"), ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query),
        ("order" = Option<String>, Query, description = "created (default) or deadline"),
        ("cursor" = Option<String>, Query, description = "Begin after the place where a list ended")),
    responses((status = 200, description = "Lines", body = String, content_type = "application/x-ndjson")))]
pub async fn export(
    State(server): State<Arc<Server>>,
    access: Access,
    query: Query,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let question = question(query, &access, &**server.warden.clock())?;
    // The first page is read before the answer begins, so that a failure has a status of its own.
    let first = page(&server, &question, question.after).await?;
    let export = Export { server, question, items: first.data.into(), next: first.next };
    let lines = stream::try_unfold(export, |mut export| async move {
        let chunk = export.chunk().await.map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok::<_, std::io::Error>(chunk.map(|chunk| (chunk, export)))
    });
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
    Ok((content_type, Body::from_stream(lines)).into_response())
}

/// An export under way: never more than a page of records and a chunk of lines in memory.
struct Export {
    server: Arc<Server>,
    question: Question,
    items: VecDeque<Item>,
    next: Option<Position>,
}

impl Export {
    /// The next lines; nothing at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, WardenError> {
        let mut text = Vec::new();
        while text.len() < EXPORT_CHUNK {
            if let Some(item) = self.items.pop_front() {
                write_line(&self.server, item, &mut text).await?;
            } else if let Some(place) = self.next.take() {
                let page = page(&self.server, &self.question, Some(place)).await?;
                self.items = page.data.into();
                self.next = page.next;
            } else {
                break;
            }
        }
        Ok((!text.is_empty()).then(|| text.into()))
    }
}

async fn page(
    server: &Server,
    question: &Question,
    after: Option<Position>,
) -> Result<Page<Item>, WardenError> {
    server.warden.list(question.filter.clone(), question.order, after, EXPORT_PAGE).await
}

#[derive(Serialize)]
struct ExportLine<'a> {
    op: &'static str,
    workflow: &'a str,
    id: &'a str,
    content_type: &'a str,
    deadline: Timestamp,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    labels: &'a std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Writes an item that still has its payload; others are left out.
async fn write_line(server: &Server, item: Item, text: &mut Vec<u8>) -> Result<(), WardenError> {
    let now = server.warden.clock().now();
    let Some(info) = item.kept_payload(now).filter(|_| item.closed.is_none()) else { return Ok(()) };
    let size = usize::try_from(info.size).unwrap_or(usize::MAX);
    let payload = server.warden.payload(item.number, 0, size).await?;
    // Closed since it was listed.
    let Some(payload) = payload.filter(|payload| payload.len() == size) else { return Ok(()) };
    let readable = std::str::from_utf8(&payload).ok();
    let line = ExportLine {
        op: "create",
        workflow: &item.workflow,
        id: &item.id,
        content_type: &info.content_type,
        deadline: item.deadline,
        labels: &item.labels,
        step: item.step.as_deref(),
        payload: readable,
        payload_base64: readable.is_none().then(|| STANDARD.encode(&payload)),
    };
    serde_json::to_writer(&mut *text, &line).map_err(|error| WardenError::Invalid(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}
