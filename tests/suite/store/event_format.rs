//! The stored forms of events and of their deliveries: the fixture in `tests/fixtures` stays readable.
//!
//! When a form changes, `cargo test --test suite seal_events -- --ignored` writes a fixture of the new one
//! into cargo's directory for temporary files; add it to the old ones, which stay.

use std::path::Path;

use serde_json::json;
use warden::model::item::ItemDetail;
use warden::model::run::{Lineage, RunError, RunStatus, Window};
use warden::model::{
    ClockTime, CloseOutcome, Delivery, DeliveryId, Event, ItemEvent, ItemId, ItemKey, ItemNumber, Labels,
    RunDetail, RunEntry, Topic, WorkflowName,
};
use warden::store::record::{self, RecordError};

use super::fixture;
use super::sample::{at, delivery};

const FIXTURE: &str = "events-format-1.txt";

fn key() -> ItemKey {
    ItemKey { workflow: WorkflowName::new("nightly").unwrap(), id: ItemId::new("monday").unwrap() }
}

fn run() -> RunEntry {
    RunEntry {
        number: 42,
        item: key().id,
        item_number: ItemNumber(7),
        status: RunStatus::Failed,
        held: None,
        created_at: at(0),
        started_at: Some(at(10)),
        ended_at: Some(at(90_000)),
        error: Some(RunError {
            id: "err_1".into(),
            kind: "Data Error".into(),
            message: "a row is odd".into(),
        }),
        params: None,
        backfill: None,
        lineage: Some(Lineage { sources: vec!["crm".into()], ..Lineage::default() }),
        counts: [("read".into(), -9)].into(),
    }
}

fn of_run() -> ItemEvent {
    ItemEvent {
        number: 99,
        event: Event::RunFailed,
        at: at(90_000),
        item: ItemNumber(7),
        key: key(),
        created_at: at(0),
        deadline: ClockTime::on_wall(at(100_000)),
        labels: Labels::new([("region".to_owned(), "eu".to_owned())].into()),
        outcome: None,
        run: Some(Box::new(run())),
        window: Some(Window { from: Some(at(-1)), to: at(0) }),
    }
}

/// As small as an event can be.
fn of_item() -> ItemEvent {
    ItemEvent {
        event: Event::ItemClosed,
        deadline: at(5).into(),
        labels: Labels::default(),
        outcome: Some(CloseOutcome::Success),
        run: None,
        window: None,
        ..of_run()
    }
}

fn told() -> Delivery {
    Delivery {
        id: DeliveryId("dlv_1".into()),
        topic: Topic::Item(ItemNumber(u64::MAX)),
        item: Some(key()),
        event: Event::ItemClosed,
        after: None,
        sequence: 99,
        ..delivery("none", "1")
    }
}

fn detail() -> ItemDetail {
    let run = RunDetail { told_overdue: Some(ClockTime::on_wall(at(5))), ..RunDetail::default() };
    ItemDetail { run: Some(Box::new(run)), ..ItemDetail::default() }
}

fn documents() -> [(&'static str, Vec<u8>); 4] {
    [
        ("of-run", record::encode_document(&of_run())),
        ("of-item", record::encode_document(&of_item())),
        ("delivery", record::encode_delivery(&told())),
        ("detail", record::encode_document(&detail())),
    ]
}

fn written() -> String {
    fixture::written(documents())
}

#[test]
fn sealed_events_are_read_as_what_was_written() {
    let sealed = fixture::sealed(FIXTURE);
    assert_eq!(record::decode_document(&sealed["of-run"]), Ok(of_run()));
    assert_eq!(record::decode_document(&sealed["of-item"]), Ok(of_item()));
    assert_eq!(record::decode_delivery(&sealed["delivery"]), Ok(told()));
    assert_eq!(record::decode_document(&sealed["detail"]), Ok(detail()));
}

#[test]
fn events_are_written_as_they_are_sealed() {
    assert_eq!(written(), fixture::text(FIXTURE), "a changed form needs a fixture of its own");
}

#[test]
fn an_earlier_version_reads_deliveries_of_incidents_and_says_that_those_of_items_are_newer() {
    let of_incident = delivery("1", "1");
    let bytes = record::encode_delivery(&of_incident);
    assert_eq!(bytes, record::encode_document(&of_incident));
    assert_eq!(record::decode_delivery(&bytes), Ok(of_incident));
    // What a version does that knows no others.
    let refused = record::decode_document::<Delivery>(&record::encode_delivery(&told()));
    assert_eq!(refused, Err(RecordError::Format(2)));
    let json = serde_json::to_value(told()).unwrap();
    assert_eq!((&json["item_number"], json.get("incident")), (&json!(u64::MAX), None));
}

#[test]
#[ignore = "writes a new fixture; to be run by hand when a form changes"]
fn seal_events() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("events-format.txt");
    std::fs::write(&target, written()).unwrap();
    println!("sealed in {}", target.display());
}
