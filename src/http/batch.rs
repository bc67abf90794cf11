//! Batches: many creates and closes in one request, a line of JSON each.
//!
//! Lines are taken in groups as they arrive, and a group is parsed while the one before it is being committed. A line
//! that is wrong fails alone. The answer begins when the last line is done: a client that sends everything before it
//! reads anything must not wait for a server that waits for it.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Server;
use super::access::Access;
use super::body::next_data;
use super::list::NDJSON;
use super::problem::{Problem, ProblemDocument, success};
use super::request;
use crate::config::Scope;
use crate::model::{ItemId, ItemKey, WorkflowName};
use crate::warden::items::{BatchItem, CreateItem, Done};
use crate::warden::{Warden, WardenError};

/// How many lines are committed together.
const GROUP_LINES: usize = 512;
/// How many bytes of lines are committed together, unless one line is larger.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How many groups may wait for their commit.
const GROUPS_UNDER_WAY: usize = 4;
/// What a line may take beyond its payload, in bytes.
const LINE_OVERHEAD: u64 = 16 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Create,
    Close,
}

/// A line of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    op: Operation,
    #[serde(borrow)]
    workflow: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    deadline: Option<Cow<'a, str>>,
    labels: Option<BTreeMap<String, String>>,
    step: Option<String>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
}

/// What became of a line.
#[derive(Serialize)]
struct LineAnswer<'a> {
    status: u16,
    workflow: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
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

/// Create and close many items: NDJSON, one line each; the answer has a line for a line, in order.
#[utoipa::path(post, path = "/v1/batch", tag = "items",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, description = "A line for each line: its status, or a problem", body = String,
            content_type = "application/x-ndjson"),
        (status = "4XX", description = "Refused", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemDocument, content_type = "application/problem+json")))]
pub async fn batch(
    State(server): State<Arc<Server>>,
    access: Access,
    request: Request,
) -> Result<Response, Problem> {
    access.require(Scope::Ingest)?;
    let (parts, body) = request.into_parts();
    let announced = request::header(&parts.headers, &CONTENT_LENGTH)?.and_then(|text| text.parse().ok());
    if announced.is_some_and(|length: u64| length > server.batch_max) {
        server.bodies.discard(body).await;
        return Err(too_many_bytes(server.batch_max));
    }
    let batch = Batch::new(server.clone(), access);
    let answers = match tokio::time::timeout(server.bodies.timeout(), batch.run(body)).await {
        Ok(answers) => answers?,
        Err(_) => return Err(server.bodies.too_slow()),
    };
    Ok((success::OK, [(CONTENT_TYPE, NDJSON)], Body::from(answers)).into_response())
}

fn too_many_bytes(limit: u64) -> Problem {
    Problem::batch_too_large(format!(
        "a batch is at most the {limit} bytes of limits.batch_max; send it in pieces; lines before the limit are done"
    ))
}

type Committing = BoxFuture<'static, Result<Vec<Result<Done, WardenError>>, WardenError>>;

/// What is remembered of a line while it is committed.
struct Asked {
    workflow: Option<String>,
    id: Option<String>,
}

/// A batch that is being worked off.
struct Batch {
    server: Arc<Server>,
    access: Access,
    lines: usize,
    requests: Vec<Result<BatchItem, WardenError>>,
    refused: Vec<Option<Problem>>,
    asked: Vec<Asked>,
    bytes: usize,
    committing: VecDeque<(Vec<Asked>, Vec<Option<Problem>>, Committing)>,
    answers: Vec<u8>,
    answered: usize,
}

impl Batch {
    fn new(server: Arc<Server>, access: Access) -> Self {
        Self {
            server,
            access,
            lines: 0,
            requests: Vec::new(),
            refused: Vec::new(),
            asked: Vec::new(),
            bytes: 0,
            committing: VecDeque::new(),
            answers: Vec::new(),
            answered: 0,
        }
    }

    async fn run(mut self, mut body: Body) -> Result<Bytes, Problem> {
        let line_max = self.server.warden.payload_max() * 4 / 3 + LINE_OVERHEAD;
        let _permit = self.server.bodies.hold(line_max.max(GROUP_BYTES as u64))?;
        let mut buffer = BytesMut::new();
        let (mut seen, mut searched) = (0, 0);
        while let Some(data) = next_data(&mut body).await? {
            seen += data.len() as u64;
            if seen > self.server.batch_max {
                self.server.bodies.discard(body).await;
                return Err(too_many_bytes(self.server.batch_max));
            }
            buffer.extend_from_slice(&data);
            while let Some(end) = memchr::memchr(b'\n', &buffer[searched..]) {
                let line = buffer.split_to(searched + end + 1).freeze();
                searched = 0;
                self.take(line).await?;
            }
            searched = buffer.len();
            if buffer.len() as u64 > line_max {
                self.server.bodies.discard(body).await;
                return Err(Problem::batch_too_large(format!(
                    "line {} is longer than the {line_max} bytes that a payload of limits.payload_max can take; \
                     the lines before it are done",
                    self.lines + 1
                )));
            }
        }
        self.take(buffer.freeze()).await?;
        self.submit();
        while !self.committing.is_empty() {
            self.answer_first().await?;
        }
        Ok(self.answers.into())
    }

    async fn take(&mut self, line: Bytes) -> Result<(), Problem> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        self.lines += 1;
        if self.lines > self.server.batch_items_max {
            return Err(Problem::batch_too_large(format!(
                "a batch has at most the {} lines of limits.batch_items_max; the lines before are done",
                self.server.batch_items_max
            )));
        }
        let mut asked = Asked { workflow: None, id: None };
        match read_line(line, &self.access, &mut asked) {
            Ok(item) => {
                self.requests.push(Ok(item));
                self.refused.push(None);
            }
            Err(problem) => self.refused.push(Some(problem)),
        }
        self.asked.push(asked);
        self.bytes += line.len();
        if self.asked.len() >= GROUP_LINES || self.bytes >= GROUP_BYTES {
            self.submit();
            while self.committing.len() > GROUPS_UNDER_WAY {
                self.answer_first().await?;
            }
        }
        Ok(())
    }

    /// Hands what has gathered to the warden, which puts it in line for the disk before this returns.
    fn submit(&mut self) {
        self.bytes = 0;
        let requests = std::mem::take(&mut self.requests);
        let (asked, refused) = (std::mem::take(&mut self.asked), std::mem::take(&mut self.refused));
        if !asked.is_empty() {
            let committing = Warden::submit(&self.server.warden, requests);
            self.committing.push_back((asked, refused, committing));
        }
    }

    async fn answer_first(&mut self) -> Result<(), Problem> {
        let Some((asked, refused, committing)) = self.committing.pop_front() else { return Ok(()) };
        let results: Vec<Result<Done, Problem>> = match committing.await {
            Ok(results) => results.into_iter().map(|result| result.map_err(Problem::from)).collect(),
            Err(error) => {
                let problem = Problem::from(error);
                refused.iter().filter(|refused| refused.is_none()).map(|_| Err(problem.clone())).collect()
            }
        };
        let mut results = results.into_iter();
        for (asked, refused) in asked.into_iter().zip(refused) {
            self.answered += 1;
            let result = match refused {
                Some(problem) => Err(problem),
                None => {
                    results.next().unwrap_or_else(|| Err(Problem::store_failed("the line was not answered")))
                }
            };
            self.write(&asked, result);
        }
        Ok(())
    }

    fn write(&mut self, asked: &Asked, result: Result<Done, Problem>) {
        let answer = |status: axum::http::StatusCode, id, version| LineAnswer {
            status: status.as_u16(),
            workflow: asked.workflow.as_deref().unwrap_or_default(),
            id,
            version,
        };
        let asked_id = asked.id.as_deref().unwrap_or_default();
        let written = match &result {
            Ok(Done::Created(item)) => serde_json::to_writer(
                &mut self.answers,
                &answer(success::CREATED, &item.id, Some(item.version)),
            ),
            Ok(Done::Existed(item)) => {
                serde_json::to_writer(&mut self.answers, &answer(success::OK, &item.id, Some(item.version)))
            }
            Ok(Done::Closed) => {
                serde_json::to_writer(&mut self.answers, &answer(success::DONE, asked_id, None))
            }
            Err(problem) => {
                let problem = LineProblem {
                    line: self.answered,
                    workflow: asked.workflow.as_deref(),
                    id: asked.id.as_deref(),
                    problem: problem.document(None),
                };
                serde_json::to_writer(&mut self.answers, &problem)
            }
        };
        if let Err(error) = written {
            tracing::error!(%error, "a line of a batch could not be answered");
        }
        self.answers.push(b'\n');
    }
}

fn read_line(bytes: &[u8], access: &Access, asked: &mut Asked) -> Result<BatchItem, Problem> {
    let line: Line<'_> = serde_json::from_slice(bytes)
        .map_err(|error| Problem::invalid(format!("the line is not the JSON that a batch takes: {error}")))?;
    asked.workflow = Some(line.workflow.clone().into_owned());
    asked.id = line.id.clone().map(Cow::into_owned);
    let workflow = WorkflowName::new(&*line.workflow).map_err(WardenError::from)?;
    access.require_for(Scope::Ingest, &workflow)?;
    let id = line.id.as_deref().map(ItemId::new).transpose().map_err(WardenError::from)?;
    match line.op {
        Operation::Close => {
            let id = id.ok_or_else(|| Problem::invalid("a close names the item's id"))?;
            let outcome = line.outcome.map(|text| super::items::outcome(&text)).transpose()?;
            Ok(BatchItem::Close(ItemKey { workflow, id }, outcome.unwrap_or_default()))
        }
        Operation::Create => {
            let (payload, default_type) = payload(line.payload, line.payload_base64.as_deref())?;
            Ok(BatchItem::Create(Box::new(CreateItem {
                workflow,
                id,
                idempotency_key: None,
                content_type: line.content_type.as_deref().unwrap_or(default_type).into(),
                payload,
                deadline: line.deadline.map(|text| request::deadline(&text)).transpose()?,
                labels: line.labels.unwrap_or_default(),
                step: line.step.map(request::step).transpose()?,
            })))
        }
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
