//! What a line says that an item has been through: the fields that an export adds to what a create takes.

use serde::Deserialize;
use serde_json::Value;

use super::Line;
use crate::config::Scope;
use crate::http::access::Access;
use crate::http::problem::Problem;
use crate::http::request;
use crate::model::lease::{StepRecord, StepStatus};
use crate::model::{ItemError, Timestamp};
use crate::warden::restore::{GonePayload, Past, PastClose};

/// A step that is behind an item.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLine {
    name: String,
    status: StepStatus,
    at: String,
}

/// An error that was reported about an item.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorLine {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    fatal: bool,
    #[serde(default)]
    step: Option<String>,
    at: String,
    #[serde(default)]
    data: Value,
}

impl StepLine {
    fn read(self) -> Result<StepRecord, Problem> {
        let at = request::instant("the at of a step", &self.at)?;
        Ok(StepRecord { name: request::step(self.name)?, status: self.status, at })
    }
}

impl ErrorLine {
    fn read(self) -> Result<ItemError, Problem> {
        Ok(ItemError {
            id: self.id.into(),
            kind: self.kind,
            message: self.message,
            retryable: self.retryable,
            fatal: self.fatal,
            step: self.step.map(request::step).transpose()?,
            at: request::instant("the at of an error", &self.at)?,
            data: self.data,
        })
    }
}

impl Line<'_> {
    /// The first of its fields that says what the item has been through.
    pub(super) fn first_of_past(&self) -> Option<&'static str> {
        let fields = [
            ("state", self.state.is_some()),
            ("created_at", self.created_at.is_some()),
            ("step_entered_at", self.step_entered_at.is_some()),
            ("failed_at", self.failed_at.is_some()),
            ("deadline_from", self.deadline_from.is_some()),
            ("closed_at", self.closed_at.is_some()),
            ("outcome", self.outcome.is_some()),
            ("step_attempts", self.step_attempts.is_some()),
            ("retry_at", self.retry_at.is_some()),
            ("steps", self.steps.is_some()),
            ("progress", self.progress.is_some()),
            ("errors", self.errors.is_some()),
            ("payload_size", self.payload_size.is_some()),
            ("payload_sha256", self.payload_sha256.is_some()),
        ];
        fields.into_iter().find(|(_, is_there)| *is_there).map(|(name, _)| name)
    }

    /// What it says that the item has been through, if it says anything of that.
    ///
    /// # Errors
    /// When the client may not say so, or it contradicts itself.
    pub(super) fn past(&mut self, access: &Access) -> Result<Option<Past>, Problem> {
        let Some(field) = self.first_of_past() else { return Ok(None) };
        access.require(Scope::Admin).map_err(|problem| {
            problem.and(&format!(
                "the line says with {field} what its item has been through, which takes that scope; \
                 an export with history=false has no such fields"
            ))
        })?;
        let instant = |name: &str, text: Option<&str>| -> Result<Option<Timestamp>, Problem> {
            text.map(|text| request::instant(name, text)).transpose()
        };
        let state = self.state.as_deref().unwrap_or_default();
        let closed = self.closed(state, instant("closed_at", self.closed_at.as_deref())?)?;
        let created_at = instant("created_at", self.created_at.as_deref())?;
        let failed_at = instant("failed_at", self.failed_at.as_deref())?;
        match state {
            "closed" => {}
            "open" | "overdue" | "failed" if created_at.is_none() => {
                return Err(Problem::invalid("a line with a state has a created_at, unless it is closed"));
            }
            "open" | "overdue" if failed_at.is_some() => {
                return Err(Problem::invalid("a line with failed_at has the state failed or closed"));
            }
            "failed" if failed_at.is_none() => {
                return Err(Problem::invalid("a line with the state failed has a failed_at"));
            }
            "open" | "overdue" | "failed" => {}
            "" => return Err(Problem::invalid(format!("a line with {field} has a state as well"))),
            _ => return Err(Problem::invalid("the state of a line is one of open, overdue, failed, closed")),
        }
        let is_deadline_steady = match self.deadline_from.as_deref() {
            None | Some("instant") => false,
            Some("duration") => true,
            Some(_) => return Err(Problem::invalid("deadline_from is duration or instant")),
        };
        Ok(Some(Past {
            is_deadline_steady,
            created_at,
            step_entered_at: instant("step_entered_at", self.step_entered_at.as_deref())?,
            failed_at,
            closed,
            attempts: self.step_attempts.unwrap_or_default(),
            retry_at: instant("retry_at", self.retry_at.as_deref())?,
            steps: all(self.steps.take(), StepLine::read)?,
            progress: self.progress.take().unwrap_or_default(),
            errors: all(self.errors.take(), ErrorLine::read)?,
        }))
    }

    /// How the item was closed, if it is.
    fn closed(&self, state: &str, at: Option<Timestamp>) -> Result<Option<PastClose>, Problem> {
        let (Some(at), Some(outcome), "closed") = (at, self.outcome.as_deref(), state) else {
            let fields = [
                ("closed_at", at.is_some()),
                ("outcome", self.outcome.is_some()),
                ("payload_size", self.payload_size.is_some()),
                ("payload_sha256", self.payload_sha256.is_some()),
            ];
            return match fields.into_iter().find(|(_, is_there)| *is_there) {
                _ if state == "closed" => {
                    Err(Problem::invalid("a line with the state closed has closed_at and outcome"))
                }
                Some((name, _)) => Err(Problem::invalid(format!("a line with {name} has the state closed"))),
                None => Ok(None),
            };
        };
        let payload = match (self.payload_size, self.payload_sha256.as_deref()) {
            (None, None) => None,
            (Some(size), Some(text)) if !self.has_payload() && self.created_at.is_some() => {
                let sha256 = sha256(text).ok_or_else(|| {
                    Problem::invalid("payload_sha256 is no SHA-256 in 64 hexadecimal digits")
                })?;
                Some(GonePayload { size, sha256 })
            }
            _ => {
                return Err(Problem::invalid(
                    "payload_size and payload_sha256 stand together, in place of a payload that is gone",
                ));
            }
        };
        Ok(Some(PastClose { at, outcome: request::word("outcome", outcome)?, payload }))
    }
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
