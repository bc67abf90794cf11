//! Export lines: a create for each item, with its history.

use std::borrow::Cow;

use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use serde::{Serialize, Serializer};
use warden_api::line::{Line, LineCourse, LineError, LineLabels, LinePayload, LineRepetition, LineStep};
use warden_api::step::{Limit, StepRetry, StepTerms};
use warden_api::word::{LineOperation, OnIgnorable};

use crate::http::page::write_cursor;
use crate::http::view::{hex, shown, told};
use crate::model::item::{Course, ItemDetail, Repetition, StepRecord};
use crate::model::retry::RetryTerms;
use crate::model::{ClockTime, Item, ItemError, Moment, Position, Step};
use crate::warden::WardenError;

/// Text up to this size is written as a string, for people to read, however many characters must be escaped.
/// A larger one is a string only if that is no longer than base64.
const READABLE: usize = 16 * 1024;

/// The most bytes of a history in JSON: the errors, with escaped messages, progress and steps.
const HISTORY_MAX: u64 = 448 * 1024;

/// Writes payloads as base64.
type Written<'a> = Line<'a, Base64<'a>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    Told,
    /// Left out: the line is that of a new item.
    LeftOut,
}

/// The position of an item in a list.
pub fn place(item: &Item, moment: Moment) -> Position {
    Position { deadline: moment.steady(item.deadline), number: item.number }
}

/// The most bytes of payload and history in the item's line.
pub fn line_room(item: &Item) -> u64 {
    let size = item.payload.as_ref().map_or(0, |payload| payload.size);
    let payload = if size <= READABLE as u64 { size * 6 } else { size.div_ceil(3) * 4 };
    payload + item.detail.as_ref().map_or(0, |_| HISTORY_MAX)
}

/// Writes the line that creates the item again. `payload` may be absent only if the item is closed.
pub fn write_item_line(
    item: &Item,
    payload: Option<&[u8]>,
    history: History,
    moment: Moment,
    text: &mut Vec<u8>,
) -> Result<(), WardenError> {
    let readable = payload.and_then(readable);
    let info = item.payload.as_ref();
    let mut line = Written::new(LineOperation::Create);
    line.cursor = Some(write_cursor(place(item, moment)));
    line.workflow = Some(item.workflow.as_str().into());
    line.id = Some(item.id.as_str().into());
    line.content_type = info.map(|info| (&*info.content_type).into());
    line.content_encoding = info.and_then(|info| info.content_encoding.as_deref()).map(Into::into);
    line.deadline = Some(shown(item.deadline, moment).to_string().into());
    line.labels = (!item.labels.is_empty()).then(|| LineLabels(item.labels.clone()));
    let own_steps = item.detail().own_steps.as_deref();
    line.own_steps = own_steps.map(|steps| steps.iter().map(terms).collect());
    let not_before = item.course.not_before.filter(|at| *at > moment.now && item.closed.is_none());
    line.not_before = not_before.map(|at| told(at, moment).to_string().into());
    line.step = item.step.as_deref().map(Into::into);
    line.traceparent = item.trace.as_deref().map(|trace| (&*trace.parent).into());
    line.tracestate = item.trace.as_deref().and_then(|trace| trace.state.as_deref()).map(Into::into);
    if history == History::Told {
        tell_past(&mut line, item, payload.is_none(), moment);
    }
    line.payload = readable.map(LinePayload::Text);
    line.payload_base64 = payload.filter(|_| readable.is_none()).map(Base64);
    write_line(&line, text)
}

/// The payload as a string, if it is text and short enough in that form.
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
pub fn write_line(line: &impl Serialize, text: &mut Vec<u8>) -> Result<(), WardenError> {
    serde_json::to_writer(&mut *text, line).map_err(|error| WardenError::Invalid(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}

/// Adds the history to a line.
fn tell_past<'a>(line: &mut Written<'a>, item: &'a Item, is_payload_gone: bool, moment: Moment) {
    let at = |steady| Cow::from(told(steady, moment).to_string());
    let ItemDetail { progress, errors, steps, own_steps: _, step_progress: _, repetitions: _, run: _ } =
        item.detail();
    let gone = item.payload.as_ref().filter(|_| is_payload_gone);
    line.state = Some(item.state(moment).as_str().into());
    line.created_at = item.payload.is_some().then(|| at(item.created_at));
    line.step_entered_at = Some(item.step_entered_at).filter(|at| *at != item.created_at).map(at);
    line.failed_at = item.failed_at.map(at);
    line.deadline_from = matches!(item.deadline, ClockTime::Steady(_)).then_some("duration".into());
    line.closed_at = item.closed.map(|closed| at(closed.at));
    line.outcome = item.closed.map(|closed| closed.outcome.as_str().into());
    line.step_attempts = Some(item.work.attempts).filter(|attempts| *attempts > 0);
    line.retry_at = item.work.retry_at.filter(|at| *at > moment.now && item.closed.is_none()).map(at);
    line.course = course(item, moment).map(Box::new);
    line.steps = some(steps.iter().map(|record| step(record, moment)).collect());
    line.progress = Some(Cow::Borrowed(progress)).filter(|progress| !progress.is_empty());
    line.errors = some(errors.iter().map(|found| error(found, moment)).collect());
    line.payload_size = gone.map(|info| info.size);
    line.payload_sha256 = gone.map(|info| hex(&info.sha256).into());
}

fn some<T>(found: Vec<T>) -> Option<Vec<T>> {
    Some(found).filter(|found| !found.is_empty())
}

fn step(step: &StepRecord, moment: Moment) -> LineStep {
    let StepRecord { name, status, at: ended, message, entered_at, attempts } = step.clone();
    let at = |steady| told(steady, moment).to_string();
    LineStep { name: name.into(), status, at: at(ended), message, entered_at: entered_at.map(at), attempts }
}

fn course(item: &Item, moment: Moment) -> Option<LineCourse> {
    let at = |steady| told(steady, moment).to_string();
    let Course { retries, losses, interruption, resume_at, not_before: _, deadline_max } = &item.course;
    let detail = item.detail();
    let repetition = |repetition: &Repetition| LineRepetition {
        step: repetition.step.clone().map(Into::into),
        runs: repetition.runs,
        due: repetition.due.map(at),
    };
    let step_progress = detail.step_progress.clone().into_iter();
    let course = LineCourse {
        retries: *retries,
        losses: *losses,
        interrupted_at: interruption.map(|interruption| at(interruption.at)),
        interrupted_until: interruption.and_then(|interruption| interruption.until).map(at),
        resume_at: resume_at.clone().map(Into::into),
        repetitions: detail.repetitions.iter().map(repetition).collect(),
        step_progress: step_progress.map(|(step, progress)| (step.into(), progress)).collect(),
        deadline_max: deadline_max.map(|deadline| shown(deadline, moment).to_string()),
    };
    (course != LineCourse::default()).then_some(course)
}

/// A number, of which the largest stands for any.
fn limit(most: u32) -> Limit {
    Limit(Some(most).filter(|most| *most != u32::MAX))
}

fn terms(step: &Step) -> StepTerms {
    let duration = |duration| humantime::format_duration(duration).to_string();
    StepTerms {
        name: step.name.to_string(),
        deadline: step.deadline.map(duration),
        retry: (step.retry != RetryTerms::default()).then(|| StepRetry {
            max: step.retry.max.map(limit),
            backoff: step.retry.backoff.map(|backoff| backoff.to_string()),
            jitter: step.retry.jitter,
        }),
        max_losses: step.losses_max.map(limit),
        on_ignorable: Some(step.on_ignorable).filter(|word| *word != OnIgnorable::default()),
    }
}

fn error(error: &ItemError, moment: Moment) -> LineError {
    let ItemError { id, kind, message, retryable, fatal, step, at, data, stack } = error.clone();
    let (step, at) = (step.map(Into::into), told(at, moment).to_string());
    LineError { id, kind, message, retryable, fatal, step, at, data, stack }
}

/// Serializes bytes as base64 without an intermediate copy.
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
            // A third is escaped, and then a little more.
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
