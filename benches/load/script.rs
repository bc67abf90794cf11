//! Requests of one HTTP connection: rendered once, then stamped with fresh ids.

use std::ops::Range;

use super::failure::Failure;
use super::ids::{ID, Ids, payload_text};
use super::template::Template;

const WORKFLOW: &str = "bench";
const CREATED: u16 = 201;
const CLOSED: u16 = 204;
const BATCH_ANSWERED: u16 = 200;

/// What is done with the items of a workload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Create,
    /// Each create is followed, on the same connection, by the closing of the same items.
    Pair,
    /// Items that are there already are closed.
    Close,
}

/// The mix of requests of a cell.
#[derive(Clone, Copy)]
pub struct Workload {
    /// `None`: an item a request. Otherwise as many items in each batch.
    pub batch: Option<usize>,
    pub kind: Kind,
    /// Bytes in a payload.
    pub payload: usize,
}

impl Workload {
    /// Items that a single request creates or closes.
    pub fn items_per_request(&self) -> usize {
        self.batch.unwrap_or(1)
    }
}

/// How the server took a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    Accepted,
    /// The server sheds load, as its contract allows; nothing was done.
    Shed,
}

/// The requests of one connection, in their order for ever.
pub struct Script {
    create: Template,
    close: Template,
    kind: Kind,
    /// The items of the request under way.
    items: Range<u64>,
    closing: bool,
    batch: bool,
}

impl Script {
    pub fn new(workload: Workload) -> Self {
        let (create, close) = match workload.batch {
            None => (create(workload.payload), close()),
            Some(items) => (
                batch(items, &create_line(workload.payload)),
                batch(items, &format!("{{\"op\":\"close\",\"workflow\":\"{WORKFLOW}\",\"id\":\"{ID}\"}}\n")),
            ),
        };
        let closing = workload.kind == Kind::Close;
        Self { create, close, kind: workload.kind, items: 0..0, closing, batch: workload.batch.is_some() }
    }

    /// Makes the next request ready to be sent; false when there are no more ids.
    pub fn next(&mut self, ids: &Ids) -> bool {
        if !self.closing || self.kind == Kind::Close {
            match ids.reserve(self.create.ids()) {
                Some(items) => self.items = items,
                None => return false,
            }
        }
        let items = self.items.clone();
        self.template().stamp(ids, items);
        true
    }

    /// The request that was made ready.
    pub fn request(&mut self) -> &[u8] {
        self.template().bytes()
    }

    fn template(&mut self) -> &mut Template {
        if self.closing { &mut self.close } else { &mut self.create }
    }

    /// Judges the answer to the last request, and goes on to the one after it.
    pub fn settle(&mut self, status: u16, body: &[u8]) -> Result<Reception, Failure> {
        if matches!(status, 429 | 503) {
            return Ok(Reception::Shed);
        }
        let item_status = if self.closing { CLOSED } else { CREATED };
        let expected = if self.batch { BATCH_ANSWERED } else { item_status };
        if status != expected {
            return Err(Failure::unexpected(expected, status, body));
        }
        if self.batch {
            settle_lines(body, item_status, self.create.ids())?;
        }
        if self.kind == Kind::Pair {
            self.closing = !self.closing;
        }
        Ok(Reception::Accepted)
    }
}

fn settle_lines(body: &[u8], expected: u16, count: usize) -> Result<(), Failure> {
    let mut lines = 0;
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match line_status(line) {
            Some(status) if status == expected => lines += 1,
            status => return Err(Failure::unexpected(expected, status.unwrap_or_default(), line)),
        }
    }
    match lines == count {
        true => Ok(()),
        false => Err(Failure::Answer(format!("{lines} lines answer a batch of {count}"))),
    }
}

/// The value of the first member `status`; no other member of an answer's line can be mistaken for it.
fn line_status(line: &[u8]) -> Option<u16> {
    const MEMBER: &[u8] = b"\"status\":";
    let at = line.windows(MEMBER.len()).position(|window| window == MEMBER)? + MEMBER.len();
    std::str::from_utf8(line.get(at..at + 3)?).ok()?.parse().ok()
}

fn create_line(payload: usize) -> String {
    let payload = payload_text(payload);
    format!(
        "{{\"op\":\"create\",\"workflow\":\"{WORKFLOW}\",\"id\":\"{ID}\",\"payload\":\"{payload}\",\
         \"deadline\":\"1h\"}}\n"
    )
}

/// A create that is answered without a body, as a client asks that does not read it: the other peers answer
/// no more than that it is done, and neither does the one that does nothing, which reads this header as well.
fn create(payload: usize) -> Template {
    template(
        &format!("PUT /v1/workflows/{WORKFLOW}/items/{ID}"),
        "content-type: application/octet-stream\r\nprefer: return=minimal\r\n",
        &payload_text(payload),
    )
}

fn close() -> Template {
    template(&format!("DELETE /v1/workflows/{WORKFLOW}/items/{ID}"), "", "")
}

fn batch(items: usize, line: &str) -> Template {
    template("POST /v1/batch", "content-type: application/x-ndjson\r\n", &line.repeat(items))
}

fn template(request_line: &str, headers: &str, body: &str) -> Template {
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    let head = format!("{request_line} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n");
    Template::new((head + body).into_bytes())
}
