//! Run events of OpenLineage, judged by a schema that is written from the specification.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;

/// Reads a schema and events, and says for each what is wrong with it.
const JUDGE: &str = r#"
import json, sys
import jsonschema_rs

given = json.load(sys.stdin)
judge = jsonschema_rs.validator_for(given["schema"], validate_formats=True)
print(json.dumps([[error.message for error in judge.iter_errors(event)] for event in given["events"]]))
"#;

/// What is wrong with each of these events.
fn faults(events: &[Value]) -> Vec<Vec<String>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(root.join("tests/fixtures/openlineage/run-event.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let python = root.join("target/schemathesis/bin/python");
    let mut judge = Command::new(&python)
        .args(["-c", JUDGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; tests/run installs it", python.display()));
    let given = json!({ "schema": schema, "events": events });
    std::io::Write::write_all(&mut judge.stdin.take().unwrap(), given.to_string().as_bytes()).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator failed; tests/run installs it");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lineage(receiver: &TestReceiver) -> Builder {
    let windows = "[workflows.nightly]\nsingle = \"supersede\"\n\
                   jobs = { load = { initial_from = \"2025-12-31T00:00:00Z\" } }";
    oncall(receiver).config(&format!("format = \"openlineage\"\nnamespace = \"warehouse\"\n{windows}"))
}

async fn post(daemon: &TestDaemon, path: &str, document: Value) {
    let answer = daemon.send_json(Method::POST, &format!("/v1/workflows/nightly/{path}"), document).await;
    assert!((200..300).contains(&answer.status), "{}: {}", answer.status, answer.text());
}

#[tokio::test]
async fn a_catalog_learns_of_every_run_and_of_its_end_also_of_one_that_died_without_a_word() {
    let receiver = TestReceiver::start().await;
    let daemon = lineage(&receiver).start().await;
    let lineage = json!({ "sources": ["s3://lake/orders", "crm"], "targets": ["/data/out.csv"] });
    let own = "0198c0de-0000-7000-8000-000000000001";
    post(&daemon, "runs", json!({ "id": own, "lineage": lineage, "labels": { "region": "eu" } })).await;
    post(&daemon, "runs/current/close", json!({})).await;
    post(&daemon, "runs", json!({ "id": "failed", "lineage": lineage })).await;
    let error = json!({ "type": "Timeout", "message": "no answer \u{1F642} \"" });
    post(&daemon, "runs/current/fail", json!({ "error": error })).await;
    post(&daemon, "runs", json!({ "id": "aborted" })).await;
    post(&daemon, "runs", json!({ "id": "died", "deadline": "10m" })).await;
    let mut events: Vec<Value> = Vec::new();
    for _ in 0..7 {
        events.push(receiver.next().await.json());
    }
    daemon.advance(10 * MINUTE);
    events.push(receiver.next().await.json());
    // It was only slow.
    post(&daemon, "runs/current/close", json!({})).await;
    events.push(receiver.next().await.json());
    assert_eq!(faults(&events), vec![Vec::<String>::new(); events.len()], "{events:#?}");

    let of_run = |id: &str| -> Vec<String> {
        let of_run = events.iter().filter(|event| event["run"]["runId"] == id);
        of_run.map(|event| event["eventType"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of_run(own), ["START", "COMPLETE"]);
    let mut ids: Vec<&str> = events.iter().map(|event| event["run"]["runId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut courses: Vec<Vec<String>> = ids.into_iter().map(of_run).collect();
    courses.sort();
    let expected: [&[&str]; 4] =
        [&["START", "ABORT"], &["START", "COMPLETE"], &["START", "FAIL"], &["START", "FAIL", "COMPLETE"]];
    assert_eq!(courses, expected);

    let first = &events[0];
    assert_eq!(first["job"]["name"], "nightly");
    assert_eq!(first["inputs"].as_array().unwrap().len(), 2);
    assert_eq!(first["outputs"], json!([{ "namespace": "file", "name": "/data/out.csv" }]));
    let nominal = &first["run"]["facets"]["nominalTime"];
    assert_eq!(nominal["nominalStartTime"], "2025-12-31T00:00:00.000Z");
    assert_eq!(nominal["nominalEndTime"], "2026-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn a_test_of_the_receiver_is_an_event_that_begins_and_ends_nothing() {
    let receiver = TestReceiver::start().await;
    let daemon = lineage(&receiver).start().await;
    daemon.ask(Method::POST, "/v1/receivers/oncall/test").await.json(200);
    let event = receiver.next().await.json();
    assert_eq!(event["eventType"], "OTHER");
    assert_eq!(faults(std::slice::from_ref(&event)), [Vec::<String>::new()], "{event}");
}

#[tokio::test]
async fn the_schema_refuses_what_the_specification_does() {
    let receiver = TestReceiver::start().await;
    let daemon = lineage(&receiver).start().await;
    post(&daemon, "runs", json!({ "id": "a" })).await;
    let event = receiver.next().await.json();
    let without = |member: &str| {
        let mut event = event.clone();
        event.as_object_mut().unwrap().remove(member);
        event
    };
    let with = |pointer: &str, value: Value| {
        let mut event = event.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let wrong = [
        without("run"),
        without("producer"),
        with("/eventType", json!("BEGIN")),
        with("/eventTime", json!("yesterday")),
        with("/run/runId", json!("nightly-1")),
        with("/job/name", Value::Null),
        with("/job/facets/jobType", json!({ "integration": "x" })),
    ];
    for (event, faults) in wrong.iter().zip(faults(&wrong)) {
        assert!(!faults.is_empty(), "{event}");
    }
}
