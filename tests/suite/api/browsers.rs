//! What a page in a browser can do and read: nothing, unless its origin is the daemon's own or listed.

use reqwest::header::HOST;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::access::{ask_as, guarded_with};
use super::item;
use crate::support::{TestDaemon, Wire, ask};

const ATTACKER: &str = "https://attacker.example";
const CLOSE: &str = r#"{"op":"close","workflow":"uploads","id":"file-1"}"#;

/// A daemon without tokens that is known by no name but its own, with an item.
async fn open() -> TestDaemon {
    let daemon = TestDaemon::builder().config("[server]\nhosts = []").start().await;
    daemon.create("uploads", "file-1", "?deadline=0s", "hello").await;
    daemon
}

fn port(daemon: &TestDaemon) -> String {
    daemon.url("").rsplit(':').next().expect("a port").to_owned()
}

/// What a page may ask for that changes something, with the body that it sends.
fn changes(daemon: &TestDaemon) -> Vec<RequestBuilder> {
    let replay = json!({"target": {"url": "http://127.0.0.1:1/"}}).to_string();
    let silence = json!({"workflow": "*", "for": "1h"}).to_string();
    let post = |path: &str, body: String| daemon.request(Method::POST, path).body(body);
    vec![
        post("/v1/batch", CLOSE.to_owned()),
        post("/v1/silences", silence),
        post("/v1/replays", replay),
        post("/v1/leases", String::new()),
        post("/v1/items/retry", String::new()),
        post("/v1/workflows/uploads/items", "hello".to_owned()),
        daemon.request(Method::PUT, &item("file-2")).body("hello"),
        daemon.request(Method::PATCH, &item("file-1")).body("{}"),
        daemon.request(Method::DELETE, &item("file-1")),
        daemon.request(Method::OPTIONS, "/v1/batch"),
    ]
}

#[tokio::test]
async fn a_foreign_page_changes_nothing() {
    let daemon = open().await;
    let own = daemon.url("");
    // What stands for a foreign page: where it says that it is, or what the browser says of it.
    let foreign: [&[(&str, &str)]; 9] = [
        &[("origin", ATTACKER)],
        &[("origin", "null")],
        &[("origin", "http://localhost:3000")],
        &[("origin", "http://127.0.0.1")],
        &[("origin", ""), ("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
        &[("origin", &own), ("origin", ATTACKER)],
    ];
    for headers in foreign {
        for request in changes(&daemon) {
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let request = request.header("content-type", "text/plain");
            let answer = ask(request).await;
            let detail = answer.refused(403, "foreign-origin");
            assert!(detail.contains("server.cors_origins"), "{headers:?}: {detail}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    assert_eq!(daemon.get(&item("file-1")).await["version"], 1);
    for path in ["/v1/silences", "/v1/replays"] {
        assert_eq!(daemon.get(path).await["data"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn a_page_of_our_own_and_what_is_no_page_may_change_things() {
    let config = "[server]\nexternal_url = \"https://warden.example/ui/\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let port = port(&daemon);
    let cases: [&[(&str, &str)]; 7] = [
        &[],
        &[("sec-fetch-site", "none")],
        &[("origin", &daemon.url("")), ("sec-fetch-site", "same-origin")],
        &[("host", &format!("LOCALHOST.:{port}")), ("origin", &format!("http://localhost.:{port}"))],
        &[("host", "localhost"), ("origin", "http://localhost")],
        // A proxy that speaks TLS, with the name passed on and without.
        &[("host", "warden.example"), ("origin", "https://warden.example")],
        &[("origin", "https://warden.example"), ("sec-fetch-site", "same-origin")],
    ];
    for headers in cases {
        let post = daemon.request(Method::POST, "/v1/leases").header("content-type", "application/json");
        let post = headers.iter().fold(post, |request, (name, value)| request.header(*name, *value));
        assert_eq!(ask(post.body("{}")).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_page_under_a_name_of_its_own_reads_nothing() {
    let daemon = open().await;
    let paths = ["/v1/items", "/v1/export", "/metrics", "/healthz", "/readyz", "/openapi.json", "/nothing"];
    let paths =
        paths.map(str::to_owned).into_iter().chain([item("file-1"), format!("{}/payload", item("file-1"))]);
    for path in paths {
        for host in [
            "attacker.example",
            "attacker.example:8470",
            "127.0.0.1.attacker.example",
            "localhost.attacker.example",
            "localhost@attacker.example",
            "attacker.example@localhost",
            "notlocalhost",
            "10.0.0.1",
            "[fe80::1]",
            "0.0.0.0",
        ] {
            let answer = ask(daemon.request(Method::GET, &path).header(HOST, host)).await;
            if host.contains('@') {
                answer.refused(400, "invalid-request");
            } else {
                let detail = answer.refused(421, "unknown-host");
                assert!(detail.contains("server.hosts"), "{host}: {detail}");
            }
            assert!(!answer.text().contains("hello"));
        }
    }
    for host in
        ["localhost", "LocalHost:1", "localhost.", "warden.localhost:80", "127.0.0.1", "127.9.9.9", "[::1]:7"]
    {
        let get = || daemon.request(Method::GET, &item("file-1")).header(HOST, host);
        assert_eq!(ask(get()).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn the_host_of_the_target_counts_as_that_of_the_header_does() {
    let daemon = open().await;
    // In HTTP/2 it is `:authority`.
    let address = daemon.url("").replace("http://", "").parse().expect("an address");
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .resolve("attacker.example", address)
        .resolve("localhost", address)
        .build()
        .expect("a client");
    for (host, status) in [("attacker.example", 421), ("localhost", 200)] {
        let url = format!("http://{host}:{}{}/payload", port(&daemon), item("file-1"));
        assert_eq!(client.get(url).send().await.expect("an answer").status(), status, "{host}");
    }
    // A target that is a whole URL goes before the header.
    for (target, host, status) in [
        ("http://attacker.example/v1/items", "localhost", "421"),
        ("http://localhost/v1/items", "attacker.example", "421"),
        ("http://localhost/v1/items", "localhost", "200"),
        ("/v1/items", "localhost\r\nhost: attacker.example", "421"),
    ] {
        let mut wire = Wire::open(&daemon).await;
        wire.send(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
        let answer = wire.closed().await;
        let status_line = answer.lines().next().unwrap_or_default();
        // Two hosts may be refused as such before.
        assert!(
            status_line.contains(status) || (host.contains('\r') && status_line.contains("400")),
            "{target}: {answer}"
        );
    }
    let mut wire = Wire::open(&daemon).await;
    wire.send("GET /healthz HTTP/1.0\r\n\r\n".to_owned()).await;
    assert!(wire.closed().await.contains(" 200 "), "a probe of before hosts were named");
}

#[tokio::test]
async fn hosts_that_are_configured_are_ours_and_with_tokens_only_then_looked_at() {
    let config =
        "[server]\nhosts = [\"warden.internal\", \"10.0.0.5\"]\nexternal_url = \"https://ops.example\"";
    let daemon = TestDaemon::builder().config(config).start().await;
    let of = |host: &str| daemon.request(Method::GET, "/healthz").header(HOST, host);
    for host in ["warden.internal", "Warden.Internal.:8470", "10.0.0.5:80", "ops.example", "localhost"] {
        assert_eq!(ask(of(host)).await.status, 200, "{host}");
    }
    ask(of("other.internal")).await.refused(421, "unknown-host");

    let daemon = guarded_with("[server]\nhosts = []").await;
    for (path, token) in [("/healthz", "none"), ("/v1/items", "read")] {
        let get = daemon.request(Method::GET, path).header(HOST, "10.244.0.7:8470");
        assert_eq!(ask_as(token, get).await.status, 200, "{path}");
    }
    let daemon = guarded_with("[server]\nhosts = [\"warden.internal\"]").await;
    let get = |host: &str| daemon.request(Method::GET, "/v1/items").header(HOST, host);
    ask_as("read", get("10.244.0.7:8470")).await.refused(421, "unknown-host");
    assert_eq!(ask_as("read", get("warden.internal")).await.status, 200);
}

#[tokio::test]
async fn json_is_read_from_json_types_alone_where_a_browser_may_be_the_sender() {
    let daemon = open().await;
    let own = daemon.url("");
    let browser = [("origin", own.as_str()), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    let documents = [
        (Method::POST, "/v1/leases".to_owned(), r#"{"workflows":["none"]}"#, "application/json"),
        (Method::PATCH, item("file-1"), "{}", "application/merge-patch+json"),
        (
            Method::POST,
            format!("{}/errors", item("file-1")),
            r#"{"type":"io"}"#,
            "Application/JSON; charset=utf-8",
        ),
        (Method::POST, "/v1/batch".to_owned(), CLOSE, "application/x-ndjson"),
    ];
    for (method, path, body, good) in documents {
        let send = |kind: &str, marks: &[(&'static str, &str)]| {
            let request = daemon.request(method.clone(), &path).body(body);
            let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
            ask(marks.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
        };
        for mark in browser {
            for kind in
                ["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", ""]
            {
                let detail = send(kind, &[mark]).await.refused(415, "unsupported-media-type");
                assert!(detail.contains("Content-Type application/"), "{detail}");
            }
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let status = send(kind, &[]).await.status;
            assert!(status < 300, "{method} {path} as {kind}, from what is no browser: {status}");
        }
        let status = send(good, &browser).await.status;
        assert!(status < 300, "{method} {path} as {good}: {status}");
    }
    for kind in ["application/ndjson", "application/jsonl", "application/json"] {
        let batch = daemon.request(Method::POST, "/v1/batch").header("content-type", kind).body(CLOSE);
        assert_eq!(ask(batch.header("origin", &own)).await.status, 200, "{kind}");
    }
    let nothing = daemon.request(Method::POST, "/v1/leases").header("origin", &own);
    assert_eq!(ask(nothing).await.status, 200, "where there is nothing to read, nothing has a type");
}

#[tokio::test]
async fn no_answer_is_taken_for_a_page_or_shown_within_one() {
    let daemon = TestDaemon::start().await;
    let html = "<script>fetch('/v1/items')</script>";
    let put = daemon.request(Method::PUT, &item("page")).header("content-type", "text/html");
    ask(put.body(html)).await.json(201);
    let payload = format!("{}/payload", item("page"));
    for path in ["/v1/items", "/healthz", "/nothing", "/metrics", "/v1/export", &item("none"), &payload] {
        let answer = daemon.ask(Method::GET, path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
    }
    let whole = daemon.ask(Method::GET, &payload).await;
    assert_eq!((whole.text(), whole.header("content-type")), (html, "text/html"));
    let tag = whole.header("etag").to_owned();
    let get = || daemon.request(Method::GET, &payload);
    for (request, status) in [
        (get(), 200),
        (get().header("range", "bytes=0-3"), 206),
        (get().header("if-none-match", &tag), 304),
        (daemon.request(Method::HEAD, &payload), 200),
    ] {
        let answer = ask(request).await;
        assert_eq!((answer.status, answer.header("content-security-policy")), (status, "sandbox"));
    }
}

#[tokio::test]
async fn a_page_that_is_listed_uses_the_api_with_its_token_and_no_other_does() {
    const PAGE: &str = "https://ops.example";
    let daemon =
        guarded_with(&format!("[server]\ncors_origins = [\"{PAGE}\", \"http://localhost:3000\"]")).await;
    let preflight = |origin: &str| {
        daemon
            .request(Method::OPTIONS, "/v1/batch")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
    };
    for origin in [PAGE, "http://localhost:3000"] {
        let answer = ask(preflight(origin)).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
        assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type");
        assert!(answer.header("access-control-allow-methods").contains("PATCH"));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert!(answer.header("vary").contains("origin"), "{:?}", answer.headers);
    }
    for origin in [ATTACKER, "null", "https://ops.example:444", "http://ops.example", "https://x.ops.example"]
    {
        let answer = ask(preflight(origin)).await;
        answer.refused(403, "foreign-origin");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
    let batch = |origin: &str, token: &str| {
        let post = daemon.request(Method::POST, "/v1/batch").bearer_auth(token).header("origin", origin);
        ask(post
            .header("sec-fetch-site", "cross-site")
            .header("content-type", "application/x-ndjson")
            .body(CLOSE))
    };
    let answer = batch(PAGE, "ingest").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, PAGE));
    assert!(answer.header("access-control-expose-headers").contains("etag"));
    let refused = batch(PAGE, "unknown").await;
    refused.refused(401, "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), PAGE, "the page learns why");
    batch(ATTACKER, "ingest").await.refused(403, "foreign-origin");
    let plain = daemon.request(Method::POST, "/v1/batch").header("origin", PAGE).body(CLOSE);
    ask_as("ingest", plain).await.refused(415, "unsupported-media-type");

    // What another page may ask for it may not see, and what is kept for one is not shown to another.
    let read = |origin: Option<&'static str>| {
        let get = daemon.request(Method::GET, "/v1/items");
        ask_as("read", origin.into_iter().fold(get, |get, origin| get.header("origin", origin)))
    };
    for (origin, allowed) in [(Some(ATTACKER), ""), (None, ""), (Some(PAGE), PAGE)] {
        let answer = read(origin).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, allowed));
        assert!(answer.header("vary").contains("origin"), "{origin:?}");
    }
    let none = daemon.request(Method::OPTIONS, "/v1/batch");
    ask_as("ingest", none).await.refused(405, "method-not-allowed");
    let elsewhere = preflight(PAGE).header(HOST, "attacker.example");
    assert_eq!(ask(elsewhere).await.status, 200, "with tokens hosts are not looked at");
}

#[tokio::test]
async fn without_a_list_no_page_is_told_that_it_may() {
    let daemon = guarded_with("").await;
    let get = daemon.request(Method::GET, "/v1/items").header("origin", ATTACKER);
    let answer = ask_as("read", get).await;
    let told: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(answer.status, 200);
    assert!(!told.iter().any(|name| name.starts_with("access-control-")), "{told:?}");
    let lists: Value = answer.json(200);
    assert_eq!(
        lists["data"].as_array().map(Vec::len),
        Some(2),
        "who has a token may read, whatever else it says"
    );
}
