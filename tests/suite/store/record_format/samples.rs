//! Items and their details in all shapes.

use std::time::Duration;

use serde_json::json;
use warden::model::item::{
    Closed, Course, Interruption, ItemDetail, LeaseEnd, Repetition, StepRecord, StepStatus,
};
use warden::model::step::{OnIgnorable, Step};
use warden::model::{
    ClockTime, CloseOutcome, Item, ItemId, ItemNumber, Labels, Lease, PayloadInfo, Timestamp, TraceContext,
    Work,
};

use crate::store::sample::{at, error, labels, object, step, trace, workflow};

/// Items in all shapes, by the names of their records in the fixture. Their number is not in the record.
pub fn items() -> [(&'static str, Item); 5] {
    let plain = Item {
        number: ItemNumber(7),
        workflow: workflow("uploads"),
        id: ItemId::new("file-1").unwrap(),
        created_at: at(0),
        deadline: at(60_000).into(),
        failed_at: None,
        closed: None,
        labels: Labels::default(),
        step: None,
        step_entered_at: at(0),
        payload: Some(PayloadInfo {
            size: 1234,
            content_type: "text/plain".into(),
            content_encoding: None,
            sha256: [0xab; 32],
        }),
        idempotency_key: None,
        version: 1,
        work: Work::default(),
        course: Course::default(),
        run: None,
        trace: None,
        detail: None,
    };
    let full = Item {
        id: ItemId::new("ä/b %2F").unwrap(),
        failed_at: Some(at(30_000)),
        labels: labels(&[("region", "eu"), ("tenant", "Öl & Co")]),
        step: Some(step("backup")),
        step_entered_at: at(20_000),
        idempotency_key: Some([0x5a; 32]),
        version: 300,
        detail: Some(Box::default()),
        ..plain.clone()
    };
    let closed = Item {
        closed: Some(Closed {
            at: at(40_000),
            outcome: CloseOutcome::Discarded,
            payload_until: at(50_000),
            record_until: at(86_440_000),
        }),
        version: 2,
        ..plain.clone()
    };
    let tombstone = Item {
        payload: None,
        deadline: at(0).into(),
        closed: Some(Closed {
            at: at(0),
            outcome: CloseOutcome::Failed,
            payload_until: at(0),
            record_until: at(86_400_000),
        }),
        ..plain.clone()
    };
    let extreme = Item {
        id: ItemId::new("i".repeat(256)).unwrap(),
        created_at: Timestamp::MIN,
        deadline: Timestamp::MAX.into(),
        step_entered_at: Timestamp::from_millis(-1),
        payload: Some(PayloadInfo {
            size: u64::MAX,
            content_type: "".into(),
            content_encoding: None,
            sha256: [0; 32],
        }),
        version: u64::MAX,
        ..plain.clone()
    };
    [("plain", plain), ("full", full), ("closed", closed), ("tombstone", tombstone), ("extreme", extreme)]
}

/// Items in the shapes that they can have since they can be leased.
pub fn leased_items() -> [(&'static str, Item); 3] {
    let [(_, plain), ..] = items();
    let lease = |ended| Some(Lease { token: 300, worker: "höst-1".into(), expires_at: at(90_000), ended });
    let work = |ended, retry_at| Work { lease: lease(ended), ended_before: None, attempts: 3, retry_at };
    let item = |work| Item { work, ..plain.clone() };
    [
        ("leased", item(work(None, None))),
        ("waiting", item(work(Some(LeaseEnd::Failed), Some(at(100_000))))),
        (
            "longest",
            item(Work {
                lease: Some(Lease {
                    token: u64::MAX,
                    worker: "w".repeat(128).into(),
                    expires_at: Timestamp::MAX,
                    ended: Some(LeaseEnd::Released),
                }),
                ended_before: Some((u64::MAX, LeaseEnd::Completed)),
                attempts: u32::MAX,
                retry_at: Some(Timestamp::MIN),
            }),
        ),
    ]
}

/// Items in the shapes that they can have since the codings of their payloads are kept.
pub fn encoded_items() -> [(&'static str, Item); 3] {
    let [(_, plain), ..] = items();
    let [.., (_, longest)] = leased_items();
    let encoded = |item: Item, encoding: &str| Item {
        payload: item.payload.map(|info| PayloadInfo { content_encoding: Some(encoding.into()), ..info }),
        ..item
    };
    let on_wall = Item { deadline: ClockTime::on_wall(at(90_000)), ..plain.clone() };
    [
        ("on-wall", on_wall),
        ("encoded", encoded(plain, "gzip")),
        ("leased-encoded", encoded(longest, &"br, ".repeat(31))),
    ]
}

/// Items in the shapes that they can have since steps can be interrupted and repeated.
pub fn course_items() -> [(&'static str, Item); 3] {
    let [(_, plain), ..] = items();
    let [.., (_, leased)] = encoded_items();
    let of = |course, item: &Item| Item { course, ..item.clone() };
    let interrupted = Course {
        losses: 2,
        interruption: Some(Interruption { at: at(30_000), until: Some(at(90_000)) }),
        ..Course::default()
    };
    let waiting = Course {
        not_before: Some(at(3_600_000)),
        deadline_max: Some(ClockTime::on_wall(at(7_200_000))),
        ..Course::default()
    };
    let longest = Course {
        retries: u32::MAX,
        losses: u32::MAX,
        interruption: Some(Interruption { at: Timestamp::MIN, until: None }),
        resume_at: Some(step(&"s".repeat(128))),
        not_before: Some(Timestamp::MAX),
        deadline_max: Some(Timestamp::MIN.into()),
    };
    [
        ("interrupted", of(interrupted, &plain)),
        ("not-before", of(waiting, &plain)),
        ("longest-course", of(longest, &leased)),
    ]
}

/// Items that belong to a trace.
pub fn traced_items() -> [(&'static str, Item); 2] {
    let [(_, plain), ..] = items();
    let [.., (_, longest)] = course_items();
    let of = |trace: TraceContext, item: &Item| Item { trace: Some(Box::new(trace)), ..item.clone() };
    let alone = TraceContext { state: None, ..trace() };
    [("traced", of(alone, &plain)), ("traced-course", of(trace(), &longest))]
}

/// A detail with all that steps can leave behind.
pub fn course_detail() -> ItemDetail {
    let run = StepRecord {
        message: Some("not yet".into()),
        entered_at: Some(at(10_000)),
        attempts: 2,
        ..StepRecord::ended(step("copy"), StepStatus::Interrupted, at(20_000))
    };
    let own = Step {
        deadline: Some(Duration::from_secs(300)),
        losses_max: Some(5),
        on_ignorable: OnIgnorable::End,
        ..Step::named(step("copy"))
    };
    let repetition = |step, due| Repetition { step, runs: 2, due };
    ItemDetail {
        step_progress: [(step("copy"), object(json!({"page": 50})))].into(),
        steps: vec![run],
        repetitions: vec![repetition(Some(step("copy")), Some(at(90_000))), repetition(None, None)],
        own_steps: Some(vec![own, Step::named(step("backup"))]),
        ..detail()
    }
}

/// A detail as it was before items went through steps under leases.
pub fn first_detail() -> ItemDetail {
    ItemDetail { steps: Vec::new(), ..detail() }
}

pub fn detail() -> ItemDetail {
    let fatal = warden::model::ItemError {
        fatal: true,
        retryable: false,
        step: Some(step("backup")),
        data: json!({"host": "b-1"}),
        ..error("2", at(30_000))
    };
    ItemDetail {
        progress: object(json!({"done": 3, "of": [4, null]})),
        errors: vec![error("1", at(20_000)), fatal],
        steps: vec![
            StepRecord::ended(step("copy"), StepStatus::Done, at(20_000)),
            StepRecord::ended(step("check"), StepStatus::Skipped, at(25_000)),
        ],
        ..ItemDetail::default()
    }
}
