//! Exports: items with their payloads as NDJSON, in the form that `POST /v1/batch` accepts.
//!
//! Invariants:
//!
//! * In memory are at most a page of records, one payload and a chunk of lines, whatever the number of items.
//!   They are reserved in the response budget, and an export that waits for it holds nothing.
//! * Each line has the cursor to continue after it.
//! * An incomplete export is recognizable: the response is aborted, and the final line (`end=true`) is
//!   missing.

pub(super) mod line;

use std::collections::VecDeque;
use std::error::Error;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest, Sha256};
use warden_api::line::End;
use warden_api::word::LineOperation;

use self::line::{History, line_room, place, write_item_line, write_line};
use super::problem::Problem;
use super::question::Question;
use super::request::Query;
use super::server::budget::attach;
use super::server::{Allowed, Matching, Place, Services};
use super::view::hex;
use crate::model::item::ItemDetail;
use crate::model::{Item, ItemState, Position};
use crate::warden::WardenError;

/// The page size.
const PAGE: usize = 500;
/// The bytes of lines sent at a time.
const CHUNK: usize = 256 * 1024;
/// The memory of an export in bytes, unless a line is larger than a chunk: the chunk, and the records of a
/// page.
const ROOM: u64 = CHUNK as u64 + 256 * 1024;
pub const NDJSON: &str = "application/x-ndjson";

pub async fn export(
    allowed: Allowed<Matching>,
    in_flight: Place,
    mut query: Query,
) -> Result<Response, Problem> {
    let mut question = Question::read(&mut query, allowed.server().clock())?;
    let seal = query.flag("end")?.unwrap_or(false).then(Seal::default);
    let has_history = query.flag("history")?.unwrap_or(true);
    let is_closed_wanted = question.filter.states.contains(&ItemState::Closed);
    if is_closed_wanted && !has_history {
        return Err(Problem::invalid(
            "state=closed needs the history: with history=false a closed item would look open",
        ));
    }
    // An importing warden must know closed ids, so that late creates are recognized.
    question.filter.unseen = is_closed_wanted;
    // The first page is read before the response starts, so that an error gets a status.
    let (services, filter) = allowed.matching(question.filter);
    question.filter = filter;
    drop(services.server().answers.try_hold(ROOM)?);
    let place = question.after;
    let mut export = Export {
        services,
        in_flight,
        question,
        has_history,
        items: VecDeque::new(),
        place,
        more: true,
        seal,
    };
    export.read_page().await?;
    let lines = stream::try_unfold(export, |mut export| async move {
        match export.chunk().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, export))),
            Err(error) => {
                tracing::warn!(%error, "export aborted");
                Err(std::io::Error::other(error))
            }
        }
    });
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(NDJSON))];
    Ok((content_type, Body::from_stream(lines)).into_response())
}

/// An export in progress.
struct Export {
    services: Services,
    in_flight: Place,
    question: Question,
    has_history: bool,
    /// The records to write next, the position after which they come, and whether more follow.
    items: VecDeque<Item>,
    place: Option<Position>,
    more: bool,
    /// The final line, if it is requested and not yet written.
    seal: Option<Seal>,
}

/// The number and checksum of the lines so far.
#[derive(Default)]
struct Seal {
    lines: u64,
    digest: Sha256,
}

impl Export {
    /// The next lines; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>> {
        let mut hold = match self.services.server().answers.try_hold(ROOM) {
            Ok(hold) => hold,
            Err(_) => {
                self.more |= !self.items.is_empty();
                self.items = VecDeque::new();
                self.services.server().answers.hold(ROOM).await?
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
                    hold = self.services.server().answers.hold(room).await?;
                }
            }
            if let Some(item) = self.items.pop_front() {
                let moment = self.services.moment();
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
        let (queries, place) = (self.services.queries.clone(), self.place);
        let (filter, order) = (self.question.filter.clone(), self.question.order);
        let reading = async move { queries.list(filter, order, place, PAGE).await };
        let page = self.in_flight.keep(reading).await?;
        // Progress and errors are the larger part of a record; they are read again one by one.
        let without = |item: Item| Item { detail: item.detail.map(|_| Box::<ItemDetail>::default()), ..item };
        self.items = page.data.into_iter().map(without).collect();
        self.more = page.next.is_some();
        if let (true, Some(next)) = (self.items.is_empty(), page.next) {
            self.place = Some(next);
        }
        Ok(())
    }

    /// Writes an item in its current state. One that was closed since the page was read is skipped unless
    /// closed items are requested.
    async fn write_item(&self, item: &Item, text: &mut Vec<u8>) -> Result<(), WardenError> {
        let services = &self.services;
        let read_again = if self.has_history && item.detail.is_some() {
            services.queries.numbered(item.number).await?
        } else {
            None
        };
        let item = read_again.as_ref().unwrap_or(item);
        let payload = self.payload(item).await?;
        let is_wanted = match item.closed {
            Some(_) => self.question.filter.unseen,
            // Without a payload the item was closed while it was read.
            None => payload.is_some(),
        };
        if !is_wanted {
            return Ok(());
        }
        let history = if self.has_history { History::Told } else { History::LeftOut };
        write_item_line(item, payload.as_deref(), history, services.moment(), text)
    }

    async fn payload(&self, item: &Item) -> Result<Option<Bytes>, WardenError> {
        let services = &self.services;
        let Some(info) = item.kept_payload(services.clock.now()) else { return Ok(None) };
        let size = usize::try_from(info.size).unwrap_or(usize::MAX);
        let bytes = services.queries.payload(item.number, 0, size).await?;
        Ok(bytes.filter(|bytes| bytes.len() == size))
    }
}
