//! Batches: many creates and closes in one request, a line of JSON each.
//!
//! Lines are taken in groups as they arrive, and a group is parsed while the one before it is being committed. A line
//! that is wrong fails alone. The answer begins when the last line is done: a client that sends everything before it
//! reads anything must not wait for a server that waits for it.

mod answer;
pub(super) mod line;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::future::BoxFuture;

use self::answer::Gathered;
use self::line::Asked;
use super::access::Access;
use super::answers::counted;
use super::body::{announced_length, next_data};
use super::export::NDJSON;
use super::problem::{Problem, success};
use super::request::{self, NoQuery};
use super::{Server, browser};
use crate::config::Scope;
use crate::warden::intake::{BatchItem, Done};
use crate::warden::{Intake, WardenError};

/// How many lines are committed together.
const GROUP_LINES: usize = 512;
/// How many bytes of lines are committed together, unless one line is larger.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How many groups may wait for their commit.
const GROUPS_UNDER_WAY: usize = 4;
/// What a line may take beyond its payload, in bytes: the most that an export writes of what an item has been through, with
/// characters that are escaped.
const LINE_OVERHEAD: u64 = 512 * 1024;

/// Create and close many items: NDJSON, one line each; the answer has a line for a line, in order.
///
/// A create line may say what its item has been through elsewhere, in the fields that an export adds: `state`, `created_at`
/// and the others. Only a token with the scope `admin` may say so. Such an item is as it was there, but for leases, its
/// version, incidents and idempotency keys; one that failed has failed, one that is late is overdue at once, and one that was
/// closed is remembered for as long as its workflow says here. What is there already is left alone: the same payload again is
/// answered with 200, whatever has happened to the item since.
///
/// What `GET /v1/export` answers can be handed in as it is: `cursor` is passed over, and `{"op":"end",…}` is answered with
/// 200; nothing is made of the number and the checksum that it tells.
#[utoipa::path(post, path = "/v1/batch", operation_id = "batch", tag = "items",
    request_body(content = Option<String>, content_type = "application/x-ndjson"),
    responses((status = 200, description = "A line for each line: its status, or a problem", body = String,
            content_type = "application/x-ndjson")))]
pub async fn batch(
    State(server): State<Arc<Server>>,
    access: Access,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    access.require(Scope::Ingest)?;
    let (parts, body) = request.into_parts();
    request::check_readable(&parts.headers)?;
    browser::check_lines(&parts.headers).map_err(Problem::hang_up)?;
    if announced_length(&parts.headers).is_some_and(|length| length > server.batch_max) {
        return Err(too_many_bytes(server.batch_max).hang_up());
    }
    let answer = Batch::new(server, access).run(body).await?;
    let mut response = (success::OK, [(CONTENT_TYPE, NDJSON)], Body::new(answer)).into_response();
    counted(response.extensions_mut());
    Ok(response)
}

fn too_many_bytes(limit: u64) -> Problem {
    Problem::batch_too_large(format!(
        "a batch is at most the {limit} bytes of limits.batch_max; send it in pieces"
    ))
}

/// A line that waits for its answer, and whether it waits for the disk; if it was refused already, why.
type Waiting = (Asked, Result<bool, Problem>);

/// Lines that are committed together.
struct Group {
    lines: Vec<Waiting>,
    committing: BoxFuture<'static, Result<Vec<Result<Done, WardenError>>, WardenError>>,
}

/// A batch that is being worked off.
struct Batch {
    server: Arc<Server>,
    access: Access,
    /// How many lines there were so far.
    lines: usize,
    /// The group that gathers, and how many bytes its lines have.
    gathering: Vec<Waiting>,
    requests: Vec<Result<BatchItem, WardenError>>,
    bytes: usize,
    groups: VecDeque<Group>,
    answer: Gathered,
    answered: usize,
}

impl Batch {
    fn new(server: Arc<Server>, access: Access) -> Self {
        Self {
            server,
            access,
            lines: 0,
            gathering: Vec::new(),
            requests: Vec::new(),
            bytes: 0,
            groups: VecDeque::new(),
            answer: Gathered::default(),
            answered: 0,
        }
    }

    /// Works the lines of this body off and gives their answers.
    ///
    /// # Errors
    /// When the body does not come to its end. The whole lines before that are done nevertheless; the problem says how
    /// many.
    async fn run(mut self, body: Body) -> Result<Gathered, Problem> {
        let timeout = self.server.bodies.timeout();
        let read = tokio::time::timeout(timeout, self.read(body)).await;
        let mut read = read.unwrap_or_else(|_| Err(self.server.bodies.too_slow()));
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
        let line_max =
            (self.server.warden.intake.payload_max() * 6 + LINE_OVERHEAD).min(self.server.batch_max);
        let mut hold = self.server.bodies.hold(0)?;
        let mut buffer = BytesMut::new();
        let (mut seen, mut searched) = (0, 0);
        // Whether the line that is being read was refused already, and is thrown away as it comes.
        let mut overlong = false;
        while let Some(data) = next_data(&mut body).await? {
            seen += data.len() as u64;
            if seen > self.server.batch_max {
                return Err(too_many_bytes(self.server.batch_max));
            }
            // For what gathers, and below for the line that is being read.
            let gathers = seen.min(GROUP_BYTES as u64);
            self.server.bodies.grow(&mut hold, gathers, GROUP_BYTES as u64)?;
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
            self.server.bodies.grow(&mut hold, searched as u64, line_max)?;
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
        let request = line::read(line, &self.access, &mut asked);
        self.add(asked, request, line.len()).await
    }

    async fn refuse_overlong(&mut self, line_max: u64) -> Result<(), Problem> {
        let limit = self.server.warden.intake.payload_max();
        let problem = Problem::payload_too_large(format!(
            "the line is longer than {line_max} bytes, which no payload within the {limit} bytes of limits.payload_max takes"
        ));
        self.add(Asked::default(), Err(problem), 0).await
    }

    /// Adds a line to the group that gathers, and has the group committed when it is full.
    async fn add(
        &mut self,
        asked: Asked,
        request: Result<Option<BatchItem>, Problem>,
        bytes: usize,
    ) -> Result<(), Problem> {
        if self.lines == self.server.batch_items_max {
            return Err(Problem::batch_too_large(format!(
                "a batch has at most the {} lines of limits.batch_items_max; send it in pieces",
                self.server.batch_items_max
            )));
        }
        self.lines += 1;
        let waits = request.map(|change| change.map(|change| self.requests.push(Ok(change))).is_some());
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

    /// Hands what has gathered to the warden, which puts it in line for the disk before this returns.
    fn submit(&mut self) {
        self.bytes = 0;
        let (lines, requests) = (std::mem::take(&mut self.gathering), std::mem::take(&mut self.requests));
        if !lines.is_empty() {
            let committing = Intake::submit(&self.server.warden.intake, requests);
            self.groups.push_back(Group { lines, committing });
        }
    }

    /// Waits for the first group, which stays the first if the waiting is given up, and answers its lines.
    ///
    /// # Errors
    /// When there is no room for the answers.
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
                    |result| result.map(Some).map_err(|error| self.access.explain(error)),
                ),
            };
            let moment = self.server.warden.clock.moment();
            line::answer(self.answered, &asked, &result, moment, &mut self.answer.text);
            self.answer.count(&self.server.answers)?;
        }
        Ok(())
    }
}
