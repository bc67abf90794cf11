//! Properties of the parsers of client input: cursors, queries, headers, batch lines, documents. See
//! [`crate::fuzzing`].

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::from_utf8;

use axum::body::Body;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, IF_MATCH, IF_NONE_MATCH, ORIGIN, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use warden_api::alert::{AcknowledgeRequest, CommentRequest, SilenceRequest, SnoozeRequest};
use warden_api::item::{ErrorRequest, ItemFilter, PatchRequest};
use warden_api::lease::{ClaimRequest, CompleteRequest, FailRequest, HeartbeatRequest, ReleaseRequest};
use warden_api::replay::ReplayRequest;
use warden_api::step::{RetryRequest, StepRequest};

use super::access::{Access, Tokens};
use super::batch::line::{self, Asked};
use super::export::line::{History, write_item_line};
use super::filter;
use super::items;
use super::page::{Paging, limit, name_cursor, read_cursor, write_cursor};
use super::problem::Problem;
use super::question::Question;
use super::replays;
use super::request::{self, ByteRange, Query, byte_range};
use super::server::browser::{self, Browsers};
use crate::config::{Config, Sources, host_of, origin_of};
use crate::model::item::payload::content_encoding;
use crate::model::item::{Closed, Course, ItemDetail, ItemPatch, PROGRESS_SIZE_MAX};
use crate::model::{
    ClockTime, Item, ItemError, ItemId, ItemNumber, Labels, ManualClock, Moment, PayloadInfo, Timestamp,
    Work, WorkflowName,
};
use crate::store::record::{decode_document, encode_document};
use crate::warden::intake::{BatchItem, CreateItem, Deadline, Done, Past, PastCourse, Plan};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A rejection is a 4xx with a detail.
fn refused(problem: &Problem) {
    let document = serde_json::to_value(problem.document(None)).expect("a problem can be written");
    let status = document["status"].as_u64().expect("a status");
    assert!((400..500).contains(&status), "{document}");
    assert!(document["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{document}");
}

fn everybody() -> Access {
    Tokens::new(&[]).authenticate(&HeaderMap::new()).unwrap_or_else(|_| unreachable!("there are no tokens"))
}

/// Every accepted cursor is one that we would write.
pub fn cursors(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    match read_cursor(text) {
        Ok(position) => assert_eq!(write_cursor(position), text, "{position:?}"),
        Err(problem) => refused(&problem),
    }
    let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC);
    let mut query = accepted(Query::parse(&format!("cursor={encoded}"))).expect("it is encoded");
    match Paging::read(&mut query) {
        Ok(paging) => assert_eq!(paging.after.map(|name| name_cursor(&name)).as_deref(), Some(text)),
        Err(problem) => refused(&problem),
    }
    // Conversely, any name can be continued after.
    let cursor = name_cursor(text);
    let mut query = accepted(Query::parse(&format!("cursor={cursor}"))).expect("it needs no encoding");
    let paging = accepted(Paging::read(&mut query)).expect("it is ours");
    assert_eq!(paging.after.as_deref(), Some(text));
}

fn accepted<T>(result: Result<T, Problem>) -> Option<T> {
    result.inspect_err(refused).ok()
}

/// As a raw query, and as lines `name=value` that are encoded first and must be parsed as they were.
pub fn queries(bytes: &[u8]) {
    let Ok(text) = from_utf8(bytes) else { return };
    let ask = |mut query: Query| -> Result<(), Problem> {
        let length = limit(&mut query)?;
        assert!((1..=1000).contains(&length));
        let question = Question::read(&mut query, &ManualClock::new(NOW))?;
        if let Some(step) = &question.filter.step {
            assert!(text.contains("step"), "{step}");
        }
        query.check(std::iter::empty())
    };
    accepted(Query::parse(text).and_then(ask));

    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<(&str, &str)> = text.split('\n').filter_map(|line| line.split_once('=')).collect();
    let written: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let query = || accepted(Query::parse(&written.join("&"))).expect("all of it is encoded");
    for (name, _) in &pairs {
        let expected: Vec<&str> =
            pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| *value).collect();
        assert_eq!(query().all(name), expected, "{name:?}");
    }
    accepted(ask(query()));
    if let Some(labels) = accepted(request::labels(query().all("label"))) {
        let again = labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(accepted(request::labels(again)), Some(labels));
    }
}

/// An accepted range lies within the payload and equals its plain form. An ETag is accepted only as we write
/// it.
pub fn headers(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let header = |name: HeaderName| HeaderMap::from_iter([(name, value.clone())]);
    if let Some(Some(version)) = accepted(request::if_match(&header(IF_MATCH))) {
        assert_eq!(value.to_str().map(str::trim).ok(), Some(&*format!("\"{version}\"")));
    }
    let tag = "\"9f86d081\"";
    if request::has_already(&header(IF_NONE_MATCH), tag) {
        let text = value.to_str().expect("it was read");
        assert!(text.contains(tag) || text.contains('*'), "{text}");
    }
    accepted(request::content_type(&header(CONTENT_TYPE)));
    if let Some(codings) = accepted(request::content_encoding(&header(CONTENT_ENCODING)))
        && let Ok(Some(kept)) = content_encoding(&codings)
    {
        assert_eq!(content_encoding(kept), Ok(Some(kept)), "what is kept is read as the same");
        assert!(HeaderValue::from_str(kept).is_ok(), "and can be given back");
    }
    // If a browser may be the sender, JSON is parsed only with a type that needs a preflight.
    let mut sent = header(CONTENT_TYPE);
    sent.insert(ORIGIN, HeaderValue::from_static("http://localhost"));
    for check in [browser::check_json, browser::check_lines] {
        if accepted(check(&sent)).is_some() {
            let kind = value.to_str().expect("it was read").to_ascii_lowercase();
            assert!(kind.contains("json"), "{kind}");
        }
    }
    hosts_and_origins(&value);
    let Some(Some(text)) =
        accepted(request::header(&header(RANGE), &RANGE).map(|text| text.map(str::to_owned)))
    else {
        return;
    };
    accepted(request::idempotency_key(text.clone()));
    for size in [0, 1, 10, 1 << 20, u64::MAX] {
        if let Ok(Some(ByteRange { start, end })) = byte_range(Some(&text), size) {
            assert!(start < end && end <= size, "{start} to {end} of {size}");
            let plain = format!("bytes={start}-{}", end - 1);
            assert_eq!(byte_range(Some(&plain), size), Ok(Some(ByteRange { start, end })));
        }
    }
}

/// A normalized host normalizes to itself. An origin is our own only if it names the requested host.
fn hosts_and_origins(value: &HeaderValue) {
    let Ok(text) = value.to_str() else { return };
    if let Some(host) = host_of(text) {
        assert_eq!(host_of(&host).as_deref(), Some(&*host), "{text}");
        assert!(!host.contains(['@', '/', '*']), "{host}");
    }
    if let Some(origin) = origin_of(text) {
        assert_eq!(origin_of(&origin).as_deref(), Some(&*origin), "{text}");
        let host = origin.split_once("://").and_then(|(_, authority)| host_of(authority));
        let is_ours = host.is_some_and(|host| host == "localhost");
        let post = Request::post("/v1/batch").header(HOST, "localhost").header(ORIGIN, &origin);
        let post = post.body(Body::empty()).expect("a request");
        let config = Config::load(Sources::default()).expect("the defaults");
        assert!(Browsers::new(&config).check(&post).is_err() || is_ours, "{origin}");
    }
}

/// Each batch line gets one response line, and exporting a created item gives a line that creates the same
/// item.
pub fn lines(bytes: &[u8]) {
    let access = everybody();
    for (number, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let mut asked = Asked::default();
        let request = line::read(text, &access, &mut asked);
        let mut answer = Vec::new();
        match request {
            Ok(Some(BatchItem::Create(create))) => {
                let item = item(&create);
                exported(&create, &item);
                let done = Done::Created(Box::new(item));
                line::answer(number, &asked, &Ok(Some(done)), NOW.into(), &mut answer);
            }
            Ok(Some(BatchItem::Close(..))) => {
                line::answer(number, &asked, &Ok(Some(Done::Closed)), NOW.into(), &mut answer);
            }
            Ok(None) => line::answer(number, &asked, &Ok(None), NOW.into(), &mut answer),
            Err(problem) => {
                refused(&problem);
                line::answer(number, &asked, &Err(problem), NOW.into(), &mut answer);
            }
        }
        assert_eq!(memchr::memchr_iter(b'\n', &answer).count(), 1, "it is one line");
        let answer: Value = serde_json::from_slice(&answer).expect("of JSON");
        assert!(answer["status"].is_u64(), "{answer}");
    }
}

/// The item that a create makes.
fn item(create: &CreateItem) -> Item {
    let deadline = match create.deadline {
        Some(Deadline::At(instant)) if create.past.as_ref().is_some_and(|past| past.is_deadline_steady) => {
            instant.into()
        }
        Some(Deadline::At(instant)) => ClockTime::on_wall(instant),
        Some(Deadline::In(duration)) => NOW.after(duration).into(),
        None => NOW.into(),
    };
    let instant = |deadline| match deadline {
        Deadline::At(instant) => instant,
        Deadline::In(duration) => NOW.after(duration),
    };
    let mut item = Item {
        number: ItemNumber(7),
        workflow: create.workflow.clone(),
        id: create.id.clone().unwrap_or_else(|| ItemId::new("file-1").expect("an id")),
        created_at: NOW,
        deadline,
        failed_at: None,
        closed: None,
        labels: Labels::new(create.labels.clone()),
        step: create.step.clone(),
        step_entered_at: NOW,
        payload: Some(PayloadInfo {
            size: create.payload.len() as u64,
            content_type: create.content_type.clone(),
            content_encoding: (!create.content_encoding.is_empty()).then(|| create.content_encoding.clone()),
            sha256: [0; 32],
        }),
        idempotency_key: None,
        version: 1,
        work: Work::default(),
        course: Course { not_before: create.plan.not_before.map(instant), ..Course::default() },
        run: None,
        trace: create.trace.clone(),
        detail: None,
    };
    if create.plan.steps.is_some() || !create.plan.progress.is_empty() {
        let detail = item.detail.get_or_insert_default();
        detail.own_steps = create.plan.steps.clone();
        detail.progress = create.plan.progress.clone();
    }
    if let Some(past) = create.past.as_deref() {
        apply_history(&mut item, past.clone());
    }
    item
}

/// Applies a history to an item.
fn apply_history(item: &mut Item, past: Past) {
    let closed_at = past.closed.map(|closed| closed.at);
    item.created_at = past.created_at.or(closed_at).expect("either stands in the line");
    item.payload = item.payload.take().filter(|_| past.created_at.is_some());
    item.step_entered_at = past.step_entered_at.unwrap_or(item.created_at);
    item.failed_at = past.failed_at;
    item.closed = past.closed.map(|closed| Closed {
        at: closed.at,
        outcome: closed.outcome,
        payload_until: closed.at,
        record_until: Timestamp::MAX,
    });
    if let (Some(info), Some(gone)) = (&mut item.payload, past.closed.and_then(|closed| closed.payload)) {
        (info.size, info.sha256) = (gone.size, gone.sha256);
    }
    (item.work.attempts, item.work.retry_at) = (past.attempts, past.retry_at);
    let PastCourse { course, repetitions, step_progress } = past.course;
    item.course = Course { not_before: item.course.not_before, ..course };
    let own_steps = item.detail.take().and_then(|detail| detail.own_steps);
    let (progress, errors, steps) = (past.progress, past.errors, past.steps);
    item.detail = Some(Box::new(ItemDetail {
        progress,
        step_progress,
        errors,
        steps,
        repetitions,
        own_steps,
        run: None,
    }));
}

fn exported(create: &CreateItem, item: &Item) {
    let is_gone = item.payload.is_none()
        || create
            .past
            .as_ref()
            .is_some_and(|past| past.closed.is_some_and(|closed| closed.payload.is_some()));
    let payload = (!is_gone).then_some(&*create.payload);
    let write = |item: &Item, history| {
        let mut text = Vec::new();
        write_item_line(item, payload, history, NOW.into(), &mut text).expect("a line can be written");
        assert_eq!(memchr::memchr_iter(b'\n', &text).count(), 1, "it is one line");
        text
    };
    let read = |text: &[u8]| {
        let request = line::read(text.trim_ascii(), &everybody(), &mut Asked::default());
        let Some(Some(BatchItem::Create(again))) = accepted(request) else { panic!("it creates an item") };
        *again
    };
    let with_past = write(item, History::Told);
    let again = read(&with_past);
    assert_eq!(again.payload, create.payload, "byte for byte");
    assert_eq!((again.id.as_ref(), &again.workflow), (Some(&item.id), &item.workflow));
    assert_eq!((&again.labels, &again.step), (&create.labels, &create.step));
    if item.payload.is_some() {
        assert_eq!(again.content_type, create.content_type);
        assert_eq!(again.content_encoding, create.content_encoding);
    }
    let deadline = Moment::from(NOW).shown(item.deadline).clamp(Timestamp::MIN, Timestamp::MAX);
    assert!(matches!(again.deadline, Some(Deadline::At(at)) if at == deadline), "{:?}", again.deadline);
    let past = again.past.as_deref().expect("it says what the item has been through");
    let same = |at: Timestamp| at.clamp(Timestamp::MIN, Timestamp::MAX);
    assert_eq!(past.errors.len(), item.detail().errors.len());
    for (left, right) in past.errors.iter().zip(&item.detail().errors) {
        assert_eq!((left, left.at), (&ItemError { at: same(right.at), ..right.clone() }, same(right.at)));
    }
    assert_eq!((&past.progress, past.attempts), (&item.detail().progress, item.work.attempts));
    assert_eq!(self::item(&again).state(NOW.into()), item.state(NOW.into()));
    assert_eq!(
        String::from_utf8_lossy(&write(&self::item(&again), History::Told)),
        String::from_utf8_lossy(&with_past),
        "the export of the created item is the same"
    );
    if item.closed.is_none() {
        assert_eq!(read(&write(item, History::LeftOut)).past, None, "without a history it is a new item");
    }
}

/// Documents are parsed as every type. A patch keeps the item within its limits, is stored unchanged, and is
/// idempotent.
pub fn bodies(bytes: &[u8]) {
    if let Some(document) = object::<PatchRequest>(bytes)
        && let Some(patch) = accepted(items::change(document))
    {
        let (labels, progress) = (patch.labels, patch.progress);
        patched(&ItemPatch { labels, progress, ..ItemPatch::default() });
    }
    if let Some(document) = object::<ReplayRequest>(bytes) {
        accepted(replays::start(document));
    }
    if let Some(document) = object::<ItemFilter>(bytes) {
        let written = serde_json::to_vec(&document).expect("a filter can be written");
        let again: ItemFilter = object(&written).expect("and read");
        assert_eq!(format!("{again:?}"), format!("{document:?}"));
        accepted(filter::written(document));
    }
    object::<ClaimRequest>(bytes);
    object::<HeartbeatRequest>(bytes);
    object::<CompleteRequest>(bytes);
    object::<FailRequest>(bytes);
    object::<ReleaseRequest>(bytes);
    object::<ErrorRequest>(bytes);
    object::<StepRequest>(bytes);
    object::<RetryRequest>(bytes);
    object::<SilenceRequest>(bytes);
    object::<AcknowledgeRequest>(bytes);
    object::<SnoozeRequest>(bytes);
    object::<CommentRequest>(bytes);
}

fn object<'a, T: Deserialize<'a> + Debug>(bytes: &'a [u8]) -> Option<T> {
    accepted(request::object("the body", bytes))
}

fn patched(patch: &ItemPatch) {
    let create = CreateItem {
        workflow: WorkflowName::new("uploads").expect("a name"),
        id: None,
        idempotency_key: None,
        content_type: "text/plain".into(),
        content_encoding: "".into(),
        payload: "hello".into(),
        deadline: None,
        labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        step: None,
        plan: Plan::default(),
        trace: None,
        past: None,
        run: None,
    };
    let mut once = item(&create);
    let mut progress = serde_json::json!({"done": 3, "of": {"files": 4}});
    once.detail.get_or_insert_default().progress =
        std::mem::take(progress.as_object_mut().expect("an object"));
    let policy = crate::model::Policy::bare(std::time::Duration::ZERO, std::time::Duration::ZERO);
    if let Err(refusal) = once.patch(patch, &policy) {
        return assert!(!refusal.to_string().is_empty());
    }
    let detail = once.detail();
    assert!(serde_json::to_vec(&detail.progress).is_ok_and(|text| text.len() <= PROGRESS_SIZE_MAX));
    assert_eq!(decode_document(&encode_document(detail)).as_ref(), Ok(detail), "it is stored unchanged");
    let mut twice = once.clone();
    twice.patch(patch, &policy).expect("it was accepted before");
    assert_eq!((twice.detail(), &twice.labels), (detail, &once.labels));
}
