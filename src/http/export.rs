//! The export: items with their payloads, a line of JSON each, as `POST /v1/batch` takes them.
//!
//! Invariants:
//!
//! * However many items there are, no more than a page of records, one payload and a chunk of lines are in memory. They have
//!   their part of the budget of answers; an export that waits for it keeps nothing meanwhile.
//! * Every line carries the cursor that goes on behind it.
//! * An export that could not be finished does not look like one that was: the answer breaks off, and the line that
//!   ends it (`end=true`) does not come.

pub(super) mod line;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest, Sha256};
use warden_api::line::End;
use warden_api::word::LineOperation;

use self::line::{History, line_room, place, write_item_line, write_line};
use super::Server;
use super::access::Access;
use super::budget::attach;
use super::place::Place;
use super::problem::Problem;
use super::question::{FILTERS, Question};
use super::request::Query;
use super::view::hex;
use crate::config::Scope;
use crate::model::item::ItemDetail;
use crate::model::{Item, ItemState, Position, quote};
use crate::warden::WardenError;

/// How many items are read at once.
const PAGE: usize = 500;
/// How many bytes of lines are gathered before they are sent.
const CHUNK: usize = 256 * 1024;
/// What an export has in memory, in bytes, as long as no line is larger than a chunk: that, and the records of a page.
const ROOM: u64 = CHUNK as u64 + 256 * 1024;
/// The content type of newline-delimited JSON.
pub const NDJSON: &str = "application/x-ndjson";

/// Export items with their payloads: a line of JSON each, as `POST /v1/batch` takes it.
///
/// A line says what its item has been through as well: `state`, `created_at`, `step_entered_at`, `failed_at`, `step_attempts`,
/// `deadline_from` (`duration` where it was asked for as one), `retry_at`, `steps`, `progress` and `errors`, and of a closed one `closed_at` and `outcome`, with `payload_size` and
/// `payload_sha256` where its payload is gone. Closed items, and the tombstones of items that were closed before anybody
/// created them, are written only where `state=closed` asks for them. `history=false` leaves all of this out, and closed items
/// with it: such lines are taken from tokens without the scope `admin`. Leases, versions, incidents and idempotency keys do not
/// go along.
///
/// Each line has a `cursor` that goes on behind it. With `end=true` a last line says how many there were, and the SHA-256
/// of all bytes before it in hexadecimal: `{"op":"end","lines":2,"sha256":"…"}`.
#[utoipa::path(get, path = "/v1/export", operation_id = "export_items", tag = "items",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob, repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "open, overdue, failed, held or closed, repeatable; all but closed by default"),
        ("label" = Option<Vec<String>>, Query, description = "name:value, repeatable"), ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query),
        ("order" = Option<String>, Query, description = "created (default) or deadline"),
        ("cursor" = Option<String>, Query, description = "Begin behind this line, or after the place where a list ended"),
        ("history" = Option<bool>, Query, description = "Whether the lines say what the items have been through; true by default"),
        ("end" = Option<bool>, Query, description = "Whether a line follows the last one that tells their number and checksum")),
    responses((status = 200, description = "Lines", body = String, content_type = "application/x-ndjson")))]
pub async fn export(
    State(server): State<Arc<Server>>,
    access: Access,
    in_flight: Place,
    mut query: Query,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let mut question = Question::read(&mut query, &access, &*server.warden.clock)?;
    let seal = flag(&mut query, "end")?.unwrap_or(false).then(Seal::default);
    let has_history = flag(&mut query, "history")?.unwrap_or(true);
    query.finish(&format!("{FILTERS}, order, cursor, history, end"))?;
    let is_closed_wanted = question.filter.states.contains(&ItemState::Closed);
    if is_closed_wanted && !has_history {
        return Err(Problem::invalid("a closed item cannot be told from an open one with history=false"));
    }
    // Whoever takes the items over is to know late creates of what was closed before it came.
    question.filter.unseen = is_closed_wanted;
    // The first page is read before the answer begins, so that a failure has a status of its own.
    drop(server.answers.try_hold(ROOM)?);
    let place = question.after;
    let mut export =
        Export { server, in_flight, question, has_history, items: VecDeque::new(), place, more: true, seal };
    export.read_page().await?;
    let lines = stream::try_unfold(export, |mut export| async move {
        match export.chunk().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, export))),
            Err(error) => {
                tracing::warn!(%error, "an export breaks off");
                Err(std::io::Error::other(error))
            }
        }
    });
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
    Ok((content_type, Body::from_stream(lines)).into_response())
}

fn flag(query: &mut Query, name: &str) -> Result<Option<bool>, Problem> {
    match query.one(name)?.as_deref() {
        None => Ok(None),
        Some("false") => Ok(Some(false)),
        Some("true") => Ok(Some(true)),
        Some(other) => Err(Problem::invalid(format!("{name}={} is neither true nor false", quote(&other)))),
    }
}

/// An export under way.
struct Export {
    server: Arc<Server>,
    in_flight: Place,
    question: Question,
    has_history: bool,
    /// The records whose turn comes next, the place after which they come, and whether others follow them.
    items: VecDeque<Item>,
    place: Option<Position>,
    more: bool,
    /// What the line at the end will say, if one is wanted and has not been written yet.
    seal: Option<Seal>,
}

/// What is known of the lines so far.
#[derive(Default)]
struct Seal {
    lines: u64,
    digest: Sha256,
}

impl Export {
    /// The next lines; nothing when there are no more.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>> {
        let mut hold = match self.server.answers.try_hold(ROOM) {
            Ok(hold) => hold,
            Err(_) => {
                self.more |= !self.items.is_empty();
                self.items = VecDeque::new();
                self.server.answers.hold(ROOM).await?
            }
        };
        let mut text = Vec::new();
        while text.len() < CHUNK {
            let written = text.len();
            if let Some(item) = self.items.front() {
                let room = ROOM + line_room(item);
                if written as u64 + room > hold.bytes() + CHUNK as u64 {
                    if written > 0 {
                        break;
                    }
                    drop(hold);
                    hold = self.server.answers.hold(room).await?;
                }
            }
            if let Some(item) = self.items.pop_front() {
                let moment = self.server.warden.clock.moment();
                self.place = Some(place(&item, moment));
                self.write_item(&item, &mut text).await?;
                if let Some(seal) = &mut self.seal
                    && text.len() > written
                {
                    seal.lines += 1;
                    seal.digest.update(&text[written..]);
                }
            } else if self.more {
                self.read_page().await?;
            } else if let Some(seal) = self.seal.take() {
                let sha256 = hex(&seal.digest.finalize());
                write_line(&End { op: LineOperation::End, lines: seal.lines, sha256 }, &mut text)?;
            } else {
                break;
            }
        }
        Ok((!text.is_empty()).then(|| attach(hold, text)))
    }

    async fn read_page(&mut self) -> Result<(), WardenError> {
        let (warden, place) = (self.server.warden.clone(), self.place);
        let (filter, order) = (self.question.filter.clone(), self.question.order);
        let reading = async move { warden.queries.list(filter, order, place, PAGE).await };
        let page = self.in_flight.keep(reading).await?;
        // Progress and errors are the larger part of an item; they are read again one by one.
        let without = |item: Item| Item { detail: item.detail.map(|_| Box::<ItemDetail>::default()), ..item };
        self.items = page.data.into_iter().map(without).collect();
        self.more = page.next.is_some();
        if let (true, Some(next)) = (self.items.is_empty(), page.next) {
            self.place = Some(next);
        }
        Ok(())
    }

    /// Writes an item as it is now; one that is closed since it was listed is left out unless such are wanted.
    async fn write_item(&self, item: &Item, text: &mut Vec<u8>) -> Result<(), WardenError> {
        let warden = &self.server.warden;
        let read_again = if self.has_history && item.detail.is_some() {
            warden.queries.numbered(item.number).await?
        } else {
            None
        };
        let item = read_again.as_ref().unwrap_or(item);
        let payload = self.payload(item).await?;
        let is_wanted = match item.closed {
            Some(_) => self.question.filter.unseen,
            // Without a payload it was closed while that was read.
            None => payload.is_some(),
        };
        if !is_wanted {
            return Ok(());
        }
        let history = if self.has_history { History::Told } else { History::LeftOut };
        write_item_line(item, payload.as_deref(), history, warden.clock.moment(), text)
    }

    /// An item's payload, if it is kept.
    async fn payload(&self, item: &Item) -> Result<Option<Bytes>, WardenError> {
        let warden = &self.server.warden;
        let Some(info) = item.kept_payload(warden.clock.now()) else { return Ok(None) };
        let size = usize::try_from(info.size).unwrap_or(usize::MAX);
        let bytes = warden.queries.payload(item.number, 0, size).await?;
        Ok(bytes.filter(|bytes| bytes.len() == size))
    }
}
