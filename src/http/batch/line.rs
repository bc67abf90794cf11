//! The lines of a batch: what each asks for, and how it is answered.

mod past;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use warden_api::ProblemDocument;

use self::past::{ErrorLine, StepLine};
use crate::config::Scope;
use crate::http::access::Access;
use crate::http::problem::{Problem, success};
use crate::http::request;
use crate::model::{Item, ItemId, ItemKey, ItemState, Moment, WorkflowName, quote};
use crate::warden::WardenError;
use crate::warden::items::{BatchItem, CreateItem, Done};

/// The longest name or id, in bytes.
const ID_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Create,
    Close,
    /// What ends an export. It changes nothing, so that an export can be handed in as it is.
    End,
}

/// A line of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    op: Operation,
    #[serde(borrow)]
    workflow: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content_type: Option<Cow<'a, str>>,
    /// The content codings that were applied to the payload, such as `gzip`.
    #[serde(borrow)]
    content_encoding: Option<Cow<'a, str>>,
    #[serde(borrow)]
    deadline: Option<Cow<'a, str>>,
    labels: Option<Labels>,
    step: Option<String>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    // What the item has been through, from here on; see [`past`].
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    created_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    step_entered_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    failed_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    deadline_from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    closed_at: Option<Cow<'a, str>>,
    step_attempts: Option<u32>,
    #[serde(borrow)]
    retry_at: Option<Cow<'a, str>>,
    steps: Option<Vec<StepLine>>,
    progress: Option<Map<String, Value>>,
    errors: Option<Vec<ErrorLine>>,
    payload_size: Option<u64>,
    #[serde(borrow)]
    payload_sha256: Option<Cow<'a, str>>,
    /// What the header is to a create of its own that leaves the id to the server.
    idempotency_key: Option<String>,
    /// Where the export goes on behind this line.
    #[serde(rename = "cursor")]
    _cursor: Option<IgnoredAny>,
    /// What an end says of the lines before it. They need not be those of this batch: a client that cares has checked
    /// before it cuts an export into batches.
    #[serde(rename = "lines")]
    _lines: Option<IgnoredAny>,
    #[serde(rename = "sha256")]
    _sha256: Option<IgnoredAny>,
}

/// Labels as a line has them. One that stands twice has no value that is right, so it is refused.
#[derive(Default)]
struct Labels(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Labels;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Labels, A::Error> {
                let mut labels = Labels::default();
                while let Some((name, value)) = members.next_entry::<String, String>()? {
                    if labels.0.contains_key(&name) {
                        return Err(de::Error::custom(format_args!(
                            "the label {} stands twice",
                            quote(&name)
                        )));
                    }
                    labels.0.insert(name, value);
                }
                Ok(labels)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// What is remembered of a line while it is committed.
#[derive(Default)]
pub struct Asked {
    workflow: Option<String>,
    id: Option<String>,
}

/// Reads a line and checks that the client may ask for that; nothing, when there is nothing to be done for it. What can
/// be told of it is noted in `asked` in any case.
///
/// # Errors
/// When it cannot be read or is not allowed.
pub fn read(bytes: &[u8], access: &Access, asked: &mut Asked) -> Result<Option<BatchItem>, Problem> {
    let line: Line<'_> = request::object("the line", bytes)?;
    asked.workflow = shown(line.workflow.as_deref());
    asked.id = shown(line.id.as_deref());
    match line.op {
        Operation::Create => create(line, access).map(Some),
        Operation::Close => close(line, access).map(Some),
        Operation::End => Ok(None),
    }
}

/// What is repeated of a name in the answer: nothing of what is too long to be one.
fn shown(name: Option<&str>) -> Option<String> {
    name.filter(|name| name.len() <= ID_MAX).map(ToOwned::to_owned)
}

fn create(mut line: Line<'_>, access: &Access) -> Result<BatchItem, Problem> {
    let workflow = line.workflow(access)?;
    let id = line.id()?;
    let past = line.past(access)?.map(Box::new);
    let (payload, default_type) = match past.as_ref().and_then(|past| past.closed) {
        Some(_) if !line.has_payload() => {
            if line.payload_size.is_none() && line.created_at.is_some() {
                return Err(Problem::invalid(
                    "a closed line has its payload, or payload_size and payload_sha256 where that is gone",
                ));
            }
            (Bytes::new(), "application/octet-stream")
        }
        _ => payload(line.payload, line.payload_base64.as_deref())?,
    };
    Ok(BatchItem::Create(Box::new(CreateItem {
        workflow,
        id,
        idempotency_key: line.idempotency_key.map(request::idempotency_key).transpose()?,
        content_type: line.content_type.as_deref().unwrap_or(default_type).into(),
        content_encoding: line.content_encoding.as_deref().unwrap_or_default().into(),
        payload,
        deadline: line.deadline.map(|text| request::deadline(&text)).transpose()?,
        labels: line.labels.unwrap_or_default().0,
        step: line.step.map(request::step).transpose()?,
        past,
    })))
}

fn close(line: Line<'_>, access: &Access) -> Result<BatchItem, Problem> {
    let workflow = line.workflow(access)?;
    let id = line.id()?.ok_or_else(|| Problem::invalid("a close names the item's id"))?;
    if let Some(field) = line.first_of_past().filter(|field| *field != "outcome") {
        return Err(Problem::invalid(format!("a close takes no {field}")));
    }
    let outcome = line.outcome.map(|text| request::word("outcome", &text)).transpose()?;
    Ok(BatchItem::Close(ItemKey { workflow, id }, outcome.unwrap_or_default()))
}

impl Line<'_> {
    /// The workflow that it names, if the client may change its items.
    fn workflow(&self, access: &Access) -> Result<WorkflowName, Problem> {
        let name = self.workflow.as_deref().ok_or_else(|| Problem::invalid("the line names no workflow"))?;
        let workflow = WorkflowName::new(name).map_err(WardenError::from)?;
        access.require_for(Scope::Ingest, &workflow)?;
        Ok(workflow)
    }

    fn has_payload(&self) -> bool {
        self.payload.is_some() || self.payload_base64.is_some()
    }

    fn id(&self) -> Result<Option<ItemId>, Problem> {
        let id = self.id.as_deref().map(ItemId::new).transpose();
        Ok(id.map_err(WardenError::from)?)
    }
}

/// The bytes of a payload: of a string its text, of any other JSON value the value as it is written; and the content
/// type they have if nothing else is said.
fn payload(value: Option<&RawValue>, base64: Option<&str>) -> Result<(Bytes, &'static str), Problem> {
    match (value, base64) {
        (Some(value), None) if value.get().starts_with('"') => {
            let text: String = serde_json::from_str(value.get())
                .map_err(|error| Problem::invalid(format!("the payload is no valid JSON string: {error}")))?;
            Ok((text.into(), "text/plain; charset=utf-8"))
        }
        (Some(value), None) => Ok((Bytes::copy_from_slice(value.get().as_bytes()), "application/json")),
        (None, Some(text)) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| Problem::invalid(format!("payload_base64 is no valid base64: {error}")))?;
            Ok((bytes.into(), "application/octet-stream"))
        }
        _ => Err(Problem::invalid("a create has either payload or payload_base64")),
    }
}

/// What became of a line.
#[derive(Serialize)]
struct LineAnswer<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// How the item stands, of a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<ItemState>,
}

/// What became of a line that was refused.
#[derive(Serialize)]
struct LineProblem<'a> {
    /// The number of the line, from 1.
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(flatten)]
    problem: ProblemDocument<'a>,
}

/// Writes the answer to the line of this number. What had nothing to be done for it is done.
pub fn answer(
    number: usize,
    asked: &Asked,
    result: &Result<Option<Done>, Problem>,
    moment: Moment,
    text: &mut Vec<u8>,
) {
    let (workflow, id) = (asked.workflow.as_deref(), asked.id.as_deref());
    let mut done = |status: StatusCode, id, item: Option<&Item>| {
        let (version, state) = (item.map(|item| item.version), item.map(|item| item.state(moment)));
        let status = status.as_u16();
        serde_json::to_writer(&mut *text, &LineAnswer { status, workflow, id, version, state })
    };
    let written = match result {
        Ok(Some(Done::Created(item))) => done(success::CREATED, Some(&item.id), Some(item)),
        Ok(Some(Done::Existed(item))) => done(success::OK, Some(&item.id), Some(item)),
        Ok(Some(Done::Closed)) => done(success::DONE, id, None),
        Ok(None) => done(success::OK, id, None),
        Err(problem) => {
            let problem = LineProblem { line: number, workflow, id, problem: problem.document(None) };
            serde_json::to_writer(&mut *text, &problem)
        }
    };
    if let Err(error) = written {
        tracing::error!(%error, "a line of a batch could not be answered");
    }
    text.push(b'\n');
}
