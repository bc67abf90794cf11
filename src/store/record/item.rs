//! Records of items. The number of an item is in its key, and its detail is stored separately.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{RecordError, damaged, expect_version};
use crate::model::item::{Closed, Course, Interruption, ItemDetail, LeaseEnd};
use crate::model::run::{HeldFor, Run};
use crate::model::{
    ClockTime, Item, ItemId, ItemNumber, Labels, Lease, PayloadInfo, StepName, Timestamp, TraceContext, Work,
    WorkflowName,
};

const ITEM_V1: u8 = 1;
const ITEM_V2: u8 = 2;
const ITEM_V3: u8 = 3;
const ITEM_V4: u8 = 4;
const ITEM_V5: u8 = 5;
const ITEM_V6: u8 = 6;

/// Version 1.
#[derive(Serialize, Deserialize)]
struct ItemRecordV1<'a> {
    workflow: &'a str,
    id: &'a str,
    created_at: Timestamp,
    deadline: Timestamp,
    failed_at: Option<Timestamp>,
    closed: Option<Closed>,
    labels: BTreeMap<&'a str, &'a str>,
    step: Option<&'a str>,
    step_entered_at: Timestamp,
    payload: Option<PayloadRecordV1<'a>>,
    idempotency_key: Option<[u8; 32]>,
    version: u64,
    has_detail: bool,
}

#[derive(Serialize, Deserialize)]
struct PayloadRecordV1<'a> {
    size: u64,
    content_type: &'a str,
    sha256: [u8; 32],
}

/// Version 2: version 1, and the state of the work, unless it was never claimed.
#[derive(Deserialize)]
struct ItemRecordV2<'a> {
    #[serde(borrow)]
    item: ItemRecordV1<'a>,
    work: Option<WorkRecordV2<'a>>,
}

/// Version 3: version 2, and later fields. Written for an item without a course.
#[derive(Serialize, Deserialize)]
struct ItemRecordV3<'a> {
    #[serde(borrow)]
    item: ItemRecordV1<'a>,
    work: Option<WorkRecordV2<'a>>,
    content_encoding: Option<&'a str>,
    /// Whether `deadline` is on the wall clock instead of the steady one.
    deadline_on_wall: bool,
}

/// Version 4: version 3, and the course of an item. Written for one that has a course and no trace.
#[derive(Serialize, Deserialize)]
struct ItemRecordV4<'a> {
    #[serde(borrow)]
    item: ItemRecordV3<'a>,
    course: CourseRecordV4<'a>,
}

/// Version 5: version 4, and the trace of an item that has one.
#[derive(Serialize, Deserialize)]
struct ItemRecordV5<'a> {
    #[serde(borrow)]
    item: ItemRecordV4<'a>,
    trace_parent: &'a str,
    trace_state: Option<&'a str>,
}

/// Version 6: version 4 of a run, with the trace if it has one.
#[derive(Serialize, Deserialize)]
struct ItemRecordV6<'a> {
    #[serde(borrow)]
    item: ItemRecordV4<'a>,
    trace: Option<(&'a str, Option<&'a str>)>,
    run: RunRecordV6,
}

#[derive(Serialize, Deserialize)]
struct RunRecordV6 {
    number: u64,
    held: Option<HeldFor>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct CourseRecordV4<'a> {
    retries: u32,
    losses: u32,
    interruption: Option<Interruption>,
    resume_at: Option<&'a str>,
    not_before: Option<Timestamp>,
    deadline_max: Option<(Timestamp, bool)>,
}

#[derive(Serialize, Deserialize)]
struct WorkRecordV2<'a> {
    #[serde(borrow)]
    lease: Option<LeaseRecordV2<'a>>,
    ended_before: Option<(u64, LeaseEnd)>,
    attempts: u32,
    retry_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecordV2<'a> {
    token: u64,
    worker: &'a str,
    expires_at: Timestamp,
    ended: Option<LeaseEnd>,
}

/// Without its detail.
pub fn encode_item(item: &Item) -> Vec<u8> {
    let (deadline, deadline_on_wall) = encode_time(item.deadline);
    let first = ItemRecordV1 {
        workflow: &item.workflow,
        id: &item.id,
        created_at: item.created_at,
        deadline,
        failed_at: item.failed_at,
        closed: item.closed,
        labels: item.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        step: item.step.as_deref(),
        step_entered_at: item.step_entered_at,
        payload: item.payload.as_ref().map(|payload| PayloadRecordV1 {
            size: payload.size,
            content_type: &payload.content_type,
            sha256: payload.sha256,
        }),
        idempotency_key: item.idempotency_key,
        version: item.version,
        has_detail: item.detail.is_some(),
    };
    let work = (item.work != Work::default()).then(|| WorkRecordV2 {
        lease: item.work.lease.as_ref().map(|lease| LeaseRecordV2 {
            token: lease.token,
            worker: &lease.worker,
            expires_at: lease.expires_at,
            ended: lease.ended,
        }),
        ended_before: item.work.ended_before,
        attempts: item.work.attempts,
        retry_at: item.work.retry_at,
    });
    let content_encoding = item.payload.as_ref().and_then(|payload| payload.content_encoding.as_deref());
    let record = ItemRecordV3 { item: first, work, content_encoding, deadline_on_wall };
    let mut bytes = Vec::with_capacity(192);
    let Course { retries, losses, interruption, resume_at, not_before, deadline_max } = &item.course;
    let has_course = item.course != Course::default();
    let written = if item.run.is_none() && item.trace.is_none() && !has_course {
        bytes.push(ITEM_V3);
        postcard::to_extend(&record, bytes)
    } else {
        let course = CourseRecordV4 {
            retries: *retries,
            losses: *losses,
            interruption: *interruption,
            resume_at: resume_at.as_deref(),
            not_before: *not_before,
            deadline_max: deadline_max.map(encode_time),
        };
        let item_record = ItemRecordV4 { item: record, course };
        let trace = item.trace.as_deref();
        if let Some(run) = &item.run {
            let Run { number, held, started_at, ended_at } = *run;
            let run = RunRecordV6 { number, held, started_at, ended_at };
            let trace = trace.map(|TraceContext { parent, state }| (&**parent, state.as_deref()));
            bytes.push(ITEM_V6);
            return postcard::to_extend(&ItemRecordV6 { item: item_record, trace, run }, bytes)
                .expect("writing plain data into a growing buffer cannot fail");
        }
        match trace {
            None => {
                bytes.push(ITEM_V4);
                postcard::to_extend(&item_record, bytes)
            }
            Some(TraceContext { parent, state }) => {
                bytes.push(ITEM_V5);
                let (trace_parent, trace_state) = (&**parent, state.as_deref());
                postcard::to_extend(&ItemRecordV5 { item: item_record, trace_parent, trace_state }, bytes)
            }
        }
    };
    written.expect("writing plain data into a growing buffer cannot fail")
}

/// The instant, and whether it is on the wall clock instead of the steady one.
const fn encode_time(time: ClockTime) -> (Timestamp, bool) {
    match time {
        ClockTime::Steady(steady) => (steady, false),
        ClockTime::Wall { wall } => (wall, true),
    }
}

fn decode_time((at, is_on_wall): (Timestamp, bool)) -> ClockTime {
    if is_on_wall { ClockTime::on_wall(at) } else { ClockTime::Steady(at) }
}

/// Decodes an item. If it has a detail, that is empty here: the caller reads it if needed. Fails for a format
/// that this version does not know.
pub fn decode_item(number: ItemNumber, bytes: &[u8]) -> Result<Item, RecordError> {
    let earlier = |item, work| ItemRecordV3 { item, work, content_encoding: None, deadline_on_wall: false };
    let (mut course, mut trace, mut run) = (Course::default(), None, None);
    let ItemRecordV3 { item: record, work, content_encoding, deadline_on_wall } = match bytes.split_first() {
        Some((&ITEM_V1, body)) => earlier(postcard::from_bytes(body).map_err(damaged)?, None),
        Some((&ITEM_V2, body)) => {
            let ItemRecordV2 { item, work } = postcard::from_bytes(body).map_err(damaged)?;
            earlier(item, work)
        }
        Some((&ITEM_V3, body)) => postcard::from_bytes(body).map_err(damaged)?,
        Some((&ITEM_V4, body)) => {
            let ItemRecordV4 { item, course: record } = postcard::from_bytes(body).map_err(damaged)?;
            course = decode_course(record)?;
            item
        }
        Some((&ITEM_V5, body)) => {
            let ItemRecordV5 { item: ItemRecordV4 { item, course: record }, trace_parent, trace_state } =
                postcard::from_bytes(body).map_err(damaged)?;
            course = decode_course(record)?;
            trace = Some(decode_trace(trace_parent, trace_state));
            item
        }
        _ => {
            let record = postcard::from_bytes(expect_version(bytes, ITEM_V6)?).map_err(damaged)?;
            let ItemRecordV6 {
                item: ItemRecordV4 { item, course: record },
                trace: record_trace,
                run: of_run,
            } = record;
            course = decode_course(record)?;
            trace = record_trace.map(|(parent, state)| decode_trace(parent, state));
            let RunRecordV6 { number, held, started_at, ended_at } = of_run;
            run = Some(Run { number, held, started_at, ended_at });
            item
        }
    };
    Ok(Item {
        number,
        workflow: WorkflowName::new(record.workflow).map_err(damaged)?,
        id: ItemId::new(record.id).map_err(damaged)?,
        created_at: record.created_at,
        deadline: decode_time((record.deadline, deadline_on_wall)),
        failed_at: record.failed_at,
        closed: record.closed,
        labels: Labels::new(
            record.labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ),
        step: record.step.map(StepName::new).transpose().map_err(damaged)?,
        step_entered_at: record.step_entered_at,
        payload: record.payload.map(|payload| PayloadInfo {
            size: payload.size,
            content_type: Arc::from(payload.content_type),
            content_encoding: content_encoding.map(Arc::from),
            sha256: payload.sha256,
        }),
        idempotency_key: record.idempotency_key,
        version: record.version,
        work: work.map(decode_work).unwrap_or_default(),
        course,
        run,
        trace,
        detail: record.has_detail.then(Box::<ItemDetail>::default),
    })
}

/// The keys by which an item is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedNames<'a> {
    pub workflow: &'a str,
    pub id: &'a str,
    /// The digest of the `Idempotency-Key` it was created with.
    pub idempotency_key: Option<[u8; 32]>,
}

/// Decodes only the index keys, without copying. Fails for a format that this version does not know.
pub fn decode_names(bytes: &[u8]) -> Result<RecordedNames<'_>, RecordError> {
    // Later versions begin with version 1.
    let body = match bytes.split_first() {
        Some((&(ITEM_V1 | ITEM_V2 | ITEM_V3 | ITEM_V4 | ITEM_V5), body)) => body,
        _ => expect_version(bytes, ITEM_V6)?,
    };
    let (record, _): (ItemRecordV1<'_>, _) = postcard::take_from_bytes(body).map_err(damaged)?;
    Ok(RecordedNames { workflow: record.workflow, id: record.id, idempotency_key: record.idempotency_key })
}

fn decode_trace(parent: &str, state: Option<&str>) -> Box<TraceContext> {
    Box::new(TraceContext { parent: parent.into(), state: state.map(Arc::from) })
}

fn decode_course(record: CourseRecordV4<'_>) -> Result<Course, RecordError> {
    Ok(Course {
        retries: record.retries,
        losses: record.losses,
        interruption: record.interruption,
        resume_at: record.resume_at.map(StepName::new).transpose().map_err(damaged)?,
        not_before: record.not_before,
        deadline_max: record.deadline_max.map(decode_time),
    })
}

fn decode_work(record: WorkRecordV2<'_>) -> Work {
    Work {
        lease: record.lease.map(|lease| Lease {
            token: lease.token,
            worker: lease.worker.into(),
            expires_at: lease.expires_at,
            ended: lease.ended,
        }),
        ended_before: record.ended_before,
        attempts: record.attempts,
        retry_at: record.retry_at,
    }
}
