//! The history in a batch line: the fields that an export adds to those of a create.

use std::borrow::Cow;
use std::sync::Arc;

use warden_api::line::{Line, LineCourse, LineError, LineRepetition, LineStep};
use warden_api::word::Scope;

use super::has_payload;
use crate::http::access::Access;
use crate::http::problem::Problem;
use crate::http::request;
use crate::model::item::{Course, Interruption, Repetition, StepRecord};
use crate::model::{ClockTime, ItemError, ItemState, StepName, Timestamp};
use crate::warden::WardenError;
use crate::warden::intake::{GonePayload, Past, PastClose, PastCourse};

fn step(line: LineStep) -> Result<StepRecord, Problem> {
    let LineStep { name, status, at, message, entered_at, attempts } = line;
    let at = request::instant("the at of a step", &at)?;
    let entered_at =
        entered_at.map(|text| request::instant("the entered_at of a step", &text)).transpose()?;
    Ok(StepRecord { name: step_name(name)?, status, at, message, entered_at, attempts })
}

fn course(line: LineCourse) -> Result<PastCourse, Problem> {
    let instant = |name: &str, text: Option<String>| -> Result<Option<Timestamp>, Problem> {
        text.map(|text| request::instant(name, &text)).transpose()
    };
    let interruption = match instant("interrupted_at", line.interrupted_at)? {
        Some(at) => Some(Interruption { at, until: instant("interrupted_until", line.interrupted_until)? }),
        None if line.interrupted_until.is_some() => {
            return Err(Problem::invalid("a course with interrupted_until must have interrupted_at"));
        }
        None => None,
    };
    let repetition = |line: LineRepetition| -> Result<Repetition, Problem> {
        let step = line.step.map(step_name).transpose()?;
        Ok(Repetition { step, runs: line.runs, due: instant("the due of a repetition", line.due)? })
    };
    let progress = |(step, progress)| Ok((step_name(step)?, progress));
    Ok(PastCourse {
        course: Course {
            retries: line.retries,
            losses: line.losses,
            interruption,
            resume_at: line.resume_at.map(step_name).transpose()?,
            not_before: None,
            deadline_max: instant("deadline_max", line.deadline_max)?.map(ClockTime::on_wall),
        },
        repetitions: line.repetitions.into_iter().map(repetition).collect::<Result<_, _>>()?,
        step_progress: line.step_progress.into_iter().map(progress).collect::<Result<_, Problem>>()?,
    })
}

fn error(line: LineError) -> Result<ItemError, Problem> {
    Ok(ItemError {
        id: line.id,
        kind: line.kind,
        message: line.message,
        retryable: line.retryable,
        fatal: line.fatal,
        step: line.step.map(step_name).transpose()?,
        at: request::instant("the at of an error", &line.at)?,
        data: line.data,
        stack: line.stack,
    })
}

fn step_name(name: Arc<str>) -> Result<StepName, Problem> {
    Ok(StepName::new(name).map_err(WardenError::from)?)
}

/// The first field of a history in the line.
pub fn first_field(line: &Line<'_>) -> Option<&'static str> {
    let fields = [
        ("state", line.state.is_some()),
        ("created_at", line.created_at.is_some()),
        ("step_entered_at", line.step_entered_at.is_some()),
        ("failed_at", line.failed_at.is_some()),
        ("deadline_from", line.deadline_from.is_some()),
        ("closed_at", line.closed_at.is_some()),
        ("outcome", line.outcome.is_some()),
        ("step_attempts", line.step_attempts.is_some()),
        ("retry_at", line.retry_at.is_some()),
        ("course", line.course.is_some()),
        ("steps", line.steps.is_some()),
        ("errors", line.errors.is_some()),
        ("payload_size", line.payload_size.is_some()),
        ("payload_sha256", line.payload_sha256.is_some()),
    ];
    fields.into_iter().find(|(_, is_there)| *is_there).map(|(name, _)| name)
}

/// Parses the history, if the line has one. Fails when the token lacks the scope or the fields contradict
/// each other.
pub fn read(line: &mut Line<'_>, access: &Access) -> Result<Option<Past>, Problem> {
    let Some(field) = first_field(line) else { return Ok(None) };
    access.require(Scope::Admin).map_err(|problem| {
        problem.and(&format!(
            "the line has a history ({field}), which requires that scope; \
            use an export with history=false",
        ))
    })?;
    let instant = |name: &str, text: Option<&str>| -> Result<Option<Timestamp>, Problem> {
        text.map(|text| request::instant(name, text)).transpose()
    };
    let state = line.state.take().map(|text| state(&text)).transpose()?;
    let closed = closed(line, state, instant("closed_at", line.closed_at.as_deref())?)?;
    let created_at = instant("created_at", line.created_at.as_deref())?;
    let failed_at = instant("failed_at", line.failed_at.as_deref())?;
    match state {
        None => return Err(Problem::invalid(format!("a line with {field} must have a state"))),
        Some(ItemState::Closed) => {}
        Some(_) if created_at.is_none() => {
            return Err(Problem::invalid("a line with a state must have created_at, unless it is closed"));
        }
        Some(ItemState::Failed) if failed_at.is_none() => {
            return Err(Problem::invalid("a line with the state failed must have failed_at"));
        }
        Some(ItemState::Failed) => {}
        Some(_) if failed_at.is_some() => {
            return Err(Problem::invalid("a line with failed_at must have the state failed or closed"));
        }
        Some(ItemState::Interrupted)
            if line.course.as_ref().is_none_or(|course| course.interrupted_at.is_none()) =>
        {
            return Err(Problem::invalid(
                "a line with the state interrupted must have course.interrupted_at",
            ));
        }
        Some(_) => {}
    }
    let is_deadline_steady = match line.deadline_from.as_deref() {
        None | Some("instant") => false,
        Some("duration") => true,
        Some(_) => return Err(Problem::invalid("deadline_from must be duration or instant")),
    };
    Ok(Some(Past {
        is_deadline_steady,
        created_at,
        step_entered_at: instant("step_entered_at", line.step_entered_at.as_deref())?,
        failed_at,
        closed,
        attempts: line.step_attempts.unwrap_or_default(),
        retry_at: instant("retry_at", line.retry_at.as_deref())?,
        course: line.course.take().map(|line| course(*line)).transpose()?.unwrap_or_default(),
        steps: all(line.steps.take(), step)?,
        progress: line.progress.take().map(Cow::into_owned).unwrap_or_default(),
        errors: all(line.errors.take(), error)?,
    }))
}

/// The state that an item is restored in. A run that was held elsewhere is open here: no run here would
/// let it begin.
fn state(text: &str) -> Result<ItemState, Problem> {
    match request::word("state", text)? {
        ItemState::Held => Ok(ItemState::Open),
        state => Ok(state),
    }
}

fn closed(
    line: &Line<'_>,
    state: Option<ItemState>,
    at: Option<Timestamp>,
) -> Result<Option<PastClose>, Problem> {
    let (Some(at), Some(outcome), Some(ItemState::Closed)) = (at, line.outcome.as_deref(), state) else {
        let fields = [
            ("closed_at", at.is_some()),
            ("outcome", line.outcome.is_some()),
            ("payload_size", line.payload_size.is_some()),
            ("payload_sha256", line.payload_sha256.is_some()),
        ];
        return match fields.into_iter().find(|(_, is_there)| *is_there) {
            _ if state == Some(ItemState::Closed) => {
                Err(Problem::invalid("a line with the state closed must have closed_at and outcome"))
            }
            Some((name, _)) => {
                Err(Problem::invalid(format!("a line with {name} must have the state closed")))
            }
            None => Ok(None),
        };
    };
    let payload = match (line.payload_size, line.payload_sha256.as_deref()) {
        (None, None) => None,
        (Some(size), Some(text)) if !has_payload(line) && line.created_at.is_some() => {
            let sha256 = sha256(text).ok_or_else(|| {
                Problem::invalid("payload_sha256 must be a SHA-256 in 64 hexadecimal digits")
            })?;
            Some(GonePayload { size, sha256 })
        }
        _ => {
            return Err(Problem::invalid(
                "payload_size and payload_sha256 must occur together, in place of a payload",
            ));
        }
    };
    Ok(Some(PastClose { at, outcome: request::word("outcome", outcome)?, payload }))
}

fn all<T, U>(lines: Option<Vec<T>>, read: impl Fn(T) -> Result<U, Problem>) -> Result<Vec<U>, Problem> {
    lines.unwrap_or_default().into_iter().map(read).collect()
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits =
        Some(text).filter(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
