//! PostgreSQL's protocol, version 3: prepared statements, bound and executed.

use std::ops::Range;

use super::super::template::{DeadlineForm, Template};
use super::super::wire::Dialect;
use crate::load::{Failure, ID, Ids, Kind, Workload, payload_text};

const PROTOCOL: i32 = 3 << 16;
const WORKFLOW: &str = "bench";
/// The names of the prepared statements.
const CREATE: &str = "create";
const CLOSE: &str = "close";
/// A message's kind and length.
const HEADER: usize = 5;
/// The numbers of the types of elements, where arrays are bound.
const TEXT: i32 = 25;
const BYTEA: i32 = 17;
const TIMESTAMPTZ: i32 = 1184;

/// What one connection says.
pub struct Messages {
    greeting: Vec<u8>,
    create: Template,
    close: Template,
    pairs: bool,
    closing: bool,
    items: usize,
    numbers: Range<u64>,
    /// How often the server must still say that it is ready.
    missing: usize,
    /// How many rows the statement has changed, when it has; none is expected of a greeting.
    changed: Option<usize>,
}

impl Messages {
    pub fn new(workload: Workload) -> Self {
        let (create, close) = match workload.batch {
            None => (
                "INSERT INTO items (workflow, id, deadline, payload) VALUES ($1, $2, $3, $4)",
                "DELETE FROM items WHERE workflow = $1 AND id = $2",
            ),
            Some(_) => (
                "INSERT INTO items (workflow, id, deadline, payload) \
                 SELECT $1, * FROM unnest($2::text[], $3::timestamptz[], $4::bytea[])",
                "DELETE FROM items WHERE workflow = $1 AND id = ANY($2::text[])",
            ),
        };
        let mut greeting = startup();
        greeting.extend(parse(CREATE, create));
        greeting.extend(parse(CLOSE, close));
        greeting.extend(message(b'S', &[]));
        let payload = payload_text(workload.payload).into_bytes();
        let deadline = DeadlineForm::Timestamp.placeholder();
        let element = |oid, value: &[u8]| match workload.batch {
            None => value.to_vec(),
            Some(items) => array(oid, items, value),
        };
        let (id, deadline) = (element(TEXT, ID.as_bytes()), element(TIMESTAMPTZ, deadline));
        let payload = element(BYTEA, &payload);
        let create = execution(CREATE, &[WORKFLOW.as_bytes(), &id, &deadline, &payload]);
        let close = execution(CLOSE, &[WORKFLOW.as_bytes(), &id]);
        Self {
            greeting,
            create: Template::new(create, DeadlineForm::Timestamp),
            close: Template::new(close, DeadlineForm::Timestamp),
            pairs: workload.kind == Kind::Pair,
            closing: true,
            items: workload.items_per_request(),
            numbers: 0..0,
            missing: 0,
            changed: None,
        }
    }

    /// Says only these statements, as its greeting.
    pub fn query(statements: &str) -> Self {
        let mut greeting = startup();
        greeting.extend(message(b'Q', &terminated(statements)));
        Self { greeting, ..Self::new(Workload { batch: None, kind: Kind::Create, payload: 0 }) }
    }
}

impl Dialect for Messages {
    /// The server is ready after its start, and again after what follows.
    fn greeting(&mut self) -> Vec<u8> {
        self.missing = 2;
        self.greeting.clone()
    }

    fn prepare(&mut self, ids: &Ids) {
        self.closing = self.pairs && !self.closing;
        if !self.closing {
            self.numbers = ids.reserve(self.items).unwrap_or_default();
        }
        let template = if self.closing { &mut self.close } else { &mut self.create };
        template.stamp(ids, self.numbers.clone());
        self.missing = 1;
        self.changed = Some(0);
    }

    fn request(&self) -> &[u8] {
        if self.closing { self.close.bytes() } else { self.create.bytes() }
    }

    fn hear(&mut self, received: &[u8]) -> Result<usize, Failure> {
        let mut heard = 0;
        while let Some(length) = length(&received[heard..]) {
            let body = &received[heard + HEADER..heard + length];
            match received[heard] {
                b'E' => return Err(Failure::Answer(printable(body))),
                b'R' if body != [0; 4] => {
                    return Err(Failure::Answer("the server wants a password".into()));
                }
                b'C' => {
                    if let Some(changed) = &mut self.changed {
                        *changed += rows(body);
                    }
                }
                b'Z' => {
                    if self.changed.is_some_and(|changed| changed != self.items) {
                        let (changed, items) = (self.changed.unwrap_or_default(), self.items);
                        return Err(Failure::Answer(format!("{changed} rows were changed, not {items}")));
                    }
                    let missing = self.missing.checked_sub(1);
                    self.missing = missing
                        .ok_or_else(|| Failure::Answer("the server is ready once too often".into()))?;
                }
                _ => {}
            }
            heard += length;
        }
        Ok(heard)
    }

    fn is_answered(&self) -> bool {
        self.missing == 0
    }
}

/// Of the message at the front; `None` when it is not whole yet.
fn length(received: &[u8]) -> Option<usize> {
    let length = received.get(1..HEADER)?.try_into().ok()?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok()? + 1;
    (received.len() >= length).then_some(length)
}

/// The last word of a completed command's tag.
fn rows(tag: &[u8]) -> usize {
    let tag = String::from_utf8_lossy(tag);
    tag.trim_end_matches('\0').rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn printable(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', " ")
}

fn startup() -> Vec<u8> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for word in ["user", "bench", "database", "postgres", ""] {
        body.extend(terminated(word));
    }
    with_length(&body)
}

fn parse(name: &str, statement: &str) -> Vec<u8> {
    let mut body = terminated(name);
    body.extend(terminated(statement));
    // No types: the server finds them.
    body.extend(0_i16.to_be_bytes());
    message(b'P', &body)
}

/// Bind, Execute and Sync of a prepared statement with binary parameters.
fn execution(name: &str, parameters: &[&[u8]]) -> Vec<u8> {
    let mut body = terminated("");
    body.extend(terminated(name));
    // One form for all of them: binary.
    body.extend([1_i16, 1].map(i16::to_be_bytes).as_flattened());
    body.extend((parameters.len() as i16).to_be_bytes());
    for parameter in parameters {
        body.extend((parameter.len() as i32).to_be_bytes());
        body.extend_from_slice(parameter);
    }
    // No forms of results: there are none.
    body.extend(0_i16.to_be_bytes());
    let mut bytes = message(b'B', &body);
    let mut body = terminated("");
    body.extend(0_i32.to_be_bytes());
    bytes.extend(message(b'E', &body));
    bytes.extend(message(b'S', &[]));
    bytes
}

/// An array of one dimension, in binary: the same element so many times.
fn array(oid: i32, items: usize, element: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Dimensions, whether there are nulls, the type, the length, the index of the first.
    for number in [1, 0, oid, items as i32, 1] {
        bytes.extend(i32::to_be_bytes(number));
    }
    for _ in 0..items {
        bytes.extend((element.len() as i32).to_be_bytes());
        bytes.extend_from_slice(element);
    }
    bytes
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(with_length(body));
    bytes
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as i32 + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}
