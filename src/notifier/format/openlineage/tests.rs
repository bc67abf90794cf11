use serde_json::Value;

use super::*;
use crate::model::run::{Lineage, RunError, RunStatus, Window};
use crate::model::{DeliveryId, ItemSubject, Labels, Notification, Timestamp};
use crate::notifier::Format;
use crate::notifier::format::FormatError;
use crate::notifier::format::fixture;

const STARTED_AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const ENDED_AT: Timestamp = Timestamp::from_millis(1_767_229_200_000);

fn notification(event: Event) -> ItemNotification {
    let url = "https://warden.example.com/v1/workflows/nightly/items/2026-01-01".to_owned();
    Notification {
        event,
        timestamp: ENDED_AT,
        data: ItemSubject {
            id: "2026-01-01".into(),
            workflow: "nightly".into(),
            created_at: STARTED_AT,
            deadline: ENDED_AT,
            labels: Labels::default(),
            outcome: None,
            run: Some(Box::new(RunSubject {
                number: 12,
                status: RunStatus::Open,
                started_at: Some(STARTED_AT),
                ended_at: None,
                window: None,
                lineage: Some(Lineage {
                    sources: vec!["crm.orders".to_owned(), "s3://lake/raw/orders".to_owned()],
                    targets: vec!["postgres://db:5432/dwh.public.orders".to_owned()],
                    ..Lineage::default()
                }),
                counts: [].into(),
                error: None,
            })),
            summary: "run 12 of nightly is overdue".to_owned(),
            truncated: false,
            payload_url: format!("{url}/payload"),
            url,
        },
    }
}

fn document(notification: &ItemNotification) -> Value {
    let stored = serde_json::to_string(notification).unwrap();
    let format = Format::OpenLineage { namespace: "warehouse".into() };
    let rendered = format.render(&stored, &DeliveryId("dlv_1".into()), ENDED_AT).unwrap();
    assert_eq!(rendered.headers["content-type"], "application/json");
    serde_json::from_slice(&rendered.body).unwrap()
}

#[test]
fn a_run_has_a_start_and_an_end_with_one_id_and_the_same_datasets() {
    let events = [
        (Event::RunStarted, "START"),
        (Event::RunCompleted, "COMPLETE"),
        (Event::RunFailed, "FAIL"),
        (Event::RunAborted, "ABORT"),
        (Event::RunOverdue, "FAIL"),
    ];
    let first = document(&notification(Event::RunStarted));
    for (event, word) in events {
        let document = document(&notification(event));
        assert_eq!(document["eventType"], word);
        assert_eq!(document["eventTime"], "2026-01-01T01:00:00.000Z");
        assert_eq!(document["run"]["runId"], first["run"]["runId"]);
        assert_eq!(document["job"]["namespace"], "warehouse");
        assert_eq!(document["job"]["name"], "nightly");
        assert_eq!(document["producer"], "https://warden.example.com");
        assert_eq!(
            document["inputs"],
            json!([
                { "namespace": "warehouse", "name": "crm.orders" },
                { "namespace": "s3://lake", "name": "raw/orders" },
            ])
        );
        let targets = json!([{ "namespace": "postgres://db:5432", "name": "dwh.public.orders" }]);
        assert_eq!(document["outputs"], targets);
    }
}

#[test]
fn an_id_that_is_a_uuid_is_that_of_the_run_and_others_make_one_for_each_run() {
    let own = "0198c0de-0000-7000-8000-000000000001";
    assert_eq!(run_id("nightly", 1, own).to_string(), own);
    let mut seen = std::collections::HashSet::new();
    for (workflow, number, id) in [
        ("nightly", 1, "a"),
        ("nightly", 2, "a"),
        ("nightly", 1, "b"),
        ("hourly", 1, "a"),
        ("nightly", 1, "0198C0DE-0000-7000-8000-000000000001"),
        ("nightly", 1, "0198c0de000070008000000000000001"),
    ] {
        let made = run_id(workflow, number, id);
        assert_eq!(made, run_id(workflow, number, id));
        assert_ne!(made.to_string(), own);
        assert!(seen.insert(made), "{workflow} {number} {id}");
    }
}

#[test]
fn what_is_known_of_a_run_is_in_its_facets() {
    let mut failed = notification(Event::RunFailed);
    failed.data.labels = Labels::new([("region".to_owned(), "eu".to_owned())].into());
    let run = failed.data.run.as_mut().unwrap();
    run.window = Some(Window { from: Some(STARTED_AT), to: ENDED_AT });
    run.error = Some(RunError { id: "err_1".into(), kind: "Timeout".into(), message: "no answer".into() });
    let facets = document(&failed)["run"]["facets"].clone();
    assert_eq!(facets["nominalTime"]["nominalStartTime"], "2026-01-01T00:00:00.000Z");
    assert_eq!(facets["nominalTime"]["nominalEndTime"], "2026-01-01T01:00:00.000Z");
    assert_eq!(facets["errorMessage"]["message"], "no answer");
    assert_eq!(
        facets["tags"]["tags"],
        json!([{ "key": "region", "value": "eu", "source": "PROCESS_WARDEN" }])
    );
    for facet in facets.as_object().unwrap().values() {
        assert_eq!(facet["_producer"], "https://warden.example.com");
        assert!(facet["_schemaURL"].as_str().unwrap().starts_with("https://openlineage.io/spec/facets/"));
    }
    let mut unbounded = notification(Event::RunCompleted);
    unbounded.data.run.as_mut().unwrap().window = Some(Window { from: None, to: ENDED_AT });
    assert_eq!(document(&unbounded)["run"]["facets"], json!({}), "a nominal time needs a beginning");
    let overdue = document(&notification(Event::RunOverdue));
    assert_eq!(overdue["run"]["facets"]["errorMessage"]["message"], "run 12 of nightly is overdue");
}

#[test]
fn datasets_are_named_as_the_specification_names_them() {
    for (text, namespace, name) in [
        ("crm", "warehouse", "crm"),
        ("s3://bucket/a/b", "s3://bucket", "a/b"),
        ("gs://bucket", "gs://bucket", "/"),
        ("kafka://broker:9092/orders", "kafka://broker:9092", "orders"),
        ("/data/in.csv", "file", "/data/in.csv"),
        ("file:///data/in.csv", "file", "/data/in.csv"),
        ("file://host/data/in.csv", "file://host", "/data/in.csv"),
        ("://x", "warehouse", "://x"),
        ("s3://", "warehouse", "s3://"),
        ("odd scheme://host/a", "warehouse", "odd scheme://host/a"),
        ("s3://bücket/a", "warehouse", "s3://bücket/a"),
        ("", "warehouse", ""),
    ] {
        let (of, found) = dataset(text, "warehouse");
        assert_eq!((&*of, &*found), (namespace, name), "{text}");
    }
}

#[test]
fn an_incident_is_nothing_for_a_catalog() {
    let stored = serde_json::to_string(&fixture::opened()).unwrap();
    let format = Format::OpenLineage { namespace: "warehouse".into() };
    let refused = format.render(&stored, &DeliveryId("dlv_1".into()), ENDED_AT);
    assert!(matches!(refused, Err(FormatError::Unsuitable(..))), "{refused:?}");
    assert_eq!(refused.unwrap_err().to_string(), "the format openlineage does not take incident.opened");
}
