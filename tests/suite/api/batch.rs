//! Batches: many creates and closes in one request.

use reqwest::Method;
use serde_json::{Value, json};

use super::item;
use crate::support::{Answer, TestDaemon};

async fn batch(daemon: &TestDaemon, body: impl Into<reqwest::Body>) -> Answer {
    daemon.send(Method::POST, "/v1/batch", body).await
}

fn create(id: &str, payload: &Value) -> String {
    json!({"op": "create", "workflow": "uploads", "id": id, "payload": payload}).to_string()
}

fn statuses(answers: &[Value]) -> Vec<u64> {
    answers.iter().map(|answer| answer["status"].as_u64().expect("a status")).collect()
}

#[tokio::test]
async fn every_line_is_answered_in_order() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    daemon.create("uploads", "open", "", "hello").await;
    let lines = [
        json!({"op": "create", "workflow": "uploads", "id": "a", "payload": "hello", "deadline": "15m",
            "labels": {"region": "eu"}, "step": "copy"}),
        json!({"op": "create", "workflow": "uploads", "id": "a", "payload": "hello"}),
        json!({"op": "create", "workflow": "uploads", "id": "a", "payload": "other"}),
        json!({"op": "close", "workflow": "uploads", "id": "open", "outcome": "discarded"}),
        json!({"op": "close", "workflow": "uploads", "id": "open"}),
        json!({"op": "close", "workflow": "uploads", "id": "unknown"}),
        json!({"op": "create", "workflow": "uploads", "id": "unknown", "payload": 1}),
        json!({"op": "create", "workflow": "uploads", "payload": 1}),
    ];
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let answers = batch(&daemon, body).await.lines(200);
    assert_eq!(statuses(&answers), [201, 200, 409, 204, 204, 404, 409, 201]);
    assert_eq!(
        answers[0],
        json!({"status": 201, "workflow": "uploads", "id": "a", "version": 1, "state": "open"})
    );
    assert_eq!(answers[3], json!({"status": 204, "workflow": "uploads", "id": "open"}));
    for (line, slug) in [(3, "item-conflict"), (6, "item-not-found"), (7, "item-closed")] {
        let problem = &answers[line - 1];
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        assert_eq!((&problem["line"], &problem["workflow"]), (&json!(line), &json!("uploads")));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
    assert_eq!(answers[6]["id"], "unknown");
    let shown = daemon.get(&item("a")).await;
    assert_eq!(shown["deadline"], "2026-01-01T00:15:00.000Z");
    assert_eq!((&shown["labels"], &shown["step"]), (&json!({"region": "eu"}), &json!("copy")));
    assert_eq!(daemon.get(&item("open")).await["outcome"], "discarded");
    let made = daemon.get(&item(answers[7]["id"].as_str().unwrap())).await;
    assert_eq!(made["state"], "open");
}

#[tokio::test]
async fn a_payload_is_taken_as_it_is_written() {
    let daemon = TestDaemon::start().await;
    for (number, (payload, bytes, content_type)) in [
        (r#""payload":"hello""#, &b"hello"[..], "text/plain; charset=utf-8"),
        (r#""payload":"""#, b"", "text/plain; charset=utf-8"),
        (
            r#""payload":"\u00e9\n\u0000\ud83e\udd80""#,
            "é\n\0\u{1f980}".as_bytes(),
            "text/plain; charset=utf-8",
        ),
        (r#""payload":{ "b" : 1.0e+2, "a":[ ] }"#, br#"{ "b" : 1.0e+2, "a":[ ] }"#, "application/json"),
        (r#""payload":12345678901234567890123"#, b"12345678901234567890123", "application/json"),
        (r#""payload":false"#, b"false", "application/json"),
        (r#""payload_base64":"AP8HgA==""#, &[0, 255, 7, 128], "application/octet-stream"),
        (r#""payload_base64":"""#, b"", "application/octet-stream"),
        (r#""payload":null,"payload_base64":"AA==""#, &[0], "application/octet-stream"),
        (r#""payload":"x","content_type":"text/csv""#, b"x", "text/csv"),
        (r#""payload_base64":"AA==","content_type":"image/png""#, &[0], "image/png"),
    ]
    .into_iter()
    .enumerate()
    {
        let line = format!(r#"{{"op":"create","workflow":"uploads","id":"p{number}",{payload}}}"#);
        assert_eq!(statuses(&batch(&daemon, line).await.lines(200)), [201], "{payload}");
        let answer = daemon.ask(Method::GET, &format!("{}/payload", item(&format!("p{number}")))).await;
        assert_eq!(
            (answer.body.as_slice(), answer.header("content-type")),
            (bytes, content_type),
            "{payload}"
        );
    }
}

#[tokio::test]
async fn a_broken_line_among_good_ones_fails_alone() {
    let daemon = TestDaemon::start().await;
    let with =
        |member: &str| format!(r#"{{"op":"create","workflow":"uploads","id":"bad","payload":1,{member}}}"#);
    let long_id = json!({"op": "close", "workflow": "uploads", "id": "x".repeat(257)}).to_string();
    let broken: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        br#"["create","uploads","bad",1,null,null,null,null,null,null,null]"#.to_vec(),
        b"\"create\"".to_vec(),
        b"{}{}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"{\"op\":\"create\",\"workflow\":\"uploads\",\"id\":\"bad\",\"payload\":\"\xff\"}".to_vec(),
        b"{\"op\":\"create\",\"workflow\":\"uploads\",\"id\":\"\xc3\x28\",\"payload\":1}".to_vec(),
        b"{\"op\":\"create\",\"workflow\":\"uploads\",\"id\":\"bad\",\"payload\":\"\0\"}".to_vec(),
        b"\0".to_vec(),
        br#"{"op":"create","workflow":"uploads","id":"a\u0000b","payload":1}"#.to_vec(),
        br#"{"op":"create","workflow":"uploads","id":"","payload":1}"#.to_vec(),
        br#"{"op":"create","workflow":"up loads","id":"bad","payload":1}"#.to_vec(),
        br#"{"op":"create","workflow":"uploads","id":"bad","id":"bad","payload":1}"#.to_vec(),
        br#"{"op":"create","workflow":"uploads","id":"bad","payload":"\ud800"}"#.to_vec(),
        br#"{"op":"create","workflow":"uploads","id":"bad"}"#.to_vec(),
        br#"{"op":"create","workflow":"uploads","id":"bad","payload":1,"payload_base64":"AA=="}"#.to_vec(),
        br#"{"op":"create","workflow":"uploads","id":"bad","payload_base64":"?"}"#.to_vec(),
        br#"{"op":"replace","workflow":"uploads","id":"bad","payload":1}"#.to_vec(),
        br#"{"op":"close","workflow":"uploads"}"#.to_vec(),
        br#"{"op":"close","workflow":"uploads","id":"bad","outcome":"gone"}"#.to_vec(),
        with(r#""deadline":"-1s""#).into(),
        with(r#""deadline":"99999999999y""#).into(),
        with(r#""deadline":5"#).into(),
        with(r#""labels":{"":"x"}"#).into(),
        with(r#""labels":{"a":null}"#).into(),
        with(r#""step":"a b""#).into(),
        with(r#""content_type":"a\nb""#).into(),
        with(r#""surprise":1"#).into(),
        long_id.into(),
    ];
    let mut body = Vec::new();
    for (number, line) in broken.iter().enumerate() {
        body.extend_from_slice(create(&format!("good-{number}"), &json!(number)).as_bytes());
        body.push(b'\n');
        body.extend_from_slice(line);
        body.push(b'\n');
    }
    let answers = batch(&daemon, body).await.lines(200);
    assert_eq!(answers.len(), 2 * broken.len());
    for (number, pair) in answers.chunks(2).enumerate() {
        let line = String::from_utf8_lossy(&broken[number]);
        assert_eq!(
            (&pair[0]["status"], &pair[0]["id"]),
            (&json!(201), &json!(format!("good-{number}"))),
            "{line}"
        );
        assert_eq!((&pair[1]["status"], &pair[1]["line"]), (&json!(400), &json!(2 * number + 2)), "{line}");
        assert_eq!(pair[1]["type"], "/problems/invalid-request", "{line}");
    }
    let stored = daemon.get("/v1/items?limit=1000").await;
    assert_eq!(stored["data"].as_array().unwrap().len(), broken.len());
}

#[tokio::test]
async fn lines_may_end_in_any_way_and_blank_ones_do_not_count() {
    let daemon = TestDaemon::start().await;
    for body in ["", "\n", "\r\n\n  \n"] {
        assert!(batch(&daemon, body).await.lines(200).is_empty());
    }
    let lines = ["a", "b", "c"].map(|id| create(id, &json!(1)));
    for (joined, expected) in [
        (lines.join("\n"), [201, 201, 201]),
        (lines.join("\r\n"), [200, 200, 200]),
        (format!("\n{}\n\n", lines.join("\n\n\t\n")), [200, 200, 200]),
    ] {
        assert_eq!(statuses(&batch(&daemon, joined.clone()).await.lines(200)), expected, "{joined:?}");
    }
}

#[tokio::test]
async fn a_line_of_a_payload_too_large_fails_alone() {
    let daemon = TestDaemon::builder().config("[limits]\npayload_max = \"1KiB\"").start().await;
    let body = [
        create("a", &json!("x".repeat(1024))),
        create("b", &json!("x".repeat(1025))),
        // So long that it is not kept to be read.
        create("c", &json!("x".repeat(1_000_000))),
        create("d", &json!(1)),
        create("e", &json!("x".repeat(1_000_000))),
    ];
    let answers = batch(&daemon, body.join("\n")).await.lines(200);
    assert_eq!(statuses(&answers), [201, 413, 413, 201, 413]);
    for number in [1, 2, 4] {
        assert_eq!(answers[number]["type"], "/problems/payload-too-large");
        assert_eq!(answers[number]["line"], number + 1);
    }
}

#[tokio::test]
async fn a_payload_that_fits_is_taken_however_it_is_escaped() {
    let daemon = TestDaemon::builder().config("[limits]\npayload_max = \"64KiB\"").start().await;
    let escaped = r"\u0001".repeat(64 * 1024);
    let line = format!(r#"{{"op":"create","workflow":"uploads","id":"a","payload":"{escaped}"}}"#);
    assert_eq!(statuses(&batch(&daemon, line).await.lines(200)), [201]);
    assert_eq!(daemon.get(&item("a")).await["payload"]["size"], 64 * 1024);
}

#[tokio::test]
async fn many_lines_of_every_sort_are_answered_each_in_its_place() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    let line = |number: usize| match number % 3 {
        0 => create(&format!("f{number}"), &json!("x".repeat(number % 100))),
        1 => json!({"op": "close", "workflow": "uploads", "id": format!("f{}", number - 1)}).to_string(),
        _ => format!("broken {number}"),
    };
    let body: String = (0..5000).map(|number| format!("{}\n", line(number))).collect();
    let answers = batch(&daemon, body).await.lines(200);
    assert_eq!(answers.len(), 5000);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer["status"], [201, 204, 400][number % 3], "line {number}: {answer}");
        match number % 3 {
            2 => assert_eq!(answer["line"], number + 1),
            even => assert_eq!(answer["id"], format!("f{}", number - even)),
        }
    }
}

#[tokio::test]
async fn a_batch_takes_no_parameters() {
    let daemon = TestDaemon::start().await;
    let body = create("a", &json!(1));
    let refused = daemon.send(Method::POST, "/v1/batch?deadline=1h", body).await;
    assert!(refused.refused(400, "invalid-request").contains("deadline"));
    daemon.ask(Method::GET, &item("a")).await.refused(404, "item-not-found");
}

#[tokio::test]
async fn a_line_says_how_its_payload_is_encoded() {
    let daemon = TestDaemon::start().await;
    let line = |encoding: Value| {
        json!({"op": "create", "workflow": "uploads", "id": "a", "payload_base64": "H4sIAA==",
            "content_type": "application/json", "content_encoding": encoding})
        .to_string()
    };
    for (encoding, status) in [
        (json!("gz ip"), 400),
        (json!("gzip"), 201),
        (json!("gzip"), 200),
        (json!("br"), 409),
        (json!(null), 409),
    ] {
        assert_eq!(statuses(&batch(&daemon, line(encoding)).await.lines(200)), [status]);
    }
    let payload = daemon.ask(Method::GET, &format!("{}/payload", item("a"))).await;
    assert_eq!((payload.header("content-encoding"), &payload.body[..]), ("gzip", &[0x1f, 0x8b, 8, 0][..]));
}

#[tokio::test]
async fn a_label_that_stands_twice_in_a_line_has_no_value_that_is_right() {
    let daemon = TestDaemon::start().await;
    let line = r#"{"op":"create","workflow":"uploads","id":"a","payload":"x","labels":{"a":"1","a":"2"}}"#;
    let answer = batch(&daemon, line).await.lines(200).remove(0);
    assert_eq!(answer["status"], 400);
    assert!(answer["detail"].as_str().unwrap().contains("is given twice"), "{answer}");
}
