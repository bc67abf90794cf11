//! The lines of an export: what creates each item again, and what it has been through.

use std::collections::BTreeMap;

use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use warden_api::WallTime;
use warden_api::item::{ItemError, StepRecord};

use crate::http::page::write_cursor;
use crate::http::view::{error, hex, shown, step_record, told};
use crate::model::item::ItemDetail;
use crate::model::{ClockTime, CloseOutcome, Item, ItemState, Moment, Position};
use crate::warden::WardenError;

/// A text of up to so many bytes is written as such, however many of its characters have to be escaped: people read
/// it. A larger one is where that takes no more room than base64.
const READABLE: usize = 16 * 1024;

/// The most bytes that what an item has been through takes in its line, in JSON: the errors that it keeps, each with a message
/// whose characters are escaped, its progress and its steps.
const HISTORY_MAX: u64 = 448 * 1024;

/// Whether a line tells what its item has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// It does.
    Told,
    /// It is that of a new item.
    LeftOut,
}

/// Where a list goes on behind the item.
pub fn place(item: &Item, moment: Moment) -> Position {
    Position { deadline: moment.steady(item.deadline), number: item.number }
}

/// The most bytes that the payload, and what the item has been through, take in the item's line.
pub fn line_room(item: &Item) -> u64 {
    let size = item.payload.as_ref().map_or(0, |payload| payload.size);
    let payload = if size <= READABLE as u64 { size * 6 } else { size.div_ceil(3) * 4 };
    payload + item.detail.as_ref().map_or(0, |_| HISTORY_MAX)
}

/// Writes the line that creates the item again. The payload is what is kept of it; only of a closed item may it be gone.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn write_item_line(
    item: &Item,
    payload: Option<&[u8]>,
    history: History,
    moment: Moment,
    text: &mut Vec<u8>,
) -> Result<(), WardenError> {
    let readable = payload.and_then(readable);
    let info = item.payload.as_ref();
    let line = ItemLine {
        op: "create",
        cursor: write_cursor(place(item, moment)),
        workflow: &item.workflow,
        id: &item.id,
        content_type: info.map(|info| &*info.content_type),
        content_encoding: info.and_then(|info| info.content_encoding.as_deref()),
        deadline: shown(item.deadline, moment),
        labels: &item.labels,
        step: item.step.as_deref(),
        past: (history == History::Told).then(|| PastLine::new(item, payload.is_none(), moment)),
        payload: readable,
        payload_base64: payload.filter(|_| readable.is_none()).map(Base64),
    };
    write_line(&line, text)
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

/// Writes a line of JSON.
///
/// # Errors
/// When it cannot be written as that.
pub fn write_line(line: &impl Serialize, text: &mut Vec<u8>) -> Result<(), WardenError> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'a str>,
    deadline: WallTime,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(flatten)]
    past: Option<PastLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<Base64<'a>>,
}

/// What the item has been through, as far as there is anything to say.
#[derive(Serialize)]
struct PastLine<'a> {
    state: ItemState,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_entered_at: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<WallTime>,
    /// `duration` where the deadline was asked for as one, and does not move when a wall clock is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_from: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<CloseOutcome>,
    #[serde(skip_serializing_if = "is_zero")]
    step_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<WallTime>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepRecord>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    progress: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_sha256: Option<String>,
}

impl<'a> PastLine<'a> {
    fn new(item: &'a Item, is_payload_gone: bool, moment: Moment) -> Self {
        let at = |steady| told(steady, moment);
        let ItemDetail { progress, errors, steps } = item.detail();
        let gone = item.payload.as_ref().filter(|_| is_payload_gone);
        Self {
            state: item.state(moment),
            created_at: item.payload.is_some().then_some(at(item.created_at)),
            step_entered_at: Some(item.step_entered_at).filter(|at| *at != item.created_at).map(at),
            failed_at: item.failed_at.map(at),
            deadline_from: matches!(item.deadline, ClockTime::Steady(_)).then_some("duration"),
            closed_at: item.closed.map(|closed| at(closed.at)),
            outcome: item.closed.map(|closed| closed.outcome),
            step_attempts: item.work.attempts,
            retry_at: item.work.retry_at.filter(|at| *at > moment.now && item.closed.is_none()).map(at),
            steps: steps.iter().cloned().map(|step| step_record(step, moment)).collect(),
            progress,
            errors: errors.iter().cloned().map(|found| error(found, moment)).collect(),
            payload_size: gone.map(|info| info.size),
            payload_sha256: gone.map(|info| hex(&info.sha256)),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Bytes that are written in base64, without a copy of it in between.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::<'_, '_, GeneralPurpose>::new(self.0, &STANDARD))
    }
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
