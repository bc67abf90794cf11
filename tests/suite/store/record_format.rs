//! Stored formats: the fixtures in `tests/fixtures` stay readable.
//!
//! When a format changes, `cargo test --test suite seal -- --ignored` writes fixtures of the new one into
//! cargo's directory for temporary files; add them to the old ones, which stay.

mod samples;

use crate::store::documents::ReadDocuments as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::test_runner::TestRunner;
use serde::Serialize;
use warden::model::item::{Closing, ItemDetail};
use warden::model::{ClockTime, Delivery, Incident, Item, ItemNumber, Progress, Silence, Workflow};
use warden::store::record::{self, RecordError};
use warden::store::{Command, Creation, Reads as _, Writes as _};

use self::samples::{course_detail, course_items, detail, encoded_items, first_detail, leased_items};
pub use self::samples::{items, traced_items};
use super::engine::open;
use super::fixture::{self, sealed};
use super::sample::{
    IntoCommand, anchor, at, close, closing, create, created, creation, delivery, error, everything,
    incident, incident_id, key, labels, noted_workflow, payload, progress, report, silence, step,
};

/// An incident as it was before its reopenings were counted, and what became of its items.
fn third_incident() -> Incident {
    Incident {
        reopenings: Vec::new(),
        ending_since: None,
        outcomes: None,
        counted_at: None,
        continued_in: None,
        ..incident("1")
    }
}

/// A delivery as it was before some waited for another incident.
fn third_delivery() -> Delivery {
    Delivery { after: None, ..delivery("1", "1") }
}

/// An incident as it was before incidents had groups, and people acted on them.
fn first_incident() -> Incident {
    let mut incident = third_incident();
    incident.key.group.clear();
    Incident {
        reopened_at: None,
        escalations: 0,
        muted: false,
        notifications: 0,
        acknowledged: false,
        snoozed_until: None,
        actions: Vec::new(),
        ..incident
    }
}

/// A delivery as it was before notifications were numbered, and answers were kept.
fn first_delivery() -> Delivery {
    let mut delivery = third_delivery();
    delivery.sequence = 0;
    delivery.attempts[0].answer = None;
    delivery
}

fn lines(records: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> String {
    fixture::written(records)
}

/// The binary records as they are written today: a name and the bytes in each line.
fn records() -> String {
    let items = items().into_iter().chain(leased_items()).chain(encoded_items());
    lines(items.map(|(name, item)| (name, record::encode_item(&item))))
}

/// The binary records of items that are on a course of several steps.
fn course_records() -> String {
    lines(course_items().map(|(name, item)| (name, record::encode_item(&item))))
}

/// The binary records of items that belong to a trace.
fn traced_records() -> String {
    lines(traced_items().map(|(name, item)| (name, record::encode_item(&item))))
}

/// The documents as they are written today.
fn documents() -> String {
    lines([
        ("detail", record::encode_document(&detail())),
        ("incident", record::encode_document(&incident("1"))),
        ("delivery", record::encode_document(&delivery("1", "1"))),
        ("workflow", record::encode_document(&noted_workflow("uploads"))),
        ("progress", record::encode_document(&progress(3))),
        ("clock", record::encode_document(&anchor(-90_000))),
        ("silence-on-wall", record::encode_document(&silence_on_wall())),
        ("course-detail", record::encode_document(&course_detail())),
    ])
}

fn silence_on_wall() -> Silence {
    Silence { starts_at: ClockTime::on_wall(at(0)), ends_at: ClockTime::on_wall(at(90_000)), ..silence("1") }
}

fn sealed_records() -> BTreeMap<String, Vec<u8>> {
    sealed("records-format-1.txt")
}

fn sealed_records_2() -> BTreeMap<String, Vec<u8>> {
    sealed("records-format-2.txt")
}

fn sealed_records_3() -> BTreeMap<String, Vec<u8>> {
    sealed("records-format-3.txt")
}

fn sealed_records_4() -> BTreeMap<String, Vec<u8>> {
    sealed("records-format-4.txt")
}

fn sealed_records_5() -> BTreeMap<String, Vec<u8>> {
    sealed("records-format-5.txt")
}

#[test]
fn sealed_records_of_format_1_are_read_as_what_was_written() {
    let sealed = sealed_records();
    for (name, item) in items() {
        assert_eq!(record::decode_item(item.number, &sealed[name]), Ok(item), "{name}");
    }
    assert_eq!(record::decode_document(&sealed["detail"]), Ok(first_detail()));
    assert_eq!(record::decode_document(&sealed["incident"]), Ok(first_incident()));
    assert_eq!(record::decode_document(&sealed["delivery"]), Ok(first_delivery()));
    assert_eq!(record::decode_document(&sealed["workflow"]), Ok(noted_workflow("uploads")));
}

#[test]
fn sealed_records_of_format_2_are_read_as_what_was_written() {
    let sealed = sealed_records_2();
    for (name, item) in items().into_iter().chain(leased_items()) {
        assert_eq!(record::decode_item(item.number, &sealed[name]), Ok(item), "{name}");
    }
}

#[test]
fn sealed_records_of_format_3_are_read_as_what_was_written() {
    let sealed = sealed_records_3();
    for (name, item) in items().into_iter().chain(leased_items()).chain(encoded_items()) {
        assert_eq!(record::decode_item(item.number, &sealed[name]), Ok(item), "{name}");
    }
}

#[test]
fn sealed_records_of_format_4_are_read_as_what_was_written() {
    let sealed = sealed_records_4();
    for (name, item) in course_items() {
        assert_eq!(record::decode_item(item.number, &sealed[name]), Ok(item), "{name}");
    }
    let sealed = self::sealed("documents-5.txt");
    assert_eq!(record::decode_document(&sealed["course-detail"]), Ok(course_detail()));
}

#[test]
fn sealed_records_of_format_5_are_read_as_what_was_written() {
    let sealed = sealed_records_5();
    for (name, item) in traced_items() {
        assert_eq!(record::decode_item(item.number, &sealed[name]), Ok(item), "{name}");
    }
}

#[test]
fn sealed_documents_with_fewer_fields_are_read_as_what_was_written() {
    for (fixture, detail) in [("documents-2.txt", first_detail()), ("documents-3.txt", detail())] {
        let sealed = sealed(fixture);
        assert_eq!(record::decode_document(&sealed["detail"]), Ok(detail));
        assert_eq!(record::decode_document(&sealed["incident"]), Ok(third_incident()));
        assert_eq!(record::decode_document(&sealed["delivery"]), Ok(third_delivery()));
    }
}

#[test]
fn sealed_documents_of_the_clocks_are_read_as_what_was_written() {
    let sealed = sealed("documents-4.txt");
    assert_eq!(record::decode_document(&sealed["clock"]), Ok(anchor(-90_000)));
    assert_eq!(record::decode_document(&sealed["silence-on-wall"]), Ok(silence_on_wall()));
}

#[test]
fn what_is_written_today_is_format_3_or_with_a_course_4_or_with_a_trace_5() {
    let sealed = fixture::text("records-format-3.txt");
    assert_eq!(sealed, records(), "a changed format needs a number and a fixture of its own");
    let sealed = fixture::text("records-format-4.txt");
    assert_eq!(sealed, course_records(), "a changed format needs a number and a fixture of its own");
    let sealed = fixture::text("records-format-5.txt");
    assert_eq!(sealed, traced_records(), "a changed format needs a number and a fixture of its own");
    let sealed = fixture::text("documents-5.txt");
    assert_eq!(documents(), sealed, "documents with new fields need a fixture of their own");
}

#[test]
fn a_record_of_an_unknown_format_is_refused_by_its_number() {
    for found in [0, 7, 255] {
        let refused = Err(RecordError::Format(found));
        let mut bytes = sealed_records().remove("plain").unwrap();
        bytes[0] = found;
        assert_eq!(record::decode_item(ItemNumber(1), &bytes), refused);
        let mut bytes = sealed_records().remove("incident").unwrap();
        bytes[0] = found;
        assert_eq!(record::decode_document::<Incident>(&bytes).map(|_| ()), refused.map(|_: Item| ()));
    }
    let message = RecordError::Format(2).to_string();
    assert!(message.contains("format 2") && message.contains("newer"), "{message}");
}

#[test]
fn a_record_cut_short_is_refused() {
    for (name, bytes) in sealed_records()
        .into_iter()
        .chain(sealed_records_2())
        .chain(sealed_records_3())
        .chain(sealed_records_4())
        .chain(sealed_records_5())
    {
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            let is_item = items()
                .iter()
                .chain(&leased_items())
                .chain(&encoded_items())
                .chain(&course_items())
                .chain(&traced_items())
                .any(|(item, _)| *item == name);
            let refused = if is_item {
                record::decode_item(ItemNumber(1), cut).is_err()
            } else {
                record::decode_document::<serde_json::Value>(cut).is_err()
            };
            assert!(refused, "{name} cut to {length} bytes");
        }
    }
}

/// Reads the bytes as everything; whether that succeeds does not matter, only that it ends.
fn read_as_everything(bytes: &[u8]) {
    fn written_again<T: Serialize>(value: &Result<T, RecordError>) {
        if let Ok(value) = value {
            record::encode_document(value);
        }
    }
    if let Ok(item) = record::decode_item(ItemNumber(1), bytes) {
        record::encode_item(&item);
    }
    written_again(&record::decode_document::<ItemDetail>(bytes));
    written_again(&record::decode_document::<Incident>(bytes));
    written_again(&record::decode_document::<Delivery>(bytes));
    written_again(&record::decode_document::<Workflow>(bytes));
    written_again(&record::decode_document::<Progress>(bytes));
}

fn quietly() -> TestRunner {
    TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })
}

#[test]
fn random_bytes_are_read_without_a_panic() {
    quietly()
        .run(&vec(any::<u8>(), 0..400), |mut bytes| {
            read_as_everything(&bytes);
            bytes.insert(0, 1);
            read_as_everything(&bytes);
            for format in [2, 3, 4] {
                bytes[0] = format;
                read_as_everything(&bytes);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn records_with_a_changed_byte_are_read_without_a_panic() {
    let sealed: Vec<Vec<u8>> =
        [sealed_records(), sealed_records_2(), sealed_records_3(), sealed_records_4(), sealed_records_5()]
            .into_iter()
            .flat_map(BTreeMap::into_values)
            .collect();
    quietly()
        .run(&(any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), any::<u8>()), |choice| {
            let mut bytes = choice.0.get(&sealed).clone();
            let place = choice.1.index(bytes.len());
            bytes[place] = choice.2;
            read_as_everything(&bytes);
            Ok(())
        })
        .unwrap();
}

/// The data directory in the fixture was filled with these.
fn story() -> Vec<Command> {
    let full = Creation {
        labels: labels(&[("region", "eu")]),
        step: Some(step("copy")),
        idempotency_key: Some([9; 32]),
        ..creation("full", payload(10_000))
    };
    let kept = Closing { keep_payload: Duration::from_secs(60), ..closing(at(10)) };
    vec![
        create("empty", ""),
        full.into_command(),
        report("full", error("1", at(5))),
        create("closed", "x"),
        close("closed", at(10)),
        Creation { created_at: at(7), workflows_max: Some(1), ..creation("kept", "kept") }.into_command(),
        Command::Close { key: key("kept"), closing: kept },
        close("nobody", at(10)),
        Command::put_incident(incident("1"), vec![delivery("1", "1")]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_data_directory_of_format_2_opens_with_all_that_was_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let archive = fixture::path("data-format-2.tar.gz");
    let unpacked = Process::new("tar")
        .args(["--no-same-owner", "-xzf"])
        .arg(archive)
        .arg("-C")
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(unpacked.success());
    let store = open(directory.path()).unwrap();

    let listed = store.list(everything(10)).await.unwrap().data;
    let ids: Vec<&str> = listed.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["empty", "full", "closed", "kept"]);
    let [empty, full, closed, kept] = listed.try_into().unwrap();
    assert_eq!(store.payload(empty.number, 0, 10).await.unwrap().unwrap(), "");
    assert_eq!((full.labels.len(), full.step.clone(), full.version), (1, Some(step("copy")), 2));
    assert_eq!(full.detail().errors[0].message, "the backup service did not answer");
    assert!(store.payload(full.number, 0, 20_000).await.unwrap().unwrap() == payload(10_000));
    assert_eq!(closed.closed.unwrap().record_until, at(1010));
    assert_eq!(store.payload(closed.number, 0, 10).await.unwrap(), None);
    assert_eq!(store.payload(kept.number, 0, 10).await.unwrap().unwrap(), "kept");
    let tombstone = store.get(key("nobody")).await.unwrap().unwrap();
    assert_eq!((tombstone.payload, tombstone.closed.unwrap().at), (None, at(10)));
    assert_eq!(store.workflows().await.unwrap(), [noted_workflow("uploads")]);
    assert_eq!(store.incident(incident_id("1")).await.unwrap(), Some(incident("1")));
    assert_eq!(store.outbox().await.unwrap(), [delivery("1", "1")]);

    // And it can be worked with.
    let repeated = Creation { idempotency_key: Some([9; 32]), ..creation("another", payload(10_000)) };
    let outcomes = store.apply(vec![repeated.into_command(), create("new", "x")]).await.unwrap();
    let [exists, new] = outcomes.try_into().unwrap();
    assert!(matches!(exists, warden::store::Outcome::Exists(item) if item.number == full.number));
    assert!(created(new).number > tombstone.number);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes new fixtures; to be run by hand when a format changes"]
async fn seal_the_formats_of_today() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(target.join("records-format.txt"), records()).unwrap();
    std::fs::write(target.join("course-records-format.txt"), course_records()).unwrap();
    std::fs::write(target.join("traced-records-format.txt"), traced_records()).unwrap();
    std::fs::write(target.join("documents.txt"), documents()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    store.apply(story()).await.unwrap();
    drop(store);
    let archive = target.join("data-format.tar.gz");
    let arguments = ["--sort=name", "--owner=0", "--group=0", "--exclude=LOCK", "--exclude=ballast", "-czf"];
    let mut tar = Process::new("tar");
    tar.args(arguments).arg(&archive).arg("-C").arg(directory.path()).arg(".");
    assert!(tar.status().unwrap().success());
    println!("sealed in {}", target.display());
}
