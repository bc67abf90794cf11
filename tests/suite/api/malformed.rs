//! Paths and queries that no proper client sends, over a bare socket.

use reqwest::Method;
use serde_json::json;

use crate::support::{TestDaemon, Wire};

async fn put(daemon: &TestDaemon, target: &[u8]) -> crate::support::Answer {
    Wire::open(daemon).await.exchange(Method::PUT, target, "content-length: 2\r\n", b"hi").await
}

#[tokio::test]
async fn a_path_that_cannot_be_read_is_refused() {
    let daemon = TestDaemon::start().await;
    let mut cases: Vec<Vec<u8>> = [
        "%FF",
        "%C3%28",
        "%ED%A0%80",
        "a%FFb",
        "%",
        "a%",
        "%2",
        "a%zz",
        "%%41",
        "%+1",
        "%u0041",
        "%00",
        "a%00b",
        "%0A",
        "a%0D%0Ax-evil:%201",
        "%7F",
        "%C2%80",
        "..",
        "%2E",
    ]
    .iter()
    .map(|id| super::item(id).into_bytes())
    .collect();
    cases.push(super::item(&"x".repeat(257)).into_bytes());
    cases.push(super::item(&"%C3%A4".repeat(129)).into_bytes());
    for workflow in [
        "",
        "%2E%2E",
        ".hidden",
        "a%2Fb",
        "a%00",
        "%FF",
        "a b".replace(' ', "%20").as_str(),
        &"w".repeat(129),
    ] {
        cases.push(format!("/v1/workflows/{workflow}/items/file-1").into_bytes());
    }
    for target in cases {
        let answer = put(&daemon, &target).await;
        let place = String::from_utf8_lossy(&target).into_owned();
        assert_eq!(answer.status, 400, "{place}");
        answer.refused(400, "invalid-request");
    }
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
    assert_eq!(daemon.get("/v1/workflows").await["data"], json!([]));
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_not_found() {
    let daemon = TestDaemon::start().await;
    for target in [
        "/v1/workflows/../x",
        "/v1/workflows/../../etc/passwd",
        "/../etc/passwd",
        "/v1/workflows/uploads/items/../../../x",
        "/v1/workflows/uploads/items/a/b",
        "/v1/workflows/uploads/items/file-1/",
        "/v1/workflows/uploads/items/",
        "//v1/workflows/uploads/items/file-1",
        "/V1/workflows/uploads/items/file-1",
        "/v1%2Fworkflows%2Fuploads%2Fitems%2Ffile-1",
        "/",
    ] {
        let answer = put(&daemon, target.as_bytes()).await;
        assert_eq!(answer.status, 404, "{target}");
        answer.refused(404, "not-found");
    }
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
}

#[tokio::test]
async fn a_path_trick_in_an_id_is_an_id() {
    let daemon = TestDaemon::builder().on_sled().start().await;
    for (id, plain) in [
        ("..%2F..%2Fetc%2Fpasswd", "../../etc/passwd"),
        ("%2Fetc%2Fpasswd", "/etc/passwd"),
        ("..%5C..%5Cwindows", "..\\..\\windows"),
        ("...", "..."),
        ("%2e%2E%2f", "../"),
        ("%252e%252e", "%2e%2e"),
        ("C:%2F", "C:/"),
        ("a%3Fb%23c", "a?b#c"),
    ] {
        let path = super::item(id).into_bytes();
        assert_eq!(put(&daemon, &path).await.json(201)["id"], plain);
        let mut wire = Wire::open(&daemon).await;
        assert_eq!(wire.exchange(Method::GET, &path, "", b"").await.json(200)["id"], plain);
        let payload = [&path, &b"/payload"[..]].concat();
        assert_eq!(wire.exchange(Method::GET, &payload, "", b"").await.text(), "hi");
        assert_eq!(wire.exchange(Method::DELETE, &path, "", b"").await.status, 204);
    }
    let data = daemon.data().expect("it is on disk");
    let around: Vec<_> =
        std::fs::read_dir(data.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(around, ["data"], "nothing is written beside the data directory");
}

#[tokio::test]
async fn bytes_that_are_no_ascii_are_read_as_utf_8_or_refused() {
    let daemon = TestDaemon::start().await;
    let path = super::item("fähre").into_bytes();
    let answer = put(&daemon, &path).await;
    match answer.status {
        201 => assert_eq!(answer.json(201)["id"], "fähre"),
        status => assert_eq!(status, 400),
    }
    let mut wire = Wire::open(&daemon).await;
    wire.send(b"GET /v1/workflows/uploads/items/\xff\xfe HTTP/1.1\r\nhost: warden\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 400);
    for line in ["GET /v1/items/a b HTTP/1.1", "GET  HTTP/1.1", "GET /v1/items\0 HTTP/1.1", "\0\0\0\0", "GET"]
    {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("{line}\r\nhost: warden\r\n\r\n")).await;
        let said = wire.closed().await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{line}: {said}");
    }
}

#[tokio::test]
async fn a_target_of_another_form_does_no_harm() {
    let daemon = TestDaemon::start().await;
    let absolute = Wire::open(&daemon).await.exchange(Method::GET, b"http://warden/healthz", "", b"").await;
    assert_eq!(absolute.status, 200);
    for (method, target) in
        [("OPTIONS", "*"), ("CONNECT", "example.com:443"), ("TRACE", "/v1/items"), ("PURGE", "/v1/items")]
    {
        let mut wire = Wire::open(&daemon).await;
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let status = wire.exchange(method.clone(), target.as_bytes(), "", b"").await.status;
        let expected: &[u16] = if method == Method::CONNECT { &[501] } else { &[400, 404, 405] };
        assert!(expected.contains(&status), "{method} {target}: {status}");
    }
    assert_eq!(daemon.ask(Method::GET, "/healthz").await.status, 200);
}

#[tokio::test]
async fn an_absurd_deadline_is_refused() {
    let daemon = TestDaemon::start().await;
    for deadline in [
        "",
        "%20",
        "99999999999y",
        "-1s",
        "10years%201s",
        "15",
        "P1D",
        "NaN",
        "1h%3Bdrop",
        "%00",
        "1ns",
        "9999-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "99999999999999999999999999s",
        "%EF%BC%92h",
        "15m&deadline=16m",
        "18446744073709551615s",
    ] {
        let answer = put(&daemon, format!("{}?deadline={deadline}", super::item("file-1")).as_bytes()).await;
        assert_eq!(answer.status, 400, "{deadline}");
        assert!(answer.refused(400, "invalid-request").contains("deadline"), "{deadline}");
    }
    let plus =
        put(&daemon, format!("{}?deadline=2026-01-01T00:00:00+01:00", super::item("file-1")).as_bytes())
            .await;
    assert!(plus.refused(400, "invalid-request").contains("%2B"), "it says what + means in a query");
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
    assert_eq!(put(&daemon, format!("{}?deadline=10y", super::item("file-1")).as_bytes()).await.status, 201);
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused() {
    let daemon = TestDaemon::start().await;
    let long = "x".repeat(256);
    let many: String = (0..33).map(|number| format!("&label=l{number}:x")).collect();
    let large: String = (0..9).map(|number| format!("&label=l{number}:{}", "x".repeat(250))).collect();
    for query in [
        "deadline=%zz",
        "deadline=15m%",
        "step=%FF",
        "%FF=x",
        "label=region",
        "label=",
        "label=:x",
        "label=a%00:x",
        "label=a:%00",
        "label=a:b&label=a:c",
        "label=%C3%A4:x",
        &format!("label=a:{long}"),
        &format!("label={long}:a"),
        &many[1..],
        &large[1..],
        "step=",
        "step=a%20b",
        "step=a&step=b",
        "step=..%2F",
        "colour=red",
        "Deadline=15m",
        "=",
        "deadline=15m&x",
    ] {
        let answer = put(&daemon, format!("{}?{query}", super::item("file-1")).as_bytes()).await;
        assert_eq!(answer.status, 400, "{query}");
        answer.refused(400, "invalid-request");
    }
    assert_eq!(daemon.get("/v1/items").await["data"], json!([]));
}

#[tokio::test]
async fn unknown_parameters_are_refused_everywhere() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "hello").await;
    let incident = daemon.open_incidents(1).await[0]["id"].as_str().unwrap().to_owned();
    let path = super::item("file-1");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/payload")),
        (Method::PATCH, path.clone()),
        (Method::POST, format!("{path}/errors")),
        (Method::POST, "/v1/workflows/uploads/items".into()),
        (Method::DELETE, path.clone()),
        (Method::POST, "/v1/batch".into()),
        (Method::GET, "/v1/items".into()),
        (Method::GET, "/v1/export".into()),
        (Method::GET, "/v1/workflows".into()),
        (Method::GET, "/v1/workflows/uploads".into()),
        (Method::GET, "/v1/workflows/uploads/stats".into()),
        (Method::GET, "/v1/incidents".into()),
        (Method::GET, format!("/v1/incidents/{incident}")),
        (Method::GET, format!("/v1/incidents/{incident}/deliveries")),
    ] {
        let answer = daemon.ask(method.clone(), &format!("{path}?colour=red")).await;
        assert_eq!(answer.status, 400, "{method} {path}");
        assert!(answer.refused(400, "invalid-request").contains("colour"), "{method} {path}");
    }
    assert_eq!(daemon.get(&path).await["state"], "overdue");
}

#[tokio::test]
async fn a_path_at_which_there_is_nothing_says_what_was_probably_meant() {
    let daemon = TestDaemon::start().await;
    daemon.create("uploads", "a%2Fb", "", "payload").await;
    for (path, words) in [
        ("/v1/workflows/uploads/items/a/b", "write a slash within the id of an item as %2F"),
        ("/v1/workflows/uploads/items/a/b/payload", "%2F"),
        ("/v1/items/", "omit the slash at its end"),
        ("/v1/v1/items", "ends before /v1"),
        ("/items", "API paths begin with /v1"),
        ("/nothing", "unknown path; /openapi.json"),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = daemon.response(method, path).await;
            assert_eq!(answer.status(), 404, "{path}");
            let problem: serde_json::Value = answer.json().await.unwrap();
            assert!(problem["detail"].as_str().unwrap().contains(words), "{path}: {problem}");
        }
    }
}
