//! The lines of a batch and their responses.

mod past;

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use warden_api::line::{Line, LineDone, LinePayload, LineProblem};
use warden_api::word::LineOperation;

use crate::http::access::Access;
use crate::http::course;
use crate::http::problem::{Problem, success};
use crate::http::request;
use crate::model::{Item, ItemId, ItemKey, Moment, TraceContext, WorkflowName};
use crate::warden::WardenError;
use crate::warden::intake::{BatchItem, CreateItem, Done, Plan};

/// The longest name or id, in bytes.
const ID_MAX: usize = 256;

/// What the response to a line needs while it is committed.
#[derive(Default)]
pub struct Asked {
    workflow: Option<String>,
    id: Option<String>,
}

/// Parses a line; `None` if it needs no change. `asked` is set in any case, as far as the line can be parsed.
/// Of the access only the scope for a history is checked here.
pub fn read(bytes: &[u8], access: &Access, asked: &mut Asked) -> Result<Option<BatchItem>, Problem> {
    let line: Line<'_> = request::object("the line", bytes)?;
    asked.workflow = shown(line.workflow.as_deref());
    asked.id = shown(line.id.as_deref());
    match line.op {
        LineOperation::Create => create(line, access).map(Some),
        LineOperation::Close => close(line).map(Some),
        LineOperation::End => Ok(None),
    }
}

/// A name to repeat in the response, unless it is too long to be one.
fn shown(name: Option<&str>) -> Option<String> {
    name.filter(|name| name.len() <= ID_MAX).map(ToOwned::to_owned)
}

fn create(mut line: Line<'_>, access: &Access) -> Result<BatchItem, Problem> {
    let workflow = workflow(&line)?;
    let id = id(&line)?;
    let past = past::read(&mut line, access)?.map(Box::new);
    let (payload, default_type) = match past.as_ref().and_then(|past| past.closed) {
        Some(_) if !has_payload(&line) => {
            if line.payload_size.is_none() && line.created_at.is_some() {
                return Err(Problem::invalid(
                    "a closed line must have its payload, or else payload_size and payload_sha256",
                ));
            }
            (Bytes::new(), "application/octet-stream")
        }
        _ => payload(line.payload, line.payload_base64.as_ref().map(|text| &*text.0))?,
    };
    let trace = line.traceparent.as_deref();
    let trace = trace.and_then(|parent| TraceContext::read(parent, line.tracestate.as_deref()));
    let plan = Plan {
        steps: line
            .own_steps
            .map(|terms| terms.into_iter().map(course::step).collect::<Result<_, _>>())
            .transpose()?,
        // In a line with a history it was taken as a part of that.
        progress: line.progress.map(Cow::into_owned).unwrap_or_default(),
        not_before: line.not_before.map(|text| request::deadline(&text)).transpose()?,
    };
    Ok(BatchItem::Create(Box::new(CreateItem {
        workflow,
        id,
        idempotency_key: line.idempotency_key.map(request::idempotency_key).transpose()?,
        content_type: line.content_type.as_deref().unwrap_or(default_type).into(),
        content_encoding: line.content_encoding.as_deref().unwrap_or_default().into(),
        payload,
        deadline: line.deadline.map(|text| request::deadline(&text)).transpose()?,
        labels: Arc::unwrap_or_clone(line.labels.unwrap_or_default().0),
        step: line.step.map(|step| request::step(step.into_owned())).transpose()?,
        plan,
        trace: trace.map(Box::new),
        past,
        run: None,
    })))
}

fn close(line: Line<'_>) -> Result<BatchItem, Problem> {
    let workflow = workflow(&line)?;
    let id = id(&line)?.ok_or_else(|| Problem::invalid("a close must have the item's id"))?;
    if let Some(field) = past::first_field(&line).filter(|field| *field != "outcome") {
        return Err(Problem::invalid(format!("a close must not have {field}")));
    }
    let outcome = line.outcome.map(|text| request::word("outcome", &text)).transpose()?;
    Ok(BatchItem::Close(ItemKey { workflow, id }, outcome.unwrap_or_default()))
}

fn workflow(line: &Line<'_>) -> Result<WorkflowName, Problem> {
    let name = line.workflow.as_deref().ok_or_else(|| Problem::invalid("a line must have a workflow"))?;
    Ok(WorkflowName::new(name).map_err(WardenError::from)?)
}

fn has_payload(line: &Line<'_>) -> bool {
    line.payload.is_some() || line.payload_base64.is_some()
}

fn id(line: &Line<'_>) -> Result<Option<ItemId>, Problem> {
    let id = line.id.as_deref().map(ItemId::new).transpose();
    Ok(id.map_err(WardenError::from)?)
}

/// The payload and its default content type: a string is its text, any other JSON value its source.
fn payload(value: Option<LinePayload<'_>>, base64: Option<&str>) -> Result<(Bytes, &'static str), Problem> {
    match (value, base64) {
        (Some(LinePayload::Text(text)), None) => Ok((text.to_owned().into(), "text/plain; charset=utf-8")),
        (Some(LinePayload::Json(value)), None) if value.get().starts_with('"') => {
            let text: String = serde_json::from_str(value.get()).map_err(|error| {
                Problem::invalid(format!("the payload is not a valid JSON string: {error}"))
            })?;
            Ok((text.into(), "text/plain; charset=utf-8"))
        }
        (Some(LinePayload::Json(value)), None) => {
            Ok((Bytes::copy_from_slice(value.get().as_bytes()), "application/json"))
        }
        (None, Some(text)) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| Problem::invalid(format!("payload_base64 is not valid base64: {error}")))?;
            Ok((bytes.into(), "application/octet-stream"))
        }
        _ => Err(Problem::invalid("a create must have either payload or payload_base64")),
    }
}

/// Writes the response to a line. A line without a change gets 200.
pub fn answer(
    number: usize,
    asked: &Asked,
    result: &Result<Option<Done>, Problem>,
    moment: Moment,
    text: &mut Vec<u8>,
) {
    let (workflow, id) = (asked.workflow.as_deref(), asked.id.as_deref());
    let mut done = |status: StatusCode, id: Option<&str>, item: Option<&Item>| {
        let (version, state) = (item.map(|item| item.version), item.map(|item| item.state(moment)));
        let status = status.as_u16();
        let (workflow, id) = (workflow.map(Cow::Borrowed), id.map(Cow::Borrowed));
        let done = LineDone { status, workflow, id, version, state: state.map(Into::into) };
        serde_json::to_writer(&mut *text, &done)
    };
    let written = match result {
        Ok(Some(Done::Created(item))) => done(success::CREATED, Some(&item.id), Some(item)),
        Ok(Some(Done::Existed(item))) => done(success::OK, Some(&item.id), Some(item)),
        Ok(Some(Done::Closed)) => done(success::DONE, id, None),
        Ok(None) => done(success::OK, id, None),
        Err(problem) => {
            let (workflow, id) = (workflow.map(Cow::Borrowed), id.map(Cow::Borrowed));
            let problem = LineProblem { line: number, workflow, id, problem: problem.document(None) };
            serde_json::to_writer(&mut *text, &problem)
        }
    };
    if let Err(error) = written {
        tracing::error!(%error, "the response to a line of a batch could not be written");
    }
    text.push(b'\n');
}
