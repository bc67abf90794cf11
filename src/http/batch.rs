//! Batches: many creates and closes in one request, one JSON line each (NDJSON).
//!
//! Lines are processed in groups as they arrive, and one group is parsed while the one before is committed.
//! An invalid line fails alone. The response starts after the last line, because a client may send everything
//! before it reads anything.

mod answer;
pub(super) mod line;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::future::BoxFuture;

use self::answer::Gathered;
use self::line::Asked;
use super::export::NDJSON;
use super::problem::{Problem, success};
use super::request;
use super::server::answers::counted;
use super::server::body::{announced_length, next_data};
use super::server::{AdmittedLine, Allowed, EachLine, Rules, browser};
use crate::warden::WardenError;
use crate::warden::intake::Done;

/// The lines of a group, which is committed together.
const GROUP_LINES: usize = 512;
/// The bytes of a group, unless a single line is larger.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// The most groups that wait for their commit.
const GROUPS_UNDER_WAY: usize = 4;
/// The bytes of a line beyond its payload: the longest history that an export writes, with escaped
/// characters.
const LINE_OVERHEAD: u64 = 512 * 1024;

pub async fn batch(allowed: Allowed<EachLine>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    request::check_readable(&parts.headers)?;
    browser::check_lines(&parts.headers).map_err(Problem::hang_up)?;
    let rules = allowed.server().rules();
    if announced_length(&parts.headers).is_some_and(|length| length > rules.batch_max) {
        return Err(too_many_bytes(rules.batch_max).hang_up());
    }
    let answer = Batch::new(allowed, rules).run(body).await?;
    let mut response = (success::OK, [(CONTENT_TYPE, NDJSON)], Body::new(answer)).into_response();
    counted(response.extensions_mut());
    Ok(response)
}

fn too_many_bytes(limit: u64) -> Problem {
    Problem::batch_too_large(format!(
        "a batch may have at most {limit} bytes (limits.batch_max); send several batches"
    ))
}

/// A line that waits for its response: whether it waits for the commit, or why it was rejected.
type Waiting = (Asked, Result<bool, Problem>);

/// Lines that are committed together.
struct Group {
    lines: Vec<Waiting>,
    committing: BoxFuture<'static, Result<Vec<Result<Done, WardenError>>, WardenError>>,
}

/// A batch in progress.
struct Batch {
    allowed: Allowed<EachLine>,
    /// Those that were in force when it began.
    rules: Arc<Rules>,
    lines: usize,
    /// The current group and its size in bytes.
    gathering: Vec<Waiting>,
    requests: Vec<AdmittedLine>,
    bytes: usize,
    groups: VecDeque<Group>,
    answer: Gathered,
    answered: usize,
}

impl Batch {
    fn new(allowed: Allowed<EachLine>, rules: Arc<Rules>) -> Self {
        Self {
            allowed,
            rules,
            lines: 0,
            gathering: Vec::new(),
            requests: Vec::new(),
            bytes: 0,
            groups: VecDeque::new(),
            answer: Gathered::default(),
            answered: 0,
        }
    }

    /// Processes the lines of the body. If the body cannot be read to its end, the complete lines before that
    /// are processed nevertheless, and the problem says how many.
    async fn run(mut self, body: Body) -> Result<Gathered, Problem> {
        let timeout = self.allowed.server().bodies.timeout();
        let read = tokio::time::timeout(timeout, self.read(body)).await;
        let mut read = read.unwrap_or_else(|_| Err(self.allowed.server().bodies.too_slow()));
        self.submit();
        while !self.groups.is_empty() {
            read = read.and(self.answer_first().await);
        }
        let done = match self.lines {
            0 => "nothing was done".to_owned(),
            lines => format!("the first {lines} lines are done"),
        };
        read.map_err(|problem| problem.and(&done).hang_up())?;
        Ok(self.answer.finish())
    }

    async fn read(&mut self, mut body: Body) -> Result<(), Problem> {
        // A byte of the payload may take six in a JSON string: \u0001.
        let line_max = self.allowed.server().payload_max() * 6 + LINE_OVERHEAD;
        let line_max = line_max.min(self.rules.batch_max);
        let mut hold = self.allowed.server().bodies.hold(0)?;
        let mut buffer = BytesMut::new();
        let (mut seen, mut searched) = (0, 0);
        // The current line has been rejected as too long; its remaining bytes are discarded.
        let mut overlong = false;
        while let Some(data) = next_data(&mut body).await? {
            seen += data.len() as u64;
            if seen > self.rules.batch_max {
                return Err(too_many_bytes(self.rules.batch_max));
            }
            // For the current group, and below for the current line.
            let gathers = seen.min(GROUP_BYTES as u64);
            self.allowed.server().bodies.grow(&mut hold, gathers, GROUP_BYTES as u64)?;
            buffer.extend_from_slice(&data);
            while let Some(end) = memchr::memchr(b'\n', &buffer[searched..]) {
                let line = buffer.split_to(searched + end + 1).freeze();
                searched = 0;
                if !std::mem::take(&mut overlong) {
                    self.take(&line).await?;
                }
            }
            if buffer.len() as u64 > line_max {
                if !std::mem::replace(&mut overlong, true) {
                    self.refuse_overlong(line_max).await?;
                }
                buffer.clear();
            }
            searched = buffer.len();
            self.allowed.server().bodies.grow(&mut hold, searched as u64, line_max)?;
        }
        if !overlong {
            self.take(&buffer).await?;
        }
        Ok(())
    }

    async fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let mut asked = Asked::default();
        let request = line::read(line, self.allowed.access(), &mut asked);
        let request = request.and_then(|line| line.map(|line| self.allowed.admit(line)).transpose());
        self.add(asked, request, line.len()).await
    }

    async fn refuse_overlong(&mut self, line_max: u64) -> Result<(), Problem> {
        let limit = self.allowed.server().payload_max();
        let problem = Problem::payload_too_large(format!(
            "the line is longer than {line_max} bytes, more than a payload of {limit} bytes \
                (limits.payload_max) can take"
        ));
        self.add(Asked::default(), Err(problem), 0).await
    }

    /// Adds a line to the current group, and submits the group when it is full.
    async fn add(
        &mut self,
        asked: Asked,
        request: Result<Option<AdmittedLine>, Problem>,
        bytes: usize,
    ) -> Result<(), Problem> {
        let lines_max = self.rules.batch_items_max;
        if self.lines == lines_max {
            return Err(Problem::batch_too_large(format!(
                "a batch may have at most {lines_max} lines (limits.batch_items_max); send several batches"
            )));
        }
        self.lines += 1;
        let waits = request.map(|change| change.map(|change| self.requests.push(change)).is_some());
        self.gathering.push((asked, waits));
        self.bytes += bytes;
        if self.gathering.len() >= GROUP_LINES || self.bytes >= GROUP_BYTES {
            self.submit();
            while self.groups.len() > GROUPS_UNDER_WAY {
                self.answer_first().await?;
            }
        }
        Ok(())
    }

    /// Submits the current group. It is queued for commit when this returns.
    fn submit(&mut self) {
        self.bytes = 0;
        let (lines, requests) = (std::mem::take(&mut self.gathering), std::mem::take(&mut self.requests));
        if !lines.is_empty() {
            let committing = self.allowed.submit(requests);
            self.groups.push_back(Group { lines, committing });
        }
    }

    /// Waits for the first group and writes its responses. If the wait is cancelled the group stays the
    /// first. Fails when the memory budget of responses is exhausted.
    async fn answer_first(&mut self) -> Result<(), Problem> {
        let Some(group) = self.groups.front_mut() else { return Ok(()) };
        let committed = (&mut group.committing).await.map_err(Problem::from);
        let lines = self.groups.pop_front().map(|group| group.lines).unwrap_or_default();
        let (results, failure) = match committed {
            Ok(results) => (results, Problem::store_failed("the line was not answered")),
            Err(problem) => (Vec::new(), problem),
        };
        let mut results = results.into_iter();
        for (asked, waits) in lines {
            self.answered += 1;
            let result = match waits {
                Err(problem) => Err(problem),
                Ok(false) => Ok(None),
                Ok(true) => results.next().map_or_else(
                    || Err(failure.clone()),
                    |result| result.map(Some).map_err(|error| self.allowed.access().explain(error)),
                ),
            };
            let moment = self.allowed.server().moment();
            line::answer(self.answered, &asked, &result, moment, &mut self.answer.text);
            self.answer.count(&self.allowed.server().answers)?;
        }
        Ok(())
    }
}
