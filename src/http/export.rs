//! The export: items with their payloads, a line of JSON each, as `POST /v1/batch` takes them.
//!
//! Invariants:
//!
//! * However many items there are, no more than a page of records, one payload and a chunk of lines are in memory. They have
//!   their part of the budget of answers; an export that waits for it keeps nothing meanwhile.
//! * Every line carries the cursor that goes on behind it.
//! * An export that could not be finished does not look like one that was: the answer breaks off, and the line that
//!   ends it (`end=true`) does not come.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use bytes::Bytes;
use futures_util::stream;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::Server;
use super::access::Access;
use super::budget::attach;
use super::page::write_cursor;
use super::problem::Problem;
use super::question::{FILTERS, Question};
use super::request::Query;
use super::view::{WallTime, hex};
use crate::config::Scope;
use crate::model::{Item, Moment, PayloadInfo, Position, quote};
use crate::warden::WardenError;

/// How many items are read at once.
const PAGE: usize = 500;
/// How many bytes of lines are gathered before they are sent.
const CHUNK: usize = 256 * 1024;
/// What an export has in memory, in bytes, as long as no line is larger than a chunk: that, and the records of a page.
const ROOM: u64 = CHUNK as u64 + 256 * 1024;
/// A text of up to so many bytes is written as such, however many of its characters have to be escaped: people read
/// it. A larger one is where that takes no more room than base64.
const READABLE: usize = 16 * 1024;
/// The content type of newline-delimited JSON.
pub const NDJSON: &str = "application/x-ndjson";

/// Export items with their payloads: a line of JSON each, as `POST /v1/batch` takes it.
///
/// Each line has a `cursor` that goes on behind it. With `end=true` a last line says how many there were, and the SHA-256
/// of all bytes before it in hexadecimal: `{"op":"end","lines":2,"sha256":"…"}`.
#[utoipa::path(get, path = "/v1/export", operation_id = "export_items", tag = "items",
    params(("workflow" = Option<Vec<String>>, Query, description = "A glob, repeatable"),
        ("state" = Option<Vec<String>>, Query, description = "open, overdue, failed or held, repeatable"),
        ("label" = Option<Vec<String>>, Query, description = "name:value, repeatable"), ("step" = Option<String>, Query),
        ("created_before" = Option<String>, Query), ("created_after" = Option<String>, Query),
        ("deadline_before" = Option<String>, Query), ("deadline_after" = Option<String>, Query),
        ("order" = Option<String>, Query, description = "created (default) or deadline"),
        ("cursor" = Option<String>, Query, description = "Begin behind this line, or after the place where a list ended"),
        ("end" = Option<bool>, Query, description = "Whether a line follows the last one that tells their number and checksum")),
    responses((status = 200, description = "Lines", body = String, content_type = "application/x-ndjson")))]
pub async fn export(
    State(server): State<Arc<Server>>,
    access: Access,
    mut query: Query,
) -> Result<Response, Problem> {
    access.require(Scope::Recover)?;
    let question = Question::read(&mut query, &access, &**server.warden.clock())?;
    let seal = wants_end(&mut query)?.then(Seal::default);
    query.finish(&format!("{FILTERS}, order, cursor, end"))?;
    // The first page is read before the answer begins, so that a failure has a status of its own.
    drop(server.answers.try_hold(ROOM)?);
    let place = question.after;
    let mut export = Export { server, question, items: VecDeque::new(), place, more: true, seal };
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

fn wants_end(query: &mut Query) -> Result<bool, Problem> {
    match query.one("end")?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Problem::invalid(format!("end={} is neither true nor false", quote(&other)))),
    }
}

/// An export under way.
struct Export {
    server: Arc<Server>,
    question: Question,
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
                let moment = self.server.warden.clock().moment();
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
                write_line(&EndLine { op: "end", lines: seal.lines, sha256 }, &mut text)?;
            } else {
                break;
            }
        }
        Ok((!text.is_empty()).then(|| attach(hold, text)))
    }

    async fn read_page(&mut self) -> Result<(), WardenError> {
        let Question { filter, order, .. } = &self.question;
        let page = self.server.warden.list(filter.clone(), *order, self.place, PAGE).await?;
        // What it does not write it does not hold on to either: progress and errors are the larger part of a record.
        self.items = page.data.into_iter().map(|item| Item { detail: None, ..item }).collect();
        self.more = page.next.is_some();
        if let (true, Some(next)) = (self.items.is_empty(), page.next) {
            self.place = Some(next);
        }
        Ok(())
    }

    /// Writes an item that still has its payload; others are left out.
    async fn write_item(&self, item: &Item, text: &mut Vec<u8>) -> Result<(), WardenError> {
        let warden = &self.server.warden;
        let moment = warden.clock().moment();
        let Some(info) = item.kept_payload(moment.now).filter(|_| item.closed.is_none()) else {
            return Ok(());
        };
        let size = usize::try_from(info.size).unwrap_or(usize::MAX);
        let payload = warden.payload(item.number, 0, size).await?;
        // Closed since it was listed.
        let Some(payload) = payload.filter(|payload| payload.len() == size) else { return Ok(()) };
        write_item_line(item, info, &payload, moment, text)
    }
}

/// Where a list goes on behind the item.
fn place(item: &Item, moment: Moment) -> Position {
    Position { deadline: moment.steady(item.deadline), number: item.number }
}

/// Writes the line that creates the item again.
pub(super) fn write_item_line(
    item: &Item,
    info: &PayloadInfo,
    payload: &[u8],
    moment: Moment,
    text: &mut Vec<u8>,
) -> Result<(), WardenError> {
    let readable = readable(payload);
    let line = ItemLine {
        op: "create",
        cursor: write_cursor(place(item, moment)),
        workflow: &item.workflow,
        id: &item.id,
        content_type: &info.content_type,
        content_encoding: info.content_encoding.as_deref(),
        deadline: WallTime::shown(item.deadline, moment),
        labels: &item.labels,
        step: item.step.as_deref(),
        payload: readable,
        payload_base64: readable.is_none().then_some(Base64(payload)),
    };
    write_line(&line, text)
}

/// The most bytes that the payload takes in the item's line.
fn line_room(item: &Item) -> u64 {
    let size = item.payload.as_ref().map_or(0, |payload| payload.size);
    if size <= READABLE as u64 { size * 6 } else { size.div_ceil(3) * 4 }
}

/// The payload as text, if it is one and may be written so.
fn readable(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok()?;
    let escaped = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..32 => 6,
        _ => 1,
    };
    let is_short = payload.len() <= READABLE;
    (is_short || payload.iter().map(escaped).sum::<usize>() <= payload.len().div_ceil(3) * 4).then_some(text)
}

fn write_line(line: &impl Serialize, text: &mut Vec<u8>) -> Result<(), WardenError> {
    serde_json::to_writer(&mut *text, line).map_err(|error| WardenError::Invalid(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}

/// A line of an export that creates its item again.
#[derive(Serialize)]
struct ItemLine<'a> {
    op: &'static str,
    cursor: String,
    workflow: &'a str,
    id: &'a str,
    content_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'a str>,
    deadline: WallTime,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<Base64<'a>>,
}

/// Bytes that are written in base64, without a copy of it in between.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::<'_, '_, GeneralPurpose>::new(self.0, &STANDARD))
    }
}

/// The line that ends an export.
#[derive(Serialize)]
struct EndLine {
    op: &'static str,
    lines: u64,
    sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_readable_unless_its_escapes_take_more_than_base64() {
        let of = |piece: &str, length: usize| piece.repeat(length / piece.len());
        for (text, expected) in [
            (of("\u{1}", READABLE), true),
            (of("\u{1}", READABLE + 1), false),
            (of("\"", 2 * READABLE), false),
            (of("é", 2 * READABLE), true),
            // A third of it is escaped, and then a little more.
            (of("ab\n", 3 * READABLE), true),
            (of("ab\n", 3 * READABLE) + "\n\n\n", false),
        ] {
            assert_eq!(readable(text.as_bytes()).is_some(), expected, "{:?}", &text[..4]);
            if let (true, true) = (expected, text.len() > READABLE) {
                let (json, base64) =
                    (serde_json::to_vec(&text).unwrap(), serde_json::to_vec(&Base64(text.as_bytes())));
                assert!(json.len() <= base64.unwrap().len());
            }
        }
        assert_eq!(readable(b"\xc3"), None);
    }
}
