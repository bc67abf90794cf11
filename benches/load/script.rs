//! What one connection sends: requests that are rendered once, into which fresh ids are stamped each time.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::failure::Failure;

const ID_LENGTH: usize = 32;
const WORKFLOW: &str = "bench";
const CREATED: u16 = 201;
const CLOSED: u16 = 204;
const BATCH_ANSWERED: u16 = 200;
/// How much of a body a failure shows.
const EXCERPT: usize = 2_000;

/// The mix of requests of a cell.
#[derive(Clone, Copy)]
pub struct Workload {
    /// `None`: an item a request. Otherwise as many items in each `POST /v1/batch`.
    pub batch: Option<usize>,
    /// Whether each create is followed, on the same connection, by the closing of the same items.
    pub closes: bool,
    /// Bytes in a payload.
    pub payload: usize,
}

impl Workload {
    /// Items that a single request creates or closes.
    pub fn items_per_request(&self) -> usize {
        self.batch.unwrap_or(1)
    }
}

/// Ids that are unique for the life of the bench and in no order, as those of real applications.
pub struct Ids {
    next: AtomicU64,
    seed: u64,
}

impl Ids {
    pub fn new() -> Self {
        Self { next: AtomicU64::new(0), seed: rand::random() }
    }

    fn reserve(&self, count: usize) -> Range<u64> {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        first..first + count as u64
    }

    /// The second half alone is unique already: `scatter` is a bijection.
    fn render(&self, number: u64) -> [u8; ID_LENGTH] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let halves = (u128::from(scatter(number ^ self.seed)) << 64) | u128::from(scatter(number));
        std::array::from_fn(|place| DIGITS[(halves >> (124 - 4 * place) & 0xf) as usize])
    }
}

/// The finalizer of SplitMix64: each number goes to another one, and neighbours far apart.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// How the server took a request.
pub enum Reception {
    Accepted,
    /// 429 or 503: the server sheds load, as the contract allows; nothing was done.
    Shed,
}

/// The requests of one connection, in their order for ever.
#[derive(Clone)]
pub struct Script {
    create: Template,
    close: Option<Template>,
    /// The items of the request under way.
    items: Range<u64>,
    closing: bool,
    batch: bool,
}

impl Script {
    pub fn new(workload: Workload) -> Self {
        let (create, close) = match workload.batch {
            None => (Template::create(workload.payload), Template::close()),
            Some(items) => (
                Template::batch(items, &create_line(workload.payload)),
                Template::batch(
                    items,
                    &format!("{{\"op\":\"close\",\"workflow\":\"{WORKFLOW}\",\"id\":\"{ID}\"}}\n"),
                ),
            ),
        };
        Self {
            create,
            close: workload.closes.then_some(close),
            items: 0..0,
            closing: false,
            batch: workload.batch.is_some(),
        }
    }

    /// The next request, ready to be sent.
    pub fn next(&mut self, ids: &Ids) -> &[u8] {
        let template = match &mut self.close {
            Some(close) if self.closing => close,
            _ => {
                self.items = ids.reserve(self.create.id_offsets.len());
                &mut self.create
            }
        };
        template.stamp(ids, self.items.clone());
        &template.bytes
    }

    /// Judges the answer to the last request, and goes on to the one after it.
    pub fn settle(&mut self, status: u16, body: &[u8]) -> Result<Reception, Failure> {
        if matches!(status, 429 | 503) {
            return Ok(Reception::Shed);
        }
        let item_status = if self.closing { CLOSED } else { CREATED };
        let expected = if self.batch { BATCH_ANSWERED } else { item_status };
        if status != expected {
            return Err(unexpected(expected, status, body));
        }
        if self.batch {
            settle_lines(body, item_status, self.create.id_offsets.len())?;
        }
        self.closing = self.close.is_some() && !self.closing;
        Ok(Reception::Accepted)
    }
}

fn settle_lines(body: &[u8], expected: u16, count: usize) -> Result<(), Failure> {
    let mut lines = 0;
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match line_status(line) {
            Some(status) if status == expected => lines += 1,
            status => return Err(unexpected(expected, status.unwrap_or_default(), line)),
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

fn unexpected(expected: u16, status: u16, body: &[u8]) -> Failure {
    let body = String::from_utf8_lossy(&body[..body.len().min(EXCERPT)]).into_owned();
    Failure::Unexpected { expected, status, body }
}

/// Stands where an id will be stamped; as long as one.
const ID: &str = "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii";

fn create_line(payload: usize) -> String {
    let payload = payload_text(payload);
    format!(
        "{{\"op\":\"create\",\"workflow\":\"{WORKFLOW}\",\"id\":\"{ID}\",\"payload\":\"{payload}\",\"deadline\":\"1h\"}}\n"
    )
}

/// Text without a pattern, without characters that JSON would escape, and without a run that looks like [`ID`].
fn payload_text(length: usize) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    (0..length as u64).map(|place| char::from(LETTERS[(scatter(place) & 31) as usize])).collect()
}

#[derive(Clone)]
struct Template {
    bytes: Vec<u8>,
    id_offsets: Vec<usize>,
}

impl Template {
    fn create(payload: usize) -> Self {
        Self::new(
            format!("PUT /v1/workflows/{WORKFLOW}/items/{ID}"),
            "content-type: application/octet-stream\r\n",
            payload_text(payload).as_bytes(),
        )
    }

    fn close() -> Self {
        Self::new(format!("DELETE /v1/workflows/{WORKFLOW}/items/{ID}"), "", b"")
    }

    fn batch(items: usize, line: &str) -> Self {
        let body = line.repeat(items);
        Self::new("POST /v1/batch".into(), "content-type: application/x-ndjson\r\n", body.as_bytes())
    }

    fn new(request_line: String, headers: &str, body: &[u8]) -> Self {
        let length = match body.len() {
            0 => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        let mut bytes =
            format!("{request_line} HTTP/1.1\r\nhost: {WORKFLOW}\r\n{headers}{length}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        let mut id_offsets = Vec::new();
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(ID_LENGTH).position(|window| window == ID.as_bytes()) {
            id_offsets.push(at + found);
            at += found + ID_LENGTH;
        }
        Self { bytes, id_offsets }
    }

    fn stamp(&mut self, ids: &Ids, items: Range<u64>) {
        for (offset, item) in self.id_offsets.iter().zip(items) {
            self.bytes[*offset..*offset + ID_LENGTH].copy_from_slice(&ids.render(item));
        }
    }
}
